"""Erasing personal data for good, in a shipment, in its events, in whatever JSON tells of it.

Blanked are parties, contacts, texts, links and addresses but for the country. References, ids, statuses, times,
weights and prices stay.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from waypost.shipments.facts import Change
from waypost.shipments.model import Location, TrackingEvent
from waypost.shipments.state import ShipmentState, decode_state, encode_state

TEXTS = frozenset({"carrier_text", "carrier_reason", "description", "marks", "place", "issuer", "url", "tracking_url"})
PLACES = frozenset({"address", "location"})


def blank_state(state: ShipmentState) -> ShipmentState:
    """Give the state without personal data. It is up to the caller to say when that was done."""
    return decode_state(msgspec.json.encode(_blank("", msgspec.json.decode(encode_state(state)))))


def blank_event(body: bytes) -> bytes:
    """Give the bytes of a stored event without personal data, all else in place."""
    event = msgspec.json.decode(body)
    event["data"] = _blank("data", event["data"])
    return msgspec.json.encode(event)


def blank_scan(event: TrackingEvent) -> TrackingEvent:
    """Give a scan of an erased shipment without texts and without more of the place than its country."""
    country = event.location.country if event.location else None
    location = Location(country=country) if country else None
    return msgspec.structs.replace(event, carrier_text=None, carrier_reason=None, location=location)


def _blank(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if name in TEXTS:
        return None
    if name == "parties":
        return {role: _blank_party(party) for role, party in value.items()}
    if name in PLACES:
        return _blank_place(value)
    if isinstance(value, Mapping):
        if {"path", "op", "old", "new"} <= value.keys():
            return _blank_change(msgspec.convert(value, Change))
        return {key: _blank(key, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_blank("", item) for item in value]
    return value


def _blank_party(party: Any) -> Any:
    if not isinstance(party, Mapping):
        return None
    return {name: _blank_place(value) if name == "address" else None for name, value in party.items()}


def _blank_place(place: Any) -> Any:
    if not isinstance(place, Mapping):
        return None
    return {name: value if name == "country" else [] if name == "lines" else None for name, value in place.items()}


def _blank_change(change: Change) -> dict[str, Any]:
    """A change tells a value without the document around it: put it back into its place, blank, and take it out."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in change.path.split("/")[1:]]
    return {
        "path": change.path,
        "op": change.op,
        "old": _blank_at(steps, change.old),
        "new": _blank_at(steps, change.new),
    }


def _blank_at(steps: list[str], value: Any) -> Any:
    wrapped = value
    for step in reversed(steps):
        wrapped = {step: wrapped}
    blanked = _blank("", wrapped)
    for step in steps:
        blanked = blanked.get(step) if isinstance(blanked, Mapping) else None
    return blanked
