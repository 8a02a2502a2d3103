"""How a failing endpoint is asked whether it is back: one probe at a time, and of whom the next."""

from collections.abc import Sequence

from waypost.delivery.health import FAILURES_IN_A_ROW_MAX
from waypost.delivery.lanes import Lanes
from waypost.delivery.parcels import Lane, Parcel
from waypost.delivery.schedule import next_probe_at


class Probes:
    """Counts the probes of one trouble and says when the next is due."""

    def __init__(self, failures_in_a_row: int, now: int) -> None:
        self.next_at = now
        self._made = max(0, failures_in_a_row - FAILURES_IN_A_ROW_MAX)

    def begin(self, lanes: Lanes, schedule_s: Sequence[float], now: int, jitter: float) -> None:
        """The endpoint is seen to fail: wait a little before the first probe."""
        self.end(lanes)
        self.next_at = next_probe_at(now, 0, schedule_s, jitter)

    def failed(self, schedule_s: Sequence[float], now: int, jitter: float) -> None:
        """Wait longer before the next."""
        self.next_at = next_probe_at(now, self._made, schedule_s, jitter)
        self._made += 1

    def end(self, lanes: Lanes) -> None:
        """The trouble is over."""
        self._made = 0
        for head in lanes.heads():
            head.lane.probed_at = None


def next_probe(lanes: Lanes) -> Parcel | None:
    """Give the head of the lane tried least recently: a refused event cannot hide that others would pass."""

    def tried(candidate: tuple[Lane, Parcel]) -> tuple[int, int]:
        lane, parcel = candidate
        return parcel.last_attempt_at or 0 if lane.probed_at is None else lane.probed_at, parcel.position

    chosen = min(lanes.waiting_parcels(), key=tried, default=None)
    return None if chosen is None else chosen[1]


def note_probe(parcel: Parcel, now: int) -> None:
    """Put the lanes of what is sent as a probe last in the line."""
    for member in parcel.members:
        member.lane.probed_at = now
