"""What an endpoint is sent in the corners: several troubles at once, clocks that stepped, restarts in between."""

import pytest

from delivery.endpoint_world import SCHEDULE, World, always
from waypost.delivery.engine import PENDING_MAX, READ_AGAIN_S, Engine
from waypost.delivery.health import Health
from waypost.delivery.parcels import Phase
from waypost.delivery.schedule import SECOND
from waypost.delivery.signals import (
    Answer,
    AttemptEnded,
    LogGrew,
    LogRead,
    NotSent,
    Owed,
    Paused,
    Pending,
    PendingState,
    Persist,
    ReadLog,
    ResendAsked,
    Resumed,
    Send,
    Settings,
    SettingsChanged,
    Standing,
    Start,
    TimeIs,
    Verdict,
    WakeAt,
)

DAY_S = 86_400
ORDERED = Settings(retry_schedule_s=SCHEDULE)
UNORDERED = Settings(retry_schedule_s=SCHEDULE, ordered=False)
ONE_A_SECOND = Settings(retry_schedule_s=SCHEDULE, rate_per_second=1.0)


def an_engine(*, settings=ORDERED, now=0, **start):
    return Engine(settings, Start(**{"cursor": 0, "log_end": 0, "standing": Standing(), **start}), now)


def reading(*owed, through, settings=ORDERED):
    """An engine that has read the log up to `through`, where `owed` is wanted, and what it says to that."""
    engine = an_engine(settings=settings, log_end=through)
    engine.take(TimeIs(), 0)
    return engine, engine.take(LogRead([Owed(*one) for one in owed], through), 1)


def sends(effects):
    return [(effect.position, effect.number) for effect in effects if isinstance(effect, Send)]


def wake_at(effects):
    return [effect.at for effect in effects if isinstance(effect, WakeAt)][-1]


def retrying(position, key, *, due_at=0, attempts=1):
    return Pending(position, key, PendingState.RETRYING, due_at, 1, attempts, 0, 0)


# -- patience, probes and rates


def test_retry_after_is_obeyed_although_another_attempt_in_flight_gets_through():
    def receiver(position, number, now):
        return Answer.SLOW_DOWN if (position, number) == (1, 1) else Answer.TAKEN

    world = World([("a", True), ("b", True)], receiver=receiver, retry_after_s=120.0)
    world.run(until_s=1)
    world.append("c")
    world.run(until_s=119)
    assert [sent.position for sent in world.sent] == [1, 2]


def test_attempts_that_were_out_when_the_endpoint_began_to_fail_are_no_probes():
    world = World([(f"w{i}", True) for i in range(64)])
    world.run()
    before, start = len(world.sent), world.now
    world.receiver = lambda position, number, now: Answer.UNREACHED if now < start + 2 * SECOND else Answer.TAKEN
    world.append(*[f"k{i}" for i in range(16)])
    world.run()
    first_probe = world.sent[before + 16]
    assert first_probe.at - start < 7 * SECOND


def test_a_lane_that_was_probed_costs_no_turn_of_the_rate_limit():
    world = World([(key, True) for key in "abc"], settings=ONE_A_SECOND)
    world.receiver = lambda position, number, now: Answer.TAKEN if now > DAY_S * SECOND else Answer.UNREACHED
    world.run()
    taken = [sent.at for sent in world.sent if sent.answer is Answer.TAKEN]
    assert taken[-1] - taken[0] < 10 * SECOND


def test_retries_that_are_not_due_cost_no_turn_of_the_rate_limit_after_a_restart():
    rows = tuple(retrying(position, f"k{position}", due_at=3600 * SECOND) for position in range(1, 301))
    engine = an_engine(settings=ONE_A_SECOND, cursor=300, log_end=301, pending=rows)
    engine.take(TimeIs(), 0)
    effects = engine.take(LogRead([Owed(301, "new")], 301), 1)
    if not sends(effects):
        effects = engine.take(TimeIs(), wake_at(effects))
    assert sends(effects) == [(301, 1)]


def test_a_higher_rate_is_obeyed_at_once():
    slow = Settings(retry_schedule_s=SCHEDULE, rate_per_second=0.001)
    world = World([(key, True) for key in "abc"], settings=slow)
    world.run(until_s=1)
    world.give(SettingsChanged(Settings(retry_schedule_s=SCHEDULE, rate_per_second=100.0)))
    world.run(until_s=5)
    assert len(world.sent) == 3


# -- restarts


def test_a_row_past_the_cursor_that_is_delivered_before_the_log_is_read_is_not_sent_again():
    engine = an_engine(cursor=7, log_end=10, pending=(retrying(10, "b"),), attempts_past_cursor={10: 1}, now=SECOND)
    assert sends(engine.take(TimeIs(), SECOND)) == [(10, 2)]
    engine.take(AttemptEnded(10, Answer.TAKEN, 0.5), 2 * SECOND)
    effects = engine.take(LogRead([Owed(8, "a"), Owed(10, "b")], 10), 3 * SECOND)
    assert sends(effects) == [(8, 1)]


def test_a_resend_past_the_cursor_does_not_make_its_event_owed_again_after_a_restart():
    row = Pending(10, "b", PendingState.RESEND, 0, 0, 1, 0, 0)
    engine = an_engine(cursor=7, log_end=10, pending=(row,), attempts_past_cursor={10: 1}, now=SECOND)
    effects = engine.take(TimeIs(), SECOND)
    effects += engine.take(LogRead([Owed(8, "a"), Owed(10, "b")], 10), 3 * SECOND)
    assert sorted(sends(effects)) == [(8, 1), (10, 2)]


def test_a_change_of_ordering_and_a_restart_do_not_stop_the_endpoint():
    world = World(settings=UNORDERED)
    world.receiver = lambda position, number, now: Answer.REFUSED if (position, number) == (2, 1) else Answer.TAKEN
    world.latency_us = 15 * SECOND
    world.append("a")
    world.run(until_s=1)
    world.latency_us, world.settings = 20_000, ORDERED
    world.give(SettingsChanged(ORDERED))
    world.append("a")  # it is refused and written down while the first is still out
    world.run(until_s=2)
    world.crash()
    before = len(world.sent)
    world.run()
    assert [sent.position for sent in world.sent[before:]] == [1, 2]


@pytest.mark.parametrize("stepped_s", [10 * 365 * DAY_S, 2 * DAY_S])
def test_no_hold_is_longer_than_a_day_whatever_the_clock_did(stepped_s):
    engine = an_engine(standing=Standing(held_until=stepped_s * SECOND), log_end=1)
    engine.take(TimeIs(), 0)
    effects = engine.take(LogRead([Owed(1, "a")], 1), 1)
    assert wake_at(effects) <= 1.1 * DAY_S * SECOND


# -- resends


def test_a_resend_goes_now_although_the_clock_stepped_since_it_was_asked_for():
    engine = an_engine()
    engine.take(TimeIs(), 0)
    asked = Pending(1, "a", PendingState.RESEND, 3600 * SECOND, 0, 1)
    assert sends(engine.take(ResendAsked((asked,)), 1)) == [(1, 2)]


def test_a_resend_that_is_refused_does_not_hide_the_lane_of_its_shipment():
    world = World([("a", True)])
    world.run()
    up_at = 3600 * SECOND
    world.receiver = lambda position, number, now: Answer.TAKEN if position == 2 and now > up_at else Answer.REFUSED
    world.resend(1)
    world.append("a")
    world.run(until_s=2 * DAY_S)
    assert 2 in world.arrivals()


def test_a_row_that_is_written_while_its_attempt_goes_out_does_not_count_that_attempt():
    row = Pending(1, "a", PendingState.RESEND, 0, 0, 1)
    engine = an_engine(cursor=1, log_end=1, pending=(row,))
    assert sends(engine.take(TimeIs(), 0)) == [(1, 2)]
    persist, send, *_ = engine.take(AttemptEnded(1, Answer.STALE, 0.5), 1)
    assert isinstance(persist, Persist)
    assert (persist.put[0].attempts, send) == (2, Send(1, 3, fresh=True))


# -- our own trouble


def test_an_attempt_that_this_machine_could_not_make_is_not_made_again_in_the_same_instant():
    world = World([("a", True)], receiver=always(Answer.CANCELLED))
    world.latency_us = 100
    world.run(until_s=1, steps=50)
    assert len(world.sent) < 20


def test_each_stale_connection_is_for_free_and_not_only_the_first_of_a_delivery():
    answers = {1: Answer.STALE, 2: Answer.REFUSED, 3: Answer.STALE}
    world = World([("a", True)], receiver=lambda position, number, now: answers.get(number, Answer.TAKEN))
    world.run()
    assert world.sent[3].at - world.sent[2].at == world.latency_us


def test_nothing_wakes_at_once_again_and_again_while_a_final_failure_is_stored():
    world = World([("b", True)], settings=Settings(retry_schedule_s=(1.0,) * 5))
    world.run()
    world.store_by_hand = True
    world.receiver = lambda position, number, now: Answer.TAKEN if position == 3 else Answer.REFUSED
    world.append("a", "c")  # a is refused until its schedule is used up; c gets through meanwhile
    world.run(steps=3000, until_s=60)
    assert [sent.position for sent in world.sent].count(2) == 6


# -- kept back, and told not to go after all


def test_what_was_kept_back_may_not_go_once_the_endpoint_is_paused():
    engine, effects = reading((1, "a"), through=1)
    assert sends(effects) == [(1, 1)]
    assert engine.may_still_go(1, 2)
    engine.take(Paused(), 2)
    assert not engine.may_still_go(1, 2)


def test_what_was_kept_back_may_not_go_while_the_endpoint_asks_for_patience():
    engine, _ = reading((1, "a"), (2, "b"), through=2)
    engine.take(AttemptEnded(1, Answer.SLOW_DOWN, 0.5, retry_after_s=120.0), SECOND)
    assert not engine.may_still_go(2, 2 * SECOND)
    assert engine.may_still_go(2, 140 * SECOND)


def test_what_was_kept_back_may_not_go_beside_the_probes_of_a_failing_endpoint():
    engine, _ = reading(*[(position, f"k{position}") for position in range(1, 65)], through=64)
    for position in (1, 2, 3):
        engine.take(AttemptEnded(position, Answer.TAKEN, 0.5), 2)
    for position in (4, 5, 6, 7, 8):
        engine.take(AttemptEnded(position, Answer.REFUSED, 0.5), 3)
    assert engine.in_flight > 0
    assert not engine.may_still_go(9, 4)


def test_an_attempt_that_did_not_go_leaves_no_trace_and_its_number_to_the_next():
    engine, _ = reading((1, "a"), through=1)
    engine.take(Paused(), 2)
    told = engine.take(NotSent(1), 3)
    assert not any(isinstance(effect, Persist | Send) for effect in told)
    assert engine.in_flight == 0
    assert sends(engine.take(Resumed(), 4)) == [(1, 1)]


def test_a_new_connection_is_still_asked_for_when_the_attempt_did_not_go():
    engine, _ = reading((1, "a"), through=1)
    effects = engine.take(AttemptEnded(1, Answer.STALE, 0.5), 2)
    assert Send(1, 2, fresh=True) in effects
    engine.take(Paused(), 3)
    engine.take(NotSent(1, fresh=True), 4)
    assert Send(1, 2, fresh=True) in engine.take(Resumed(), 5)


# -- a log that does not hold what it was said to


def asks_for_more(effects):
    return any(isinstance(effect, ReadLog) for effect in effects)


def test_a_log_that_ends_before_it_was_said_to_is_not_read_again_without_end():
    engine = an_engine(log_end=5)
    assert asks_for_more(engine.take(TimeIs(), 0))
    effects = engine.take(LogRead((), 0), 1)
    assert not asks_for_more(effects)
    assert wake_at(effects) == 1 + READ_AGAIN_S * SECOND
    assert asks_for_more(engine.take(TimeIs(), wake_at(effects)))


def test_a_log_that_ended_early_is_read_again_as_soon_as_it_grows():
    engine = an_engine(log_end=5)
    engine.take(TimeIs(), 0)
    engine.take(LogRead((), 0), 1)
    assert not asks_for_more(engine.take(LogGrew(5), 2))
    assert asks_for_more(engine.take(LogGrew(6), 3))


def test_a_success_of_the_instant_in_which_an_event_is_sent_is_none_since():
    engine, effects = reading((1, "a"), (2, "a"), through=2, settings=Settings(retry_schedule_s=(5.0,)))
    assert sends(effects) == [(1, 1)]
    assert sends(engine.take(AttemptEnded(1, Answer.TAKEN, 0.5), 1000)) == [(2, 1)]
    slow = AttemptEnded(2, Answer.UNREACHED, 0.5, took_s=2.0)  # its timings say more than there was
    now = 1000 + SECOND
    engine.take(slow, now)
    assert sends(engine.take(TimeIs(), now + 6 * SECOND)) == [(2, 2)]
    engine.take(slow, now + 7 * SECOND)
    assert engine.standing.health is Health.FAILING
    assert engine.phase(2) is Phase.READY


def test_an_event_that_was_lost_is_given_up_at_once_and_says_nothing_about_the_endpoint():
    world = World(receiver=lambda position, number, now: Answer.LOST if position == 1 else Answer.TAKEN)
    world.store_by_hand = True
    world.append("a", "a")
    world.run()
    assert [sent.position for sent in world.sent] == [1]
    world.store()
    assert [sent.position for sent in world.sent] == [1, 2]
    assert world.attempts[1] == [(1, Verdict.FAILED)]
    assert world.engine.standing.failures_in_a_row == 0


def test_a_failing_endpoint_is_probed_with_the_next_event_when_one_was_lost():
    world = World(settings=Settings(retry_schedule_s=(1.0,) * 9, in_flight_max=1), receiver=always(Answer.UNREACHED))
    world.append("a", "b")
    world.run(until_s=60)
    assert world.standing.health is Health.FAILING
    world.receiver = lambda position, number, now: Answer.LOST if position == 1 else Answer.TAKEN
    world.run()
    assert (world.verdict(1), world.verdict(2)) == (Verdict.FAILED, Verdict.DELIVERED)
    assert (world.standing.health, world.cursor, world.rows) == (Health.ACTIVE, 2, {})


def test_a_retry_keeps_its_time_although_the_schedule_was_made_shorter_since():
    engine = an_engine(
        settings=Settings(retry_schedule_s=(60,)),
        pending=(Pending(1, "a", PendingState.RETRYING, 3600 * SECOND, 3, 3),),
    )
    effects = engine.take(TimeIs(), 0)
    assert sends(effects) == []
    assert 54 * SECOND <= wake_at(effects) <= 66 * SECOND


def test_a_lane_that_was_probed_by_a_clock_ahead_of_ours_takes_its_turn():
    rows = (
        Pending(1, "a", PendingState.RETRYING, 0, 1, 1, 0, 3600 * SECOND),
        Pending(2, "b", PendingState.RETRYING, 0, 1, 1, 0, 0),
    )
    failing = Standing(health=Health.FAILING, failures_in_a_row=5, failing_since=0)
    engine = an_engine(cursor=2, log_end=2, pending=rows, standing=failing, now=SECOND)
    probed, at = [], SECOND
    effects = engine.take(TimeIs(), at)
    for _ in range(4):
        ((position, _),) = sends(effects)
        probed.append(position)
        effects = engine.take(AttemptEnded(position, Answer.UNREACHED, 0.5, "no answer"), at)
        at = wake_at(effects)
        effects = engine.take(TimeIs(), at)
    assert probed == [2, 1, 2, 1]


def test_the_rows_of_an_endpoint_that_refuses_half_of_its_events_are_bounded():
    world = World(settings=ORDERED)
    world.receiver = lambda position, number, now: Answer.TAKEN if position % 2 else Answer.REFUSED
    world.append(*[f"k{number}" for number in range(6_000)])
    world.run(until_s=60)
    assert PENDING_MAX <= len(world.rows) < PENDING_MAX + 500  # what was read before is tried, and may fail too
    assert world.cursor < 6_000


def test_the_cursor_stands_while_batches_are_probed():
    world = World(settings=Settings(retry_schedule_s=SCHEDULE, batch_size=100), receiver=always(Answer.UNREACHED))
    world.append(*[f"k{number}" for number in range(3_000)])
    world.run(until_s=3600)
    assert world.standing.health is Health.FAILING
    cursor, rows = world.cursor, len(world.rows)
    world.run(until_s=2 * DAY_S)
    assert (world.cursor, world.standing.health) == (cursor, Health.FAILING)
    assert len(world.rows) - rows < 1_000  # those of the window, and no more however long it lasts


def test_probes_that_fail_for_a_trouble_of_ours_are_a_second_apart():
    failing = Standing(health=Health.FAILING, failures_in_a_row=5, failing_since=0)
    engine = an_engine(log_end=2, standing=failing)
    engine.take(TimeIs(), 0)
    ((position, _),) = sends(engine.take(LogRead([Owed(1, "a"), Owed(2, "b")], 2), 0))
    effects = engine.take(AttemptEnded(position, Answer.CANCELLED, 0.5, "no socket"), 1)
    assert (sends(effects), wake_at(effects)) == ([], SECOND + 1)


def test_a_row_past_the_cursor_does_not_take_the_cursor_along_while_the_endpoint_fails():
    failing = Standing(health=Health.FAILING, failures_in_a_row=5, failing_since=0)
    engine = an_engine(log_end=3, standing=failing, pending=(retrying(3, "a"),))
    engine.take(TimeIs(), 0)
    engine.take(LogRead([Owed(1, "b"), Owed(2, "b"), Owed(3, "a")], 3), 1)
    assert engine.cursor == 0
