"""What a replay asks for goes out beside the live deliveries, and is taken back when the replay is cancelled."""

from delivery.endpoint_world import SCHEDULE, World, always
from waypost.delivery.schedule import SECOND
from waypost.delivery.signals import Answer, Pending, PendingState, ResendAsked, Settings, Verdict


def replayed(world: World, *positions: int, job: str = "job_1") -> None:
    """Ask for these again as a replay does, and tell the engine all rows that are stored."""
    for position in positions:
        key, _, type_name = world.log[position - 1]
        made = len(world.attempts.get(position, []))
        row = Pending(position, key, state=PendingState.RESEND, attempts=made, type=type_name, replay_id=job)
        world.rows[position] = row
    tell(world)


def cancelled(world: World, job: str = "job_1") -> None:
    """Take the rows of a job away, as the log does."""
    world.rows = {position: row for position, row in world.rows.items() if row.replay_id != job}
    tell(world)


def tell(world: World) -> None:
    world.give(ResendAsked(tuple(world.rows.values()), world.held()))


def again(world: World, since: int) -> list[int]:
    return [sent.position for sent in world.sent[since:]]


def a_second_passes(world: World) -> None:
    world.run(until_s=world.now // SECOND + 1)


def delivered(*keys: str) -> World:
    world = World(log=keys)
    world.run()
    assert sorted(world.arrivals()) == list(range(1, len(keys) + 1))
    return world


def test_a_replay_goes_out_in_the_order_of_each_lane_with_its_mark():
    world = delivered("a", "a", "b", "a")
    since = len(world.sent)
    replayed(world, 1, 2, 3, 4)
    world.run()
    assert [position for position in again(world, since) if position != 3] == [1, 2, 4]
    assert {send.replay_id for send in world.requests[-4:]} == {"job_1"}
    assert world.rows == {}


def test_a_live_event_of_the_same_shipment_does_not_wait_for_a_replay():
    world = delivered("a", "a")
    world.receiver = lambda position, number, now: Answer.REFUSED if position < 3 else Answer.TAKEN
    replayed(world, 1, 2)
    a_second_passes(world)
    world.append("a")
    a_second_passes(world)
    assert 3 in world.arrivals()


def test_a_cancelled_replay_takes_back_what_is_not_out():
    world = delivered("a", "a", "b", "b")
    world.receiver = always(Answer.REFUSED)
    since = len(world.sent)
    replayed(world, 1, 2, 3, 4)
    a_second_passes(world)
    assert sorted(again(world, since)) == [1, 3]
    cancelled(world)
    world.run()
    assert sorted(again(world, since)) == [1, 3]
    assert world.engine.idle


def test_what_somebody_asked_for_by_hand_is_not_taken_back_with_a_replay():
    world = delivered("a", "b")
    world.receiver = always(Answer.REFUSED)
    replayed(world, 1)
    a_second_passes(world)
    world.rows[2] = Pending(2, "b", state=PendingState.RESEND, attempts=1)
    tell(world)
    a_second_passes(world)
    world.receiver = always(Answer.TAKEN)
    since = len(world.sent)
    cancelled(world)
    world.run()
    assert again(world, since) == [2]


def test_a_cancelled_replay_is_taken_back_where_batches_are_taken():
    world = World(log=["a"], settings=Settings(retry_schedule_s=SCHEDULE, batch_size=3))
    world.run()
    world.receiver = always(Answer.REFUSED)
    replayed(world, 1)
    a_second_passes(world)
    cancelled(world)
    world.receiver = always(Answer.TAKEN)
    world.run()
    assert world.attempts[1] == [(1, Verdict.DELIVERED), (2, Verdict.RETRYING)]
    assert world.engine.idle


def test_what_another_replay_asks_for_meanwhile_bears_its_mark():
    world = delivered("a", "a")
    world.receiver = always(Answer.REFUSED)
    replayed(world, 1, 2)
    a_second_passes(world)
    replayed(world, 1, 2, job="job_2")
    world.receiver = always(Answer.TAKEN)
    world.run()
    assert [(send.position, send.replay_id) for send in world.requests[-2:]] == [(1, "job_2"), (2, "job_2")]
    assert world.rows == {}


def test_what_is_asked_for_anew_before_its_last_attempt_is_stored_is_counted_on():
    world = delivered("a")
    world.receiver = always(Answer.REFUSED)
    replayed(world, 1)
    world.store_by_hand = True
    a_second_passes(world)
    replayed(world, 1, job="job_2")
    world.receiver = always(Answer.TAKEN)
    a_second_passes(world)
    world.store()
    assert [number for number, _ in world.attempts[1]] == [1, 2, 3]


def test_a_hundred_and_twenty_eight_of_one_shipment_go_one_after_the_other():
    world = delivered(*"a" * 128)
    since = len(world.sent)
    world.max_in_flight = 0
    replayed(world, *range(1, 129))
    world.run()
    assert again(world, since) == list(range(1, 129))
    assert (world.max_in_flight, world.rows) == (1, {})


def test_a_hundred_and_twenty_eight_shipments_go_as_many_at_once_as_the_endpoint_takes():
    world = delivered(*[f"s{number}" for number in range(128)])
    since = len(world.sent)
    world.max_in_flight = 0
    replayed(world, *range(1, 129))
    world.run()
    assert sorted(again(world, since)) == list(range(1, 129))
    assert (world.max_in_flight, world.rows) == (16, {})
