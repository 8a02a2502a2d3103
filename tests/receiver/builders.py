"""Signed requests and events for the receiver's end."""

from typing import Any

from waypost.delivery.signing import new_secret, signature_header

SECRET = new_secret(bytes(range(32)))
OTHER_SECRET = new_secret(bytes(range(1, 33)))
NOW = 1_796_134_634


def signed(body: bytes, *secrets: str, message_id: str = "evt_1", timestamp: int = NOW) -> dict[str, str]:
    """Give the headers with which `body` is sent."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature_header(secrets or (SECRET,), message_id, timestamp, body),
    }


def an_event(number: int = 1, **fields: Any) -> dict[str, Any]:
    """Give an event of one shipment, the `number`th of its shipment and of the log."""
    return {
        "id": f"evt_{number}",
        "type": "shipment.updated",
        "timestamp": "2026-12-01T08:15:00Z",
        "account_id": "default",
        "shipment_id": "shp_1",
        "reference": "SO-1",
        "sequence": number,
        "position": number,
        "test": False,
        "data": {"shipment": {"status": "booked"}},
        **fields,
    }
