"""Reading the log: an account's events, a shipment's, one."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, select

from waypost.errors import NotFound
from waypost.ids import AccountId, EventId
from waypost.log.records import LogRow
from waypost.log.tables import accounts, events, shipments


def read_events_after(connection: Connection, account_id: AccountId, position: int, limit: int) -> list[LogRow]:
    """Give the account's events past `position`, in log order, at most `limit`."""
    parameters = {"account_id": account_id, "position": position, "limit": limit}
    return [_log_row(row) for row in connection.execute(events_after(), parameters)]


def read_shipment_events(
    connection: Connection, account_id: AccountId, find: str, sequence: int, limit: int
) -> list[LogRow]:
    """Give a shipment's events past `sequence`, in order. `find` is its reference or id; NotFound when unknown."""
    shipment_id = shipment_id_of(connection, account_id, find)
    if shipment_id is None:
        raise NotFound(f'There is no shipment "{find}".')
    return [_log_row(row) for row in connection.execute(events_of_key(account_id, shipment_id, sequence, limit))]


def read_event(connection: Connection, account_id: AccountId, event_id: str) -> LogRow:
    """Give one event, or raise NotFound."""
    row = None if "\0" in event_id else connection.execute(event_by_id(account_id, event_id)).first()
    if row is None:
        raise NotFound(f'There is no event "{event_id}".')
    return _log_row(row)


def read_events_at(connection: Connection, account_id: AccountId, positions: Iterable[int]) -> list[LogRow]:
    """Give the events at these positions, in log order; what is not there is left out."""
    wanted = sorted(set(positions))
    rows: list[LogRow] = []
    for start in range(0, len(wanted), 500):
        parameters = {"account_id": account_id, "positions": wanted[start : start + 500]}
        rows += [_log_row(row) for row in connection.execute(events_at(), parameters)]
    return rows


def log_end(connection: Connection, account_id: AccountId) -> int:
    """Give the last position of the account's log; 0 while it is empty."""
    return connection.execute(select(accounts.c.position).where(accounts.c.account_id == account_id)).scalar() or 0


def log_ends(connection: Connection, account_ids: Iterable[AccountId]) -> dict[AccountId, int]:
    """Give the last positions of the logs of these accounts."""
    columns = accounts.c
    mine = select(columns.account_id, columns.position).where(columns.account_id.in_(sorted(account_ids)))
    return {AccountId(row.account_id): row.position for row in connection.execute(mine)}


def shipment_id_of(connection: Connection, account_id: AccountId, find: str) -> str | None:
    """Give the id of the shipment with this reference or id, or None."""
    if "\0" in find:
        return None
    name = shipments.c.shipment_id if find.startswith("shp_") else shipments.c.reference
    mine = select(shipments.c.shipment_id).where(shipments.c.account_id == account_id, name == find)
    return connection.execute(mine).scalar()


def first_position_since(connection: Connection, account_id: AccountId, instant: int, end: int) -> int:
    """Give the first position recorded at or after `instant` (Unix microseconds), or the one after `end`."""
    columns = events.c
    first = select(columns.position).where(columns.account_id == account_id, columns.recorded_at >= instant)
    position = connection.execute(first.order_by(columns.recorded_at, columns.position).limit(1)).scalar()
    return end + 1 if position is None else position


def _log_row(row: Row[Any]) -> LogRow:
    return LogRow(
        row.position, EventId(row.event_id), row.type, row.key, row.sequence, row.recorded_at, bytes(row.body)
    )


# -- statements --------------------------------------------------------------------------------------------------------


def _columns() -> Select[Any]:
    columns = events.c
    return select(
        columns.position, columns.event_id, columns.type, columns.key, columns.sequence, columns.recorded_at,
        columns.body,
    )  # fmt: skip


@cache
def events_after() -> Select[Any]:
    """The events of `:account_id` past `:position`, in log order, at most `:limit`. Walks the primary key."""
    mine = _columns().where(events.c.account_id == bindparam("account_id"), events.c.position > bindparam("position"))
    return mine.order_by(events.c.position).limit(bindparam("limit"))


@cache
def events_at() -> Select[Any]:
    """The events of `:account_id` at `:positions`. By the primary key."""
    mine = _columns().where(events.c.account_id == bindparam("account_id"))
    return mine.where(events.c.position.in_(bindparam("positions", expanding=True))).order_by(events.c.position)


def events_of_key(account_id: AccountId, key: str, sequence: int, limit: int) -> Select[Any]:
    """The events of one key past `sequence`, in order, at most `limit`. Walks events_sequence_once."""
    mine = _columns().where(events.c.account_id == account_id, events.c.key == key, events.c.sequence > sequence)
    return mine.order_by(events.c.sequence).limit(limit)


def event_by_id(account_id: AccountId, event_id: str) -> Select[Any]:
    """One event. By events_id_once."""
    return _columns().where(events.c.account_id == account_id, events.c.event_id == event_id)


def count_of_type(account_id: AccountId, type_name: str, after: int, through: int, limit: int) -> Select[int]:
    """How many events of a type lie in (`after`, `through`], counted to `limit`. Walks events_by_type alone."""
    columns = events.c
    some = select(columns.position).where(columns.account_id == account_id, columns.type == type_name)
    some = some.where(columns.position > after, columns.position <= through).limit(limit)
    return select(func.count()).select_from(some.subquery())


def count_of_log(account_id: AccountId, after: int, through: int, limit: int) -> Select[int]:
    """How many events lie in (`after`, `through`], counted to `limit`. Walks the primary key."""
    columns = events.c
    some = select(columns.position).where(columns.account_id == account_id)
    some = some.where(columns.position > after, columns.position <= through).limit(limit)
    return select(func.count()).select_from(some.subquery())


def count_of_types(account_id: AccountId, names: Sequence[str], after: int, through: int, limit: int) -> Select[int]:
    """How many events of these types lie in (`after`, `through`], counted to `limit`. Walks events_by_type alone."""
    columns = events.c
    some = select(columns.position).where(columns.account_id == account_id, columns.type.in_(list(names)))
    some = some.where(columns.position > after, columns.position <= through).limit(limit)
    return select(func.count()).select_from(some.subquery())
