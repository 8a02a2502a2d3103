"""What holds for every shipment, whatever is reported of it in whatever order."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shipments.builders import Freight, shown_as_json, told_by_changes
from shipments.strategies import CARRIER_SCANS, DOCUMENTS, SCANS
from waypost.shipments import (
    DetailsChanged,
    StatusChanged,
    apply_changes,
    decode_state,
    diff,
    encode_state,
    read_document,
    read_document_value,
)
from waypost.shipments.timeline import Timeline
from waypost.shipments.working import FACT_ORDER


def a_shipment(document: dict[str, Any]) -> Freight:
    freight = Freight()
    freight.put(document)
    return freight


@given(DOCUMENTS, SCANS, st.data())
def test_the_standing_is_the_same_in_whatever_order_scans_arrive(document, scans, data):
    together, apart = a_shipment(document), a_shipment(document)
    together.scan(*scans)
    for scan in data.draw(st.permutations(scans)):
        apart.scan(scan)
    assert apart.state.standing == together.state.standing
    assert [event.id for event in apart.shown.tracking_events] == [event.id for event in together.shown.tracking_events]


@given(DOCUMENTS, CARRIER_SCANS, st.data())
def test_versions_retractions_and_guessed_zones_end_alike_in_whatever_order(document, scans, data):
    together, apart = a_shipment(document), a_shipment(document)
    together.carrier(*scans)
    for scan in data.draw(st.permutations(scans)):
        apart.carrier(scan)
    assert apart.state.standing == together.state.standing
    assert moments(apart) == moments(together)


def moments(freight: Freight) -> list[Any]:
    valid = [event for event in freight.shown.tracking_events if not event.retracted]
    return [(event.id, event.occurred_at, event.zone_source) for event in valid]


@given(DOCUMENTS, SCANS)
def test_what_is_kept_of_the_standing_is_what_a_fold_over_all_scans_gives(document, scans):
    freight = a_shipment(document)
    for scan in scans:
        freight.scan(scan)
    state = freight.state
    timeline = Timeline(
        state.tracking_events,
        units=[unit.id for unit in state.document.handling_units],
        is_return=state.document.is_return,
        created_at=state.created_at,
        source_updates={},
        twins={},
        received=0,
    )
    assert timeline.standing == state.standing


@given(DOCUMENTS, DOCUMENTS)
def test_applying_the_changes_to_the_old_version_gives_the_new_one(before, after):
    freight = a_shipment(before)
    old = freight.shown
    freight.put(after)
    applied = apply_changes(shown_as_json(old), diff(old, freight.shown))
    assert told_by_changes(applied) == told_by_changes(shown_as_json(freight.shown))


@given(DOCUMENTS, DOCUMENTS)
def test_details_are_told_exactly_when_they_differ(before, after):
    freight = a_shipment(before)
    old = told_by_changes(shown_as_json(freight.shown))
    papers_before = {paper.id: paper for paper in freight.shown.documents}
    told = freight.put(after)
    kept = {paper.id: paper for paper in freight.shown.documents if paper.id in papers_before}
    differs = old != told_by_changes(shown_as_json(freight.shown)) or kept != papers_before
    assert ("updated" in told) == differs


@given(DOCUMENTS, SCANS, DOCUMENTS)
def test_the_same_report_again_makes_no_fact_and_no_version(document, scans, later):
    freight = a_shipment(document)
    freight.scan(*scans)
    freight.put(later)
    version = freight.shown.version
    assert freight.put(later) == []
    assert freight.scan(*scans) == []
    assert freight.shown.version == version
    assert not freight.outcome.changed


@given(DOCUMENTS)
def test_a_document_says_the_same_in_every_spelling(document):
    freight = a_shipment(document)
    assert freight.put(respelled(document)) == []
    assert freight.shown.version == 1


@given(DOCUMENTS, DOCUMENTS)
def test_a_patch_that_says_the_difference_does_what_the_whole_document_does(before, after):
    put, patched = a_shipment(before), a_shipment(before)
    told = put.put(after)
    # Both are read first, so that empty objects are gone and every item has its id.
    patch = difference(as_read(before), as_read(after))
    assert patched.patch(patch) == told
    assert shown_as_json(patched.shown) == shown_as_json(put.shown)


@given(DOCUMENTS)
def test_the_quick_reading_gives_what_the_thorough_one_gives(document):
    assert read_document(json.dumps(document).encode()) == read_document_value(document)


@given(DOCUMENTS, SCANS)
def test_a_state_survives_being_stored(document, scans):
    freight = a_shipment(document)
    freight.scan(*scans)
    assert decode_state(encode_state(freight.state)) == freight.state


@given(DOCUMENTS, DOCUMENTS)
def test_the_facts_of_a_document_come_in_their_order(before, after):
    freight = a_shipment(before)
    freight.put(after)
    places = [FACT_ORDER.index(type(fact)) for fact in freight.facts]
    assert places == sorted(places)


@given(DOCUMENTS, SCANS, st.data())
def test_every_status_told_is_another_one_and_the_last_told_is_the_one_shown(document, scans, data):
    freight = a_shipment(document)
    told = [fact.status for fact in freight.facts if isinstance(fact, StatusChanged)]
    for scan in data.draw(st.permutations(scans)):
        freight.scan(scan)
        told += [fact.status for fact in freight.facts if isinstance(fact, StatusChanged)]
    assert told[-1] == freight.shown.status
    repeats = [one for one, other in pairwise(told) if one == other]
    assert set(repeats) <= {"delivery_attempted"}


@given(DOCUMENTS, SCANS)
def test_erasing_leaves_a_shipment_that_can_be_stored_and_shown(document, scans):
    freight = a_shipment(document)
    freight.scan(*scans)
    standing = freight.state.standing
    freight.erase()
    assert decode_state(encode_state(freight.state)) == freight.state
    assert freight.state.standing == standing


def as_read(document: dict[str, Any]) -> dict[str, Any]:
    shown = shown_as_json(a_shipment(document).shown)
    if shown["eta"]:
        shown["eta"] = {name: shown["eta"][name] for name in ("at",)}
    for unit in shown["handling_units"]:
        del unit["status"]
    return {name: value for name, value in shown.items() if name in DOCUMENT_FIELDS}


DOCUMENT_FIELDS = set(read_document_value({}).__struct_fields__) - {"revision", "status", "status_at"}


def difference(before: Any, after: Any) -> Any:
    """The merge patch that makes `after` of `before`."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = dict.fromkeys([*before, *after])
        return {n: difference(before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n)}
    if isinstance(before, list) and isinstance(after, list) and any(isinstance(one, dict) for one in before + after):
        olds = {item["id"]: item for item in before}
        given = [{"id": item["id"]} | difference(olds.get(item["id"], {}), item) for item in after]
        kept = {item["id"] for item in after}
        return given + [{"id": item_id, "$remove": True} for item_id in olds if item_id not in kept]
    return after


def respelled(value: Any, name: str = "") -> Any:
    """The same document with its keys, sets and items turned round and its decimals written longer."""
    if isinstance(value, dict):
        return {key: respelled(inner, key) for key, inner in reversed(value.items())}
    if isinstance(value, list):
        items = [respelled(item) for item in value]
        return items if name == "lines" else [*reversed(items), *(items if name in ("tags", "services") else [])]
    if isinstance(value, str) and name in ("amount", "gross_weight_kg", "quantity", "min_c"):
        return value + "0" if "." in value else value + ".0"
    return value


def test_a_details_fact_names_at_least_one_change():
    freight = a_shipment({})
    freight.put({"tags": ["a"]})
    assert freight.fact(DetailsChanged).changes
