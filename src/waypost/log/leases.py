"""Who delivers to which endpoint, and what owners store.

A worker is alive while its own lease is: one row, renewed as a whole, judged by the database's clock. An endpoint whose
owner is not alive may be taken, and taking it raises its epoch. Every write of an owner names the epoch it took the
endpoint with and is refused whole when that is no longer the endpoint's, so an owner that was paused for a minute and
wakes up changes nothing. A SQLite file has one service, which takes every endpoint when it starts.

Leases are the one thing that is looked up across accounts.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Delete,
    Insert,
    Integer,
    Select,
    Update,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    tuple_,
    update,
)

from waypost.events.kinds import ENDPOINT_FAILING, ENDPOINT_RESUMED, ENDPOINT_SUSPENDED
from waypost.ids import AccountId, EndpointId
from waypost.log import hours
from waypost.log.appending import append_event
from waypost.log.database import database_clock, execute_many, insert_into
from waypost.log.endpoints import REPLAY_PREFIX, no_endpoint, read_endpoints
from waypost.log.erasure import blank_late_answers
from waypost.log.events import log_ends
from waypost.log.owed import LAST_WORDS
from waypost.log.records import Announcement, AttemptRow, EndpointWrite, Lease, LoadedEndpoint, PendingRow, Standing
from waypost.log.tables import attempts, endpoints, events, folded, pending, replays, workers
from waypost.log.transaction import Tx, Unit
from waypost.log.vault import Vault

NAMES_A_STATEMENT = 1_000  # two values each; PostgreSQL takes 65,535, SQLite 32,766
TAKING_LOCK = 0x7761_7970  # "wayp": a number of our own among the advisory locks of the database
STATE_CHANGES = frozenset({ENDPOINT_FAILING, ENDPOINT_RESUMED, ENDPOINT_SUSPENDED})
NO_ACCOUNT = AccountId("")  # leases belong to workers, not to accounts

Name = tuple[AccountId, EndpointId]


# -- leases ------------------------------------------------------------------------------------------------------------


def take_leases(
    owner: str, ttl_s: float, limit: int, held: frozenset[Name] | None = None, *, alone: bool
) -> Unit[list[Lease]]:
    """Take up to `limit` endpoints that no living worker owns, and renew the worker's own lease for `ttl_s`.

    `alone`: every other owner is dead, since the database is ours; a SQLite file has one service. Endpoints that
    `owner` has are taken again when they are not `held`: a commit whose answer was lost took them, or the worker let go
    of them (None: they all are).
    """

    def work(tx: Tx) -> list[Lease]:
        _one_taker_at_a_time(tx)
        _renew(tx, owner, ttl_s)
        living = [owner] if alone else tx.connection.execute(living_workers(tx.dialect), _now(tx)).scalars().all()
        free = tx.connection.execute(free_endpoints(), {"living": living, "taken_max": limit}).all()
        free = [*free, *_left_alone(tx, owner, held)]
        taken = [Lease(AccountId(row.account_id), EndpointId(row.endpoint_id), row.epoch + 1) for row in free]
        if taken:
            rows = [{"of_account": one.account_id, "of_endpoint": one.endpoint_id} for one in taken]
            raised = {"owner": owner, "epoch": endpoints.c.epoch + 1}
            tx.connection.execute(update(endpoints).where(_bound_endpoint()).values(**raised), rows)
        return taken

    return Unit(NO_ACCOUNT, work)


def _one_taker_at_a_time(tx: Tx) -> None:
    """Wait for another worker that is taking endpoints on PostgreSQL, so that who is alive is read after its commit.

    A worker that joins takes endpoints in the transaction that makes it alive: another that read who lives before that
    commit would hold it for dead, and take its endpoints away. SQLite has one writer as it is.
    """
    if tx.connection.dialect.name == "postgresql":
        tx.connection.execute(select(func.pg_advisory_xact_lock(TAKING_LOCK)))


def _left_alone(tx: Tx, owner: str, held: frozenset[Name] | None) -> Sequence[Any]:
    """The endpoints of `owner` that are not `held`. They are read only when their number differs."""
    if held is None:
        return []
    mine = {"worker": owner}
    if tx.connection.execute(count_of_owner(), mine).scalar_one() == len(held):
        return []
    owned = tx.connection.execute(endpoints_of_owner(), mine)
    return [row for row in owned if (row.account_id, row.endpoint_id) not in held]


def renew_lease(owner: str, ttl_s: float, *, alone: bool = False) -> Unit[bool]:
    """Keep the worker alive for `ttl_s` more. False when its lease had lapsed: it may own nothing any more.

    `alone`: nobody else can have taken anything, so the lease lapses by no clock that was set forward.
    """

    def work(tx: Tx) -> bool:
        alive = tx.connection.execute(living_worker(tx.dialect), _now(tx) | {"worker": owner}).first()
        if alone or alive is not None:
            _renew(tx, owner, ttl_s)
        return alone or alive is not None

    return Unit(NO_ACCOUNT, work)


def release_leases(owner: str) -> Unit[None]:
    """Let go of everything at once, so that others need not wait for the lease to lapse."""

    def work(tx: Tx) -> None:
        tx.connection.execute(update(endpoints).where(endpoints.c.owner == owner).values(owner=None))
        tx.connection.execute(delete(workers).where(workers.c.owner == owner))

    return Unit(NO_ACCOUNT, work)


def _renew(tx: Tx, owner: str, ttl_s: float) -> None:
    span_us = round(ttl_s * 1_000_000)
    tx.connection.execute(lease_renewed(tx.dialect), _now(tx) | {"worker": owner, "span_us": span_us})


def _now(tx: Tx) -> dict[str, object]:
    """The value of `database_clock`, where the database has none of its own."""
    return {"database_now": tx.now_us} if tx.dialect == "sqlite" else {}


# Every worker asks these every second or two: made once, since making a statement costs more than SQLite's answer.


@cache
def living_workers(dialect: str) -> Select[Any]:
    """The workers whose lease stands by the database's clock."""
    return select(workers.c.owner).where(workers.c.lease_until > database_clock(dialect))


@cache
def living_worker(dialect: str) -> Select[Any]:
    """`:worker`, if its lease stands. By the primary key."""
    return living_workers(dialect).where(workers.c.owner == bindparam("worker"))


@cache
def lease_renewed(dialect: str) -> Insert:
    """The lease of `:worker` stands for `:span_us` from now. By the primary key."""
    until = database_clock(dialect) + bindparam("span_us", type_=BigInteger)
    statement = insert_into(dialect, workers).values(owner=bindparam("worker"), lease_until=until)
    return statement.on_conflict_do_update(
        index_elements=["owner"], set_={"lease_until": statement.excluded.lease_until}
    )


@cache
def free_endpoints() -> Select[Any]:
    """`:taken_max` endpoints that none of the `:living` owns, locked; those another is taking are passed over."""
    free = select(endpoints.c.account_id, endpoints.c.endpoint_id, endpoints.c.epoch)
    owned = endpoints.c.owner.not_in(bindparam("living", expanding=True))
    free = free.where(or_(endpoints.c.owner.is_(None), owned))
    free = free.order_by(endpoints.c.account_id, endpoints.c.endpoint_id).limit(bindparam("taken_max", type_=Integer))
    return free.with_for_update(skip_locked=True)


@cache
def count_of_owner() -> Select[Any]:
    """How many endpoints `:worker` owns. By endpoints_by_owner."""
    return select(func.count()).select_from(endpoints).where(endpoints.c.owner == bindparam("worker"))


@cache
def endpoints_of_owner() -> Select[Any]:
    """The endpoints that `:worker` owns. By endpoints_by_owner."""
    mine = select(endpoints.c.account_id, endpoints.c.endpoint_id, endpoints.c.epoch)
    return mine.where(endpoints.c.owner == bindparam("worker"))


# -- loading -----------------------------------------------------------------------------------------------------------


def load_endpoint(
    connection: Connection, vault: Vault, account_id: AccountId, endpoint_id: EndpointId
) -> LoadedEndpoint:
    """Give all that an owner needs to go on with an endpoint, as one moment saw it. NotFound when it was deleted."""
    loaded = load_endpoints(connection, vault, [(account_id, endpoint_id)])
    if not loaded:
        raise no_endpoint(endpoint_id)
    return loaded[account_id, endpoint_id]


def load_endpoints(connection: Connection, vault: Vault, names: Sequence[Name]) -> dict[Name, LoadedEndpoint]:
    """Give the same of many endpoints, in as many statements as for one; those that were deleted are left out."""
    loaded: dict[Name, LoadedEndpoint] = {}
    for start in range(0, len(names), NAMES_A_STATEMENT):
        loaded |= _load_some(connection, vault, names[start : start + NAMES_A_STATEMENT])
    return loaded


def _load_some(connection: Connection, vault: Vault, names: Sequence[Name]) -> dict[Name, LoadedEndpoint]:
    of_names = {"names": list(names)}
    found = read_endpoints(connection, vault, names)
    ends = log_ends(connection, {endpoint.account_id for endpoint in found})
    waiting: dict[Name, list[PendingRow]] = {}
    for account_id, endpoint_id, *row in connection.execute(pending_of_many(), of_names):
        waiting.setdefault((account_id, endpoint_id), []).append(PendingRow(*row))
    tried: dict[Name, dict[int, int]] = {}
    for account_id, endpoint_id, position, number in connection.execute(attempts_past_cursors(), of_names):
        tried.setdefault((account_id, endpoint_id), {})[position] = number
    settled: dict[Name, set[int]] = {}
    for account_id, endpoint_id, position in connection.execute(settled_past_cursors(), of_names):
        settled.setdefault((account_id, endpoint_id), set()).add(position)
    folded: dict[Name, dict[int, tuple[int, ...]]] = {}
    for account_id, endpoint_id, into, position in connection.execute(folded_of_many(), of_names):
        holders = folded.setdefault((account_id, endpoint_id), {})
        holders[into] = (*holders.get(into, ()), position)
    loaded: dict[Name, LoadedEndpoint] = {}
    for endpoint in found:
        name = (endpoint.account_id, endpoint.endpoint_id)
        rows, holders = waiting.get(name, ()), folded.get(name, {})
        past_cursor = {position for held in holders.values() for position in held if position > endpoint.cursor}
        loaded[name] = LoadedEndpoint(
            endpoint=endpoint,
            log_position=ends[endpoint.account_id],
            pending=tuple(rows),
            settled_past_cursor=frozenset(settled.get(name, ())) - {row.position for row in rows} | past_cursor,
            attempts_past_cursor=tried.get(name, {}),
            folded=holders,
        )
    return loaded


def pending_of(account_id: AccountId, endpoint_id: EndpointId) -> Select[Any]:
    """The pending rows of an endpoint, in log order. Walks the primary key."""
    columns = pending.c
    mine = select(*pending_columns()).where(columns.account_id == account_id, columns.endpoint_id == endpoint_id)
    return mine.order_by(columns.position)


def pending_columns() -> list[Column[Any]]:
    """The fields of PendingRow, in order."""
    columns = pending.c
    return [
        columns.position, columns.key, columns.event_id, columns.state, columns.due_at, columns.failures,
        columns.attempts, columns.first_attempt_at, columns.last_attempt_at, columns.type, columns.batch_id,
        columns.replay_id,
    ]  # fmt: skip


@cache
def pending_of_many() -> Select[Any]:
    """The pending rows of the endpoints `:names`, those of each in log order. Walks the primary key."""
    columns = pending.c
    mine = select(columns.account_id, columns.endpoint_id, *pending_columns())
    mine = mine.where(tuple_(columns.account_id, columns.endpoint_id).in_(bindparam("names", expanding=True)))
    return mine.order_by(columns.account_id, columns.endpoint_id, columns.position)


@cache
def attempts_past_cursors() -> Select[Any]:
    """The number of the last attempt at each position past the cursors of `:names`. Walks the primary key."""
    columns = attempts.c
    mine = select(columns.account_id, columns.endpoint_id, columns.position, func.max(columns.number))
    return _past_cursors(mine).group_by(columns.account_id, columns.endpoint_id, columns.position)


@cache
def settled_past_cursors() -> Select[Any]:
    """The positions past the cursors of `:names` with a last word. Walks attempts_by_verdict."""
    columns = attempts.c
    mine = select(columns.account_id, columns.endpoint_id, columns.position).distinct()
    return _past_cursors(mine).where(columns.verdict.in_(LAST_WORDS))


@cache
def folded_of_many() -> Select[Any]:
    """What goes out with the events that are past the cursors of `:names`, or pending there. By folded_by_holder."""
    columns, rows = folded.c, pending.c
    mine = and_(columns.account_id == endpoints.c.account_id, columns.endpoint_id == endpoints.c.endpoint_id)
    is_pending = exists().where(
        rows.account_id == columns.account_id,
        rows.endpoint_id == columns.endpoint_id,
        rows.position == columns.into_position,
    )
    wanted = select(columns.account_id, columns.endpoint_id, columns.into_position, columns.position)
    wanted = wanted.select_from(endpoints.join(folded, mine))
    wanted = wanted.where(or_(columns.into_position > endpoints.c.cursor, is_pending))
    names = tuple_(endpoints.c.account_id, endpoints.c.endpoint_id)
    wanted = wanted.where(names.in_(bindparam("names", expanding=True)))
    return wanted.order_by(columns.account_id, columns.endpoint_id, columns.into_position, columns.position)


def _past_cursors(attempted: Select[Any]) -> Select[Any]:
    """Of the attempts, those of the endpoints `:names` past the cursor of each."""
    mine = and_(attempts.c.account_id == endpoints.c.account_id, attempts.c.endpoint_id == endpoints.c.endpoint_id)
    joined = attempted.select_from(endpoints.join(attempts, and_(mine, attempts.c.position > endpoints.c.cursor)))
    names = tuple_(endpoints.c.account_id, endpoints.c.endpoint_id)
    return joined.where(names.in_(bindparam("names", expanding=True)))


# -- storing -----------------------------------------------------------------------------------------------------------


def persist(writes: Sequence[EndpointWrite]) -> Unit[set[Name]]:
    """Store what owners have to store, each endpoint whole or not at all; give those whose epoch was stale.

    An endpoint that was deleted meanwhile counts as stale.
    """

    def work(tx: Tx) -> set[Name]:
        names = {(write.account_id, write.endpoint_id) for write in writes}
        stored = _lock_endpoints(tx, names)
        good = [
            write for write in writes if stored.get((write.account_id, write.endpoint_id), (None,))[0] == write.epoch
        ]
        versions = {name: row[1] for name, row in stored.items()}
        counted = _store_rows(tx, good, stored)
        _store_endpoints(tx, good, versions, counted)
        for write in good:
            outdated = write.standing is not None and not _is_current(write, write.standing, versions)
            for announcement in write.announcements:
                if not (outdated and announcement.type in STATE_CHANGES):  # it has been told since that it goes on
                    _announce(tx, write.account_id, write.endpoint_id, announcement)
        return names - {(write.account_id, write.endpoint_id) for write in good}

    return Unit(NO_ACCOUNT, work, others=tuple(write.account_id for write in writes if write.announcements))


def _lock_endpoints(tx: Tx, names: set[Name]) -> dict[Name, tuple[int, int, int | None, str | None]]:
    """Lock these endpoints in one order for every process.

    Gives their epochs, how often they were resumed, and what their running hours hold.
    """
    in_order, found = sorted(names), dict[Name, tuple[int, int, int | None, str | None]]()
    for start in range(0, len(in_order), NAMES_A_STATEMENT):
        some = {"names": in_order[start : start + NAMES_A_STATEMENT]}
        found |= {(row[0], row[1]): tuple(row[2:]) for row in tx.connection.execute(locked_epochs(), some)}
    return found


def _store_endpoints(
    tx: Tx, writes: Sequence[EndpointWrite], versions: dict[Name, int], counted: Mapping[Name, Mapping[str, object]]
) -> None:
    """Set cursors, standings and counts: one statement for each set of columns."""
    rows_by_columns: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for write in writes:
        row = _of(write)
        if write.cursor is not None:
            row["cursor"] = write.cursor
        if write.standing is not None and _is_current(write, write.standing, versions):
            row |= _standing_columns(write.standing)
        row |= counted.get((write.account_id, write.endpoint_id), {})
        if len(row) > len(_of(write)):
            rows_by_columns.setdefault(tuple(row), []).append(row)
    for rows in rows_by_columns.values():
        execute_many(tx.connection, update_endpoint(), rows)


def _is_current(write: EndpointWrite, standing: Standing, versions: dict[Name, int]) -> bool:
    """Whether nobody resumed the endpoint since its owner loaded it."""
    return standing.version == versions[write.account_id, write.endpoint_id]


def _standing_columns(standing: Standing) -> dict[str, object]:
    return {
        "health": standing.health,
        "health_reason": standing.reason,
        "health_since": standing.since,
        "failures_in_a_row": standing.failures_in_a_row,
        "failing_since": standing.failing_since,
        "last_success_at": standing.last_success_at,
        "held_until": standing.held_until,
    }


def _store_rows(
    tx: Tx, writes: Sequence[EndpointWrite], running: Mapping[Name, tuple[Any, ...]]
) -> dict[Name, dict[str, object]]:
    """Write attempts and pending rows, and give the columns that count the attempts.

    All of it may come a second time, after an answer that was lost: then everything is there already, or nothing is.
    """
    called_back = _called_back(tx, writes)
    tried = [_attempt_row(write, attempt) for write in writes for attempt in write.attempts]
    for row in tried:
        if row["verdict"] == "retrying" and _place(row) in called_back:
            row["verdict"] = "failed"
    is_new = execute_many(tx.connection, insert_attempts(tx.dialect), tried) == len(tried)
    if tried:
        stored = ((row["account_id"], row["endpoint_id"], row["position"]) for row in tried)
        blank_late_answers(tx, stored, min(row["started_at"] for row in tried))
    gone = [_of(write) | {"of_position": position} for write in writes for position in write.pending_gone]
    execute_many(tx.connection, delete_pending(), gone)
    put = [pending_row(write.account_id, write.endpoint_id, row) for write in writes for row in write.pending_put]
    put = [row for row in put if _place(row) not in called_back]
    execute_many(tx.connection, put_pending(tx.dialect), put)
    asked_anew = [
        {"of_account": row["account_id"], "of_endpoint": row["endpoint_id"], "of_position": row["position"],
         "number": row["number"]}
        for row in tried
        if _place(row) in called_back
    ]  # fmt: skip
    execute_many(tx.connection, count_on(), asked_anew)
    together = [_folded_row(write, position, into) for write in writes for position, into in write.folded]
    execute_many(tx.connection, put_folded(tx.dialect), together)
    return hours.count_on(tx, tried, running) if is_new else {}


def _called_back(tx: Tx, writes: Sequence[EndpointWrite]) -> set[tuple[AccountId, EndpointId, int]]:
    """The deliveries to be tried again whose replay ended while an attempt was out: nobody asks for them any more.

    Their owner is told, so that it lets go of them.
    """
    asked = [
        (write.account_id, row.replay_id, (write.account_id, write.endpoint_id, row.position))
        for write in writes
        for row in write.pending_put
        if row.replay_id is not None
    ]
    if not asked:
        return set()
    names = {"names": sorted({(account_id, replay_id) for account_id, replay_id, _ in asked})}
    running = {(row.account_id, row.replay_id) for row in tx.connection.execute(running_of(), names)}
    called_back = {place for account_id, replay_id, place in asked if (account_id, replay_id) not in running}
    tx.changed_endpoints.update((account_id, endpoint_id) for account_id, endpoint_id, _ in called_back)
    return called_back


def _place(row: Mapping[str, Any]) -> tuple[AccountId, EndpointId, int]:
    return AccountId(row["account_id"]), EndpointId(row["endpoint_id"]), row["position"]


def _folded_row(write: EndpointWrite, position: int, into: int) -> dict[str, Any]:
    return {
        "account_id": write.account_id,
        "endpoint_id": write.endpoint_id,
        "position": position,
        "into_position": into,
    }


def _of(write: EndpointWrite) -> dict[str, Any]:
    return {"of_account": write.account_id, "of_endpoint": write.endpoint_id}


def _attempt_row(write: EndpointWrite, attempt: AttemptRow) -> dict[str, Any]:
    return {
        "account_id": write.account_id,
        "endpoint_id": write.endpoint_id,
        "position": attempt.position,
        "number": attempt.number,
        "event_id": attempt.event_id,
        "started_at": attempt.started_at,
        "verdict": attempt.verdict,
        "outcome": attempt.outcome,
        "status": attempt.status,
        "duration_us": attempt.duration_us,
        "detail": attempt.detail,
    }


def pending_row(account_id: AccountId, endpoint_id: EndpointId, row: PendingRow) -> dict[str, Any]:
    """Give a pending row as it is stored."""
    return {
        "account_id": account_id,
        "endpoint_id": endpoint_id,
        "position": row.position,
        "key": row.key,
        "event_id": row.event_id,
        "state": row.state,
        "due_at": row.due_at,
        "failures": row.failures,
        "attempts": row.attempts,
        "first_attempt_at": row.first_attempt_at,
        "last_attempt_at": row.last_attempt_at,
        "type": row.type,
        "batch_id": row.batch_id,
        "replay_id": row.replay_id,
    }


def _announce(tx: Tx, account_id: AccountId, endpoint_id: EndpointId, announcement: Announcement) -> None:
    """Put an event about an endpoint at the end of the log, unless it is there already."""
    if endpoint_id.startswith(REPLAY_PREFIX):
        return  # how a replay to another URL fares is told by its job, and is nobody's event
    columns = events.c
    same = select(columns.position).where(columns.account_id == account_id, columns.event_id == announcement.event_id)
    if tx.connection.execute(same).first() is not None:
        return
    append_event(
        tx,
        account_id,
        announcement.type,
        bytes(announcement.data),
        key=endpoint_id,
        event_id=announcement.event_id,
        occurred_at=announcement.occurred_at,
    )


# -- statements --------------------------------------------------------------------------------------------------------


def _bound_endpoint() -> Any:
    mine = endpoints.c.account_id == bindparam("of_account"), endpoints.c.endpoint_id == bindparam("of_endpoint")
    return and_(*mine)


@cache
def locked_epochs() -> Select[Any]:
    """What persisting needs of the endpoints `:names`, locked in one order. By the primary key."""
    columns = endpoints.c
    mine = select(columns.account_id, columns.endpoint_id)
    mine = mine.add_columns(columns.epoch, columns.health_version, columns.hour, columns.hour_counts)
    mine = mine.where(tuple_(columns.account_id, columns.endpoint_id).in_(bindparam("names", expanding=True)))
    return mine.order_by(columns.account_id, columns.endpoint_id).with_for_update()


@cache
def update_endpoint() -> Update:
    """Set columns of the endpoint `:of_endpoint` of `:of_account`. By the primary key."""
    return update(endpoints).where(_bound_endpoint())


@cache
def insert_attempts(dialect: str) -> Insert:
    """Attempts, a row each; one that is there already stays as it is."""
    return insert_into(dialect, attempts).on_conflict_do_nothing()


@cache
def delete_pending() -> Delete:
    """Drop the pending row at `:of_position`. By the primary key."""
    columns = pending.c
    mine = columns.account_id == bindparam("of_account"), columns.endpoint_id == bindparam("of_endpoint")
    return delete(pending).where(*mine, columns.position == bindparam("of_position"))


@cache
def put_pending(dialect: str) -> Insert:
    """Pending rows, each in the place of the one at its position."""
    statement = insert_into(dialect, pending)
    names = ("state", "due_at", "failures", "attempts", "first_attempt_at", "last_attempt_at", "batch_id")
    fresh = {name: statement.excluded[name] for name in names}
    return statement.on_conflict_do_update(index_elements=["account_id", "endpoint_id", "position"], set_=fresh)


@cache
def count_on() -> Update:
    """Let what somebody else asks for at `:of_position` go on counting behind attempt `:number`. By the primary key."""
    columns = pending.c
    mine = columns.account_id == bindparam("of_account"), columns.endpoint_id == bindparam("of_endpoint")
    here = update(pending).where(*mine, columns.position == bindparam("of_position"))
    return here.where(columns.attempts < bindparam("number")).values(attempts=bindparam("number"))


@cache
def running_of() -> Select[Any]:
    """Which of the replays `:names` run. By the primary key. Who cancels one holds its endpoint, as its owner does."""
    columns = replays.c
    names = tuple_(columns.account_id, columns.replay_id).in_(bindparam("names", expanding=True))
    return select(columns.account_id, columns.replay_id).where(names, columns.state == "running")


@cache
def put_folded(dialect: str) -> Insert:
    """Where events were folded to; one that was folded before goes on with the event it was folded into."""
    statement = insert_into(dialect, folded)
    newest = {"into_position": statement.excluded.into_position}
    return statement.on_conflict_do_update(index_elements=["account_id", "endpoint_id", "position"], set_=newest)
