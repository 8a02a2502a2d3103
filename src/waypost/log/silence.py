"""Finding the shipments of which nothing was heard for long: accepting a report keeps since when."""

from typing import Any

from sqlalchemy import Connection, Select, and_, or_, select, text

from waypost.ids import AccountId, ShipmentId
from waypost.log.tables import shipments

Place = tuple[int, str]
BEGINNING: Place = (0, "")


def quiet_before(
    connection: Connection, account_id: AccountId, before_us: int, after: Place, limit: int
) -> list[tuple[ShipmentId, Place]]:
    """Give active shipments silent since before an instant (Unix microseconds), the longest first, and their places."""
    rows = connection.execute(quiet_shipments(account_id, before_us, after, limit))
    return [(ShipmentId(row.shipment_id), (row.quiet_since, row.shipment_id)) for row in rows]


def quiet_shipments(account_id: AccountId, before_us: int, after: Place, limit: int) -> Select[Any]:
    """The shipments past `after` that have been silent since before then, untold. Walks shipments_quiet."""
    columns = shipments.c
    since, shipment_id = after
    mine = select(columns.shipment_id, columns.quiet_since).where(columns.account_id == account_id)
    mine = mine.where(columns.quiet_since <= before_us, columns.quiet_since >= since, text("quiet_since IS NOT NULL"))
    mine = mine.where(
        or_(columns.quiet_since > since, and_(columns.quiet_since == since, columns.shipment_id > shipment_id))
    )
    return mine.order_by(columns.quiet_since, columns.shipment_id).limit(limit)
