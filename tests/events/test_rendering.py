from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.folding_world import Told, decoded
from shipments.builders import document
from shipments.strategies import DOCUMENTS
from waypost.events.catalogue import CATALOGUE
from waypost.events.envelope import encode_account_event
from waypost.events.rendering import batch, render
from waypost.ids import AccountId, EventId

NOW = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
PERSON = {"name": "Mari Kask", "phone": "+3725550100", "email": "mari@saarepuu.example"}


def example(event_type: str) -> bytes:
    return msgspec.json.encode(CATALOGUE[event_type].example)


def updated(patch: dict[str, Any]) -> bytes:
    told = Told(document())
    told.patch(patch)
    return told.of_type("shipment.updated")[-1]


def of_the_sender(data: bytes = b'{"number": 12345678901234567890.10, "contact": {"name": "X"}}') -> bytes:
    return encode_account_event(
        "invoice.created", data, key="INV-1", event_id=EventId("evt_1"), account_id=AccountId("default"), sequence=1,
        position=7, occurred_at=NOW, recorded_at=NOW,
    )  # fmt: skip


def anonymous(body: bytes, payload: str = "full") -> bytes:
    return render(body, payload=payload, personal_data=False)


@pytest.mark.parametrize("event_type", CATALOGUE)
def test_the_whole_event_is_the_stored_bytes_themselves(event_type):
    body = example(event_type)
    assert render(body, payload="full", personal_data=True) is body


@pytest.mark.parametrize("event_type", CATALOGUE)
def test_changes_are_all_of_the_event_but_the_shipment(event_type):
    event = decoded(example(event_type))
    expected = event | {"data": {name: value for name, value in event["data"].items() if name != "shipment"}}
    assert decoded(render(example(event_type), payload="changes", personal_data=True)) == expected


@pytest.mark.parametrize("event_type", CATALOGUE)
def test_a_reference_is_the_envelope_alone(event_type):
    expected = decoded(example(event_type)) | {"data": {}}
    assert decoded(render(example(event_type), payload="reference", personal_data=True)) == expected


@pytest.mark.parametrize("event_type", CATALOGUE)
def test_the_members_stay_in_their_order(event_type):
    for payload in ("full", "changes", "reference"):
        rendered = decoded(anonymous(example(event_type), payload))
        assert list(rendered) == list(decoded(example(event_type)))


@pytest.mark.parametrize("event_type", CATALOGUE)
def test_no_contact_of_the_example_is_in_what_is_sent_without_personal_data(event_type):
    body = anonymous(example(event_type))
    parties = (decoded(body)["data"].get("shipment") or {}).get("parties") or {}
    assert all(party["contact"] is None for party in parties.values() if party)
    assert b"@" not in body


def test_without_personal_data_all_but_the_contacts_is_there():
    (body,) = Told(document()).of_type("shipment.created")
    expected = decoded(body)
    assert expected["data"]["shipment"]["parties"]["shipper"]["contact"] == PERSON
    expected["data"]["shipment"]["parties"]["shipper"]["contact"] = None
    assert decoded(anonymous(body)) == expected


def test_a_shipment_without_parties_has_no_contacts_to_leave_out():
    (body,) = Told({}).of_type("shipment.created")
    assert decoded(anonymous(body)) == decoded(body)


@pytest.mark.parametrize(
    "patch",
    [
        {"parties": {"shipper": {"contact": {"name": "New Person"}}}},
        {"parties": {"consignee": {"contact": {"name": "New Person", "phone": "+3725550111"}}}},
        {"parties": {"notify": {"name": "Vik", "contact": {"name": "New Person"}}}},
        {"parties": {"shipper": None}},
        {"parties": None},
        {"parties": {"shipper": {"contact": None}}},
    ],
    ids=["a name", "a contact", "a party", "a party removed", "all parties removed", "a contact removed"],
)
@pytest.mark.parametrize("payload", ["full", "changes"])
def test_changes_of_a_contact_are_left_out_and_contacts_in_values_are_null(patch, payload):
    body = updated(patch)
    assert b"New Person" in body or b"Mari Kask" in body
    rendered = anonymous(body, payload)
    assert b"New Person" not in rendered
    assert b"Mari Kask" not in rendered
    assert b"+372555" not in rendered


def test_a_party_that_came_is_told_without_its_contact():
    body = updated({"parties": {"notify": {"name": "Vik", "contact": {"name": "New Person"}}}})
    (change,) = decoded(anonymous(body))["data"]["changes"]
    assert (change["new"]["name"], change["new"]["contact"]) == ("Vik", None)


def test_other_changes_stay_as_they_are_without_personal_data():
    body = updated({"handling_units": [{"id": "contact", "gross_weight_kg": "7"}], "tags": ["late"]})
    assert decoded(anonymous(body))["data"]["changes"] == decoded(body)["data"]["changes"]


@given(DOCUMENTS, DOCUMENTS, st.sampled_from(["full", "changes"]))
def test_no_phone_number_gets_through_whatever_is_reported(before, after, payload):
    told = Told(with_phones(before))
    told.put(with_phones(after))
    for body in told.bodies:
        assert b"555-PHONE" not in anonymous(body, payload)


def with_phones(shipment: dict[str, Any]) -> dict[str, Any]:
    parties = shipment.get("parties") or {}
    named = {
        role: (party or {}) | {"contact": {"phone": f"555-PHONE-{len(shipment)}"}} for role, party in parties.items()
    }
    return shipment | {"parties": named or None}


def test_folded_events_are_folded_before_anything_is_left_out():
    told = Told(document())
    told.patch({"tags": ["late"]})
    told.patch({"parties": {"shipper": {"contact": {"name": "New Person"}}}})
    first, second = told.of_type("shipment.updated")
    data = decoded(render(second, [first], payload="changes", personal_data=False))["data"]
    assert [change["path"] for change in data["changes"]] == ["/tags/priority", "/tags/late"]


@pytest.mark.parametrize("personal_data", [True, False])
@pytest.mark.parametrize("payload", ["full", "changes"])
def test_an_event_of_the_senders_own_goes_as_it_was_given(payload, personal_data):
    body = of_the_sender(b'{"number":12345678901234567890.10,"shipment":"SO-1","contact":{"name":"X"}}')
    assert render(body, payload=payload, personal_data=personal_data) == body


def test_of_an_event_of_the_senders_own_a_reference_leaves_the_key():
    event = decoded(render(of_the_sender(), payload="reference", personal_data=True))
    assert (event["key"], event["data"]) == ("INV-1", {})


def test_numbers_keep_the_digits_they_were_stored_with():
    told = Told(document(stops=[{"id": "s", "address": {"latitude": 58.90000000000001}}]))
    assert b"58.90000000000001" in anonymous(told.bodies[0])


def test_a_batch_is_an_array_of_the_events_byte_for_byte():
    bodies = [example("shipment.created"), example("endpoint.failing")]
    assert batch(bodies) == b"[" + bodies[0] + b"," + bodies[1] + b"]"
    assert [event["type"] for event in msgspec.json.decode(batch(bodies))] == ["shipment.created", "endpoint.failing"]
