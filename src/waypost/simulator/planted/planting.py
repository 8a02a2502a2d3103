"""How a bug is put back into the product for a while: attributes are swapped, and swapped back."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple


class Swap(NamedTuple):
    """An attribute of a module or class, and what makes its replacement out of what is there."""

    owner: Any
    attribute: str
    make: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Planted:
    """A bug: its name, what is wrong in plain words, and a context manager that puts it in."""

    name: str
    words: str
    apply: Callable[[], AbstractContextManager[None]]


Bug = Callable[[], Sequence[Swap]]


def planted(words: str) -> Callable[[Bug], Planted]:
    """Make a planted bug of a function that gives the swaps; its name is the function's, with blanks."""

    def made(bug: Bug) -> Planted:
        @contextmanager
        def apply() -> Iterator[None]:
            with ExitStack() as stack:
                for swap in bug():
                    stack.enter_context(_swapped(swap))
                yield

        return Planted(bug.__name__.replace("_", " "), words, apply)

    return made


@contextmanager
def _swapped(swap: Swap) -> Iterator[None]:
    owner, attribute, make = swap
    before = vars(owner)[attribute]
    setattr(owner, attribute, make(before))
    try:
        yield
    finally:
        setattr(owner, attribute, before)


def instead(owner: Any, attribute: str, replacement: Any) -> Swap:
    """Swap an attribute for something that does not need what was there."""
    return Swap(owner, attribute, lambda _before: replacement)
