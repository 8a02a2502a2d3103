"""Followers of the log: each is woken when its account's log grows, and none holds more than one page of it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager

from waypost.errors import TooManyRequests
from waypost.ids import AccountId
from waypost.log import Committed, Log, LogRow

STREAMS_PER_ACCOUNT_MAX = 100
PAGE_SIZE = 100
KEEP_ALIVE_S = 15.0  # proxies close connections that are silent for a minute, some for half of it

KEEP_ALIVE = b": still here\n\n"


class Tails:
    """Everybody who follows a log by a stream. Lives on one event loop."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._followers: dict[AccountId, set[asyncio.Event]] = {}
        self._closing = False
        self._close_too: list[Callable[[], None]] = []
        log.on_commit(self._committed)

    async def follow(self, account_id: AccountId, after: int) -> AsyncGenerator[LogRow | None, None]:
        """Give the events past `after`, for ever; None when there was nothing for a while. Ends when closed."""
        with self._woken(account_id) as grown:
            while not self._closing:
                grown.clear()
                rows = await self._log.events_after(account_id, after, PAGE_SIZE)
                for row in rows:
                    yield row
                    after = row.position
                if not rows and not await _within(grown, KEEP_ALIVE_S):
                    yield None

    def close(self) -> None:
        """End every stream, so that the server can stop."""
        self._closing = True
        for events in self._followers.values():
            for grown in events:
                grown.set()
        for close in self._close_too:
            close()

    def close_too(self, close: Callable[[], None]) -> None:
        """Call `close` when the streams end, for those of another kind."""
        self._close_too.append(close)

    @contextmanager
    def _woken(self, account_id: AccountId) -> Iterator[asyncio.Event]:
        followers = self._followers.setdefault(account_id, set())
        grown = asyncio.Event()
        followers.add(grown)
        try:
            yield grown
        finally:
            followers.discard(grown)
            if not followers:
                self._followers.pop(account_id, None)

    @property
    def streams(self) -> int:
        """How many follow a log now."""
        return sum(map(len, self._followers.values()))

    def check_room(self, account_id: AccountId) -> None:
        """Refuse one stream too many of an account."""
        if len(self._followers.get(account_id, ())) >= STREAMS_PER_ACCOUNT_MAX:
            raise TooManyRequests(
                f"This account has {STREAMS_PER_ACCOUNT_MAX} streams open already.", headers={"retry-after": "5"}
            )

    def _committed(self, committed: Committed) -> None:
        for account_id in committed.accounts:
            for grown in self._followers.get(account_id, ()):
                grown.set()


async def _within(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait for `event`; False when it took longer than that."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
