"""Endpoints that wait for too long: who they are, warning their account, and giving up what is past its limit.

What an endpoint is owed outlives the days that other events are kept, up to a limit of its own. At that limit its
deliveries stand as failed, with the reason, and its cursor goes on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, Table, and_, delete, func, or_, select, update

from waypost.errors import NotFound
from waypost.ids import AccountId, EndpointId
from waypost.log.database import execute_many, insert_into
from waypost.log.endpoints import read_endpoint
from waypost.log.events import read_events_after
from waypost.log.keeping import CLOCK_LEAP_US, DAY_US, WARNING_DAYS, Aged, Ages, expired, warning_due
from waypost.log.leases import insert_attempts
from waypost.log.owed import Judge, owed_after
from waypost.log.records import EndpointRecord
from waypost.log.retention import Step, holder_waits, tried_endpoints
from waypost.log.tables import attempts, endpoints, events, expiry_notices, folded, pending
from waypost.log.transaction import Tx, Unit
from waypost.log.vault import Vault

GIVEN_UP_ROWS = 500
NO_TIME = {"dns": None, "connect": None, "tls": None, "first_byte": None, "body": None, "total": 0.0}
GIVEN_UP = "Not delivered within {days} days of being recorded, for as long as owed events are kept, and given up."


@dataclass(frozen=True, slots=True)
class Behind:
    """An endpoint with events near or past the limit: when the oldest owed was recorded, in Unix microseconds."""

    endpoint_id: EndpointId
    oldest_owed_at: int
    warning_due: int | None
    is_past: bool


@dataclass(frozen=True, slots=True)
class Survey:
    """What a sweep finds to do in an account: who waits too long, who was tried, who was warned and waits no more.

    From the position `young_from` on nothing is past the limit, whatever a clock said that was behind when it recorded
    an event; None where all the log is, or where that was not asked for.
    """

    behind: tuple[Behind, ...]
    young_from: int | None
    tried: tuple[EndpointId, ...]
    at_ease: tuple[EndpointId, ...]


# -- looking -----------------------------------------------------------------------------------------------------------


def survey(connection: Connection, vault: Vault, account_id: AccountId, ages: Ages, now_us: int) -> Survey:
    """Look through an account's endpoints for what is owed near its limit, and for whom attempts are kept."""
    behind: list[Behind] = []
    careful_us = now_us - ages.owed_us + (WARNING_DAYS[0] + 1) * DAY_US
    limit_us = now_us - ages.owed_us
    for endpoint_id in connection.execute(endpoints_with_old_events(account_id, careful_us)).scalars().all():
        endpoint = read_endpoint(connection, vault, account_id, endpoint_id)
        oldest = oldest_owed(connection, endpoint)
        due = warning_due(oldest, ages, now_us)
        # A cursor that stands before what nobody wants holds the log up as well; it goes on without a word.
        following = connection.execute(following_event(account_id, endpoint.cursor)).scalar()
        is_past = any(instant is not None and instant < limit_us for instant in (oldest, following))
        if is_past or due is not None:
            behind.append(Behind(endpoint_id, now_us if oldest is None else oldest, due, is_past))
    warned = connection.execute(warned_endpoints(account_id)).scalars()
    due_now = {one.endpoint_id for one in behind if one.warning_due is not None}
    at_ease = tuple(EndpointId(one) for one in warned if one not in due_now)
    young_from: int | None = None
    if any(one.is_past for one in behind):
        young_from = connection.execute(first_young(account_id, limit_us, now_us + CLOCK_LEAP_US)).scalar()
    return Survey(tuple(behind), young_from, tuple(tried_endpoints(connection, account_id)), at_ease)


def oldest_owed(connection: Connection, endpoint: EndpointRecord) -> int | None:
    """When the oldest event that the endpoint still waits for was recorded, in Unix microseconds; None for none.

    Where few of very many events are wanted it may be one that is not wanted, but older: careful.
    """
    key = (endpoint.account_id, endpoint.endpoint_id)
    found = [connection.execute(oldest(*key)).scalar() for oldest in (oldest_pending, oldest_fold)]
    rows, place = owed_after(connection, endpoint, endpoint.cursor, 1)
    if rows:
        found.append(rows[0].recorded_at)
    elif place is not None:
        following = read_events_after(connection, endpoint.account_id, place, 1)
        found += [row.recorded_at for row in following]
    return min((instant for instant in found if instant is not None), default=None)


# -- what is owed for too long -----------------------------------------------------------------------------------------


class _NoRequest(msgspec.Struct, frozen=True):
    method: str
    url: str
    headers: dict[str, str]


class _GivenUp(msgspec.Struct, frozen=True):
    """The attempt that was not made, in the form of those that were."""

    number: int
    started_at: Any
    outcome: str
    status: None
    address: None
    reused_connection: bool
    timings_ms: dict[str, float | None]
    explanation: str
    request: _NoRequest
    response: None


def give_up(account_id: AccountId, endpoint_id: EndpointId, ages: Ages, young_from: int | None) -> Unit[Step]:
    """Let the deliveries of an endpoint that are past the limit of what is owed stand as failed, some of them.

    Those from the position `young_from` on are left alone.

    The endpoint is taken over: its epoch goes up, so that nothing that its owner has in hand is stored any more, and
    the owner takes it again, as it is then. An attempt that is out at this moment may still arrive.
    """

    def work(tx: Tx) -> Step:
        try:
            endpoint = read_endpoint(tx.connection, tx.vault, account_id, endpoint_id)
        except NotFound:
            return Step(0, 0, more=False)
        # Its owner may be storing a cursor: what is read here holds until we are done.
        cursor = tx.connection.execute(locked_cursor(account_id, endpoint_id)).scalar_one()
        rows = read_events_after(tx.connection, account_id, cursor, GIVEN_UP_ROWS)
        aged = [Aged(row.position, row.recorded_at) for row in rows if young_from is None or row.position < young_from]
        past = set(expired(aged, ages, tx.now_us))
        through = max(past, default=cursor)
        judge = Judge(endpoint.versions)
        settled = set(tx.connection.execute(settled_between(account_id, endpoint_id, cursor, through)).scalars())
        reach = (account_id, endpoint_id, tx.now_us - ages.owed_us, young_from, GIVEN_UP_ROWS)
        waiting = list(tx.connection.execute(pending_before(*reach)))
        is_full = len(past) == GIVEN_UP_ROWS or len(waiting) == GIVEN_UP_ROWS
        # A batch comes again whole, or not at all.
        batches = {row.batch_id for row in waiting if row.batch_id is not None}
        if batches:
            waiting += tx.connection.execute(pending_of_batches(account_id, endpoint_id, batches))
        folds = tx.connection.execute(folds_before(*reach)).all()
        owed = {row.position: row.event_id for row in [*waiting, *folds]}
        owed |= {
            row.position: row.event_id
            for row in rows
            if row.position in past and row.position not in settled and judge.wants(row)
        }
        if through == cursor and not owed:
            return Step(0, cursor, more=False)
        _stand_as_failed(tx, endpoint, owed, ages)
        _drop(tx, pending, endpoint, [row.position for row in waiting])
        _drop(tx, folded, endpoint, [row.position for row in folds])
        _take_over(tx, endpoint, through)
        if owed:
            _note_given_up(tx, endpoint, len(owed))
        return Step(len(owed), through, more=is_full or len(folds) == GIVEN_UP_ROWS)

    return Unit(account_id, work, locks=True)


def _stand_as_failed(tx: Tx, endpoint: EndpointRecord, owed: dict[int, str], ages: Ages) -> None:
    account_id, endpoint_id = endpoint.account_id, endpoint.endpoint_id
    numbers: dict[int, int] = {}
    for some in _chunks(sorted(owed)):
        numbers |= {
            row.position: row.number for row in tx.connection.execute(last_numbers(account_id, endpoint_id, some))
        }
    explanation = GIVEN_UP.format(days=ages.owed_us // DAY_US)
    rows = []
    for position, event_id in sorted(owed.items()):
        number = numbers.get(position, 0) + 1
        detail = _GivenUp(
            number, tx.now, "cancelled", None, None, False, NO_TIME, explanation,
            _NoRequest("POST", endpoint.settings.url, {}), None,
        )  # fmt: skip
        rows.append(
            {
                "account_id": account_id,
                "endpoint_id": endpoint_id,
                "position": position,
                "number": number,
                "event_id": event_id,
                "started_at": tx.now_us,
                "verdict": "failed",
                "outcome": "cancelled",
                "status": None,
                "duration_us": 0,
                "detail": msgspec.json.encode(detail),
            }
        )
    execute_many(tx.connection, insert_attempts(tx.dialect), rows)


def _drop(tx: Tx, table: Table, endpoint: EndpointRecord, positions: Sequence[int]) -> None:
    mine = table.c.account_id == endpoint.account_id, table.c.endpoint_id == endpoint.endpoint_id
    for some in _chunks(positions):
        tx.connection.execute(delete(table).where(*mine, table.c.position.in_(some)))


def _take_over(tx: Tx, endpoint: EndpointRecord, cursor: int) -> None:
    mine = endpoints.c.account_id == endpoint.account_id, endpoints.c.endpoint_id == endpoint.endpoint_id
    taken = {"cursor": cursor, "epoch": endpoints.c.epoch + 1, "owner": None}
    tx.connection.execute(update(endpoints).where(*mine).values(**taken))
    tx.changed_endpoints.add((endpoint.account_id, endpoint.endpoint_id))


def _note_given_up(tx: Tx, endpoint: EndpointRecord, count: int) -> None:
    statement = insert_into(tx.dialect, expiry_notices)
    added = {"events": expiry_notices.c.events + statement.excluded.events}
    statement = statement.on_conflict_do_update(index_elements=["account_id", "endpoint_id", "days_left"], set_=added)
    tx.connection.execute(statement, _notice_row(endpoint.account_id, endpoint.endpoint_id, 0, tx.now_us, count))


def note_expiry(account_id: AccountId, endpoint_id: EndpointId, days_left: int, expires_at: int) -> Unit[bool]:
    """Note that an endpoint's oldest owed events are given up at `expires_at`. False when that was noted before."""

    def work(tx: Tx) -> bool:
        mine = endpoints.c.account_id == account_id, endpoints.c.endpoint_id == endpoint_id
        known = expiry_notices.c
        there = select(known.days_left).where(
            known.account_id == account_id, known.endpoint_id == endpoint_id, known.days_left.between(1, days_left)
        )
        if tx.connection.execute(select(endpoints.c.endpoint_id).where(*mine)).first() is None:
            return False
        if tx.connection.execute(there).first() is not None:
            return False
        row = _notice_row(account_id, endpoint_id, days_left, expires_at, 0)
        tx.connection.execute(insert_into(tx.dialect, expiry_notices), row)
        return True

    return Unit(account_id, work, locks=True)


def forget_expiry(account_id: AccountId, endpoint_id: EndpointId) -> Unit[None]:
    """Forget that an endpoint was warned: it has caught up, and is to be warned again the next time."""

    def work(tx: Tx) -> None:
        known = expiry_notices.c
        mine = known.account_id == account_id, known.endpoint_id == endpoint_id
        tx.connection.execute(delete(expiry_notices).where(*mine, known.days_left > 0))

    return Unit(account_id, work)


def _notice_row(account_id: AccountId, endpoint_id: EndpointId, days_left: int, at: int, count: int) -> dict[str, Any]:
    key = {"account_id": account_id, "endpoint_id": endpoint_id, "days_left": days_left}
    return key | {"expires_at": at, "events": count, "mailed": False}


# -- statements --------------------------------------------------------------------------------------------------------


def _chunks(positions: Sequence[int]) -> Iterable[Sequence[int]]:
    return (positions[start : start + 500] for start in range(0, len(positions), 500))


def endpoints_with_old_events(account_id: AccountId, before: int) -> Select[Any]:
    """The endpoints behind whose cursor an event older than `before` follows, or that wait for one.

    For each endpoint it takes one step through the events' primary key, and one through its pending rows.
    """
    following = select(events.c.recorded_at).where(
        events.c.account_id == endpoints.c.account_id, events.c.position > endpoints.c.cursor
    )
    following = following.order_by(events.c.position).limit(1).correlate(endpoints)
    same = and_(events.c.account_id == pending.c.account_id, events.c.position == pending.c.position)
    waited_for = (
        select(events.c.recorded_at)
        .select_from(pending)
        .join(events, same)
        .where(pending.c.account_id == endpoints.c.account_id, pending.c.endpoint_id == endpoints.c.endpoint_id)
    )
    waited_for = waited_for.order_by(pending.c.position).limit(1).correlate(endpoints)
    fold = _oldest_fold().where(
        folded.c.account_id == endpoints.c.account_id, folded.c.endpoint_id == endpoints.c.endpoint_id
    )
    looked_at = (following, waited_for, fold.correlate(endpoints))
    mine = select(endpoints.c.endpoint_id).where(endpoints.c.account_id == account_id)
    # One that a replay to another URL has for itself goes with the replay, which tells how it fared.
    mine = mine.where(endpoints.c.replay_of.is_(None))
    old = or_(*(one.scalar_subquery() < before for one in looked_at))
    return mine.where(old).order_by(endpoints.c.endpoint_id)


def first_young(account_id: AccountId, since: int, until: int) -> Select[Any]:
    """The first position recorded in [`since`, `until`). Walks the old events at the beginning of the primary key."""
    mine = select(events.c.position).where(events.c.account_id == account_id)
    recorded_at = events.c.recorded_at + 0  # or SQLite sorts all young events
    return mine.where(recorded_at >= since, recorded_at < until).order_by(events.c.position).limit(1)


def following_event(account_id: AccountId, cursor: int) -> Select[Any]:
    """When the event after a cursor was recorded. Walks the primary key."""
    columns = events.c
    mine = select(columns.recorded_at).where(columns.account_id == account_id, columns.position > cursor)
    return mine.order_by(columns.position).limit(1)


def oldest_pending(account_id: AccountId, endpoint_id: EndpointId) -> Select[Any]:
    """When the first event that is pending was recorded. By the primary keys."""
    mine = pending.c.account_id == account_id, pending.c.endpoint_id == endpoint_id
    first = select(func.min(pending.c.position)).where(*mine).scalar_subquery()
    return select(events.c.recorded_at).where(events.c.account_id == account_id, events.c.position == first)


def _oldest_fold() -> Select[Any]:
    """When the first event was recorded that waits for a newer one; the endpoint is to be joined."""
    same = and_(events.c.account_id == folded.c.account_id, events.c.position == folded.c.position)
    mine = select(events.c.recorded_at).select_from(folded).join(events, same).where(holder_waits())
    return mine.order_by(folded.c.position).limit(1)


def oldest_fold(account_id: AccountId, endpoint_id: EndpointId) -> Select[Any]:
    """When the first event was recorded that waits for a newer one it is folded into. Walks the primary key."""
    own = endpoints.c.account_id == folded.c.account_id, endpoints.c.endpoint_id == folded.c.endpoint_id
    mine = _oldest_fold().where(*own)
    return mine.where(folded.c.account_id == account_id, folded.c.endpoint_id == endpoint_id)


def pending_before(
    account_id: AccountId, endpoint_id: EndpointId, before: int, young_from: int | None, limit: int
) -> Select[Any]:
    """The pending rows whose events were recorded before then, in log order. Walks the primary key."""
    same = and_(events.c.account_id == pending.c.account_id, events.c.position == pending.c.position)
    mine = select(pending.c.position, pending.c.event_id, pending.c.batch_id).join(events, same)
    mine = mine.where(pending.c.account_id == account_id, pending.c.endpoint_id == endpoint_id)
    recorded_at = events.c.recorded_at + 0  # or SQLite walks all old events, looking for those few
    if young_from is not None:
        mine = mine.where(pending.c.position < young_from)
    return mine.where(recorded_at < before).order_by(pending.c.position).limit(limit)


def pending_of_batches(account_id: AccountId, endpoint_id: EndpointId, batches: Iterable[str]) -> Select[Any]:
    """The pending rows of these batches. Walks the endpoint's part of the primary key."""
    mine = select(pending.c.position, pending.c.event_id, pending.c.batch_id)
    mine = mine.where(pending.c.account_id == account_id, pending.c.endpoint_id == endpoint_id)
    return mine.where(pending.c.batch_id.in_(list(batches)))


def folds_before(
    account_id: AccountId, endpoint_id: EndpointId, before: int, young_from: int | None, limit: int
) -> Select[Any]:
    """The events recorded before then that wait for a newer one they are folded into. Walks the primary key."""
    same = and_(events.c.account_id == folded.c.account_id, events.c.position == folded.c.position)
    own = and_(endpoints.c.account_id == folded.c.account_id, endpoints.c.endpoint_id == folded.c.endpoint_id)
    mine = select(folded.c.position, events.c.event_id).join(events, same).join(endpoints, own)
    mine = mine.where(folded.c.account_id == account_id, folded.c.endpoint_id == endpoint_id, holder_waits())
    recorded_at = events.c.recorded_at + 0  # or SQLite walks all old events, looking for those few
    if young_from is not None:
        mine = mine.where(folded.c.position < young_from)
    return mine.where(recorded_at < before).order_by(folded.c.position).limit(limit)


def locked_cursor(account_id: AccountId, endpoint_id: EndpointId) -> Select[Any]:
    """The cursor of an endpoint, locked. By the primary key."""
    mine = endpoints.c.account_id == account_id, endpoints.c.endpoint_id == endpoint_id
    return select(endpoints.c.cursor).where(*mine).with_for_update()


def settled_between(account_id: AccountId, endpoint_id: EndpointId, after: int, through: int) -> Select[Any]:
    """The positions in (`after`, `through`] with a last word. Walks attempts_by_verdict."""
    columns = attempts.c
    mine = select(columns.position).distinct().where(columns.account_id == account_id)
    mine = mine.where(columns.endpoint_id == endpoint_id, columns.position > after, columns.position <= through)
    return mine.where(columns.verdict.in_(("delivered", "failed")))


def last_numbers(account_id: AccountId, endpoint_id: EndpointId, positions: Sequence[int]) -> Select[Any]:
    """The number of the last attempt at each of these positions. By the primary key."""
    columns = attempts.c
    mine = select(columns.position, func.max(columns.number).label("number"))
    mine = mine.where(columns.account_id == account_id, columns.endpoint_id == endpoint_id)
    return mine.where(columns.position.in_(positions)).group_by(columns.position)


def warned_endpoints(account_id: AccountId) -> Select[Any]:
    """The endpoints that were warned. Walks the primary key."""
    columns = expiry_notices.c
    return select(columns.endpoint_id).distinct().where(columns.account_id == account_id, columns.days_left > 0)
