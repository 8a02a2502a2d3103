"""The glance at a document must see every field that can be wrong, or not yet in its stored form."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given

from shipments.builders import document
from shipments.strategies import DOCUMENTS
from waypost.errors import InvalidDocument
from waypost.shipments import ShipmentDocument, read_document, read_document_value
from waypost.shipments.glance import is_surely_settled
from waypost.shipments.plans import FieldPlan, PartPlan, plan_of
from waypost.shipments.settling import settle

Path = tuple[FieldPlan, ...]


def fields_within(plan: PartPlan, above: Path = ()) -> Iterator[Path]:
    """Every field of a document, with those that it stands in."""
    for field in plan.fields:
        yield (*above, field)
        if field.part is not None:
            yield from fields_within(field.part, (*above, field))


def saying(path: Path, value: Any) -> dict[str, Any]:
    """A document that says one thing."""
    for field in reversed(path):
        value = {field.name: [value] if field.holds == "parts" and field is not path[-1] else value}
    return value


def named(path: Path) -> str:
    return "/".join(field.name for field in path)


FIELDS = list(fields_within(plan_of(ShipmentDocument)))
FORMED = [path for path in FIELDS if path[-1].form is not None]
INSTANTS = [path for path in FIELDS if path[-1].holds == "instant"]
SETS = [path for path in FIELDS if path[-1].holds == "set"]
PARTS = [path for path in FIELDS if path[-1].holds == "part"]
LISTS = [path for path in FIELDS if path[-1].holds == "parts"]
BROKEN = {"whole": -1, "number": 1000}  # all others are text, which may not hold a bell


def glance(value: dict[str, Any]) -> bool:
    return is_surely_settled(msgspec.convert(value, ShipmentDocument))


@pytest.mark.parametrize("path", FORMED, ids=named)
def test_a_broken_value_is_seen_wherever_it_stands(path):
    broken = BROKEN.get(path[-1].holds, "\x07")
    value = saying(path, [broken] if path[-1].holds in ("set", "texts") else broken)
    assert not glance(value)
    with pytest.raises(InvalidDocument):
        read_document(json.dumps(value).encode())


@pytest.mark.parametrize("path", INSTANTS, ids=named)
def test_an_instant_that_is_not_in_utc_is_seen_wherever_it_stands(path):
    assert not glance(saying(path, "2026-12-08T17:00:00+02:00"))


@pytest.mark.parametrize("path", SETS, ids=named)
def test_a_repeat_in_a_set_is_seen_wherever_it_stands(path):
    assert not glance(saying(path, ["a", "b", "a"]))
    assert glance(saying(path, ["a", "b"]))


@pytest.mark.parametrize("path", PARTS, ids=named)
def test_an_object_of_which_nothing_is_known_is_seen_wherever_it_stands(path):
    assert not glance(saying(path, {}))


@pytest.mark.parametrize("path", LISTS, ids=named)
def test_two_items_with_one_id_are_seen_wherever_they_stand(path):
    assert not glance(saying(path, [{"id": "a"}, {"id": "a"}]))
    assert glance(saying(path, [{"id": "a"}, {"id": "b"}, {}]))


def test_a_container_and_a_window_without_a_day_are_left_to_their_rules():
    assert not glance({"handling_units": [{"kind": "40HC", "tracking_number": "CSQU3054384"}]})
    assert not glance({"eta": {"window": {"from": "09:00"}}})


def test_what_is_sound_raises_no_doubt():
    assert glance(document())
    assert glance({})


@given(DOCUMENTS)
def test_what_passes_at_a_glance_is_as_a_close_look_would_leave_it(value):
    closely, glanced = (msgspec.convert(without_nulls(value), ShipmentDocument) for _ in range(2))
    if is_surely_settled(glanced):
        assert settle(closely)
        assert glanced == closely == read_document_value(value)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value
