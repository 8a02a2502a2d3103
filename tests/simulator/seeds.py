"""The fixed seeds of the test run: forty as they come, and long quiet ones that live through most of the hours.

They are cut into two shares for two workers. What became of a seed is remembered within a test process.
"""

from functools import cache

from waypost.simulator.config import draw
from waypost.simulator.many import Outcome, judged
from waypost.simulator.run import run_seed

SHARES = 2
AS_THEY_COME = tuple(range(1, 41))
LONG_AND_QUIET = tuple(seed for seed in range(1000, 2000) if draw(seed).hours >= 300 and draw(seed).reports <= 60)[:45]
SEEDS = AS_THEY_COME + LONG_AND_QUIET


def share_of(share: int) -> tuple[int, ...]:
    """Give the seeds of a share."""
    return SEEDS[share::SHARES]


@cache
def outcome(seed: int) -> Outcome:
    """What became of the run of a seed."""
    return judged(run_seed(seed))
