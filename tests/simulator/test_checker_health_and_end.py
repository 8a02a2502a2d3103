"""The checker on health, folds, batches, replays and the end of a run: each promise on a good and a bad history."""

from dataclasses import replace

import pytest

from simulator.telling import ENDPOINT, OTHER, Story, begun, harm
from waypost.simulator.history import Complaint, OperatorAsked

DAY = 86_400


def told(story: Story, event_type: str):
    return story.events(event_type, key=ENDPOINT.endpoint_id)


def failing(*, lanes: int = 5, **settings) -> Story:
    """Five shipments whose first deliveries fail: the endpoint is failing, with the five pending."""
    story = begun(**settings)
    for lane in range(lanes):
        story.report("shipment.created", key=f"shp_{lane}")
    for position in range(1, lanes + 1):
        story.send(position, status=500)
        fifth = {} if position < lanes else {
            "health": "failing", "failing_since": story.now, "events": told(story, "endpoint.failing")
        }  # fmt: skip
        story.store(
            (position, 1, "retrying"), put=[story.held(position, 1)], cursor=position, failures_in_a_row=position,
            **fifth,
        )  # fmt: skip
    return story


def probe(story: Story, position: int, *, attempt: int = 2, status: int = 500, **row) -> None:
    story.send(position, status=status, attempt=attempt)
    failures = story.rows[ENDPOINT].failures_in_a_row + 1
    story.store((position, attempt, "retrying"), failures_in_a_row=failures, **row)


def back(story: Story, position: int, *, attempt: int = 3) -> None:
    story.send(position, attempt=attempt)
    story.store(
        (position, attempt, "delivered"), gone=[position], health="active", failing_since=None, failures_in_a_row=0,
        events=told(story, "endpoint.resumed"),
    )  # fmt: skip


# -- failing and back


def test_an_outage_by_the_rules_breaks_nothing():
    story = failing()
    for number, position in enumerate((1, 2, 3, 4, 5, 1), start=1):
        story.wait(5 if number == 1 else 300)
        probe(story, position, attempt=2 + (number == 6))
    story.wait(300)
    back(story, 2)
    assert story.broken() == set()


def test_two_probes_at_a_time_are_found():
    story = failing()
    story.wait(5)
    story.begin(1, attempt=2)
    story.begin(2, attempt=2)
    assert "one probe at a time" in story.broken()


def test_a_probe_that_comes_too_early_is_found():
    story = failing()
    story.wait(5)
    probe(story, 1)
    story.wait(1)
    probe(story, 2)
    assert story.broken() == {"probes keep their times"}


def test_a_lane_that_is_passed_over_by_probes_is_found():
    story = failing()
    for number, position in enumerate((1, 1, 2), start=1):
        story.wait(5 if number == 1 else 300)
        probe(story, position, attempt=2 + (number == 2))
    assert story.broken() == {"probes take turns"}


@pytest.mark.parametrize("when", ["between", "at the end"])
def test_a_failing_endpoint_that_is_not_probed_is_found(when):
    story = failing()
    story.wait(5)
    probe(story, 1)
    story.wait(600)
    if when == "between":
        probe(story, 2)
    else:
        story.ending()
    assert "probes keep their times" in story.broken()


def test_a_dead_worker_probes_nobody():
    story = failing()
    story.wait(5)
    probe(story, 1)
    story.kill()
    story.wait(3600)
    story.start(2)
    story.take(process=2)
    story.send(2, attempt=2, process=2)
    assert story.broken() == set()


def test_a_failing_endpoint_that_is_paused_is_not_probed():
    story = failing()
    story.wait(5)
    probe(story, 1)
    story.ask("pause")
    story.store(process=None, paused=True)
    story.wait(3600)
    story.ending()
    assert story.broken() == set()


def test_a_row_added_while_failing_is_found():
    story = failing()
    story.report("shipment.created", key="shp_9")
    story.wait(5)
    story.store(put=[story.held(7, 1)])
    assert story.broken() == {"an outage writes no rows"}


def test_a_probe_that_counts_against_the_schedule_is_found():
    story = failing()
    story.wait(5)
    probe(story, 1, put=[story.held(1, 2)])
    assert story.broken() == {"an outage writes no rows"}


def test_five_failures_and_still_active_is_found():
    story = begun()
    for lane in range(5):
        story.report("shipment.created", key=f"shp_{lane}")
    for position in range(1, 6):
        story.send(position, status=500)
        story.store(
            (position, 1, "retrying"), put=[story.held(position, 1)], cursor=position, failures_in_a_row=position
        )
    assert story.broken() == {"failing begins when nothing gets through"}


def test_failing_after_fewer_failures_is_found():
    assert failing(lanes=4).broken() == {"failing begins when nothing gets through"}


def test_failing_with_a_schedule_used_up_is_fine():
    story = begun()
    story.report("shipment.created")
    for number in (1, 2):
        story.send(1, status=500, attempt=number)
        story.store((1, number, "retrying"), put=[story.held(1, number)], cursor=1, failures_in_a_row=number)
        story.wait(300)
    story.send(1, status=500, attempt=3)
    story.store(
        (1, 3, "retrying"), put=[story.held(1, 3)], failures_in_a_row=3, health="failing", failing_since=story.now,
        events=told(story, "endpoint.failing"),
    )  # fmt: skip
    assert story.broken() == set()


# -- suspended


def gone(story: Story, health: str) -> None:
    story.report("shipment.created")
    story.send(1, status=410)
    events = told(story, "endpoint.suspended") if health == "suspended" else []
    story.store((1, 1, "retrying"), status=410, failures_in_a_row=1, health=health, events=events)


@pytest.mark.parametrize(("health", "expected"), [("suspended", set()), ("active", {"gone suspends at once"})])
def test_410_suspends_at_once(health, expected):
    story = begun()
    gone(story, health)
    assert story.broken() == expected


def out_for(days: float, health: str) -> Story:
    """An outage of some days, told without every probe: a fault says that nobody probed."""
    story = failing()
    harm(story, "store away", days * DAY - 600)
    story.wait(days * DAY)
    story.renew()
    more = {"health": health, "events": told(story, "endpoint.suspended")} if health == "suspended" else {}
    probe(story, 1, **more)
    story.wait(100)
    return story


@pytest.mark.parametrize(
    ("days", "health", "good"), [(4.9, "suspended", False), (5.1, "suspended", True), (5.1, "failing", False)]
)
def test_five_days_of_failing_suspend(days, health, good):
    story = out_for(days, health)
    story.ending()
    assert ("suspended after five days" in story.broken()) is not good


def test_an_active_endpoint_is_not_suspended_without_a_410():
    story = begun()
    story.report("shipment.created")
    story.send(1, status=500)
    story.store((1, 1, "retrying"), put=[story.held(1, 1)], failures_in_a_row=1, health="suspended",
                events=told(story, "endpoint.suspended"))  # fmt: skip
    assert story.broken() == {"suspended after five days"}


def test_an_owner_that_ends_a_suspension_is_found():
    story = begun()
    gone(story, "suspended")
    story.store(health="active", failures_in_a_row=0, events=told(story, "endpoint.resumed"))
    assert story.broken() == {"a resume stands"}


def test_a_resume_that_an_owner_undoes_is_found():
    story = failing()
    story.ask("resume")
    story.store(process=None, health="active", failures_in_a_row=0, failing_since=None)
    story.store(events=told(story, "endpoint.resumed"))
    assert story.broken() == set()
    story.store(health="failing", failures_in_a_row=5, events=told(story, "endpoint.failing"))
    assert "a resume stands" in story.broken()


# -- given up


@pytest.mark.parametrize("case", ["too few", "nothing taken"])
def test_an_event_given_up_against_the_rules_is_found(case):
    story = begun()
    story.report("shipment.created")
    story.report("shipment.created", key="shp_2")
    tries = 2 if case == "too few" else 3
    for number in range(1, tries):
        story.send(1, status=500, attempt=number)
        story.store((1, number, "retrying"), put=[story.held(1, number)], cursor=1, failures_in_a_row=number)
        story.wait(300)
    if case == "too few":
        story.deliver(2)
    story.send(1, status=500, attempt=tries)
    story.store((1, tries, "failed"), gone=[1], events=told(story, "delivery.failed"))
    assert story.broken() == {"failed only when refused"}


# -- told


@pytest.mark.parametrize("case", ["untold", "told twice", "told late"])
def test_a_change_of_health_is_told_once_and_with_its_commit(case):
    story = begun()
    story.report("shipment.created")
    story.send(1, status=410)
    events = [] if case != "told twice" else told(story, "endpoint.suspended")
    story.store((1, 1, "retrying"), status=410, failures_in_a_row=1, health="suspended", events=events)
    if case != "untold":
        story.store(events=told(story, "endpoint.suspended"))
    assert story.broken() == {"changes of health are told"}


def test_an_event_given_up_in_silence_is_found():
    story = begun()
    story.report("shipment.created")
    story.report("shipment.created", key="shp_2")
    for number in (1, 2):
        story.send(1, status=500, attempt=number)
        story.store((1, number, "retrying"), put=[story.held(1, number)], cursor=1, failures_in_a_row=number)
        story.wait(300)
    story.deliver(2)
    story.send(1, status=500, attempt=3)
    story.store((1, 3, "failed"), gone=[1])
    assert story.broken() == {"changes of health are told"}


def test_a_resume_that_is_never_told_is_found_at_the_end():
    story = failing()
    story.ask("resume")
    story.store(process=None, health="active", failures_in_a_row=0, failing_since=None)
    story.ending()
    assert "changes of health are told" in story.broken()


# -- folds


def folded(**settings) -> Story:
    story = begun(**({"coalesce": True} | settings))
    story.report("shipment.updated", "shipment.updated", "shipment.status.collected", "shipment.eta_changed")
    return story


@pytest.mark.parametrize(
    ("fold", "coalesce", "good"),
    [((1, 2), True, True), ((3, 4), True, False), ((2, 1), True, False), ((1, 2), False, False)],
)
def test_only_updates_fold_and_into_newer_ones(fold, coalesce, good):
    story = folded(coalesce=coalesce)
    story.store(folds=[fold])
    assert story.broken() == (set() if good else {"only what may fold folds"})


def test_what_was_tried_does_not_fold():
    story = folded()
    story.send(1, status=500)
    story.store((1, 1, "retrying"), put=[story.held(1, 1)], cursor=1, failures_in_a_row=1)
    story.store(folds=[(1, 2)], gone=[1])
    assert story.broken() == {"only what may fold folds"}


def test_a_holder_that_goes_before_its_fold_is_stored_is_found():
    story = folded()
    story.send(2)
    story.store((2, 1, "delivered"), folds=[(1, 2)], cursor=2)
    assert "folds are stored before their holder goes" in story.broken()


def test_a_holder_that_is_never_settled_is_found():
    story = folded()
    story.store(folds=[(1, 2)], cursor=1)
    story.ending()
    assert "folds are stored before their holder goes" in story.broken()


def test_a_fold_by_the_rules_breaks_nothing():
    story = folded()
    story.store(folds=[(1, 2)], cursor=1)
    for position in (2, 3, 4):
        story.deliver(position, **({"body_hash": "with folds"} if position == 2 else {}))
    story.shown = [(ENDPOINT, 1, "skipped"), (ENDPOINT, 2, "delivered")]
    story.ending()
    assert story.broken() == set()


# -- batches


def batched(size: int = 3) -> Story:
    story = begun(format="batch", batch_size=size)
    story.report("shipment.created", "shipment.updated", "shipment.updated", "shipment.updated")
    return story


def refused_batch(story: Story, status: int) -> None:
    story.send(1, 2, 3, status=status)
    put = [story.held(position, 1) for position in (1, 2, 3)]
    story.store(*[(position, 1, "retrying") for position in (1, 2, 3)], put=put, cursor=3, failures_in_a_row=1)
    story.wait(5)


def test_a_batch_that_comes_again_whole_breaks_nothing():
    story = batched()
    refused_batch(story, 500)
    story.send(1, 2, 3, attempt=2)
    story.store(*[(position, 2, "delivered") for position in (1, 2, 3)], gone=[1, 2, 3], failures_in_a_row=0)
    assert story.broken() == set()


@pytest.mark.parametrize(("status", "expected"), [(500, {"batches come again whole"}), (413, set())])
def test_a_batch_that_is_recomposed_is_found_unless_it_was_too_large(status, expected):
    story = batched()
    refused_batch(story, status)
    story.send(1, 2, attempt=2)
    story.store(*[(position, 2, "delivered") for position in (1, 2)], gone=[1, 2], failures_in_a_row=0)
    assert story.broken() == expected


def test_a_batch_of_the_same_name_with_other_events_is_found():
    story = batched()
    refused_batch(story, 500)
    story.send(1, 2, attempt=2, webhook_id="bat_evt_1-3")
    assert "batches come again whole" in story.broken()


def test_a_batch_that_is_settled_in_parts_is_found():
    story = batched()
    story.send(1, 2, 3)
    story.store((1, 1, "delivered"), cursor=1)
    story.store((2, 1, "delivered"), (3, 1, "delivered"), cursor=3)
    assert story.broken() == {"batches are settled whole"}


def test_a_batch_is_settled_in_parts_also_where_the_next_owner_sends_the_rest():
    story = batched()
    story.send(1, 2, 3)
    story.store((1, 1, "delivered"), cursor=1)
    story.kill()
    story.start(2)
    story.take(process=2)
    story.send(2, 3, process=2)
    story.store((2, 1, "delivered"), (3, 1, "delivered"), cursor=3, process=2)
    assert "batches are settled whole" in story.broken()


def test_a_batch_whose_success_was_lost_with_its_owner_may_be_settled_by_what_comes_after():
    story = batched()
    story.send(1, 2, 3)
    story.kill()
    story.start(2)
    story.take(process=2)
    story.send(1, 2, 3, process=2, status=413)
    put = [story.held(position, 1) for position in (1, 2, 3)]
    story.store(*[(position, 1, "retrying") for position in (1, 2, 3)], put=put, cursor=3, process=2)
    story.send(1, 2, process=2, attempt=2)
    story.store((1, 2, "delivered"), (2, 2, "delivered"), gone=[1, 2], process=2)
    story.send(3, process=2, attempt=2)
    story.store((3, 2, "delivered"), gone=[3], process=2)
    assert "batches are settled whole" not in story.broken()


def test_a_batch_that_is_too_large_is_found():
    story = batched(size=2)
    story.send(1, 2, 3)
    story.store(*[(position, 1, "delivered") for position in (1, 2, 3)], cursor=3)
    assert story.broken() == {"batches are settled whole"}


# -- replays


def replayed(*positions: int, matched: tuple[int, ...] = (1, 2), state: str = "done", done: int = 2) -> Story:
    story = begun()
    story.report("shipment.created", "shipment.updated", "shipment.updated")
    for position in (1, 2, 3):
        story.deliver(position)
    story.ask("replay", positions=matched, replay_id="job_1")
    for position in positions:
        story.store(put=[replace(story.held(position, 0, state="resend"), replay_id="job_1")], process=None)
        story.deliver(position, attempt=2, replay_id="job_1")
    story.replays = [("default", "job_1", len(matched), done, state)]
    story.ending()
    return story


def test_a_replay_of_what_it_matched_breaks_nothing():
    assert replayed(1, 2).broken() == set()


@pytest.mark.parametrize(
    "story",
    [replayed(1), replayed(1, 2, 3), replayed(2, 1), replayed(1, 2, state="running"), replayed(1, 2, done=1)],
    ids=["one is left out", "one too many", "out of order", "never ends", "wrong progress"],
)
def test_a_replay_of_anything_else_is_found(story):
    assert story.broken() == {"replays send what they matched"}


def test_a_replay_that_nobody_heard_of_is_not_judged():
    story = replayed(1)
    (asked,) = [one for one in story.records if isinstance(one, OperatorAsked)]
    story.records[story.records.index(asked)] = replace(asked, answered=False)
    assert story.broken() == set()


# -- the end


def test_an_event_that_nothing_became_of_is_found():
    story = begun()
    story.report("shipment.created")
    story.ending()
    assert "nothing accepted is lost" in story.broken()


def test_what_a_paused_endpoint_holds_is_not_lost():
    story = begun()
    story.ask("pause")
    story.store(process=None, paused=True)
    story.report("shipment.created")
    story.waiting[ENDPOINT] = 1
    story.shown = [(ENDPOINT, 1, "waiting")]
    story.ending()
    assert story.broken() == set()


def test_what_a_paused_endpoint_let_go_is_lost():
    story = begun()
    story.report("shipment.created")
    story.store(process=None, paused=True)
    story.store(cursor=1)
    story.ending()
    assert "nothing accepted is lost" in story.broken()


def test_a_world_that_does_not_come_to_rest_is_found():
    story = begun()
    story.ending(idle=False)
    assert story.broken() == {"nothing accepted is lost"}


def test_a_row_that_is_left_over_is_found():
    story = begun()
    story.report("shipment.created")
    story.deliver(1)
    story.store(put=[story.held(1, 0, state="resend")], process=None)
    story.ending()
    assert story.broken() == {"nothing is left over"}


@pytest.mark.parametrize("case", ["count", "state"])
def test_a_reader_who_is_told_otherwise_is_found(case):
    story = begun()
    story.report("shipment.created")
    story.deliver(1)
    if case == "count":
        story.waiting[ENDPOINT] = 1
    else:
        story.shown = [(ENDPOINT, 1, "failed")]
    story.ending()
    assert story.broken() == {"readers are told the truth"}


def late_at_a_good_endpoint() -> Story:
    story = begun()
    story.wait(200)
    story.report("shipment.created")
    story.wait(30)
    return story


def test_an_event_that_is_late_at_a_good_endpoint_is_found():
    story = late_at_a_good_endpoint()
    story.deliver(1)
    story.ending()
    assert story.broken() == {"trouble stays at home"}


@pytest.mark.parametrize(("touches", "good"), [(None, True), ((ENDPOINT,), True), ((OTHER,), False)])
def test_harm_excuses_a_late_arrival_only_where_it_reaches(touches, good):
    story = begun()
    story.wait(200)
    harm(story, "network", 60, touches)
    story.report("shipment.created")
    story.wait(30)
    story.deliver(1)
    story.ending()
    assert story.broken() == (set() if good else {"trouble stays at home"})


def test_a_result_that_is_stored_late_is_found():
    story = begun()
    story.report("shipment.created")
    story.wait(20)
    story.send(1)
    story.wait(3)
    story.renew()
    story.store((1, 1, "delivered"), cursor=1)
    assert story.broken() == {"results are stored soon"}


def test_a_complaint_is_a_breach():
    story = begun()
    story.add(Complaint(story.now, 1, "AssertionError: 7"))
    assert story.broken() == {"nothing breaks by itself"}
