"""The windows that the overview looks through: today, 24 hours, 7 days, each cut into bins by the viewer's clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from waypost.clock import from_micros, to_micros
from waypost.log.hours import HOUR_US
from waypost.log.overview import Window

WEEKS_BEFORE = 4
NAMES = ("today", "day", "week")
BIN_HOURS = {"today": 1, "day": 1, "week": 4}
WORD_EVERY = {"today": 3, "day": 3, "week": 6}


@dataclass(frozen=True, slots=True)
class Cut:
    """A window by its name, with the edges of its bins in the viewer's zone."""

    name: str
    edges: tuple[int, ...]
    before: tuple[tuple[int, ...], ...]
    now: datetime
    zone: ZoneInfo

    @property
    def asked(self) -> Window:
        """What to ask the log for."""
        return Window(edges=self.edges, before=self.before, now=to_micros(self.now))

    @property
    def now_share(self) -> float:
        """How much of the window has passed, from 0 to 1."""
        return (to_micros(self.now) - self.edges[0]) / (self.edges[-1] - self.edges[0])

    @property
    def is_open(self) -> bool:
        """Whether some of the window is still to come."""
        return to_micros(self.now) < self.edges[-1] - HOUR_US

    @property
    def bins(self) -> list[tuple[datetime, datetime]]:
        """Where each bin begins and ends, in the viewer's zone."""
        return [(self._local(start), self._local(end)) for start, end in pairwise(self.edges)]

    def passed(self, values: Sequence[float]) -> float:
        """Add up what the bins hold up to now: of the one that runs, the share that has passed."""
        now = to_micros(self.now)
        shares = (min(max((now - start) / (end - start), 0), 1) for start, end in pairwise(self.edges))
        return sum(value * share for value, share in zip(values, shares, strict=True))

    def _local(self, instant: int) -> datetime:
        return from_micros(instant).astimezone(self.zone)


def cut(name: str, now: datetime, zone: ZoneInfo) -> Cut:
    """Give a window by its name; any other name is today."""
    name = name if name in NAMES else "today"
    hours = BIN_HOURS[name]
    local = now.astimezone(zone)
    if name == "day":
        end = _next_hour(local)
        begin, count = end - timedelta(hours=24), 24
    else:
        days = 7 if name == "week" else 1
        begin = _midnight(local, days - 1)
        count = -(-round((_midnight(local, -1) - begin) / timedelta(hours=1)) // hours)
    weeks = [_a_week_before(begin, zone, weeks) for weeks in range(WEEKS_BEFORE + 1)]
    edges = [tuple(to_micros(week) + n * hours * HOUR_US for n in range(count + 1)) for week in weeks]
    return Cut(name, edges[0], tuple(edges[1:]), now, zone)


def _midnight(local: datetime, days_before: int) -> datetime:
    """The beginning of a day by its own clock, as an instant."""
    day = local.date() - timedelta(days=days_before)
    return datetime.combine(day, time(), tzinfo=local.tzinfo).astimezone(UTC)


def _next_hour(local: datetime) -> datetime:
    """The next full hour by the viewer's clock, as an instant."""
    past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    return (local.astimezone(UTC) - past) + timedelta(hours=1)


def _a_week_before(instant: datetime, zone: ZoneInfo, weeks: int) -> datetime:
    """The same time of day, by the clock, so many weeks before."""
    local = instant.astimezone(zone)
    moved = local.replace(tzinfo=None) - timedelta(weeks=weeks)
    return moved.replace(tzinfo=zone, fold=local.fold).astimezone(UTC)
