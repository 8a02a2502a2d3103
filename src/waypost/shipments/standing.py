"""Where a shipment stands: a pure fold over its tracking events.

The result is the same in whatever order the events arrived, since they are folded in the order in which they happened.
Every rule about what moves a status stands in this file.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, get_args

import msgspec

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


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What the fold knows after some of the events. `own` is never written to: a change makes a new one."""

    shared: Status = "booked"  # of all units that no event named
    own: dict[str, Status] = msgspec.field(default_factory=dict)
    status: Status = "booked"
    since: dt.datetime | None = None
    status_cause: TrackingEvent | None = None
    condition: Condition = "ok"
    reason: Reason | None = None
    action_required_by: ActionRequiredBy = "none"
    condition_cause: TrackingEvent | None = None

    def standing(self, created_at: dt.datetime) -> Standing:
        """Where a shipment made at `created_at` stands."""
        return Standing(
            status=self.status,
            since=self.since or created_at,
            condition=self.condition,
            reason=self.reason,
            action_required_by=self.action_required_by,
            shared=self.shared,
            units=self.own,
        )

    def unit_status(self, unit: str) -> Status:
        """Give the status of one unit."""
        return self.own.get(unit, self.shared)


NOTHING = Tally()


class Fold:
    """The fold's step, for a shipment with these handling units.

    `units` are their ids; `is_return` says that a delivery brings the goods back.
    """

    def __init__(self, units: Iterable[str], *, is_return: bool) -> None:
        self._units = frozenset(units)
        self._is_return = is_return

    def step(self, tally: Tally, event: TrackingEvent) -> Tally:
        """Take the next event in order. Only valid, actual ones that are not far in the future may come here."""
        changes = self._condition_after(tally, event)
        unit, shared, own, moved = event.handling_unit_id, tally.shared, tally.own, False
        if event.status is None or (unit is not None and unit not in self._units):
            return msgspec.structs.replace(tally, **changes) if changes else tally
        effect = self._effect(event)
        if unit is not None:
            before = tally.unit_status(unit)
            moved = moves(before, event)
            own = own | {unit: effect if moved else before}
        else:
            if moves(shared, event):
                shared, moved = effect, True
            if any(moves(status, event) for status in own.values()):
                own = {name: effect if moves(status, event) else status for name, status in own.items()}
                moved = True
        if moved:
            changes |= self._status_after(tally, event, effect, shared, own)
        return msgspec.structs.replace(tally, shared=shared, own=own, **changes)

    def _effect(self, event: TrackingEvent) -> Status:
        assert event.status is not None
        # Goods that come back are not "delivered" to the one who sent them.
        return "returned" if self._is_return and event.status == "delivered" else event.status

    def _status_after(
        self, tally: Tally, event: TrackingEvent, effect: Status, shared: Status, own: Mapping[str, Status]
    ) -> dict[str, Any]:
        status = self._of_all_units(shared, own)
        confirmed = tally.since is None and effect == status
        if status == tally.status and not confirmed:
            return {}
        return {"status": status, "since": event.occurred_at, "status_cause": event}

    def _of_all_units(self, shared: Status, own: Mapping[str, Status]) -> Status:
        """The status of the least advanced unit; some delivered and some not is "partially delivered"."""
        if not own:
            return shared
        statuses = set(own.values())
        if len(own) < len(self._units):
            statuses.add(shared)
        if len(statuses) == 1:
            return statuses.pop()
        if ("returned" if self._is_return else "delivered") in statuses:
            return "partially_delivered"
        return min(statuses - {"unknown"}, key=RANK.__getitem__)

    def _condition_after(self, tally: Tally, event: TrackingEvent) -> dict[str, Any]:
        if event.condition is None and event.status is None:
            return {}
        condition = event.condition or "ok"
        if condition == "ok" == tally.condition:
            return {}
        reason = event.reason if condition != "ok" else None
        default: ActionRequiredBy = ACTS_ON.get(reason, "none") if reason else "none"
        changes: dict[str, Any] = {
            "condition": condition,
            "reason": reason,
            "action_required_by": (event.action_required_by or default) if condition != "ok" else "none",
        }
        return changes if condition == tally.condition else changes | {"condition_cause": event}


def moves(current: Status, event: TrackingEvent) -> bool:
    """Tell whether an event can take a unit out of the status `current` (or confirm it)."""
    if event.status is None:
        return False
    if current not in FINAL or event.kind == "manual" or event.status in BACK:
        return True
    return current == "cancelled" and event.status in MOVES_CANCELLED
