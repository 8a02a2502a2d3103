"""What a run is made of, drawn from its seed. Every part can be left out, so that a failing run can be made smaller."""

import math
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from waypost.simulator.faults import HARMS

HOURS_MIN, HOURS_MAX = 0.1, 24 * 28.0
REPORTS_MAX = 200
CALM_RATIO = 0.15  # runs in which few things go wrong: a bug that needs quiet is found there
# A lease is renewed about a hundred times in a run, so that weeks cost little more than minutes.
LEASE_EVERY_S_MIN, LEASE_EVERY_S_MAX = 1.5, 14_400.0
LEASE_TTL_TO_EVERY = 3.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A run: how long, how many of each, and which harms at which ratio."""

    hours: float
    processes: int = 1
    alone: bool = True  # as on a SQLite file: one process at a time, which takes every lease when it starts
    accounts: int = 1
    endpoints: int = 1
    shipments: int = 5
    reports: int = 40
    lease_ttl_s: float = 5.0
    lease_every_s: float = 1.5
    harms: Mapping[str, float] = field(default_factory=dict)

    def plain(self) -> dict[str, object]:
        """Give it as plain values."""
        return asdict(self)


def draw(seed: int) -> Config:
    """Draw the configuration of a seed."""
    dice = random.Random(f"{seed}/config")  # noqa: S311 - no secret
    hours = math.exp(dice.uniform(math.log(HOURS_MIN), math.log(HOURS_MAX)))
    every_s = min(max(LEASE_EVERY_S_MIN, hours * 36), LEASE_EVERY_S_MAX)
    processes = dice.choice([1, 1, 2, 2, 3])
    reports = round(math.exp(dice.uniform(math.log(10), math.log(REPORTS_MAX))))
    return Config(
        hours=round(hours, 3),
        processes=processes,
        alone=processes == 1,
        accounts=dice.choice([1, 1, 2]),
        endpoints=dice.choice([1, 1, 2, 2, 3, 4]),
        shipments=max(1, round(reports / dice.choice([3, 6, 10, 20]))),
        reports=reports,
        lease_ttl_s=round(every_s * LEASE_TTL_TO_EVERY, 1),
        lease_every_s=round(every_s, 1),
        harms=_harms(dice),
    )


def _harms(dice: random.Random) -> dict[str, float]:
    """Draw which harms are on, about a third of them; a swarm of unlike runs finds more than runs with everything."""
    share = 0.08 if dice.random() < CALM_RATIO else dice.choice([0.2, 0.35, 0.6])
    harms = {}
    for name, harm in HARMS.items():
        on, strength = dice.random() < share, dice.choice([0.2, 0.5, 1.0])
        if on:
            harms[name] = round(harm.ratio_max * strength, 4)
    return harms
