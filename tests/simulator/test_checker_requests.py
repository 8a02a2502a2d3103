"""The checker on what is promised of requests and their pace: each promise on a good and a bad history."""

from dataclasses import replace

import pytest

from simulator.telling import ENDPOINT, SECOND, SECRET, Story, begun
from waypost.simulator.history import Committed, EndpointChanged, ProcessTurn, SendBegan


def two_of_a_key() -> Story:
    story = begun()
    story.report("shipment.created", "shipment.status.booked")
    return story


# -- order


def test_a_second_of_a_key_before_the_first_is_found():
    story = two_of_a_key()
    story.deliver(2)
    story.deliver(1)
    assert {"first arrivals are in order", "the next of a key waits"} <= story.broken()


def test_another_key_need_not_wait():
    story = two_of_a_key()
    story.report("shipment.created", key="shp_2")
    story.send(3)
    story.store((3, 1, "delivered"))
    story.deliver(1)
    assert story.broken() == set()


def test_no_order_is_asked_for_where_the_endpoint_wants_none():
    story = begun(ordering="none")
    story.report("shipment.created", "shipment.status.booked")
    story.send(2)
    story.store((2, 1, "delivered"))
    story.deliver(1)
    assert story.broken() == set()


def refused_for_good(story: Story, *, until: int = 3) -> None:
    """Refuse position 1 until the schedule of two is used up, while another key gets through."""
    for number in range(1, until):
        story.send(1, status=500, attempt=number)
        story.store((1, number, "retrying"), put=[story.held(1, number)], cursor=1, failures_in_a_row=number)
        story.wait(310)
    story.send(3)
    story.store((3, 1, "delivered"), failures_in_a_row=0)
    story.send(1, status=500, attempt=until)


def test_an_event_that_was_given_up_may_be_passed():
    story = two_of_a_key()
    story.report("shipment.created", key="shp_2")
    refused_for_good(story)
    story.store((1, 3, "failed"), gone=[1], failures_in_a_row=1, events=told_of_failure(story))
    story.deliver(2)
    assert story.broken() == set()


def told_of_failure(story: Story):
    return story.events("delivery.failed", key=ENDPOINT.endpoint_id)


def test_an_event_that_is_passed_before_its_failure_is_stored_is_found():
    story = two_of_a_key()
    story.report("shipment.created", key="shp_2")
    refused_for_good(story)
    story.send(2)
    story.store((1, 3, "failed"), (2, 1, "delivered"), gone=[1], cursor=2, events=told_of_failure(story))
    assert story.broken() == {"the next of a key waits"}


def test_a_success_need_not_be_stored_before_the_next_goes():
    story = two_of_a_key()
    story.send(1)
    story.send(2)
    story.store((1, 1, "delivered"), (2, 1, "delivered"), cursor=2)
    assert story.broken() == set()


def test_a_success_that_only_a_dead_owner_heard_does_not_let_the_next_go():
    story = two_of_a_key()
    story.send(1)
    story.kill()
    story.wait(6)
    story.start(2)
    story.take(process=2)
    story.deliver(2, process=2)
    assert "the next of a key waits" in story.broken()


def test_two_of_a_key_at_once_are_found():
    story = two_of_a_key()
    first = story.begin(1)
    second = story.begin(2)
    story.end(first)
    story.end(second)
    assert story.broken() == {"one of a key is out at a time", "the next of a key waits"}


# -- repeats


def test_a_repeat_after_a_crash_is_fine():
    story = two_of_a_key()
    story.send(1)
    story.kill()
    story.wait(6)
    story.start(2)
    story.take(process=2)
    story.deliver(1, process=2)
    assert story.broken() == set()


def test_a_repeat_although_its_owner_heard_the_success_is_found():
    story = two_of_a_key()
    story.send(1)
    story.wait(20)
    story.send(1, attempt=2)
    assert "no duplicate without a cause" in story.broken()


def test_a_repeat_after_a_crash_although_the_success_was_stored_is_found():
    story = two_of_a_key()
    story.deliver(1)
    story.kill()
    story.wait(6)
    story.start(2)
    story.take(process=2)
    story.send(1, process=2, attempt=2)
    assert story.broken() == {"no duplicate without a cause"}


def test_a_repeat_while_it_is_out_is_found():
    story = two_of_a_key()
    story.begin(1)
    story.wait(1)
    story.begin(1, attempt=2)
    assert "no duplicate without a cause" in story.broken()


def test_a_repeat_that_was_asked_for_is_fine():
    story = two_of_a_key()
    story.deliver(1)
    story.ask("resend", positions=(1,))
    story.store(put=[story.held(1, 0, state="resend")], process=None)
    story.deliver(1, attempt=2)
    assert story.broken() == set()


def test_a_second_repeat_for_one_request_is_found():
    story = two_of_a_key()
    story.deliver(1)
    story.store(put=[story.held(1, 0, state="resend")], process=None)
    story.send(1, attempt=2)
    story.wait(60)
    story.send(1, attempt=3)
    assert story.broken() == {"no duplicate without a cause"}


def test_an_event_that_nobody_wants_is_found():
    story = begun(patterns=("shipment.status.*",))
    story.report("shipment.created", "shipment.status.booked")
    story.send(1)
    assert story.broken() == {"only wanted events go out"}


@pytest.mark.parametrize(("country", "expected"), [("IS", set()), ("EE", {"only wanted events go out"})])
def test_a_filter_is_held_against_the_shipment(country, expected):
    story = begun(wanted={"countries": ("IS", "NO")})
    story.report("shipment.created")
    story.facts["default", 1] = {"countries": (country,)}
    story.send(1)
    story.store((1, 1, "delivered"), cursor=1)
    assert story.broken() == expected


# -- what a request is made of


def test_attempts_are_counted_up():
    story = two_of_a_key()
    story.send(1, status=500)
    story.store((1, 1, "retrying"), put=[story.held(1, 1)], failures_in_a_row=1)
    story.wait(5)
    story.send(1, attempt=3)
    assert story.broken() == {"attempts are counted"}


def test_a_new_owner_counts_on_from_what_is_stored():
    story = two_of_a_key()
    story.send(1, status=500)
    story.store((1, 1, "retrying"), put=[story.held(1, 1)], failures_in_a_row=1)
    story.kill()
    story.wait(6)
    story.start(2)
    story.take(process=2)
    story.send(1, process=2, attempt=1)
    assert story.broken() == {"attempts are counted"}


@pytest.mark.parametrize(
    "wrong", [{"body_hash": "others"}, {"webhook_id": "evt_9"}, {"event_ids": ("evt_2",)}, {"sequences": (7,)}]
)
def test_a_request_that_is_not_what_is_stored_is_found(wrong):
    story = two_of_a_key()
    story.send(1, **wrong)
    assert story.broken() == {"retries are equal"}


def test_a_retry_with_other_bytes_is_found():
    story = begun(payload="changes")
    story.report("shipment.created")
    story.send(1, status=500, body_hash="a part")
    story.store((1, 1, "retrying"), put=[story.held(1, 1)], failures_in_a_row=1)
    story.wait(5)
    story.send(1, attempt=2, body_hash="another part")
    assert story.broken() == {"retries are equal"}


def test_other_bytes_are_fine_once_the_payload_was_changed():
    story = begun(payload="changes")
    story.report("shipment.created")
    story.send(1, status=500, body_hash="a part")
    story.store((1, 1, "retrying"), put=[story.held(1, 1)], failures_in_a_row=1)
    (made,) = [one for one in story.records if isinstance(one, EndpointChanged)]
    story.add(
        replace(made, at=story.now, asked_at=story.now, made=False, settings=replace(made.settings, payload="full"))
    )
    story.wait(5)
    story.send(1, attempt=2)
    assert story.broken() == set()


def test_what_was_erased_and_goes_out_is_found():
    story = two_of_a_key()
    old = story.log["default"][0]
    story.log["default"][0] = replace(old, body_hash="blank")
    story.add(Committed(story.now, None, "erase", rewritten=(("default", story.log["default"][0]),)))
    story.ask("erase", key="shp_1")
    story.wait(1)
    story.send(1, body_hash=old.body_hash)
    assert "nothing erased goes out" in story.broken()


def test_what_was_erased_goes_out_blank():
    story = two_of_a_key()
    story.ask("erase", key="shp_1")
    story.log["default"][0] = replace(story.log["default"][0], body_hash="blank")
    story.add(Committed(story.now, None, "erase", rewritten=(("default", story.log["default"][0]),)))
    story.send(1)
    assert story.broken() == set()


def rotated(story: Story, overlap_s: float) -> None:
    (made,) = [one for one in story.records if isinstance(one, EndpointChanged)]
    secrets = (("whsec_two", None), (SECRET, story.now + round(overlap_s * SECOND)))
    story.add(replace(made, at=story.now, asked_at=story.now, made=False, secrets=secrets))
    story.wait(20)


@pytest.mark.parametrize(
    ("overlap_s", "signed_by", "good"),
    [
        (60, ("whsec_two", SECRET), True),
        (60, ("whsec_two",), False),
        (60, (SECRET,), False),
        (10, ("whsec_two",), True),
        (10, ("whsec_two", SECRET), False),
        (10, (), False),
    ],
)
def test_live_secrets_sign_and_no_others(overlap_s, signed_by, good):
    story = two_of_a_key()
    rotated(story, overlap_s)
    story.send(1, signed_by=signed_by)
    assert story.broken() == (set() if good else {"signatures are of live secrets"})


def test_a_time_that_is_not_the_attempts_is_found():
    story = two_of_a_key()
    story.send(1, timestamp=1_796_083_200 - 600)
    assert story.broken() == {"signatures are of live secrets"}


# -- pace


@pytest.mark.parametrize(("waited_s", "expected"), [(4.6, set()), (4.4, {"retries keep the schedule"})])
def test_a_retry_comes_no_earlier_than_its_schedule(waited_s, expected):
    story = two_of_a_key()
    story.send(1, status=500)
    story.store((1, 1, "retrying"), put=[story.held(1, 1)], failures_in_a_row=1)
    story.wait(waited_s)
    story.send(1, attempt=2)
    assert story.broken() == expected


def test_a_retry_of_an_endpoint_that_is_failing_before_that_is_stored_may_be_a_probe():
    story = two_of_a_key()
    story.send(1, status=500)
    story.store((1, 1, "retrying"), put=[story.held(1, 2)], failures_in_a_row=4)
    story.wait(60)
    story.send(1, attempt=2, status=500)
    story.store(health="failing", failures_in_a_row=5)
    assert "retries keep the schedule" not in story.broken()


def test_a_second_retry_waits_for_the_second_step():
    story = two_of_a_key()
    for number in (1, 2):
        story.send(1, status=500, attempt=number)
        story.store((1, number, "retrying"), put=[story.held(1, number)], failures_in_a_row=number)
        story.wait(10)
    story.send(1, attempt=3)
    assert story.broken() == {"retries keep the schedule"}


def test_a_retry_on_a_new_connection_may_go_at_once():
    story = two_of_a_key()
    request = story.begin(1, arrives=False)
    story.end(request, None)
    story.records[-1] = replace(story.records[-1], outcome="reset", stale=True)
    story.store((1, 1, "retrying"))
    story.send(1, attempt=2)
    assert story.broken() == set()


def asked_for_patience(retry_after: str, waited_s: float, *, process: int = 1, stored: bool = True) -> Story:
    story = two_of_a_key()
    story.report("shipment.created", key="shp_2")
    story.send(1, status=503, retry_after=retry_after)
    if stored:
        story.store((1, 1, "retrying"), status=503, put=[story.held(1, 1)], failures_in_a_row=1, held_until=1)
    if process == 2:
        story.kill()
        story.start(2)
    story.wait(waited_s)
    if process == 2:
        story.take(process=2)
    story.send(3, process=process)
    return story


@pytest.mark.parametrize(
    ("retry_after", "waited_s", "good"),
    [
        ("60", 61, True),
        ("60", 30, False),
        ("99999999999999999999", 3600, False),
        ("99999999999999999999", 86_401, True),
        ("Tue, 01 Dec 2026 00:10:00 GMT", 300, False),
        ("Tue, 01 Dec 2026 00:10:00 GMT", 600, True),
        ("soon", 1, True),
    ],
)
def test_patience_that_was_asked_for_is_kept(retry_after, waited_s, good):
    assert asked_for_patience(retry_after, waited_s).broken() == (set() if good else {"retry after is obeyed"})


@pytest.mark.parametrize(("stored", "expected"), [(True, {"retry after is obeyed"}), (False, set())])
def test_a_new_owner_keeps_the_patience_that_is_stored(stored, expected):
    assert asked_for_patience("60", 10, process=2, stored=stored).broken() == expected


def test_somebodys_resume_ends_the_patience():
    story = two_of_a_key()
    story.send(1, status=429, retry_after="60")
    story.store((1, 1, "retrying"), put=[story.held(1, 1)], failures_in_a_row=1, held_until=1)
    story.ask("resume")
    story.send(1, attempt=2)
    assert story.broken() == set()


@pytest.mark.parametrize(("gap_s", "expected"), [(0.5, set()), (0.1, {"the rate is kept"})])
def test_the_rate_is_kept(gap_s, expected):
    story = begun(rate_per_second=2.0, ordering="none")
    story.wait(300)
    story.report(*["shipment.updated"] * 8)
    for position in range(1, 9):
        story.deliver(position)
        story.wait(gap_s)
    assert story.broken() == expected


@pytest.mark.parametrize(("out", "expected"), [(2, set()), (3, {"the window is bounded"})])
def test_the_window_is_bounded(out, expected):
    story = begun(in_flight_max=2, ordering="none")
    story.report(*["shipment.updated"] * 3)
    for position in range(1, out + 1):
        story.begin(position)
    assert story.broken() == expected


@pytest.mark.parametrize(("waited_s", "expected"), [(10, set()), (16, {"a pause holds"})])
def test_nothing_goes_out_after_a_pause_and_one_timeout(waited_s, expected):
    story = two_of_a_key()
    story.ask("pause")
    story.wait(waited_s)
    story.send(1)
    assert story.broken() == expected


def test_a_resume_ends_the_pause():
    story = two_of_a_key()
    story.ask("pause")
    story.wait(60)
    story.ask("resume")
    story.send(1)
    assert story.broken() == set()


def test_nothing_goes_out_to_a_suspended_endpoint():
    story = two_of_a_key()
    story.send(1, status=410)
    told = story.events("endpoint.suspended", key=ENDPOINT.endpoint_id)
    story.store((1, 1, "retrying"), status=410, health="suspended", failures_in_a_row=1, events=told)
    assert story.broken() == set()
    story.wait(30)
    story.send(1, attempt=2)
    assert "a suspension holds" in story.broken()


def test_a_stepped_clock_is_no_excuse_within_one_life():
    story = two_of_a_key()
    story.send(1, status=500)
    story.store((1, 1, "retrying"), put=[story.held(1, 1)], failures_in_a_row=1)
    story.add(ProcessTurn(story.now, 1, "stepped", clock=1_796_083_200_000_000 + 3600 * SECOND))
    story.wait(1)
    request = story.begin(1, attempt=2)
    began = next(one for one in story.records if isinstance(one, SendBegan) and one.request == request)
    at = story.records.index(began)
    shifted = began.process_clock + 3600 * SECOND
    story.records[at] = replace(began, process_clock=shifted, timestamp=shifted // SECOND)
    assert story.broken() == {"retries keep the schedule"}
