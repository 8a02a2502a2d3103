"""The rules that look at more than one field of a part.

A rule takes the part and yields each wrong place, as the path inside the part and the sentence about it.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from waypost.shipments.forms import country_problem, unlocode_problem
from waypost.shipments.identifiers import container_problem, is_container_kind, looks_like_container_number
from waypost.shipments.model import Eta, HandlingUnit, TrackingEventInput
from waypost.shipments.status_codes import code_table, look_up

YEARS = range(1900, 3000)  # of a scan: another zone must not push it over an end of the calendar
_MINUTE = dt.timedelta(minutes=1)

Rule = Callable[[Any], Iterator[tuple[str, str]]]


def _container_numbers(unit: HandlingUnit) -> Iterator[tuple[str, str]]:
    """A container's number may be its id, its tracking number or what is painted on it."""
    if unit.kind is None or not is_container_kind(unit.kind):
        return
    for name in ("id", "tracking_number", "marks"):
        text = getattr(unit, name)
        if text and looks_like_container_number(text) and (problem := container_problem(text)):
            yield f"/{name}", problem


def _eta_says_when(eta: Eta) -> Iterator[tuple[str, str]]:
    if eta.at is None and eta.date is None and (eta.window is None or eta.window.date is None):
        yield "", "says no time: give `at` or `date`"


def _tracking_event(event: TrackingEventInput) -> Iterator[tuple[str, str]]:
    if event.status is None and event.code is None and event.condition is None and event.eta is None:
        yield "", "says nothing: give one of status, code, condition, eta"
    if event.code is not None and event.code_list is None:
        yield "/code_list", "is missing: say which list the code is from (rec24, x12-1650 or dcsa)"
    if event.occurred_at is None and event.occurred_local is None:
        yield "/occurred_at", "is missing: say when it happened, with the offset from UTC"
    elif event.occurred_at is None and event.time_zone is None:
        yield "/time_zone", "no time zone: a local time needs the zone that it is in"
    far = [name for name in ("occurred_at", "occurred_local") if (at := getattr(event, name)) and at.year not in YEARS]
    for name in far:
        yield f"/{name}", f"is in the year {getattr(event, name).year}, should be from {YEARS[0]} to {YEARS[-1]}"
    if not far and (problem := _local_problem(event)):
        yield "/occurred_local", problem
    if problem := _code_problem(event):
        yield "/status", problem
    place = event.location
    if place and place.country and (problem := country_problem(place.country)):
        yield "/location/country", problem
    if place and place.unlocode and (problem := unlocode_problem(place.unlocode)):
        yield "/location/unlocode", problem


def _local_problem(event: TrackingEventInput) -> str | None:
    """Hold the local time against `occurred_at`: to the minute, since many clocks show no more."""
    instant, local = event.occurred_at, event.occurred_local
    if instant is None or local is None or event.time_zone is None:
        return None
    zone = ZoneInfo(event.time_zone)
    there = instant.astimezone(zone)
    if event.time_precision == "date":
        agree = there.date() == local.date()
    else:
        # A time that came twice in autumn, or that the clock skipped in spring, may be meant in both ways.
        readings = (local.replace(tzinfo=zone, fold=fold).astimezone(dt.UTC) for fold in (0, 1))
        agree = any(abs(reading - instant) < _MINUTE for reading in readings)
    said = there.replace(tzinfo=None).isoformat()
    return None if agree else f"is not the time of `occurred_at`, which is {said} in {event.time_zone}"


def _code_problem(event: TrackingEventInput) -> str | None:
    row = look_up(event)
    if event.status is None or event.code_list is None or row is None or row.status in (None, event.status):
        return None
    meanings = {row.status for row in code_table(event.code_list)[row.code]}
    # To the carrier a return that arrives is a delivery.
    if event.status in meanings or (event.status == "returned" and "delivered" in meanings):
        return None
    return f"is {event.status}, but code {event.code} of {event.code_list} means {row.status}; give one of them"


RULES: Mapping[type[msgspec.Struct], Rule] = {
    HandlingUnit: _container_numbers,
    Eta: _eta_says_when,
    TrackingEventInput: _tracking_event,
}
