"""Replays: events that an endpoint was sent before, or should have been, go out to it again, or to another URL.

A replay is a durable job with a cursor of its own in the log. Feeding it is one unit: it looks a little further,
asks for the deliveries that match as if each were resent by hand, and moves the job's cursor, in one transaction; so a
crash between two steps loses nothing and repeats nothing. Few deliveries of a job are in play at a time, and the rest
stays in the log, where it takes no room. To another URL they go through an endpoint of the job's own, which is a copy
of the one asked for, wants nothing of the log, is in no list, and goes when the job has ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from sqlalchemy import (
    Connection,
    Row,
    Select,
    and_,
    delete,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.exc import SQLAlchemyError

from waypost.clock import from_micros
from waypost.errors import Conflict, NotFound
from waypost.events.patterns import Wants
from waypost.ids import AccountId, EndpointId, EventId
from waypost.log import auditing
from waypost.log.auditing import Actor
from waypost.log.cursors import page_of, read_name_cursor
from waypost.log.database import execute_many
from waypost.log.endpoints import copy_endpoint, read_endpoint, versions_of
from waypost.log.leases import NO_ACCOUNT, pending_row, put_pending
from waypost.log.matching import Scope, find_to_send, types_asked
from waypost.log.records import EndpointVersion, Page, PendingRow, ReplayAsked, ReplayRecord
from waypost.log.tables import attempts, endpoints, events, pending, replays
from waypost.log.transaction import Tx, Unit

IN_PLAY_MAX = 128  # deliveries of one job that are asked for and not yet settled
IN_PLAY_LOW = 64  # at which more are asked for: each time costs the owner a look at its rows
RUNNING_MAX = 10  # jobs of one endpoint at a time
ENDED_KEPT_MAX = 1_000  # jobs of one endpoint that can still be looked at


@dataclass(frozen=True, slots=True)
class Fed:
    """What feeding came to: `progress` says that it is worth feeding again at once, `running` how many jobs are on."""

    progress: bool
    running: int


log = structlog.get_logger(__name__)


# -- units -------------------------------------------------------------------------------------------------------------


def create_replay(scope: Scope, asked: ReplayAsked, matched: int, *, actor: Actor) -> Unit[ReplayRecord]:
    """Begin a job for what was counted in `scope`. NotFound when the endpoint is gone, Conflict when many are on."""

    def work(tx: Tx) -> ReplayRecord:
        account_id, endpoint_id = scope.account_id, scope.endpoint_id
        read_endpoint(tx.connection, tx.vault, account_id, endpoint_id)
        _check_room(tx.connection, account_id, endpoint_id)
        replay_id = tx.ids.new("job_", tx.now)
        target_id = endpoint_id
        if asked.to_url is not None and matched:
            target_id = copy_endpoint(tx, account_id, endpoint_id, EndpointId(replay_id), url=asked.to_url)
        row = {
            "account_id": account_id,
            "replay_id": replay_id,
            "endpoint_id": endpoint_id,
            "target_id": target_id,
            "which": asked.which,
            "asked": msgspec.json.encode(
                msgspec.structs.replace(asked, keys=scope.keys, left_out=tuple(sorted(scope.left_out)))
            ).decode(),
            "through": scope.through,
            "scanned": scope.after,
            "matched": matched,
            "fed": 0,
            "state": "running" if matched else "done",
            "created_at": tx.now_us,
            "stepped_at": tx.now_us,
            "ended_at": None if matched else tx.now_us,
        }
        tx.connection.execute(insert(replays), row)
        tx.replays_asked = True
        auditing.record(tx, account_id, actor=actor, action="endpoint.replayed", subject=endpoint_id, detail=replay_id)
        return read_replay(tx.connection, account_id, endpoint_id, replay_id)

    # Under the account's lock, or what was counted could leave by age meanwhile.
    return Unit(scope.account_id, work, locks=True)


def _check_room(connection: Connection, account_id: AccountId, endpoint_id: EndpointId) -> None:
    columns = replays.c
    mine = columns.account_id == account_id, columns.endpoint_id == endpoint_id
    running = select(func.count()).select_from(replays).where(*mine, columns.state == "running")
    if connection.execute(running).scalar_one() >= RUNNING_MAX:
        raise Conflict(f"{RUNNING_MAX} replays of this endpoint are running, which is the limit. Wait, or cancel one.")
    newest_first = select(columns.replay_id).where(*mine, columns.state != "running")
    too_old = newest_first.order_by(columns.replay_id.desc()).offset(ENDED_KEPT_MAX - 1).limit(1)
    last_kept = connection.execute(too_old).scalar()
    if last_kept is not None:
        ended = columns.replay_id < last_kept, columns.state != "running"
        connection.execute(delete(replays).where(*mine, *ended))


def cancel_replay(account_id: AccountId, endpoint_id: EndpointId, replay_id: str) -> Unit[ReplayRecord]:
    """Ask for no more deliveries of a job, and take back those that are not being sent. One that ended stays ended."""

    def work(tx: Tx) -> ReplayRecord:
        tx.connection.execute(locked_endpoint(account_id, endpoint_id))  # its owner stores nothing of it meanwhile
        job = _job(tx.connection, account_id, endpoint_id, replay_id)
        if job.state == "running":
            _end(tx, job, "cancelled", None)
        return read_replay(tx.connection, account_id, endpoint_id, replay_id)

    return Unit(account_id, work)


def feed_replays(limit: int) -> Unit[Fed]:
    """Take running jobs a step further, at most `limit` of them, those first that were not fed for the longest.

    A step looks at a bounded piece of the log and asks for a bounded number of deliveries. A job whose deliveries are
    all settled ends. Call it again at once while there is progress.
    """

    def work(tx: Tx) -> Fed:
        # Those that another service is feeding are passed over.
        jobs = tx.connection.execute(due_jobs(limit).with_for_update(skip_locked=True)).all()
        steps = sum(_step_alone(tx, job) for job in jobs)
        return Fed(steps > 0, tx.connection.execute(count_running()).scalar_one())

    return Unit(NO_ACCOUNT, work)


def _step_alone(tx: Tx, job: Row[Any]) -> bool:
    """Take one job a step further. One whose step fails by a bug of ours ends, and the others go on."""
    savepoint = tx.connection.begin_nested()
    try:
        stepped = _step(tx, job)
    except SQLAlchemyError:
        raise  # the database is in trouble, not the job
    except Exception:
        savepoint.rollback()
        log.exception("replay_failed", account_id=job.account_id, replay_id=job.replay_id)
        _end(tx, job, "failed", "The service failed at this replay; its log says how.")
        return True
    savepoint.commit()
    return stepped


def _step(tx: Tx, job: Row[Any]) -> bool:
    """Take one job a step further; False when there is nothing to do but wait."""
    in_play = tx.connection.execute(count_in_play(job.account_id, job.target_id, job.replay_id)).scalar_one()
    if job.scanned >= job.through and not in_play:
        _end(tx, job, "done", None)
        return True
    gone = _why_nothing_gets_through(tx.connection, job)
    if gone is not None:
        _end(tx, job, "failed", gone)
        return True
    if job.scanned >= job.through or in_play > IN_PLAY_LOW:
        return False
    _feed(tx, job, IN_PLAY_MAX - in_play)
    return True


def _feed(tx: Tx, job: Row[Any], room: int) -> None:
    found = find_to_send(tx.connection, _scope(tx.connection, job), job.scanned, job.target_id)
    taken = found.positions[:room]
    scanned = found.through if len(taken) == len(found.positions) else taken[-1]
    if taken:
        rows = _rows_to_send(tx, job, taken)
        put = [pending_row(job.account_id, job.target_id, row) for row in rows]
        execute_many(tx.connection, put_pending(tx.dialect), put)
        tx.changed_endpoints.add((job.account_id, job.target_id))
    fed = job.fed + len(taken)
    # Somebody may have sent events by hand between the count and now, and they failed: those match as well.
    moved = {"scanned": scanned, "fed": fed, "matched": max(job.matched, fed), "stepped_at": tx.now_us}
    tx.connection.execute(update(replays).where(_one(job.account_id, job.replay_id)).values(**moved))


def _rows_to_send(tx: Tx, job: Row[Any], positions: Sequence[int]) -> list[PendingRow]:
    made = {row.position: row.made for row in tx.connection.execute(attempts_made(job, positions))}
    # When it was first tried is left out: it is judged by what the endpoint takes from now on.
    return [
        PendingRow(
            position=row.position,
            key=row.key,
            event_id=EventId(row.event_id),
            state="resend",
            due_at=tx.now_us,
            attempts=made.get(row.position, 0),
            type=row.type,
            replay_id=job.replay_id,
        )
        for row in tx.connection.execute(events_to_send(job.account_id, positions))
    ]


def _scope(connection: Connection, job: Row[Any]) -> Scope:
    asked = msgspec.json.decode(job.asked, type=ReplayAsked)
    wants = connection.execute(versions_of(job.account_id, [job.endpoint_id])).all()
    decoded = [EndpointVersion(row.from_position, msgspec.json.decode(row.wants, type=Wants)) for row in wants]
    return Scope(
        account_id=job.account_id,
        endpoint_id=job.endpoint_id,
        which=job.which,
        versions=tuple(decoded),
        after=job.scanned,
        through=job.through,
        types=types_asked(connection, job.account_id, asked),
        keys=asked.keys,
        left_out=frozenset(asked.left_out),
    )


def _why_nothing_gets_through(connection: Connection, job: Row[Any]) -> str | None:
    """Why the endpoint that a job has for itself will send nothing more: nobody can resume it. None if it will."""
    if job.target_id == job.endpoint_id:
        return None
    columns = endpoints.c
    own = select(columns.health, columns.health_reason)
    own = own.where(columns.account_id == job.account_id, columns.endpoint_id == job.target_id)
    row = connection.execute(own).first()
    if row is not None and row.health != "suspended":
        return None
    return (row.health_reason if row is not None else None) or "Nothing gets through to the URL."


def _end(tx: Tx, job: Row[Any], state: str, reason: str | None) -> None:
    """Write down how a job ended, and take back what it has in play and was not sent."""
    in_play = tx.connection.execute(count_in_play(job.account_id, job.target_id, job.replay_id)).scalar_one()
    ended = {"state": state, "state_reason": reason, "ended_at": tx.now_us, "fed": job.fed - in_play}
    tx.connection.execute(update(replays).where(_one(job.account_id, job.replay_id)).values(**ended))
    tx.changed_endpoints.add((job.account_id, job.target_id))
    if job.target_id != job.endpoint_id:
        own = endpoints.c.account_id == job.account_id, endpoints.c.endpoint_id == job.target_id
        tx.connection.execute(delete(endpoints).where(*own))
    elif in_play:
        _take_back(tx, job)


def _take_back(tx: Tx, job: Row[Any]) -> None:
    """Drop what a job has in play. What it has tried without success is tried no more: that failure was the last."""
    mine = _in_play(job.account_id, job.target_id, job.replay_id)
    tried = select(pending.c.position, pending.c.attempts).where(mine, pending.c.attempts > 0)
    for position, number in tx.connection.execute(tried).all():
        last = update(attempts).where(attempts.c.account_id == job.account_id, attempts.c.endpoint_id == job.target_id)
        last = last.where(attempts.c.position == position, attempts.c.number == number)
        tx.connection.execute(last.where(attempts.c.verdict == "retrying").values(verdict="failed"))
    tx.connection.execute(delete(pending).where(mine))


# -- reading -----------------------------------------------------------------------------------------------------------


def look_for_due(connection: Connection) -> Fed:
    """Say whether feeding would come to anything, and how many jobs run. It only reads, so nobody waits for it."""
    due = connection.execute(due_jobs(1)).first()
    return Fed(due is not None, connection.execute(count_running()).scalar_one())


def read_replay(connection: Connection, account_id: AccountId, endpoint_id: EndpointId, replay_id: str) -> ReplayRecord:
    """Give a job of an endpoint with its progress, or raise NotFound."""
    return _record(connection, _job(connection, account_id, endpoint_id, replay_id))


def list_replays(
    connection: Connection, account_id: AccountId, endpoint_id: EndpointId, limit: int, cursor: str | None
) -> Page[ReplayRecord]:
    """Give a page of an endpoint's jobs, the newest first."""
    before = read_name_cursor(cursor) or "job_~"  # past every id
    rows = connection.execute(replays_before(account_id, endpoint_id, before, limit + 1)).all()
    return page_of([_record(connection, row) for row in rows], limit, lambda replay: replay.replay_id)


def _job(connection: Connection, account_id: AccountId, endpoint_id: EndpointId, replay_id: str) -> Row[Any]:
    mine = select(*replays.c).where(_one(account_id, replay_id), replays.c.endpoint_id == endpoint_id)
    row = None if "\0" in replay_id else connection.execute(mine).first()
    if row is None:
        raise NotFound(f'There is no replay "{replay_id}" of this endpoint.')
    return row


def _record(connection: Connection, row: Row[Any]) -> ReplayRecord:
    in_play = 0
    if row.state == "running":
        in_play = connection.execute(count_in_play(row.account_id, row.target_id, row.replay_id)).scalar_one()
    return ReplayRecord(
        account_id=row.account_id,
        replay_id=row.replay_id,
        endpoint_id=row.endpoint_id,
        asked=msgspec.json.decode(row.asked, type=ReplayAsked),
        matched=row.matched,
        done=row.fed - in_play,
        state=row.state,
        state_reason=row.state_reason,
        created_at=from_micros(row.created_at),
        ended_at=None if row.ended_at is None else from_micros(row.ended_at),
    )


# -- statements --------------------------------------------------------------------------------------------------------


def _one(account_id: AccountId, replay_id: str) -> Any:
    return and_(replays.c.account_id == account_id, replays.c.replay_id == replay_id)


def _in_play(account_id: AccountId, target_id: str, replay_id: str) -> Any:
    columns = pending.c
    return and_(columns.account_id == account_id, columns.endpoint_id == target_id, columns.replay_id == replay_id)


def locked_endpoint(account_id: AccountId, endpoint_id: EndpointId) -> Select[Any]:
    """An endpoint, locked. By the primary key."""
    columns = endpoints.c
    mine = select(columns.endpoint_id).where(columns.account_id == account_id, columns.endpoint_id == endpoint_id)
    return mine.with_for_update()


def due_jobs(limit: int) -> Select[Any]:
    """Running jobs of all accounts with something to do, those first that were not fed for the longest.

    Walks replays_running, and the pending rows of each job's target. However many jobs wait for their deliveries, none
    of them stands in the way of another.
    """
    columns = replays.c
    in_play = select(func.count()).where(
        pending.c.account_id == columns.account_id,
        pending.c.endpoint_id == columns.target_id,
        pending.c.replay_id == columns.replay_id,
    )
    played = in_play.scalar_subquery()
    target = endpoints.c.account_id == columns.account_id, endpoints.c.endpoint_id == columns.target_id
    has_more, all_fed = columns.scanned < columns.through, columns.scanned >= columns.through
    due = or_(
        and_(has_more, played <= IN_PLAY_LOW),
        and_(all_fed, played == 0),
        and_(columns.target_id != columns.endpoint_id, exists().where(*target, endpoints.c.health == "suspended")),
    )
    running = select(*columns).where(columns.state == literal_column("'running'"), due)  # as the partial index has it
    return running.order_by(columns.stepped_at, columns.account_id, columns.replay_id).limit(limit)


def count_running() -> Select[Any]:
    """How many jobs run, of all accounts. Walks replays_running."""
    return select(func.count()).select_from(replays).where(replays.c.state == literal_column("'running'"))


def count_in_play(account_id: AccountId, target_id: str, replay_id: str) -> Select[Any]:
    """How many deliveries of a job are pending. Walks the endpoint's pending rows, which are bounded."""
    return select(func.count()).select_from(pending).where(_in_play(account_id, target_id, replay_id))


def replays_before(account_id: AccountId, endpoint_id: EndpointId, before: str, limit: int) -> Select[Any]:
    """The jobs of an endpoint that were made before `before`, newest first. Walks replays_by_endpoint backwards."""
    columns = replays.c
    mine = select(*columns).where(columns.account_id == account_id, columns.endpoint_id == endpoint_id)
    return mine.where(columns.replay_id < before).order_by(columns.replay_id.desc()).limit(limit)


def events_to_send(account_id: AccountId, positions: Sequence[int]) -> Select[Any]:
    """What a pending row says of its event, at these positions, in order. By the primary key."""
    columns = events.c
    mine = select(columns.position, columns.event_id, columns.type, columns.key)
    mine = mine.where(columns.account_id == account_id, columns.position.in_(positions))
    return mine.order_by(columns.position)


def attempts_made(job: Row[Any], positions: Sequence[int]) -> Select[Any]:
    """How many attempts the target has had at these positions. Walks the primary key."""
    columns = attempts.c
    mine = select(columns.position, func.max(columns.number).label("made"))
    mine = mine.where(columns.account_id == job.account_id, columns.endpoint_id == job.target_id)
    return mine.where(columns.position.in_(positions)).group_by(columns.position)
