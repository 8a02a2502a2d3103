"""What follows from a document: the rows of the contract, and its rules at the edges."""

import datetime as dt

import pytest

from shipments.builders import NOW, Freight, a_scan, at, document
from waypost.errors import Conflict, NotFound
from waypost.shipments import DetailsChanged, ShipmentCreated, StatusChanged


def put_twice(**fields):
    """A shipment that has taken the document, and then the same with `fields`."""
    freight = Freight()
    freight.put(document())
    return freight, freight.put(document(**fields))


def test_the_first_document_makes_a_shipment_and_a_booking():
    freight = Freight()
    assert freight.put(document()) == ["created", "status.booked"]
    assert (freight.shown.version, freight.shown.revision, freight.shown.created_at) == (1, 7, NOW)


def test_an_empty_document_is_a_booking():
    freight = Freight()
    assert freight.put({}) == ["created", "status.booked"]
    assert (freight.shown.status, freight.shown.status_since, freight.shown.tracking_events) == ("booked", NOW, ())


def test_a_first_document_that_says_booked_and_no_time_is_as_one_that_is_silent():
    freight = Freight()
    assert freight.put({"status": "booked"}) == ["created", "status.booked"]
    assert (freight.shown.status_since, freight.shown.tracking_events) == (NOW, ())
    assert freight.scan(a_scan("collected", hours=-5)) == ["recorded", "status.collected"]


def test_a_first_document_that_says_since_when_it_is_booked_makes_older_scans_late():
    freight = Freight()
    freight.put({"status": "booked", "status_at": at(-1).isoformat()})
    assert freight.scan(a_scan("collected", hours=-5)) == ["recorded"]
    assert freight.shown.status == "booked"


def test_a_document_that_says_booked_again_later_says_nothing_new():
    freight = Freight()
    freight.put({"status": "booked"})
    freight.scan(a_scan("collected", hours=-5))
    assert freight.put({"status": "booked"}) == []
    assert freight.put({"status": "booked", "status_at": at(-1).isoformat()}) == ["status.booked"]


def test_the_status_of_a_document_is_a_manual_event_at_its_time():
    freight = Freight()
    freight.put(document())
    (event,) = freight.shown.tracking_events
    assert (event.kind, event.status, event.occurred_at) == ("manual", "booked", freight.shown.status_since)
    assert freight.shown.status_since == dt.datetime(2026, 11, 30, 13, 31, tzinfo=dt.UTC)


def test_without_a_time_the_status_holds_from_now():
    freight = Freight()
    freight.put({"status": "collected"})
    assert (freight.shown.status, freight.shown.status_since) == ("collected", NOW)


def test_a_draft_is_created_and_booked_later():
    freight = Freight()
    assert freight.put({"status": "draft"}) == ["created"]
    assert freight.put({"status": "booked"}) == ["status.booked"]
    fact = freight.fact(StatusChanged)
    assert (fact.previous.status, fact.first_time) == ("draft", True)


def test_a_new_shipment_had_no_status_before():
    freight = Freight()
    freight.put({})
    fact = freight.fact(StatusChanged)
    assert (fact.previous, fact.tracking_event, fact.first_time) == (None, None, True)


def test_the_same_document_again_changes_nothing():
    freight, told = put_twice()
    assert told == []
    assert not freight.outcome.changed


def test_the_same_document_in_another_spelling_changes_nothing():
    again = dict(reversed(document().items()))
    again["handling_units"][0]["gross_weight_kg"] = "402.0"
    again["references"].reverse()
    again["tags"] = ["priority", "priority"]
    again["eta"]["at"] = "2026-12-08T17:00:00+02:00"
    freight = Freight()
    freight.put(document())
    assert freight.put(again) == []
    assert freight.shown.version == 1


def test_another_weight_another_window_and_a_unit_more_are_one_update():
    units = [*document()["handling_units"], {"id": "hu_2", "kind": "CTN"}]
    units[0]["gross_weight_kg"] = "410"
    stops = document()["stops"]
    stops[1]["window"]["from"] = "13:00"
    freight, told = put_twice(handling_units=units, stops=stops)
    assert told == ["updated"]
    fact = freight.fact(DetailsChanged)
    assert [(change.path, change.op) for change in fact.changes] == [
        ("/handling_units/hu_1/gross_weight_kg", "changed"),
        ("/handling_units/hu_2", "added"),
        ("/stops/delivery/window/from", "changed"),
    ]
    assert fact.changed == ("items", "schedule")


@pytest.mark.parametrize(
    ("fields", "changed"),
    [
        ({"terms": {"goods_value": {"amount": "1", "currency": "EUR"}}}, ("price", "service")),
        ({"terms": {"services": ["tail_lift"]}}, ("service",)),
        ({"tracking": {"tracking_numbers": [{"value": "1"}]}}, ("references",)),
        ({"parties": {"shipper": {"name": "Gufa", "address": {"city": "Reykjavík"}}}}, ("address", "parties")),
        ({"parties": {"shipper": {"name": "Gufa"}}}, ("parties",)),
        ({"stops": [{"kind": "pickup", "address": {"city": "Reykjavík"}}]}, ("address", "schedule")),
        ({"prices": [{"charges": [{"amount": "1"}]}]}, ("price",)),
    ],
)
def test_an_object_that_comes_or_goes_is_of_the_groups_of_all_that_is_in_it(fields, changed):
    freight = Freight()
    freight.put({})
    freight.put(fields)
    assert freight.fact(DetailsChanged).changed == changed
    freight.put({})
    assert freight.fact(DetailsChanged).changed == changed


def test_a_party_that_comes_beside_another_is_of_the_groups_of_all_that_is_in_it():
    parties = document()["parties"] | {"notify": {"name": "Mari", "address": {"country": "EE"}}}
    freight, _ = put_twice(parties=parties)
    assert freight.fact(DetailsChanged).changed == ("address", "parties")


def test_a_new_document_alone_is_told_as_such():
    papers = [*document()["documents"], {"kind": "cmr", "url": "https://tms.example/cmr/1"}]
    assert put_twice(documents=papers)[1] == ["document_added"]


def test_a_document_altered_or_taken_away_is_an_update():
    assert put_twice(documents=[])[1] == ["updated"]
    assert put_twice(documents=[{"id": "d_1", "kind": "label", "url": "https://tms.example/labels/2"}])[1] == [
        "updated"
    ]


def test_weight_eta_and_document_are_told_in_this_order():
    units = document()["handling_units"]
    units[0]["gross_weight_kg"] = "410"
    eta = {"at": "2026-12-08T18:00:00Z"}
    papers = [*document()["documents"], {"kind": "cmr", "url": "https://tms.example/cmr/1"}]
    _, told = put_twice(
        handling_units=units, eta=eta, documents=papers, status="collected", status_at=at(-1).isoformat()
    )
    assert told == ["status.collected", "updated", "eta_changed", "document_added"]


def test_what_a_put_leaves_out_is_unknown():
    freight = Freight()
    freight.put(document())
    assert freight.put({}) == ["updated", "eta_changed"]
    assert (freight.shown.parties, freight.shown.tags, freight.shown.eta) == (None, (), None)


def test_a_put_never_erases_what_scans_said():
    freight = Freight()
    freight.put(document())
    freight.scan(a_scan("collected"))
    freight.put({})
    assert freight.shown.status == "collected"
    assert [event.status for event in freight.shown.tracking_events] == ["booked", "collected"]


def test_a_status_left_out_says_nothing():
    freight = Freight()
    freight.put({"status": "collected"})
    assert freight.put({"tags": ["a"]}) == ["updated"]
    assert freight.put({"status": "collected"}) == ["updated"]
    assert len(freight.shown.tracking_events) == 1


def test_a_status_that_documents_repeat_does_not_undo_a_scan():
    freight = Freight()
    freight.put({"status": "booked"})
    freight.scan(a_scan("collected", hours=1))
    assert freight.put({"status": "booked"}) == []
    assert freight.shown.status == "collected"


def test_another_status_at_alone_is_a_new_statement():
    freight = Freight()
    freight.put({"status": "collected", "status_at": at(-3).isoformat()})
    assert freight.put({"status": "collected", "status_at": at(-2).isoformat()}) == []
    assert freight.shown.version == 2
    assert len(freight.shown.tracking_events) == 2


def test_a_person_may_take_back_a_delivery():
    freight = Freight()
    freight.put({"status": "delivered"})
    assert freight.put({"status": "in_transit"}) == ["status.in_transit"]


def test_two_statuses_within_one_millisecond_end_with_the_later_one():
    freight = Freight()
    freight.put({"status": "collected"})
    freight.put({"status": "booked"})
    assert freight.shown.status == "booked"


def test_a_lower_revision_is_stale_and_not_applied():
    freight, told = put_twice(revision=6, tags=["other"])
    assert told == []
    assert (freight.outcome.stale, freight.outcome.changed, freight.shown.tags) == (True, False, ("priority",))


def test_an_equal_revision_is_applied():
    assert put_twice(revision=7, tags=["other"])[1] == ["updated"]


def test_a_document_without_revision_is_applied_and_keeps_the_stored_one():
    freight, told = put_twice(revision=None, tags=["other"])
    assert told == ["updated"]
    assert freight.shown.revision == 7


def test_a_new_revision_alone_is_remembered_but_is_no_change():
    freight, told = put_twice(revision=9)
    assert told == []
    assert (freight.shown.version, freight.shown.revision, freight.outcome.changed) == (1, 9, True)
    freight.put(document(revision=8, tags=[]))
    assert freight.outcome.stale


def test_a_return_that_is_delivered_is_returned():
    freight = Freight()
    freight.put({"is_return": True})
    assert freight.scan(a_scan("delivered")) == ["recorded", "status.returned"]


def test_learning_that_it_is_a_return_turns_delivered_into_returned():
    freight = Freight()
    freight.put({})
    freight.scan(a_scan("delivered"))
    assert freight.put({"is_return": True}) == ["status.returned", "updated"]


@pytest.mark.parametrize("report", ["scan", "cancel", "erase", "patch"])
def test_an_unknown_shipment_takes_nothing_but_documents(report):
    arguments = {"scan": [a_scan("collected")], "patch": [{}]}.get(report, [])
    with pytest.raises(NotFound, match="SO-48213"):
        getattr(Freight(), report)(*arguments)


def test_all_facts_of_a_document_happen_at_the_commit():
    freight = Freight()
    freight.put({})
    assert freight.fact(ShipmentCreated).occurred_at == NOW


def test_a_cancellation_is_a_manual_event():
    freight = Freight()
    freight.put({})
    assert freight.cancel("no stock") == ["status.cancelled"]
    (event,) = freight.shown.tracking_events
    assert (event.kind, event.carrier_text) == ("manual", "no stock")


@pytest.mark.parametrize(
    ("said", "reason", "text"),
    [
        ("weather", "weather", None),
        ("Weather", None, "Weather"),
        ("bad weather", None, "bad weather"),
        (None, None, None),
    ],
)
def test_the_reason_of_a_cancellation_is_one_of_the_reasons_or_a_text(said, reason, text):
    freight = Freight()
    freight.put({})
    freight.cancel(said)
    (event,) = freight.shown.tracking_events
    assert (event.reason, event.carrier_text) == (reason, text)


def test_a_second_cancellation_changes_nothing():
    freight = Freight()
    freight.put({})
    freight.cancel()
    assert freight.cancel() == []
    assert not freight.outcome.changed


@pytest.mark.parametrize("status", ["delivered", "returned", "lost"])
def test_what_has_ended_cannot_be_cancelled(status):
    freight = Freight()
    freight.put({"status": status})
    with pytest.raises(Conflict, match=status):
        freight.cancel()


def test_a_cancellation_counts_although_a_carriers_clock_runs_ahead():
    freight = Freight()
    freight.put({})
    freight.scan(a_scan("in_transit", hours=0.5))
    assert freight.cancel() == ["status.cancelled"]
