"""An example of every type of event: real ones, of a shipment that does not exist.

The stories' reports go through the code that every report goes through, and the fact they end in is encoded like any
other, so an example cannot show what Waypost would not send.
"""

import hashlib
from datetime import datetime, timedelta
from functools import cache

import msgspec

from waypost.events import kinds
from waypost.events.data import TestData
from waypost.events.envelope import API_VERSION, Envelope, encode_account_event, encode_event, instant
from waypost.events.operations import DeliveryFailedData, EndpointStateData, EventBrief, LastAttempt, endpoint_brief
from waypost.events.stories import BOOKED_AT, story
from waypost.ids import AccountId, EndpointId, EventId, ShipmentId, ulid
from waypost.shipments.facts import Fact
from waypost.shipments.report import apply
from waypost.shipments.state import TRACKING_EVENTS_IN_EVENTS, ShipmentState, shipment_json

ACCOUNT_ID = AccountId("fossvik")
REFERENCE = "SO-48251"
FIRST_POSITION = 10_231  # the account's log was busy before this shipment came


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


SHIPMENT_ID = ShipmentId(f"shp_{ulid(_ms(BOOKED_AT), 0x5A01_B2C3_D4E5_F607_1829)}")
ENDPOINT_ID = EndpointId(f"ep_{ulid(_ms(BOOKED_AT) - 86_400_000, 0x2E09_C8B7_A695_8473_6253)}")


class _Told(msgspec.Struct, frozen=True):
    """The fact a story ends in, with the shipment as it was then and the fact's place in its history."""

    fact: Fact
    state: ShipmentState
    sequence: int
    recorded_at: datetime


def _tell(event_type: str) -> _Told:
    """Play the story of a type through `apply` and give the last fact of that type."""
    state: ShipmentState | None = None
    sequence = 0
    told: _Told | None = None
    for step in story(event_type):
        outcome = apply(state, step.report, reference=REFERENCE, shipment_id=SHIPMENT_ID, now=step.at)
        state = outcome.state
        for sequence, fact in enumerate(outcome.facts, start=sequence + 1):  # noqa: B020 - counts on from the last step
            if kinds.event_type(fact) == event_type:
                told = _Told(fact, state, sequence, step.at)
    assert state is not None, event_type
    assert told is not None, event_type
    return told


def _event_id(event_type: str, at: datetime) -> EventId:
    digest = hashlib.sha256(event_type.encode()).digest()
    return EventId(f"evt_{ulid(_ms(at), int.from_bytes(digest[:10]))}")


@cache
def example_event(event_type: str) -> bytes:
    """Give the bytes of an example of a type of the catalogue, as it would be stored. Raises KeyError for another."""
    if event_type == kinds.WEBHOOK_TEST:
        return _webhook_test()
    if not kinds.is_about_shipment(event_type):
        return _operation(event_type)
    told = _tell(event_type)
    return encode_event(
        told.fact,
        shipment=shipment_json(told.state, TRACKING_EVENTS_IN_EVENTS),
        event_id=_event_id(event_type, told.recorded_at),
        account_id=ACCOUNT_ID,
        shipment_id=SHIPMENT_ID,
        reference=REFERENCE,
        sequence=told.sequence,
        position=FIRST_POSITION + told.sequence,
        recorded_at=told.recorded_at,
    )


def _webhook_test() -> bytes:
    created = _tell(kinds.SHIPMENT_CREATED)
    message = "This is a test from Waypost. The shipment in it does not exist."
    data = TestData(shipment=msgspec.Raw(shipment_json(created.state, TRACKING_EVENTS_IN_EVENTS)), message=message)
    at = instant(created.recorded_at)
    event = Envelope(
        id=_event_id(kinds.WEBHOOK_TEST, created.recorded_at),
        type=kinds.WEBHOOK_TEST,
        timestamp=at,
        api_version=API_VERSION,
        recorded_at=at,
        account_id=ACCOUNT_ID,
        shipment_id=SHIPMENT_ID,
        reference=REFERENCE,
        sequence=0,
        position=0,
        test=True,
        data=data,
    )
    return msgspec.json.encode(event)


_BRIEF = endpoint_brief(ENDPOINT_ID, "Yard Pärnu", "https://yard.saarepuu.example/in/shipments")
_TROUBLE_AT = BOOKED_AT + timedelta(hours=28)
_LAST_SUCCESS_AT = BOOKED_AT + timedelta(hours=26, minutes=51)


def _operation_data(event_type: str) -> msgspec.Struct:
    state = EndpointStateData(
        endpoint=_BRIEF,
        state="failing",
        state_reason="5 attempts in a row failed. The last one: your server answered 503.",
        state_since=_TROUBLE_AT,
        last_success_at=_LAST_SUCCESS_AT,
    )
    match event_type:
        case kinds.ENDPOINT_FAILING:
            return state
        case kinds.ENDPOINT_SUSPENDED:
            reason = "Your server answered 410 Gone, which means: stop sending."
            return msgspec.structs.replace(state, state="suspended", state_reason=reason)
        case kinds.ENDPOINT_RESUMED:
            return msgspec.structs.replace(state, state="active", state_reason=None)
    refused = _tell(kinds.SHIPMENT_UPDATED)
    return DeliveryFailedData(
        endpoint=_BRIEF,
        event=EventBrief(
            id=_event_id(kinds.SHIPMENT_UPDATED, refused.recorded_at),
            type=kinds.SHIPMENT_UPDATED,
            shipment_id=SHIPMENT_ID,
            reference=REFERENCE,
            sequence=refused.sequence,
            position=FIRST_POSITION + refused.sequence,
        ),
        last_attempt=LastAttempt(number=10, started_at=_TROUBLE_AT, outcome="status", status=422),
        explanation="Your server answered 422: it does not accept this event. Look at its answer for the reason.",
    )


def _operation(event_type: str) -> bytes:
    if event_type not in kinds.EVENT_TYPES:
        raise KeyError(event_type)
    return encode_account_event(
        event_type,
        _operation_data(event_type),
        key=ENDPOINT_ID,
        event_id=_event_id(event_type, _TROUBLE_AT),
        account_id=ACCOUNT_ID,
        sequence=1,
        position=FIRST_POSITION + 40,
        occurred_at=_TROUBLE_AT,
        recorded_at=_TROUBLE_AT,
    )
