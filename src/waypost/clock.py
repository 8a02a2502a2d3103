"""Time and new ids, for the shells. The core never imports this: it is handed what it needs.

A test or a simulator brings its own clock and its own randomness; `SystemClock` and `IdSource` are the real ones.
"""

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from waypost.ids import RANDOM_BITS, EndpointId, EventId, ShipmentId, ulid

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
RANDOM_BLOCK_BYTES = 4096


class Clock(Protocol):
    """Where a shell reads the time."""

    def now(self) -> datetime:
        """Give the wall clock in UTC, cut to whole milliseconds, as it is stored and shown."""
        ...

    def monotonic(self) -> float:
        """Give seconds that never step back, for time-outs and waits."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """Give the wall clock in UTC, cut to whole milliseconds."""
        # Several times for each delivery: cutting a datetime down would take three times as long.
        seconds, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
        return EPOCH + timedelta(0, seconds, milliseconds * 1000)

    def monotonic(self) -> float:
        """Give seconds that never step back."""
        return time.monotonic()


def to_micros(instant: datetime) -> int:
    """Give the Unix time in microseconds, as the database keeps instants. Exact: no float on the way."""
    return (instant - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Give the instant of a Unix time in microseconds, in UTC."""
    return EPOCH + timedelta(microseconds=micros)


class RandomBits:
    """Gives random bits out of the system's, drawn in blocks: a draw for each id would cost more than the id."""

    def __init__(self) -> None:
        self._block = b""
        self._used = 0

    def __call__(self, bits: int) -> int:
        """Give `bits` random bits as a number. Not for secrets, and not for two threads at once."""
        size = (bits + 7) // 8
        if self._used + size > len(self._block):
            self._block, self._used = os.urandom(RANDOM_BLOCK_BYTES), 0
        self._used += size
        return int.from_bytes(self._block[self._used - size : self._used], "big") >> (size * 8 - bits)


class IdSource:
    """Makes ids that sort in the order they were made within this process, also when the clock steps back."""

    def __init__(self, randomness: Callable[[int], int] | None = None) -> None:
        """`randomness` gives that many random bits, asked by one thread at a time; a simulator brings its own."""
        self._randomness = randomness or RandomBits()
        self._lock = threading.Lock()
        self._last_ms = 0
        self._last_random = 0

    def new(self, prefix: str, now: datetime) -> str:
        """Give `prefix` and a ULID for `now`. Ids made in one millisecond count up from a random start."""
        at_ms = to_micros(now) // 1000
        with self._lock:
            if at_ms > self._last_ms:
                # The top bit stays free, so that counting up cannot run out of the 80 bits.
                self._last_ms, self._last_random = at_ms, self._randomness(RANDOM_BITS - 1)
            else:
                self._last_random += 1 + self._randomness(24)
            return prefix + ulid(self._last_ms, self._last_random)

    def event_id(self, now: datetime) -> EventId:
        """Give a new `evt_…`."""
        return EventId(self.new("evt_", now))

    def shipment_id(self, now: datetime) -> ShipmentId:
        """Give a new `shp_…`."""
        return ShipmentId(self.new("shp_", now))

    def endpoint_id(self, now: datetime) -> EndpointId:
        """Give a new `ep_…`."""
        return EndpointId(self.new("ep_", now))
