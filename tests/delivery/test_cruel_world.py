"""Deliveries keep their promises in a world where everything takes time and goes wrong."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delivery.cruel_world import check, run_world
from delivery.replay_world import run_replays


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(dice=st.randoms(use_true_random=False), steps=st.integers(1, 30))
def test_promises_hold_however_slow_and_wrong_things_go(dice, steps):
    check(run_world(dice, steps))


def a_life(seed):
    dice = random.Random(seed)
    return run_world(dice, dice.randrange(1, 40))


@pytest.mark.parametrize("seed", [30, 41, 166])
def test_a_row_that_is_delivered_before_the_log_is_read_up_to_it_is_not_sent_again(seed):
    check(a_life(seed))


@pytest.mark.parametrize("seed", [280])
def test_a_resend_past_the_cursor_does_not_make_its_event_owed_again(seed):
    check(a_life(seed))


@pytest.mark.parametrize("seed", [9, 37, 50])
def test_what_was_kept_back_does_not_go_out_of_an_endpoint_that_was_paused_meanwhile(seed):
    check(a_life(seed))


def test_promises_hold_in_forty_long_lives():
    for seed in range(40):
        dice = random.Random(seed)
        try:
            check(run_world(dice, dice.randrange(20, 40)))
        except AssertionError as broken:
            broken.add_note(f"in the world of seed {seed}")
            raise


def test_the_cruel_worlds_know_folds_and_batches():
    worlds = [a_life(seed) for seed in range(20)]
    assert sum(len(world.folded) for world in worlds) > 100
    assert sum(len(send.batch) > 1 for world in worlds for send in world.requests) > 100


@pytest.mark.parametrize("seed", [3021])
def test_a_lane_whose_head_is_folded_into_an_event_of_another_lane_goes_on(seed):
    check(a_life(seed))


@pytest.mark.parametrize("seed", [197])
def test_a_batch_that_stands_behind_an_older_event_after_a_restart_waits_for_it(seed):
    check(a_life(seed))


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(dice=st.randoms(use_true_random=False), steps=st.integers(1, 30))
def test_promises_hold_while_replays_come_and_are_cancelled(dice, steps):
    check(run_replays(dice, steps))


@pytest.mark.parametrize("seed", [37, 52, 1213])
def test_what_another_replay_asks_for_while_the_last_one_is_out_is_told_from_it(seed):
    dice = random.Random(seed)
    check(run_replays(dice, dice.randrange(1, 40)))


def test_the_worlds_know_replays_that_are_taken_back():
    worlds = []
    for seed in range(10):
        dice = random.Random(seed)
        worlds.append(run_replays(dice, dice.randrange(1, 40)))
    assert sum(send.replay_id is not None for world in worlds for send in world.requests) > 100
    assert sum(world.taken_back for world in worlds) > 5


@pytest.mark.parametrize("seed", [102834, 103685])
def test_no_event_goes_out_before_it_is_stored_what_is_folded_into_it(seed):
    check(a_life(seed))
