"""The forms that single values must keep, by the names that model.py gives them.

A form takes the value and gives the sentence that says what is wrong with it, or None. The sentence stands behind the
value's path in an answer, so it begins in lower case and names the remedy. For most forms there is also a quick look,
which only says whether the value is surely right: documents hold dozens of values, and nearly all are right.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from waypost.shipments.codes import COUNTRIES, CURRENCIES, time_zones
from waypost.shipments.decimals import decimal_problem, measure_problem
from waypost.shipments.identifiers import gln_problem, is_gln, is_sscc, sscc_problem

Form = Callable[[Any], str | None]
Look = Callable[[Any], object]  # something true when the value is surely right

KEY_CHARACTERS_MAX = 255  # it stands in database indexes and URLs
COUNT_MAX = 2**53 - 1  # the largest whole number that a receiver in JavaScript reads exactly
REVISION_MAX = 2**63 - 1  # nanoseconds since 1970 fit, and so does a column of the database

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
UNLOCODE = re.compile(r"[A-Z]{2}[A-Z2-9]{3}\Z")
WALL_CLOCK = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?\Z")
UNIT_KIND = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,34}\Z")


def key_problem(text: str) -> str | None:
    """Check a text that names something: 1 to 255 characters, no control characters."""
    if not text:
        return "is empty"
    if len(text) > KEY_CHARACTERS_MAX:
        return f"has {len(text)} characters, at most {KEY_CHARACTERS_MAX} are allowed"
    return "has a control character" if _CONTROL.search(text) else None


def country_problem(text: str) -> str | None:
    """Check a country of ISO 3166-1 alpha-2."""
    if text in COUNTRIES:
        return None
    near = text.upper()
    hint = f'did you mean "{near}"?' if near in COUNTRIES else "write it like EE"
    return f"{text[:40]!r} is not a country code of ISO 3166; {hint}"


def unlocode_problem(text: str) -> str | None:
    """Check the form of a UN/LOCODE: country and place in one word."""
    return None if UNLOCODE.match(text) else f"{text[:40]!r} has not the form of a UN/LOCODE, as ISREY"


def _currency_problem(text: str) -> str | None:
    return None if text in CURRENCIES else f"{text[:40]!r} is not a currency code of ISO 4217, as EUR"


def _time_zone_problem(text: str) -> str | None:
    return None if text in time_zones() else f"{text[:40]!r} is not a time zone of the IANA database, as Europe/Tallinn"


def _wall_clock_problem(text: str) -> str | None:
    return None if WALL_CLOCK.match(text) else f"{text[:40]!r} is not a time of day, as 09:00"


def _unit_kind_problem(text: str) -> str | None:
    return None if UNIT_KIND.match(text) else f"{text[:40]!r} is not a code of a handling unit, as EUR, CTN or 40HC"


def _latitude_problem(degrees: float) -> str | None:
    return None if -90 <= degrees <= 90 else f"is {degrees}, should be from -90 to 90"


def _longitude_problem(degrees: float) -> str | None:
    return None if -180 <= degrees <= 180 else f"is {degrees}, should be from -180 to 180"


def _count_problem(number: int) -> str | None:
    return None if 0 <= number <= COUNT_MAX else f"should be from 0 to {COUNT_MAX}"


def _revision_problem(number: int) -> str | None:
    return None if 0 <= number <= REVISION_MAX else f"should be from 0 to {REVISION_MAX}"


FORMS: Mapping[str, Form] = {
    "count": _count_problem,
    "country": country_problem,
    "currency": _currency_problem,
    "decimal": decimal_problem,
    "gln": gln_problem,
    "key": key_problem,
    "latitude": _latitude_problem,
    "longitude": _longitude_problem,
    "measure": measure_problem,
    "revision": _revision_problem,
    "sscc": sscc_problem,
    "time_zone": _time_zone_problem,
    "unit_kind": _unit_kind_problem,
    "unlocode": unlocode_problem,
    "wall_clock": _wall_clock_problem,
}


QUICK_LOOKS: Mapping[str, Look] = {
    "count": range(COUNT_MAX + 1).__contains__,
    "country": COUNTRIES.__contains__,
    "currency": CURRENCIES.__contains__,
    "decimal": re.compile(r"-?[0-9]{1,28}(?:\.[0-9]{1,28})?\Z").match,
    "gln": is_gln,
    "key": re.compile(rf"[^\x00-\x1f\x7f-\x9f]{{1,{KEY_CHARACTERS_MAX}}}\Z").match,
    "measure": re.compile(r"[0-9]{1,28}(?:\.[0-9]{1,28})?\Z").match,
    "sscc": is_sscc,
    "time_zone": time_zones().__contains__,
    "unit_kind": UNIT_KIND.match,
    "unlocode": UNLOCODE.match,
    "wall_clock": WALL_CLOCK.match,
}


def quick_look(name: str) -> Look:
    """Give the quickest way to see whether a value keeps the form called `name`."""
    form = FORMS[name]
    return QUICK_LOOKS.get(name) or (lambda value: form(value) is None)
