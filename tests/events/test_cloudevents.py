import re
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from cloudevents.core.formats.json import JSONFormat

from waypost.events.catalogue import CATALOGUE, test_event
from waypost.events.cloudevents import CONTENT_TYPE, structured
from waypost.events.envelope import encode_account_event
from waypost.events.rendering import render
from waypost.ids import AccountId, EndpointId, EventId

NOW = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
ATTRIBUTE_NAME = re.compile(r"[a-z0-9]{1,20}")


def example(event_type: str) -> bytes:
    return msgspec.json.encode(CATALOGUE[event_type].example)


def read_by_the_package(body: bytes) -> Any:
    """What the CloudEvents project's own reader makes of a request; it refuses what is no CloudEvent."""
    return from_structured_event(HTTPMessage(headers={"content-type": CONTENT_TYPE}, body=body), JSONFormat())


@pytest.mark.parametrize("event_type", CATALOGUE)
def test_every_type_of_event_is_a_cloudevent_to_the_projects_own_package(event_type):
    event = read_by_the_package(structured(example(event_type)))
    stored = CATALOGUE[event_type].example
    assert event.get_specversion() == "1.0"
    assert (event.get_id(), event.get_type()) == (stored["id"], event_type)
    assert event.get_source() == "/waypost/accounts/fossvik"
    assert event.get_time() == datetime.fromisoformat(stored["timestamp"])
    assert event.get_datacontenttype() == "application/json"
    assert event.get_data() == stored["data"]


@pytest.mark.parametrize("event_type", CATALOGUE)
def test_names_of_attributes_are_lower_case_letters_and_digits(event_type):
    names = msgspec.json.decode(structured(example(event_type))).keys() - {"data"}
    assert all(ATTRIBUTE_NAME.fullmatch(name) for name in names)


@pytest.mark.parametrize("event_type", CATALOGUE)
def test_no_attribute_is_null_and_none_is_a_number(event_type):
    event = msgspec.json.decode(structured(example(event_type)))
    del event["data"]
    assert {type(value) for value in event.values()} == {str, bool}


def test_the_envelope_stands_in_the_attributes():
    event = read_by_the_package(structured(example("shipment.status.delivered")))
    stored = CATALOGUE["shipment.status.delivered"].example
    assert event.get_subject() == stored["reference"]
    assert event.get_extension("partitionkey") == event.get_extension("shipmentid") == stored["shipment_id"]
    assert event.get_extension("sequence") == str(stored["sequence"])
    assert event.get_extension("position") == str(stored["position"])
    assert event.get_extension("recordedat") == stored["recorded_at"]
    assert event.get_extension("apiversion") == stored["api_version"]
    assert event.get_extension("accountid") == stored["account_id"]
    assert event.get_extension("test") is False


def test_an_event_of_the_senders_own_is_ordered_by_its_key():
    body = encode_account_event(
        "invoice.created", b'{"total": 1.10}', key="INV-1", event_id=EventId("evt_1"), account_id=AccountId("default"),
        sequence=3, position=2**53 + 1, occurred_at=NOW, recorded_at=NOW,
    )  # fmt: skip
    event = read_by_the_package(structured(body))
    assert (event.get_subject(), event.get_extension("partitionkey")) == ("INV-1", "INV-1")
    assert event.get_extension("position") == "9007199254740993"
    assert event.get_extension("shipmentid") is None


def test_a_test_says_that_it_is_one():
    body = test_event(
        "shipment.created", account_id=AccountId("a"), endpoint_id=EndpointId("ep_1"), event_id=EventId("e"), now=NOW
    )  # fmt: skip
    assert read_by_the_package(structured(body)).get_extension("test") is True


def test_what_the_payload_leaves_out_is_left_out_of_the_data():
    body = render(example("shipment.updated"), payload="changes", personal_data=True)
    data = read_by_the_package(structured(body)).get_data()
    assert data.keys() == {"changed", "changes", "actor"}
    assert structured(render(body, payload="reference", personal_data=True)).endswith(b'"data":{}}')


def test_the_data_is_the_stored_bytes():
    body = example("shipment.created")
    assert structured(body).endswith(body[body.index(b'"data":') :])
