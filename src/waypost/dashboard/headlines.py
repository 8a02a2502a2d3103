"""What happened, in a line a person would say: "Collected in Pärnu", "ETA moved 40 min later"."""

from collections.abc import Mapping
from typing import Any

from waypost.dashboard.words import Words
from waypost.events.kinds import SHIPMENT_CONDITION, SHIPMENT_STATUS
from waypost.events.wording import WORDING

LABEL_LENGTH_MAX = 60


def headline(event: Mapping[str, Any], words: Words) -> str:
    """Give the line of an event as the API shows it."""
    kind, data = event["type"], event["data"]
    scan = data.get("tracking_event")
    if kind.startswith(SHIPMENT_STATUS) and scan is not None and (place := place_of(scan)):
        return words("%(what)s in %(place)s", what=_title(kind, words), place=place)
    if kind.startswith(SHIPMENT_CONDITION) and data.get("reason"):
        return words("%(what)s: %(reason)s", what=_title(kind, words), reason=plain(data["reason"]))
    if kind == "shipment.eta_changed" and data["delta_minutes"]:
        minutes = data["delta_minutes"]
        moved = words("ETA moved %(span)s later") if minutes > 0 else words("ETA moved %(span)s earlier")
        return moved % {"span": span(abs(minutes), words)}
    if kind == "shipment.updated" and len(data["changes"]) == 1:
        change = data["changes"][0]
        return words("%(what)s changed", what=label_of(change["path"]))
    if kind == "shipment.document_added":
        return words("%(document)s added", document=plain(data["document"].get("kind") or "document").capitalize())
    if kind == "tracking.event_recorded" and scan is not None:
        kind_of_scan = f"{SHIPMENT_STATUS}{scan['status']}" if scan["status"] else kind
        said = scan["carrier_text"] or _title(kind_of_scan, words)
        place = place_of(scan)
        return f"{said}, {place}" if place else str(said)
    return _title(kind, words)


def _title(kind: str, words: Words) -> str:
    return words(WORDING[kind].title) if kind in WORDING else kind


def place_of(scan: Mapping[str, Any]) -> str | None:
    """Give the name of the place of a scan."""
    location = scan.get("location") or {}
    name: str | None = location.get("name") or location.get("unlocode")
    return name


def route_of(shipment: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Give where a shipment comes from and goes to, as cities."""
    stops = shipment["stops"]
    parties = shipment["parties"] or {}
    first = _city(stops[0]) if stops else None
    last = _city(stops[-1]) if len(stops) > 1 else None
    return first or _city(parties.get("shipper")), last or _city(parties.get("consignee"))


def _city(place: Mapping[str, Any] | None) -> str | None:
    address = (place or {}).get("address") or {}
    city: str | None = address.get("city") or address.get("country")
    return city


def label_of(path: str) -> str:
    """Give a path of a change in words: `/handling_units/hu_1/gross_weight_kg` is "Gross weight kg, hu_1"."""
    *parents, last = path.strip("/").split("/")
    unescaped = plain(last.replace("~1", "/").replace("~0", "~")).capitalize()
    item = parents[-1].replace("~1", "/").replace("~0", "~") if len(parents) >= 2 else ""
    return f"{unescaped}, {item}"[:LABEL_LENGTH_MAX] if item else unescaped[:LABEL_LENGTH_MAX]


def plain(code: str) -> str:
    """Write a code as words."""
    return code.replace("_", " ")


def span(minutes: int, words: Words) -> str:
    """Write a span of minutes: "2 h 10 min", "40 min", "1 d 3 h"."""
    hours, rest = divmod(minutes, 60)
    days, of_day = divmod(hours, 24)
    if days:
        return words("%(d)s d %(h)s h", d=days, h=of_day) if of_day else words("%(d)s d", d=days)
    if hours:
        return words("%(h)s h %(m)s min", h=hours, m=rest) if rest else words("%(h)s h", h=hours)
    return words("%(m)s min", m=rest)


def value_of(value: object) -> str:
    """Write a value of a change on one line."""
    if value is None:
        return "–"
    if isinstance(value, Mapping):
        return ", ".join(
            f"{plain(str(name))} {value_of(one)}" for name, one in value.items() if one not in (None, [], {})
        )
    if isinstance(value, list):
        return ", ".join(map(value_of, value))
    return str(value)
