"""What a benchmark gives: figures, each with its unit and, where there is one, its goal."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


class BenchmarkFailed(Exception):
    """What was measured went wrong, so there is no figure: something was lost, refused, or never came."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound that a figure should keep."""

    bound: float
    at_least: bool

    def met(self, value: float) -> bool:
        """Whether `value` keeps it."""
        return value >= self.bound if self.at_least else value <= self.bound


def at_least(bound: float) -> Goal:
    """The figure should not be lower."""
    return Goal(bound, at_least=True)


def at_most(bound: float) -> Goal:
    """The figure should not be higher."""
    return Goal(bound, at_least=False)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number: the median of the rounds, whose extremes are `low` and `high`; these are None for a single round."""

    name: str
    value: float
    unit: str
    goal: Goal | None = None
    low: float | None = None
    high: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal is kept; None without one."""
        return None if self.goal is None else self.goal.met(self.value)


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of one benchmark, and all that one has to know to measure them again."""

    name: str
    title: str
    configuration: Mapping[str, str]
    figures: Sequence[Figure]
    remarks: Sequence[str] = field(default_factory=tuple)


def over_rounds(name: str, values: Sequence[float], unit: str, goal: Goal | None = None) -> Figure:
    """Give the median of the rounds, with their extremes."""
    if len(values) == 1:
        return Figure(name, values[0], unit, goal)
    return Figure(name, statistics.median(values), unit, goal, min(values), max(values))


def quantile(values: Sequence[float], share: float) -> float:
    """Give the value that `share` (0 to 1) of the values do not exceed (nearest rank, never interpolated)."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]
