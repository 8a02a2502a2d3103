"""The lanes of one endpoint: of each key its deliveries in log order, one at a time.

What was settled and is asked for again has lanes of its own, beside the live ones.
"""

from collections.abc import Iterator

from waypost.delivery.parcels import Batch, Delivery, Lane, Parcel, Phase
from waypost.delivery.turns import Turns

_MOVABLE = frozenset({Phase.WAITING, Phase.READY, Phase.RETRYING})


class Lanes:
    """All deliveries in memory. A lane's head is made ready as soon as it has come forward."""

    def __init__(self, turns: Turns) -> None:
        self.owed: dict[int, Delivery] = {}  # by position
        self.resends: dict[int, Delivery] = {}  # settled ones that were asked for again
        self._turns = turns
        self._live: dict[str, Lane] = {}
        self._again: dict[str, Lane] = {}

    def __bool__(self) -> bool:
        return bool(self.owed or self.resends)

    def heads(self) -> Iterator[Delivery]:
        """The head of each lane."""
        for lane in self._live.values():
            yield lane[0]
        for lane in self._again.values():
            yield lane[0]

    def waiting_parcels(self) -> Iterator[tuple[Lane, Parcel]]:
        """What each lane would send: its head, or the batch of it. Without what is out, or not to be sent yet."""
        for head in self.heads():
            parcel = head.batch or head
            if parcel.phase is Phase.READY or parcel.phase is Phase.RETRYING:
                yield head.lane, parcel

    def batches(self) -> list[Batch]:
        """All batches, in log order."""
        deliveries = (*self.owed.values(), *self.resends.values())
        return sorted({delivery.batch for delivery in deliveries if delivery.batch is not None})

    def being(self, phase: Phase, position: int) -> Parcel | None:
        """What stands at `position` in this phase, if anything."""
        for known in (self.owed, self.resends):
            delivery = known.get(position)
            if delivery is not None and (parcel := delivery.batch or delivery).phase is phase:
                return parcel
        return None

    def join(self, delivery: Delivery, now: int) -> None:
        """Give a delivery its place."""
        deliveries, lanes = (self.resends, self._again) if delivery.resend else (self.owed, self._live)
        deliveries[delivery.position] = delivery
        lane = lanes.get(delivery.key)
        if lane is None:
            lanes[delivery.key] = delivery.lane = Lane((delivery,))
            self._turns.make_ready(delivery, now)
            return
        delivery.lane = lane
        if lane[-1].position < delivery.position:
            lane.append(delivery)
        else:
            self._squeeze_in(lane, delivery, now)

    def _squeeze_in(self, lane: Lane, delivery: Delivery, now: int) -> None:
        """Give an older event its place: it had another lane before the ordering was changed, or is asked for later."""
        # What is out cannot be called back, and a batch that was made up goes out as it is.
        first = max((place + 1 for place, other in enumerate(lane) if other.phase not in _MOVABLE), default=0)
        later = (place for place in range(first, len(lane)) if lane[place].position > delivery.position)
        place = next(later, len(lane))
        lane.insert(place, delivery)
        if place == 0:
            lane[1].phase = Phase.WAITING
            self._turns.make_ready(delivery, now)

    def leave(self, parcel: Parcel, now: int) -> None:
        """Take out what was settled, and let the next of each lane come forward."""
        parcel.phase = Phase.GONE
        if isinstance(parcel, Delivery):
            self._leave_lane(parcel)
            if parcel.lane:
                self.come_forward(parcel.lane[0], now)
            return
        for member in parcel.members:
            self._leave_lane(member)
        for lane in {id(member.lane): member.lane for member in parcel.members}.values():
            if lane:
                self.come_forward(lane[0], now)

    def _leave_lane(self, delivery: Delivery) -> None:
        lane = delivery.lane
        head = lane.popleft()
        assert head is delivery, (head.position, delivery.position)
        deliveries, lanes = (self.resends, self._again) if delivery.resend else (self.owed, self._live)
        del deliveries[delivery.position]
        if not lane:
            del lanes[delivery.key]

    def come_forward(self, head: Delivery, now: int) -> None:
        """Let the new head of a lane go, with its batch if that waited for nothing else."""
        batch = head.batch
        if batch is None:
            if head.phase is Phase.WAITING:
                self._turns.make_ready(head, now)
            return
        batch.blocked -= 1
        if batch.blocked or batch.phase is not Phase.WAITING:
            return
        if batch.attempts and batch.due_at > now:
            self._turns.retry(batch, batch.due_at)
        else:
            self._turns.make_ready(batch, now)

    def remove(self, delivery: Delivery) -> None:
        """Take one out wherever it stands. Who does it looks after the lane's head."""
        delivery.phase = Phase.GONE
        delivery.lane.remove(delivery)
        del self.owed[delivery.position]
        if not delivery.lane:
            del self._live[delivery.key]

    def withdraw(self, delivery: Delivery, now: int) -> None:
        """Take back one that was asked for again and is not out, and let the next of its lane come forward."""
        lane, was_head = delivery.lane, delivery.lane[0] is delivery
        delivery.phase = Phase.GONE
        lane.remove(delivery)
        del self.resends[delivery.position]
        if not lane:
            del self._again[delivery.key]
        elif was_head:
            self.come_forward(lane[0], now)

    def count_blocked(self, batch: Batch) -> None:
        """Note in how many lanes something stands before a batch."""
        lanes = {id(member.lane): member.lane for member in batch.members}
        batch.blocked = sum(lane[0].batch is not batch for lane in lanes.values())
