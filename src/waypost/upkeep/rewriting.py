"""Hearing of erasures that another service on the same database did.

Within one process an erasure is told as it commits. What other processes remember of the rewritten events is dropped by
this loop: a row that holds personal data stays in memory for some seconds at the most.
"""

from collections.abc import Callable, Iterable

from waypost.clock import Clock, to_micros
from waypost.ids import AccountId
from waypost.log import Log, erasure

EVERY_S = 2.0
OVERLAP_US = 60_000_000  # an erasure commits some time after the instant it bears, by a clock that is not ours

Told = Callable[[AccountId, Iterable[int]], None]


class Rewriting:
    """Tells `told` of every event that was rewritten since this began; of one several times, which does no harm."""

    def __init__(self, log_of_all: Log, clock: Clock, told: Told) -> None:
        self._log = log_of_all
        self._told = told
        self._since = to_micros(clock.now()) - OVERLAP_US
        self._clock = clock

    async def turn(self) -> float:
        """Look once; give the seconds until the next time."""
        now_us = to_micros(self._clock.now())
        since = self._since
        rewritten = await self._log.look(lambda connection, _: erasure.rewritten_since(connection, since))
        for account_id, positions in rewritten.items():
            self._told(account_id, positions)
        self._since = max(self._since, now_us - OVERLAP_US)
        return EVERY_S
