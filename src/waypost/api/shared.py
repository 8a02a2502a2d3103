"""What all calls of one application share: the services, who follows the log, and the rate limits."""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from waypost.api.rates import INTAKE, TEST_BUTTON, Rate, RateLimit
from waypost.api.services import Services
from waypost.api.tails import Tails


class Shared:
    """Made once for an application."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.tails = Tails(services.log)
        monotonic = services.clock.monotonic
        self.test_button = RateLimit(TEST_BUTTON, monotonic, "Tests of one endpoint")
        self.intake = RateLimit(INTAKE, monotonic, "Messages of one source")
        per_minute = services.token_rate_per_minute
        self.tokens: RateLimit | None = None
        if per_minute is not None:
            self.tokens = RateLimit(Rate(per_minute, burst=per_minute), monotonic, "Requests of one token")
        self._locks: dict[Hashable, _Lock] = {}

    @asynccontextmanager
    async def one_at_a_time(self, key: Hashable) -> AsyncIterator[None]:
        """Let one caller with this `key` in, and the others wait for their turn."""
        lock = self._locks.setdefault(key, _Lock())
        lock.users += 1
        try:
            async with lock.lock:
                yield
        finally:
            lock.users -= 1
            if not lock.users:
                del self._locks[key]


@dataclass(slots=True)
class _Lock:
    """A lock, and how many hold it or wait for it: it is forgotten when nobody does."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
