"""Rate limits: a token bucket for each key, in memory, bounded in number."""

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from waypost.errors import TooManyRequests

KEYS_MAX = 10_000  # the least recently used bucket makes room: by then it is full again, or nearly


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a minute in the long run, and at most `burst` at once."""

    per_minute: int
    burst: int


TEST_BUTTON = Rate(per_minute=60, burst=20)
INTAKE = Rate(per_minute=600, burst=600)


class RateLimit:
    """Counts by key. `monotonic` gives seconds; the limit starts full for each new key."""

    def __init__(self, rate: Rate, monotonic: Callable[[], float], what: str) -> None:
        self._rate = rate
        self._monotonic = monotonic
        self._what = what
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    @property
    def keys(self) -> int:
        """How many keys are remembered."""
        return len(self._buckets)

    def take(self, key: Hashable) -> None:
        """Count one for `key`, or raise TooManyRequests with the seconds to wait in `Retry-After`."""
        now = self._monotonic()
        per_s = self._rate.per_minute / 60
        tokens, at = self._buckets.pop(key, (float(self._rate.burst), now))
        tokens = min(self._rate.burst, tokens + (now - at) * per_s)
        allowed = tokens >= 1
        self._buckets[key] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > KEYS_MAX:
            self._buckets.popitem(last=False)
        if not allowed:
            wait_s = max(1, math.ceil((1 - tokens) / per_s))
            raise TooManyRequests(
                f"{self._what}: at most {self._rate.per_minute} a minute. Try again in {wait_s} s.",
                headers={"retry-after": str(wait_s)},
            )
