"""The stories behind the examples: what a sender and a carrier reported of a shipment that does not exist.

Each type of event has a story, a list of reports that ends in the fact which such an event tells. All companies, people
and numbers are invented.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from waypost.events import kinds
from waypost.shipments.facts import Actor
from waypost.shipments.model import CarrierScan, Location
from waypost.shipments.reading import read_document, read_tracking_events
from waypost.shipments.report import CancelReport, CarrierReport, DocumentReport, Report, StaleReport, TrackingReport

BOOKED_AT = datetime(2026, 12, 1, 7, 30, tzinfo=UTC)

_SENDER = Actor(kind="api", token="tms")  # noqa: S106 - the name of a token
_CARRIER = Actor(kind="api", token="carrier-feed")  # noqa: S106

Json = dict[str, Any]


_PICKUP: Json = {
    "lines": ["Tehase 4"],
    "postcode": "80010",
    "city": "Pärnu",
    "country": "EE",
    "time_zone": "Europe/Tallinn",
}
_DELIVERY: Json = {
    "lines": ["Sundagarðar 8"],
    "postcode": "104",
    "city": "Reykjavík",
    "country": "IS",
    "unlocode": "ISREY",
    "time_zone": "Atlantic/Reykjavik",
}
_LABEL: Json = {
    "id": "d_label",
    "kind": "label",
    "mime": "application/pdf",
    "url": "https://tms.fossvik.example/labels/48251",
    "size_bytes": 88123,
}
_PROOF: Json = {
    "id": "d_pod",
    "kind": "pod",
    "mime": "application/pdf",
    "url": "https://tms.fossvik.example/pod/48251",
    "size_bytes": 214077,
}
_UNITS: list[Json] = [
    {
        "id": "hu_1",
        "kind": "EUR",
        "sscc": "347401230000187314",
        "quantity": 1,
        "gross_weight_kg": "402",
        "length_cm": "120",
        "width_cm": "80",
        "height_cm": "145",
        "loading_metres": "0.4",
        "stackable": False,
    },
    {"id": "hu_2", "kind": "EUR", "quantity": 1, "gross_weight_kg": "356", "loading_metres": "0.4", "stackable": True},
]
_DOCUMENT: Json = {
    "status": "booked",
    "status_at": "2026-12-01T07:30:00Z",
    "tags": ["priority"],
    "references": [
        {"id": "po", "type": "purchase_order", "value": "45001873"},
        {"id": "cmr", "type": "consignment_note", "value": "0091-22718"},
    ],
    "parties": {
        "shipper": {
            "name": "Saarepuu Sauna OÜ",
            "address": _PICKUP,
            "contact": {"name": "Mari Kask", "phone": "+372 5550100", "email": "mari@saarepuu.example"},
        },
        "consignee": {"name": "Baðhús og Gufa ehf.", "address": _DELIVERY},
    },
    "stops": [
        {
            "id": "pickup",
            "kind": "pickup",
            "address": _PICKUP,
            "window": {"date": "2026-12-02", "from": "09:00", "to": "12:00", "time_zone": "Europe/Tallinn"},
        },
        {
            "id": "delivery",
            "kind": "delivery",
            "address": _DELIVERY,
            "window": {"date": "2026-12-08", "from": "13:00", "to": "18:00", "time_zone": "Atlantic/Reykjavik"},
        },
    ],
    "handling_units": _UNITS,
    "goods": [
        {
            "id": "g_1",
            "handling_unit_id": "hu_1",
            "description": "Sauna stoves",
            "hs_code": "732181",
            "origin_country": "EE",
            "quantity": "6",
            "net_weight_kg": "360",
            "value": {"amount": "2940.00", "currency": "EUR"},
        }
    ],
    "terms": {"incoterm": {"code": "DAP", "place": "Reykjavík"}, "services": ["tail_lift"]},
    "carrier": {
        "id": "norrsund",
        "name": "Norrsund Lines",
        "service": {"id": "groupage", "name": "Groupage"},
        "mode": "multimodal",
    },
    "tracking": {
        "tracking_numbers": [{"id": "n_1", "value": "NRSU-772041", "carrier": "norrsund", "primary": True}],
    },
    "documents": [_LABEL],
    "prices": [{"id": "p_1", "kind": "booked", "amount": "612.00", "currency": "EUR"}],
    "eta": {"at": "2026-12-08T15:00:00Z", "precision": "minute", "source": "carrier"},
}

_PARNU: Json = {"name": "Pärnu", "country": "EE", "latitude": 58.3859, "longitude": 24.4971}
_TALLINN: Json = {"name": "Tallinn, Muuga harbour", "country": "EE", "unlocode": "EEMUG"}
_AT_SEA: Json = {"name": "North Sea", "latitude": 58.9, "longitude": 2.1}
_REYKJAVIK: Json = {"name": "Reykjavík", "country": "IS", "unlocode": "ISREY"}

# What the carrier says, and where, when the goods get a status. The time is hours after the booking.
_SCANS: Mapping[str, tuple[float, Json, str]] = {
    "draft": (1, _PARNU, "Order taken back to draft"),
    "booked": (2, _PARNU, "Booking confirmed"),
    "awaiting_collection": (22, _PARNU, "Ready for collection"),
    "collection_failed": (25, _PARNU, "Nobody at the gate"),
    "collected": (26.75, _PARNU, "Collected"),
    "in_transit": (52, _TALLINN, "Loaded on vessel"),
    "customs": (160, _REYKJAVIK, "Presented to customs"),
    "available_for_pickup": (166, _REYKJAVIK, "Ready at the terminal"),
    "out_for_delivery": (169, _REYKJAVIK, "On the vehicle for delivery"),
    "delivery_attempted": (171, _REYKJAVIK, "Closed, card left"),
    "partially_delivered": (173, _REYKJAVIK, "1 of 2 pallets delivered"),
    "delivered": (175, _REYKJAVIK, "Delivered, signed by Helgi"),
    "returning": (180, _REYKJAVIK, "On its way back to the sender"),
    "returned": (300, _PARNU, "Back at the sender"),
    "cancelled": (24, _PARNU, "Cancelled"),
    "lost": (320, _AT_SEA, "Declared lost"),
    "unknown": (200, _AT_SEA, "No information from the carrier"),
}

# The scans that come before one, where it would make no sense as the first.
_BEFORE: Mapping[str, tuple[str, ...]] = {
    "in_transit": ("collected",),
    "customs": ("collected", "in_transit"),
    "available_for_pickup": ("collected", "in_transit"),
    "out_for_delivery": ("collected", "in_transit"),
    "delivery_attempted": ("collected", "in_transit", "out_for_delivery"),
    "partially_delivered": ("collected", "in_transit", "out_for_delivery"),
    "delivered": ("collected", "in_transit", "out_for_delivery"),
    "returning": ("collected", "in_transit", "delivery_attempted"),
    "returned": ("collected", "in_transit", "delivery_attempted", "returning"),
    "lost": ("collected", "in_transit"),
    "unknown": ("collected", "in_transit"),
}


class Step(msgspec.Struct, frozen=True):
    """One report of a story, and when it comes in."""

    report: Report
    at: datetime


def _document(at_hours: float = 0, **other: Any) -> Step:
    """The sender puts the document, with `other` values in it."""
    body = msgspec.json.encode(_DOCUMENT | other)
    return Step(DocumentReport(document=read_document(body), actor=_SENDER), BOOKED_AT + timedelta(hours=at_hours))


def _scan(status: str, *, later_hours: float = 0, scan_id: str = "", **other: Any) -> Step:
    """The carrier reports a scan of `status`, `later_hours` after the usual time, with `other` values in it."""
    hours, location, text = _SCANS[status]
    occurred_at = BOOKED_AT + timedelta(hours=hours + later_hours)
    scan: Json = {
        "id": scan_id or f"NRSU-772041-{status}",
        "status": status,
        "occurred_at": occurred_at,
        "location": location,
        "carrier_text": text,
    }
    events = tuple(read_tracking_events(msgspec.json.encode(scan | other)))
    return Step(TrackingReport(events=events, actor=_CARRIER), occurred_at + timedelta(minutes=4))


def _collected_anew(*, later_minutes: int, retracted: bool = False) -> Step:
    """The carrier sends its scan of the collection a second time, with another time or to take it back."""
    hours, location, text = _SCANS["collected"]
    occurred_at = BOOKED_AT + timedelta(hours=hours)
    scan = CarrierScan(
        id="NRSU-772041-collected",
        status="collected",
        occurred_at=occurred_at + timedelta(minutes=later_minutes),
        location=msgspec.convert(location, Location),
        carrier_text=text,
        updated_at=occurred_at + timedelta(hours=2),
        retracted=retracted,
    )
    actor = Actor(kind="source", source="src_norrsund")
    report = CarrierReport(carrier="norrsund", tracking_number="NRSU-772041", events=(scan,), actor=actor)
    return Step(report, occurred_at + timedelta(hours=2, minutes=1))


def _scans(status: str, **other: Any) -> list[Step]:
    """The document and the scans that lead to a scan of `status`, which alone gets the `other` values."""
    return [_document(), *(_scan(before) for before in _BEFORE.get(status, ())), _scan(status, **other)]


def _and_silence(steps: list[Step], *, hours: int) -> list[Step]:
    """The steps, and then nothing for so many hours."""
    return [*steps, Step(StaleReport(hours), steps[-1].at + timedelta(hours=hours))]


def _unit_scans(status: str) -> list[Step]:
    """The document and a scan of one of its two pallets, after the scans of both that lead there."""
    if status == "booked":
        ready = _scan("awaiting_collection")
        text = "Collection put off, booked again"
        return [_document(), ready, _scan("booked", later_hours=22, handling_unit_id="hu_1", carrier_text=text)]
    return _scans(status, handling_unit_id="hu_1", scan_id=f"NRSU-772041-hu_1-{status}")


def _conditions(condition: str) -> list[Step]:
    delayed = _scans("in_transit", condition="delayed", reason="weather", location=_AT_SEA, carrier_text="Storm")
    match condition:
        case "delayed":
            return delayed
        case "ok":
            return [*delayed, _scan("in_transit", later_hours=90, scan_id="NRSU-772041-arrived", location=_REYKJAVIK)]
        case "on_hold":
            held: Json = {"condition": "on_hold", "reason": "documents_missing", "action_required_by": "consignee"}
            return _scans("customs", **held, carrier_text="Invoice missing")
        case _:
            wrong: Json = {"condition": "exception", "reason": "address_incorrect", "action_required_by": "shipper"}
            return _scans("delivery_attempted", **wrong, carrier_text="No such number in the street")


def _statuses(status: str) -> list[Step]:
    match status:
        case "booked":
            return [_document()]
        case "draft":
            return [_document(), _document(1, status="draft", status_at="2026-12-01T08:30:00Z")]
        case "cancelled":
            cancelled = CancelReport(reason="The order was cancelled.", actor=_SENDER)
            return [_document(), Step(cancelled, BOOKED_AT + timedelta(hours=_SCANS[status][0]))]
        case "partially_delivered":
            return [*_scans("out_for_delivery"), _scan("delivered", handling_unit_id="hu_1")]
        case _:
            return _scans(status)


def _etas() -> list[Step]:
    return [_document(), _document(53, eta={"at": "2026-12-09T09:30:00Z", "precision": "minute", "source": "carrier"})]


def _updates() -> list[Step]:
    heavier = [_UNITS[0] | {"gross_weight_kg": "418"}, _UNITS[1]]
    pickup, delivery = _DOCUMENT["stops"]
    earlier = delivery | {"window": delivery["window"] | {"from": "08:00"}}
    terms = _DOCUMENT["terms"] | {"services": ["tail_lift", "prenotification"]}
    return [_document(), _document(4, handling_units=heavier, stops=[pickup, earlier], terms=terms)]


_STORIES: Mapping[str, Callable[[], list[Step]]] = {
    kinds.SHIPMENT_CREATED: lambda: [_document()],
    kinds.SHIPMENT_UPDATED: _updates,
    kinds.SHIPMENT_ETA_CHANGED: _etas,
    kinds.SHIPMENT_DOCUMENT_ADDED: lambda: [*_scans("delivered"), _document(176, documents=[_LABEL, _PROOF])],
    kinds.TRACKING_EVENT_RECORDED: lambda: _scans("in_transit"),
    kinds.TRACKING_EVENT_CORRECTED: lambda: [*_scans("collected"), _collected_anew(later_minutes=30)],
    kinds.TRACKING_EVENT_RETRACTED: lambda: [*_scans("collected"), _collected_anew(later_minutes=0, retracted=True)],
    kinds.TRACKING_STALE: lambda: _and_silence(_scans("in_transit"), hours=48),
}


def story(event_type: str) -> list[Step]:
    """Give the reports that end in an event of the type.

    Raises KeyError for a type that is not about a shipment.
    """
    for family, told in _FAMILIES.items():
        if event_type.startswith(family):
            return told(event_type.removeprefix(family))
    return _STORIES[event_type]()


_FAMILIES: Mapping[str, Callable[[str], list[Step]]] = {
    kinds.SHIPMENT_STATUS: _statuses,
    kinds.SHIPMENT_CONDITION: _conditions,
    kinds.HANDLING_UNIT_STATUS: _unit_scans,
}
