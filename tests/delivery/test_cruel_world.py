"""Deliveries keep their promises in a world where everything takes time and goes wrong."""

import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delivery.cruel_world import check, run_world


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(dice=st.randoms(use_true_random=False), steps=st.integers(1, 30))
def test_promises_hold_however_slow_and_wrong_things_go(dice, steps):
    check(run_world(dice, steps))


def test_promises_hold_in_a_hundred_long_lives():
    for seed in range(100):
        dice = random.Random(seed)
        try:
            check(run_world(dice, dice.randrange(20, 40)))
        except AssertionError as broken:
            broken.add_note(f"in the world of seed {seed}")
            raise
