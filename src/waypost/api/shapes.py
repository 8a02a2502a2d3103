"""The shapes that the API takes and answers with; the OpenAPI document shows the structs that are encoded."""

from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar, get_args

import msgspec
from msgspec import Meta, field

from waypost.delivery.sender import Outcome as SenderOutcome
from waypost.errors import FieldError
from waypost.events.filters import Filter
from waypost.log.records import RETRY_SCHEDULE_S, EventRef
from waypost.shipments.model import Shipment

Item = TypeVar("Item")


def _one_of(*words: str) -> Meta:
    """The words that a text may be, for the schema: what is encoded was checked, or made, elsewhere."""
    return Meta(extra_json_schema={"enum": list(words)})


EndpointState = Annotated[str, _one_of("active", "failing", "paused", "suspended")]
DeliveryState = Annotated[str, _one_of("delivered", "failed", "retrying", "waiting", "skipped")]
Outcome = Annotated[str, _one_of(*get_args(SenderOutcome))]
Scope = Annotated[str, _one_of("shipments:write", "endpoints:write", "read")]
Payload = Annotated[str, _one_of("full", "changes", "reference")]
Format = Annotated[str, _one_of("waypost", "cloudevents", "batch")]
Ordering = Annotated[str, _one_of("shipment", "none")]
Scheme = Annotated[str, _one_of("v1", "v1a")]
Role = Annotated[str, _one_of("owner", "manager", "viewer", "setup")]
SourceKind = Annotated[str, _one_of("easypost")]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[FieldError]


class Page(msgspec.Struct, Generic[Item], frozen=True, kw_only=True):
    """Some items of a list, and the cursor of the next page, null at the end."""

    items: list[Item]
    next: str | int | None


class ShipmentAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a report: the shipment after it, and the events that followed from it."""

    shipment: Shipment
    events: list[EventRef]
    stale: bool


class Cancel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a shipment is cancelled."""

    reason: str | None = None


class BulkAccepted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line that was taken: as PUT would answer it, without the shipment. `stale` is there when it is true."""

    line: int
    status: int
    reference: str
    version: int
    events: tuple[EventRef, ...]
    stale: bool = False


class BulkRefused(msgspec.Struct, frozen=True, kw_only=True):
    """A line that was refused, and why. `reference` is null when it could not be read."""

    line: int
    status: int
    reference: str | None
    errors: tuple[FieldError, ...]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint: a URL that wants some of the events."""

    id: str
    url: str
    description: str | None
    metadata: dict[str, Any]
    events: list[str]
    filter: dict[str, list[str]] | None
    payload: Payload
    personal_data: bool
    format: Format
    batch_size: Annotated[int, Meta(description="Only with the format `batch`.")] | msgspec.UnsetType = msgspec.UNSET
    batch_wait_ms: Annotated[int, Meta(description="Only with the format `batch`.")] | msgspec.UnsetType = msgspec.UNSET
    ordering: Ordering
    auth: dict[str, str]
    headers: dict[str, str]
    signature: list[Scheme]
    timeout_seconds: int | float
    max_in_flight: int
    rate_per_second: int | float | None
    retry_schedule: list[int | float]
    coalesce: bool
    start: str | int
    api_version: str
    state: EndpointState
    state_reason: str | None
    state_since: datetime
    waiting: int
    waiting_more: bool
    created_at: datetime
    updated_at: datetime


class EndpointFields(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What may be said of an endpoint. The defaults are those of a new one."""

    description: Annotated[str, Meta(max_length=1000)] | None = None
    metadata: dict[str, Any] = {}
    events: Annotated[list[str], Meta(min_length=1, description="Types, `shipment.*`, or `*`.")] = field(
        default_factory=lambda: ["shipment.*"]
    )
    filter: Filter | None = None
    payload: Payload = "full"
    personal_data: bool = True
    format: Format = "waypost"
    batch_size: Annotated[int, Meta(ge=1, le=500, description="Events in a request; only with the format `batch`.")] = (
        100
    )
    batch_wait_ms: Annotated[
        int, Meta(ge=0, le=60_000, description="How long a batch waits to fill up; only with the format `batch`.")
    ] = 1000
    ordering: Ordering = "shipment"
    auth: Annotated[dict[str, str], Meta(description="An object with a `type`.")] = field(
        default_factory=lambda: {"type": "none"}
    )
    headers: Annotated[dict[str, str], Meta(description="Added to each request.")] = {}
    signature: list[Scheme] = field(default_factory=lambda: ["v1"])
    timeout_seconds: Annotated[float, Meta(ge=1, le=60)] = 15
    max_in_flight: Annotated[int, Meta(ge=1, le=256)] = 16
    rate_per_second: (
        Annotated[float, Meta(ge=0.001, le=10_000, description="At most so many requests a second, on the average.")]
        | None
    ) = None
    retry_schedule: Annotated[
        list[Annotated[float, Meta(ge=0.1, le=604_800)]],
        Meta(min_length=1, max_length=30, description="Seconds between attempts."),
    ] = field(default_factory=lambda: list(RETRY_SCHEDULE_S))
    coalesce: bool = False


class NewEndpoint(EndpointFields, frozen=True, kw_only=True, omit_defaults=True):
    """An endpoint to be made. `start`: `now`, `beginning`, a position, or a time."""

    url: Annotated[str, Meta(max_length=2048, description="http or https.")]
    start: str | int = "now"
    paused: Annotated[bool, Meta(description="Hold everything until it is resumed, as after `…/pause`.")] = False


class EndpointPatch(EndpointFields, frozen=True, kw_only=True, omit_defaults=True):
    """What changes of an endpoint: a JSON merge patch. `start` only while it has been paused ever since it was made."""

    start: str | int | msgspec.UnsetType = msgspec.UNSET
    url: Annotated[str, Meta(max_length=2048)] | msgspec.UnsetType = msgspec.UNSET


class Rotation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How long the old secret goes on signing beside the new one."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=2_592_000)] = 86_400


class TestRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which example to send: any type of the catalogue."""

    __test__ = False  # not a test, whatever its name begins with

    type: str = "webhook.test"


PublicKey = Annotated[str, Meta(description="The Ed25519 key (`whpk_…`) that verifies `v1a`.")]


class EndpointWithSecret(Endpoint, frozen=True, kw_only=True):
    """An endpoint as it is answered once, at its creation."""

    secret: str
    public_key: PublicKey | msgspec.UnsetType = msgspec.UNSET


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """The signing secret, and until when the one before it still signs too."""

    secret: str
    previous_expires_at: datetime | None
    public_key: PublicKey | msgspec.UnsetType = msgspec.UNSET


class JsonWebKey(msgspec.Struct, frozen=True, kw_only=True):
    """An Ed25519 public key (RFC 7517, RFC 8037). `expires_at` is the end of its overlap; null for the newest."""

    kty: Annotated[str, _one_of("OKP")] = "OKP"
    crv: Annotated[str, _one_of("Ed25519")] = "Ed25519"
    alg: Annotated[str, _one_of("EdDSA")] = "EdDSA"
    use: Annotated[str, _one_of("sig")] = "sig"
    kid: str
    x: str
    endpoint_id: str
    public_key: PublicKey
    expires_at: datetime | None


class JsonWebKeys(msgspec.Struct, frozen=True, kw_only=True):
    """A page of public keys, and the cursor of the next page, null at the end."""

    keys: list[JsonWebKey]
    next: str | None


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of an attempt went, in milliseconds; null where the attempt did not come so far."""

    dns: float | None
    connect: float | None
    tls: float | None
    first_byte: float | None
    body: float | None
    total: float


class SentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The request of an attempt."""

    method: str
    url: str
    headers: dict[str, str]
    body: str


class ReceivedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The receiver's answer, of which up to 64 KiB are kept."""

    headers: dict[str, str]
    body: str
    truncated: bool


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One request, with its answer."""

    number: int
    started_at: datetime
    outcome: Outcome
    status: int | None
    address: str | None
    reused_connection: bool
    timings_ms: Timings
    request: SentRequest
    response: ReceivedAnswer | None


class DeliveryAttempt(Attempt, frozen=True, kw_only=True):
    """One request of a delivery, what it means for the delivery, and what came of it in a plain sentence."""

    verdict: Annotated[str, _one_of("delivered", "retrying", "failed")]
    explanation: str
    batch_id: str | msgspec.UnsetType = msgspec.UNSET


class TestResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a test event."""

    __test__ = False  # not a test, whatever its name begins with

    verdict: Annotated[str, _one_of("delivered", "failed")]
    explanation: str
    event_id: str
    attempt: Attempt


class DeliverySummary(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery in the list."""

    event_id: str
    position: int
    type: str
    reference: str | None
    state: DeliveryState
    state_reason: str | None
    recorded_at: datetime
    next_attempt_at: datetime | None
    waits_for: str | None
    attempts: int
    last_attempt_at: datetime | None
    last_outcome: Outcome | None
    last_status: int | None
    last_duration_ms: float | None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery with every attempt."""

    event_id: str
    type: str
    reference: str | None
    state: DeliveryState
    state_reason: str | None
    next_attempt_at: datetime | None
    waits_for: str | None
    attempts: list[DeliveryAttempt]


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Quantiles of the time that successful attempts took, in milliseconds; null when there were none."""

    p50: float | None
    p99: float | None


class EndpointStats(msgspec.Struct, frozen=True, kw_only=True):
    """How an endpoint fared within a window."""

    since: datetime
    attempts: dict[str, int]
    outcomes: dict[str, int]
    latency_ms: Latency
    state: EndpointState
    state_reason: str | None
    state_since: datetime
    waiting: int
    waiting_more: bool


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event, as it is sent. The catalogue has the schema of each type's `data`."""

    id: str
    type: str
    timestamp: datetime
    api_version: str
    recorded_at: datetime
    account_id: str
    shipment_id: str | None
    reference: str | None
    sequence: int
    position: int
    test: bool
    data: dict[str, Any]
    key: str | msgspec.UnsetType = msgspec.UNSET


class NewReplay(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which events to send again. Only `which` has to be given; what is left out leaves nothing out."""

    which: Annotated[str, _one_of("failed", "missing", "all")]
    since: Annotated[datetime, Meta(description="Recorded at or after this time.")] | None = None
    until: Annotated[datetime, Meta(description="Recorded before this time.")] | None = None
    types: Annotated[list[str], Meta(description="Types, or patterns such as `shipment.*`.")] | None = None
    shipments: Annotated[list[str], Meta(max_length=500, description="References or `shp_…` ids.")] | None = None
    to_url: Annotated[str, Meta(max_length=2048, description="Send them to this URL instead.")] | None = None
    dry_run: Annotated[bool, Meta(description="Only count.")] | None = None


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    """How many deliveries a replay would send."""

    matched: int


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """A replay: `done` of the `matched` deliveries are settled."""

    id: str
    endpoint_id: str
    matched: int
    done: int
    state: Annotated[str, _one_of("running", "done", "cancelled", "failed")]
    state_reason: str | None
    which: Annotated[str, _one_of("failed", "missing", "all")]
    since: datetime | None
    until: datetime | None
    types: list[str]
    shipments: list[str]
    to_url: str | None
    created_at: datetime
    ended_at: datetime | None


class ListedType(msgspec.Struct, frozen=True, kw_only=True):
    """A type of event, of the catalogue or of your own. `schema` and `example` are of the whole event."""

    type: str
    title: str
    group: str
    description: str
    schema: dict[str, Any]
    example: dict[str, Any] | None
    own: Annotated[bool, Meta(description="Whether it is one of your own; those have what follows.")]
    data_schema: dict[str, Any] | bool | msgspec.UnsetType = msgspec.UNSET
    data_example: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    created_at: datetime | msgspec.UnsetType = msgspec.UNSET
    updated_at: datetime | msgspec.UnsetType = msgspec.UNSET


class NewEventType(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A type of event of your own: what the `data` of its events must be."""

    title: Annotated[str, Meta(max_length=200, description="Fits a button. Default: the type's name.")] | None = None
    description: Annotated[str, Meta(max_length=1000, description="One sentence.")] | None = None
    schema: Annotated[dict[str, Any] | bool, Meta(description="JSON Schema (2020-12) of `data`, up to 64 KiB.")]
    example: Annotated[dict[str, Any], Meta(description="`data` of a test: it must fit the schema.")] | None = None


class OwnEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event of a type of your own."""

    type: Annotated[str, Meta(max_length=100, description="A type that the account has registered.")]
    key: Annotated[str, Meta(min_length=1, max_length=255, description="Events with the same key stay in order.")]
    data: Annotated[dict[str, Any], Meta(description="Fits the schema of its type.")]
    occurred_at: Annotated[datetime, Meta(description="When it happened. Default: now.")] | None = None
    id: (
        Annotated[str, Meta(min_length=1, max_length=128, pattern="^[A-Za-z0-9._:-]+$", description="Yours, and once.")]
        | None
    ) = None


class Portal(msgspec.Struct, frozen=True, kw_only=True):
    """How the portal of an account looks, and which pages may embed it."""

    origins: list[str] = []
    accent: str | None = None
    logo_url: str | None = None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A customer company."""

    id: str
    name: str
    alert_email: str | None
    time_zone: str | None
    eta_threshold_minutes: int
    stale_after_hours: int | None
    portal: Portal
    created_at: datetime


class NewAccount(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An account to be made."""

    id: Annotated[str, Meta(max_length=64, pattern="^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    alert_email: str | None = None
    time_zone: str | None = None
    eta_threshold_minutes: Annotated[int, Meta(ge=0, le=10_080)] = 15
    stale_after_hours: Annotated[int, Meta(ge=1, le=8_760)] | None = None
    portal: Portal = Portal()


class AccountPatch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What changes of an account: a JSON merge patch."""

    name: Annotated[str, Meta(min_length=1, max_length=200)] | msgspec.UnsetType = msgspec.UNSET
    alert_email: str | None = None
    time_zone: str | None = None
    eta_threshold_minutes: Annotated[int, Meta(ge=0, le=10_080)] | None = 15
    stale_after_hours: Annotated[int, Meta(ge=1, le=8_760)] | None = None
    portal: Portal | None = None


class NewToken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A token to be made."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    scopes: Annotated[list[Scope], Meta(min_length=1)] = field(
        default_factory=lambda: ["shipments:write", "endpoints:write", "read"]
    )


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An API token, without the token: only its hash is kept."""

    id: str
    name: str
    scopes: list[Scope]
    created_at: datetime
    revoked_at: datetime | None


class TokenOnce(Token, frozen=True, kw_only=True):
    """An API token as it is answered once, at its creation."""

    token: str


class PortalUser(msgspec.Struct, frozen=True, kw_only=True):
    """Who comes by a portal link, as the TMS knows them; it stands in the audit log."""

    id: Annotated[str, Meta(min_length=1, max_length=200)]
    name: Annotated[str, Meta(min_length=1, max_length=200)]


class NewPortalLink(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A portal link to be made."""

    role: Role = "manager"
    expires_in_seconds: Annotated[int, Meta(ge=1, le=604_800)] = 3600
    user: PortalUser | None = None


class NewSignInLink(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A sign-in link to be made."""

    email: str | None = None


class SignInLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link that lets somebody in, once."""

    url: str
    expires_at: datetime


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that somebody did: `subject` is the id of what it was done to, `detail` more in words, or empty."""

    id: str
    recorded_at: datetime
    actor: str
    actor_id: str
    action: str
    subject: str
    detail: str


class CarrierSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where messages of a carrier come from. `url` is what the carrier is given."""

    id: str
    kind: SourceKind
    name: str
    url: str
    created_at: datetime
    updated_at: datetime


class NewSource(msgspec.Struct, frozen=True, kw_only=True):
    """A source to be made. The secret is what the carrier signs with."""

    kind: SourceKind
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    secret: Annotated[str, Meta(min_length=1, max_length=1000)]


class SourcePatch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What changes of a source."""

    name: Annotated[str, Meta(min_length=1, max_length=200)] | msgspec.UnsetType = msgspec.UNSET
    secret: Annotated[str, Meta(min_length=1, max_length=1000)] | msgspec.UnsetType = msgspec.UNSET


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a carrier's message."""

    message_id: str
    shipments: int
    events: int


class Alive(msgspec.Struct, frozen=True, kw_only=True):
    """The process answers."""

    alive: bool


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the service can do its work."""

    ready: bool
    database: bool
    delivery: bool
