from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from events.folding_world import Told, decoded
from shipments.builders import document, shown_as_json
from shipments.strategies import DOCUMENTS
from waypost.events.folding import fold
from waypost.shipments.changes import apply_changes, reconcile
from waypost.shipments.erase import blank_event
from waypost.shipments.facts import Change
from waypost.shipments.model import Shipment, ShipmentDocument

UPDATED, ETA_CHANGED = "shipment.updated", "shipment.eta_changed"
WITHOUT_PAPERS = DOCUMENTS.map(lambda one: {name: value for name, value in one.items() if name != "documents"})
UNTOLD = {"revision", "status", "status_at", "eta", "documents"}


def weighing(kilograms: str, **fields: Any) -> dict[str, Any]:
    return document(handling_units=[{"id": "hu_1", "gross_weight_kg": kilograms}], **fields)


def folded(bodies: list[bytes]) -> dict[str, Any]:
    return decoded(fold(bodies[-1], bodies[:-1]))


def details(shipment: Shipment) -> dict[str, Any]:
    names = [name for name in ShipmentDocument.__struct_fields__ if name not in UNTOLD]
    shown = {name: msgspec.to_builtins(getattr(shipment, name)) for name in names}
    for unit in shown["handling_units"]:
        del unit["status"]
    return shown


def changes_of(event: dict[str, Any]) -> list[Change]:
    return msgspec.convert(event["data"]["changes"], list[Change])


@given(st.lists(DOCUMENTS, min_size=3, max_size=6))
def test_the_changes_of_folded_events_lead_from_before_the_oldest_to_after_the_newest(documents):
    told = Told(documents[0])
    before = shown_as_json(told.freight.shown)
    for one in documents[1:]:
        told.put(one)
    updates = told.of_type(UPDATED)
    if not updates:
        return
    # Papers that were added are told by events of their own, which are not folded; what follows may speak of them.
    changes = [change for change in changes_of(folded(updates)) if not change.path.startswith("/documents/")]
    applied = msgspec.convert(apply_changes(before, changes), Shipment)
    after = told.freight.shown
    assert details(reconcile(after, applied)) == details(after)


@given(WITHOUT_PAPERS, WITHOUT_PAPERS)
def test_there_and_back_again_is_no_change(one, other):
    told = Told(one)
    told.put(other)
    told.put(one)
    updates = told.of_type(UPDATED)
    if len(updates) == 2:
        data = folded(updates)["data"]
        assert (data["changes"], data["changed"]) == ([], [])


def test_a_place_that_changed_twice_is_told_once_from_its_first_value_to_its_last():
    told = Told(weighing("100"))
    told.put(weighing("200", tags=["priority", "fragile"]))
    told.put(weighing("300", tags=["priority", "fragile"]))
    event = folded(told.of_type(UPDATED))
    assert event["data"]["changes"] == [
        {"path": "/handling_units/hu_1/gross_weight_kg", "op": "changed", "old": "100", "new": "300"},
        {"path": "/tags/fragile", "op": "added", "old": None, "new": "fragile"},
    ]
    assert event["data"]["changed"] == ["items", "other"]


def test_a_weight_that_is_back_in_another_spelling_did_not_change():
    told = Told(weighing("100"))
    told.put(weighing("200"))
    told.put(weighing("100.0"))
    assert folded(told.of_type(UPDATED))["data"]["changes"] == []


def test_an_item_that_came_and_changed_is_added_as_it_is_now():
    told = Told(weighing("100"))
    unit = {"id": "hu_2", "gross_weight_kg": "5"}
    told.put(document(handling_units=[{"id": "hu_1", "gross_weight_kg": "100"}, unit]))
    told.put(document(handling_units=[{"id": "hu_1", "gross_weight_kg": "100"}, unit | {"gross_weight_kg": "6"}]))
    (change,) = folded(told.of_type(UPDATED))["data"]["changes"]
    assert (change["path"], change["op"], change["new"]["gross_weight_kg"]) == ("/handling_units/hu_2", "added", "6")


def test_all_but_the_changes_is_the_newest_event_to_the_byte():
    told = Told(weighing("100"))
    told.put(weighing("200"))
    told.put(weighing("300"))
    first, second = told.of_type(UPDATED)
    expected = second.replace(b'"old":"200","new":"300"', b'"old":"100","new":"300"')
    assert expected != second
    assert fold(second, [first]) == expected


def test_an_event_into_which_nothing_was_folded_is_untouched():
    told = Told(weighing("100"))
    told.put(weighing("200"))
    (body,) = told.of_type(UPDATED)
    assert fold(body, []) is body


def test_an_event_of_another_type_is_not_mixed_in():
    told = Told(weighing("100"))
    told.put(weighing("200", eta={"at": "2026-12-09T15:00:00Z"}))
    (update,), (eta,) = told.of_type(UPDATED), told.of_type(ETA_CHANGED)
    assert fold(update, [eta]) == update
    assert fold(eta, [update]) == eta


def test_a_folded_eta_tells_the_one_before_all_and_the_whole_difference():
    told = Told(document(eta={"at": "2026-12-08T15:00:00Z"}))
    for time in ("16:00", "18:00", "17:30"):
        told.patch({"eta": {"at": f"2026-12-08T{time}:00Z"}})
    data = folded(told.of_type(ETA_CHANGED))["data"]
    assert (data["previous"]["at"], data["eta"]["at"]) == ("2026-12-08T15:00:00Z", "2026-12-08T17:30:00Z")
    assert data["delta_minutes"] == 150


def test_a_folded_eta_that_appeared_has_no_difference():
    told = Told(document(eta=None))
    told.patch({"eta": {"at": "2026-12-08T16:00:00Z"}})
    told.patch({"eta": {"at": "2026-12-08T18:00:00Z"}})
    data = folded(told.of_type(ETA_CHANGED))["data"]
    assert (data["previous"], data["delta_minutes"]) == (None, None)


def test_the_removal_of_a_paper_that_was_told_by_its_own_event_is_told():
    told = Told(document(documents=[]))
    told.put(document(documents=[{"id": "d_9", "kind": "cmr"}], tags=["late"]))
    told.put(document(documents=[], tags=["late"]))
    changes = folded(told.of_type(UPDATED))["data"]["changes"]
    assert [change["op"] for change in changes if change["path"] == "/documents/d_9"] == ["removed"]


def test_events_that_were_erased_since_fold_without_a_trace_of_people():
    told = Told(document())
    told.patch({"parties": {"consignee": {"name": "Someone Else", "address": {"city": "Vik"}}}})
    told.patch({"parties": {"consignee": None}, "tags": ["late"]})
    updates = [blank_event(body) for body in told.of_type(UPDATED)]
    event = fold(updates[-1], updates[:-1])
    assert b"Someone" not in event
    assert b"Vik" not in event
    assert {change["path"] for change in decoded(event)["data"]["changes"]} >= {"/tags/late", "/tags/priority"}


def test_a_change_of_a_place_that_went_by_an_event_nobody_wanted_here_is_passed_over():
    told = Told(weighing("100"))
    told.put(weighing("200"))
    told.put(document(handling_units=[]))  # as if a filter had kept this one away
    told.put(document(handling_units=[], tags=["late"]))
    first, _, last = told.of_type(UPDATED)
    paths = {change["path"] for change in decoded(fold(last, [first]))["data"]["changes"]}
    assert paths == {"/tags/late", "/tags/priority"}


def test_changes_that_a_later_version_wrote_are_told_one_after_the_other():
    told = Told(weighing("100"))
    told.put(weighing("200"))
    told.put(weighing("300", tags=["late"]))
    first, second = [
        body.replace(b'"is_return":false', b'"is_return":false,"colour":"red"') for body in told.of_type(UPDATED)
    ]
    event = decoded(fold(second, [first]))
    weights = [(change["old"], change["new"]) for change in event["data"]["changes"] if "weight" in change["path"]]
    assert weights == [("100", "200"), ("200", "300")]
    assert event["data"]["changed"] == ["items", "other"]
