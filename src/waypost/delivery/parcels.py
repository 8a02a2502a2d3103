"""What stands in lanes and goes out: deliveries, and batches of them.

A parcel is what one request carries. It is sent, tried again and judged as one, whether it holds one delivery or many.
"""

from collections import deque
from collections.abc import Sequence
from enum import Enum

from waypost.delivery.signals import Batched, Part, Pending, PendingState, Send


class Phase(Enum):
    """Where a parcel stands; of a delivery in a batch, its batch tells."""

    WAITING = "waiting"  # behind another one of its lane
    STORING = "storing"  # may go out once it is on disk what goes out with it
    READY = "ready"  # may go out
    SENDING = "sending"
    RETRYING = "retrying"  # waits for its retry, or for the endpoint
    CLOSING = "closing"  # failed for good, but that is not on disk yet
    PACKED = "packed"  # goes out in a batch
    GONE = "gone"  # settled, folded, or no batch any more


class Parcel:
    """What one request carries."""

    __slots__ = (
        "attempts", "due_at", "failures", "first_attempt_at", "fresh", "last_attempt_at", "phase", "position", "probe",
        "ready_at", "sent_at", "stale_once",
    )  # fmt: skip

    def __init__(self, position: int, attempts: int = 0) -> None:
        self.position = position
        self.phase = Phase.WAITING
        self.attempts = attempts
        self.failures = 0
        self.due_at = 0
        self.ready_at = 0
        self.sent_at = 0
        self.first_attempt_at: int | None = None
        self.last_attempt_at: int | None = None
        self.fresh = False
        self.stale_once = False
        self.probe = False  # what is out was sent to see whether the endpoint is back

    def __lt__(self, other: "Parcel") -> bool:
        return self.position < other.position

    @property
    def members(self) -> Sequence["Delivery"]:
        """The deliveries it carries, in log order."""
        raise NotImplementedError

    def sending(self) -> Send:
        """What to send, with the flags that stand now."""
        raise NotImplementedError

    def take_history(self, other: "Parcel") -> None:
        """Go on counting where `other` stopped."""
        self.attempts, self.failures, self.due_at = other.attempts, other.failures, other.due_at
        self.first_attempt_at, self.last_attempt_at = other.first_attempt_at, other.last_attempt_at


class Delivery(Parcel):
    """One owed event in memory."""

    __slots__ = ("batch", "family", "folded", "key", "lane", "replay_id", "resend", "stored", "subject", "type")

    def __init__(self, position: int, key: str, attempts: int = 0, *, type_name: str = "", subject: str = "") -> None:
        """`key` names its lane; `subject` is what the event is about."""
        super().__init__(position, attempts)
        self.key = key
        self.subject = subject or key
        self.type = type_name
        self.lane: Lane = _NO_LANE
        self.batch: Batch | None = None
        self.family: tuple[str, str] | None = None  # those that it may be folded with
        self.folded: tuple[int, ...] = ()
        self.stored = False  # has a pending row
        self.resend = False
        self.replay_id: str | None = None

    @property
    def members(self) -> Sequence["Delivery"]:
        return (self,)

    @property
    def parcel(self) -> Parcel:
        """What it goes out as."""
        return self.batch or self

    @property
    def untried(self) -> bool:
        """Whether it was never sent, and does not belong to a batch."""
        return not self.attempts and (self.phase is Phase.READY or self.phase is Phase.WAITING)

    def sending(self) -> Send:
        return Send(self.position, self.attempts, self.fresh, self.folded, (), self.replay_id)

    def row(self) -> Pending:
        """Its pending row."""
        parcel = self.batch or self
        ended = parcel.attempts - (parcel.phase is Phase.SENDING)
        if self.resend:
            state = PendingState.RESEND
        elif self.phase is Phase.WAITING or (self.batch is not None and not ended):
            state = PendingState.WAITING
        else:
            state = PendingState.RETRYING
        return Pending(
            self.position, self.key, state, parcel.due_at, parcel.failures, ended, parcel.first_attempt_at,
            parcel.last_attempt_at, self.type, self.batch.name if self.batch is not None else None, self.replay_id,
        )  # fmt: skip


class Batch(Parcel):
    """Several deliveries that go out in one request, again and again the same ones."""

    __slots__ = ("_members", "blocked")

    def __init__(self, members: Sequence[Delivery]) -> None:
        super().__init__(members[0].position)
        self._members = tuple(members)
        self.blocked = 0  # lanes in which something stands before its deliveries
        for member in members:
            member.batch = self
            member.phase = Phase.PACKED

    @property
    def members(self) -> Sequence[Delivery]:
        return self._members

    @property
    def name(self) -> Batched:
        """What tells it from every other batch."""
        return Batched(self.position, len(self._members))

    def sending(self) -> Send:
        parts = tuple(Part(member.position, member.folded) for member in self._members)
        return Send(self.position, self.attempts, self.fresh, (), parts, self._members[0].replay_id)


class Lane(deque[Delivery]):
    """The deliveries of one key, in log order. Only its head is sent; the others wait."""

    __slots__ = ("probed_at",)

    def __init__(self, first: Sequence[Delivery]) -> None:
        super().__init__(first)
        self.probed_at: int | None = None


_NO_LANE = Lane(())
