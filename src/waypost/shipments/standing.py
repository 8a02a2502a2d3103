"""Where a shipment stands: a pure fold over its tracking events.

The result is the same in whatever order the events arrived, since they are folded in the order in which they happened.
Every rule about what moves a status stands in this file.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import get_args

from waypost.shipments.model import ActionRequiredBy, Condition, Reason, Status, TrackingEvent
from waypost.shipments.state import Standing

LIFECYCLE: tuple[Status, ...] = get_args(Status)
# Of two things that happened in one moment the later in life counts; "unknown" gives way to whatever is known.
RANK: Mapping[Status | None, int] = {None: -2, **{status: n for n, status in enumerate(LIFECYCLE)}, "unknown": -1}

FINAL: frozenset[Status] = frozenset({"delivered", "returned", "lost", "cancelled"})
BACK: frozenset[Status] = frozenset({"returning", "returned"})
# A scan that shows the goods on the way although the order was cancelled.
MOVES_CANCELLED: frozenset[Status] = frozenset(LIFECYCLE[LIFECYCLE.index("collected") :]) - {"cancelled", "unknown"}

# Who has to act when a carrier names a reason and nobody to act on it; for all others nobody has.
ACTS_ON: Mapping[Reason, ActionRequiredBy] = {
    "address_incorrect": "shipper",
    "refused": "shipper",
    "documents_missing": "shipper",
    "shipper_not_ready": "shipper",
    "appointment_needed": "consignee",
    "payment_due": "consignee",
    "customs_hold": "customs",
    "lost": "carrier",
    "missorted": "carrier",
    "partial_or_missing_item": "carrier",
}

Order = tuple[dt.datetime, int, str]


def order_of(event: TrackingEvent) -> Order:
    """Give the place of an event among all: when it happened, then its rank in life, then its id."""
    return event.occurred_at, RANK[event.status], event.id


class Fold:
    """The fold itself, event by event, each no earlier in order than the one before.

    `units` are the ids of the shipment's handling units; `is_return` says that a delivery brings the goods back.
    """

    def __init__(self, units: Iterable[str], *, is_return: bool, created_at: dt.datetime) -> None:
        self._units = frozenset(units)
        self._is_return = is_return
        self._created_at = created_at
        self._shared: Status = "booked"  # of all units that no event named
        self._own: dict[str, Status] = {}
        self._condition: Condition = "ok"
        self._reason: Reason | None = None
        self._action_required_by: ActionRequiredBy = "none"
        self._since: dt.datetime | None = None
        self._status: Status = "booked"
        self.status_cause: TrackingEvent | None = None
        self.condition_cause: TrackingEvent | None = None

    @property
    def standing(self) -> Standing:
        """Where the shipment stands after the events taken so far."""
        return Standing(
            status=self._status,
            since=self._since or self._created_at,
            condition=self._condition,
            reason=self._reason,
            action_required_by=self._action_required_by,
            shared=self._shared,
            units=dict(self._own),
        )

    def take(self, event: TrackingEvent) -> None:
        """Take the next event. Only valid, actual ones that are not far in the future may come here."""
        self._take_condition(event)
        if event.status is None:
            return
        unit = event.handling_unit_id
        if unit is None:
            moved = moves(self._shared, event)
            if moved:
                self._shared = self._effect(event)
            for name, status in self._own.items():
                if moves(status, event):
                    self._own[name] = self._effect(event)
                    moved = True
        elif unit in self._units:
            status = self._own.setdefault(unit, self._shared)
            moved = moves(status, event)
            if moved:
                self._own[unit] = self._effect(event)
        else:
            moved = False
        if moved:
            self._take_status(event)

    def unit_status(self, unit: str) -> Status:
        """Give the status of one unit."""
        return self._own.get(unit, self._shared)

    def _effect(self, event: TrackingEvent) -> Status:
        assert event.status is not None
        # Goods that come back are not "delivered" to the one who sent them.
        return "returned" if self._is_return and event.status == "delivered" else event.status

    def _take_status(self, event: TrackingEvent) -> None:
        status = self._of_all_units()
        confirmed = self._since is None and self._effect(event) == status
        if status != self._status or confirmed:
            self._since = event.occurred_at
            self.status_cause = event
        self._status = status

    def _of_all_units(self) -> Status:
        """The status of the least advanced unit; some delivered and some not is "partially delivered"."""
        statuses = set(self._own.values())
        if len(self._own) < max(len(self._units), 1):
            statuses.add(self._shared)
        if len(statuses) == 1:
            return statuses.pop()
        if ("returned" if self._is_return else "delivered") in statuses:
            return "partially_delivered"
        known = statuses - {"unknown"}
        return min(known, key=RANK.__getitem__)

    def _take_condition(self, event: TrackingEvent) -> None:
        if event.condition is None and event.status is None:
            return
        condition = event.condition or "ok"
        if condition != self._condition:
            self.condition_cause = event
        self._condition = condition
        troubled = condition != "ok"
        self._reason = event.reason if troubled else None
        default: ActionRequiredBy = ACTS_ON.get(event.reason, "none") if troubled and event.reason else "none"
        self._action_required_by = (event.action_required_by or default) if troubled else "none"


def moves(current: Status, event: TrackingEvent) -> bool:
    """Tell whether an event can take a unit out of the status `current` (or confirm it)."""
    if event.status is None:
        return False
    if current not in FINAL or event.kind == "manual" or event.status in BACK:
        return True
    return current == "cancelled" and event.status in MOVES_CANCELLED
