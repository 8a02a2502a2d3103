"""Which deliveries go out together in one request, where an endpoint takes batches.

A batch is made up once, of what lies at the heads of lanes and right behind, in log order. It is stored before it goes
out and stays as it is until all of it is settled, so that the receiver is given the same request again after a failure
or a crash. Two things take it apart: a receiver to which it is too large, and an endpoint that takes no batches any
more.
"""

import heapq
from collections.abc import Callable

from waypost.delivery.lanes import Lanes
from waypost.delivery.parcels import Batch, Delivery, Lane, Parcel, Phase
from waypost.delivery.persisting import Ledger
from waypost.delivery.schedule import SECOND
from waypost.delivery.signals import Settings
from waypost.delivery.turns import Turns


class Packer:
    """Makes batches up and takes them apart."""

    def __init__(self, settings: Settings, lanes: Lanes, turns: Turns, ledger: Ledger) -> None:
        self.storing = 0  # batches that are not on disk yet
        self._packed = 0  # deliveries in batches
        self._lanes = lanes
        self._turns = turns
        self._ledger = ledger
        self.use(settings, 0)

    def use(self, settings: Settings, now: int) -> None:
        """Go on with other settings."""
        self.size = settings.batch_size
        self._wait_us = round(settings.batch_wait_s * SECOND)
        self._turns.gather(gathers=self.size is not None, now=now)

    # -- making up

    @property
    def due_at(self) -> int | None:
        """When those that wait for others have waited long enough."""
        since = self._turns.gathered_since
        return None if since is None or self._turns.first_gathered() is None else since + self._wait_us

    def is_due(self, now: int) -> bool:
        """Whether a batch is full, or its first has waited long enough."""
        due_at = self.due_at
        if self.size is None or due_at is None:
            return False
        return due_at <= now or (len(self._lanes.owed) - self._packed >= self.size and self._is_full(self.size))

    def _is_full(self, size: int) -> bool:
        count = 0
        for head in self._turns.gathered():
            for delivery in head.lane:
                if not delivery.untried or count >= size:
                    break
                count += 1
        return count >= size

    def pack(self, count_max: int, fold: Callable[[Delivery], list[Lane]]) -> None:
        """Make a batch up of what has gathered, `count_max` at most. `fold` gives the lanes in which one was folded."""
        packed: list[Delivery] = []
        behind: list[tuple[int, Delivery]] = []  # what stands right behind what is packed
        places: dict[int, int] = {}  # how many of a lane are packed
        folded: dict[int, Lane] = {}
        while len(packed) < count_max and (delivery := self._next(behind)) is not None:
            lane = delivery.lane
            if lanes := fold(delivery):
                folded |= {id(one): one for one in lanes}
            else:
                packed.append(delivery)
                places[id(lane)] = places.get(id(lane), 0) + 1
                delivery.phase = Phase.PACKED
            place = places.get(id(lane), 0)
            if place < len(lane) and lane[place].untried:
                heapq.heappush(behind, (lane[place].position, lane[place]))
        if packed:
            self._store(Batch(packed))
        for lane in folded.values():
            # It came forward, or holds others, and does not go out with this batch.
            if lane and (lane[0].phase is Phase.WAITING or (lane[0].phase is Phase.READY and lane[0].folded)):
                lane[0].phase = Phase.STORING
                self._ledger.hold(lane[0].position)
        self._turns.gather_anew()

    def _next(self, behind: list[tuple[int, Delivery]]) -> Delivery | None:
        while behind and not behind[0][1].untried:
            heapq.heappop(behind)  # it was folded meanwhile
        head = self._turns.first_gathered()
        if behind and (head is None or behind[0][0] < head.position):
            return heapq.heappop(behind)[1]
        if head is not None:
            self._turns.pop_gathered()
        return head

    def pack_alone(self, delivery: Delivery) -> None:
        """Make up a batch of one: what was tried before, was asked for again, or shall find out how things stand.

        A batch is known by its first event and its size. One whose first was tried before could be taken for another.
        """
        batch = Batch((delivery,))
        batch.take_history(delivery)
        self._store(batch)

    def _store(self, batch: Batch) -> None:
        batch.phase = Phase.STORING
        self.storing += 1
        for member in batch.members:
            self._packed += not member.resend
            self._ledger.keep(member)
        self._ledger.hold(batch.position)

    def take_up(self, members: list[Delivery]) -> Batch:
        """Take a batch up again as it was stored."""
        batch = Batch(members)
        batch.take_history(members[0])
        self._packed += sum(not member.resend for member in members)
        return batch

    def stored(self, batch: Batch, now: int) -> None:
        """It is on disk, and may go out."""
        self.storing -= 1
        if batch.blocked:
            batch.phase = Phase.WAITING
        else:
            self._turns.make_ready(batch, now)

    # -- taking apart

    def settled(self, parcel: Parcel) -> None:
        """All of it is settled."""
        if isinstance(parcel, Batch):
            self._packed -= sum(not member.resend for member in parcel.members)

    def split(self, batch: Batch) -> None:
        """Make two of one that is too large. The second waits for the first where they have lanes in common."""
        middle = (len(batch.members) + 1) // 2
        self.settled(batch)
        batch.phase = Phase.GONE
        for members in (batch.members[:middle], batch.members[middle:]):
            half = Batch(members)
            half.take_history(batch)
            self._store(half)
            self._lanes.count_blocked(half)

    def unpack(self, batch: Batch, now: int) -> None:
        """Let its deliveries go out one by one, in order."""
        self.settled(batch)
        storing, retried = batch.phase is Phase.STORING, batch.phase is Phase.RETRYING
        self.storing -= storing
        batch.phase = Phase.GONE
        for member in batch.members:
            member.take_history(batch)
            member.batch = None
            member.phase = Phase.WAITING
            self._ledger.keep(member)
        for member in batch.members:
            if member.lane[0] is not member:
                continue
            if storing:  # with it, maybe, what was folded into it
                member.phase = Phase.STORING
                self._ledger.hold(member.position)
            elif retried:
                self._turns.retry(member, member.due_at)
            else:
                self._turns.make_ready(member, now)
