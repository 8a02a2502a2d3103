"""Clocks of the world: each tells the loop's time as a machine with its own troubles would."""

from datetime import UTC, datetime, timedelta

from waypost.clock import EPOCH, to_micros
from waypost.simulator.loop import VirtualLoop

BEGAN_AT = datetime(2026, 12, 1, tzinfo=UTC)  # the true time when every run begins
BEGAN_AT_US = to_micros(BEGAN_AT)
YEARS_OFF_MAX = timedelta(days=20 * 366)


class WorldClock:
    """The clock of a machine. `skew_s` is how far its wall clock is off, `drift` by what part it goes too fast.

    The monotonic clock goes right and never steps, whatever is done to the other one.
    """

    def __init__(self, loop: VirtualLoop, *, skew_s: float = 0.0, drift: float = 0.0) -> None:
        self._loop = loop
        self._skew_us = round(skew_s * 1_000_000)
        self._drift = drift
        self._frozen_us: int | None = None

    def now_us(self) -> int:
        """Give the wall clock in microseconds since 1970, cut to whole milliseconds."""
        if self._frozen_us is not None:
            return self._frozen_us
        passed = self._loop.time()
        return (BEGAN_AT_US + self._skew_us + round(passed * (1 + self._drift) * 1_000_000)) // 1000 * 1000

    def now(self) -> datetime:
        """Give the wall clock in UTC, cut to whole milliseconds."""
        return EPOCH + timedelta(microseconds=self.now_us())

    def monotonic(self) -> float:
        """Give seconds that never step back."""
        return self._loop.time()

    def step(self, seconds: float) -> None:
        """Set the wall clock forward, or back; a frozen one goes on from there."""
        self._skew_us += round(seconds * 1_000_000)
        self._frozen_us = None

    def freeze(self) -> None:
        """Let the wall clock stand still until `thaw`."""
        self._frozen_us = self.now_us()

    def thaw(self) -> None:
        """Let the wall clock tell the time again."""
        self._frozen_us = None

    def set_right(self) -> None:
        """Let it tell the true time from now on."""
        self._skew_us, self._drift, self._frozen_us = 0, 0.0, None
