"""What an endpoint's engine is told and what it answers: plain frozen values, compared with `==`.

Instants are whole microseconds of a clock that never steps back.
"""

from collections.abc import Sequence
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
    CANCELLED = "cancelled"  # we stopped it ourselves


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the engine needs to know of an endpoint's settings."""

    retry_schedule_s: tuple[float, ...]
    in_flight_max: int = 16
    rate_per_second: float | None = None
    ordered: bool = True


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


@dataclass(frozen=True, slots=True)
class Pending:
    """A delivery that the cursor has passed, or that failed: one row."""

    position: int
    key: str
    state: PendingState
    due_at: int = 0
    failures: int = 0  # those that count against the schedule
    attempts: int = 0  # all of them
    first_attempt_at: int | None = None
    last_attempt_at: int | None = None
    type: str = ""
    replay_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Everything stored of an endpoint when an owner takes it."""

    cursor: int
    log_end: int
    standing: Standing
    paused: bool = False
    pending: tuple[Pending, ...] = ()
    settled_past_cursor: frozenset[int] = frozenset()
    attempts_past_cursor: dict[int, int] = field(default_factory=dict)


# -- signals ---------------------------------------------------------------------------------------------------------


class Owed(NamedTuple):
    """An event of the log that the endpoint wants."""

    position: int
    key: str


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
    """The attempt of `position` ended. `jitter` in [0, 1) is drawn by the caller."""

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
    """What was told to persist up to now, these final failures included, is on disk."""

    failed: tuple[int, ...]


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
    """Somebody asked to send these again, or now: rows as stored."""

    rows: tuple[Pending, ...]


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


@dataclass(frozen=True, slots=True)
class Send:
    """Send the event at `position`; it is the `number`-th attempt. `fresh`: on a new connection."""

    position: int
    number: int
    fresh: bool = False


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
    """Store this, in order with the other Persists of this endpoint; then say Stored with its final failures."""

    attempts: tuple[tuple[int, int, Verdict], ...] = ()  # position, number, verdict
    put: tuple[Pending, ...] = ()
    gone: tuple[int, ...] = ()
    cursor: int | None = None
    standing: Standing = field(default_factory=Standing)

    @property
    def failed(self) -> tuple[int, ...]:
        """The positions whose final failure this stores."""
        return tuple(position for position, _, verdict in self.attempts if verdict is Verdict.FAILED)


Effect = Send | ReadLog | WakeAt | Persist
