"""Batches: which events go out together, and that they do so again and again until all are settled."""

from delivery.endpoint_world import SCHEDULE, World, always
from waypost.delivery.engine import PENDING_MAX
from waypost.delivery.schedule import SECOND
from waypost.delivery.signals import Answer, Paused, Resumed, Settings, SettingsChanged, Stored, Verdict

SINGLES = Settings(retry_schedule_s=SCHEDULE)
COLLECTED = "shipment.status.collected"


def batches_of(size, wait_s=1.0, **settings):
    return Settings(retry_schedule_s=SCHEDULE, batch_size=size, batch_wait_s=wait_s, **settings)


def by_turns(*answers):
    """A receiver that gives these answers, and then takes everything."""
    left = list(answers)
    return lambda position, number, now: left.pop(0) if left else Answer.TAKEN


def batches(world):
    return [[part.position for part in send.batch] for send in world.requests]


def test_a_batch_holds_the_events_of_many_lanes_in_log_order():
    world = World(settings=batches_of(4))
    world.append("a", "b", "a", "c")
    world.run()
    assert batches(world) == [[1, 2, 3, 4]]
    assert (world.cursor, world.rows) == (4, {})
    assert [world.verdict(position) for position in (1, 2, 3, 4)] == [Verdict.DELIVERED] * 4


def test_a_full_batch_goes_at_once_and_a_smaller_one_when_its_first_has_waited():
    world = World(settings=batches_of(3, wait_s=10.0))
    world.append("a", "b", "c", "d")
    world.run(until_s=9)
    assert batches(world) == [[1, 2, 3]]
    world.run()
    assert batches(world) == [[1, 2, 3], [4]]
    assert world.sent[-1].at == 10 * SECOND


def test_it_is_stored_before_it_goes_out():
    world = World(settings=batches_of(2), store_by_hand=True)
    world.append("a", "b")
    world.run()
    assert world.requests == []
    world.store()
    assert batches(world) == [[1, 2]]
    assert {row.batch for row in world.rows.values()} == {(1, 2)}


def test_a_refused_batch_comes_again_whole_and_others_go_on():
    world = World(settings=batches_of(2), receiver=by_turns(Answer.REFUSED))
    world.append("a", "b", "c", "d")
    world.run(until_s=1)
    world.append("a")
    world.run()
    assert batches(world) == [[1, 2], [3, 4], [1, 2], [5]]
    assert [send.number for send in world.requests] == [1, 1, 2, 1]


def test_after_a_crash_exactly_the_same_batch_comes_again():
    world = World(settings=batches_of(3), receiver=always(Answer.REFUSED))
    world.append("a", "b", "a")
    world.run(until_s=0.01)  # it is out, and its answer is lost
    world.receiver = always(Answer.TAKEN)
    world.crash()
    world.append("d", "e", "f")
    world.run()
    assert batches(world) == [[1, 2, 3], [1, 2, 3], [4, 5, 6]]


def test_a_final_failure_fails_every_event_of_it_and_is_stored_before_the_lanes_go_on():
    world = World(settings=batches_of(2, wait_s=0.0), receiver=lambda position, number, now: (
        Answer.REFUSED if position == 1 else Answer.TAKEN
    ))  # fmt: skip
    world.append("a", "b")
    world.run(until_s=1)
    world.append("a", "z")
    world.run(until_s=400)
    world.append("y")  # the endpoint takes something meanwhile
    world.run()
    assert [world.verdict(position) for position in (1, 2)] == [Verdict.FAILED, Verdict.FAILED]
    assert world.verdict(3) is Verdict.DELIVERED
    assert world.rows == {}


def test_one_that_is_too_large_is_halved_at_once_and_no_failure_is_counted():
    world = World(settings=batches_of(5), receiver=by_turns(Answer.TOO_LARGE))
    world.append("a", "b", "a", "c", "a")
    world.run()
    assert batches(world) == [[1, 2, 3, 4, 5], [1, 2, 3], [4, 5]]
    assert world.sent[-1].at < SECOND
    assert world.standing.failures_in_a_row == 0


def test_the_second_half_waits_for_the_first_where_they_share_a_shipment():
    world = World(settings=batches_of(2), receiver=by_turns(Answer.TOO_LARGE, Answer.REFUSED))
    world.append("a", "a")
    world.run()
    assert batches(world) == [[1, 2], [1], [1], [2]]
    assert [sent.at // SECOND for sent in world.sent[-2:]] == [5, 5]


def test_one_event_that_is_too_large_fails_like_any_other():
    world = World(settings=batches_of(1), receiver=by_turns(Answer.TOO_LARGE))
    world.append("a")
    world.run()
    assert world.attempts_of(1) == [0, 5]


def test_events_of_a_batch_go_one_by_one_once_no_batches_are_taken():
    world = World(settings=batches_of(3), receiver=by_turns(Answer.REFUSED))
    world.append("a", "a", "b")
    world.run(until_s=1)
    world.settings = SINGLES
    world.give(SettingsChanged(SINGLES))
    assert {row.batch for row in world.rows.values()} == {None}
    world.run()
    assert [send.position for send in world.requests[1:]] == [1, 3, 2]
    assert all(not send.batch for send in world.requests[1:])


def test_a_batch_that_is_found_where_none_are_taken_is_taken_apart():
    world = World(settings=batches_of(2), receiver=by_turns(Answer.REFUSED))
    world.append("a", "b")
    world.run(until_s=1)
    world.settings = SINGLES
    world.crash()
    world.run()
    assert [(send.position, send.batch) for send in world.requests[1:]] == [(1, ()), (2, ())]


def being_stored(world):
    """What is on its way to the disk; what is told from now on waits behind it."""
    storing, world.unstored = world.unstored, []
    return storing


def is_stored(world, storing):
    for persist in storing:
        world._write(persist)
    world.give(Stored(tuple(position for persist in storing for position in persist.waited_for)))


def change(world, settings):
    world.settings = settings
    world.give(SettingsChanged(settings))


def test_one_made_up_anew_while_the_one_before_is_being_stored_waits_for_its_own_storing():
    world = World(settings=batches_of(2), store_by_hand=True)
    world.append("a", "b")
    world.run()
    storing = being_stored(world)
    world.give(Paused())
    change(world, SINGLES)
    change(world, batches_of(1, wait_s=0.0))
    world.give(Resumed())
    is_stored(world, storing)
    world.store()
    assert world.requests == []
    world.store()
    assert batches(world) == [[1]]


def test_what_was_tried_before_goes_alone_so_that_no_two_batches_have_one_name():
    world = World(settings=SINGLES, receiver=by_turns(Answer.REFUSED))
    world.append("a")
    world.run(until_s=1)
    world.settings = batches_of(10)
    world.give(SettingsChanged(world.settings))
    world.append("b", "c")
    world.run()
    assert batches(world)[1:] == [[2, 3], [1]]


def test_what_is_asked_for_again_goes_alone():
    world = World(settings=batches_of(3))
    world.append("a", "b", "c")
    world.run()
    world.resend(2)
    world.run()
    assert batches(world) == [[1, 2, 3], [2]]


def test_a_failing_endpoint_is_probed_with_a_batch_as_it_is():
    world = World(settings=batches_of(2, in_flight_max=1), receiver=always(Answer.UNREACHED))
    world.append("a", "b")
    world.run(until_s=3600 * 24)
    assert set(map(tuple, batches(world))) == {(1, 2)}
    assert world.standing.health.value == "failing"
    world.receiver = always(Answer.TAKEN)
    world.run(until_s=3600 * 25)
    assert (world.cursor, world.rows) == (2, {})


def test_a_refused_batch_does_not_hide_that_others_would_pass():
    world = World(settings=batches_of(1, wait_s=0.0, in_flight_max=1))
    world.receiver = lambda position, number, now: Answer.REFUSED if position == 1 else Answer.TAKEN
    world.settings = Settings(retry_schedule_s=(1.0,) * 6, batch_size=1, in_flight_max=1)
    world.crash()
    world.append("a")
    world.run(until_s=60)
    assert world.standing.health.value == "failing"
    world.append("b")
    world.run(until_s=900)
    assert world.verdict(2) is Verdict.DELIVERED


def test_requests_count_against_the_rate_not_events():
    world = World(settings=batches_of(2, rate_per_second=1.0))
    world.append("a", "b", "c", "d", "e", "f")
    world.run()
    assert batches(world) == [[1, 2], [3, 4], [5, 6]]
    assert [send.at // SECOND for send in world.sent[::2]] == [0, 1, 2]


def test_events_are_folded_before_they_are_packed():
    world = World(settings=batches_of(10, coalesce=True))
    world.append(("a", True, "shipment.updated"), ("a", True, COLLECTED), ("a", True, "shipment.updated"), "b")
    world.run()
    (send,) = world.requests
    assert [(part.position, part.folded) for part in send.batch] == [(2, ()), (3, (1,)), (4, ())]
    assert world.cursor == 4


def test_what_is_written_down_has_a_bound():
    world = World(settings=batches_of(500, in_flight_max=256), receiver=always(Answer.UNREACHED), latency_us=SECOND)
    world.append(*[f"s{number}" for number in range(5_000)])
    world.run(until_s=0.5)
    assert len(world.rows) <= PENDING_MAX


def test_what_was_lost_is_taken_out_of_a_batch_and_the_rest_goes_on():
    world = World(settings=batches_of(4), receiver=by_turns(Answer.LOST, Answer.TAKEN, Answer.LOST, Answer.LOST))
    world.append("a", "b", "c", "d")
    world.run()
    assert batches(world) == [[1, 2, 3, 4], [1, 2], [3, 4], [3], [4]]
    assert [world.verdict(position) for position in (1, 2, 3, 4)] == [
        Verdict.DELIVERED, Verdict.DELIVERED, Verdict.FAILED, Verdict.DELIVERED,
    ]  # fmt: skip
    assert (world.cursor, world.rows) == (4, {})
