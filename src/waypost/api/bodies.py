"""JSON objects that are small and ours: read, and checked member by member."""

from collections.abc import Mapping
from typing import Any

import msgspec

from waypost.api.checks import Check, check_fields
from waypost.errors import BadRequest, FieldError, InvalidDocument
from waypost.shipments.body import parse


def read_object(body: bytes) -> dict[str, Any]:
    """Give the members of a JSON object; BadRequest for what cannot be read, InvalidDocument for what is no object."""
    parse(body)  # refuses what two readers could read differently; its numbers are texts, and here they are numbers
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError:
        raise BadRequest("The body holds a number that is out of range.") from None
    if not isinstance(value, dict):
        raise InvalidDocument("The body must be a JSON object.", errors=[FieldError("", "must be an object")])
    return value


def check_object(given: Mapping[str, Any], checks: Mapping[str, Check], *, required: tuple[str, ...] = ()) -> None:
    """Refuse an object with members that are wrong, unknown or missing: InvalidDocument names every one."""
    errors = [FieldError(f"/{name}", "is missing") for name in required if name not in given]
    refuse(errors + check_fields(given, checks))


def refuse(errors: list[FieldError]) -> None:
    """Raise InvalidDocument with these errors, if there are any."""
    if errors:
        raise InvalidDocument(
            "1 field is wrong." if len(errors) == 1 else f"{len(errors)} fields are wrong.", errors=errors
        )
