"""Which events a replay is about: found in bounded steps along the log, in order of position, never all at once.

Each step looks at some positions past the last one and says how far it came. The same steps count what matches before
a replay begins, on connections that only read, and find what to send while it runs; so the count is exact. What is on
its way to the endpoint by itself when the replay is asked for is not matched, whatever becomes of it: it lies past the
cursor, or is pending.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Select, select

from waypost.clock import to_micros
from waypost.errors import FieldError, InvalidDocument
from waypost.events.patterns import matches
from waypost.ids import AccountId, EndpointId
from waypost.log.deliveries import last_attempts
from waypost.log.events import first_position_since, log_end, read_events_at, shipment_id_of
from waypost.log.owed import Judge, types_of_account
from waypost.log.records import EndpointRecord, EndpointVersion, ReplayAsked
from waypost.log.tables import attempts, events, folded, pending

POSITIONS_A_STEP = 10_000  # looked at in one step where the indexes alone decide
BODIES_A_STEP = 500  # where a filter has to see the shipments
CANDIDATES_A_STEP = 1_000  # of those that an index gives by themselves: failed ones, or a shipment's
FEEDING_SHARE = 10  # a step within a transaction that writes is so much smaller


@dataclass(frozen=True, slots=True)
class Scope:
    """What a replay looks at: positions past `after` and up to `through`.

    `types` are the types that occur in the log and are asked for. `keys` are the ids of the shipments that are asked
    for, None for all. `left_out` are the positions that were pending when it was asked for.
    """

    account_id: AccountId
    endpoint_id: EndpointId
    which: str
    versions: tuple[EndpointVersion, ...]
    after: int
    through: int
    types: tuple[str, ...]
    keys: tuple[str, ...] | None
    left_out: frozenset[int] = frozenset()

    @property
    def judge(self) -> Judge:
        """Says what the endpoint wants; what lies before its start is judged by its first version."""
        first, *later = self.versions
        return Judge((replace(first, from_position=0), *later))


@dataclass(frozen=True, slots=True)
class Found:
    """What one step found: the positions that match, in order, and how far it looked."""

    positions: list[int]
    through: int


def scope_of(connection: Connection, endpoint: EndpointRecord, asked: ReplayAsked) -> Scope:
    """Give what a replay that is asked for now looks at. InvalidDocument names shipments that do not exist."""
    account_id = endpoint.account_id
    end = log_end(connection, account_id)
    # To another URL nothing is on its way by itself.
    after, through = 0, endpoint.cursor if asked.to_url is None else end
    if asked.since is not None:
        after = first_position_since(connection, account_id, to_micros(asked.since), end) - 1
    if asked.until is not None:
        through = min(through, first_position_since(connection, account_id, to_micros(asked.until), end) - 1)
    after = min(after, through)
    on_their_way = pending_between(account_id, endpoint.endpoint_id, after, through)
    return Scope(
        account_id=account_id,
        endpoint_id=endpoint.endpoint_id,
        which=asked.which,
        versions=endpoint.versions,
        after=after,
        through=through,
        types=types_asked(connection, account_id, asked),
        keys=None if not asked.shipments else _shipment_ids(connection, account_id, asked.shipments),
        left_out=frozenset(connection.execute(on_their_way).scalars() if asked.to_url is None else ()),
    )


def types_asked(connection: Connection, account_id: AccountId, asked: ReplayAsked) -> tuple[str, ...]:
    """Give the types of the log that are asked for."""
    known = types_of_account(connection, account_id)
    return tuple(name for name in known if not asked.types or matches(asked.types, name))


def _shipment_ids(connection: Connection, account_id: AccountId, named: Sequence[str]) -> tuple[str, ...]:
    found = [shipment_id_of(connection, account_id, name) for name in named]
    errors = [
        FieldError(f"/shipments/{place}", "there is no such shipment")
        for place, shipment_id in enumerate(found)
        if shipment_id is None
    ]
    if errors:
        raise InvalidDocument(
            "1 field is wrong." if len(errors) == 1 else f"{len(errors)} fields are wrong.", errors=errors
        )
    return tuple(sorted({shipment_id for shipment_id in found if shipment_id is not None}))


def find(connection: Connection, scope: Scope, place: int) -> Found:
    """Look at some positions past `place` and give those that match."""
    return _find(connection, scope, place, 1)


def find_to_send(connection: Connection, scope: Scope, place: int, target_id: str) -> Found:
    """Look at fewer, within a transaction that writes, and leave out what is pending at the endpoint it goes to."""
    found = _find(connection, scope, place, FEEDING_SHARE)
    pending_now = set(connection.execute(pending_between(scope.account_id, target_id, place, found.through)).scalars())
    return Found([position for position in found.positions if position not in pending_now], found.through)


def _find(connection: Connection, scope: Scope, place: int, share: int) -> Found:
    if scope.which == "failed":
        found = _failed(connection, scope, place, CANDIDATES_A_STEP // share)
    elif scope.keys is not None:
        found = _of_shipments(connection, scope, place, CANDIDATES_A_STEP // share)
    else:
        found = _of_all(connection, scope, place, share)
    assert place < found.through <= scope.through or place >= scope.through, (place, found.through, scope)
    if not found.positions:
        return found
    left = set(found.positions) - scope.left_out
    if scope.which == "missing":
        left -= _got_through(connection, scope, place, found.through)
    return Found(sorted(left), found.through)


# -- candidates --------------------------------------------------------------------------------------------------------


def _failed(connection: Connection, scope: Scope, place: int, limit: int) -> Found:
    """Deliveries that stand as failed: the last attempt was the final failure, and none got through."""
    candidates = list(connection.execute(failed_positions(scope, place, limit)).scalars())
    through = candidates[-1] if len(candidates) == limit else scope.through
    asked = connection.execute(types_at(scope.account_id, candidates)).all() if candidates else []
    named = [row.position for row in asked if row.type in scope.types and _has_key(scope, row.key)]
    if not named:
        return Found([], through)
    stand = connection.execute(last_attempts(scope.account_id, scope.endpoint_id, named)).all()
    failed = [row.position for row in stand if row.verdict == "failed" and not row.delivered]
    return Found(sorted(failed), through)


def _has_key(scope: Scope, key: str) -> bool:
    return scope.keys is None or key in scope.keys


def _of_shipments(connection: Connection, scope: Scope, place: int, limit: int) -> Found:
    assert scope.keys is not None, scope
    rows = connection.execute(positions_of_keys(scope, scope.keys, place, limit)).all()
    through = rows[-1].position if len(rows) == limit else scope.through
    by_type: dict[str, list[int]] = {}
    for row in rows:
        by_type.setdefault(row.type, []).append(row.position)
    wanted = [
        position
        for name, positions in by_type.items()
        if name in scope.types
        for position in _wanted(connection, scope, name, positions)
    ]
    return Found(sorted(wanted), through)


def _wanted(connection: Connection, scope: Scope, name: str, positions: list[int]) -> list[int]:
    """Of some positions with events of one type, those that are wanted."""
    judge = scope.judge
    sure, unclear = list[int](), list[int]()
    for position in positions:
        matcher = judge.at(position)
        assert matcher is not None, position
        if matcher.needs_body(name):
            unclear.append(position)
        elif matcher(name, b""):
            sure.append(position)
    return sure + [row.position for row in read_events_at(connection, scope.account_id, unclear) if judge.wants(row)]


def _of_all(connection: Connection, scope: Scope, place: int, share: int) -> Found:
    needs_bodies = any(
        matcher.needs_body(name) for _, _, matcher in scope.judge.ranges(place, scope.through) for name in scope.types
    )
    size = (BODIES_A_STEP if needs_bodies else POSITIONS_A_STEP) // share
    through = min(place + size, scope.through)
    return Found(sorted(_wanted_between(connection, scope, place, through)), through)


def _wanted_between(connection: Connection, scope: Scope, place: int, through: int) -> Iterator[int]:
    for after, stop, matcher in scope.judge.ranges(place, through):
        unclear = [name for name in scope.types if matcher.needs_body(name)]
        sure = [name for name in scope.types if name not in unclear and matcher(name, b"")]
        if sure:
            yield from connection.execute(positions_of_types(scope.account_id, sure, after, stop)).scalars()
        if unclear:
            positions = connection.execute(positions_of_types(scope.account_id, unclear, after, stop)).scalars().all()
            rows = read_events_at(connection, scope.account_id, positions)
            yield from (row.position for row in rows if matcher(row.type, row.body))


def _got_through(connection: Connection, scope: Scope, place: int, through: int) -> set[int]:
    """Positions that were delivered; what was folded into a newer event went out within it."""
    between = (scope.account_id, scope.endpoint_id, place, through)
    delivered = connection.execute(delivered_between(*between)).scalars()
    return {*delivered, *connection.execute(folded_between(*between)).scalars()}


# -- statements --------------------------------------------------------------------------------------------------------


def failed_positions(scope: Scope, place: int, limit: int) -> Select[Any]:
    """Positions past `place` with a final failure, the lowest first. Walks attempts_by_verdict alone."""
    columns = attempts.c
    mine = select(columns.position).distinct().where(columns.account_id == scope.account_id)
    mine = mine.where(columns.endpoint_id == scope.endpoint_id, columns.verdict == "failed")
    mine = mine.where(columns.position > place, columns.position <= scope.through)
    return mine.order_by(columns.position).limit(limit)


def types_at(account_id: AccountId, positions: Sequence[int]) -> Select[Any]:
    """Type and key of the events at these positions. By the primary key."""
    columns = events.c
    mine = select(columns.position, columns.type, columns.key)
    return mine.where(columns.account_id == account_id, columns.position.in_(positions))


def positions_of_keys(scope: Scope, keys: Sequence[str], place: int, limit: int) -> Select[Any]:
    """The events of these keys past `place`, the lowest first. Walks events_sequence_once for each key."""
    columns = events.c
    position = columns.position + 0  # or SQLite walks the whole log by position, looking for some keys
    mine = select(columns.position, columns.type).where(columns.account_id == scope.account_id)
    mine = mine.where(columns.key.in_(keys), position > place, position <= scope.through)
    return mine.order_by(position).limit(limit)


def positions_of_types(account_id: AccountId, names: Collection[str], after: int, through: int) -> Select[Any]:
    """Where events of these types lie in (`after`, `through`]. Walks events_by_type alone, once for each type."""
    columns = events.c
    mine = select(columns.position).where(columns.account_id == account_id, columns.type.in_(names))
    return mine.where(columns.position > after, columns.position <= through)


def pending_between(account_id: AccountId, endpoint_id: str, after: int, through: int) -> Select[Any]:
    """The pending positions in (`after`, `through`]. Walks the primary key."""
    columns = pending.c
    mine = select(columns.position).where(columns.account_id == account_id, columns.endpoint_id == endpoint_id)
    return mine.where(columns.position > after, columns.position <= through)


def delivered_between(account_id: AccountId, endpoint_id: EndpointId, after: int, through: int) -> Select[Any]:
    """The positions in (`after`, `through`] that got through. Walks attempts_by_verdict alone."""
    columns = attempts.c
    mine = select(columns.position).where(columns.account_id == account_id, columns.endpoint_id == endpoint_id)
    mine = mine.where(columns.verdict == "delivered")
    return mine.where(columns.position > after, columns.position <= through)


def folded_between(account_id: AccountId, endpoint_id: EndpointId, after: int, through: int) -> Select[Any]:
    """The positions in (`after`, `through`] that were folded into newer ones. Walks the primary key."""
    columns = folded.c
    mine = select(columns.position).where(columns.account_id == account_id, columns.endpoint_id == endpoint_id)
    return mine.where(columns.position > after, columns.position <= through)
