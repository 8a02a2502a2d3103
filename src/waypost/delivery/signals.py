"""What an endpoint's engine is told and what it answers: plain frozen values, compared with `==`.

Instants are whole microseconds of a clock that never steps back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from waypost.delivery.health import Health


class Verdict(Enum):
    """What an attempt means for its delivery."""

    DELIVERED = "delivered"
    RETRYING = "retrying"
    FAILED = "failed"


class Answer(Enum):
    """What came of an attempt, as far as the engine cares."""

    TAKEN = "taken"  # 2xx
    REFUSED = "refused"  # any other answer
    SLOW_DOWN = "slow_down"  # 429, 502, 503, 504
    GONE = "gone"  # 410
    UNREACHED = "unreached"  # no answer: timeout, refused, reset, TLS, DNS
    STALE = "stale"  # a reused connection ended before any byte of answer
    TOO_LARGE = "too_large"  # 413
    CANCELLED = "cancelled"  # we stopped it ourselves
    LOST = "lost"  # it was not sent: our own log does not hold the event any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the engine needs to know of an endpoint's settings.

    `batch_size` is how many events one request holds at most, None where each goes out by itself; `batch_wait_s` how
    long the first of them waits for the others.
    """

    retry_schedule_s: tuple[float, ...]
    in_flight_max: int = 16
    rate_per_second: float | None = None
    ordered: bool = True
    coalesce: bool = False
    batch_size: int | None = None
    batch_wait_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the endpoint fares, as stored. Instants in microseconds; None when there is none."""

    health: Health = Health.ACTIVE
    reason: str | None = None
    since: int = 0
    failures_in_a_row: int = 0
    failing_since: int | None = None
    last_success_at: int | None = None
    held_until: int | None = None


class PendingState(Enum):
    """Why a delivery is written down."""

    RETRYING = "retrying"  # it failed and is tried again at `due_at`
    WAITING = "waiting"  # it stands behind another one of its key
    RESEND = "resend"  # it was settled and somebody asked for it again


class Batched(NamedTuple):
    """Names a batch: the position of its first event, and how many it holds."""

    first: int
    size: int


@dataclass(frozen=True, slots=True)
class Pending:
    """A delivery that the cursor has passed, that failed, or that goes out with others: one row."""

    position: int
    key: str
    state: PendingState
    due_at: int = 0
    failures: int = 0  # those that count against the schedule
    attempts: int = 0  # all of them
    first_attempt_at: int | None = None
    last_attempt_at: int | None = None
    type: str = ""
    batch: Batched | None = None
    replay_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Everything stored of an endpoint when an owner takes it.

    `folded` holds, for each position that is owed or pending and has others folded into it, these, oldest first. What
    was folded is settled.
    """

    cursor: int
    log_end: int
    standing: Standing
    paused: bool = False
    pending: tuple[Pending, ...] = ()
    settled_past_cursor: frozenset[int] = frozenset()
    attempts_past_cursor: Mapping[int, int] = field(default_factory=dict)
    folded: Mapping[int, tuple[int, ...]] = field(default_factory=dict)


# -- signals ---------------------------------------------------------------------------------------------------------


class Owed(NamedTuple):
    """An event of the log that the endpoint wants."""

    position: int
    key: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class LogGrew:
    """The account's log now ends at `end`."""

    end: int


@dataclass(frozen=True, slots=True)
class LogRead:
    """The log was read up to and with `through`; of what was new, `owed` is wanted. In log order."""

    owed: Sequence[Owed]
    through: int


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """The attempt of `position` ended, in a batch that of its first. `jitter` in [0, 1) is drawn by the caller."""

    position: int
    answer: Answer
    jitter: float
    reason: str = ""
    retry_after_s: float | None = None
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class NotSent:
    """What was told to be sent did not go out, and there is nothing to store of it. `fresh` as in its Send."""

    position: int
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """What was told to persist up to now is on disk; of it, this was `waited_for`."""

    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SettingsChanged:
    """The endpoint's settings are these now."""

    settings: Settings


@dataclass(frozen=True, slots=True)
class Paused:
    """Its owner holds the deliveries."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """Its owner lets them go on, from pause or suspension; `paused`: and has paused it again since."""

    paused: bool = False


@dataclass(frozen=True, slots=True)
class ResendAsked:
    """Somebody asked to send these again, or now: rows as stored, and what is folded into them as in Start."""

    rows: tuple[Pending, ...]
    folded: Mapping[int, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CursorDue:
    """The cursor is to be stored now if it has moved, however little."""


@dataclass(frozen=True, slots=True)
class TimeIs:
    """Nothing happened but time."""


Signal = (
    LogGrew | LogRead | AttemptEnded | NotSent | Stored | SettingsChanged | Paused | Resumed | ResendAsked | CursorDue
    | TimeIs
)  # fmt: skip

# -- effects ---------------------------------------------------------------------------------------------------------


class Part(NamedTuple):
    """An event of a request, and the older ones that were folded into it, oldest first."""

    position: int
    folded: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Send:
    """Send the event at `position`; it is the `number`-th attempt. `fresh`: on a new connection.

    With a `batch` that many events go out in one request, in this order; `position` is the first's. Else `folded` were
    folded into it, oldest first. `replay_id` names the job that asked for it.
    """

    position: int
    number: int
    fresh: bool = False
    folded: tuple[int, ...] = ()
    batch: tuple[Part, ...] = ()
    replay_id: str | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """What the request carries, one event or several."""
        return self.batch or (Part(self.position, self.folded),)


@dataclass(frozen=True, slots=True)
class ReadLog:
    """Read the log after `after`, at most `limit` events, and say so with LogRead."""

    after: int
    limit: int


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Give a TimeIs at `at`, if nothing else comes before."""

    at: int


@dataclass(frozen=True, slots=True)
class Persist:
    """Store this, in order with the other Persists of this endpoint; then say Stored with what is `waited_for`.

    `folded` events are settled, each with the position of the one that it was folded into. `held` are positions that do
    not go out before this is on disk.
    """

    attempts: tuple[tuple[int, int, Verdict], ...] = ()  # position, number, verdict
    put: tuple[Pending, ...] = ()
    gone: tuple[int, ...] = ()
    cursor: int | None = None
    standing: Standing = field(default_factory=Standing)
    folded: tuple[tuple[int, int], ...] = ()
    held: tuple[int, ...] = ()

    @property
    def failed(self) -> tuple[int, ...]:
        """The positions whose final failure this stores."""
        return tuple(position for position, _, verdict in self.attempts if verdict is Verdict.FAILED)

    @property
    def waited_for(self) -> tuple[int, ...]:
        """What goes on only once this is on disk: lanes whose head failed for good, and what is held."""
        return self.failed + self.held


Effect = Send | ReadLog | WakeAt | Persist
