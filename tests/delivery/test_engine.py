"""What one endpoint is sent, in which order and when again."""

from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.endpoint_world import SCHEDULE, World, always
from waypost.delivery.engine import CURSOR_LAG_MAX
from waypost.delivery.health import Health
from waypost.delivery.schedule import SECOND
from waypost.delivery.signals import Answer, Paused, Resumed, Settings, SettingsChanged, Verdict

DAY_S = 86_400


def refusing(*positions: int, answer: Answer = Answer.REFUSED, times: int = 10**9):
    return lambda position, number, now: answer if position in positions and number <= times else Answer.TAKEN


def down_until(instant_s: float, answer: Answer = Answer.UNREACHED):
    return lambda position, number, now: answer if now < instant_s * SECOND else Answer.TAKEN


def test_everything_wanted_arrives_and_the_cursor_stands_at_the_end():
    world = World([("a", True), ("b", False), ("c", True)])
    world.run()
    assert world.arrivals() == [1, 3]
    assert world.cursor == 3


def test_second_event_of_a_shipment_waits_until_the_first_is_delivered():
    world = World([("a", True), ("a", True)], receiver=refusing(1, times=1))
    world.run(until_s=4)
    assert [sent.position for sent in world.sent] == [1]
    world.run()
    assert world.arrivals() == [1, 2]


def test_another_shipment_to_the_same_endpoint_does_not_wait():
    world = World([("a", True), ("a", True), ("b", True)], receiver=refusing(1))
    world.run(until_s=1)
    assert world.arrivals() == [3]


def test_without_ordering_the_events_of_a_shipment_do_not_wait_for_each_other():
    unordered = Settings(retry_schedule_s=SCHEDULE, ordered=False)
    world = World([("a", True), ("a", True)], receiver=refusing(1), settings=unordered)
    world.run(until_s=1)
    assert world.arrivals() == [2]


def test_retries_follow_the_schedule():
    world = World([("a", True), ("b", True)], receiver=refusing(1))
    world.latency_us = 1
    world.run()
    assert world.attempts_of(1) == [0, 5, 305, 2105]


def test_an_event_the_receiver_refuses_fails_when_its_schedule_is_used_up():
    world = World([("b", True), ("a", True), ("a", True)], receiver=refusing(2))
    world.run(until_s=1)
    world.append("b")
    world.run()
    assert world.verdict(2) is Verdict.FAILED
    assert world.arrivals() == [1, 4, 3]
    assert world.rows == {}


def test_the_lane_goes_on_only_once_the_final_failure_is_on_disk():
    once = Settings(retry_schedule_s=())
    world = World([("b", True)], settings=once, receiver=refusing(2))
    world.run()
    world.store_by_hand = True
    world.append("a", "a")
    world.run(until_s=1)
    world.append("b")  # something else gets through
    world.run(until_s=3600)
    assert world.arrivals() == [1, 4]
    world.store()
    world.run()
    assert 3 in world.arrivals()


def test_an_endpoint_that_is_down_never_uses_up_a_delivery():
    world = World([("a", True), ("b", True)], receiver=down_until(3 * DAY_S))
    world.run()
    assert sorted(world.arrivals()) == [1, 2]
    assert world.standing.health is Health.ACTIVE


def test_five_failures_in_a_row_make_the_endpoint_failing():
    world = World([(key, True) for key in "abcde"], receiver=always(Answer.UNREACHED))
    world.run(until_s=1)
    assert world.standing.health is Health.FAILING
    assert world.standing.reason == "said so"


def test_a_failing_endpoint_is_probed_one_at_a_time_and_never_more_than_300_s_apart():
    world = World([(key, True) for key in "abcdefgh"], receiver=always(Answer.UNREACHED))
    world.run(until_s=DAY_S)
    probes = [sent.at for sent in world.sent][8:]
    gaps = [(later - earlier) / SECOND for earlier, later in pairwise(probes)]
    assert max(gaps) <= 300.1
    assert min(gaps) >= 5


def test_probes_go_round_the_lanes_so_that_a_refused_event_cannot_hide_that_others_would_pass():
    def receiver(position, number, now):
        return Answer.TAKEN if position == 9 else Answer.REFUSED

    world = World([(key, True) for key in "abcdefgh"], receiver=receiver)
    world.run(until_s=1)
    assert world.standing.health is Health.FAILING
    world.append("i")
    world.run(until_s=3600)
    assert world.arrivals() == [9]


def test_an_outage_of_a_week_writes_no_rows():
    world = World([(f"k{i}", True) for i in range(100)], receiver=down_until(4 * DAY_S))
    world.run(until_s=10)
    written = world.rows_written
    world.append(*[f"n{i}" for i in range(1000)])
    world.run(until_s=4 * DAY_S - 301)
    assert world.rows_written - written <= 4 * DAY_S / 300 + 50  # one probe's row at most, not one a held event
    assert len(world.rows) <= 16


def test_after_five_days_without_success_the_endpoint_is_suspended_and_its_events_wait():
    world = World([("a", True)], receiver=always(Answer.UNREACHED))
    world.run()
    assert world.standing.health is Health.SUSPENDED
    assert 5 * DAY_S <= world.now / SECOND < 5 * DAY_S + 3600
    assert world.rows or world.cursor == 0


def test_410_suspends_at_once_and_the_event_is_held():
    world = World([("a", True), ("a", True)], receiver=refusing(1, answer=Answer.GONE, times=1))
    world.run()
    assert world.standing.health is Health.SUSPENDED
    world.give(Resumed())
    world.run()
    assert world.arrivals() == [1, 2]


def test_a_paused_endpoint_is_sent_nothing_and_goes_on_in_order():
    world = World()
    world.give(Paused())
    world.append("a", "b", "a")
    world.run(until_s=60)
    assert world.sent == []
    world.give(Resumed())
    world.run()
    assert world.arrivals() == [1, 2, 3]


def test_the_whole_endpoint_waits_as_long_as_retry_after_asks():
    world = World([("a", True)], receiver=refusing(1, answer=Answer.SLOW_DOWN, times=1), retry_after_s=120.0)
    world.run(until_s=1)
    world.append("b")
    world.run(until_s=119)
    assert len(world.sent) == 1
    world.run()
    assert world.arrivals() == [1, 2]


def test_a_stale_connection_is_tried_again_at_once_and_counts_for_nothing():
    world = World([("a", True)], receiver=refusing(1, answer=Answer.STALE, times=1))
    world.run()
    assert [(sent.number, sent.fresh) for sent in world.sent] == [(1, False), (2, True)]
    assert world.sent[1].at - world.sent[0].at == world.latency_us
    assert world.standing.failures_in_a_row == 0


def test_never_more_attempts_at_once_than_the_endpoint_allows():
    world = World([(f"k{i}", True) for i in range(500)])
    world.run()
    assert world.max_in_flight == world.settings.in_flight_max


def test_the_window_shrinks_when_the_receiver_asks_for_less():
    world = World([(f"k{i}", True) for i in range(500)])
    world.run()
    world.receiver = refusing(501, answer=Answer.SLOW_DOWN, times=1)
    world.append("x")
    world.run(until_s=world.now / SECOND + 1)
    assert world.engine.window_size == 8


def test_a_rate_limit_spaces_the_attempts():
    slow = Settings(retry_schedule_s=SCHEDULE, rate_per_second=2.0)
    world = World([(f"k{i}", True) for i in range(5)], settings=slow)
    world.run()
    assert [sent.at / SECOND for sent in world.sent] == [0, 0.5, 1, 1.5, 2]


def test_a_crash_sends_again_only_what_was_not_stored():
    world = World([("a", True), ("b", True)], store_by_hand=True)
    world.run(until_s=0.01)
    world.crash()
    world.store_by_hand = False
    world.run()
    assert Counter(sent.position for sent in world.sent) == {1: 2, 2: 2}
    world.crash()
    world.run()
    assert len(world.sent) == 4


def test_an_attempt_stored_past_the_cursor_is_not_sent_again_after_a_crash():
    def receiver(position, number, now):
        return Answer.REFUSED if position == 1 and number == 1 else Answer.TAKEN

    world = World([("a", True), ("b", True), ("c", False)], receiver=receiver)
    world.run(until_s=1)
    world.crash()
    world.run()
    assert Counter(sent.position for sent in world.sent) == {1: 2, 2: 1}


def test_attempt_numbers_go_on_after_a_crash():
    world = World([(key, True) for key in "abcdef"], receiver=always(Answer.UNREACHED))
    world.run(until_s=3600)
    world.crash()
    world.run(until_s=7200)  # the store refuses a number that it has
    assert world.standing.health is Health.FAILING


def test_events_nobody_wants_move_the_cursor_without_a_write_each():
    world = World()
    world.append(*[("a", False)] * 900)
    world.run(until_s=1)
    assert (world.cursor, world.engine.cursor) == (0, 900)
    world.append(*[("a", False)] * (CURSOR_LAG_MAX - 900))
    world.run(until_s=2)
    assert world.cursor == CURSOR_LAG_MAX
    world.append(("a", False))
    world.run()
    assert world.cursor == CURSOR_LAG_MAX + 1  # after 30 s, by time alone


def test_a_delivered_event_is_sent_again_when_somebody_asks():
    world = World([("a", True)])
    world.run()
    world.resend(1)
    world.run()
    assert [(sent.position, sent.number) for sent in world.sent] == [(1, 1), (1, 2)]
    assert world.rows == {}


def test_a_resend_alone_is_probed_too_when_the_endpoint_fails():
    world = World([("a", True)])
    world.run()
    world.receiver = down_until(DAY_S)
    world.resend(1)
    world.run()
    assert world.sent[-1].answer is Answer.TAKEN
    assert world.standing.health is Health.ACTIVE


def test_fewer_attempts_at_once_are_obeyed_as_soon_as_the_setting_changes():
    world = World([(f"k{i}", True) for i in range(200)])
    world.run()
    world.give(SettingsChanged(Settings(retry_schedule_s=SCHEDULE, in_flight_max=1)))
    world.max_in_flight = 0
    world.append(*[f"n{i}" for i in range(20)])
    world.run()
    assert world.max_in_flight == 1


ANSWERS = [Answer.TAKEN] * 6 + [Answer.REFUSED, Answer.SLOW_DOWN, Answer.UNREACHED, Answer.STALE, Answer.CANCELLED]


@settings(max_examples=150, deadline=None)
@given(
    log=st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=40),
    random=st.randoms(use_true_random=False),
    crashes=st.lists(st.floats(0, 20_000), max_size=6),
    pauses=st.lists(st.floats(0, 20_000), max_size=3),
    stored_late=st.booleans(),
)
def test_whatever_happens_nothing_is_lost_and_each_shipment_is_in_order(log, random, crashes, pauses, stored_late):
    world = World(log, receiver=lambda position, number, now: random.choice(ANSWERS))
    world.store_by_hand = stored_late
    moments = sorted([(at, "crash") for at in crashes] + [(at, "pause") for at in pauses])
    for at, what in moments:
        world.run(until_s=at)
        if what == "crash":
            world.crash()
        else:
            world.give(Paused())
            world.run(until_s=at + 50)
            world.store()
            world.give(Resumed())
    world.store_by_hand = False
    world.store()
    world.receiver = always(Answer.TAKEN)
    world.append("z")
    world.run()
    wanted = [position for position, (_, wanted, _) in enumerate(world.log, 1) if wanted]
    assert all(world.verdict(position) in {Verdict.DELIVERED, Verdict.FAILED} for position in wanted)
    assert world.rows == {}
    assert world.cursor == len(world.log)
    for key in "abcd":
        mine = [p for p in world.arrivals() if world.log[p - 1][0] == key and world.verdict(p) is Verdict.DELIVERED]
        late = [p for p in mine if Verdict.FAILED in [verdict for _, verdict in world.attempts[p]]]
        assert [p for p in mine if p not in late] == sorted(p for p in mine if p not in late)
