"""The rules that look at more than one field of a part.

A rule takes the part and yields each wrong place, as the path inside the part and the sentence about it.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from waypost.shipments.forms import country_problem, unlocode_problem
from waypost.shipments.identifiers import container_problem, is_container_kind, looks_like_container_number
from waypost.shipments.model import Eta, HandlingUnit, TrackingEventInput

YEARS = range(1900, 3000)  # of a scan: another zone must not push it over an end of the calendar

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
    for name in ("occurred_at", "occurred_local"):
        moment = getattr(event, name)
        if moment is not None and moment.year not in YEARS:
            yield f"/{name}", f"is in the year {moment.year}, should be from {YEARS[0]} to {YEARS[-1]}"
    place = event.location
    if place and place.country and (problem := country_problem(place.country)):
        yield "/location/country", problem
    if place and place.unlocode and (problem := unlocode_problem(place.unlocode)):
        yield "/location/unlocode", problem


RULES: Mapping[type[msgspec.Struct], Rule] = {
    HandlingUnit: _container_numbers,
    Eta: _eta_says_when,
    TrackingEventInput: _tracking_event,
}
