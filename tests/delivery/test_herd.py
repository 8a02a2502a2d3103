"""Hundreds of endpoints that are resumed at once, each with events held for it, and a receiver that takes none."""

import random
from collections import Counter

import pytest

from delivery.endpoint_world import World, always
from waypost.delivery.schedule import SECOND
from waypost.delivery.signals import Answer, Paused, Resumed, Settings
from waypost.log.records import RETRY_SCHEDULE_S

ENDPOINTS = 300
HELD = 20
HOURS = 6
SHARE_MAX = 0.05


@pytest.fixture(scope="module")
def herd() -> list[World]:
    dice = random.Random(20)
    worlds = []
    for _ in range(ENDPOINTS):
        settings = Settings(retry_schedule_s=tuple(RETRY_SCHEDULE_S))
        world = World(receiver=always(Answer.UNREACHED), settings=settings, jitter=dice.random)
        world.give(Paused())
        world.append(*(f"shp_{number}" for number in range(HELD)))
        world.run()
        world.give(Resumed())
        world.run(until_s=HOURS * 3_600)
        worlds.append(world)
    return worlds


def test_each_begins_with_one_attempt_at_a_time(herd: list[World]) -> None:
    assert {world.max_in_flight for world in herd} == {1}


def test_no_second_holds_more_than_a_twentieth_of_the_later_attempts(herd: list[World]) -> None:
    later = Counter(sent.at // SECOND for world in herd for sent in world.sent if sent.at >= SECOND)
    assert later.total() > ENDPOINTS * HOURS
    assert max(later.values()) <= SHARE_MAX * later.total()


def test_nobody_gives_up_what_was_held_for_it(herd: list[World]) -> None:
    assert {world.engine.owed_count for world in herd} == {HELD}
