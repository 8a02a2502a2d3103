"""Finding planted bugs anew, and the seeds at which they were found.

A bug counts as found at the first seed whose run breaks a promise with it, and none without it. Runs that cost much are
passed over; the seed's number still counts them, so the figures say too much rather than too little.

    python -m waypost.simulator.planted.finding            # find all anew, and write the seeds down
    python -m waypost.simulator.planted.finding "lane ignored"
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from waypost.simulator.checker import check
from waypost.simulator.config import draw
from waypost.simulator.planted import PLANTED
from waypost.simulator.run import run_seed

SEEDS_MAX = 10_000
HOURS_MAX, REPORTS_MAX, HARMS_MIN = 2.0, 40, 15  # of a run that is cheap, and in which enough goes wrong
FILE = Path(__file__).with_name("found.json")


@dataclass(frozen=True, slots=True)
class Found:
    """A planted bug, the seed that finds it, and the promise that its run breaks first."""

    name: str
    seed: int
    promise: str


@cache
def recorded() -> Mapping[str, Found]:
    """Give what is written down, by the bug's name."""
    found = msgspec.json.decode(FILE.read_bytes(), type=list[Found])
    return {one.name: one for one in found}


def cheap_seeds(first: int = 1, last: int = SEEDS_MAX) -> Iterable[int]:
    """Give the seeds whose runs are cheap, in order."""
    for seed in range(first, last + 1):
        config = draw(seed)
        if config.hours <= HOURS_MAX and config.reports <= REPORTS_MAX and len(config.harms) >= HARMS_MIN:
            yield seed


def first_broken(seed: int, name: str | None = None) -> str | None:
    """Run a seed, with a bug or without, and give the first promise that is broken; None if all are kept."""
    broken = check(run_seed(seed, name))
    return broken[0].promise if broken else None


def find(name: str, seeds: Iterable[int], tried: Callable[[int], None] = lambda seed: None) -> Found | None:
    """Give the first of the seeds that finds the bug, or None. `tried` is told of each seed."""
    for seed in seeds:
        tried(seed)
        promise = first_broken(seed, name)
        if promise is not None and first_broken(seed) is None:
            return Found(name, seed, promise)
    return None


def write(found: Iterable[Found]) -> None:
    """Write the seeds down, by name."""
    in_order = sorted(found, key=lambda one: one.name)
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(in_order), indent=1) + b"\n")


def main(names: list[str]) -> int:
    """Find the named bugs anew, or all; the exit code is 1 when one was not found."""
    found = dict(recorded()) if FILE.exists() else {}
    missing = 0
    for name in names or list(PLANTED):
        one = find(name, cheap_seeds())
        print(f"{name}: " + ("not found" if one is None else f"seed {one.seed}, {one.promise}"), flush=True)
        if one is None:
            missing += 1
        else:
            found[name] = one
            write(found.values())
    return min(missing, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
