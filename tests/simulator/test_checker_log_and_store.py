"""The checker on what is promised of the log and of what owners store: each promise on a good and a bad history."""

from dataclasses import replace

import pytest

from simulator.telling import ENDPOINT, SECOND, Story, begun
from waypost.simulator.checker import PROMISES, check
from waypost.simulator.history import Committed, EndpointChanged, Wishes


def a_good_day() -> Story:
    story = begun()
    story.report("shipment.created", "shipment.status.booked")
    story.deliver(1)
    story.deliver(2)
    story.report("shipment.updated")
    story.send(3, status=500)
    story.store((3, 1, "retrying"), put=[story.held(3, 1)], cursor=3, failures_in_a_row=1)
    story.wait(5)
    story.deliver(3, attempt=2)
    story.waiting[ENDPOINT] = 0
    story.shown = [(ENDPOINT, position, "delivered") for position in (1, 2, 3)]
    return story


def test_a_good_day_breaks_nothing():
    story = a_good_day()
    story.ending()
    assert check(story.history()) == []


def test_every_promise_has_a_name_and_a_sentence_of_its_own():
    assert (
        len({promise.name for promise in PROMISES}) == len({promise.sentence for promise in PROMISES}) == len(PROMISES)
    )


def test_what_is_broken_comes_by_time_and_names_the_place():
    story = a_good_day()
    at = story.store(cursor=1)
    (found,) = [one for one in check(story.history()) if one.promise == "cursors and epochs only grow"]
    assert (found.name, found.position, found.involved) == (ENDPOINT, 1, (at,))


# -- the log


@pytest.mark.parametrize("wrong", [{"position": 5}, {"sequence": 9}, {"event_id": "evt_1"}])
def test_a_gap_or_a_repeat_in_the_log_is_found(wrong):
    story = a_good_day()
    (event,) = story.events("shipment.updated")
    story.add(Committed(story.now, None, "report", events=(("default", replace(event, **wrong)),)))
    assert "numbers without gaps" in story.broken()


def test_sequences_count_each_key():
    story = a_good_day()
    story.report("shipment.created", key="shp_2")
    assert "numbers without gaps" not in story.broken()


def test_an_answer_that_names_what_is_not_in_the_log_is_found():
    story = a_good_day()
    (event,) = story.report("shipment.updated")
    story.report(events=[replace(event, position=9)])
    assert story.broken() == {"answers tell the truth"}


def test_an_answer_before_the_commit_is_found():
    story = a_good_day()
    event = story.events("shipment.updated")
    story.report(events=event)
    story.add(Committed(story.now, None, "report", events=(("default", event[0]),)))
    assert story.broken() == {"answers tell the truth"}


def test_the_same_answer_to_a_retried_report_is_fine():
    story = a_good_day()
    events = story.report("shipment.updated", once="again", heard=False)
    story.report(events=events, once="again")
    assert story.broken() == set()


def test_a_retried_report_with_another_answer_is_found():
    story = a_good_day()
    story.report("shipment.updated", once="again")
    story.report("shipment.updated", once="again")
    assert story.broken() == {"a retried report adds nothing"}


def test_events_that_no_answer_names_are_found_where_no_answer_was_lost():
    story = a_good_day()
    story.report("shipment.updated", once="again", heard=False)
    story.report("shipment.updated", once="again")
    assert story.broken() == {"a retried report adds nothing"}


def test_events_of_a_report_without_an_answer_are_fine():
    story = a_good_day()
    story.report("shipment.updated", heard=False)
    assert story.broken() == set()


def cut(story: Story, position: int) -> None:
    story.add(Committed(story.now, None, "retention", events_gone=(("default", position),)))


def test_retention_of_what_is_settled_is_fine():
    story = a_good_day()
    cut(story, 1)
    story.ending()
    assert story.broken() == set()


def test_retention_above_a_cursor_is_found():
    story = a_good_day()
    story.report("shipment.updated")
    cut(story, 4)
    assert story.broken() == {"retention takes nothing owed"}


def test_retention_of_a_pending_event_is_found():
    story = a_good_day()
    story.store(put=[story.held(1, 0, state="resend")], process=None)
    cut(story, 1)
    assert story.broken() == {"retention takes nothing owed"}


def test_retention_of_attempts_past_a_cursor_is_found():
    story = begun()
    story.report("shipment.created")
    story.send(1)
    story.store((1, 1, "delivered"))
    story.add(Committed(story.now, None, "retention", attempts_gone=((ENDPOINT, 1, 1),)))
    assert story.broken() == {"retention takes nothing owed"}


def rewrite(story: Story, position: int) -> None:
    event = replace(story.log["default"][position - 1], body_hash=f"blank {position}")
    story.log["default"][position - 1] = event
    story.add(Committed(story.now, None, "erase", rewritten=(("default", event),)))


def test_an_erasure_rewrites_and_is_fine():
    story = a_good_day()
    story.ask("erase", key="shp_1")
    rewrite(story, 1)
    story.ending()
    assert story.broken() == set()


def test_a_rewrite_that_nobody_asked_for_is_found():
    story = a_good_day()
    rewrite(story, 1)
    assert story.broken() == {"bytes are written once"}


def test_an_event_that_is_missing_at_the_end_is_found():
    story = a_good_day()
    story.log["default"].pop()
    story.ending()
    assert story.broken() == {"bytes are written once"}


def change(story: Story, *wishes: Wishes) -> None:
    made = next(one for one in story.records if isinstance(one, EndpointChanged))
    story.wait(0.01)
    story.add(replace(made, at=story.now, asked_at=story.now - 2, wishes=(*made.wishes, *wishes), made=False))


@pytest.mark.parametrize(("position", "expected"), [(4, set()), (3, {"wishes begin where the log ended"})])
def test_new_wishes_begin_at_the_end_of_the_log(position, expected):
    story = a_good_day()
    change(story, Wishes(position, ("shipment.*",)))
    assert story.broken() == expected


def test_an_endpoint_that_starts_elsewhere_than_asked_is_found():
    story = begun()
    (made,) = [one for one in story.records if isinstance(one, EndpointChanged)]
    story.records[story.records.index(made)] = replace(made, start_position=1)
    assert story.broken() == {"wishes begin where the log ended"}


# -- cursors, rows and leases


def test_an_epoch_that_stays_as_the_owner_changes_is_found():
    story = a_good_day()
    story.wait(6)
    story.store(owner="p2")
    assert story.broken() == {"cursors and epochs only grow"}


def test_a_cursor_past_an_event_that_is_owed_is_found():
    story = a_good_day()
    story.report("shipment.updated")
    story.store(cursor=4)
    assert story.broken() == {"cursors pass only what is settled or pending"}


def test_a_cursor_past_what_is_pending_or_not_wanted_is_fine():
    story = begun(patterns=("shipment.updated",))
    story.report("shipment.created", "shipment.updated")
    story.send(2, status=500)
    story.store((2, 1, "retrying"), put=[story.held(2, 1)], cursor=2, failures_in_a_row=1)
    assert story.broken() == set()


def test_a_pending_row_that_goes_without_an_end_is_found():
    story = begun()
    story.report("shipment.created")
    story.send(1, status=500)
    story.store((1, 1, "retrying"), put=[story.held(1, 1)], cursor=1, failures_in_a_row=1)
    story.store(gone=[1])
    assert story.broken() == {"cursors pass only what is settled or pending"}


@pytest.mark.parametrize(("epoch", "expected"), [(1, {"stale owners store nothing"}), (2, set())])
def test_a_write_with_a_stale_epoch_is_found(epoch, expected):
    story = a_good_day()
    story.wait(6)
    story.start(2)
    story.take(process=2)
    story.store(epoch=epoch, failures_in_a_row=0)
    assert story.broken() == expected


@pytest.mark.parametrize(("waited_s", "expected"), [(4.0, {"no two owners live at once"}), (5.5, set())])
def test_an_owner_taken_from_while_it_lives_is_found(waited_s, expected):
    story = begun()
    story.start(2)
    story.renew(1)
    story.wait(waited_s)
    story.take(process=2)
    assert story.broken() == expected


def test_a_lease_by_a_wrong_clock_is_found():
    story = begun()
    story.renew(1, lives=3600 * SECOND)
    assert story.broken() == {"leases live for seconds"}


def test_a_worker_that_sends_on_without_its_lease_is_found():
    story = begun()
    story.report("shipment.created")
    story.renewed.clear()
    story.wait(6)
    story.send(1)
    assert story.broken() == {"nobody sends without a lease"}


def test_a_success_that_no_receiver_gave_is_found():
    story = begun()
    story.report("shipment.created")
    story.store((1, 1, "delivered"), cursor=1)
    assert "attempts tell the truth" in story.broken()


def test_a_success_stored_before_it_was_heard_is_found():
    story = begun()
    story.report("shipment.created")
    request = story.begin(1)
    story.store((1, 1, "delivered"), cursor=1)
    story.end(request)
    assert story.broken() == {"attempts tell the truth"}


def test_two_attempts_of_one_number_are_found():
    story = begun()
    story.report("shipment.created")
    story.send(1)
    story.store((1, 1, "delivered"), (1, 1, "delivered"), cursor=1)
    assert "attempts tell the truth" in story.broken()
