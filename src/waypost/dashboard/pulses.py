"""Who has a page open, and what moved since it was told: one look at an account for all the pages that are open on it.

Pages are told at once of what this process stored, and within POLL_S of what another did. They are told what moved,
never how: each asks again for the parts that it shows, as the person that it is open for.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import structlog

from waypost.clock import Clock
from waypost.errors import TooManyRequests
from waypost.ids import AccountId
from waypost.log import Committed, Log
from waypost.log.pulse import Pulse, take_pulse

STREAMS_PER_ACCOUNT_MAX = 100
POLL_S = 2.0
GATHER_S = 0.2  # after a commit, for those that follow it: what was accepted is delivered a moment later
REST_RATIO = 20  # a look that took long, at thousands of endpoints, is followed by so many times its length of rest
NAMES_MAX = 50  # of endpoints in one message; more are "endpoints"
LOG, ENDPOINTS = "log", "endpoints"

logger = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class _Follower:
    moved: set[str] = field(default_factory=set)
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, names: set[str]) -> None:
        self.moved |= names
        self.woken.set()


class Pulses:
    """The open pages of all accounts. Lives on one event loop."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._followers: dict[AccountId, set[_Follower]] = {}
        self._known: dict[AccountId, Pulse] = {}
        self._grown = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._closing = False
        log.on_commit(self._committed)

    def check_room(self, account_id: AccountId) -> None:
        """Refuse one page too many of an account."""
        if len(self._followers.get(account_id, ())) >= STREAMS_PER_ACCOUNT_MAX:
            raise TooManyRequests(
                f"This account has {STREAMS_PER_ACCOUNT_MAX} pages open that follow what happens. Close some.",
                headers={"retry-after": "30"},
            )

    async def follow(self, account_id: AccountId, quiet_s: float) -> AsyncGenerator[frozenset[str], None]:
        """Give the names of what moved, whenever something did; none of them after `quiet_s` without. Ends when closed.

        Names are `log`, the ids of endpoints, and `endpoints` for many at once. The first time, nothing is named: what
        moves from then on is told.
        """
        follower = _Follower()
        self._followers.setdefault(account_id, set()).add(follower)
        try:
            if account_id not in self._known:
                self._known.setdefault(account_id, await self._take(account_id))
            self._watch()
            yield frozenset()
            while not self._closing:
                await _within(follower.woken, quiet_s)
                moved, follower.moved = frozenset(follower.moved), set()
                follower.woken.clear()
                yield moved
        finally:
            self._leave(account_id, follower)

    def close(self) -> None:
        """End every stream, so that the server can stop."""
        self._closing = True
        self._grown.set()
        for followers in self._followers.values():
            for follower in followers:
                follower.woken.set()

    @property
    def streams(self) -> int:
        """How many pages follow an account now."""
        return sum(map(len, self._followers.values()))

    def _leave(self, account_id: AccountId, follower: _Follower) -> None:
        followers = self._followers[account_id]
        followers.discard(follower)
        if not followers:
            del self._followers[account_id]
            self._known.pop(account_id, None)

    def _committed(self, committed: Committed) -> None:
        touched = set(committed.accounts) | {account_id for account_id, _ in committed.endpoints}
        if not touched.isdisjoint(self._followers):
            self._grown.set()

    def _watch(self) -> None:
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._look_again())

    async def _look_again(self) -> None:
        """Look at every account that a page is open on, until none is."""
        rest_s = GATHER_S
        while self._followers and not self._closing:
            if await _within(self._grown, POLL_S):
                self._grown.clear()
                await asyncio.sleep(rest_s)
            began_s = self._clock.monotonic()
            for account_id in list(self._followers):
                await self._look_at(account_id)
            rest_s = max(GATHER_S, REST_RATIO * (self._clock.monotonic() - began_s))

    async def _look_at(self, account_id: AccountId) -> None:
        try:
            now = await self._take(account_id)
        except Exception:  # the database may be away for a while: it is asked again, and pages are told once it is back
            logger.exception("pulse_failed", account_id=account_id)
            return
        before = self._known.get(account_id, now)
        if account_id not in self._followers:
            return
        self._known[account_id] = now
        moved: set[str] = {LOG} if now.position != before.position else set()
        endpoints = now.changed_since(before)
        moved |= {ENDPOINTS} if len(endpoints) > NAMES_MAX else set(endpoints)
        if moved:
            for follower in self._followers[account_id]:
                follower.tell(moved)

    async def _take(self, account_id: AccountId) -> Pulse:
        return await self._log.look(lambda connection, _: take_pulse(connection, account_id))


async def _within(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait for `event`; False when it took longer than that."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
