"""What follows from scans: identity, order, codes, time."""

import datetime as dt

import pytest

from shipments.builders import NOW, Freight, a_scan, at, carrier_scan
from waypost.shipments import (
    ConditionChanged,
    StatusChanged,
    TrackingEventCorrected,
    TrackingEventRecorded,
    TrackingEventRetracted,
    UnitStatusChanged,
)


@pytest.fixture
def freight():
    freight = Freight()
    freight.put({})
    return freight


@pytest.fixture
def two_units():
    freight = Freight()
    freight.put({"handling_units": [{"id": "a", "sscc": "347401230000187314"}, {"id": "b"}]})
    return freight


def test_a_scan_is_recorded_and_moves_the_status(freight):
    assert freight.scan(a_scan("collected")) == ["recorded", "status.collected"]
    fact = freight.fact(StatusChanged)
    assert (fact.occurred_at, fact.previous.status) == (at(-1), "booked")
    assert fact.tracking_event == freight.fact(TrackingEventRecorded).tracking_event


def test_a_scan_may_bring_a_condition(freight):
    told = freight.scan(a_scan("in_transit", condition="delayed", reason="weather"))
    assert told == ["recorded", "status.in_transit", "condition.delayed"]
    fact = freight.fact(ConditionChanged)
    assert (fact.reason, fact.action_required_by, fact.previous.condition) == ("weather", "none", "ok")
    assert (freight.shown.condition, freight.shown.reason) == ("delayed", "weather")


def test_a_scan_that_names_a_status_and_no_condition_says_ok(freight):
    freight.scan(a_scan("in_transit", hours=-2, condition="delayed", reason="weather"))
    assert freight.scan(a_scan("in_transit")) == ["recorded", "condition.ok"]
    assert freight.shown.reason is None


def test_a_scan_that_names_only_a_condition_leaves_the_status(freight):
    freight.scan(a_scan("collected", hours=-2))
    assert freight.scan(a_scan(condition="on_hold", reason="customs_hold")) == ["recorded", "condition.on_hold"]
    assert (freight.shown.status, freight.shown.action_required_by) == ("collected", "customs")


def test_a_scan_that_names_only_an_eta_leaves_status_and_condition(freight):
    freight.scan(a_scan("in_transit", hours=-2, condition="delayed"))
    assert freight.scan(a_scan(eta={"at": "2026-12-08T10:00:00Z"})) == ["recorded", "eta_changed"]
    assert (freight.shown.status, freight.shown.condition) == ("in_transit", "delayed")


def test_a_scan_older_than_the_newest_is_late_and_moves_nothing_back(freight):
    freight.scan(a_scan("in_transit", hours=-1))
    assert freight.scan(a_scan("collected", hours=-2)) == ["recorded"]
    assert freight.fact(TrackingEventRecorded).late
    assert freight.shown.status == "in_transit"


def test_the_same_scan_again_does_nothing(freight):
    scan = a_scan("collected", id="scan-9")
    freight.scan(scan)
    assert freight.scan(scan) == []
    assert freight.scan(scan | {"status": "delivered", "carrier_text": "other"}) == []
    assert not freight.outcome.changed


def test_the_same_scan_without_an_id_is_known_by_what_it_says(freight):
    scan = a_scan("collected", location={"name": "Tallinn"}, carrier_code="PU")
    freight.scan(scan)
    same_instant = scan | {"occurred_at": at(-1).astimezone(dt.timezone(dt.timedelta(hours=2))).isoformat()}
    assert freight.scan(scan, same_instant) == []
    assert freight.scan(scan | {"location": {"name": "Tartu"}}) == ["recorded"]


ONE_MOMENT = [
    {"occurred_at": "2026-12-01T08:00:00Z"},
    {"occurred_at": "2026-12-01T08:00:00Z", "time_zone": "Europe/Tallinn"},
    {"occurred_at": "2026-12-01T08:00:00Z", "time_zone": "Atlantic/Reykjavik"},
    {"occurred_at": "2026-12-01T11:00:00+03:00"},
    {"occurred_local": "2026-12-01T10:00:00", "time_zone": "Europe/Tallinn"},
    {"occurred_local": "2026-12-01T09:00:00", "time_zone": "Europe/Stockholm"},
]


@pytest.mark.parametrize("again", ONE_MOMENT)
@pytest.mark.parametrize("first", ONE_MOMENT)
def test_the_same_scan_again_does_nothing_however_its_moment_is_written(freight, first, again):
    freight.scan({"status": "collected"} | first)
    assert freight.scan({"status": "collected"} | again) == []
    assert not freight.outcome.changed


@pytest.mark.parametrize("again", ONE_MOMENT)
def test_the_same_scan_of_a_carrier_again_makes_no_event_and_no_version(freight, again):
    freight.carrier(carrier_scan("collected", **{"occurred_at": "2026-12-01T08:00:00Z"} | again))
    version = freight.shown.version
    for moment in ONE_MOMENT:
        assert freight.carrier(carrier_scan("collected", **{"occurred_at": None} | moment)) == []
    assert freight.shown.version == version


def test_the_same_scan_again_does_nothing_after_a_document_told_of_its_unit(freight):
    scan = a_scan("collected", handling_unit_id="347401230000187314")
    freight.scan(scan)
    freight.put({"handling_units": [{"id": "a", "sscc": "347401230000187314"}]})
    assert freight.scan(scan) == []


def test_the_same_scan_again_does_nothing_after_an_erasure(freight):
    scan = a_scan("collected", location={"name": "Tallinn", "country": "EE"}, carrier_text="signed by Mari")
    freight.scan(scan)
    freight.erase()
    assert freight.scan(scan) == []


def test_the_same_scan_twice_in_one_list_counts_once(freight):
    scan = a_scan("collected", id="scan-9")
    assert freight.scan(scan, scan) == ["recorded", "status.collected"]


def test_another_scan_of_the_same_status_makes_no_second_status_event(freight):
    freight.scan(a_scan("in_transit", hours=-2))
    assert freight.scan(a_scan("in_transit", hours=-1)) == ["recorded"]


def test_another_attempt_to_deliver_is_told_each_time(freight):
    freight.scan(a_scan("delivery_attempted", hours=-2))
    assert freight.scan(a_scan("delivery_attempted", hours=-1)) == ["recorded", "status.delivery_attempted"]
    fact = freight.fact(StatusChanged)
    assert (fact.first_time, fact.occurred_at, fact.previous.status) == (False, at(-1), "delivery_attempted")


def test_a_status_reached_again_is_not_the_first_time(freight):
    freight.scan(a_scan("in_transit", hours=-4), a_scan("customs", hours=-3), a_scan("in_transit", hours=-2))
    assert [fact.first_time for fact in freight.facts if isinstance(fact, StatusChanged)] == [True, True, False]


def test_a_list_is_applied_in_the_order_in_which_it_happened(freight):
    told = freight.scan(a_scan("delivered", hours=-1), a_scan("collected", hours=-3), a_scan("in_transit", hours=-2))
    assert told == ["recorded", "status.collected", "recorded", "status.in_transit", "recorded", "status.delivered"]
    assert freight.shown.version == 2


def test_manual_events_are_not_announced_as_scans(freight):
    assert freight.scan(a_scan("collected", kind="manual")) == ["status.collected"]


@pytest.mark.parametrize("classifier", ["planned", "estimated"])
def test_planned_and_estimated_events_never_move_the_status(freight, classifier):
    assert freight.scan(a_scan("collected", classifier=classifier)) == ["recorded"]
    assert freight.shown.status == "booked"


def test_an_event_more_than_two_hours_ahead_is_kept_and_flagged_and_moves_nothing(freight):
    assert freight.scan(a_scan("collected", hours=2.1, condition="delayed")) == ["recorded"]
    assert freight.shown.tracking_events[-1].flags == ("future",)
    assert (freight.shown.status, freight.shown.condition) == ("booked", "ok")


def test_an_event_up_to_two_hours_ahead_counts(freight):
    assert freight.scan(a_scan("collected", hours=2)) == ["recorded", "status.collected"]


@pytest.mark.parametrize(
    ("code_list", "code", "status"),
    [
        ("x12-1650", "AF", "collected"),
        ("x12-1650", "D1", "delivered"),
        ("x12-1650", "X1", "in_transit"),
        ("x12-1650", "A3", "returning"),
        ("rec24", "21", "delivered"),
        ("rec24", "340", "collection_failed"),
        ("rec24", "82", "returned"),
        ("rec24", "102", "unknown"),
        ("dcsa", "GTIN", "collected"),
        ("dcsa", "DISC", "in_transit"),
        ("dcsa", "AVPU", "available_for_pickup"),
        ("dcsa", "arri", "in_transit"),
    ],
)
def test_a_code_of_a_standard_list_gives_the_status(freight, code_list, code, status):
    freight.scan(a_scan(code=code, code_list=code_list))
    assert freight.shown.status == status
    assert freight.shown.tracking_events[-1].carrier_code == code


def test_an_empty_container_available_for_pickup_waits_for_its_shipper(freight):
    freight.scan(a_scan(code="AVPU", code_list="dcsa", carrier_reason="EMPTY"))
    assert freight.shown.status == "awaiting_collection"


def test_a_code_that_the_list_does_not_know_is_kept_and_flagged(freight):
    assert freight.scan(a_scan(code="ZZ9", code_list="x12-1650")) == ["recorded"]
    event = freight.shown.tracking_events[-1]
    assert (event.status, event.carrier_code, event.flags) == (None, "ZZ9", ("unmapped_code",))


@pytest.mark.parametrize(("code_list", "code"), [("x12-1650", "AG"), ("x12-1650", "X2"), ("rec24", "361")])
def test_an_estimated_code_moves_the_eta_and_never_the_status(freight, code_list, code):
    assert freight.scan(a_scan(code=code, code_list=code_list, hours=30)) == ["recorded", "eta_changed"]
    assert (freight.shown.status, freight.shown.eta.at) == ("booked", at(30))


def test_an_estimated_arrival_of_dcsa_moves_the_eta(freight):
    freight.scan(a_scan(code="ARRI", code_list="dcsa", classifier="estimated", hours=30))
    assert (freight.shown.status, freight.shown.eta.at) == ("booked", at(30))


def test_an_estimated_departure_is_no_eta(freight):
    freight.scan(a_scan(code="DEPA", code_list="dcsa", classifier="estimated", hours=30))
    assert freight.shown.eta is None


def test_a_time_with_an_offset_keeps_the_clock_on_the_wall(freight):
    freight.scan({"status": "collected", "occurred_at": "2026-12-01T10:00:00+02:00"})
    event = freight.shown.tracking_events[-1]
    assert event.occurred_at == dt.datetime(2026, 12, 1, 8, tzinfo=dt.UTC)
    assert event.occurred_local.isoformat() == "2026-12-01T10:00:00"


def test_a_local_time_is_read_in_its_zone(freight):
    freight.scan({"status": "collected", "occurred_local": "2026-12-01T10:00:00", "time_zone": "Europe/Tallinn"})
    event = freight.shown.tracking_events[-1]
    assert (event.occurred_at.hour, event.time_zone, event.zone_source) == (8, "Europe/Tallinn", "given")


@pytest.mark.parametrize(
    ("local", "utc", "flag"),
    [
        ("2026-03-29T03:30:00", "2026-03-29T01:30:00+00:00", "dst_gap"),
        ("2026-10-25T03:30:00", "2026-10-25T00:30:00+00:00", "dst_fold"),
    ],
)
def test_a_local_time_that_the_clock_skipped_or_repeated_is_read_one_way_and_flagged(freight, local, utc, flag):
    freight.scan({"status": "collected", "occurred_local": local, "time_zone": "Europe/Tallinn"})
    event = freight.shown.tracking_events[-1]
    assert (event.occurred_at.isoformat(), event.flags) == (utc, (flag,))


def test_an_event_that_supersedes_another_takes_its_place(freight):
    freight.scan(a_scan("delivered", id="wrong", hours=-2))
    told = freight.scan(a_scan("in_transit", id="right", hours=-2, supersedes="wrong"))
    assert told == ["corrected", "status.in_transit"]
    fact = freight.fact(TrackingEventCorrected)
    assert (fact.old.id, fact.new.id) == ("wrong", "right")


def test_an_event_superseded_before_it_arrives_only_adds_history(freight):
    freight.scan(a_scan("in_transit", id="right", hours=-2, supersedes="wrong"))
    assert freight.scan(a_scan("delivered", id="wrong", hours=-1)) == ["recorded"]
    assert freight.shown.status == "in_transit"


def test_an_event_without_a_unit_is_of_every_unit(two_units):
    assert two_units.scan(a_scan("collected")) == ["recorded", "status.collected"]
    assert [unit.status for unit in two_units.shown.handling_units] == ["collected", "collected"]


def test_an_event_of_one_unit_moves_that_unit(two_units):
    assert two_units.scan(a_scan("collected", handling_unit_id="a")) == ["recorded", "unit.collected"]
    fact = two_units.fact(UnitStatusChanged)
    assert (fact.handling_unit.id, fact.previous, two_units.shown.status) == ("a", "booked", "booked")


def test_the_shipment_is_where_its_least_advanced_unit_is(two_units):
    two_units.scan(a_scan("collected", hours=-4))
    two_units.scan(a_scan("out_for_delivery", hours=-3, handling_unit_id="a"))
    assert two_units.scan(a_scan("in_transit", hours=-2, handling_unit_id="b")) == [
        "recorded",
        "unit.in_transit",
        "status.in_transit",
    ]


def test_some_units_delivered_and_some_not_is_partially_delivered(two_units):
    two_units.scan(a_scan("in_transit", hours=-3))
    told = two_units.scan(a_scan("delivered", hours=-2, handling_unit_id="a"))
    assert told == ["recorded", "unit.delivered", "status.partially_delivered"]
    assert [unit.status for unit in two_units.shown.handling_units] == ["delivered", "in_transit"]
    told = two_units.scan(a_scan("delivered", hours=-1, handling_unit_id="b"))
    assert told == ["recorded", "unit.delivered", "status.delivered"]


def test_a_unit_may_be_named_by_its_sscc(two_units):
    two_units.scan(a_scan("collected", handling_unit_id="347401230000187314"))
    assert [unit.status for unit in two_units.shown.handling_units] == ["collected", "booked"]


def test_a_unit_that_the_document_does_not_have_is_flagged_and_moves_nothing(two_units):
    assert two_units.scan(a_scan("delivered", handling_unit_id="z")) == ["recorded"]
    assert two_units.shown.tracking_events[-1].flags == ("unknown_unit",)


def test_a_unit_taken_out_of_the_document_holds_nothing_up(two_units):
    two_units.scan(a_scan("delivered", handling_unit_id="a"))
    assert two_units.put({"handling_units": [{"id": "a"}]}) == ["status.delivered", "updated"]


def test_a_shipment_known_only_from_scans_has_the_units_that_they_name(freight):
    freight.scan(a_scan("delivered", hours=-2, handling_unit_id="p1"))
    assert freight.shown.status == "delivered"
    freight.scan(a_scan("in_transit", hours=-1, handling_unit_id="p2"))
    assert freight.shown.status == "partially_delivered"


def test_a_later_version_of_a_carriers_event_replaces_it(freight):
    freight.carrier(carrier_scan("delivered", id="e1", updated_at=at(-1)))
    assert freight.carrier(carrier_scan("in_transit", id="e1", updated_at=at(-2))) == []
    assert freight.carrier(carrier_scan("in_transit", id="e1", updated_at=at(0))) == ["corrected", "status.in_transit"]


def test_a_later_version_that_says_the_same_keeps_one_between_out(freight):
    freight.carrier(carrier_scan("in_transit", id="e1", updated_at=at(-3)))
    assert freight.carrier(carrier_scan("in_transit", id="e1", updated_at=at(-1))) == []
    assert freight.carrier(carrier_scan("delivered", id="e1", updated_at=at(-2))) == []
    assert (freight.shown.status, freight.shown.version) == ("in_transit", 2)


def test_a_retraction_removes_and_the_status_is_worked_out_again(freight):
    freight.carrier(carrier_scan("in_transit", -2, id="e1"), carrier_scan("delivered", -1, id="e2"))
    assert freight.carrier(carrier_scan("delivered", -1, id="e2", retracted=True)) == ["retracted", "status.in_transit"]
    assert freight.fact(TrackingEventRetracted).old.id == "e2"
    assert freight.fact(StatusChanged).occurred_at == NOW
    assert [event.retracted for event in freight.shown.tracking_events] == [False, True]


def test_a_retraction_may_come_before_what_it_retracts(freight):
    assert "status.delivered" not in freight.carrier(carrier_scan("delivered", id="e2", retracted=True))
    assert freight.carrier(carrier_scan("delivered", id="e2")) == []
    assert freight.shown.status == "booked"


ZONED = {"occurred_local": "2026-12-01T09:00:00", "id": None}


def test_two_reports_that_differ_only_by_a_guessed_zone_are_one_event(freight):
    freight.carrier(carrier_scan("collected", **ZONED, time_zone="Europe/Tallinn", zone_source="given"))
    assert freight.carrier(carrier_scan("collected", **ZONED, time_zone="UTC", zone_source="assumed")) == []


def test_a_zone_that_was_guessed_gives_way_to_the_one_given(freight):
    freight.carrier(carrier_scan("collected", **ZONED, time_zone="UTC", zone_source="assumed"))
    told = freight.carrier(carrier_scan("collected", **ZONED, time_zone="Europe/Tallinn", zone_source="given"))
    assert told == ["corrected"]
    (event,) = freight.shown.tracking_events
    assert (event.occurred_at.hour, event.zone_source) == (7, "given")


def test_another_guess_that_is_no_better_changes_nothing(freight):
    freight.carrier(carrier_scan("collected", **ZONED, time_zone="UTC", zone_source="assumed"))
    for zone in ("Africa/Abidjan", "UTC", "Europe/Tallinn"):
        assert freight.carrier(carrier_scan("collected", **ZONED, time_zone=zone, zone_source="assumed")) == []
        assert not freight.outcome.changed


def test_a_guess_is_dropped_when_its_clock_turns_out_to_be_of_a_known_scan(freight):
    freight.carrier(carrier_scan("collected", occurred_local="2026-12-01T08:00:00", time_zone="Europe/Stockholm"))
    freight.carrier(carrier_scan("collected", **ZONED, time_zone="UTC", zone_source="assumed"))
    assert len(freight.shown.tracking_events) == 2
    told = freight.carrier(carrier_scan("collected", **ZONED, time_zone="Europe/Tallinn"))
    assert (told, len(freight.shown.tracking_events)) == (["corrected"], 1)


def test_broken_codes_of_a_carrier_are_kept_and_flagged(freight):
    freight.carrier(carrier_scan("collected", location={"country": "USA", "unlocode": "US NYC"}))
    event = freight.shown.tracking_events[-1]
    assert (event.location.country, event.flags) == ("USA", ("country_unknown", "unlocode_form"))


def test_arrivals_are_counted(freight):
    freight.scan(a_scan("in_transit", hours=-1))
    freight.scan(a_scan("collected", hours=-2))
    assert [(event.status, event.sequence) for event in freight.shown.tracking_events] == [
        ("collected", 2),
        ("in_transit", 1),
    ]


def test_what_was_taken_back_stays_so_when_its_first_version_was_slower(freight):
    freight.carrier(carrier_scan("delivered", id="e2", retracted=True))
    assert freight.carrier(carrier_scan("delivered", id="e2", updated_at=at(-1))) == []
    assert freight.shown.status == "booked"
