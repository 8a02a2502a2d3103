"""Checks of decoded JSON, member by member.

A check takes a value and the pointer to it, and lists what is wrong there; an empty list means it is fine. All wrong
places are named at once, so that a caller mends the body in one go.
"""

import math
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from waypost.errors import FieldError

Check = Callable[[Any, str], list[FieldError]]

# Members that the API shows of one thing or another and that nobody may set.
READ_ONLY = frozenset(
    {"id", "api_version", "state", "state_reason", "state_since", "waiting", "waiting_more", "created_at", "updated_at"}
    | {"secret", "public_key"}
)


def one_of(*words: str) -> Check:
    """A text out of a few."""

    def check(value: Any, path: str) -> list[FieldError]:
        if isinstance(value, str) and value in words:
            return []
        near = get_close_matches(value[:50].lower(), words, n=1) if isinstance(value, str) else []
        hint = f'; did you mean "{near[0]}"?' if near else ""
        return [FieldError(path, f"must be one of {', '.join(words)}{hint}")]

    return check


def nullable(check: Check) -> Check:
    """Null, or what `check` takes."""
    return lambda value, path: [] if value is None else check(value, path)


def text(length_max: int, *, length_min: int = 0) -> Check:
    """A text of a length. U+0000 was refused before, with the whole body."""

    def check(value: Any, path: str) -> list[FieldError]:
        if not isinstance(value, str):
            return [FieldError(path, "must be a text")]
        if not length_min <= len(value) <= length_max:
            return [FieldError(path, f"must have {length_min} to {length_max} characters, and has {len(value)}")]
        return []

    return check


def number(low: float, high: float, unit: str = "") -> Check:
    """A number in a range, whole or not."""

    def check(value: Any, path: str) -> list[FieldError]:
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if is_number and low <= value <= high:
            return []
        return [FieldError(path, f"must be a number from {low} to {high}{unit}")]

    return check


def whole_number(low: int, high: int) -> Check:
    """A whole number in a range; `16.0` is none."""

    def check(value: Any, path: str) -> list[FieldError]:
        if type(value) is int and low <= value <= high:
            return []
        return [FieldError(path, f"must be a whole number from {low} to {high}")]

    return check


def boolean(value: Any, path: str) -> list[FieldError]:
    """True or false, and nothing that only looks like it."""
    return [] if isinstance(value, bool) else [FieldError(path, "must be true or false")]


def check_fields(given: Mapping[str, Any], checks: Mapping[str, Check], path: str = "") -> list[FieldError]:
    """List all that is wrong in an object whose members are checked by `checks`; others are unknown or read-only."""
    errors: list[FieldError] = []
    for name, value in given.items():
        place = f"{path}/{pointer_part(name)}"
        if name in checks:
            errors += checks[name](value, place)
        else:
            errors.append(FieldError(place, unknown_field(name, checks)))
    return errors


def unknown_field(name: str, known: Mapping[str, Check]) -> str:
    """The words for a member that may not be given."""
    if name in READ_ONLY:
        return "is read-only"
    near = get_close_matches(name[:100].lower(), list(known), n=1)
    return "unknown field" + (f'; did you mean "{near[0]}"?' if near else "")


def pointer_part(name: str) -> str:
    """Escape a member's name for a JSON Pointer (RFC 6901), cut to what a reader can bear."""
    return name[:200].replace("~", "~0").replace("/", "~1")
