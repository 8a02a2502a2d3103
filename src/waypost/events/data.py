"""What an event carries in `data`: the shipment, and what the fact adds to it.

Each struct stands for two things. Filled with the shipment's bytes it is what is encoded; over the struct `Shipment` it
is what the published schema is made of. So the schema cannot say anything else than what is sent.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta

from waypost.events.kinds import (
    CONDITIONS,
    DELIVERY_FAILED,
    ENDPOINT_FAILING,
    ENDPOINT_RESUMED,
    ENDPOINT_SUSPENDED,
    HANDLING_UNIT_STATUS,
    SHIPMENT_CONDITION,
    SHIPMENT_CREATED,
    SHIPMENT_DOCUMENT_ADDED,
    SHIPMENT_ETA_CHANGED,
    SHIPMENT_STATUS,
    SHIPMENT_UPDATED,
    STATUSES,
    TRACKING_EVENT_CORRECTED,
    TRACKING_EVENT_RECORDED,
    TRACKING_EVENT_RETRACTED,
    TRACKING_STALE,
    WEBHOOK_TEST,
)
from waypost.events.operations import DeliveryFailedData, EndpointStateData
from waypost.shipments import facts
from waypost.shipments.model import ActionRequiredBy, Document, Eta, Reason, Shipment, TrackedUnit, TrackingEvent

S = TypeVar("S")
_Shipment = Annotated[S, Meta(description="The shipment as it is after the report, with its last 20 tracking events.")]


class CreatedData(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """A new shipment: there is nothing beside it."""

    shipment: _Shipment[S]


class StatusData(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """The status changed."""

    shipment: _Shipment[S]
    previous: Annotated[facts.Progress | None, Meta(description="What it was before; null when the shipment is new.")]
    tracking_event: Annotated[TrackingEvent | None, Meta(description="What changed it; null when no single scan did.")]
    first_time: Annotated[bool, Meta(description="False when the shipment had this status before.")]


class UpdatedData(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """Details changed."""

    shipment: _Shipment[S]
    changed: Annotated[tuple[facts.ChangeGroup, ...], Meta(description="The groups of details that changed.")]
    changes: Annotated[tuple[facts.Change, ...], Meta(description="Every place that differs, old and new.")]
    actor: Annotated[facts.Actor, Meta(description="Who reported it.")]


class ConditionData(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """The condition changed."""

    shipment: _Shipment[S]
    reason: Reason | None
    action_required_by: ActionRequiredBy
    previous: facts.Progress


class EtaData(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """The ETA moved."""

    shipment: _Shipment[S]
    previous: Annotated[Eta | None, Meta(description="The ETA announced before; null when there was none.")]
    eta: Annotated[Eta | None, Meta(description="The ETA that stands now; null when there is none any more.")]
    delta_minutes: Annotated[int | None, Meta(description="Positive when the goods come later.")]


class DocumentData(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """A document is there."""

    shipment: _Shipment[S]
    document: Document


class RecordedData(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """A scan was recorded."""

    shipment: _Shipment[S]
    tracking_event: TrackingEvent
    late: Annotated[bool, Meta(description="True when a newer scan was known already.")]


class CorrectedData(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """A scan was corrected."""

    shipment: _Shipment[S]
    old: TrackingEvent
    new: TrackingEvent


class RetractedData(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """A scan was taken back."""

    shipment: _Shipment[S]
    old: TrackingEvent
    new: Annotated[None, Meta(description="Always null: nothing takes its place.")] = None


class StaleData(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """Nothing was heard for a long time."""

    shipment: _Shipment[S]
    last_event: Annotated[TrackingEvent | None, Meta(description="The last scan; null when there never was one.")]


class UnitStatusData(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """One of several units moved."""

    shipment: _Shipment[S]
    handling_unit: Annotated[TrackedUnit, Meta(description="The unit, with its new status.")]


class TestData(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """The test button was pressed."""

    shipment: Annotated[S, Meta(description="A made-up shipment.")]
    message: str


DATA_TYPES: Mapping[str, Any] = {
    SHIPMENT_CREATED: CreatedData[Shipment],
    **{SHIPMENT_STATUS + status: StatusData[Shipment] for status in STATUSES},
    SHIPMENT_UPDATED: UpdatedData[Shipment],
    **{SHIPMENT_CONDITION + condition: ConditionData[Shipment] for condition in CONDITIONS},
    SHIPMENT_ETA_CHANGED: EtaData[Shipment],
    SHIPMENT_DOCUMENT_ADDED: DocumentData[Shipment],
    TRACKING_EVENT_RECORDED: RecordedData[Shipment],
    TRACKING_EVENT_CORRECTED: CorrectedData[Shipment],
    TRACKING_EVENT_RETRACTED: RetractedData[Shipment],
    TRACKING_STALE: StaleData[Shipment],
    **{HANDLING_UNIT_STATUS + status: UnitStatusData[Shipment] for status in STATUSES},
    ENDPOINT_FAILING: EndpointStateData,
    ENDPOINT_SUSPENDED: EndpointStateData,
    ENDPOINT_RESUMED: EndpointStateData,
    DELIVERY_FAILED: DeliveryFailedData,
    WEBHOOK_TEST: TestData[Shipment],
}


def _created(fact: facts.ShipmentCreated, shipment: msgspec.Raw) -> msgspec.Struct:
    return CreatedData(shipment=shipment)


def _status(fact: facts.StatusChanged, shipment: msgspec.Raw) -> msgspec.Struct:
    return StatusData(
        shipment=shipment, previous=fact.previous, tracking_event=fact.tracking_event, first_time=fact.first_time
    )


def _details(fact: facts.DetailsChanged, shipment: msgspec.Raw) -> msgspec.Struct:
    return UpdatedData(shipment=shipment, changed=fact.changed, changes=fact.changes, actor=fact.actor)


def _condition(fact: facts.ConditionChanged, shipment: msgspec.Raw) -> msgspec.Struct:
    return ConditionData(
        shipment=shipment, reason=fact.reason, action_required_by=fact.action_required_by, previous=fact.previous
    )


def _eta(fact: facts.EtaChanged, shipment: msgspec.Raw) -> msgspec.Struct:
    return EtaData(shipment=shipment, previous=fact.previous, eta=fact.eta, delta_minutes=fact.delta_minutes)


def _document(fact: facts.DocumentAdded, shipment: msgspec.Raw) -> msgspec.Struct:
    return DocumentData(shipment=shipment, document=fact.document)


def _recorded(fact: facts.TrackingEventRecorded, shipment: msgspec.Raw) -> msgspec.Struct:
    return RecordedData(shipment=shipment, tracking_event=fact.tracking_event, late=fact.late)


def _corrected(fact: facts.TrackingEventCorrected, shipment: msgspec.Raw) -> msgspec.Struct:
    return CorrectedData(shipment=shipment, old=fact.old, new=fact.new)


def _retracted(fact: facts.TrackingEventRetracted, shipment: msgspec.Raw) -> msgspec.Struct:
    return RetractedData(shipment=shipment, old=fact.old)


def _unit_status(fact: facts.UnitStatusChanged, shipment: msgspec.Raw) -> msgspec.Struct:
    return UnitStatusData(shipment=shipment, handling_unit=fact.handling_unit)


def _stale(fact: facts.TrackingStale, shipment: msgspec.Raw) -> msgspec.Struct:
    return StaleData(shipment=shipment, last_event=fact.last_event)


_DATA_OF: Mapping[type[facts.Fact], Callable[[Any, msgspec.Raw], msgspec.Struct]] = {
    facts.ShipmentCreated: _created,
    facts.StatusChanged: _status,
    facts.DetailsChanged: _details,
    facts.ConditionChanged: _condition,
    facts.EtaChanged: _eta,
    facts.DocumentAdded: _document,
    facts.TrackingEventRecorded: _recorded,
    facts.TrackingEventCorrected: _corrected,
    facts.TrackingEventRetracted: _retracted,
    facts.UnitStatusChanged: _unit_status,
    facts.TrackingStale: _stale,
}


def fact_data(fact: facts.Fact, shipment: msgspec.Raw) -> msgspec.Struct:
    """Give the data of the event that tells `fact`, with the shipment's bytes in it."""
    return _DATA_OF[type(fact)](fact, shipment)
