"""Who is behind: endpoints in trouble or with much before them, what waits for each, and when it was recorded.

One walk over the account's endpoints finds them. What waits is counted for so many of them and no more, by the indexes
and with the counts that are remembered (owed.py), so that a page costs the same after a year of events.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, select, text

from waypost.clock import from_micros
from waypost.events import patterns
from waypost.events.patterns import Matcher, Wants
from waypost.ids import AccountId, EndpointId
from waypost.log import owed
from waypost.log.endpoints import read_endpoints
from waypost.log.events import log_end, read_events_after
from waypost.log.matching import positions_of_types
from waypost.log.owed import Counts
from waypost.log.records import EndpointRecord, Waiting
from waypost.log.tables import endpoints, events, pending
from waypost.log.vault import Vault

COUNTED_MAX = 40  # endpoints whose waiting events are counted for one page
LOOKED_AT_MAX = 20  # events past a cursor, to find the first that is wanted
BODIES_MAX = 1_000  # events that are looked into for one endpoint, where a filter has to see the shipments
POSITIONS_MAX = 20_000  # waiting events that are sorted into bins one by one
GRACE_US = 60_000_000  # cursors of those who rest are stored in turn, each within half a minute
ORDER = {"suspended": 0, "failing": 1, "paused": 2, "active": 3}


@dataclass(frozen=True, slots=True)
class Held:
    """An endpoint with the events that wait for it. `oldest_at` is when the first of them was recorded."""

    endpoint: EndpointRecord
    waiting: Waiting
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class Behind:
    """How the endpoints of an account stand: how many are in each state, and those that are behind, worst first.

    `more` says that others are behind too, which were not counted.
    """

    states: Mapping[str, int]
    held: tuple[Held, ...]
    more: bool

    @property
    def waiting(self) -> Waiting:
        """What waits at all of them."""
        return self.waiting_where(tuple(ORDER))

    def waiting_where(self, states: Sequence[str]) -> Waiting:
        """What waits at those in these states."""
        there = [one.waiting for one in self.held if one.endpoint.state in states]
        return Waiting(sum(one.count for one in there), self.more or any(one.more for one in there))

    @property
    def waiting_at(self) -> int:
        """At how many of them something waits."""
        return sum(one.waiting.count > 0 for one in self.held)

    @property
    def oldest_at(self) -> datetime | None:
        """When the oldest event was recorded that waits somewhere."""
        return min((one.oldest_at for one in self.held if one.oldest_at is not None), default=None)

    @property
    def endpoints(self) -> int:
        """How many endpoints there are."""
        return sum(self.states.values())


def read_behind(
    connection: Connection,
    vault: Vault,
    counts: Counts,
    account_id: AccountId,
    settled_before: int,
    types: Sequence[str],
) -> Behind:
    """Give how the endpoints of an account stand.

    An active one is behind when an event before `settled_before` (a position, of a minute ago) is not settled there.
    `types` are those that occur in the log.
    """
    states = dict.fromkeys(ORDER, 0)
    rows = connection.execute(endpoints_in_trouble(account_id)).all()
    for row in rows:
        states[_state(row)] += 1
    states["active"] = connection.execute(count_of_endpoints(account_id)).scalar_one() - len(rows)
    ranked = sorted(rows, key=lambda row: (ORDER[_state(row)], row.endpoint_id))
    ranked += connection.execute(endpoints_behind(account_id, settled_before - 1, COUNTED_MAX + 1)).all()
    names = {EndpointId(row.endpoint_id): place for place, row in enumerate(ranked[:COUNTED_MAX])}
    for endpoint_id in _with_pending(connection, account_id, COUNTED_MAX - len(names)):
        names.setdefault(endpoint_id, len(names))
    records = read_endpoints(connection, vault, [(account_id, name) for name in names])
    records = [record for record in records if record.replay_of is None]
    records.sort(key=lambda record: (ORDER[record.state], names[record.endpoint_id]))
    end = log_end(connection, account_id)
    waiting = owed.waiting_of_many(connection, counts, records, end, types, BODIES_MAX)
    oldest = _oldest_of_many(connection, account_id, [one for one, w in zip(records, waiting, strict=True) if w.count])
    held = tuple(
        Held(record, count, oldest.get(record.endpoint_id)) for record, count in zip(records, waiting, strict=True)
    )
    troubled = [one for one in held if one.waiting.count or one.endpoint.state != "active"]
    return Behind(states, tuple(troubled), more=len(ranked) > COUNTED_MAX)


def _state(row: Row[Any]) -> str:
    return "paused" if row.paused_at is not None else str(row.health)


def _with_pending(connection: Connection, account_id: AccountId, limit: int) -> list[EndpointId]:
    """Endpoints that wait for a retry, with one step through the primary key for each."""
    found: list[EndpointId] = []
    columns = pending.c
    while len(found) < limit:
        following = select(func.min(columns.endpoint_id)).where(columns.account_id == account_id)
        name = connection.execute(following.where(columns.endpoint_id > (found[-1] if found else ""))).scalar()
        if name is None:
            break
        found.append(EndpointId(name))
    return found


def _oldest_of_many(
    connection: Connection, account_id: AccountId, records: Sequence[EndpointRecord]
) -> dict[str, datetime | None]:
    """When the first event was recorded that waits for each: some at one cursor wait for the same."""
    ids = [record.endpoint_id for record in records]
    found: dict[str, datetime | None] = {}
    for row in connection.execute(first_pending_of(account_id, ids)) if ids else ():
        found[row.endpoint_id] = from_micros(row.recorded_at)
    alike: dict[tuple[int, Wants], datetime | None] = {}
    for record in records:
        if record.endpoint_id not in found:
            basis = (record.cursor, record.wants)
            if basis not in alike:
                alike[basis] = _first_past_cursor_at(connection, record)
            found[record.endpoint_id] = alike[basis]
    return found


def oldest_waiting_at(connection: Connection, endpoint: EndpointRecord) -> datetime | None:
    """Give when the first event was recorded that is not settled: pending, or wanted past the cursor."""
    retried = connection.execute(first_pending_at(endpoint.account_id, endpoint.endpoint_id)).scalar()
    return _first_past_cursor_at(connection, endpoint) if retried is None else from_micros(retried)


def _first_past_cursor_at(connection: Connection, endpoint: EndpointRecord) -> datetime | None:
    """When the first event past its cursor was recorded that it wants; of the next few, else the very next."""
    rows = read_events_after(connection, endpoint.account_id, endpoint.cursor, LOOKED_AT_MAX)
    judge = owed.Judge(endpoint.versions)
    first = next((row for row in rows if judge.wants(row)), rows[0] if rows else None)
    return None if first is None else from_micros(first.recorded_at)


# -- by time -----------------------------------------------------------------------------------------------------------


Retried = Mapping[str, Sequence[tuple[int, str]]]
"""By endpoint: the positions and types of what waits for a retry."""


def read_retried(
    connection: Connection, account_id: AccountId, waiters: Sequence[EndpointRecord], bounds: Sequence[int]
) -> Retried:
    """Give what waits for a retry at some endpoints, of what lies in these bounds; in one statement for all."""
    ids = [waiter.endpoint_id for waiter in waiters]
    found: dict[str, list[tuple[int, str]]] = {}
    if ids and bounds[0] < bounds[-1]:
        for row in connection.execute(pending_in(account_id, ids, bounds[0], bounds[-1] - 1)):
            found.setdefault(row.endpoint_id, []).append((row.position, row.type))
    return found


def waiting_between(
    connection: Connection,
    account_id: AccountId,
    waiters: Sequence[EndpointRecord],
    bounds: Sequence[int],
    types: Sequence[str],
    retried: Retried,
) -> list[int]:
    """Give how many events wait for at least one of `waiters`, by the bin in which their positions lie.

    Bin i holds the positions from `bounds[i]` up to, not including, `bounds[i + 1]`. Where a filter has to see the
    shipments, an event counts that has a type that is wanted. `types` are those of the log. No more than POSITIONS_MAX
    events that are told by their types are counted.
    """
    made = [0] * (len(bounds) - 1)
    if not waiters or bounds[0] >= bounds[-1]:
        return made
    lows = _from_where(waiters, types)
    for low, names in lows.items():
        after, through = max(low, bounds[0] - 1), bounds[-1] - 1
        if after >= through:
            continue
        if len(names) == len(types):
            _count_all(made, bounds, after + 1, through)
            continue
        wanted = positions_of_types(account_id, names, after, through).limit(POSITIONS_MAX)
        positions = connection.execute(wanted).scalars().all()
        _count(made, bounds, positions)
    # What waits for a retry counts too, unless it lies past the cursor of somebody who wants it: then it is counted.
    low_of = {name: low for low, names in lows.items() for name in names}
    tried = (pair for waiter in waiters for pair in retried.get(waiter.endpoint_id, ()))
    _count(made, bounds, {position for position, name in tried if position <= low_of.get(name, bounds[-1])})
    return made


def _from_where(waiters: Sequence[EndpointRecord], types: Sequence[str]) -> dict[int, list[str]]:
    """By the lowest cursor of those who want it: the types of which everything past it still waits for somebody."""
    matchers = [(waiter.cursor, patterns.compile(waiter.wants)) for waiter in waiters]
    lows: dict[int, list[str]] = {}
    for name in types:
        cursors = [cursor for cursor, matcher in matchers if _may_want(matcher, name)]
        if cursors:
            lows.setdefault(min(cursors), []).append(name)
    return lows


def _may_want(matcher: Matcher, name: str) -> bool:
    return matcher.needs_body(name) or matcher(name, b"")


def _count_all(made: list[int], bounds: Sequence[int], first: int, last: int) -> None:
    """Every position from `first` to `last` waits: positions have no gaps."""
    for place in range(len(made)):
        made[place] += max(0, min(bounds[place + 1] - 1, last) - max(bounds[place], first) + 1)


def _count(made: list[int], bounds: Sequence[int], positions: Iterable[int]) -> None:
    for position in positions:
        made[bisect_right(bounds, position) - 1] += 1


# -- statements --------------------------------------------------------------------------------------------------------


def endpoints_in_trouble(account_id: AccountId) -> Select[Any]:
    """The endpoints that are not active, without those of replays. Walks endpoints_in_trouble."""
    columns = endpoints.c
    mine = select(columns.endpoint_id, columns.paused_at, columns.health).where(columns.account_id == account_id)
    return mine.where(text("(paused_at IS NOT NULL OR health <> 'active')"), columns.replay_of.is_(None))


def count_of_endpoints(account_id: AccountId) -> Select[Any]:
    """How many endpoints there are, without those of replays. Walks the primary key and endpoints_of_replays alone."""
    every = select(func.count()).select_from(endpoints).where(endpoints.c.account_id == account_id).scalar_subquery()
    copies = endpoints.alias()
    of_replays = select(func.count()).select_from(copies).where(copies.c.account_id == account_id)
    return select(every - of_replays.where(copies.c.replay_of.is_not(None)).scalar_subquery())


def endpoints_behind(account_id: AccountId, settled: int, limit: int) -> Select[Any]:
    """Some active endpoints that did not settle `settled`, without those of replays. Walks the primary key."""
    columns = endpoints.c
    mine = select(columns.endpoint_id, columns.paused_at, columns.health).where(columns.account_id == account_id)
    mine = mine.where(columns.replay_of.is_(None), columns.paused_at.is_(None), columns.health == "active")
    return mine.where(columns.cursor < settled).order_by(columns.endpoint_id).limit(limit)


def first_pending_at(account_id: AccountId, endpoint_id: EndpointId) -> Select[Any]:
    """When the first event was recorded that waits for a retry. Walks the primary key of pending."""
    columns = pending.c
    same = and_(events.c.account_id == columns.account_id, events.c.position == columns.position)
    mine = select(events.c.recorded_at).select_from(pending.join(events, same))
    mine = mine.where(columns.account_id == account_id, columns.endpoint_id == endpoint_id, columns.state != "resend")
    return mine.order_by(columns.position).limit(1)


def first_pending_of(account_id: AccountId, endpoint_ids: Sequence[str]) -> Select[Any]:
    """When the first event was recorded that waits for a retry at each endpoint. Walks the primary key of pending."""
    columns = pending.c
    first = select(columns.endpoint_id, func.min(columns.position).label("position"))
    first = first.where(columns.account_id == account_id, columns.endpoint_id.in_(list(endpoint_ids)))
    some = first.where(columns.state != "resend").group_by(columns.endpoint_id).subquery()
    here = and_(events.c.account_id == account_id, events.c.position == some.c.position)
    return select(some.c.endpoint_id, events.c.recorded_at).select_from(some.join(events, here))


def pending_in(account_id: AccountId, endpoint_ids: Sequence[str], first: int, last: int) -> Select[Any]:
    """What waits for a retry between two positions, at these endpoints, at most so much. Walks the primary key."""
    columns = pending.c
    mine = select(columns.endpoint_id, columns.position, columns.type).where(columns.account_id == account_id)
    mine = mine.where(columns.endpoint_id.in_(list(endpoint_ids)), columns.state != "resend")
    return mine.where(columns.position >= first, columns.position <= last).limit(POSITIONS_MAX)
