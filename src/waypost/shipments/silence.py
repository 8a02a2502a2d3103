"""How long nothing has been heard of a shipment's goods, and whether that was told.

A silence begins when the newest actual scan came in, or with the booking, and ends with the next. It is told once: a
scan that is taken back begins no new one.
"""

import datetime as dt

from waypost.shipments.model import Status, TrackingEvent
from waypost.shipments.state import ShipmentState
from waypost.shipments.timeline import replaced_events

QUIET_STATUSES: frozenset[Status] = frozenset({"draft", "delivered", "returned", "lost", "cancelled"})


def untold_silence(state: ShipmentState) -> dt.datetime | None:
    """Give since when an active shipment has been silent; None where no scan is awaited, or the silence was told."""
    if state.standing.status in QUIET_STATUSES:
        return None
    since = max((event.received_at for event in _scans(state)), default=state.created_at)
    return since if state.silence_told is None or since > state.silence_told else None


def last_scan(state: ShipmentState) -> TrackingEvent | None:
    """Give the last actual scan in the order in which they happened, None where there was none."""
    return next(reversed(_scans(state)), None)


def _scans(state: ShipmentState) -> list[TrackingEvent]:
    """The actual scans that were neither taken back nor replaced, as they happened."""
    replaced = replaced_events(state.tracking_events)
    return [
        event
        for event in state.tracking_events
        if event.classifier == "actual" and not event.retracted and event.id not in replaced
    ]
