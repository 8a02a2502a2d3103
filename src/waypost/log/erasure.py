"""Erasing what the log holds of a shipment's people: the one rewrite of what was written once.

Positions, sequences, ids, statuses and times stay. Blanked are the bodies of its events, the answers that receivers
gave to them (they may quote what we sent), kept answers of the API, and the raw messages it was read from.
"""

from typing import Any

import msgspec
from sqlalchemy import Select, bindparam, func, select, update

from waypost.ids import AccountId, ShipmentId
from waypost.log.idempotency import forget_answers_of_shipment
from waypost.log.tables import attempts, events, intake_messages, intake_shipments
from waypost.log.transaction import Tx
from waypost.shipments.erase import blank_event


def erase_history(tx: Tx, account_id: AccountId, shipment_id: ShipmentId) -> None:
    """Blank everything stored about the people of a shipment but its own state, which the report blanked."""
    positions = _erase_events(tx, account_id, shipment_id)
    tx.erased.setdefault(account_id, []).extend(positions)
    _erase_attempts(tx, account_id, positions)
    _erase_messages(tx, account_id, shipment_id)
    forget_answers_of_shipment(tx.connection, account_id, shipment_id)


def _erase_events(tx: Tx, account_id: AccountId, shipment_id: ShipmentId) -> list[int]:
    rows = tx.connection.execute(events_of_shipment(account_id, shipment_id)).all()
    blank = [
        {"of_account": account_id, "of_position": row.position, "body": blank_event(bytes(row.body))} for row in rows
    ]
    if blank:
        mine = events.c.account_id == bindparam("of_account"), events.c.position == bindparam("of_position")
        tx.connection.execute(update(events).where(*mine), blank)
    return [row.position for row in rows]


def _erase_attempts(tx: Tx, account_id: AccountId, positions: list[int]) -> None:
    """Blank the answers kept of these events, those of endpoints that were deleted since included."""
    blank = [
        {
            "of_account": account_id,
            "of_endpoint": endpoint_id,
            "of_position": row.position,
            "of_number": row.number,
            "detail": erase_answer(bytes(row.detail)),
        }
        for endpoint_id in _tried_endpoints(tx, account_id)
        for row in tx.connection.execute(attempts_at(account_id, endpoint_id, positions))
    ]
    if blank:
        names = {
            "account_id": "of_account",
            "endpoint_id": "of_endpoint",
            "position": "of_position",
            "number": "of_number",
        }
        mine = [attempts.c[column] == bindparam(name) for column, name in names.items()]
        tx.connection.execute(update(attempts).where(*mine), blank)


def _tried_endpoints(tx: Tx, account_id: AccountId) -> list[str]:
    """The endpoints that anything was ever sent to, with one step through the attempts' primary key for each."""
    found: list[str] = []
    columns = attempts.c
    while True:
        following = select(func.min(columns.endpoint_id)).where(columns.account_id == account_id)
        endpoint_id = tx.connection.execute(
            following.where(columns.endpoint_id > (found[-1] if found else ""))
        ).scalar()
        if endpoint_id is None:
            return found
        found.append(endpoint_id)


def erase_answer(detail: bytes) -> bytes:
    """Give an attempt's JSON without what the receiver answered: it may quote the people it was told of."""
    attempt = msgspec.json.decode(detail)
    if isinstance(attempt.get("response"), dict):
        attempt["response"] |= {"headers": {}, "body": ""}
    return msgspec.json.encode(attempt)


def _erase_messages(tx: Tx, account_id: AccountId, shipment_id: ShipmentId) -> None:
    mine = intake_shipments.c.account_id == account_id, intake_shipments.c.shipment_id == shipment_id
    read_from = select(intake_shipments.c.message_id).where(*mine)
    columns = intake_messages.c
    blank = update(intake_messages).where(columns.account_id == account_id, columns.message_id.in_(read_from))
    tx.connection.execute(blank.values(body=b"", erased_at=tx.now_us))


def events_of_shipment(account_id: AccountId, shipment_id: ShipmentId) -> Select[Any]:
    """The events of a shipment, in order. Walks events_sequence_once."""
    columns = events.c
    mine = select(columns.position, columns.body).where(columns.account_id == account_id, columns.key == shipment_id)
    return mine.order_by(columns.sequence)


def attempts_at(account_id: AccountId, endpoint_id: str, positions: list[int]) -> Select[Any]:
    """The attempts of an endpoint at these positions. By the primary key."""
    columns = attempts.c
    mine = select(columns.position, columns.number, columns.detail)
    mine = mine.where(columns.account_id == account_id, columns.endpoint_id == endpoint_id)
    return mine.where(columns.position.in_(positions))
