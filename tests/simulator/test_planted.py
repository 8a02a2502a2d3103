"""The test of the checker: each planted bug is found on its recorded seed, and the same seed is clean without it."""

from statistics import median

import pytest

from waypost.simulator.planted import PLANTED
from waypost.simulator.planted.finding import first_broken, recorded

BUGS_MIN = 28
MEDIAN_MAX = 200
SEED_MAX = 10_000

FOUND = sorted(recorded().values(), key=lambda one: (one.seed, one.name))


def test_every_planted_bug_has_a_seed_that_finds_it():
    assert {one.name for one in FOUND} == set(PLANTED)
    assert len(PLANTED) >= BUGS_MIN


def test_the_bugs_are_found_soon():
    seeds = [one.seed for one in FOUND]
    assert (median(seeds) <= MEDIAN_MAX, max(seeds) <= SEED_MAX) == (True, True)


@pytest.mark.parametrize("found", FOUND, ids=lambda found: f"{found.name} at {found.seed}")
def test_a_planted_bug_breaks_the_promise_it_was_recorded_with(found):
    assert first_broken(found.seed, found.name) == found.promise


@pytest.mark.parametrize("seed", sorted({one.seed for one in FOUND}))
def test_the_same_seed_without_a_bug_breaks_nothing(seed):
    assert first_broken(seed) is None


def test_a_planted_bug_leaves_nothing_behind():
    from waypost.delivery.engine import Engine
    from waypost.log import leases

    before = (Engine._probe_failed, leases._lock_endpoints)
    for bug in PLANTED.values():
        with bug.apply():
            pass
    assert (Engine._probe_failed, leases._lock_endpoints) == before
