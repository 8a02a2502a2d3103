"""What one report changed, as facts: each becomes one event of the log.

`occurred_at` is when the fact happened: the scan's own time, else the moment of the report.
"""

from typing import Any, Literal

import msgspec

from waypost.shipments.model import (
    ActionRequiredBy,
    Condition,
    Document,
    Eta,
    Instant,
    Reason,
    Status,
    TrackedUnit,
    TrackingEvent,
)

ChangeGroup = Literal[
    "address", "schedule", "items", "price", "references", "service", "parties", "documents", "other"
]  # fmt: skip


class Change(msgspec.Struct, frozen=True):
    """One place that differs. `path` is a JSON Pointer with ids in place of list positions."""

    path: str
    op: Literal["added", "removed", "changed"]
    old: Any = None
    new: Any = None


class Actor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who made the report: an API token by its name, a source by its id, or a user."""

    kind: Literal["api", "source", "user", "operator", "system"]
    token: str | None = None
    source: str | None = None
    user: str | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The two axes together."""

    status: Status
    condition: Condition


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all facts."""

    occurred_at: Instant


class ShipmentCreated(Fact, frozen=True, kw_only=True):
    """A reference was seen for the first time."""


class StatusChanged(Fact, frozen=True, kw_only=True):
    """The status became `status`.

    `previous` is None when the shipment is new; `tracking_event` is None when no single event is the cause;
    `first_time` is False when the shipment had this status before.
    """

    status: Status
    previous: Progress | None
    tracking_event: TrackingEvent | None
    first_time: bool


class DetailsChanged(Fact, frozen=True, kw_only=True):
    """Details of the document changed."""

    changes: tuple[Change, ...]
    changed: tuple[ChangeGroup, ...]
    actor: Actor


class ConditionChanged(Fact, frozen=True, kw_only=True):
    """The condition became `condition`."""

    condition: Condition
    reason: Reason | None
    action_required_by: ActionRequiredBy
    previous: Progress


class EtaChanged(Fact, frozen=True, kw_only=True):
    """The ETA moved noticeably. `previous` is the last one announced; None on a side means that there is none.

    `delta_minutes` is positive when the goods come later, None when a side is missing.
    """

    previous: Eta | None
    eta: Eta | None
    delta_minutes: int | None


class DocumentAdded(Fact, frozen=True, kw_only=True):
    """A paper of the shipment is there."""

    document: Document


class TrackingEventRecorded(Fact, frozen=True, kw_only=True):
    """A scan was added to the history. `late` says that a newer one was known already."""

    tracking_event: TrackingEvent
    late: bool


class TrackingEventCorrected(Fact, frozen=True, kw_only=True):
    """A later version of a scan took the place of an earlier one."""

    old: TrackingEvent
    new: TrackingEvent


class TrackingEventRetracted(Fact, frozen=True, kw_only=True):
    """A scan was taken back."""

    old: TrackingEvent


class UnitStatusChanged(Fact, frozen=True, kw_only=True):
    """One of several handling units moved."""

    handling_unit: TrackedUnit
    previous: Status | None


class TrackingStale(Fact, frozen=True, kw_only=True):
    """An active shipment was not scanned for a long time. `last_event` is None when it never was."""

    last_event: TrackingEvent | None
