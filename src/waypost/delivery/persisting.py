"""What is to be stored of one endpoint, gathered while the engine takes a signal."""

from waypost.delivery.parcels import Delivery, Parcel
from waypost.delivery.signals import Pending, Persist, Standing, Verdict


class Ledger:
    """Attempts, pending rows, folds and the cursor that are to be stored together."""

    def __init__(self) -> None:
        self.pending_count = 0  # deliveries that have a row, or will have one
        self._waits: dict[int, int] = {}  # by position: how often it is waited for that something of it is on disk
        self.begin()

    def begin(self) -> None:
        """Start with a blank page."""
        self.cursor_moved = False
        self.standing_moved = False
        self._attempts: list[tuple[int, int, Verdict]] = []
        self._put: dict[int, Delivery] = {}
        self._gone: list[int] = []
        self._folded: dict[int, int] = {}
        self._held: list[int] = []

    @property
    def is_open(self) -> bool:
        """Whether anything but the cursor is to be stored."""
        return bool(self._attempts or self._put or self._gone or self.standing_moved or self._folded)

    def attempted(self, parcel: Parcel, verdict: Verdict) -> None:
        """Write down an attempt, for each delivery of it."""
        for member in parcel.members:
            self._attempts.append((member.position, parcel.attempts, verdict))

    def keep(self, delivery: Delivery) -> None:
        """Write a delivery down, or anew."""
        if not delivery.stored:
            delivery.stored = True
            self.pending_count += 1
        self._put[delivery.position] = delivery

    def keep_anew(self, parcel: Parcel) -> None:
        """Write down anew what was written down before."""
        for member in parcel.members:
            if member.stored:
                self._put[member.position] = member

    def strike(self, delivery: Delivery) -> None:
        """Take the row of a delivery away, if it has one."""
        if delivery.stored:
            delivery.stored = False
            self.pending_count -= 1
            self._gone.append(delivery.position)

    def forget(self, delivery: Delivery) -> None:
        """Note that somebody else took the row of a delivery away."""
        if delivery.stored:
            delivery.stored = False
            self.pending_count -= 1

    def folded(self, delivery: Delivery, holder: Delivery) -> None:
        """Write down that a delivery, with what it held, goes out with `holder`."""
        self.strike(delivery)
        self._folded |= dict.fromkeys((*delivery.folded, delivery.position), holder.position)

    def holder_of(self, position: int) -> int:
        """The position of what was just written down to hold the event at `position`."""
        return self._folded[position]

    def hold(self, position: int) -> None:
        """Let what stands at `position` go out only once this is on disk."""
        self._held.append(position)

    def end(self, cursor: int, standing: Standing) -> Persist | None:
        """Give what is to be stored, if anything, and start anew."""
        if not self.cursor_moved and not self.is_open:
            return None
        persist = Persist(
            attempts=tuple(self._attempts),
            put=self._rows() if self._put else (),
            gone=tuple(self._gone),
            cursor=cursor if self.cursor_moved else None,
            standing=standing,
            folded=tuple(self._folded.items()),
            held=tuple(self._held),
        )
        for position in persist.waited_for:
            self._waits[position] = self._waits.get(position, 0) + 1
        self.begin()
        return persist

    def stored(self, position: int) -> bool:
        """Note that what was waited for at `position` is on disk; whether that was the last, so that it may go on.

        What waits now may be another than the one that was written down then: a batch that was taken apart, and made
        up anew. All is stored in the order in which it was told, so the last is its own.
        """
        left = self._waits.pop(position, 1) - 1
        if left:
            self._waits[position] = left
        return not left

    def _rows(self) -> tuple[Pending, ...]:
        gone = set(self._gone)
        return tuple(delivery.row() for position, delivery in self._put.items() if position not in gone)
