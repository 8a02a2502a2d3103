from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from waypost.events.envelope import API_VERSION, encode_account_event, encode_event, instant
from waypost.events.kinds import event_type
from waypost.ids import AccountId, EventId, ShipmentId
from waypost.shipments.facts import (
    Actor,
    Change,
    ConditionChanged,
    DetailsChanged,
    DocumentAdded,
    EtaChanged,
    Fact,
    Progress,
    ShipmentCreated,
    StatusChanged,
    TrackingEventCorrected,
    TrackingEventRecorded,
    TrackingEventRetracted,
    TrackingStale,
    UnitStatusChanged,
)
from waypost.shipments.model import Document, TrackedUnit, TrackingEvent

HAPPENED_AT = datetime(2026, 11, 26, 15, 2, 17, tzinfo=UTC)
RECORDED_AT = HAPPENED_AT + timedelta(milliseconds=1004)
BOOKED = Progress(status="booked", condition="ok")
SCAN = TrackingEvent(id="scan-9", occurred_at=HAPPENED_AT, received_at=RECORDED_AT, sequence=1)


def encoded(fact: Fact, shipment: bytes = b'{"reference": "SO-48213"}') -> bytes:
    return encode_event(
        fact,
        shipment=shipment,
        event_id=EventId("evt_1"),
        account_id=AccountId("default"),
        shipment_id=ShipmentId("shp_1"),
        reference="SO-48213",
        sequence=8,
        position=10977,
        recorded_at=RECORDED_AT,
    )


def data_of(fact: Fact) -> dict[str, object]:
    return msgspec.json.decode(encoded(fact))["data"]


def test_an_event_is_these_bytes():
    change = Change("/handling_units/hu_1/gross_weight_kg", "changed", "356", "402")
    actor = Actor(kind="api", token="tms")
    fact = DetailsChanged(occurred_at=HAPPENED_AT, changes=(change,), changed=("items",), actor=actor)
    assert encoded(fact) == (
        b'{"id":"evt_1","type":"shipment.updated","timestamp":"2026-11-26T15:02:17Z","api_version":"2026-12-01",'
        b'"recorded_at":"2026-11-26T15:02:18.004Z","account_id":"default","shipment_id":"shp_1",'
        b'"reference":"SO-48213","sequence":8,"position":10977,"test":false,'
        b'"data":{"shipment":{"reference": "SO-48213"},"changed":["items"],'
        b'"changes":[{"path":"/handling_units/hu_1/gross_weight_kg","op":"changed","old":"356","new":"402"}],'
        b'"actor":{"kind":"api","token":"tms"}}}'
    )


def test_the_shipment_is_copied_in_byte_for_byte():
    shipment = '{"b": 1.50, "a": "Pärnu"}'.encode()
    assert b'"data":{"shipment":' + shipment + b"}" in encoded(ShipmentCreated(occurred_at=HAPPENED_AT), shipment)


def test_a_new_status_tells_what_it_was_and_what_made_it():
    fact = StatusChanged(
        occurred_at=HAPPENED_AT, status="collected", previous=BOOKED, tracking_event=SCAN, first_time=True
    )
    assert event_type(fact) == "shipment.status.collected"
    assert list(data_of(fact)) == ["shipment", "previous", "tracking_event", "first_time"]
    assert data_of(fact)["previous"] == {"status": "booked", "condition": "ok"}


@pytest.mark.parametrize(
    ("fact", "name", "fields"),
    [
        (
            ConditionChanged(
                occurred_at=HAPPENED_AT,
                condition="delayed",
                reason="weather",
                action_required_by="none",
                previous=BOOKED,
            ),
            "shipment.condition.delayed",
            ["reason", "action_required_by", "previous"],
        ),
        (
            EtaChanged(occurred_at=HAPPENED_AT, previous=None, eta=None, delta_minutes=40),
            "shipment.eta_changed",
            ["previous", "eta", "delta_minutes"],
        ),
        (DocumentAdded(occurred_at=HAPPENED_AT, document=Document()), "shipment.document_added", ["document"]),
        (
            TrackingEventRecorded(occurred_at=HAPPENED_AT, tracking_event=SCAN, late=True),
            "tracking.event_recorded",
            ["tracking_event", "late"],
        ),
        (
            TrackingEventCorrected(occurred_at=HAPPENED_AT, old=SCAN, new=SCAN),
            "tracking.event_corrected",
            ["old", "new"],
        ),
        (TrackingEventRetracted(occurred_at=HAPPENED_AT, old=SCAN), "tracking.event_retracted", ["old", "new"]),
        (TrackingStale(occurred_at=HAPPENED_AT, last_event=SCAN), "tracking.stale", ["last_event"]),
        (
            UnitStatusChanged(occurred_at=HAPPENED_AT, handling_unit=TrackedUnit(status="lost"), previous="booked"),
            "handling_unit.status.lost",
            ["handling_unit"],
        ),
    ],
)
def test_every_fact_has_its_type_and_its_data(fact, name, fields):
    event = msgspec.json.decode(encoded(fact))
    assert event["type"] == event_type(fact) == name
    assert list(event["data"]) == ["shipment", *fields]


@pytest.mark.parametrize("data", [b'{"amount":1.50}', {"amount": "1.50"}])
def test_an_event_about_no_shipment_has_a_key_and_no_shipment(data):
    body = encode_account_event(
        "invoice.created",
        data,
        key="INV-1",
        event_id=EventId("evt_1"),
        account_id=AccountId("default"),
        sequence=1,
        position=2,
        occurred_at=HAPPENED_AT,
        recorded_at=RECORDED_AT,
    )
    event = msgspec.json.decode(body)
    assert (event["shipment_id"], event["reference"], event["key"]) == (None, None, "INV-1")
    assert event["api_version"] == API_VERSION
    assert list(event["data"]) == ["amount"]


@pytest.mark.parametrize(
    ("microsecond", "written"),
    [(0, "2026-11-26T15:02:17Z"), (4000, "2026-11-26T15:02:17.004Z"), (4001, "2026-11-26T15:02:17.004001Z")],
)
def test_an_instant_is_written_with_the_digits_it_has(microsecond, written):
    assert instant(HAPPENED_AT.replace(microsecond=microsecond)) == written


@pytest.mark.parametrize("zone", [None, timezone(timedelta(hours=2))])
def test_an_instant_that_is_not_in_utc_is_a_bug(zone):
    with pytest.raises(AssertionError):
        instant(HAPPENED_AT.replace(tzinfo=zone))
