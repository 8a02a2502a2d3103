"""The overview: are my updates going out, and what needs me."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Response, get

from waypost.dashboard import charts
from waypost.dashboard.headlines import headline, route_of
from waypost.dashboard.needs import answer, host_of, many, name_of, needs, sparkline_words
from waypost.dashboard.pages.setup import WRITE
from waypost.dashboard.visit import Visit
from waypost.dashboard.windows import WORD_EVERY, Cut, cut
from waypost.log.overview import Overview
from waypost.log.told import ToldCount


@get("/")
async def overview(visit: Visit, window: str = "today") -> Response[str]:
    """Show how things stand."""
    looked = cut(window, visit.now, visit.zone)
    seen = await visit.log.overview(visit.account_id, looked.asked)
    latest = await visit.log.events_at(visit.account_id, seen.latest)
    entrance = visit.frame.keeper.entrance
    return visit.page(
        "overview.html",
        active="overview",
        window=looked.name,
        answer=answer(seen.behind, visit.words),
        needs=needs(seen, visit.words, owed_days=entrance.retention_days_owed, may_change=visit.may(WRITE)),
        numbers=_numbers(seen, looked),
        chart=_chart(visit, seen, looked),
        endpoints=_endpoints(visit, seen),
        endpoint_count=seen.behind.endpoints,
        sources=[(one.name, many(one.count), one.last_at) for one in seen.sources],
        refused=(many(seen.refused_messages.count), seen.refused_messages.last_at)
        if seen.refused_messages.count.count
        else None,
        latest=[_event(visit, row.body, (seen.told or {}).get(row.position)) for row in reversed(latest)],
        may_change=visit.may(WRITE),
    )


def _numbers(seen: Overview, looked: Cut) -> dict[str, Any]:
    """The five numbers at the top."""
    usual, outcomes = seen.events.usual, seen.outcomes
    behind = seen.behind
    return {
        "moving": many(seen.moving.moving),
        "delayed": seen.moving.delayed.count and many(seen.moving.delayed),
        "events": f"{seen.events.total:,}",
        "usual": None if usual is None else f"{round(looked.passed(usual)):,}",
        "delivered": f"{outcomes.delivered:,}",
        "at_once": None if not outcomes.delivered else f"{100 * outcomes.at_once / outcomes.delivered:.1f}",
        "p50": _span(seen.times.p50_us),
        "p99": _span(seen.times.p99_us),
        "waiting": many(behind.waiting),
        "waiting_at": behind.waiting_at,
        "oldest_at": behind.oldest_at,
    }


def _span(microseconds: int | None) -> tuple[str, str] | None:
    """A span as a number and its unit: 86 ms, 0.4 s, 12 min, 3 h."""
    if microseconds is None:
        return None
    seconds = microseconds / 1e6
    if seconds < 0.1:
        return f"{microseconds / 1000:.0f}", "ms"
    if seconds < 90:
        return (f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"), "s"
    return (f"{seconds / 60:.0f}", "min") if seconds < 5400 else (f"{seconds / 3600:.0f}", "h")


def _chart(visit: Visit, seen: Overview, looked: Cut) -> dict[str, Any]:
    """The chart of events, with its words and the same numbers for a table."""
    words, counts, waiting = visit.words, seen.events.counts, seen.waiting
    told = [max(count - held, 0) for count, held in zip(counts, waiting, strict=True)]
    stacks = [[("done", done), ("wait", count - done)] for done, count in zip(told, counts, strict=True)]
    bins = looked.bins
    spans = [_bin_words(start, end, looked) for start, end in bins]
    titles = [
        words("%(span)s: %(count)s events, %(waiting)s of them still wait", span=span, count=f"{count:,}", waiting=held)
        for span, count, held in zip(spans, counts, waiting, strict=True)
    ]
    most = max(range(len(counts)), key=lambda index: counts[index])
    said = words.number(
        "%(n)s event. The most came %(span)s: %(most)s.",
        "%(n)s events. The most came %(span)s: %(most)s.",
        seen.events.total,
        span=spans[most],
        most=f"{counts[most]:,}",
    )
    return {
        "drawn": charts.bars(stacks, usual=seen.events.usual, now=looked.now_share if looked.is_open else None),
        "axis": [
            (mark, _edge_words(bins, edge, looked)) for edge, mark in charts.marks(len(bins), WORD_EVERY[looked.name])
        ],
        "now": words("now %(time)s", time=f"{looked.now.astimezone(visit.zone):%H:%M}"),
        "words": said,
        "titles": titles,
        "hrefs": [
            f"/events?{urlencode({'since': start.isoformat(), 'until': end.isoformat()})}" if count else None
            for (start, end), count in zip(bins, counts, strict=True)
        ],
        "rows": _rows(spans, counts, waiting, seen.events.usual),
        "has_usual": seen.events.usual is not None,
        "usual_day": f"{looked.now.astimezone(visit.zone):%A}" if looked.name == "today" else None,
    }


def _rows(
    spans: Sequence[str], counts: Sequence[int], waiting: Sequence[int], usual: Sequence[float] | None
) -> list[tuple[str, ...]]:
    rows = zip(spans, counts, waiting, usual or [0.0] * len(counts), strict=True)
    return [
        (span, f"{count:,}", f"{held:,}", *([] if usual is None else [f"{round(value):,}"]))
        for span, count, held, value in rows
    ]


def _bin_words(start: datetime, end: datetime, looked: Cut) -> str:
    day = f"{start:%a} {start.day} " if looked.name != "today" else ""
    return f"{day}{start:%H:%M}–{end:%H:%M}"


def _edge_words(bins: Sequence[tuple[datetime, datetime]], edge: int, looked: Cut) -> str:
    at = bins[edge][0] if edge < len(bins) else bins[-1][1]
    if looked.name == "week":
        return f"{at:%a} {at.day}" if edge < len(bins) else ""
    if looked.name == "today" and edge == len(bins):
        return "24:00"
    return f"{at:%H:%M}"


def _endpoints(visit: Visit, seen: Overview) -> list[dict[str, Any]]:
    """The endpoints, the worst first, as the table shows them."""
    return [
        {
            "id": held.endpoint.endpoint_id,
            "name": name_of(held.endpoint),
            "host": host_of(held.endpoint),
            "state": held.endpoint.state,
            "reason": held.endpoint.state_reason,
            "since": held.endpoint.state_since if held.endpoint.state != "active" else None,
            "hours": day.bars,
            "words": sparkline_words(held, day.hours, visit.words),
            "median_ms": None if day.median_us is None else day.median_us / 1000,
            "waiting": many(held.waiting),
            "waits": held.waiting.count > 0,
        }
        for held, day in seen.endpoints
    ]


def _event(visit: Visit, body: bytes, told: ToldCount | None) -> dict[str, Any]:
    """A row of the latest events."""
    event: Mapping[str, Any] = msgspec.json.decode(body)
    shipment = event["data"].get("shipment") if isinstance(event["data"], dict) else None
    return {
        "id": event["id"],
        "type": event["type"],
        "at": event["recorded_at"],
        "what": headline(event, visit.words),
        "shipment_id": event["shipment_id"],
        "reference": event["reference"],
        "route": route_of(shipment) if shipment else (None, None),
        "told": told,
    }


HANDLERS = [overview]
