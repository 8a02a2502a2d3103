"""Makes a failing run smaller: fewer harms, fewer actors, less time, as long as the same promise breaks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from waypost.simulator.config import Config
from waypost.simulator.history import History

RUNS_MAX = 60
HOURS_MIN = 0.02

Breaks = Callable[[Config], History | None]


@dataclass(slots=True)
class Shrunk:
    """The smallest run that was found to break the promise, and how many runs that took."""

    config: Config
    history: History
    runs: int


def shrink(config: Config, history: History, breaks: Breaks, *, runs_max: int = RUNS_MAX) -> Shrunk:
    """Make `config` smaller. `breaks` lives through one and gives its history if the same promise breaks in it."""
    best = Shrunk(config, history, 0)
    while best.runs < runs_max:
        for smaller in _smaller(best.config):
            if best.runs >= runs_max:
                break
            best.runs += 1
            found = breaks(smaller)
            if found is not None:
                best.config, best.history = smaller, found
                break
        else:
            break  # nothing smaller breaks it
    return best


def _smaller(config: Config) -> Iterator[Config]:
    """Give smaller configurations, the boldest first."""
    names = sorted(config.harms)
    half = len(names) // 2
    if half > 1:
        yield _without(config, names[:half])
        yield _without(config, names[half:])
    if config.hours > HOURS_MIN:
        yield replace(config, hours=round(config.hours / 2, 4))
    for less in ("endpoints", "processes", "accounts"):
        if getattr(config, less) > 1:
            fewer = {less: getattr(config, less) - 1}
            yield replace(config, **fewer, alone=config.alone or fewer.get("processes") == 1)
    for many in ("reports", "shipments"):
        if getattr(config, many) > 1:
            yield replace(config, **{many: getattr(config, many) // 2})
    for name in names:
        yield _without(config, [name])


def _without(config: Config, names: list[str]) -> Config:
    return replace(config, harms={name: ratio for name, ratio in config.harms.items() if name not in names})
