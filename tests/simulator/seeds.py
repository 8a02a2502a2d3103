"""The fixed seeds of the test run, shared out so that two workers take about as long."""

from functools import cache

from waypost.simulator.many import Outcome, judged
from waypost.simulator.run import run_seed

SEEDS = tuple(range(1, 121))
SHARES = 4


@cache
def outcome(seed: int) -> Outcome:
    """What became of the run of a seed; lived through once in a test process."""
    return judged(run_seed(seed))
