"""When to try again. Instants and spans are whole microseconds; jitter is in [0, 1) and drawn by the caller."""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

SECOND = 1_000_000
JITTER_RATIO = 0.10
RETRY_AFTER_S_MAX = 24 * 3600  # a receiver that asks for more than a day is asked again after a day
PROBE_S_MAX = 300  # how long an endpoint that came back may go unnoticed


def spread(delay_s: float, jitter: float) -> int:
    """Give `delay_s` seconds as microseconds, ±10 % by `jitter`."""
    return round(delay_s * SECOND * (1 + JITTER_RATIO * (2 * jitter - 1)))


def next_attempt_at(ended_at: int, failures: int, schedule_s: Sequence[float], jitter: float) -> int | None:
    """When to try again after the `failures`-th failure that counts, or None once the schedule is used up.

    >>> next_attempt_at(0, 1, [5, 300], jitter=0.5)
    5000000
    >>> next_attempt_at(0, 3, [5, 300], jitter=0.5) is None
    True
    """
    assert failures >= 1, failures
    if failures > len(schedule_s):
        return None
    return ended_at + spread(schedule_s[failures - 1], jitter)


def next_probe_at(ended_at: int, probes: int, schedule_s: Sequence[float], jitter: float) -> int:
    """When to probe a failing endpoint again after `probes` probes: the schedule's steps, at most 300 s apart."""
    steps = schedule_s or [PROBE_S_MAX]
    return ended_at + spread(min(steps[min(probes, len(steps) - 1)], PROBE_S_MAX), jitter)


def read_retry_after(value: str | None, now: datetime) -> float | None:
    """Give the seconds a `Retry-After` asks for, 0 up to a day, or None when there is none or it cannot be read.

    Both forms are read: seconds, and an HTTP date held against `now`. Source: RFC 9110, section 10.2.3.

    >>> read_retry_after("120", datetime(2026, 12, 1, tzinfo=UTC))
    120.0
    >>> read_retry_after("99999999999999999999", datetime(2026, 12, 1, tzinfo=UTC))
    86400.0
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        # Twenty digits are a number of nobody's making: cut before they become one.
        return float(min(int(text[:12]), RETRY_AFTER_S_MAX))
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)  # "-0000" says that the zone is unknown; HTTP dates are GMT
    return min(max((at - now).total_seconds(), 0.0), float(RETRY_AFTER_S_MAX))


def hold_until(ended_at: int, retry_after_s: float, jitter: float) -> int:
    """When an endpoint that asked for patience may be asked again: never before it said, so jitter goes only upward."""
    return ended_at + round(retry_after_s * SECOND * (1 + JITTER_RATIO * jitter))
