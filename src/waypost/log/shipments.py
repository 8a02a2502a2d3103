"""Reading shipments: one, or a page of those that match.

Pages are in an order that does not move while they are read. The newest-made come first; with `updated_since` the
order is by change, oldest first, so that what changes meanwhile comes again at the end and nothing is missed.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, or_, select, text, tuple_, union_all

from waypost.clock import to_micros
from waypost.errors import NotFound
from waypost.ids import AccountId, ShipmentId
from waypost.log.cursors import page_of, read_cursor, read_name_cursor, without_nul
from waypost.log.records import Page, StoredShipment
from waypost.log.tables import shipment_keys, shipments
from waypost.shipments import TRACKING_EVENTS_IN_EVENTS, decode_state, shipment_json

KEY_LENGTH_MAX = 255
LAST_CHARACTER = "\U0010ffff"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipmentFilter:
    """Which shipments to list; None lets all pass.

    `q` is the beginning, in any case, of a reference, one of the references or a tracking number; `carrier` the
    carrier's id or its name, as the filters of endpoints have it.
    """

    status: str | None = None
    condition: str | None = None
    carrier: str | None = None
    q: str | None = None
    updated_since: datetime | None = None


def read_shipment(connection: Connection, account_id: AccountId, find: str) -> StoredShipment:
    """Give a shipment by its reference or id, with its whole history, or raise NotFound."""
    row = None if "\0" in find else connection.execute(shipment_row(account_id, find)).first()
    if row is None:
        raise NotFound(f'There is no shipment "{find}".')
    return _stored(row, None)


def list_shipments(
    connection: Connection, account_id: AccountId, wanted: ShipmentFilter, limit: int, cursor: str | None
) -> Page[StoredShipment]:
    """Give a page of shipments, each with its last 20 tracking events. BadRequest for a cursor that is not ours."""
    if any("\0" in text for text in (wanted.status, wanted.condition, wanted.carrier, wanted.q) if text):
        return Page([], None)  # nothing stored holds a NUL, and PostgreSQL cannot even be asked
    if wanted.q:
        prefix = wanted.q.casefold()[:KEY_LENGTH_MAX]
        place = None if cursor is None else read_cursor(cursor, tuple[str, str])
        statement = filtered(shipments_by_prefix(account_id, prefix, place), wanted)
        rows = connection.execute(statement.limit(limit + 1)).all()
        page = page_of(list(rows), limit, lambda row: (row.value, row.shipment_id))
    elif wanted.updated_since is not None:
        since = to_micros(wanted.updated_since)
        changed = (since, "") if cursor is None else read_cursor(cursor, tuple[int, str])
        statement = filtered(shipments_by_change(account_id, *changed), wanted)
        rows = connection.execute(statement.limit(limit + 1)).all()
        page = page_of(list(rows), limit, lambda row: (row.updated_at, row.shipment_id))
    else:
        before = read_name_cursor(cursor)
        if wanted.carrier is None:
            statement = filtered(shipments_newest_first(account_id, before), wanted).limit(limit + 1)
        else:
            statement = shipments_of_carrier(account_id, wanted, before, limit + 1)
        rows = connection.execute(statement).all()
        page = page_of(list(rows), limit, lambda row: row.shipment_id)
    return Page([_stored(row, TRACKING_EVENTS_IN_EVENTS) for row in page.items], page.next)


def _stored(row: Row[Any], last_tracking_events: int | None) -> StoredShipment:
    json = shipment_json(decode_state(row.state), last_tracking_events)
    return StoredShipment(ShipmentId(row.shipment_id), row.reference, row.version, json)


# -- statements --------------------------------------------------------------------------------------------------------


def _columns() -> Select[Any]:
    columns = shipments.c
    return select(columns.shipment_id, columns.reference, columns.version, columns.updated_at, columns.state)


def shipment_row(account_id: AccountId, find: str) -> Select[Any]:
    """One shipment. By the primary key, or by shipments_reference_once."""
    name = shipments.c.shipment_id if find.startswith("shp_") else shipments.c.reference
    return _columns().where(shipments.c.account_id == account_id, name == find)


def shipments_newest_first(account_id: AccountId, before: str) -> Select[Any]:
    """The shipments made before the one with id `before` ("" for all). Walks the primary key backwards.

    With a filter the index of status or trouble is walked instead: each holds the id after its value.
    """
    return _newest_first(_columns(), account_id, before)


def _newest_first(statement: Select[Any], account_id: AccountId, before: str) -> Select[Any]:
    mine = statement.where(shipments.c.account_id == account_id)
    if before:
        mine = mine.where(shipments.c.shipment_id < before)
    return mine.order_by(shipments.c.shipment_id.desc())


def shipments_of_carrier(account_id: AccountId, wanted: ShipmentFilter, before: str, limit: int) -> Select[Any]:
    """The newest `limit` shipments of the carrier that is wanted, by its id or its name, made before the id `before`.

    They are among the newest of each: shipments_by_carrier and shipments_by_carrier_name are walked backwards.
    """
    columns, rest = shipments.c, replace(wanted, carrier=None)
    newest = filtered(_newest_first(select(columns.shipment_id), account_id, before), rest).limit(limit)
    halves = [newest.where(column == wanted.carrier).subquery() for column in (columns.carrier, columns.carrier_name)]
    both = union_all(*(select(half.c.shipment_id) for half in halves))
    mine = _columns().where(columns.account_id == account_id, columns.shipment_id.in_(both))
    return mine.order_by(columns.shipment_id.desc()).limit(limit)


def shipments_by_change(account_id: AccountId, since: int, after: str) -> Select[Any]:
    """The shipments changed at `since` with an id past `after`, or later. Walks shipments_by_update."""
    columns = shipments.c
    later = or_(columns.updated_at > since, and_(columns.updated_at == since, columns.shipment_id > after))
    mine = _columns().where(columns.account_id == account_id, columns.updated_at >= since, later)
    return mine.order_by(columns.updated_at, columns.shipment_id)


def shipments_by_prefix(account_id: AccountId, prefix: str, place: tuple[str, str] | None) -> Select[Any]:
    """The shipments with a key that begins with `prefix`, by key. Walks the keys' primary key.

    A shipment that several of its keys find comes at the smallest of them alone.
    """
    keys, smaller = shipment_keys.c, shipment_keys.alias("smaller").c
    same = and_(keys.account_id == shipments.c.account_id, keys.shipment_id == shipments.c.shipment_id)
    found = select(*_columns().selected_columns, keys.value).join(shipment_keys, same)
    found = found.where(keys.account_id == account_id, keys.value >= prefix, keys.value < prefix + LAST_CHARACTER)
    if place is not None:
        value, shipment_id = without_nul(place[0]), without_nul(place[1])
        later = or_(keys.value > value, and_(keys.value == value, keys.shipment_id > shipment_id))
        found = found.where(keys.value >= value, later)
    earlier = select(smaller.value).where(
        smaller.account_id == keys.account_id,
        smaller.shipment_id == keys.shipment_id,
        smaller.value >= prefix,
        tuple_(smaller.value, smaller.kind, smaller.carrier) < tuple_(keys.value, keys.kind, keys.carrier),
    )
    return found.where(~earlier.exists()).order_by(keys.value, keys.shipment_id)


def filtered(statement: Select[Any], wanted: ShipmentFilter) -> Select[Any]:
    """Only those that `wanted` lets pass."""
    columns = shipments.c
    if wanted.status is not None:
        statement = statement.where(columns.status == wanted.status)
    if wanted.condition is not None:
        statement = statement.where(columns.condition == wanted.condition)
        if wanted.condition != "ok":
            statement = statement.where(text("condition <> 'ok'"))  # word for word as in shipments_in_trouble
    if wanted.carrier is not None:
        statement = statement.where(or_(columns.carrier == wanted.carrier, columns.carrier_name == wanted.carrier))
    if wanted.updated_since is not None:
        statement = statement.where(columns.updated_at >= to_micros(wanted.updated_since))
    return statement
