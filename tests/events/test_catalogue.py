import json
from datetime import UTC, datetime

import pytest
from jsonschema import Draft202012Validator

from events.schemas import problems
from waypost.errors import InvalidDocument
from waypost.events import catalogue
from waypost.events.catalogue import CATALOGUE, catalogue_markdown, groups
from waypost.events.data import DATA_TYPES
from waypost.events.examples import example_event
from waypost.events.kinds import CONDITIONS, EVENT_TYPES, RESERVED_WORDS, STATUSES, is_about_shipment
from waypost.events.wording import GROUPS
from waypost.ids import AccountId, EndpointId, EventId

NOW = datetime(2027, 1, 4, 9, 12, 31, 250_000, tzinfo=UTC)


def a_test(event_type: str | None = None) -> dict[str, object]:
    body = catalogue.test_event(
        event_type,
        account_id=AccountId("saarepuu"),
        endpoint_id=EndpointId("ep_1"),
        event_id=EventId("evt_test_1"),
        now=NOW,
    )
    return json.loads(body)


def test_the_catalogue_holds_every_status_and_condition_once():
    assert len(CATALOGUE) == len(set(CATALOGUE)) == 13 + 2 * len(STATUSES) + len(CONDITIONS)
    assert {f"shipment.status.{status}" for status in STATUSES} < set(CATALOGUE)
    assert {f"handling_unit.status.{status}" for status in STATUSES} < set(CATALOGUE)
    assert {f"shipment.condition.{condition}" for condition in CONDITIONS} < set(CATALOGUE)


def test_a_type_that_is_not_there_is_a_key_error():
    assert "shipment.statsu" not in CATALOGUE
    with pytest.raises(KeyError):
        CATALOGUE["shipment.statsu"]


def test_every_type_stands_under_one_heading():
    grouped = [kind.type for members in groups().values() for kind in members]
    assert sorted(grouped) == sorted(EVENT_TYPES)
    assert all(groups()[group] for group in GROUPS)


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_every_type_is_described_in_one_sentence_of_its_own(event_type):
    kind = CATALOGUE[event_type]
    assert kind.title
    assert kind.description.endswith(".")
    assert "\n" not in kind.description
    assert [other.type for other in CATALOGUE.values() if other.description == kind.description] == [event_type]


@pytest.mark.parametrize("event_type", {DATA_TYPES[name]: name for name in EVENT_TYPES}.values())
def test_every_shape_of_schema_is_valid_json_schema(event_type):
    Draft202012Validator.check_schema(CATALOGUE[event_type].schema)


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_every_schema_names_its_type_and_stands_on_its_own(event_type):
    schema = CATALOGUE[event_type].schema
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"].endswith(f"/{event_type}.json")
    assert schema["properties"]["type"] == {"const": event_type}
    refs = [part for part in json.dumps(schema).split('"') if part.startswith("#/$defs/")]
    assert {ref.rpartition("/")[2] for ref in refs} == set(schema["$defs"])


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_every_example_is_valid_by_its_own_schema(event_type):
    kind = CATALOGUE[event_type]
    assert kind.example["type"] == event_type
    assert problems(kind.example) == []


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_an_example_is_about_a_shipment_where_its_type_is(event_type):
    example = CATALOGUE[event_type].example
    if is_about_shipment(event_type):
        assert example["data"]["shipment"]["id"] == example["shipment_id"]
        assert example["data"]["shipment"]["reference"] == example["reference"]
        assert example["timestamp"] <= example["recorded_at"]
    is_test = event_type == "webhook.test"
    assert example["test"] is is_test
    assert (example["sequence"] == 0) is is_test


@pytest.mark.parametrize("status", STATUSES)
def test_the_example_of_a_status_shows_a_shipment_in_it(status):
    assert CATALOGUE[f"shipment.status.{status}"].example["data"]["shipment"]["status"] == status
    assert CATALOGUE[f"handling_unit.status.{status}"].example["data"]["handling_unit"]["status"] == status


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_example_of_a_condition_shows_a_shipment_in_it(condition):
    assert CATALOGUE[f"shipment.condition.{condition}"].example["data"]["shipment"]["condition"] == condition


def test_an_example_that_breaks_its_schema_is_found():
    example = json.loads(example_event("shipment.updated"))
    assert problems(example | {"colour": "red"}) != []
    assert problems(example | {"sequence": "1"}) != []
    del example["data"]["shipment"]["parties"]
    assert problems(example) != []


def test_a_receiver_that_checks_the_schema_takes_fields_that_come_later():
    kind = CATALOGUE["shipment.created"]
    later = json.loads(json.dumps(kind.example))
    later["data"]["shipment"]["carbon_kg"] = "12"
    assert Draft202012Validator(kind.schema).is_valid(later)


def test_without_a_choice_a_test_is_a_webhook_test():
    event = a_test()
    assert event["type"] == "webhook.test"
    assert event["data"]["shipment"]["reference"] == event["reference"]


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_a_test_is_the_example_of_the_chosen_type_and_says_so(event_type):
    event = a_test(event_type)
    assert (event["type"], event["test"], event["position"], event["sequence"]) == (event_type, True, 0, 0)
    assert (event["id"], event["account_id"]) == ("evt_test_1", "saarepuu")
    assert event["timestamp"] == event["recorded_at"] == "2027-01-04T09:12:31.250Z"
    assert event["data"] == CATALOGUE[event_type].example["data"]
    assert problems(event) == []


def test_a_test_about_an_endpoint_is_ordered_by_that_endpoint():
    assert a_test("endpoint.failing")["key"] == "ep_1"


def test_a_test_of_an_unknown_type_is_refused_with_the_near_one():
    with pytest.raises(InvalidDocument, match=r"shipment\.status\.delivered"):
        a_test("shipment.delivered")


def test_examples_are_the_same_every_time():
    assert example_event("shipment.updated") == example_event.__wrapped__("shipment.updated")


def test_the_page_names_every_type_and_describes_every_part():
    page = catalogue_markdown()
    assert all(f"| `{event_type}` |" in page for event_type in EVENT_TYPES)
    links = {link.partition(")")[0] for link in page.split("](#")[1:]}
    anchors = {line[4:].lower() for line in page.splitlines() if line.startswith("### ")}
    assert links <= anchors


def test_the_words_that_types_begin_with_are_reserved():
    assert {"shipment", "tracking", "handling_unit", "endpoint", "delivery", "webhook"} == RESERVED_WORDS
