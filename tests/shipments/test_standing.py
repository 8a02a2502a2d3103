"""The fold: which event moves a status, and which does not."""

import datetime as dt
from functools import reduce
from itertools import permutations

import pytest

from shipments.builders import NOW, at
from waypost.shipments import TrackingEvent
from waypost.shipments.standing import NOTHING, Fold, order_of


def event(status, hours=-1, kind="scan", **fields):
    return TrackingEvent(
        id=fields.pop("id", f"{status}{hours}"),
        kind=kind,
        status=status,
        occurred_at=at(hours),
        received_at=NOW,
        sequence=1,
        **fields,
    )


def standing(*events, units=(), is_return=False):
    fold = Fold(units, is_return=is_return)
    return reduce(fold.step, sorted(events, key=order_of), NOTHING).standing(NOW)


def test_without_events_a_shipment_is_booked_since_it_was_made():
    assert (standing().status, standing().since) == ("booked", NOW)


def test_the_status_becomes_that_of_each_event_in_turn():
    assert standing(event("customs", -3), event("in_transit", -2)).status == "in_transit"


def test_the_status_holds_since_its_first_event():
    assert standing(event("in_transit", -3), event("in_transit", -2)).since == at(-3)
    assert standing(event("booked", -3)).since == at(-3)


@pytest.mark.parametrize("final", ["delivered", "returned", "lost", "cancelled"])
@pytest.mark.parametrize("status", ["booked", "awaiting_collection", "unknown"])
def test_what_has_ended_is_not_moved_by_a_scan(final, status):
    assert standing(event(final, -2), event(status, -1)).status == final


@pytest.mark.parametrize("final", ["delivered", "returned", "lost"])
def test_a_scan_on_the_way_does_not_undo_an_end(final):
    assert standing(event(final, -2), event("in_transit", -1)).status == final


@pytest.mark.parametrize("final", ["delivered", "returned", "lost", "cancelled"])
@pytest.mark.parametrize("status", ["returning", "returned"])
def test_a_return_leaves_any_end(final, status):
    assert standing(event(final, -2), event(status, -1)).status == status


@pytest.mark.parametrize("final", ["delivered", "returned", "lost", "cancelled"])
def test_a_person_leaves_any_end(final):
    assert standing(event(final, -2), event("booked", -1, kind="manual")).status == "booked"


@pytest.mark.parametrize("status", ["collected", "in_transit", "out_for_delivery", "delivered", "lost"])
def test_a_scan_from_collected_on_shows_that_a_cancelled_shipment_goes(status):
    assert standing(event("cancelled", -2), event(status, -1)).status == status


def test_a_delivery_dated_before_all_other_scans_is_kept():
    events = [event("delivered", -9), event("booked", -5), event("in_transit", -4), event("out_for_delivery", -3)]
    assert standing(*events).status == "delivered"


def test_of_two_events_in_one_moment_the_later_in_life_counts():
    assert standing(event("in_transit"), event("collected"), event("unknown")).status == "in_transit"


def test_every_order_of_arrival_gives_the_same_standing():
    events = [event("collected", -4), event("delivered", -2), event("in_transit", -1), event("delivery_attempted", -3)]
    assert {standing(*order).status for order in permutations(events)} == {"delivered"}


def test_a_unit_that_has_not_moved_holds_the_shipment_back():
    assert standing(event("collected", handling_unit_id="a"), units=("a", "b")).status == "booked"


def test_a_shared_event_does_not_move_a_unit_that_has_ended():
    result = standing(event("delivered", -2, handling_unit_id="a"), event("in_transit", -1), units=("a", "b"))
    assert (result.status, result.units, result.shared) == ("partially_delivered", {"a": "delivered"}, "in_transit")


def test_units_that_are_lost_or_unknown_do_not_hold_the_others_back():
    lost = [event("lost", handling_unit_id="a"), event("in_transit", handling_unit_id="b")]
    assert standing(*lost, units=("a", "b")).status == "in_transit"
    unknown = [event("unknown", handling_unit_id="a"), event("in_transit", handling_unit_id="b")]
    assert standing(*unknown, units=("a", "b")).status == "in_transit"


def test_a_delivery_of_a_return_is_a_return_for_each_unit():
    one = event("delivered", handling_unit_id="a")
    assert standing(one, units=("a", "b"), is_return=True).status == "partially_delivered"
    assert standing(one, units=("a",), is_return=True).status == "returned"


def test_the_condition_is_that_of_the_last_event_that_says_one():
    trouble = event(None, -2, id="x", condition="exception", reason="damaged")
    assert standing(event("in_transit", -3), trouble).condition == "exception"
    assert standing(trouble, event("in_transit", -1)).condition == "ok"


def test_who_has_to_act_may_be_said_or_follows_from_the_reason():
    payment = event(None, id="x", condition="on_hold", reason="payment_due")
    assert standing(payment).action_required_by == "consignee"
    said = event(None, id="x", condition="on_hold", reason="payment_due", action_required_by="shipper")
    assert standing(said).action_required_by == "shipper"


def test_the_condition_of_a_partial_delivery_began_when_the_first_unit_was_delivered():
    first = event("delivered", -3, handling_unit_id="a")
    assert standing(first, event("in_transit", -2, handling_unit_id="b"), units=("a", "b")).since == at(-3)
    assert isinstance(standing(first).since, dt.datetime)
