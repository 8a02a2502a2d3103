"""What happened in a run of the simulator: plain values, in the order they happened. The checker sees nothing else.

`at` is the world's own time in whole microseconds from the run's beginning, which no process sees: theirs may be wrong.
The world writes down what both sides of each border saw, so that the checker can tell what was sent from what arrived,
and what was answered from what was heard. `Picture` is the database as it stood after a commit.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

Microseconds = int


class Name(NamedTuple):
    """An endpoint. `endpoint_id` of a replay to another address is the replay's id."""

    account_id: str
    endpoint_id: str


# -- reports in --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EventSeen:
    """An event as an answer or the log shows it. `body_hash` is empty in answers, which do not carry the bytes."""

    position: int
    sequence: int
    key: str
    type: str
    event_id: str
    body_hash: str = ""


@dataclass(frozen=True, slots=True)
class ReportSent:
    """A sender handed in a report. A repetition has the same `idempotency_key` and another `call`.

    `bad` says that it must be refused. `key` is the shipment's reference, or the key of an event of the sender's own.
    """

    at: Microseconds
    call: int
    account_id: str
    key: str
    idempotency_key: str
    bad: bool = False


@dataclass(frozen=True, slots=True)
class ReportAnswered:
    """The sender heard the answer. `accepted` is a 2xx; then `events` are what it names."""

    at: Microseconds
    call: int
    accepted: bool
    events: tuple[EventSeen, ...] = ()


# -- endpoints and what their owners do --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wishes:
    """What an endpoint wants from a position on."""

    from_position: int
    patterns: tuple[str, ...]
    filter: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSettingsSeen:
    """Settings of an endpoint, as far as promises depend on them."""

    url: str
    ordering: str
    timeout_s: float
    in_flight_max: int
    rate_per_second: float | None
    retry_schedule_s: tuple[float, ...]
    format: str = "waypost"
    payload: str = "full"
    personal_data: bool = True
    batch_size: int = 1
    batch_wait_ms: int = 0
    coalesce: bool = False
    signature: tuple[str, ...] = ("v1",)


@dataclass(frozen=True, slots=True)
class EndpointChanged:
    """An endpoint was made or changed, and the caller was told at `at`. `start_position` is where it starts.

    `wishes` are all versions, in order. `secrets` are those that may sign from now on, each with its end (None: none).
    `asked_at` is when the call was made: in between the change may be in force or not. `start` is what was asked for
    when it was made: `now`, `beginning` or a position. A change whose answer was lost is written down once it is known.
    """

    at: Microseconds
    asked_at: Microseconds
    name: Name
    settings: EndpointSettingsSeen
    wishes: tuple[Wishes, ...]
    start_position: int
    secrets: tuple[tuple[str, Microseconds | None], ...]
    made: bool = False
    start: str | int = "now"


@dataclass(frozen=True, slots=True)
class OperatorAsked:
    """Somebody asked for something: `what` is pause, resume, delete, resend, replay, erase, retention.

    `answered` False: the answer never came, so it may be done or not. `positions`: what a resend, or a replay as it
    was counted, means. `original` is the endpoint whose events a replay is about, `name` the one that gets them.
    `detail` holds the rest in words.
    """

    at: Microseconds
    asked_at: Microseconds
    what: str
    name: Name
    answered: bool = True
    positions: tuple[int, ...] = ()
    replay_id: str | None = None
    key: str | None = None
    detail: str = ""
    original: Name | None = None


# -- requests out ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SendBegan:
    """A process began a request. `positions` are the events in it, in the body's order; more than one in a batch.

    `body_hash` is of the body, `event_ids` are read from it. `attempt` is the header `waypost-attempt`.
    `signed_by` are the secrets (of any endpoint of the world) that the signatures verify under.
    `process_clock` is the process's wall clock (microseconds since 1970), `timestamp` the header `webhook-timestamp`.
    """

    at: Microseconds
    request: int
    process: int
    name: Name
    url: str
    webhook_id: str
    event_type: str
    event_ids: tuple[str, ...]
    positions: tuple[int, ...]
    keys: tuple[str, ...]
    sequences: tuple[int, ...]
    attempt: int
    body_hash: str
    replay_id: str | None
    signed_by: tuple[str, ...]
    timestamp: int
    process_clock: Microseconds


@dataclass(frozen=True, slots=True)
class Arrived:
    """The receiver had the whole request."""

    at: Microseconds
    request: int


@dataclass(frozen=True, slots=True)
class ReceiverAnswered:
    """The receiver answered with `status`, whether or not anybody hears it. `retry_after` is the raw header."""

    at: Microseconds
    request: int
    status: int
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class SendEnded:
    """The process that sent heard what came of it: outcome and status as in the delivery log.

    `stale`: a connection that was used before ended without a byte of answer.
    """

    at: Microseconds
    request: int
    outcome: str
    status: int | None
    retry_after: str | None = None
    stale: bool = False


# -- processes and faults ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProcessTurn:
    """A process was `started`, `killed`, `paused`, `woken`, told to `stop`, or its wall clock was `stepped`.

    `ended`: it ended by itself, after it was told to. Each life of a process has a number of its own. `clock` is its
    wall clock right after (microseconds since 1970).
    """

    at: Microseconds
    process: int
    turn: str
    detail: str = ""
    clock: Microseconds | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """The world did harm. `name` is that of the ratio in the configuration; `touches` the endpoints it can delay."""

    at: Microseconds
    name: str
    process: int | None = None
    request: int | None = None
    until: Microseconds | None = None
    touches: tuple[Name, ...] | None = None  # None: it may delay anybody


@dataclass(frozen=True, slots=True)
class Complaint:
    """A process met an error that no fault of the world explains: a bug, in the words of its log. Always a breach."""

    at: Microseconds
    process: int | None
    words: str


@dataclass(frozen=True, slots=True)
class FaultsStopped:
    """From here on nothing goes wrong, every receiver is good, and every endpoint is resumed."""

    at: Microseconds


# -- the database ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRow:
    """An endpoint as stored."""

    name: Name
    cursor: int
    epoch: int
    owner: str | None
    health: str
    paused: bool
    failures_in_a_row: int
    failing_since: int | None
    last_success_at: int | None
    held_until: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingRowSeen:
    """A pending row as stored."""

    name: Name
    position: int
    key: str
    state: str
    failures: int
    attempts: int
    batch_id: str | None = None
    replay_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptSeen:
    """An attempt as stored. `started_at` is the process's clock, microseconds since 1970."""

    name: Name
    position: int
    number: int
    verdict: str
    outcome: str
    status: int | None
    started_at: int


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """The lease of a worker as stored, by the store's clock (microseconds since 1970)."""

    owner: str
    lease_until: Microseconds


@dataclass(frozen=True, slots=True)
class Committed:
    """A commit of the store, by a process (None: the API, which is no worker): what it changed of the rows below.

    Endpoint rows are those that differ from before, pending rows those put or gone, attempts and folds those added.
    `worker_epoch` maps the endpoints that a worker's write named to the epoch it wrote with; `refused` are those of
    them of which nothing was stored. `lost_answer`: nobody was told. `rewritten` are events that were in the log and
    have other bytes now. `store_clock` is the clock that leases are judged by, in microseconds since 1970.
    """

    at: Microseconds
    process: int | None
    what: str
    endpoints: tuple[EndpointRow, ...] = ()
    endpoints_gone: tuple[Name, ...] = ()
    pending_put: tuple[PendingRowSeen, ...] = ()
    pending_gone: tuple[tuple[Name, int], ...] = ()
    attempts: tuple[AttemptSeen, ...] = ()
    attempts_gone: tuple[tuple[Name, int, int], ...] = ()
    folds: tuple[tuple[Name, int, int], ...] = ()  # position, into position
    events: tuple[tuple[str, EventSeen], ...] = ()  # account, event
    events_gone: tuple[tuple[str, int], ...] = ()
    worker_epochs: tuple[tuple[Name, int], ...] = ()
    refused: tuple[Name, ...] = ()
    lost_answer: bool = False
    rewritten: tuple[tuple[str, EventSeen], ...] = ()
    workers: tuple[WorkerRow, ...] = ()
    workers_gone: tuple[str, ...] = ()
    store_clock: Microseconds | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The database at the end, whole, and what a reader is told of it."""

    at: Microseconds
    idle: bool  # the world came to rest before its last bound
    endpoints: tuple[EndpointRow, ...]
    pending: tuple[PendingRowSeen, ...]
    attempts: tuple[AttemptSeen, ...]
    folds: tuple[tuple[Name, int, int], ...]
    events: tuple[tuple[str, EventSeen], ...]
    shown: tuple[tuple[Name, int, str], ...]  # position, state: as the delivery log shows it
    waiting: tuple[tuple[Name, int], ...]
    replays: tuple[tuple[str, str, int, int, str], ...]  # account, replay id, matched, done, state


Record = (
    ReportSent
    | ReportAnswered
    | EndpointChanged
    | OperatorAsked
    | SendBegan
    | Arrived
    | ReceiverAnswered
    | SendEnded
    | ProcessTurn
    | Fault
    | Complaint
    | FaultsStopped
    | Committed
    | Ending
)


@dataclass(frozen=True, slots=True)
class History:
    """A whole run: what it was configured with, and every record in order; the last one is its Ending.

    `event_facts` holds what the checker's own matcher needs of each event by (account, position): flat words such as
    `carriers`, `countries`, `references`, `tags`, `statuses`, `changed`, taken from what the senders put in, not from
    the log's bytes; an event about no shipment has no entry, and `changed` is there for `shipment.updated` alone.
    `began_at` is the true time at the run's beginning (microseconds since 1970).
    """

    seed: int
    config: Mapping[str, object]
    records: tuple[Record, ...]
    event_facts: Mapping[tuple[str, int], Mapping[str, tuple[str, ...]]]
    began_at: Microseconds = 1_796_083_200_000_000  # 2026-12-01T00:00:00Z
