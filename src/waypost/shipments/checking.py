"""The slow, thorough reading: every wrong place of a body at once, each with its path and the remedy.

It runs when the quick reading of reading.py finds anything to complain about or to put right, and gives the same body
cleaned: decimals that came as JSON numbers are text, `""` and empty objects are unknown.
"""

import datetime as dt
import math
import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import msgspec

from waypost.errors import FieldError, InvalidDocument
from waypost.shipments.body import JsonNumber
from waypost.shipments.decimals import DIGITS_MAX, decimal_of, from_json_number
from waypost.shipments.model import Eta, HandlingUnit, Shipment, ShipmentDocument, TrackingEvent, TrackingEventInput
from waypost.shipments.plans import FieldPlan, PartPlan, plan_of
from waypost.shipments.rules import RULES

ERRORS_MAX = 100  # a reader mends the first of them; a hostile body could hold a hundred thousand

READ_ONLY: dict[type[msgspec.Struct], frozenset[str]] = {
    ShipmentDocument: frozenset(Shipment.__struct_encode_fields__) - set(ShipmentDocument.__struct_encode_fields__),
    TrackingEventInput: frozenset(TrackingEvent.__struct_encode_fields__)
    - set(TrackingEventInput.__struct_encode_fields__),
    HandlingUnit: frozenset({"status"}),
    Eta: frozenset({"stated_at", "history"}),
}

_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(Z|z|[+-][0-9]{2}:?[0-9]{2})?\Z"
)
_LOCAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)?\Z")
_WORDS = {
    "text": "text",
    "choice": "text",
    "instant": "a time as text",
    "local": "a local time as text",
    "date": "a date as text",
    "decimal": "a decimal number",
    "whole": "a whole number",
    "number": "a number",
    "flag": "true or false",
    "part": "an object",
    "parts": "a list",
    "set": "a list",
    "texts": "a list",
}


class _EnoughError(Exception):
    """More is wrong than anybody will read."""


class Findings:
    """What is wrong so far."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []

    def add(self, path: str, message: str) -> None:
        """Note a wrong place; ends the walk when there are too many."""
        self.errors.append(FieldError(path, message))
        if len(self.errors) >= ERRORS_MAX:
            raise _EnoughError


def check_part(value: Any, part: type[msgspec.Struct], path: str = "") -> dict[str, Any]:
    """Check a JSON value as a part of type `part`, and give it cleaned, ready to be converted.

    Raises InvalidDocument with every wrong place. `path` is put before the paths.
    """
    return check_parts([(value, path)], part)[0]


def check_parts(values: Sequence[tuple[Any, str]], part: type[msgspec.Struct]) -> list[dict[str, Any]]:
    """Check several JSON values, each with the path it stands at, and give them cleaned."""
    findings = Findings()
    cleaned: list[dict[str, Any]] = []
    try:
        for value, path in values:
            cleaned.append(_part(value, plan_of(part), path, findings, whole=True) or {})
    except _EnoughError:
        raise invalid(findings.errors, more=True) from None
    if findings.errors:
        raise invalid(findings.errors)
    return cleaned


def invalid(errors: Sequence[FieldError], *, more: bool = False) -> InvalidDocument:
    """Make the error that names all wrong places."""
    count = f"At least {len(errors)}" if more else str(len(errors))
    return InvalidDocument("1 field is wrong." if count == "1" else f"{count} fields are wrong.", errors=errors)


def escape(name: str) -> str:
    """Write a name as one step of a JSON Pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def suggest(name: str, allowed: Sequence[str]) -> str:
    """Offer the nearest of the allowed names, as `; did you mean "x"?`, or nothing."""
    near = get_close_matches(name, allowed, 1, 0.6) if len(name) <= 60 else []
    return f'; did you mean "{near[0]}"?' if near else ""


def instant_problem(text: str) -> str | None:
    """Say what is wrong with a text as an instant of RFC 3339; None when nothing is."""
    match = _INSTANT.match(text)
    if not match:
        if _LOCAL.match(text):
            return "no time zone" if ":" in text else "is only a date, should be a time like 2026-11-30T15:00:00Z"
        return f"{text[:40]!r} is not a time, as 2026-11-30T15:00:00Z"
    if match[1] is None:
        return "no time zone"
    try:
        msgspec.convert(text, dt.datetime).astimezone(dt.UTC)
    except (msgspec.ValidationError, OverflowError):
        return f"{text[:40]!r} is no time of the calendar"
    return None


def _part(value: Any, plan: PartPlan, path: str, findings: Findings, *, whole: bool = False) -> dict[str, Any] | None:
    """Check an object; None when it holds nothing that is known. `whole` says that it is the body itself."""
    if not isinstance(value, dict):
        findings.add(path, f"should be an object, is {_name_of(value)}")
        return None
    errors_before = len(findings.errors)
    cleaned: dict[str, Any] = {}
    for name, item in value.items():
        field = plan.by_name.get(name)
        if field is None:
            findings.add(f"{path}/{escape(name)}", _unknown(name, plan))
        elif item is not None:
            result = _field(item, field, f"{path}/{escape(name)}", findings)
            if result is not None:
                cleaned[name] = result
    rule = RULES.get(plan.type)
    if rule and (cleaned or whole) and len(findings.errors) == errors_before:
        for inner, message in rule(msgspec.convert(cleaned, plan.type)):
            findings.add(path + inner, message)
    return cleaned or (None if plan.empty is not None else {})


def _unknown(name: str, plan: PartPlan) -> str:
    if name in READ_ONLY.get(plan.type, ()):
        return "is read-only; leave it out"
    return f"unknown field{suggest(name, list(plan.by_name))}"


def _field(value: Any, field: FieldPlan, path: str, findings: Findings) -> Any:
    holds = field.holds
    if holds == "part":
        assert field.part is not None
        return _part(value, field.part, path, findings)
    if holds == "parts":
        return _parts(value, field, path, findings)
    if holds in ("set", "texts"):
        return _texts(value, field, path, findings)
    if value == "" and isinstance(value, str):
        return None  # many exports write an unknown value as an empty text
    result, problem = _scalar(value, field)
    if problem is None and field.form is not None:
        problem = field.form(result)
    if problem is not None:
        findings.add(path, problem)
        return None
    return result


def _parts(value: Any, field: FieldPlan, path: str, findings: Findings) -> list[dict[str, Any]] | None:
    assert field.part is not None
    if not isinstance(value, list):
        findings.add(path, f"should be a list, is {_name_of(value)}")
        return None
    seen: set[str] = set()
    cleaned = []
    for place, item in enumerate(value):
        result = _part(item, field.part, f"{path}/{place}", findings) or {}
        if (item_id := result.get("id")) is not None:
            if item_id in seen:
                findings.add(f"{path}/{place}/id", f'the id "{item_id}" is given twice')
            seen.add(item_id)
        cleaned.append(result)
    return cleaned or None


def _texts(value: Any, field: FieldPlan, path: str, findings: Findings) -> list[str] | None:
    if not isinstance(value, list):
        findings.add(path, f"should be a list, is {_name_of(value)}")
        return None
    for place, item in enumerate(value):
        if not isinstance(item, str) or isinstance(item, JsonNumber):
            findings.add(f"{path}/{place}", f"should be text, is {_name_of(item)}")
        elif item == "":
            findings.add(f"{path}/{place}", "is empty")
        elif field.form and (problem := field.form(item)):
            findings.add(f"{path}/{place}", problem)
    return value or None


def _scalar(value: Any, field: FieldPlan) -> tuple[Any, str | None]:
    """Give the value in the type that the model wants, or what is wrong with it."""
    wrong = f"should be {_WORDS[field.holds]}, is {_name_of(value)}"
    match field.holds:
        case "decimal":
            return _decimal(value, wrong)
        case "whole":
            return _whole(value, wrong)
        case "number":
            return _number(value, wrong)
        case "flag":
            return value, None if type(value) is bool else wrong
        case _ if not isinstance(value, str) or isinstance(value, JsonNumber):
            return value, wrong
        case "choice":
            return value, None if value in field.choices else _not_a_choice(value, field)
        case "instant":
            return value, instant_problem(value)
        case "local":
            return _local(value)
        case "date":
            return value, _date_problem(value)
        case _:
            return value, None


def _decimal(value: Any, wrong: str) -> tuple[Any, str | None]:
    if isinstance(value, str) and not isinstance(value, JsonNumber):
        return value, None
    if isinstance(value, bool) or not isinstance(value, int | float | JsonNumber):
        return value, wrong
    # A float only comes from a caller who decoded the body himself: what it shows is all that is left of the number.
    is_short = not isinstance(value, int) or abs(value) < 10**DIGITS_MAX
    text = from_json_number(str(value)) if is_short else None
    return text, None if text is not None else "is a number too long to keep"


def _whole(value: Any, wrong: str) -> tuple[Any, str | None]:
    """Take a whole number, also one that is written with a fraction of nothing: many programs write 2 as 2.0."""
    if type(value) is int or not isinstance(value, float | JsonNumber):
        return value, None if type(value) is int else wrong
    number = decimal_of(str(value))
    if number is None:
        return value, "is a number too large"
    return int(number), None if number == int(number) else "should be a whole number"


def _number(value: Any, wrong: str) -> tuple[Any, str | None]:
    if type(value) not in (int, float, str, JsonNumber):
        return value, wrong
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return value, f"should be a number, is {str(value)[:40]!r}"
    return number, None if math.isfinite(number) else "is a number too large"


def _local(text: str) -> tuple[Any, str | None]:
    if _INSTANT.match(text) and not _LOCAL.match(text):
        return text, "should be a local time without an offset; give `occurred_at` instead"
    if not _LOCAL.match(text):
        return text, f"{text[:40]!r} is not a local time, as 2026-11-30T15:00:00"
    try:
        return dt.datetime.fromisoformat(text), None
    except ValueError:
        return text, f"{text[:40]!r} is no time of the calendar"


def _date_problem(text: str) -> str | None:
    try:
        msgspec.convert(text, dt.date)
    except msgspec.ValidationError:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return f"{text!r} is no date of the calendar"
        return f"{text[:40]!r} is not a date, as 2026-11-30"
    return None


def _not_a_choice(text: str, field: FieldPlan) -> str:
    hint = suggest(text, field.choices) or f"; allowed are {', '.join(field.choices)}"
    return f'"{text[:40]}" is not a {field.name.replace("_", " ")}{hint}'


def _name_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | JsonNumber):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"
