"""How deliveries stand, worked out from attempts, pending rows and the cursor: nothing is stored for it.

Pages go down the log, newest first. A page looks at candidates, which an index gives, and keeps those that match; it
looks at so many and no more, so a page may come short, even empty, and still have a next one.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, case, func, select

from waypost.clock import from_micros, to_micros
from waypost.errors import NotFound
from waypost.events.patterns import matches
from waypost.ids import AccountId, EndpointId, EventId
from waypost.log.cursors import read_position_cursor, write_cursor
from waypost.log.events import first_position_since, log_end, read_events_at, shipment_id_of
from waypost.log.leases import pending_columns
from waypost.log.owed import Judge, types_of_account
from waypost.log.records import (
    Attempt,
    Delivery,
    DeliveryFilter,
    EndpointRecord,
    EventBytes,
    Page,
    PendingRow,
    Stats,
)
from waypost.log.tables import attempts, events, folded, pending, shipments

CANDIDATES = 200  # looked at in one step
CANDIDATES_MAX = 10_000  # looked at for one page
ATTEMPTS_SHOWN_MAX = 200  # of one delivery; an endpoint that was down for days has had a thousand probes
DURATIONS_MAX = 10_000  # quantiles of so many tell as much as of all

SETTLED = {"delivered": "delivered", "failed": "failed"}  # a delivery's state, and the verdict it is found by


def list_deliveries(
    connection: Connection, endpoint: EndpointRecord, wanted: DeliveryFilter, limit: int, cursor: str | None
) -> Page[Delivery]:
    """Give a page of an endpoint's deliveries by position in the log, newest first."""
    if "\0" in f"{wanted.type}{wanted.shipment}":
        return Page([], None)  # no name holds a NUL
    found: list[Delivery] = []
    looked_at = 0
    for candidates in _Walk(connection, endpoint, wanted).steps(read_position_cursor(cursor)):
        for delivery in _deliveries(connection, endpoint, candidates):
            if _is_wanted(wanted, delivery):
                found.append(delivery)
            if len(found) == limit:
                return Page(found, write_cursor(delivery.position))
        looked_at += len(candidates)
        if looked_at >= CANDIDATES_MAX:
            return Page(found, write_cursor(candidates[-1]))
    return Page(found, None)


def _is_wanted(wanted: DeliveryFilter, delivery: Delivery) -> bool:
    if wanted.state not in (None, delivery.state):
        return False
    return wanted.type is None or matches((wanted.type,), delivery.type)


def read_delivery(
    connection: Connection, endpoint: EndpointRecord, event_id: str
) -> tuple[Delivery, list[Attempt], EventBytes]:
    """Give how an event stands at an endpoint, its last attempts, the first first, and what its body is made of.

    An event that the endpoint did not ask for is `skipped`. NotFound when there is no such event. What was folded into
    it is left out where retention took it.
    """
    columns = events.c
    place = select(columns.position).where(columns.account_id == endpoint.account_id, columns.event_id == event_id)
    position = None if "\0" in event_id else connection.execute(place).scalar()
    if position is None:
        raise NotFound(f'There is no event "{event_id}".')
    key = (endpoint.account_id, endpoint.endpoint_id)
    held = connection.execute(positions_held_by(*key, position)).scalars().all()
    *older, event = read_events_at(connection, endpoint.account_id, [*held, position])
    made = connection.execute(attempts_at(*key, position)).all()
    sent_of = EventBytes(event.body, tuple(row.body for row in older))
    return delivery_at(connection, endpoint, position), [_attempt(row) for row in reversed(made)], sent_of


def delivery_at(connection: Connection, endpoint: EndpointRecord, position: int) -> Delivery:
    """Give how the event at a position of the log stands at an endpoint; `skipped` if it did not ask for it."""
    (delivery,) = _deliveries(connection, endpoint, [position], skipped=True)
    return delivery


def deliveries_at(connection: Connection, endpoint: EndpointRecord, positions: Sequence[int]) -> list[Delivery]:
    """Give how the events at these positions stand at an endpoint, in the same order; `skipped` if not asked for.

    What has left by age is left out.
    """
    return _deliveries(connection, endpoint, positions, skipped=True)


def read_stats(connection: Connection, account_id: AccountId, endpoint_id: EndpointId, since: int) -> Stats:
    """Count an endpoint's attempts since `since` (Unix microseconds) and give the quantiles of its answers' times."""
    by_verdict: dict[str, int] = {}
    by_outcome: dict[str, int] = {}
    for verdict, outcome, count in connection.execute(attempt_counts(account_id, endpoint_id, since)):
        by_verdict[verdict] = by_verdict.get(verdict, 0) + count
        by_outcome[outcome] = by_outcome.get(outcome, 0) + count
    durations = sorted(connection.execute(latest_durations(account_id, endpoint_id, since)).scalars())
    return Stats(
        delivered=by_verdict.get("delivered", 0),
        retrying=by_verdict.get("retrying", 0),
        failed=by_verdict.get("failed", 0),
        by_outcome=by_outcome,
        p50_us=_quantile(durations, 50),
        p99_us=_quantile(durations, 99),
    )


def _quantile(ordered: Sequence[int], percent: int) -> int | None:
    """The nearest-rank quantile; None of nothing."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else None


def _attempt(row: Row[Any]) -> Attempt:
    return Attempt(
        number=row.number,
        verdict=row.verdict,
        outcome=row.outcome,
        status=row.status,
        started_at=from_micros(row.started_at),
        duration_us=row.duration_us,
        detail=bytes(row.detail),
    )


# -- candidates --------------------------------------------------------------------------------------------------------


class _Walk:
    """Gives positions down the log at which a delivery that matches may be, by the index that serves the filter."""

    def __init__(self, connection: Connection, endpoint: EndpointRecord, wanted: DeliveryFilter) -> None:
        self.connection = connection
        self.key = (endpoint.account_id, endpoint.endpoint_id)
        self.cursor = endpoint.cursor
        self.wanted = wanted
        self.end = log_end(connection, endpoint.account_id)
        self.floor = 0
        if wanted.since is not None:
            since = to_micros(wanted.since)
            self.floor = first_position_since(connection, endpoint.account_id, since, self.end) - 1

    def steps(self, before: int | None) -> Iterator[list[int]]:
        """Positions below `before` (None: from the end of the log), the highest first, some at a time."""
        account_id, _ = self.key
        place = self.end + 1 if before is None else before
        if self.wanted.shipment is not None:
            shipment_id = shipment_id_of(self.connection, account_id, self.wanted.shipment)
            if shipment_id is not None:
                yield from self._down(place, lambda at: [positions_of_key(account_id, shipment_id, self.floor, at)])
        elif self.wanted.type not in (None, "*"):
            types = [
                name for name in types_of_account(self.connection, account_id) if matches((self.wanted.type,), name)
            ]
            yield from self._down(
                place, lambda at: [positions_of_type(account_id, name, self.floor, at) for name in types]
            )
        elif self.wanted.state in SETTLED:
            verdict = SETTLED[self.wanted.state]
            yield from self._down(place, lambda at: [positions_of_verdict(*self.key, verdict, self.floor, at)])
        elif self.wanted.state == "skipped":  # of what nobody asked for, nothing is stored
            yield from self._down(place, lambda at: [positions_folded(*self.key, self.floor, at)])
        else:
            # Past the cursor any event may be owed. Up to it only what was tried or is pending can be a delivery.
            past_cursor = max(self.floor, self.cursor)
            yield from self._down(place, lambda at: [positions_of_log(account_id, past_cursor, at)])
            yield from self._down(min(place, self.cursor + 1), self._exceptions)

    def _exceptions(self, place: int) -> list[Select[Any]]:
        statements = [positions_pending(*self.key, self.floor, place)]
        if self.wanted.state is None:
            statements.append(positions_tried(*self.key, self.floor, place))
            statements.append(positions_folded(*self.key, self.floor, place))
        return statements

    def _down(self, place: int, statements: Callable[[int], list[Select[Any]]]) -> Iterator[list[int]]:
        """Merge what the statements give below `place`, until they give nothing more."""
        while True:
            merged: set[int] = set()
            for statement in statements(place):
                merged.update(self.connection.execute(statement.limit(CANDIDATES)).scalars())
            candidates = sorted(merged, reverse=True)[:CANDIDATES]
            if candidates:
                yield candidates
            if len(candidates) < CANDIDATES:
                return
            place = candidates[-1]


# -- states ------------------------------------------------------------------------------------------------------------


def _deliveries(
    connection: Connection, endpoint: EndpointRecord, positions: Sequence[int], *, skipped: bool = False
) -> list[Delivery]:
    """Work out the deliveries at these positions, in the same order; without those it did not ask for, if not told."""
    if not positions:
        return []
    key = (endpoint.account_id, endpoint.endpoint_id)
    found = {row.position: row for row in connection.execute(events_at(endpoint.account_id, positions))}
    tried = {row.position: row for row in connection.execute(last_attempts(*key, positions))}
    held = {row.position: PendingRow(*row) for row in connection.execute(pending_at(*key, positions))}
    holders = {row.position: EventId(row.event_id) for row in connection.execute(holders_of(*key, positions))}
    unknown = [found[p] for p in positions if p in found and p not in tried | held | holders]
    asked = _asked_for(connection, endpoint, unknown)
    references = _references(connection, endpoint.account_id, {row.key for row in found.values()})
    heads = _heads(connection, endpoint, [row for row in held.values() if row.state == "waiting"])
    deliveries = []
    for position in positions:
        event = found.get(position)
        if event is not None and (skipped or position in tried or position in held | holders or position in asked):
            parts = (event, tried.get(position), held.get(position), holders.get(position))
            waits_for = heads.get(position)
            reference = references.get(event.key)
            deliveries.append(_delivery(endpoint, *parts, reference, waits_for, asked=position in asked))
    return deliveries


def _asked_for(connection: Connection, endpoint: EndpointRecord, rows: Iterable[Row[Any]]) -> set[int]:
    """The positions past the cursor that the endpoint is still owed, of those that were not tried yet."""
    judge = Judge(endpoint.versions)
    asked: set[int] = set()
    unclear: list[int] = []
    for row in rows:
        matcher = judge.at(row.position) if row.position > endpoint.cursor else None
        if matcher is None:
            continue
        if matcher.needs_body(row.type):
            unclear.append(row.position)
        elif matcher(row.type, b""):
            asked.add(row.position)
    rows_with_body = read_events_at(connection, endpoint.account_id, unclear)
    return asked | {row.position for row in rows_with_body if judge.wants(row)}


def _delivery(
    endpoint: EndpointRecord,
    event: Row[Any],
    tried: Row[Any] | None,
    held: PendingRow | None,
    holder: EventId | None,
    reference: str | None,
    waits_for: EventId | None,
    *,
    asked: bool,
) -> Delivery:
    state = _state(tried, held, asked=asked)
    due_at = held.due_at if held is not None and held.state != "waiting" else None
    if endpoint.paused_at is not None or endpoint.standing.health != "active":
        due_at = None  # nobody knows when: it waits for the endpoint
    return Delivery(
        event_id=EventId(event.event_id),
        position=event.position,
        type=event.type,
        key=event.key,
        reference=reference,
        state=state,
        state_reason=_reason(endpoint, state, tried, holder, waits_for),
        recorded_at=from_micros(event.recorded_at),
        next_attempt_at=None if due_at is None else from_micros(due_at),
        waits_for=waits_for,
        attempts=0 if tried is None else tried.made,
        last_attempt_at=None if tried is None else from_micros(tried.started_at),
        last_outcome=None if tried is None else tried.outcome,
        last_status=None if tried is None else tried.status,
        last_duration_us=None if tried is None else tried.duration_us,
    )


def _state(tried: Row[Any] | None, held: PendingRow | None, *, asked: bool) -> str:
    """A success stands, whatever came after; then what is pending; then the last word."""
    if tried is not None and tried.delivered:
        return "delivered"
    if held is not None:
        return "waiting" if held.state == "waiting" else "retrying"
    if tried is not None:
        return "failed" if tried.verdict == "failed" else "retrying"
    return "waiting" if asked else "skipped"


def _reason(
    endpoint: EndpointRecord, state: str, tried: Row[Any] | None, holder: EventId | None, waits_for: EventId | None
) -> str | None:
    if state == "failed":
        if tried is not None and tried.outcome == "cancelled":
            return "It waited for as long as owed events are kept, and was given up."
        last = f"answer {tried.status}" if tried is not None and tried.status else tried.outcome if tried else "none"
        return f"Its retry schedule is used up; the last attempt: {last}."
    if state == "skipped" and holder is not None:
        return f"While the endpoint was behind, it was folded into {holder}, which tells what it told."
    if state == "skipped":
        return "The endpoint did not ask for this event."
    if state != "waiting":
        return None
    if endpoint.state != "active":
        return f"The endpoint is {endpoint.state}."
    if waits_for is not None:
        return f"It waits for {waits_for}, which comes before it."
    return "Its turn has not come yet."


def _references(connection: Connection, account_id: AccountId, keys: set[str]) -> dict[str, str]:
    ids = [key for key in keys if key.startswith("shp_")]
    if not ids:
        return {}
    columns = shipments.c
    named = select(columns.shipment_id, columns.reference)
    named = named.where(columns.account_id == account_id, columns.shipment_id.in_(ids))
    return {row.shipment_id: row.reference for row in connection.execute(named)}


def _heads(connection: Connection, endpoint: EndpointRecord, rows: Sequence[PendingRow]) -> dict[int, EventId]:
    """For each waiting row, the event at the head of its lane."""
    if not rows:
        return {}
    keys = {row.key for row in rows}
    statement = pending_heads(endpoint.account_id, endpoint.endpoint_id, keys)
    heads = {row.key: row for row in connection.execute(statement)}
    return {
        row.position: EventId(heads[row.key].event_id)
        for row in rows
        if row.key in heads and heads[row.key].position < row.position and not _together(row, heads[row.key])
    }


def _together(row: PendingRow, head: Row[Any]) -> bool:
    """Whether both go out in one request: then neither waits for the other."""
    return row.batch_id is not None and row.batch_id == head.batch_id


# -- statements --------------------------------------------------------------------------------------------------------


def positions_of_log(account_id: AccountId, floor: int, before: int) -> Select[Any]:
    """Positions between `floor` and `before`, highest first. Walks the primary key backwards."""
    columns = events.c
    mine = select(columns.position).where(columns.account_id == account_id)
    return mine.where(columns.position > floor, columns.position < before).order_by(columns.position.desc())


def positions_of_type(account_id: AccountId, type_name: str, floor: int, before: int) -> Select[Any]:
    """The same of one type. Walks events_by_type backwards."""
    return positions_of_log(account_id, floor, before).where(events.c.type == type_name)


def positions_of_key(account_id: AccountId, key: str, floor: int, before: int) -> Select[Any]:
    """The same of one shipment. Walks events_sequence_once backwards: sequences and positions grow together."""
    columns = events.c
    position = columns.position + 0  # or SQLite walks the whole log by position, looking for one key
    mine = select(columns.position).where(columns.account_id == account_id, columns.key == key)
    return mine.where(position > floor, position < before).order_by(columns.sequence.desc())


def positions_tried(account_id: AccountId, endpoint_id: EndpointId, floor: int, before: int) -> Select[Any]:
    """Positions with an attempt, highest first. Walks the attempts' primary key backwards."""
    columns = attempts.c
    mine = select(columns.position).distinct().where(columns.account_id == account_id)
    mine = mine.where(columns.endpoint_id == endpoint_id, columns.position > floor, columns.position < before)
    return mine.order_by(columns.position.desc())


def positions_of_verdict(
    account_id: AccountId, endpoint_id: EndpointId, verdict: str, floor: int, before: int
) -> Select[Any]:
    """Positions with an attempt of this verdict, highest first. Walks attempts_by_verdict backwards."""
    return positions_tried(account_id, endpoint_id, floor, before).where(attempts.c.verdict == verdict)


def positions_pending(account_id: AccountId, endpoint_id: EndpointId, floor: int, before: int) -> Select[Any]:
    """Positions with a pending row, highest first. Walks its primary key backwards."""
    columns = pending.c
    mine = select(columns.position).where(columns.account_id == account_id, columns.endpoint_id == endpoint_id)
    return mine.where(columns.position > floor, columns.position < before).order_by(columns.position.desc())


def positions_folded(account_id: AccountId, endpoint_id: EndpointId, floor: int, before: int) -> Select[Any]:
    """Positions that were folded into newer events, highest first. Walks its primary key backwards."""
    columns = folded.c
    mine = select(columns.position).where(columns.account_id == account_id, columns.endpoint_id == endpoint_id)
    return mine.where(columns.position > floor, columns.position < before).order_by(columns.position.desc())


def positions_held_by(account_id: AccountId, endpoint_id: EndpointId, into: int) -> Select[Any]:
    """The positions that were folded into the event at `into`. Walks folded_by_holder."""
    columns = folded.c
    mine = select(columns.position).where(columns.account_id == account_id, columns.endpoint_id == endpoint_id)
    return mine.where(columns.into_position == into)


def holders_of(account_id: AccountId, endpoint_id: EndpointId, positions: Sequence[int]) -> Select[Any]:
    """The events that those at these positions were folded into. By the primary keys."""
    holder = and_(events.c.account_id == folded.c.account_id, events.c.position == folded.c.into_position)
    columns = folded.c
    mine = select(columns.position, events.c.event_id).select_from(folded.join(events, holder))
    mine = mine.where(columns.account_id == account_id, columns.endpoint_id == endpoint_id)
    return mine.where(columns.position.in_(positions))


def events_at(account_id: AccountId, positions: Sequence[int]) -> Select[Any]:
    """What a delivery shows of its event, at these positions. By the primary key."""
    columns = events.c
    mine = select(columns.position, columns.event_id, columns.type, columns.key, columns.recorded_at)
    return mine.where(columns.account_id == account_id, columns.position.in_(positions))


def last_attempts(account_id: AccountId, endpoint_id: EndpointId, positions: Sequence[int]) -> Select[Any]:
    """At each of these positions the last attempt, how many there were and whether one got through. By primary key."""
    columns = attempts.c
    mine = and_(columns.account_id == account_id, columns.endpoint_id == endpoint_id, columns.position.in_(positions))
    got_through = func.max(case((columns.verdict == "delivered", 1), else_=0))
    summed = select(
        columns.position,
        func.max(columns.number).label("last"),
        func.count().label("made"),
        got_through.label("delivered"),
    )
    summary = summed.where(mine).group_by(columns.position).subquery()
    last = select(
        columns.position, columns.verdict, columns.outcome, columns.status, columns.started_at, columns.duration_us,
        summary.c.made, summary.c.delivered,
    )  # fmt: skip
    same = and_(columns.position == summary.c.position, columns.number == summary.c.last)
    return last.join(summary, same).where(columns.account_id == account_id, columns.endpoint_id == endpoint_id)


def pending_at(account_id: AccountId, endpoint_id: EndpointId, positions: Sequence[int]) -> Select[Any]:
    """The pending rows at these positions. By the primary key."""
    columns = pending.c
    mine = select(*pending_columns()).where(columns.account_id == account_id, columns.endpoint_id == endpoint_id)
    return mine.where(columns.position.in_(positions))


def pending_heads(account_id: AccountId, endpoint_id: EndpointId, keys: Iterable[str]) -> Select[Any]:
    """The first pending row of each of these keys. Walks pending_by_key."""
    columns = pending.c
    mine = and_(columns.account_id == account_id, columns.endpoint_id == endpoint_id, columns.key.in_(list(keys)))
    first = select(func.min(columns.position)).where(mine, columns.state != "resend").group_by(columns.key)
    heads = select(columns.key, columns.position, columns.event_id, columns.batch_id)
    heads = heads.where(columns.account_id == account_id, columns.endpoint_id == endpoint_id)
    return heads.where(columns.position.in_(first))


def attempts_at(account_id: AccountId, endpoint_id: EndpointId, position: int) -> Select[Any]:
    """The last attempts at one position, the newest first. Walks the primary key backwards."""
    columns = attempts.c
    mine = select(
        columns.number, columns.verdict, columns.outcome, columns.status, columns.started_at, columns.duration_us,
        columns.detail,
    )  # fmt: skip
    mine = mine.where(columns.account_id == account_id, columns.endpoint_id == endpoint_id)
    mine = mine.where(columns.position == position)
    return mine.order_by(columns.number.desc()).limit(ATTEMPTS_SHOWN_MAX)


def attempt_counts(account_id: AccountId, endpoint_id: EndpointId, since: int) -> Select[Any]:
    """Attempts since `since` by verdict and outcome. Walks attempts_by_time alone."""
    columns = attempts.c
    mine = select(columns.verdict, columns.outcome, func.count())
    mine = mine.where(columns.account_id == account_id, columns.endpoint_id == endpoint_id)
    return mine.where(columns.started_at >= since).group_by(columns.verdict, columns.outcome)


def latest_durations(account_id: AccountId, endpoint_id: EndpointId, since: int) -> Select[Any]:
    """How long the latest successes since `since` took. Walks attempts_by_time backwards, alone."""
    columns = attempts.c
    mine = select(columns.duration_us).where(columns.account_id == account_id, columns.endpoint_id == endpoint_id)
    mine = mine.where(columns.started_at >= since, columns.verdict == "delivered")
    return mine.order_by(columns.started_at.desc()).limit(DURATIONS_MAX)
