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
from waypost.shipments.body import is_unambiguous, parse
from waypost.shipments.checking import check_part, check_parts, invalid
from waypost.shipments.forms import key_problem
from waypost.shipments.model import Key, Part, ShipmentDocument, TrackingEventInput
from waypost.shipments.settling import settle

TRACKING_EVENTS_MAX = 1000  # in one report; each may move the status, and all are one transaction

P = TypeVar("P", bound=Part)

DATE_ONLY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class BulkLine(ShipmentDocument, frozen=True, kw_only=True):
    """One line of a bulk body: a document with its reference."""

    reference: Key


class CancelRequest(Part, frozen=True, kw_only=True):
    """What a cancellation says."""

    reason: str | None = None


_document_decoder = msgspec.json.Decoder(ShipmentDocument)
_bulk_decoder = msgspec.json.Decoder(BulkLine)
_event_decoder = msgspec.json.Decoder(TrackingEventInput)
_events_decoder = msgspec.json.Decoder(tuple[TrackingEventInput, ...])


def read_document(body: bytes) -> ShipmentDocument:
    """Read the body of a PUT.

    Every item of its lists has an id, instants are in UTC, decimals are text. Raises BadRequest when the body cannot
    be read, InvalidDocument with all wrong places when it can but is wrong.
    """
    document = _quick(body, _document_decoder)
    if document is None:
        document = read_document_value(parse(body))
    return document


def read_document_value(value: Any) -> ShipmentDocument:
    """Read a document from JSON values already decoded. Raises InvalidDocument as `read_document` does."""
    return _settled(msgspec.convert(check_part(value, ShipmentDocument), ShipmentDocument))


def read_bulk_line(line: bytes) -> tuple[str, ShipmentDocument]:
    """Read one line of a bulk body into its reference and document. Raises as `read_document` does."""
    bulk = _quick(line, _bulk_decoder)
    if bulk is None or _reference_problem(bulk.reference):
        bulk = _read_bulk_line_slowly(line)
    document = ShipmentDocument(**{name: getattr(bulk, name) for name in ShipmentDocument.__struct_fields__})
    return bulk.reference, document


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
    decoder: Any = _events_decoder if body.lstrip()[:1] == b"[" else _event_decoder
    try:
        decoded = decoder.decode(body)
    except (ValueError, RecursionError):
        decoded = None
    events = [decoded] if isinstance(decoded, TrackingEventInput) else list(decoded or ())
    quick = 0 < len(events) <= TRACKING_EVENTS_MAX and b'""' not in body and is_unambiguous(body)
    if quick and all(_settle_event(event) for event in events):
        return events
    return _read_tracking_events_slowly(body)


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


def _quick(body: bytes, decoder: "msgspec.json.Decoder[P]") -> P | None:
    """Decode a sound body; None when it needs the thorough reading."""
    try:
        part = decoder.decode(body)
    except (ValueError, RecursionError):
        return None
    # `""` stands for unknown and has to be put right; inside a longer text it only costs the slower way.
    if b'""' in body or not settle(part) or not is_unambiguous(body):
        return None
    return part


def _settled(part: P) -> P:
    sound = settle(part)
    assert sound, part
    return part


def _read_bulk_line_slowly(line: bytes) -> BulkLine:
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
    return BulkLine(reference=str(reference), **{f: getattr(document, f) for f in ShipmentDocument.__struct_fields__})


def _settle_event(event: TrackingEventInput) -> bool:
    """Settle an event but for its own time: the offset it was sent with is its local time, which tracking.py keeps."""
    as_sent = event.occurred_at
    sound = settle(event)
    force_setattr(event, "occurred_at", as_sent)
    return sound


def _read_tracking_events_slowly(body: bytes) -> list[TrackingEventInput]:
    value = parse(body)
    if isinstance(value, list):
        if len(value) > TRACKING_EVENTS_MAX:
            raise invalid([FieldError("", f"has {len(value)} events, at most {TRACKING_EVENTS_MAX} are allowed")])
        places = [(_with_precision(item), f"/{place}") for place, item in enumerate(value)]
    else:
        places = [(_with_precision(value), "")]
    cleaned = check_parts(places, TrackingEventInput)
    events = [msgspec.convert(item, TrackingEventInput) for item in cleaned]
    for event in events:
        sound = _settle_event(event)
        assert sound, event
    return events


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
