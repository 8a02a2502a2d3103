"""The names that senders may give, and how their types are shown."""

from datetime import UTC, datetime
from typing import Any

import jsonschema
import msgspec
import pytest

from waypost.events.own_types import (
    OwnType,
    id_problem,
    key_problem,
    may_be_own,
    own_test_event,
    show_own_type,
    type_problem,
)
from waypost.ids import AccountId, EventId

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
SCHEMA = '{"type":"object","properties":{"number":{"$ref":"#/$defs/number"}},"$defs":{"number":{"type":"string"}}}'


def a_type(**given: Any) -> OwnType:
    fields = {"title": "Invoice made", "description": "", "schema": SCHEMA, "example": '{"number":"R-1"}'} | given
    return OwnType(type="invoice.created", revision=1, created_at=NOON, updated_at=NOON, **fields)


@pytest.mark.parametrize("name", ["invoice.created", "claim.opened.by_phone", "batch.closed", "a.b2"])
def test_small_words_with_dots_name_a_type(name: str) -> None:
    assert type_problem(name) is None


@pytest.mark.parametrize(
    "name", ["", "invoice", "Invoice.created", "invoice.", ".x", "a..b", "a.1b", "invoice.*", "a.b\n", "a." + "b" * 99]
)
def test_other_names_are_refused(name: str) -> None:
    assert type_problem(name) is not None


@pytest.mark.parametrize("word", ["shipment", "tracking", "handling_unit", "endpoint", "delivery", "webhook"])
def test_the_words_of_the_catalogue_are_reserved(word: str) -> None:
    assert "reserved" in str(type_problem(f"{word}.made"))


@pytest.mark.parametrize("key", ["R-2201", "a/b", "x" * 255, "Ünïcode 1"])
def test_a_key_is_made_as_a_reference_is(key: str) -> None:
    assert key_problem(key) is None


@pytest.mark.parametrize("key", ["", " x", "x ", "a\nb", "x" * 256, "shp_1", "ep_1", "a\x00", "\ud800"])
def test_other_keys_are_refused(key: str) -> None:
    assert key_problem(key) is not None


@pytest.mark.parametrize("event_id", ["tms-1", "A.b:c_d-9", "x" * 128])
def test_an_id_may_be_the_senders(event_id: str) -> None:
    assert id_problem(event_id) is None


@pytest.mark.parametrize("event_id", ["", "evt_1", "bat_1", "job_1", "a b", "é", "x" * 129, "a\n", "a/b"])
def test_other_ids_are_refused(event_id: str) -> None:
    assert id_problem(event_id) is not None


def test_patterns_may_be_of_a_senders_own_by_their_first_word() -> None:
    assert [may_be_own(name) for name in ("invoice.*", "invoice.created", "shipment.*", "*", "invoice")] == [
        True, True, False, False, False,
    ]  # fmt: skip


def test_the_example_that_is_shown_fits_the_schema_that_is_shown() -> None:
    shown = msgspec.json.decode(msgspec.json.encode(show_own_type(a_type(), AccountId("default"))))
    validator = jsonschema.Draft202012Validator(shown["schema"])
    assert list(validator.iter_errors(shown["example"])) == []
    assert shown["example"]["data"] == {"number": "R-1"}
    shown["example"]["data"]["number"] = 5
    assert [list(error.path) for error in validator.iter_errors(shown["example"])] == [["data", "number"]]


def test_a_type_without_an_example_shows_none() -> None:
    shown = msgspec.json.decode(msgspec.json.encode(show_own_type(a_type(example=None), AccountId("default"))))
    assert (shown["example"], shown["data_example"], shown["own"]) == (None, None, True)


def test_a_test_of_an_own_type_carries_its_example_and_is_marked() -> None:
    names = {"account_id": AccountId("default"), "endpoint_id": "ep_1", "event_id": EventId("evt_test_1")}
    event = msgspec.json.decode(own_test_event(a_type(), now=NOON, **names))
    assert (event["test"], event["sequence"], event["position"], event["key"]) == (True, 0, 0, "ep_1")
    assert event["data"] == {"number": "R-1"}
