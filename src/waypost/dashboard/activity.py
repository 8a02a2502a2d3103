"""How an endpoint fared over the last 24 hours or 7 days, as its page shows it: numbers, the chart, and its table."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from waypost.clock import from_micros, to_micros
from waypost.dashboard import charts
from waypost.dashboard.visit import Visit
from waypost.ids import EndpointId
from waypost.log.hours import HOUR_US, Outcomes, hour_of
from waypost.log.overview import Activity

SPANS = {"day": (1, 24), "week": (4, 42)}  # hours of a bin, and how many bins
WORD_EVERY = {"day": 3, "week": 6}


async def read_activity(visit: Visit, endpoint_id: str, span: str = "day") -> dict[str, Any]:
    """Give what the page shows of an endpoint's last 24 hours, or 7 days. NotFound when there is no such endpoint."""
    span = span if span in SPANS else "day"
    size, count = SPANS[span]
    end = hour_of(to_micros(visit.now)) + 1
    hours = range(end - size * count, end + 1, size)
    activity = await visit.log.activity(visit.account_id, EndpointId(endpoint_id), hours, visit.now)
    bins = [_words(visit, start, stop, with_day=span == "week") for start, stop in pairwise(hours)]
    return {
        "span": span,
        "numbers": _numbers(activity, 24 // size),
        "activity": _drawn(visit, activity, hours, bins, span),
    }


def _numbers(activity: Activity, bins_of_a_day: int) -> dict[str, Any]:
    total = activity.total
    return {
        "of_a_day": sum(one.delivered for one in activity.outcomes[-bins_of_a_day:]),
        "delivered": total.delivered,
        "made": total.attempts,
        "wrong": total.attempts - total.delivered,
        "error_rate": None if total.error_rate is None else 100 * total.error_rate,
        "p50": _ms(activity.overall.p50_us),
        "p99": _ms(activity.overall.p99_us),
        "usual": None if activity.usual is None else round(activity.usual),
        "oldest_at": activity.oldest_at,
        "counts": {
            name: f"{getattr(activity.counts, name).count:,}{'+' if getattr(activity.counts, name).more else ''}"
            for name in ("waiting", "retrying", "delivered", "failed", "skipped")
        },
    }


def _drawn(visit: Visit, activity: Activity, hours: Sequence[int], bins: Sequence[str], span: str) -> Mapping[str, Any]:
    words, total = visit.words, activity.total
    p50s, p99s = ([_ms(value) for value in column] for column in _quantiles(activity))
    lines = charts.lines([p50s, p99s])
    said = words(
        "%(delivered)s delivered, of them %(later)s after a retry; %(failed)s failed; %(waiting)s wait.",
        delivered=f"{total.delivered:,}", later=f"{total.later:,}", failed=f"{total.failed:,}",
        waiting=f"{sum(activity.waiting):,}",
    )  # fmt: skip
    p50, p99 = _span(_ms(activity.overall.p50_us)), _span(_ms(activity.overall.p99_us))
    times = words("Time to answer: half within %(p50)s, 99 of 100 within %(p99)s.", p50=p50, p99=p99)
    rows = zip(bins, activity.outcomes, activity.waiting, p50s, p99s, strict=True)
    return {
        "bars": charts.bars([_stack(one, held) for one, held in zip(activity.outcomes, activity.waiting, strict=True)]),
        "lines": lines,
        "top": _span(lines.ticks[-1].value),
        "has_times": any(value is not None for value in p50s),
        "axis": [
            (mark, _edge(visit, hours[edge], span)) for edge, mark in charts.marks(len(bins), WORD_EVERY[span])
        ],
        "words": said,
        "times": times,
        "titles": [
            words(
                "%(span)s: %(delivered)s delivered, %(later)s after a retry, %(failed)s failed, %(waiting)s wait",
                span=name, delivered=f"{one.delivered:,}", later=one.later, failed=one.failed, waiting=held,
            )
            for name, one, held in zip(bins, activity.outcomes, activity.waiting, strict=True)
        ],
        "rows": [
            (name, f"{one.at_once:,}", f"{one.later:,}", f"{held:,}", f"{one.failed:,}", _span(half), _span(most))
            for name, one, held, half, most in rows
        ],
    }  # fmt: skip


def _stack(one: Outcomes, held: int) -> list[tuple[str, float]]:
    return [("done", one.at_once), ("retry", one.later), ("fail", one.failed), ("wait", held)]


def _quantiles(activity: Activity) -> tuple[list[int | None], list[int | None]]:
    return [times.p50_us for times in activity.times], [times.p99_us for times in activity.times]


def _ms(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1000


def _span(ms: float | None) -> str:
    if ms is None:
        return "–"
    return f"{ms:,.0f} ms" if ms < 1000 else f"{ms / 1000:,.1f} s".replace(".0 s", " s")


def _at(visit: Visit, hour: int) -> datetime:
    return from_micros(hour * HOUR_US).astimezone(visit.zone)


def _words(visit: Visit, start: int, stop: int, *, with_day: bool) -> str:
    begin, end = _at(visit, start), _at(visit, stop)
    return f"{f'{begin:%a} {begin.day} ' if with_day else ''}{begin:%H:%M}–{end:%H:%M}"


def _edge(visit: Visit, hour: int, span: str) -> str:
    at = _at(visit, hour)
    return f"{at:%a} {at.day}" if span == "week" else f"{at:%H:%M}"
