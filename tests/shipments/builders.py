"""A shipment that takes reports one after the other, and the short names of what it tells."""

import datetime as dt
import json
from typing import Any, TypeVar

import msgspec

from waypost.ids import ShipmentId
from waypost.shipments import (
    Actor,
    CancelReport,
    CarrierReport,
    CarrierScan,
    ConditionChanged,
    DetailsChanged,
    DocumentAdded,
    DocumentReport,
    EraseReport,
    EtaChanged,
    Fact,
    Outcome,
    PatchReport,
    Report,
    Shipment,
    ShipmentCreated,
    ShipmentState,
    StatusChanged,
    TrackingEventCorrected,
    TrackingEventInput,
    TrackingEventRecorded,
    TrackingEventRetracted,
    TrackingReport,
    TrackingStale,
    UnitStatusChanged,
    apply,
    read_document_value,
    read_patch,
    read_tracking_events,
    view,
)

F = TypeVar("F", bound=Fact)

NOW = dt.datetime(2026, 12, 1, 12, 0, tzinfo=dt.UTC)
TMS = Actor(kind="api", token="tms")

DOCUMENT: dict[str, Any] = {
    "revision": 7,
    "status": "booked",
    "status_at": "2026-11-30T13:31:00Z",
    "tags": ["priority"],
    "references": [
        {"id": "po", "type": "purchase_order", "value": "45001873"},
        {"id": "cmr", "type": "consignment_note", "value": "0091-22718"},
    ],
    "parties": {
        "shipper": {
            "name": "Saarepuu Sauna",
            "address": {"lines": ["Tehase 4"], "postcode": "80010", "city": "Pärnu", "country": "EE"},
            "contact": {"name": "Mari Kask", "phone": "+3725550100", "email": "mari@saarepuu.example"},
        },
        "consignee": {"name": "Gufa", "address": {"lines": ["Sundagarðar 8"], "city": "Reykjavík", "country": "IS"}},
    },
    "stops": [
        {"id": "pickup", "kind": "pickup", "window": {"date": "2026-12-02", "from": "09:00", "to": "12:00"}},
        {"id": "delivery", "kind": "delivery", "window": {"date": "2026-12-08", "from": "08:00", "to": "18:00"}},
    ],
    "handling_units": [
        {"id": "hu_1", "kind": "EUR", "sscc": "347401230000187314", "quantity": 1, "gross_weight_kg": "402"},
    ],
    "goods": [{"id": "g_1", "description": "Sauna stoves", "value": {"amount": "2940.00", "currency": "EUR"}}],
    "terms": {
        "incoterm": {"code": "DAP", "place": "Reykjavík"},
        "services": ["tail_lift"],
        "goods_value": {"amount": "17640.00", "currency": "EUR"},
    },
    "carrier": {"id": "norrsund", "name": "Norrsund Lines", "mode": "multimodal"},
    "tracking": {"tracking_numbers": [{"id": "n_1", "value": "NRSU-772041", "carrier": "norrsund"}]},
    "documents": [{"id": "d_1", "kind": "label", "url": "https://tms.example/labels/1"}],
    "prices": [{"id": "p_1", "kind": "booked", "amount": "612.00", "currency": "EUR"}],
    "eta": {"at": "2026-12-08T15:00:00Z", "precision": "minute", "source": "carrier"},
}


def document(**fields: Any) -> dict[str, Any]:
    """A whole document, with `fields` in place of its own. It is nobody else's."""
    return json.loads(json.dumps(DOCUMENT)) | fields


def at(hours: float) -> dt.datetime:
    """So many hours after noon of the day on which all this happens."""
    return NOW + dt.timedelta(hours=hours)


def a_scan(status: str | None = None, hours: float = -1, **fields: Any) -> dict[str, Any]:
    """A scan as a caller gives it, `hours` from now."""
    scan = {"occurred_at": at(hours).isoformat()} | fields
    return scan if status is None else scan | {"status": status}


class Freight:
    """One shipment: give it reports, look at what it tells and what it shows."""

    def __init__(self, state: ShipmentState | None = None, *, eta_threshold_minutes: int = 15) -> None:
        self.state = state
        self.now = NOW
        self.outcome: Outcome | None = None
        self._threshold = eta_threshold_minutes

    def put(self, document: dict[str, Any] | None = None) -> list[str]:
        return self.take(DocumentReport(read_document_value({} if document is None else document), TMS))

    def patch(self, patch: dict[str, Any]) -> list[str]:
        return self.take(PatchReport(read_patch(json.dumps(patch).encode()), TMS))

    def scan(self, *scans: dict[str, Any]) -> list[str]:
        events = read_tracking_events(json.dumps(list(scans)).encode())
        return self.take(TrackingReport(tuple(events), TMS))

    def carrier(self, *scans: TrackingEventInput, **fields: Any) -> list[str]:
        named = {"carrier": "FedEx", "tracking_number": "7489"} | fields
        return self.take(CarrierReport(events=scans, actor=Actor(kind="source", source="src_1"), **named))

    def cancel(self, reason: str | None = None) -> list[str]:
        return self.take(CancelReport(reason, TMS))

    def erase(self) -> list[str]:
        return self.take(EraseReport())

    def take(self, report: Report) -> list[str]:
        self.outcome = apply(
            self.state,
            report,
            reference="SO-48213",
            shipment_id=ShipmentId("shp_1"),
            now=self.now,
            eta_threshold_minutes=self._threshold,
        )
        self.state = self.outcome.state
        return [told(fact) for fact in self.outcome.facts]

    @property
    def shown(self) -> Shipment:
        assert self.state is not None
        return view(self.state)

    @property
    def facts(self) -> tuple[Fact, ...]:
        assert self.outcome is not None
        return self.outcome.facts

    def fact(self, kind: type[F]) -> F:
        (fact,) = [fact for fact in self.facts if isinstance(fact, kind)]
        return fact


def told(fact: Fact) -> str:
    """The short name of a fact."""
    match fact:
        case StatusChanged():
            return f"status.{fact.status}"
        case ConditionChanged():
            return f"condition.{fact.condition}"
        case UnitStatusChanged():
            return f"unit.{fact.handling_unit.status}"
        case _:
            return {
                ShipmentCreated: "created",
                DetailsChanged: "updated",
                EtaChanged: "eta_changed",
                DocumentAdded: "document_added",
                TrackingEventRecorded: "recorded",
                TrackingEventCorrected: "corrected",
                TrackingEventRetracted: "retracted",
                TrackingStale: "stale",
            }[type(fact)]


def carrier_scan(status: str | None = None, hours: float = -1, **fields: Any) -> CarrierScan:
    """A scan as an intake format reads it, `hours` from now."""
    moment = {} if "occurred_local" in fields else {"occurred_at": at(hours)}
    return msgspec.convert({"status": status} | moment | fields, CarrierScan)


def shown_as_json(shipment: Shipment) -> dict[str, Any]:
    """The shipment as a receiver reads it."""
    return msgspec.json.decode(msgspec.json.encode(shipment))


def told_by_changes(shipment: dict[str, Any]) -> dict[str, Any]:
    """The part of a shipment that a list of changes speaks of; papers that were added are told by themselves."""
    told = {name: value for name, value in shipment.items() if name in read_document_value({}).__struct_fields__}
    units = [{name: value for name, value in unit.items() if name != "status"} for unit in told["handling_units"]]
    untold = {"revision", "status", "eta", "documents"}
    return {name: value for name, value in told.items() if name not in untold} | {"handling_units": units}
