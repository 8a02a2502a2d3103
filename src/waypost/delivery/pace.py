"""How quickly an endpoint is sent to: so many attempts at once, and so many a second.

The window grows by one with each quick answer until trouble has shown where it ends, from then on by one a round; a
timeout, a reset or a request to slow down halves it. So a receiver is neither run over nor left waiting.
"""

from waypost.delivery.schedule import SECOND
from waypost.delivery.signals import Settings

WINDOW_START = 4.0  # attempts at once before the receiver has shown what it takes
FAST_ANSWER_S = 2.0  # a receiver that takes longer is not given more at once


class Pace:
    """The window of attempts at once, and the rate."""

    def __init__(self, settings: Settings, window: float) -> None:
        self.window = min(window, float(settings.in_flight_max))
        self.next_send_at = 0  # by the rate
        self._in_flight_max = settings.in_flight_max
        self._growth_limit = float(settings.in_flight_max)
        self._interval_us = _interval_us(settings)

    def use(self, settings: Settings, now: int) -> None:
        """Go on with other settings; what was learnt of the receiver stands as far as they allow."""
        if settings.in_flight_max != self._in_flight_max:
            self._in_flight_max = settings.in_flight_max
            self._growth_limit = float(settings.in_flight_max)
            self.window = min(self.window, self._growth_limit)
        self._interval_us = _interval_us(settings)
        self.next_send_at = min(self.next_send_at, now + self._interval_us)

    def begin_small(self) -> None:
        """Begin with one attempt at a time: much may have gathered."""
        self.window = 1.0
        self._growth_limit = float(self._in_flight_max)

    def narrow(self) -> None:
        """Send half as many at once."""
        self.window = self._growth_limit = max(1.0, self.window / 2)

    def answered(self, took_s: float) -> None:
        """Send more at once if the answer was quick."""
        if took_s <= FAST_ANSWER_S and self.window < self._in_flight_max:
            step = 1.0 if self.window < self._growth_limit else 1.0 / self.window
            self.window = min(self.window + step, float(self._in_flight_max))

    def room(self, in_flight: int) -> bool:
        """Whether one more may be out."""
        return in_flight < int(self.window)

    def sent(self, now: int) -> None:
        """Count a request against the rate."""
        if self._interval_us:
            self.next_send_at = max(now, self.next_send_at) + self._interval_us


def _interval_us(settings: Settings) -> int:
    return 0 if settings.rate_per_second is None else round(SECOND / settings.rate_per_second)
