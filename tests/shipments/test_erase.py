"""Erasure: what goes, and what stays."""

import json

import pytest

from shipments.builders import Freight, a_scan, carrier_scan, document
from waypost.errors import Conflict
from waypost.shipments import DetailsChanged, blank_event, shipment_json

PERSONAL = ["Mari", "Saarepuu", "+3725550100", "saarepuu.example", "Tehase", "Sundagar", "80010", "Reykjav", "stoves"]


@pytest.fixture
def freight():
    freight = Freight()
    freight.put(document())
    freight.scan(a_scan("collected", carrier_text="given to Mari", location={"name": "Tehase 4", "country": "EE"}))
    return freight


def test_personal_data_are_gone_from_everything_that_is_stored(freight):
    assert freight.erase() == []
    stored = shipment_json(freight.state).decode()
    assert [text for text in PERSONAL if text in stored] == []


def test_references_ids_statuses_times_and_countries_stay(freight):
    freight.erase()
    shown = freight.shown
    assert (shown.reference, shown.status, shown.version) == ("SO-48213", "collected", 3)
    assert shown.references[0].value == "45001873"
    assert shown.parties.consignee.address.country == "IS"
    assert shown.tracking_events[-1].location.country == "EE"
    assert shown.erased_at is not None


def test_a_second_erasure_changes_nothing(freight):
    freight.erase()
    assert freight.erase() == []
    assert not freight.outcome.changed


def test_an_erased_shipment_takes_no_more_documents(freight):
    freight.erase()
    with pytest.raises(Conflict):
        freight.put(document())
    with pytest.raises(Conflict):
        freight.patch({"tags": []})


def test_an_erased_shipment_takes_scans_without_their_texts(freight):
    freight.erase()
    told = freight.scan(a_scan("delivered", 1, carrier_text="signed by Mari", location={"name": "x", "country": "IS"}))
    assert told == ["recorded", "status.delivered"]
    event = freight.shown.tracking_events[-1]
    assert (event.carrier_text, event.location.name, event.location.country) == (None, None, "IS")
    freight.carrier(carrier_scan(condition="delayed"), tracking_url="https://carrier.example/Mari")
    assert freight.shown.tracking.tracking_url is None


def test_an_event_is_blanked_and_keeps_its_shape(freight):
    moved = document()
    moved["parties"]["consignee"]["contact"] = {"name": "Mari Kask"}
    moved["parties"]["shipper"]["address"]["lines"] = ["Tehase 5"]
    moved["parties"]["shipper"]["address"]["country"] = "FI"
    moved["goods"][0]["description"] = "other stoves"
    moved["tags"] = ["late"]
    freight.put(moved)
    changes = [
        {"path": change.path, "op": change.op, "old": None, "new": "Mari" if "contact" in change.path else "Tehase"}
        if "country" not in change.path and "tags" not in change.path
        else {"path": change.path, "op": change.op, "old": change.old, "new": change.new}
        for change in freight.fact(DetailsChanged).changes
    ]
    event = {"id": "evt_1", "data": {"shipment": json.loads(shipment_json(freight.state)), "changes": changes}}
    blanked = blank_event(json.dumps(event).encode()).decode()
    assert [text for text in PERSONAL if text in blanked] == []
    by_path = {change["path"]: change for change in json.loads(blanked)["data"]["changes"]}
    assert by_path["/parties/shipper/address/country"]["new"] == "FI"
    assert by_path["/tags/late"]["new"] == "late"
    assert list(json.loads(blanked)) == ["id", "data"]
