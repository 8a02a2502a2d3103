"""What the log is told about deliveries: an endpoint is in trouble or back, an event was refused for good."""

from datetime import datetime

import msgspec

from waypost.clock import from_micros
from waypost.delivery.health import Health
from waypost.delivery.sender import AttemptResult
from waypost.delivery.signals import Standing
from waypost.events import DeliveryFailedData, EndpointStateData, EventBrief, LastAttempt, endpoint_brief
from waypost.ids import EventId
from waypost.log.records import Announcement, EndpointRecord, LogRow

DELIVERY_FAILED = "delivery.failed"
_TYPES = {
    Health.ACTIVE: "endpoint.resumed",
    Health.FAILING: "endpoint.failing",
    Health.SUSPENDED: "endpoint.suspended",
}


class _About(msgspec.Struct):
    """What of an event's body is told on."""

    shipment_id: str | None = None
    reference: str | None = None


def state_changed(endpoint: EndpointRecord, standing: Standing, *, event_id: EventId, now: datetime) -> Announcement:
    """Tell that the endpoint's health became that of `standing`."""
    settings, success = endpoint.settings, standing.last_success_at
    data = EndpointStateData(
        endpoint=endpoint_brief(endpoint.endpoint_id, settings.description, settings.url),
        state=standing.health.value,
        state_reason=standing.reason,
        state_since=from_micros(standing.since),
        last_success_at=None if success is None else from_micros(success),
    )
    return _announcement(event_id, _TYPES[standing.health], now, data)


def delivery_failed(
    endpoint: EndpointRecord,
    row: LogRow,
    result: AttemptResult,
    *,
    number: int,
    explanation: str,
    event_id: EventId,
    now: datetime,
) -> Announcement | None:
    """Tell that the receiver refused the event of `row` until its schedule was used up.

    Nothing is told of a `delivery.failed` that was refused itself, or an endpoint that refuses everything would fill
    the log with news of its refusals.
    """
    if row.type == DELIVERY_FAILED:
        return None
    about = msgspec.json.decode(row.body, type=_About)
    data = DeliveryFailedData(
        endpoint=endpoint_brief(endpoint.endpoint_id, endpoint.settings.description, endpoint.settings.url),
        event=EventBrief(
            id=row.event_id,
            type=row.type,
            shipment_id=about.shipment_id,
            reference=about.reference,
            sequence=row.sequence,
            position=row.position,
        ),
        last_attempt=LastAttempt(
            number=number, started_at=result.started_at, outcome=result.outcome, status=result.status
        ),
        explanation=explanation,
    )
    return _announcement(event_id, DELIVERY_FAILED, now, data)


def _announcement(event_id: EventId, event_type: str, now: datetime, data: msgspec.Struct) -> Announcement:
    raw = msgspec.Raw(msgspec.json.encode(data))
    return Announcement(event_id=event_id, type=event_type, occurred_at=now, data=raw)
