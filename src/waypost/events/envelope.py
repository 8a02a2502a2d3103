"""From a fact to the bytes of an event, as they are stored, signed and sent.

The bytes are written here once and never again: retries, signatures and endpoints all use the same ones. The shipment
comes as bytes and is copied in as it is.
"""

from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta

from waypost.events.data import fact_data
from waypost.events.kinds import event_type
from waypost.ids import AccountId, EventId, ShipmentId
from waypost.shipments.facts import Fact

API_VERSION = "2026-12-01"  # the day of the last change that could break a receiver

D = TypeVar("D")

Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class Envelope(msgspec.Struct, Generic[D], frozen=True, kw_only=True):
    """An event about a shipment. The fields are sent in this order."""

    id: Annotated[str, Meta(description="The same in every retry and at every endpoint: know repeats by it.")]
    type: str
    timestamp: Annotated[Instant, Meta(description="When it happened.")]
    api_version: Annotated[str, Meta(description="The version of this shape: changes when a receiver could break.")]
    recorded_at: Annotated[Instant, Meta(description="When Waypost stored it.")]
    account_id: str
    shipment_id: str
    reference: Annotated[str, Meta(description="The sender's own reference of the shipment.")]
    sequence: Annotated[int, Meta(ge=0, description="Counts the shipment's events from 1 without gaps; 0 in a test.")]
    position: Annotated[int, Meta(ge=0, description="Counts the account's events from 1 without gaps; 0 in a test.")]
    test: Annotated[bool, Meta(description="True when somebody pressed the test button: nothing happened.")]
    data: D


class AccountEnvelope(msgspec.Struct, Generic[D], frozen=True, kw_only=True):
    """An event about no shipment: of an endpoint, or of the sender's own. The fields are sent in this order."""

    id: Annotated[str, Meta(description="The same in every retry and at every endpoint: know repeats by it.")]
    type: str
    timestamp: Annotated[Instant, Meta(description="When it happened.")]
    api_version: Annotated[str, Meta(description="The version of this shape: changes when a receiver could break.")]
    recorded_at: Annotated[Instant, Meta(description="When Waypost stored it.")]
    account_id: str
    shipment_id: None
    reference: None
    key: Annotated[str, Meta(description="What orders these events: the endpoint's id, or what the sender gave.")]
    sequence: Annotated[int, Meta(ge=0, description="Counts the events of this key from 1 without gaps; 0 in a test.")]
    position: Annotated[int, Meta(ge=0, description="Counts the account's events from 1 without gaps; 0 in a test.")]
    test: Annotated[bool, Meta(description="True when somebody pressed the test button: nothing happened.")]
    data: D


_encode = msgspec.json.Encoder().encode


def encode_event(
    fact: Fact,
    *,
    shipment: bytes,
    event_id: EventId,
    account_id: AccountId,
    shipment_id: ShipmentId,
    reference: str,
    sequence: int,
    position: int,
    recorded_at: datetime,
) -> bytes:
    """Give the bytes of the event that tells `fact`.

    `shipment` is the JSON of the shipment as it is after the report (its last 20 tracking events). `sequence` counts
    the shipment's events and `position` the account's, both from 1. `recorded_at` is the commit's instant, in UTC.
    """
    return _encode(
        Envelope(
            id=event_id,
            type=event_type(fact),
            timestamp=instant(fact.occurred_at),
            api_version=API_VERSION,
            recorded_at=instant(recorded_at),
            account_id=account_id,
            shipment_id=shipment_id,
            reference=reference,
            sequence=sequence,
            position=position,
            test=False,
            data=fact_data(fact, msgspec.Raw(shipment)),
        )
    )


def encode_account_event(
    type: str,  # noqa: A002 - the word of the envelope
    data: bytes | Any,
    *,
    key: str,
    event_id: EventId,
    account_id: AccountId,
    sequence: int,
    position: int,
    occurred_at: datetime,
    recorded_at: datetime,
) -> bytes:
    """Give the bytes of an event about no shipment.

    `data` is JSON in bytes, or a value to encode (the structs of data.py for the types of the catalogue). `key` orders
    such events as a shipment orders its own, and `sequence` counts them from 1.
    """
    return _encode(
        AccountEnvelope(
            id=event_id,
            type=type,
            timestamp=instant(occurred_at),
            api_version=API_VERSION,
            recorded_at=instant(recorded_at),
            account_id=account_id,
            shipment_id=None,
            reference=None,
            key=key,
            sequence=sequence,
            position=position,
            test=False,
            data=msgspec.Raw(data) if isinstance(data, bytes) else data,
        )
    )


@lru_cache(maxsize=1024)  # all events of a commit bear the same instant, and writing it costs a third of an event
def instant(at: datetime) -> str:
    """Write a UTC instant as RFC 3339 with `Z`, with as many digits of a second as it has: none, three or six."""
    assert at.tzinfo is not None, at
    written = at.isoformat()
    assert written.endswith("+00:00"), at
    written = written[:-6]
    if at.microsecond and at.microsecond % 1000 == 0:
        written = written[:-3]
    return written + "Z"
