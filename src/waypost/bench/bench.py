"""What every benchmark is handed: where it may write, how large it should be, and whom to tell how it goes."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

REST_S = 0.3  # between two measurements, so that one does not pay for what the other left to store


@dataclass(frozen=True, slots=True)
class Bench:
    """The setting of one run. `folder` is on the disk that is measured, and thrown away afterwards.

    `say` tells how it goes, apart from the results.
    """

    folder: Path
    quick: bool
    say: Callable[[str], None]

    def sized(self, full: int, quick: int) -> int:
        """`full`, or `quick` when the run should only show that everything works."""
        return quick if self.quick else full


def ratios_to_neighbours(measured: list[float], yardsticks: list[float]) -> list[float]:
    """Hold each measurement against the mean of the yardsticks taken before and after it, so that drift cancels."""
    assert len(yardsticks) == len(measured) + 1, (measured, yardsticks)
    return [value / statistics.mean(pair) for value, pair in zip(measured, pairwise(yardsticks), strict=True)]


def rest() -> None:
    """Let the service store what it still has to store, outside of what is measured."""
    time.sleep(REST_S)
