"""The names of all event types: which fact is told by which, and which words outsiders may not use for their own."""

from collections.abc import Callable, Mapping
from typing import Any, get_args

from waypost.shipments import facts
from waypost.shipments.model import Condition, Status

STATUSES: tuple[str, ...] = get_args(Status)
CONDITIONS: tuple[str, ...] = get_args(Condition)

# The groups of changed details that a `shipment.updated` names in `changed`.
CHANGE_GROUPS: tuple[str, ...] = get_args(facts.ChangeGroup)

SHIPMENT_CREATED = "shipment.created"
SHIPMENT_STATUS = "shipment.status."
SHIPMENT_UPDATED = "shipment.updated"
SHIPMENT_CONDITION = "shipment.condition."
SHIPMENT_ETA_CHANGED = "shipment.eta_changed"
SHIPMENT_DOCUMENT_ADDED = "shipment.document_added"
TRACKING_EVENT_RECORDED = "tracking.event_recorded"
TRACKING_EVENT_CORRECTED = "tracking.event_corrected"
TRACKING_EVENT_RETRACTED = "tracking.event_retracted"
TRACKING_STALE = "tracking.stale"
HANDLING_UNIT_STATUS = "handling_unit.status."
ENDPOINT_FAILING = "endpoint.failing"
ENDPOINT_SUSPENDED = "endpoint.suspended"
ENDPOINT_RESUMED = "endpoint.resumed"
DELIVERY_FAILED = "delivery.failed"
WEBHOOK_TEST = "webhook.test"

# In the order of the catalogue: first what most receivers want, last what concerns Waypost itself.
EVENT_TYPES: tuple[str, ...] = (
    SHIPMENT_CREATED,
    *(SHIPMENT_STATUS + status for status in STATUSES),
    SHIPMENT_UPDATED,
    *(SHIPMENT_CONDITION + condition for condition in CONDITIONS),
    SHIPMENT_ETA_CHANGED,
    SHIPMENT_DOCUMENT_ADDED,
    TRACKING_EVENT_RECORDED,
    TRACKING_EVENT_CORRECTED,
    TRACKING_EVENT_RETRACTED,
    TRACKING_STALE,
    *(HANDLING_UNIT_STATUS + status for status in STATUSES),
    ENDPOINT_FAILING,
    ENDPOINT_SUSPENDED,
    ENDPOINT_RESUMED,
    DELIVERY_FAILED,
    WEBHOOK_TEST,
)

RESERVED_WORDS = frozenset(event_type.partition(".")[0] for event_type in EVENT_TYPES)
_SHIPMENT_WORDS = frozenset({"shipment", "tracking", "handling_unit"})


def is_about_shipment(event_type: str) -> bool:
    """Say whether such an event carries a shipment; operations and the types of senders do not."""
    return event_type.partition(".")[0] in _SHIPMENT_WORDS


_TYPE_OF: Mapping[type[facts.Fact], Callable[[Any], str]] = {
    facts.ShipmentCreated: lambda fact: SHIPMENT_CREATED,
    facts.StatusChanged: lambda fact: SHIPMENT_STATUS + fact.status,
    facts.DetailsChanged: lambda fact: SHIPMENT_UPDATED,
    facts.ConditionChanged: lambda fact: SHIPMENT_CONDITION + fact.condition,
    facts.EtaChanged: lambda fact: SHIPMENT_ETA_CHANGED,
    facts.DocumentAdded: lambda fact: SHIPMENT_DOCUMENT_ADDED,
    facts.TrackingEventRecorded: lambda fact: TRACKING_EVENT_RECORDED,
    facts.TrackingEventCorrected: lambda fact: TRACKING_EVENT_CORRECTED,
    facts.TrackingEventRetracted: lambda fact: TRACKING_EVENT_RETRACTED,
    facts.UnitStatusChanged: lambda fact: HANDLING_UNIT_STATUS + fact.handling_unit.status,
    facts.TrackingStale: lambda fact: TRACKING_STALE,
}


def event_type(fact: facts.Fact) -> str:
    """Give the type of the event that tells `fact`."""
    return _TYPE_OF[type(fact)](fact)
