"""What goes into the log and comes out of it: plain frozen values.

Records for the API carry aware datetimes in UTC. Those for delivery (`PendingRow`, `AttemptRow`, `Standing`, `LogRow`)
carry Unix microseconds, as the engine counts. None means that there is none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from waypost.clock import from_micros
from waypost.events.patterns import Wants
from waypost.ids import AccountId, EndpointId, EventId, ShipmentId

Item = TypeVar("Item")

RETRY_SCHEDULE_S = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)

# -- accounts and tokens ---------------------------------------------------------------------------------------------


class AccountSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an account may set for itself."""

    alert_email: str | None = None
    time_zone: str | None = None
    eta_threshold_minutes: int = 15
    stale_after_hours: int | None = None
    portal: dict[str, msgspec.Raw] = {}


@dataclass(frozen=True, slots=True)
class Account:
    """A customer company."""

    account_id: AccountId
    name: str
    settings: AccountSettings
    position: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """An API token without the token: only its hash is kept."""

    account_id: AccountId
    token_id: str
    name: str
    scopes: tuple[str, ...]
    operator: bool
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request comes from. An operator's token may act on any account."""

    account_id: AccountId
    token_id: str
    name: str
    scopes: frozenset[str]
    operator: bool


# -- answers that are given again --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: what a repeated request with the same Idempotency-Key is given again, byte for byte."""

    status: int
    headers: Mapping[str, str]
    body: bytes


# -- shipments and events ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EventRef:
    """An event that followed from a report."""

    id: EventId
    type: str
    sequence: int
    position: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a report: it is on disk, with `events`, which are empty when nothing changed.

    `shipment` is the JSON of the shipment after the report with all its tracking events.
    """

    shipment_id: ShipmentId
    reference: str
    shipment: bytes
    version: int
    created: bool
    stale: bool
    events: tuple[EventRef, ...]


@dataclass(frozen=True, slots=True)
class StoredShipment:
    """A shipment as stored: `json` with all its tracking events (in pages: with the last 20)."""

    shipment_id: ShipmentId
    reference: str
    version: int
    json: bytes


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items of a list, and the cursor of the next page, None at the end."""

    items: list[Item]
    next: str | None


@dataclass(frozen=True, slots=True)
class LogRow:
    """An event in the log. `recorded_at` in Unix microseconds; `body` is what is signed and sent."""

    position: int
    event_id: EventId
    type: str
    key: str
    sequence: int
    recorded_at: int
    body: bytes


# -- endpoints ---------------------------------------------------------------------------------------------------------


class EndpointSettings(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint's settings, checked before they come here. What it wants of the log is versioned: see `Wants`.

    `auth` is always an object with `type`. It and `headers` are encrypted at rest, since they may hold passwords.
    """

    url: str
    description: str | None = None
    metadata: dict[str, msgspec.Raw] = {}
    payload: str = "full"
    personal_data: bool = True
    format: str = "waypost"
    batch_size: int = 100
    batch_wait_ms: int = 1000
    ordering: str = "shipment"
    auth: dict[str, str] = msgspec.field(default_factory=lambda: {"type": "none"})
    headers: dict[str, str] = {}
    signature: tuple[str, ...] = ("v1",)
    timeout_seconds: float = 15
    max_in_flight: int = 16
    rate_per_second: float | None = None
    retry_schedule: tuple[float, ...] = RETRY_SCHEDULE_S
    coalesce: bool = False
    start: str | int = "now"
    api_version: str = "2026-12-01"


@dataclass(frozen=True, slots=True)
class EndpointVersion:
    """What an endpoint wants of the events from `from_position` on, until its next version."""

    from_position: int
    wants: Wants


@dataclass(frozen=True, slots=True)
class EndpointSecret:
    """What signs, in clear: a secret (`whsec_…`), or a private key (`whsk_…`) with its `public_key` (`whpk_…`).

    `expires_at` is the end of its overlap, None for the newest of its kind.
    """

    secret: str = field(repr=False)
    created_at: datetime
    expires_at: datetime | None = None
    public_key: str | None = None

    @property
    def scheme(self) -> str:
        """The kind of signatures it makes: `v1` or `v1a`."""
        return "v1a" if self.secret.startswith("whsk_") else "v1"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 key pair (`whsk_…`, `whpk_…`) to sign with."""

    private_key: str = field(repr=False)
    public_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How an endpoint fares, as its owner last stored it. Instants in Unix microseconds.

    `version` counts the times somebody resumed it: an owner that did not see the last resume cannot undo it.
    """

    health: str = "active"
    reason: str | None = None
    since: int = 0
    version: int = 0
    failures_in_a_row: int = 0
    failing_since: int | None = None
    last_success_at: int | None = None
    held_until: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRecord:
    """An endpoint as stored. `versions` in order of position; `secrets` newest first, those in overlap too.

    `replay_of` is set in the endpoint that a replay to another URL has for itself: the one that it is a copy of.
    """

    account_id: AccountId
    endpoint_id: EndpointId
    settings: EndpointSettings
    versions: tuple[EndpointVersion, ...]
    secrets: tuple[EndpointSecret, ...]
    standing: Standing
    paused_at: datetime | None
    start_position: int
    cursor: int
    epoch: int
    created_at: datetime
    updated_at: datetime
    replay_of: EndpointId | None = None

    @property
    def wants(self) -> Wants:
        """What it wants of the events to come."""
        return self.versions[-1].wants

    @property
    def is_untouched(self) -> bool:
        """Whether it has been paused ever since it was made, so that nothing was sent and its start may still move."""
        return self.paused_at == self.created_at and self.cursor == self.start_position

    @property
    def state(self) -> str:
        """`active`, `failing`, `paused` or `suspended`, as the API shows it. The owner's pause stands before all."""
        return "paused" if self.paused_at is not None else self.standing.health

    @property
    def state_reason(self) -> str | None:
        """Why it is in that state, in words; None while all is well."""
        return None if self.paused_at is not None else self.standing.reason

    @property
    def state_since(self) -> datetime:
        """Since when it is in that state."""
        return self.paused_at if self.paused_at is not None else from_micros(self.standing.since)


class ReplayAsked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a replay is to send: `which` is `failed`, `missing` or `all`. None, and empty lists, leave nothing out.

    Recorded at or after `since` and before `until`; `types` are patterns; `shipments` references or ids, of which
    `keys` are the ids, once they were looked up. `left_out` are the positions that were on their way to the endpoint
    when the replay was asked for.
    """

    which: str
    since: datetime | None = None
    until: datetime | None = None
    types: tuple[str, ...] = ()
    shipments: tuple[str, ...] = ()
    to_url: str | None = None
    keys: tuple[str, ...] | None = None
    left_out: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRecord:
    """A replay as it stands: `running`, `done`, `cancelled` or `failed`, with the reason.

    `matched` was counted when it was asked for; `done` of them are settled, delivered or not.
    """

    account_id: AccountId
    replay_id: str
    endpoint_id: EndpointId
    asked: ReplayAsked
    matched: int
    done: int
    state: str
    state_reason: str | None
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many owed events are not settled: exact, unless `more` says that it is at least so many."""

    count: int
    more: bool


# -- delivery ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PendingRow:
    """A delivery that the cursor may pass: it waits for a retry, behind another of its key, or was asked for again.

    `state` is `retrying`, `waiting` or `resend`; `due_at` may be None only while `waiting`. `type` is the event's.
    Rows with one `batch_id` go out together, in one request; `replay_id` names the job that asked for it.
    """

    position: int
    key: str
    event_id: EventId
    state: str
    due_at: int | None = None
    failures: int = 0
    attempts: int = 0
    first_attempt_at: int | None = None
    last_attempt_at: int | None = None
    type: str = ""
    batch_id: str | None = None
    replay_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """One request of a delivery. `verdict` is `delivered`, `retrying` or `failed` (the final failure).

    `detail` is JSON of the attempt as the API shows it, without the event's body and without secrets.
    """

    position: int
    number: int
    event_id: EventId
    started_at: int
    verdict: str
    outcome: str
    status: int | None
    duration_us: int
    detail: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """An event about an endpoint (`endpoint.failing`, `delivery.failed`, …) for the account's log.

    The owner makes the `event_id`, so that storing it again after a lost answer adds nothing.
    """

    event_id: EventId
    type: str
    occurred_at: datetime
    data: msgspec.Raw


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointWrite:
    """What an owner stores of one endpoint, whole or not at all: refused when `epoch` is no longer the endpoint's.

    `standing` is left out when somebody resumed the endpoint since the owner loaded it (its `version` is old); the
    owner is told of the resume anyway. `folded` are positions, each with that of the newer event that it goes out with.
    Storing the same write twice is as storing it once.
    """

    account_id: AccountId
    endpoint_id: EndpointId
    epoch: int
    cursor: int | None = None
    standing: Standing | None = None
    attempts: tuple[AttemptRow, ...] = ()
    pending_put: tuple[PendingRow, ...] = ()
    pending_gone: tuple[int, ...] = ()
    folded: tuple[tuple[int, int], ...] = ()
    announcements: tuple[Announcement, ...] = ()


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to deliver to one endpoint, until another owner takes it with a higher epoch."""

    account_id: AccountId
    endpoint_id: EndpointId
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedEndpoint:
    """All that an owner needs to go on where the last one stopped.

    `settled_past_cursor` holds positions past the cursor that were delivered, failed for good, or were folded;
    `attempts_past_cursor` how many attempts each position past the cursor has had, pending ones included. `folded`
    holds, of those past the cursor or pending, the positions of the older events that go out with them, oldest first.
    """

    endpoint: EndpointRecord
    log_position: int
    pending: tuple[PendingRow, ...]
    settled_past_cursor: frozenset[int]
    attempts_past_cursor: Mapping[int, int]
    folded: Mapping[int, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event for one endpoint, as it stands: `delivered`, `failed`, `retrying`, `waiting` or `skipped`."""

    event_id: EventId
    position: int
    type: str
    key: str
    reference: str | None
    state: str
    state_reason: str | None
    recorded_at: datetime
    next_attempt_at: datetime | None
    waits_for: EventId | None
    attempts: int
    last_attempt_at: datetime | None
    last_outcome: str | None
    last_status: int | None
    last_duration_us: int | None


@dataclass(frozen=True, slots=True)
class EventBytes:
    """An event as stored, and the stored events that were folded into it for an endpoint, oldest first."""

    body: bytes
    folded: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt as stored. `detail` is its JSON as the API shows it, without the body of the request."""

    number: int
    verdict: str
    outcome: str
    status: int | None
    started_at: datetime
    duration_us: int
    detail: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """Which deliveries to list; None lets all pass.

    `type` is a type or a pattern such as `shipment.status.*`, `shipment` a reference or a `shp_…` id.
    """

    state: str | None = None
    type: str | None = None
    shipment: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Attempts at an endpoint within a window. Durations in microseconds, of the latest 10,000 successes."""

    delivered: int
    retrying: int
    failed: int
    by_outcome: Mapping[str, int]
    p50_us: int | None
    p99_us: int | None


# -- intake ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where messages of a carrier come from. `secret` in clear."""

    account_id: AccountId
    source_id: str
    kind: str
    name: str
    settings: Mapping[str, object]
    secret: str = field(repr=False)
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeMessage:
    """A message as it was received, and what became of it: `accepted`, or `refused` with the reason."""

    message_id: str
    source_id: str
    received_at: datetime
    state: str
    reason: str | None
    body: bytes
    erased_at: datetime | None
