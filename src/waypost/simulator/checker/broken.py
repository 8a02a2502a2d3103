"""What the checker finds, and how a promise is written down: a name, a sentence and a function over the facts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from waypost.simulator.checker.facts import Facts
from waypost.simulator.history import Microseconds, Name


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A promise that a run broke, in words for a reader. `involved` are places in the history's records, in order."""

    promise: str = ""
    words: str
    at: Microseconds
    name: Name | None = None
    position: int | None = None
    key: str | None = None
    involved: tuple[int, ...] = ()


Check = Callable[[Facts], Iterator[Broken]]


@dataclass(frozen=True, slots=True)
class Promise:
    """A promise: its name, what it says, and the function that holds a run against it."""

    name: str
    sentence: str
    check: Check


def promise(sentence: str) -> Callable[[Check], Promise]:
    """Make a promise of a function; its name is the function's, with blanks."""

    def made(check: Check) -> Promise:
        return Promise(check.__name__.replace("_", " "), sentence, check)

    return made
