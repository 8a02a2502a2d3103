"""Finding a shipment by its carrier's tracking number.

Carriers recycle numbers: a number is taken to mean the shipment that bore it last, and only while that one was heard
of within a year.
"""

from typing import Any

from sqlalchemy import Connection, Select, select

from waypost.ids import AccountId, ShipmentId
from waypost.log.tables import shipment_keys, shipments
from waypost.shipments import carrier_key

NUMBER_REUSED_AFTER_US = 365 * 24 * 3600 * 1_000_000


def shipments_with_number(account_id: AccountId, number: str) -> Select[Any]:
    """The shipments that bear a tracking number, newest first. Walks the keys' primary key, then the shipments'."""
    keys = shipment_keys.c
    both = (keys.account_id == shipments.c.account_id) & (keys.shipment_id == shipments.c.shipment_id)
    bearers = select(keys.shipment_id, keys.carrier, shipments.c.updated_at).join(shipments, both)
    bearers = bearers.where(keys.account_id == account_id, keys.value == number, keys.kind == "tracking_number")
    return bearers.order_by(keys.shipment_id.desc())


def shipment_with_number(
    connection: Connection, account_id: AccountId, carrier: str, number: str, now_us: int
) -> ShipmentId | None:
    """Give the shipment that a carrier means by `number`, or None. A number kept without a carrier is anybody's."""
    for row in connection.execute(shipments_with_number(account_id, number.casefold()[:255])):
        same_carrier = not row.carrier or row.carrier == carrier_key(carrier)
        if same_carrier and row.updated_at > now_us - NUMBER_REUSED_AFTER_US:
            return ShipmentId(row.shipment_id)
    return None


def taken_reference(account_id: AccountId, reference: str) -> Select[Any]:
    """The shipment that has this reference. By shipments_reference_once."""
    mine = shipments.c.account_id == account_id, shipments.c.reference == reference
    return select(shipments.c.shipment_id).where(*mine)


def free_reference(connection: Connection, account_id: AccountId, carrier: str, number: str) -> str:
    """Give a reference for a shipment made by a carrier's message: the number, else with the carrier before it."""
    candidate, attempt = number, 1
    while connection.execute(taken_reference(account_id, candidate)).first() is not None:
        candidate = f"{carrier}-{number}" if attempt == 1 else f"{carrier}-{number}-{attempt}"
        attempt += 1
    return candidate
