"""Finds what never arrived: positions of an account's log have no gaps, so a missing one is a missing event."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Gaps:
    """What the positions that arrived do not hold together.

    `missing` are the positions between the first and the last that never arrived. `reused` are positions that came with
    two different events: the sender's database was set back to an older state, and its log goes on differently.
    """

    missing: tuple[range, ...]
    reused: tuple[int, ...]

    def __bool__(self) -> bool:
        """Whether anything is wrong."""
        return bool(self.missing or self.reused)


def gap_check(positions: Iterable[int], *, after: int | None = None, until: int | None = None) -> Gaps:
    """Find the missing positions among `positions`, in any order; one given twice counts as reused.

    Looks from the first one given, or from just after `after`, to the last, or to `until`. Only an endpoint that wants
    every event (`*`) gets every position; for another compare with its own list, `GET /v1/endpoints/{id}/events`.
    """
    times = Counter(position for position in positions if after is None or position > after)
    seen = sorted(times)
    if after is None and not seen:
        return Gaps((), ())
    bounds = [seen[0] - 1 if after is None else after, *seen]
    if until is not None and until > bounds[-1]:
        bounds.append(until + 1)
    missing = tuple(range(low + 1, high) for low, high in pairwise(bounds) if high > low + 1)
    return Gaps(missing, tuple(position for position in seen if times[position] > 1))
