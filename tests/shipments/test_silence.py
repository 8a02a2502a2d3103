"""When a shipment has been silent for too long, and that it is told once."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipments.builders import Freight, a_scan, carrier_scan
from waypost.errors import NotFound
from waypost.shipments import StaleReport, TrackingStale

DAY_H = 24


def a_freight(*scans: dict[str, object]) -> Freight:
    """A shipment that was booked, with its scans, at noon."""
    freight = Freight()
    freight.put()
    if scans:
        freight.scan(*scans)
    return freight


def look(freight: Freight, hours: float, after_hours: int = DAY_H) -> list[str]:
    """Let so many hours pass, and look for silence."""
    freight.now += dt.timedelta(hours=hours)
    return freight.take(StaleReport(after_hours))


def test_a_shipment_without_a_scan_for_so_long_is_told_with_the_last_one():
    freight = a_freight(a_scan("collected", -5), a_scan("in_transit", -3))
    assert look(freight, 24) == ["stale"]
    last = freight.fact(TrackingStale).last_event
    assert last is not None
    assert last.status == "in_transit"


def test_it_is_not_told_a_moment_too_early():
    freight = a_freight(a_scan("in_transit"))
    assert look(freight, 23.999) == []


def test_a_scan_counts_from_when_it_came_in_and_not_from_when_it_happened():
    freight = a_freight(a_scan("in_transit", hours=-400))
    assert look(freight, 23) == []


def test_a_booking_that_nobody_ever_scanned_is_told_without_a_last_event():
    freight = a_freight()
    assert look(freight, 24) == ["stale"]
    assert freight.fact(TrackingStale).last_event is None


def test_a_silence_is_told_once():
    freight = a_freight(a_scan("in_transit"))
    assert look(freight, 30) == ["stale"]
    assert look(freight, 1000) == []


def test_a_new_scan_begins_a_new_silence():
    freight = a_freight(a_scan("in_transit"))
    look(freight, 30)
    freight.scan(a_scan("out_for_delivery", hours=30))
    assert look(freight, 23) == []
    assert look(freight, 1) == ["stale"]


def test_a_document_and_a_plan_are_no_scans():
    freight = a_freight(a_scan("in_transit"))
    freight.now += dt.timedelta(hours=20)
    freight.put({"tags": ["late"]})
    freight.scan(a_scan("delivered", hours=40, classifier="planned"))
    assert look(freight, 4) == ["stale"]
    last = freight.fact(TrackingStale).last_event
    assert last is not None
    assert last.status == "in_transit"


@pytest.mark.parametrize("status", ["draft", "delivered", "returned", "lost", "cancelled"])
def test_where_no_scan_is_awaited_nothing_is_told(status):
    freight = Freight()
    freight.put({"status": status})
    assert look(freight, 1000) == []


def test_a_scan_that_is_taken_back_begins_no_new_silence():
    freight = a_freight(a_scan("in_transit"))
    freight.now += dt.timedelta(hours=1)
    freight.carrier(carrier_scan("out_for_delivery", id="s_2"))
    assert look(freight, 24) == ["stale"]
    freight.carrier(carrier_scan("out_for_delivery", id="s_2", retracted=True))
    assert look(freight, 1000) == []


def test_the_version_stays_for_nothing_that_is_shown_has_changed():
    freight = a_freight(a_scan("in_transit"))
    before = freight.shown
    look(freight, 24)
    assert freight.shown == before


def test_an_unknown_shipment_is_not_found():
    with pytest.raises(NotFound):
        look(Freight(), 24)


STEPS = st.lists(st.tuples(st.sampled_from(["scan", "late scan", "document", "plan"]), st.integers(0, 40)), max_size=12)


@given(STEPS)
def test_each_silence_is_told_once_however_often_one_looks(steps):
    """Looked at every hour, a shipment tells as many silences as there were gaps of a day or more."""
    freight = a_freight(a_scan("in_transit", hours=-30))
    gaps, quiet_hours, told, scans = 0, 0, 0, 0
    for what, hours in steps:
        for _ in range(hours):
            told += len(look(freight, 1))
            quiet_hours += 1
            gaps += quiet_hours == DAY_H
        match what:
            case "document":
                freight.put({"tags": [f"t_{hours}"]})
            case "plan":
                freight.scan(a_scan("delivered", hours=900 + hours, classifier="planned"))
            case _:
                scans += 1
                happened = freight.now - dt.timedelta(hours=29 if what == "late scan" else 0, seconds=scans)
                freight.scan({"occurred_at": happened.isoformat(), "status": "in_transit"})
                quiet_hours = 0
    assert told == gaps
