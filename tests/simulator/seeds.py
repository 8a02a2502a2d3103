"""The fixed seeds of the test run: forty as they come, and long quiet ones that live through most of the hours.

They are cut into two shares for two workers. What became of a seed is remembered within a test process.
"""

from functools import cache

from waypost.simulator.config import Config, draw
from waypost.simulator.many import Outcome, judged
from waypost.simulator.run import run_seed

SHARES = 2


def is_long_and_quiet(config: Config) -> bool:
    """Whether a run lives through weeks in which little is reported."""
    return config.hours >= 350 and config.reports <= 60 and config.endpoints <= 3


AS_THEY_COME = tuple(range(1, 41))
LONG_AND_QUIET = tuple(seed for seed in range(1000, 2000) if is_long_and_quiet(draw(seed)))
SEEDS = AS_THEY_COME + LONG_AND_QUIET


def share_of(share: int) -> tuple[int, ...]:
    """Give the seeds of a share."""
    return SEEDS[share::SHARES]


@cache
def outcome(seed: int) -> Outcome:
    """What became of the run of a seed."""
    return judged(run_seed(seed))
