"""Holds the history of a simulated run against what Waypost promises. It shares no code with the product.

Each promise is one function with a name and a sentence: `PROMISES` lists them all. `check` gives what a run broke, the
earliest first. A promise is relaxed only for the reasons that the guarantees give: an attempt whose end is unknown, a
crash, a request, a clock that was stepped.
"""

from dataclasses import replace
from itertools import islice

from waypost.simulator.checker import of_health, of_pace, of_parts, of_sending, of_storing, of_the_end, of_the_log
from waypost.simulator.checker.broken import Broken, Promise
from waypost.simulator.checker.facts import Facts
from waypost.simulator.history import History

__all__ = ["PROMISES", "Broken", "Promise", "check"]

PROMISES: tuple[Promise, ...] = (
    *of_the_log.ALL,
    *of_storing.ALL,
    *of_sending.ALL,
    *of_pace.ALL,
    *of_health.ALL,
    *of_parts.ALL,
    *of_the_end.ALL,
)
TOLD_MAX = 20  # of one promise: the first ones tell the story


def check(history: History) -> list[Broken]:
    """Give every promise that a run broke, by time; at most `TOLD_MAX` times each."""
    facts = Facts(history)
    found = [
        replace(broken, promise=promise.name)
        for promise in PROMISES
        for broken in islice(promise.check(facts), TOLD_MAX)
    ]
    return sorted(found, key=lambda broken: broken.at)
