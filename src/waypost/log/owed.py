"""What an endpoint is owed: the events it wants, each judged by the wishes of its own position.

Counting what waits never walks a long log twice. Where a type alone decides, the index by type is counted; where a
filter has to see the shipment, bodies are read once and the count is kept for as long as the cursor stands.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, func, select

from waypost.events import patterns
from waypost.events.patterns import Matcher, Wants
from waypost.ids import AccountId, EndpointId
from waypost.log.endpoints import start_position
from waypost.log.events import count_of_log, count_of_types, log_end, read_events_after
from waypost.log.records import EndpointRecord, EndpointVersion, LogRow, Waiting
from waypost.log.tables import attempts, endpoints, events, folded, pending

COUNT_MAX = 10_000
SCAN_ROWS = 500  # read at a time while looking for owed events
SCANNED_ROWS_MAX = 20_000  # looked at for one page; an endpoint that wants nothing still answers quickly
LAST_WORDS = ("delivered", "failed")  # verdicts that settle a delivery
COUNTS_KEPT_MAX = 10_000  # endpoints whose counts are remembered


class Judge:
    """Says which events an endpoint wants, by the version at each event's position."""

    def __init__(self, versions: Sequence[EndpointVersion]) -> None:
        self.versions = versions
        self._matchers = [patterns.compile(version.wants) for version in versions]

    def at(self, position: int) -> Matcher | None:
        """The matcher for `position`; None before the endpoint's first version."""
        found = None
        for version, matcher in zip(self.versions, self._matchers, strict=True):
            if version.from_position > position:
                break
            found = matcher
        return found

    def wants(self, row: LogRow) -> bool:
        """Whether the event in `row` is wanted."""
        matcher = self.at(row.position)
        return matcher is not None and matcher(row.type, row.body)

    def ranges(self, after: int, through: int) -> Iterator[tuple[int, int, Matcher]]:
        """Cut (`after`, `through`] where the wishes change: the pieces as (after, through, matcher), in order."""
        ends = [version.from_position - 1 for version in self.versions[1:]] + [through]
        for version, end, matcher in zip(self.versions, ends, self._matchers, strict=True):
            start, stop = max(after, version.from_position - 1), min(through, end)
            if start < stop:
                yield start, stop, matcher


def owed_after(
    connection: Connection, endpoint: EndpointRecord, after: int, limit: int
) -> tuple[list[LogRow], int | None]:
    """Give the events an endpoint is owed past `after`, in log order, and where to go on; None at the log's end.

    What it is owed begins after its start. A page may come short, even empty, where few of many events are wanted.
    """
    judge, found = Judge(endpoint.versions), list[LogRow]()
    place, scanned = max(after, endpoint.start_position), 0
    while scanned < SCANNED_ROWS_MAX:
        rows = read_events_after(connection, endpoint.account_id, place, SCAN_ROWS)
        for row in rows:
            place = row.position
            if judge.wants(row):
                found.append(row)
                if len(found) == limit:
                    end = log_end(connection, endpoint.account_id)
                    return found, place if place < end else None
        scanned += len(rows)
        if len(rows) < SCAN_ROWS:
            return found, None
    return found, place


# -- counting what waits -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Count:
    """What was counted of the log for one endpoint, and how far."""

    basis: tuple[int, tuple[EndpointVersion, ...]]  # the cursor and the wishes it was counted for
    through: int
    count: int


class Counts:
    """Counts of wanted events past the cursor, kept while cursor and wishes stand. Safe in several threads."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[AccountId, EndpointId], _Count] = OrderedDict()
        self._lock = threading.Lock()

    def wanted_past_cursor(
        self,
        connection: Connection,
        endpoint: EndpointRecord,
        end: int,
        types: Sequence[str] | None = None,
        bodies_max: int | None = None,
    ) -> tuple[int, bool]:
        """Give how many events in (cursor, `end`] the endpoint wants, counted to a little over COUNT_MAX.

        `types` are those of the account's log, where they are known. With `bodies_max` no more events are looked into
        than that; then the second value may be false: others are still to be counted, and the next call goes on.
        """
        name = (endpoint.account_id, endpoint.endpoint_id)
        basis = (endpoint.cursor, endpoint.versions)
        with self._lock:
            known = self._counts.get(name)
        if known is None or known.basis != basis or known.through > end:
            known = _Count(basis, endpoint.cursor, 0)
        count, through = known.count, known.through
        if count <= COUNT_MAX and through < end:
            span = (endpoint.account_id, endpoint.versions, through, end, count)
            count, through = _count(connection, *span, types=types, bodies_max=bodies_max)
        with self._lock:
            self._counts[name] = _Count(basis, through, count)
            self._counts.move_to_end(name)
            if len(self._counts) > COUNTS_KEPT_MAX:
                self._counts.popitem(last=False)
        return count, count > COUNT_MAX or through >= end


def _count(
    connection: Connection,
    account_id: AccountId,
    versions: Sequence[EndpointVersion],
    after: int,
    end: int,
    count: int,
    *,
    types: Sequence[str] | None = None,
    bodies_max: int | None = None,
) -> tuple[int, int]:
    """Go on counting from `after`: the count, and how far it went.

    That is short of `end` when the count is over COUNT_MAX, or when `bodies_max` events were looked into.
    """
    types = types_of_account(connection, account_id) if types is None else types
    for start, stop, matcher in Judge(versions).ranges(after, end):
        if any(matcher.needs_body(name) for name in types):
            last = stop if bodies_max is None else min(stop, start + bodies_max)
            count, reached = _count_bodies(connection, account_id, matcher, start, last, count)
            if count > COUNT_MAX or last < stop:
                return count, reached
        else:
            wanted = [name for name in types if matcher(name, b"")]
            count += _count_types(connection, account_id, wanted, start, stop, are_all=len(wanted) == len(types))
            if count > COUNT_MAX:
                return count, stop
    return count, end


def _count_types(
    connection: Connection, account_id: AccountId, names: Sequence[str], after: int, through: int, *, are_all: bool
) -> int:
    """Count the events of some types; those of all types of the log in one step."""
    reach = (after, through, COUNT_MAX + 1)
    statement = count_of_log(account_id, *reach) if are_all else count_of_types(account_id, names, *reach)
    return connection.execute(statement).scalar_one()


def _count_bodies(
    connection: Connection, account_id: AccountId, matcher: Matcher, after: int, through: int, count: int
) -> tuple[int, int]:
    place = after
    while place < through and count <= COUNT_MAX:
        rows = read_events_after(connection, account_id, place, min(SCAN_ROWS, through - place))
        if not rows:
            break
        count += sum(matcher(row.type, row.body) for row in rows)
        place = rows[-1].position
    return count, place


def waiting(connection: Connection, counts: Counts, endpoint: EndpointRecord) -> Waiting:
    """Give how many owed events are not settled, those in retry included: exact up to 10,000."""
    end = log_end(connection, endpoint.account_id)
    wanted = counts.wanted_past_cursor(connection, endpoint, end)[0] if end > endpoint.cursor else 0
    key = (endpoint.account_id, endpoint.endpoint_id)
    behind = connection.execute(pending_up_to(*key, endpoint.cursor)).scalar_one()
    settled = len(settled_past_cursor(connection, *key, endpoint.cursor))
    total = max(wanted - settled, 0) + behind
    return Waiting(min(total, COUNT_MAX), total > COUNT_MAX)


def waiting_of_many(
    connection: Connection,
    counts: Counts,
    records: Sequence[EndpointRecord],
    end: int,
    types: Sequence[str],
    bodies_max: int | None = None,
) -> list[Waiting]:
    """Give the same of some endpoints of one account, in as many statements as for one where counts are remembered.

    With `bodies_max` no more events than that are looked into for each, so a count may be `more` until it was asked for
    often enough.
    """
    if not records:
        return []
    account_id, ids = records[0].account_id, [endpoint.endpoint_id for endpoint in records]
    behind = {row.endpoint_id: row.passed for row in connection.execute(pending_of_some(account_id, ids))}
    settled: dict[str, set[int]] = {}
    for statement in (settled_of_some(account_id, ids), folded_of_some(account_id, ids)):
        for endpoint_id, position in connection.execute(statement):
            settled.setdefault(endpoint_id, set()).add(position)
    found: list[Waiting] = []
    for endpoint in records:
        wanted, is_whole = 0, True
        if end > endpoint.cursor:
            wanted, is_whole = counts.wanted_past_cursor(connection, endpoint, end, types, bodies_max)
        name = endpoint.endpoint_id
        total = max(wanted - len(settled.get(name, ())), 0) + behind.get(name, 0)
        found.append(Waiting(min(total, COUNT_MAX), total > COUNT_MAX or not is_whole))
    return found


def waiting_from(connection: Connection, account_id: AccountId, wants: Wants, start: str | int | datetime) -> Waiting:
    """Give how many events an endpoint made now would be owed from `start` on. InvalidDocument past the log's end.

    Where a filter has to see the shipments, the first SCANNED_ROWS_MAX events are counted, and `more` says so: nobody
    waits for a walk through a long log to make an endpoint.
    """
    end = log_end(connection, account_id)
    after = start_position(connection, account_id, start, end)
    matcher = patterns.compile(wants)
    needs_bodies = any(matcher.needs_body(name) for name in types_of_account(connection, account_id))
    through = min(end, after + SCANNED_ROWS_MAX) if needs_bodies else end
    count, _ = _count(connection, account_id, (EndpointVersion(after + 1, wants),), after, through, 0)
    return Waiting(min(count, COUNT_MAX), count > COUNT_MAX or through < end)


def settled_past_cursor(
    connection: Connection, account_id: AccountId, endpoint_id: EndpointId, cursor: int
) -> frozenset[int]:
    """Give the positions past the cursor that were delivered, failed for good, or were folded into newer ones."""
    settled = connection.execute(settled_positions(account_id, endpoint_id, cursor)).scalars()
    return frozenset(settled).union(connection.execute(folded_positions(account_id, endpoint_id, cursor)).scalars())


# -- statements --------------------------------------------------------------------------------------------------------


def types_of_account(connection: Connection, account_id: AccountId) -> list[str]:
    """Give the types that occur in the account's log, with one step through events_by_type for each."""
    types: list[str] = []
    while True:
        columns = events.c
        following = select(func.min(columns.type)).where(columns.account_id == account_id)
        name = connection.execute(following.where(columns.type > (types[-1] if types else ""))).scalar()
        if name is None:
            return types
        types.append(name)


def pending_up_to(account_id: AccountId, endpoint_id: EndpointId, cursor: int) -> Select[int]:
    """How many deliveries the cursor has passed unsettled; one asked for again was settled. They are bounded.

    Walks the primary key.
    """
    columns = pending.c
    mine = and_(columns.account_id == account_id, columns.endpoint_id == endpoint_id, columns.position <= cursor)
    return select(func.count()).select_from(pending).where(mine, columns.state != "resend")


def settled_positions(account_id: AccountId, endpoint_id: EndpointId, cursor: int) -> Select[Any]:
    """The positions past the cursor with a last word. Walks attempts_by_verdict."""
    columns = attempts.c
    mine = columns.account_id == account_id, columns.endpoint_id == endpoint_id, columns.position > cursor
    return select(columns.position).distinct().where(*mine, columns.verdict.in_(LAST_WORDS))


def folded_positions(account_id: AccountId, endpoint_id: EndpointId, cursor: int) -> Select[Any]:
    """The positions past the cursor that go out with newer ones. Walks the primary key."""
    columns = folded.c
    mine = columns.account_id == account_id, columns.endpoint_id == endpoint_id, columns.position > cursor
    return select(columns.position).where(*mine)


def pending_of_some(account_id: AccountId, ids: Sequence[str]) -> Select[Any]:
    """How many deliveries the cursors of these endpoints have passed unsettled. Walks the primary keys."""
    columns = pending.c
    mine = _past_or_up_to(columns, account_id, ids, columns.position <= endpoints.c.cursor)
    counted = select(endpoints.c.endpoint_id, func.count().label("passed")).select_from(
        endpoints.join(pending, mine[0])
    )
    return counted.where(*mine[1:], columns.state != "resend").group_by(endpoints.c.endpoint_id)


def settled_of_some(account_id: AccountId, ids: Sequence[str]) -> Select[Any]:
    """The positions past the cursors of these endpoints with a last word. Walks attempts_by_verdict."""
    columns = attempts.c
    mine = _past_or_up_to(columns, account_id, ids, columns.position > endpoints.c.cursor)
    wanted = select(columns.endpoint_id, columns.position).select_from(endpoints.join(attempts, mine[0]))
    return wanted.where(*mine[1:], columns.verdict.in_(LAST_WORDS))


def folded_of_some(account_id: AccountId, ids: Sequence[str]) -> Select[Any]:
    """The positions past the cursors of these endpoints that go out with newer ones. Walks the primary key."""
    columns = folded.c
    mine = _past_or_up_to(columns, account_id, ids, columns.position > endpoints.c.cursor)
    return select(columns.endpoint_id, columns.position).select_from(endpoints.join(folded, mine[0])).where(*mine[1:])


def _past_or_up_to(columns: Any, account_id: AccountId, ids: Sequence[str], place: Any) -> tuple[Any, ...]:
    """How rows are joined to some endpoints of an account, by where they lie to the cursor; and which endpoints."""
    same = and_(columns.account_id == endpoints.c.account_id, columns.endpoint_id == endpoints.c.endpoint_id, place)
    return same, endpoints.c.account_id == account_id, endpoints.c.endpoint_id.in_(list(ids))
