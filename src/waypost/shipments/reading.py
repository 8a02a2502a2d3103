"""From what a caller sent to values of the model; everything wrong is said at once, with its path.

Most documents are sound: those are decoded straight into the model and looked over once. Whatever raises a doubt goes
through the thorough reading of checking.py instead, which finds every error and puts right what is only written
differently.
"""

import re
from typing import Any, TypeVar

import msgspec
from msgspec.structs import force_setattr

from waypost.errors import FieldError, InvalidDocument
from waypost.shipments.body import parse, read_quickly
from waypost.shipments.checking import check_part, check_parts, invalid
from waypost.shipments.forms import key_problem
from waypost.shipments.glance import is_surely_settled
from waypost.shipments.model import Part, ShipmentDocument, TrackingEventInput
from waypost.shipments.settling import settle

TRACKING_EVENTS_MAX = 1000  # in one report; each may move the status, and all are one transaction

P = TypeVar("P", bound=Part)

DATE_ONLY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class CancelRequest(Part, frozen=True, kw_only=True):
    """What a cancellation says."""

    reason: str | None = None


def read_document(body: bytes) -> ShipmentDocument:
    """Read the body of a PUT.

    Every item of its lists has an id, instants are in UTC, decimals are text. Raises BadRequest when the body cannot
    be read, InvalidDocument with all wrong places when it can but is wrong.
    """
    document = _quick(read_quickly(body), ShipmentDocument)
    return document if document is not None else read_document_value(parse(body))


def read_document_value(value: Any) -> ShipmentDocument:
    """Read a document from JSON values already decoded. Raises InvalidDocument as `read_document` does."""
    return _settled(msgspec.convert(check_part(value, ShipmentDocument), ShipmentDocument))


def read_bulk_line(line: bytes) -> tuple[str, ShipmentDocument]:
    """Read one line of a bulk body into its reference and document. Raises as `read_document` does."""
    value = read_quickly(line)
    reference = value.pop("reference", None) if isinstance(value, dict) else None
    if isinstance(reference, str) and _reference_problem(reference) is None:
        document = _quick(value, ShipmentDocument)
        if document is not None:
            return reference, document
    return _read_bulk_line_slowly(line)


def bulk_reference(line: bytes) -> str | None:
    """Give the reference that a refused bulk line names, for the answer about it; None when it names none."""
    try:
        value = msgspec.json.decode(line)
    except (ValueError, RecursionError):
        return None
    reference = value.get("reference") if isinstance(value, dict) else None
    return reference if isinstance(reference, str) and _reference_problem(reference) is None else None


def read_patch(body: bytes) -> dict[str, Any]:
    """Read the body of a PATCH as JSON values; what it says is checked when it is merged.

    Raises BadRequest when it cannot be read, InvalidDocument when it is no object.
    """
    value = parse(body)
    if not isinstance(value, dict):
        raise invalid([FieldError("", "should be an object")])
    return value


def read_tracking_events(body: bytes) -> list[TrackingEventInput]:
    """Read one tracking event or a list of them. Raises BadRequest or InvalidDocument, for the list as a whole."""
    value = read_quickly(body)
    given = value if isinstance(value, list) else [value]
    events: list[TrackingEventInput] = []
    for item in given if len(given) <= TRACKING_EVENTS_MAX else ():
        event = _quick(item, TrackingEventInput)
        if event is None:
            break
        events.append(event)
    return events if 0 < len(events) == len(given) else _read_tracking_events_slowly(body)


def read_cancel(body: bytes) -> str | None:
    """Read the body of a cancellation, which may be empty, into its reason."""
    if not body.strip():
        return None
    return msgspec.convert(check_part(parse(body), CancelRequest), CancelRequest).reason


def check_reference(reference: str) -> None:
    """Raise InvalidDocument unless `reference` may name a shipment.

    It has 1 to 255 characters, no control characters and no blank at either end, and does not begin with `shp_`.
    """
    if problem := _reference_problem(reference):
        raise InvalidDocument(f"The reference {problem}.", errors=[FieldError("/reference", problem)])


def _quick(value: Any, part: type[P]) -> P | None:
    """Make a part of JSON values that are sound; None when they need the thorough reading."""
    if value is None:
        return None
    try:
        made = msgspec.convert(value, part)
    except (ValueError, RecursionError):
        return None
    return made if _settle(made) else None


def _settled(part: P) -> P:
    sound = _settle(part)
    assert sound, part
    return part


def _settle(part: msgspec.Struct) -> bool:
    if isinstance(part, ShipmentDocument):
        return is_surely_settled(part) or settle(part)
    if not isinstance(part, TrackingEventInput):
        return settle(part)
    # All but an event's own time: the offset it was sent with is its local time, which scans.py keeps.
    as_sent = part.occurred_at
    sound = settle(part)
    force_setattr(part, "occurred_at", as_sent)
    return sound


def _read_bulk_line_slowly(line: bytes) -> tuple[str, ShipmentDocument]:
    value = parse(line)
    errors: list[FieldError] = []
    reference = value.get("reference") if isinstance(value, dict) else None
    if isinstance(value, dict):
        problem = _reference_problem(reference) if isinstance(reference, str) else "is missing"
        errors = [FieldError("/reference", problem)] if problem else []
        value = {name: item for name, item in value.items() if name != "reference"}
    try:
        document = read_document_value(value)
    except InvalidDocument as error:
        errors += error.errors
    if errors:
        raise invalid(errors)
    return str(reference), document


def _read_tracking_events_slowly(body: bytes) -> list[TrackingEventInput]:
    value = parse(body)
    if isinstance(value, list):
        if len(value) > TRACKING_EVENTS_MAX:
            raise invalid([FieldError("", f"has {len(value)} events, at most {TRACKING_EVENTS_MAX} are allowed")])
        places = [(_with_precision(item), f"/{place}") for place, item in enumerate(value)]
    else:
        places = [(_with_precision(value), "")]
    cleaned = check_parts(places, TrackingEventInput)
    return [_settled(msgspec.convert(item, TrackingEventInput)) for item in cleaned]


def _with_precision(given: Any) -> Any:
    """Say of an event whose local time is only a date that it is no more precise than that."""
    local = given.get("occurred_local") if isinstance(given, dict) else None
    if not isinstance(local, str) or not DATE_ONLY.match(local) or given.get("time_precision"):
        return given
    return given | {"time_precision": "date"}


def _reference_problem(reference: str) -> str | None:
    if problem := key_problem(reference):
        return problem
    if _CONTROL.search(reference):
        return "has a control character"
    if reference != reference.strip():
        return "begins or ends with a blank"
    return "begins with shp_, which only Waypost's own ids do" if reference.startswith("shp_") else None
