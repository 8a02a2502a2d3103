"""Whose turn it is: parcels that may go out in log order, and those that wait for their time."""

import heapq

from waypost.delivery.parcels import Delivery, Parcel, Phase


class Turns:
    """What may go out, what is gathered for a batch, and what is tried again later.

    An entry is left in its heap when its parcel goes another way, and thrown away when it comes up.
    """

    def __init__(self) -> None:
        self.gathers = False  # whether untried deliveries wait to be packed with others
        self.gathered_since: int | None = None  # since when the first of them waits
        self._ready: list[tuple[int, Parcel]] = []
        self._gathering: list[tuple[int, Delivery]] = []
        self._retries: list[tuple[int, int, Parcel]] = []

    def make_ready(self, parcel: Parcel, now: int) -> None:
        """Let it go out as soon as the endpoint takes it."""
        parcel.phase = Phase.READY
        if self.gathers and isinstance(parcel, Delivery) and not parcel.attempts and not parcel.resend:
            parcel.ready_at = now
            if self.gathered_since is None:
                self.gathered_since = now
            heapq.heappush(self._gathering, (parcel.position, parcel))
        else:
            heapq.heappush(self._ready, (parcel.position, parcel))

    def retry(self, parcel: Parcel, due_at: int) -> None:
        """Let it go out again at `due_at`."""
        parcel.phase = Phase.RETRYING
        parcel.due_at = due_at
        heapq.heappush(self._retries, (due_at, parcel.position, parcel))

    def wake_the_due(self, now: int) -> None:
        """Make ready what waited for a time that has come."""
        retries = self._retries
        while retries and retries[0][0] <= now:
            due_at, _, parcel = heapq.heappop(retries)
            if parcel.phase is Phase.RETRYING and parcel.due_at == due_at:
                self.make_ready(parcel, now)

    @property
    def next_due_at(self) -> int | None:
        """When something is to be tried again, or a little before."""
        return self._retries[0][0] if self._retries else None

    def first(self) -> Parcel | None:
        """The first that may go out; it stays where it is."""
        while self._ready:
            parcel = self._ready[0][1]
            if parcel.phase is Phase.READY:
                return parcel
            heapq.heappop(self._ready)
        return None

    def first_gathered(self) -> Delivery | None:
        """The first that waits to be packed with others; it stays where it is."""
        while self._gathering:
            delivery = self._gathering[0][1]
            if delivery.phase is Phase.READY:
                return delivery
            heapq.heappop(self._gathering)
        return None

    def pop(self) -> None:
        """Take out what `first` gave."""
        heapq.heappop(self._ready)

    def pop_gathered(self) -> None:
        """Take out what `first_gathered` gave."""
        heapq.heappop(self._gathering)

    def gathered(self) -> list[Delivery]:
        """All that wait to be packed with others, in no order."""
        waiting = {delivery.position: delivery for _, delivery in self._gathering if delivery.phase is Phase.READY}
        return list(waiting.values())

    def gather_anew(self) -> None:
        """Note since when the first of those that are left waits."""
        self.gathered_since = min((delivery.ready_at for delivery in self.gathered()), default=None)

    def gather(self, *, gathers: bool, now: int) -> None:
        """Begin or cease to let untried deliveries wait for others."""
        if gathers == self.gathers:
            return
        ready = [parcel for _, parcel in self._ready if parcel.phase is Phase.READY] + self.gathered()
        self.gathers, self.gathered_since = gathers, None
        self._ready.clear()
        self._gathering.clear()
        for parcel in dict.fromkeys(ready):
            self.make_ready(parcel, now)
