"""What is stored of a shipment, and what of it is shown.

Two layers lie beside each other: `document`, what the sender's documents said last (a PUT replaces it whole), and what
carriers said (`tracking_events`, `carrier`), which no PUT erases. The view shows both.
"""

from functools import lru_cache
from typing import Literal

import msgspec

from waypost.ids import ShipmentId
from waypost.shipments.model import (
    ActionRequiredBy,
    Carrier,
    Condition,
    CurrentEta,
    Document,
    Eta,
    HandlingUnit,
    Instant,
    Part,
    Reason,
    Shipment,
    ShipmentDocument,
    Status,
    TrackedUnit,
    Tracking,
    TrackingEvent,
    TrackingNumber,
)

TRACKING_EVENTS_IN_EVENTS = 20  # the shipment inside an event carries the newest ones; GET gives them all
ETA_HISTORY_MAX = 20


class Standing(Part, frozen=True, kw_only=True):
    """Where the shipment stands, worked out from its tracking events; kept so that reading needs no fold.

    `units` holds the status of each unit that a scan named; all others have `shared`.
    """

    status: Status
    since: Instant
    condition: Condition = "ok"
    reason: Reason | None = None
    action_required_by: ActionRequiredBy = "none"
    shared: Status = "booked"
    units: dict[str, Status] = msgspec.field(default_factory=dict)


class CarrierStatement(Part, frozen=True, kw_only=True):
    """What carriers said besides their scans."""

    carrier: Carrier | None = None
    tracking_numbers: tuple[TrackingNumber, ...] = ()
    tracking_url: str | None = None
    documents: tuple[Document, ...] = ()
    eta: Eta | None = None
    eta_stated_at: Instant | None = None


class ShipmentState(Part, frozen=True, kw_only=True):
    """All that is kept of one shipment.

    `document` never holds `status` and `status_at`; those that a document said last stand in `status_said` and
    `status_at_said`. `eta_by` says whose statement of the ETA came last. `announced_eta` is the one that the
    threshold is measured from. `source_updates` holds the carrier's own times of the events it may send again,
    `twins` the other identities of events whose zone might be guessed elsewhere. `silence_told` is when
    the last silence began that was told.
    """

    id: ShipmentId
    reference: str
    version: int
    created_at: Instant
    updated_at: Instant
    revision: int | None = None
    document: ShipmentDocument = ShipmentDocument()
    status_said: Status | None = None
    status_at_said: Instant | None = None
    carrier: CarrierStatement = CarrierStatement()
    tracking_events: tuple[TrackingEvent, ...] = ()
    events_received: int = 0
    standing: Standing
    seen: tuple[Status, ...] = ()
    eta: CurrentEta | None = None
    eta_by: Literal["document", "carrier"] = "document"
    announced_eta: Eta | None = None
    source_updates: dict[str, Instant] = msgspec.field(default_factory=dict)
    twins: dict[str, str] = msgspec.field(default_factory=dict)
    silence_told: Instant | None = None
    erased_at: Instant | None = None


class SearchKey(msgspec.Struct, frozen=True):
    """A value that finds a shipment. `value` is casefolded; `carrier` is set for a tracking number whose carrier is
    known, in the form of `carrier_key`.
    """

    value: str
    kind: Literal["reference", "reference_value", "tracking_number"]
    carrier: str | None = None


_encoder = msgspec.json.Encoder()
_state_decoder = msgspec.json.Decoder(ShipmentState)


def encode_state(state: ShipmentState) -> bytes:
    """Give the bytes to store for `state`; `decode_state` gives it back, equal."""
    return _encoder.encode(state)


def decode_state(stored: bytes) -> ShipmentState:
    """Read what `encode_state` wrote."""
    return _state_decoder.decode(stored)


def view(state: ShipmentState) -> Shipment:
    """Show the shipment as everybody outside sees it, with its whole history."""
    document, standing = state.document, state.standing
    return Shipment(
        id=state.id,
        reference=state.reference,
        version=state.version,
        status=standing.status,
        condition=standing.condition,
        reason=standing.reason,
        action_required_by=standing.action_required_by,
        status_since=standing.since,
        created_at=state.created_at,
        updated_at=state.updated_at,
        revision=state.revision,
        tags=document.tags,
        is_return=document.is_return,
        references=document.references,
        parties=document.parties,
        stops=document.stops,
        handling_units=tuple([tracked_unit(unit, standing) for unit in document.handling_units]),
        goods=document.goods,
        dangerous_goods=document.dangerous_goods,
        temperature=document.temperature,
        terms=document.terms,
        carrier=document.carrier or state.carrier.carrier,
        tracking=shown_tracking(state),
        documents=shown_documents(state),
        prices=document.prices,
        eta=state.eta,
        tracking_events=state.tracking_events,
        erased_at=state.erased_at,
    )


def shipment_json(state: ShipmentState, last_tracking_events: int | None = None) -> bytes:
    """Give the shipment as JSON, with its last `last_tracking_events` scans; None means all of them."""
    if last_tracking_events is not None and len(state.tracking_events) > last_tracking_events:
        newest = state.tracking_events[len(state.tracking_events) - last_tracking_events :]
        state = msgspec.structs.replace(state, tracking_events=newest)
    return _encoder.encode(view(state))


def tracked_unit(unit: HandlingUnit, standing: Standing) -> TrackedUnit:
    """Show a handling unit with the status that it has by `standing`."""
    return TrackedUnit(
        id=unit.id,
        sscc=unit.sscc,
        tracking_number=unit.tracking_number,
        parent_id=unit.parent_id,
        kind=unit.kind,
        quantity=unit.quantity,
        gross_weight_kg=unit.gross_weight_kg,
        length_cm=unit.length_cm,
        width_cm=unit.width_cm,
        height_cm=unit.height_cm,
        volume_m3=unit.volume_m3,
        loading_metres=unit.loading_metres,
        stackable=unit.stackable,
        marks=unit.marks,
        status=standing.units.get(unit.id, standing.shared),
    )


def shown_tracking(state: ShipmentState) -> Tracking | None:
    """Join the documents' tracking numbers with those that only carriers named."""
    said, carrier = state.document.tracking, state.carrier
    if not carrier.tracking_numbers and carrier.tracking_url is None:
        return said
    said = said or Tracking()
    known = {number_key(number.value, number.carrier) for number in said.tracking_numbers}
    known_ids = {number.id for number in said.tracking_numbers}
    others = [
        number
        for number in carrier.tracking_numbers
        if number.id not in known_ids and number_key(number.value, number.carrier) not in known
    ]
    return Tracking(
        tracking_numbers=said.tracking_numbers + tuple(others), tracking_url=said.tracking_url or carrier.tracking_url
    )


def shown_documents(state: ShipmentState) -> tuple[Document, ...]:
    """Join the papers that documents name with those that only carriers added."""
    said, added = state.document.documents, state.carrier.documents
    if not added:
        return said
    known = {(document.kind, document.url) for document in said}
    known_ids = {document.id for document in said}
    return said + tuple(d for d in added if d.id not in known_ids and (d.kind, d.url) not in known)


@lru_cache(maxsize=1024)  # a sender has some dozens of carriers, and each is looked at several times a report
def carrier_key(name: str | None) -> str:
    """Reduce a carrier's id or name to what equals itself however it is written: `FedEx` and `fed-ex` are one."""
    return "".join(filter(str.isalnum, (name or "").casefold()))


def number_key(value: str | None, carrier: str | None) -> tuple[str, str]:
    """Reduce a tracking number with its carrier to what equals itself however it is written."""
    return (value or "").casefold(), carrier_key(carrier)


def search_keys(state: ShipmentState) -> list[SearchKey]:
    """List the values under which the shipment can be found, without repeats."""
    keys = [SearchKey(state.reference.casefold(), "reference")]
    keys += [SearchKey(r.value.casefold(), "reference_value") for r in state.document.references if r.value]
    shown = shown_tracking(state)
    carrier = state.document.carrier or state.carrier.carrier
    carriers = [carrier_key(name) for name in (carrier.id, carrier.name) if name] if carrier else []
    numbers = [(n.value, n.carrier) for n in (shown.tracking_numbers if shown else ()) if n.value]
    numbers += [(unit.tracking_number, None) for unit in state.document.handling_units if unit.tracking_number]
    for value, named in numbers:
        for key in dict.fromkeys([carrier_key(named), *carriers] if named else carriers or [""]):
            keys.append(SearchKey(value.casefold(), "tracking_number", key or None))
    return list(dict.fromkeys(keys))
