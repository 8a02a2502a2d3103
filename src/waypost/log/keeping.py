"""How long things are kept: the decisions alone, as pure functions of ages and positions.

An event leaves when it is older than its days, every endpoint of the account has passed it, nobody waits for it, and it
was not given up only just now. What an endpoint is still owed stays beyond that, until a limit of its own. The account
is warned before that limit; at it the deliveries are given up, and stand so for a while before the events leave.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

SECOND_US = 1_000_000
DAY_US = 24 * 3600 * SECOND_US
SHOWN_DAYS = 7  # what failed or was tried so lately can still be looked at and sent again
WARNING_DAYS = (7, 1)  # before owed events reach their limit
CLOCK_LEAP_US = DAY_US  # a clock that went on by more than that since the last sweep may be wrong
CLOCK_PROBATION_US = DAY_US  # and is believed when it has been so for as long


@dataclass(frozen=True, slots=True)
class Ages:
    """How long things are kept, in days: `owed` for what an endpoint still waits for, at least as long as `days`."""

    days: int = 30
    owed_days: int = 90

    @property
    def kept_us(self) -> int:
        """How long events, raw messages and the rows of dead workers are kept, in microseconds."""
        return self.days * DAY_US

    @property
    def owed_us(self) -> int:
        """How long events that are owed are kept, in microseconds."""
        return max(self.days, self.owed_days) * DAY_US

    @property
    def shown_us(self) -> int:
        """How long a final failure, or an attempt whose event has left, is kept at the least, in microseconds."""
        return min(self.days, SHOWN_DAYS) * DAY_US


@dataclass(frozen=True, slots=True)
class ClockSeen:
    """What is known of the clock, in Unix microseconds: the latest time that was believed, and, while it is far ahead
    of that, since when it has been so and the latest time that it showed.
    """

    believed: int
    ahead_since: int | None = None
    ahead_seen: int | None = None

    @property
    def is_ahead(self) -> bool:
        """Whether the clock is not believed."""
        return self.ahead_since is not None


def watch_clock(seen: ClockSeen | None, now_us: int) -> ClockSeen:
    """Take in what the clock shows. One that leapt ahead is believed once it has gone on from there for a day.

    A clock that steps back makes everything younger, which does no harm.
    """
    if seen is None or now_us <= seen.believed + CLOCK_LEAP_US:
        return ClockSeen(now_us if seen is None else max(seen.believed, now_us))
    since, latest = seen.ahead_since, seen.ahead_seen
    if since is None or latest is None or not since <= now_us <= latest + CLOCK_LEAP_US:
        since = now_us
    if now_us - since >= CLOCK_PROBATION_US:
        return ClockSeen(now_us)
    return ClockSeen(seen.believed, since, now_us)


@dataclass(frozen=True, slots=True)
class Aged:
    """A position of the log and when its event was recorded, in Unix microseconds."""

    position: int
    recorded_at: int


@dataclass(frozen=True, slots=True)
class Floors:
    """How far an account's log may be cut: nothing above `passed` leaves, whatever its age.

    `passed` is the lowest cursor of its endpoints. `replayed` is the lowest position that a running replay has looked
    at; what lies above it stays until the limit of what is owed. None where there is none.
    """

    passed: int | None
    replayed: int | None


@dataclass(frozen=True, slots=True)
class Cut:
    """Which positions leave, up to which position it was decided, and whether more of them may follow."""

    leaving: tuple[int, ...]
    place: int
    more: bool


def cut(
    rows: Sequence[Aged], floors: Floors, kept: Collection[int], ages: Ages, *, now_us: int, after: int, limit: int
) -> Cut:
    """Decide which of `rows`, at most `limit` rows right after the position `after`, leave. `kept` are those that stay.

    The walk ends at the first event that is too young or not passed yet: whatever comes later is so as well, or will be
    met by the next sweep. One that a clock recorded that was ahead stays and says nothing of those after it.
    """
    leaving: list[int] = []
    place = after
    for row in rows:
        if floors.passed is not None and row.position > floors.passed:
            return Cut(tuple(leaving), row.position - 1, more=False)
        if row.recorded_at > now_us + CLOCK_LEAP_US:
            place = row.position
            continue
        if row.recorded_at >= now_us - ages.kept_us:
            return Cut(tuple(leaving), row.position - 1, more=False)
        replayed = floors.replayed is not None and row.position > floors.replayed
        if replayed and row.recorded_at >= now_us - ages.owed_us:
            return Cut(tuple(leaving), row.position - 1, more=False)
        place = row.position
        if row.position not in kept:
            leaving.append(row.position)
    return Cut(tuple(leaving), place, more=len(rows) == limit)


def expired(rows: Sequence[Aged], ages: Ages, now_us: int) -> list[int]:
    """The positions at the head of `rows` whose events are past the limit of what is owed."""
    found: list[int] = []
    for row in rows:
        if row.recorded_at >= now_us - ages.owed_us:
            break
        found.append(row.position)
    return found


def warning_due(oldest_owed_at: int | None, ages: Ages, now_us: int) -> int | None:
    """Which warning an endpoint is due whose oldest owed event was recorded then: 7 or 1 days left, None for none.

    A limit that is no more than two weeks off from the start is not worth the first warning: it would come at once.
    """
    if oldest_owed_at is None:
        return None
    left_us = oldest_owed_at + ages.owed_us - now_us
    steps = [days for days in WARNING_DAYS if left_us <= days * DAY_US and ages.owed_us > 2 * days * DAY_US]
    return min(steps, default=None)
