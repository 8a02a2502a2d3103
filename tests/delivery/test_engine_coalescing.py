"""While an endpoint is behind, newer events take the older ones of their type with them."""

from dataclasses import replace

from delivery.endpoint_world import SCHEDULE, World, always
from waypost.delivery.parcels import Phase
from waypost.delivery.signals import Answer, Paused, Resumed, Settings, SettingsChanged, Verdict

FOLDING = Settings(retry_schedule_s=SCHEDULE, coalesce=True)
UPDATED, ETA, STATUS = "shipment.updated", "shipment.eta_changed", "shipment.status.collected"


def updated(key="a"):
    return (key, True, UPDATED)


def eta(key="a"):
    return (key, True, ETA)


def status(key="a"):
    return (key, True, STATUS)


def paused_with(*entries, settings=FOLDING, **given):
    """A world whose endpoint is paused while these events come in."""
    world = World(settings=settings, **given)
    world.paused = True
    world.give(Paused())
    world.append(*entries)
    world.run()
    return world


def resume(world):
    world.paused = False
    world.give(Resumed())


def let_go(world):
    resume(world)
    world.run()
    return world


def parts(world):
    return [(part.position, part.folded) for send in world.requests for part in send.parts]


def test_those_of_one_shipment_and_type_go_out_as_the_newest_at_its_place():
    world = let_go(paused_with(updated(), eta(), updated(), status(), eta(), updated()))
    assert parts(world) == [(4, ()), (5, (2,)), (6, (1, 3))]
    assert (world.cursor, world.rows, world.folded) == (6, {}, {1: 6, 3: 6, 2: 5})


def test_status_events_are_never_folded():
    assert parts(let_go(paused_with(status(), status()))) == [(1, ()), (2, ())]


def test_those_of_another_shipment_are_left_alone():
    assert sorted(parts(let_go(paused_with(updated("a"), updated("b"))))) == [(1, ()), (2, ())]


def test_nothing_is_folded_where_it_was_not_asked_for():
    world = paused_with(updated(), updated(), settings=Settings(retry_schedule_s=SCHEDULE))
    assert parts(let_go(world)) == [(1, ()), (2, ())]


def test_an_event_that_was_tried_is_never_folded():
    answers = iter([Answer.REFUSED] + [Answer.TAKEN] * 9)
    world = World(settings=FOLDING, receiver=lambda position, number, now: next(answers))
    world.append(updated())
    world.run(until_s=1)
    world.append(updated(), updated())
    world.run()
    assert parts(world) == [(1, ()), (1, ()), (3, (2,))]


def test_nothing_of_the_lane_goes_out_before_the_fold_is_stored():
    world = paused_with(updated(), status(), updated())
    world.store_by_hand = True
    resume(world)
    world.run()
    assert (world.requests, world.engine.phase(2)) == ([], Phase.STORING)
    world.store()
    world.run()
    assert parts(world)[0] == (2, ())


def test_a_crash_before_the_fold_is_stored_sends_nothing_out_of_order():
    world = paused_with(updated(), status(), updated())
    world.store_by_hand = True
    resume(world)
    world.crash()
    world.store_by_hand = False
    world.run()
    assert parts(world) == [(2, ()), (3, (1,))]


def test_every_retry_carries_the_same_events_after_a_restart_too():
    world = paused_with(updated(), updated(), receiver=always(Answer.REFUSED))
    resume(world)
    world.run(until_s=10)
    world.append(updated())  # comes too late: the one before was tried
    world.crash()
    world.receiver = always(Answer.TAKEN)
    world.run()
    assert parts(world) == [(2, (1,)), (2, (1,)), (2, (1,)), (3, ())]


def test_what_holds_others_and_is_folded_itself_hands_them_on():
    world = paused_with(updated(), status(), updated(), receiver=always(Answer.REFUSED))
    resume(world)
    world.run(until_s=1)  # 2 is refused, and 3 holds 1 behind it
    world.append(updated())
    world.receiver = always(Answer.TAKEN)
    world.run()
    assert parts(world)[-1] == (4, (1, 3))
    assert world.folded == {1: 4, 3: 4}


def test_a_restart_knows_what_was_folded_past_the_cursor():
    world = paused_with(status("b"), updated(), updated(), receiver=lambda position, number, now: (
        Answer.REFUSED if position == 3 else Answer.TAKEN
    ))  # fmt: skip
    resume(world)
    world.run(until_s=1)
    world.receiver = always(Answer.TAKEN)
    world.crash()
    world.run()
    assert parts(world)[-1] == (3, (2,))
    assert world.verdict(2) is None


def test_a_folded_event_that_is_asked_for_goes_out_by_itself():
    world = let_go(paused_with(updated(), updated()))
    world.resend(1)
    world.run()
    assert parts(world)[-1] == (1, ())
    assert world.verdict(1) is Verdict.DELIVERED


def test_the_newest_goes_out_again_with_what_it_held():
    world = let_go(paused_with(updated(), updated()))
    world.resend(2)
    world.run()
    assert parts(world) == [(2, (1,)), (2, (1,))]


def test_events_that_came_before_the_setting_are_folded_too():
    world = paused_with(updated(), updated(), settings=Settings(retry_schedule_s=SCHEDULE))
    world.give(SettingsChanged(FOLDING))
    assert parts(let_go(world)) == [(2, (1,))]


def test_without_an_order_those_of_one_shipment_are_folded_all_the_same():
    unordered = Settings(retry_schedule_s=SCHEDULE, coalesce=True, ordered=False)
    world = let_go(paused_with(updated(), status(), updated(), settings=unordered))
    assert sorted(parts(world)) == [(2, ()), (3, (1,))]


def a_newest_that_goes_first(**settings):
    """A world whose newest event comes to its turn while an older one waits in the lane it had before."""
    answers = iter([Answer.REFUSED])
    world = World(settings=FOLDING, receiver=lambda position, number, now: next(answers, Answer.TAKEN))
    world.append(status())
    world.run(until_s=1)
    world.append(updated())
    world.run(until_s=2)
    world.give(SettingsChanged(replace(FOLDING, ordered=False, **settings)))
    world.append(updated())
    return world


def test_the_newest_takes_with_it_what_waits_in_another_lane():
    world = a_newest_that_goes_first()
    world.run()
    assert parts(world) == [(1, ()), (3, (2,)), (1, ())]
    assert (world.cursor, world.rows, world.folded) == (3, {}, {2: 3})


def test_the_newest_takes_it_into_a_batch_as_well():
    world = a_newest_that_goes_first(batch_size=5)
    world.run()
    assert parts(world) == [(1, ()), (3, (2,)), (1, ())]
    assert (world.cursor, world.rows, world.folded) == (3, {}, {2: 3})


def test_a_batch_that_is_taken_apart_before_its_folds_are_stored_waits_for_them():
    world = paused_with(updated(), updated(), settings=replace(FOLDING, batch_size=5))
    world.store_by_hand = True
    resume(world)
    world.settings = FOLDING
    world.give(SettingsChanged(FOLDING))
    assert parts(world) == []
    world.store()
    assert parts(world) == [(2, (1,))]


def test_a_probe_takes_nothing_with_it():
    world = World(settings=FOLDING, receiver=always(Answer.REFUSED))
    world.append(*[status(key) for key in "bcdef"])
    world.run(until_s=3)
    world.append(updated(), updated())
    written = world.rows_written
    world.run(until_s=6 * 300)
    assert {position for position, folded in parts(world) if folded} == set()
    assert (world.folded, world.rows_written - written <= 7 * 6) == ({}, True)
    world.receiver = always(Answer.TAKEN)
    world.run()
    assert world.cursor == 7


def test_what_was_not_read_yet_is_read_before_anything_is_folded():
    world = World(settings=FOLDING, receiver=always(Answer.GONE))
    world.append(status())
    world.run()  # suspended: it reads no more
    world.append(*[updated("b")] * 5)
    world.run()
    world.receiver = always(Answer.TAKEN)
    world.give(Resumed())
    world.run()
    assert sorted(parts(world)[1:]) == [(1, ()), (6, (2, 3, 4, 5))]
