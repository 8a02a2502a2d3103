"""The worker: owns clock, store and sender, and runs the engines of the endpoints it has leases for.

Each of its loops goes on after any error, with growing pauses, and says so. Endpoints share the connection pool's
process, the log's rows in memory and the writes to disk; nothing else, so that one in trouble costs only itself.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import inf
from typing import Any, Protocol, TypeVar

import structlog

from waypost.clock import Clock, IdSource, to_micros
from waypost.delivery.audience import REMIND_EVERY_S, Audience
from waypost.delivery.dispatch import Dispatcher
from waypost.delivery.rows import RowCache
from waypost.delivery.runner import Key, Runner
from waypost.delivery.signals import LogGrew, TimeIs
from waypost.delivery.turnstile import Turnstile
from waypost.errors import NotFound, Unavailable
from waypost.events.patterns import Wants
from waypost.ids import AccountId, EndpointId
from waypost.log.records import EndpointWrite, Lease, LoadedEndpoint, LogRow

UNSTORED_MAX = 2_000  # attempts whose results may wait for a slow disk before no more go out
LEASE_TTL_S = 5.0
LEASE_EVERY_S = 1.5
LEASES_A_ROUND = 1_000
STARTED_TOGETHER = 200  # loaded by a few statements, and started in one turn of the event loop
WRITES_A_TIME = 1_000  # endpoints in one transaction; their names are parameters of one statement
PAUSE_S_MIN, PAUSE_S_MAX = 0.05, 5.0
LOOKS_A_RETRY = 100  # for whether all is stored, in the longest pause
ASIDE_S_MIN, ASIDE_S_MAX = 1.0, 300.0  # until an endpoint that broke is begun anew, longer each time
READ_ROWS = 256  # at least so many rows a read, since other endpoints stand near
WIND_DOWN_S_MAX = 5.0
RELEASE_S_MAX = 2.0

log = structlog.get_logger(__name__)
T = TypeVar("T")


class Store(Protocol):
    """The log, as far as delivery needs it. Every call may raise while the database is away."""

    async def take_leases(self, owner: str, ttl_s: float, limit: int, held: frozenset[Key]) -> list[Lease]:
        """Take endpoints that no living worker owns, or that are ours and not `held`; live on for `ttl_s`."""
        ...

    async def renew_lease(self, owner: str, ttl_s: float) -> bool:
        """Live on for `ttl_s`; False when the lease had lapsed and everything may be another's."""
        ...

    async def release_leases(self, owner: str) -> None:
        """Leave them to others at once."""
        ...

    async def load_endpoint(self, account_id: AccountId, endpoint_id: EndpointId) -> LoadedEndpoint:
        """Give all that an owner needs. Raises NotFound when the endpoint is gone."""
        ...

    async def load_endpoints(self, names: Sequence[Key]) -> Mapping[Key, LoadedEndpoint]:
        """Give the same of many endpoints; those that are gone are left out."""
        ...

    async def events_after(self, account_id: AccountId, position: int, limit: int) -> list[LogRow]:
        """Give the log's rows after `position`, in order."""
        ...

    async def events_at(self, account_id: AccountId, positions: Sequence[int]) -> list[LogRow]:
        """Give these rows, as far as they are there."""
        ...

    async def persist(self, writes: Sequence[EndpointWrite]) -> set[tuple[AccountId, EndpointId]]:
        """Store all of it; gives the endpoints whose lease is another's now, of which nothing was stored."""
        ...


@dataclass(slots=True)
class _Aside:
    """An endpoint that broke: left alone until the instant `until` of the monotonic clock."""

    until: float
    pause_s: float


class Worker:
    """Delivers the events of the endpoints it holds. `run` does it until cancelled."""

    def __init__(
        self,
        store: Store,
        dispatcher: Dispatcher,
        clock: Clock,
        ids: IdSource,
        *,
        owner: str,
        dice: random.Random | None = None,
        lease_ttl_s: float = LEASE_TTL_S,
        lease_every_s: float = LEASE_EVERY_S,
        remind_every_s: float = REMIND_EVERY_S,
        retry_s_max: float = PAUSE_S_MAX,
    ) -> None:
        """`owner` names this process in leases; `dice` draws the jitter.

        A lease holds for `lease_ttl_s` and is renewed every `lease_every_s`: so long a dead worker's endpoints wait.
        Both may be changed while it runs. Every `remind_every_s` some endpoints are reminded to store how far they
        are. While the database is away, it is asked again after `retry_s_max` seconds at the latest.
        """
        self.clock = clock
        self.ids = ids
        self.dispatcher = dispatcher
        self.rows = RowCache()
        self.owner = owner
        self._store = store
        self.lease_ttl_s = lease_ttl_s
        self.lease_every_s = lease_every_s
        self._remind_every_s = remind_every_s
        self._retry_s_max = retry_s_max
        self._dice = dice or random.Random()  # noqa: S311 - jitter, not a secret
        self._anchor_us = to_micros(clock.now()) - round(clock.monotonic() * 1_000_000)
        self._runners: dict[Key, Runner] = {}
        self._audiences: dict[AccountId, Audience] = {}
        self._ends: dict[AccountId, int] = {}
        self._erasures = 0
        self._reading: dict[tuple[AccountId, int], asyncio.Future[list[LogRow]]] = {}
        self._to_store: dict[Key, Runner] = {}
        self._store_wanted = asyncio.Event()
        self._unstored = 0
        self._waiting = 0  # attempts of runners in _to_store
        self._to_start: dict[Key, Lease] = {}
        self._starting = asyncio.Lock()
        self._ours_until = -inf  # on the monotonic clock: by then another worker may have taken what we hold
        self._aside: dict[Key, _Aside] = {}
        self._held_back: deque[Callable[[], None]] = deque()
        self._turnstile = Turnstile()
        self._to_sync: dict[Key, bool] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._leases_held = False
        self._stored_last = True

    # -- what the service calls

    async def run(self, *, started: Callable[[], None] | None = None) -> None:
        """Deliver until cancelled; then let what is out end, store what came of it and let the leases go."""
        leases = asyncio.create_task(self._forever("leases", self._hold_leases))
        store = asyncio.create_task(self._forever("store", self._store_what_waits))
        cursors = asyncio.create_task(self._forever("cursors", self._remind_of_cursors))
        if started:
            started()
        try:
            await asyncio.gather(asyncio.shield(leases), asyncio.shield(store), asyncio.shield(cursors))
        finally:
            leases.cancel()
            cursors.cancel()
            await self._wind_down()
            store.cancel()
            await asyncio.gather(leases, store, cursors, return_exceptions=True)

    def log_grew(self, ends: Mapping[AccountId, int]) -> None:
        """Say that accounts' logs now end at these positions. Call it in the event loop."""
        for account_id, end in ends.items():
            self._ends[account_id] = max(end, self._ends.get(account_id, 0))
            if (audience := self._audiences.get(account_id)) is not None:
                audience.grew(end)

    def events_rewritten(self, account_id: AccountId, positions: Iterable[int]) -> None:
        """Say that an erasure rewrote events: what is remembered of them must not go out. In the event loop."""
        self._erasures += 1
        rewritten = frozenset(positions)
        for position in rewritten:
            self.rows.forget(account_id, position)
        for runner in self._audiences.get(account_id, ()):
            runner.forget_answers(rewritten)

    def broke(self, runner: Runner) -> None:
        """Begin anew, a little later, with an endpoint that failed by a bug: it is taken again as it is stored."""
        if self._runners.get(runner.key) is runner:
            before = self._aside.get(runner.key)
            pause_s = ASIDE_S_MIN if before is None else min(before.pause_s * 2, ASIDE_S_MAX)
            self._aside[runner.key] = _Aside(self.clock.monotonic() + pause_s, pause_s)
            self._drop(runner.key)

    def endpoint_changed(self, account_id: AccountId, endpoint_id: EndpointId) -> None:
        """Say that an endpoint was made, changed, paused, resumed, deleted or asked to resend. In the event loop.

        Of one commit say this before `log_grew`: events that came with the change are judged by what it says.
        """
        key = (account_id, endpoint_id)
        if (runner := self._runners.get(key)) is not None:
            runner.expect_change()
        if key in self._to_sync:
            self._to_sync[key] = True  # once more, since what is being read may be older than this
            return
        self._to_sync[key] = False
        self.spawn(self._sync(key))

    def ready(self) -> bool:
        """Say whether delivery works: leases are held, and the last results went to disk."""
        return self._leases_held and self.is_ours() and self._stored_last and not self._stopping

    @property
    def endpoints(self) -> int:
        """How many endpoints this worker delivers to."""
        return len(self._runners)

    @property
    def in_flight(self) -> int:
        """How many attempts are out."""
        return sum(len(runner.out) for runner in self._runners.values())

    @property
    def idle(self) -> bool:
        """Whether nothing is owed, out or to be stored, as far as this worker knows."""
        stored = not self._to_store and not self._unstored
        judged = all(audience.idle for audience in self._audiences.values())
        return stored and judged and all(run.engine.idle for run in self._runners.values())

    # -- what runners call

    def now_us(self) -> int:
        """Give the engine's time: the wall clock at the start, moved on by the monotonic one."""
        return self._anchor_us + round(self.clock.monotonic() * 1_000_000)

    def jitter(self) -> float:
        """Draw a number in [0, 1)."""
        return self._dice.random()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` beside; what it raises is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def store_soon(self, runner: Runner, attempts: int) -> None:
        """Put what the runner has to store on disk, together with that of others; `attempts` are new among it."""
        self._to_store[runner.key] = runner
        self._waiting += attempts
        self._store_wanted.set()

    def rest(self, runner: Runner, wants: Wants | None) -> bool:
        """Let an endpoint rest until its account's log brings what it `wants`; None when nothing there concerns it."""
        return self._audiences[runner.key[0]].rest(runner, wants, self.clock.monotonic())

    def rouse(self, runner: Runner) -> None:
        """Let an endpoint catch up with what was judged for it while it rested."""
        self._audiences[runner.key[0]].rouse(runner)

    def may_send(self, start: Callable[[], None]) -> bool:
        """Say whether an attempt may go out now; when not, `start` is called once it may."""
        if self._stopping or not self.is_ours():
            return False
        if self._unstored + self._waiting < UNSTORED_MAX:
            return True
        self._held_back.append(start)
        return False

    def begin(self, account_id: AccountId, start: Callable[[], None]) -> None:
        """Call `start` now or in a moment, when the attempts of other accounts have had their turn."""
        self._turnstile.enter(account_id, start)

    def is_ours(self) -> bool:
        """Say whether our lease stands: whatever the database could not tell us, until then nobody took anything."""
        return self.clock.monotonic() < self._ours_until

    async def read_log(self, account_id: AccountId, after: int, limit: int) -> list[LogRow]:
        """Give the rows after `after`; endpoints that stand at the same place share one read."""
        key = (account_id, after)
        if key in self._reading:
            return (await self._reading[key])[:limit]
        rows_max = max(limit, READ_ROWS)
        future = self._reading[key] = asyncio.get_running_loop().create_future()
        try:
            rows = await self._read(account_id, lambda: self._store.events_after(account_id, after, rows_max))
            future.set_result(rows)
            return rows[:limit]
        finally:
            del self._reading[key]
            if not future.done():
                future.cancel()

    async def read_rows(self, account_id: AccountId, positions: Sequence[int]) -> list[LogRow]:
        """Give these rows, without those that are not in the log."""
        return await self._read(account_id, lambda: self._store.events_at(account_id, positions))

    async def _read(self, account_id: AccountId, query: Callable[[], Awaitable[list[LogRow]]]) -> list[LogRow]:
        """Read rows and remember them, but never as they were before an erasure that came meanwhile."""
        while True:
            before = self._erasures
            rows = await self._insist("read", query)
            if before == self._erasures:
                self.rows.add(account_id, rows)
                return rows

    # -- leases

    async def _hold_leases(self) -> None:
        if await self._start_more() == LEASES_A_ROUND:
            return
        self._leases_held = True
        await asyncio.sleep(self.lease_every_s)
        began = self.clock.monotonic()
        if await self._store.renew_lease(self.owner, ttl_s=self.lease_ttl_s):
            self._renewed(began)
        else:
            self._ours_until = -inf

    def _renewed(self, began: float) -> None:
        """Note that a call that began at `began` renewed our lease. One that has lapsed meanwhile is not ours again."""
        if self.is_ours():
            self._ours_until = began + self.lease_ttl_s

    async def _let_go(self) -> None:
        """Give up what others may have taken, once what is known is stored as far as they have not."""
        if self._runners:
            log.warning("leases_lapsed", owner=self.owner, endpoints=len(self._runners))
        while self._to_store or self._unstored:  # noqa: ASYNC110 - the database is away, so there is no hurry
            await asyncio.sleep(self._retry_s_max / LOOKS_A_RETRY)
        for key in tuple(self._runners):
            self._drop(key)
        self._to_start.clear()
        self._ours_until = self.clock.monotonic() + self.lease_ttl_s  # nothing is held, so nothing can lapse

    async def _start_more(self, wanted: Key | None = None) -> int:
        """Take leases and start their endpoints; what the database did not let us start is started by the next call.

        Nothing is to be done when `wanted` was started meanwhile, by a call that others wait behind.
        """
        async with self._starting:
            if wanted in self._runners:
                return 0
            if not self.is_ours():
                await self._let_go()
            began = self.clock.monotonic()
            resting = {key for key, aside in self._aside.items() if aside.until > began}
            held = frozenset(self._runners) | self._to_start.keys() | resting
            taken = await self._store.take_leases(self.owner, ttl_s=self.lease_ttl_s, limit=LEASES_A_ROUND, held=held)
            self._renewed(began)
            self._to_start |= {(lease.account_id, lease.endpoint_id): lease for lease in taken}
            while self._to_start:
                await self._start_some(list(islice(self._to_start, STARTED_TOGETHER)))
            return len(taken)

    async def _start_some(self, keys: list[Key]) -> None:
        """Start these endpoints of `_to_start`; what is wrong with one costs only itself."""
        for key, loaded in (await self._load(keys)).items():
            try:
                self._start(self._to_start[key], loaded)
            except Exception:
                log.exception("endpoint_not_started", account_id=key[0], endpoint_id=key[1])
        for key in keys:
            del self._to_start[key]  # also of those that were deleted since the lease was taken

    async def _load(self, keys: list[Key]) -> Mapping[Key, LoadedEndpoint]:
        """Load these endpoints; one that cannot be read is left out, and the log says why."""
        try:
            return await self._store.load_endpoints(keys)
        except Unavailable:
            raise
        except Exception:
            if len(keys) == 1:
                log.exception("endpoint_not_started", account_id=keys[0][0], endpoint_id=keys[0][1])
                return {}
        return {key: loaded for one in keys for key, loaded in (await self._load([one])).items()}

    def _start(self, lease: Lease, loaded: LoadedEndpoint) -> None:
        key = (lease.account_id, lease.endpoint_id)
        self._drop(key)
        end = self._ends.get(lease.account_id, 0)
        runner = self._runners[key] = Runner(self, lease, loaded)
        self._audiences.setdefault(lease.account_id, Audience(self, lease.account_id, end)).add(runner)
        if key in self._to_sync:
            runner.expect_change()  # what was loaded may be older
        runner.give(TimeIs())
        if end > loaded.log_position:
            runner.give(LogGrew(end))

    def _drop(self, key: Key) -> None:
        runner = self._runners.pop(key, None)
        if runner is None:
            return
        runner.drop()
        if not self._stopping:
            self.dispatcher.forget(*key)
        if self._to_store.pop(key, None) is not None:
            self._waiting -= len(runner.unstored.attempts)
        audience = self._audiences[key[0]]
        audience.remove(runner)
        if not len(audience):
            del self._audiences[key[0]]

    async def _sync(self, key: Key) -> None:
        while True:
            await self._insist("sync", lambda: self._sync_once(key))
            if not self._to_sync.pop(key):
                return
            self._to_sync[key] = False

    async def _sync_once(self, key: Key) -> None:
        runner = self._runners.get(key)
        if runner is None:
            await self._start_more(key)
            runner = self._runners.get(key)
            if runner is None:
                return  # another worker's, or deleted
        # Another call may have started it from what was read before the change: it is read once more.
        runner.expect_change()
        runner.begin_reading()
        try:
            loaded = await self._store.load_endpoint(*key)
        except NotFound:
            self._drop(key)
            return
        if runner.dropped:
            await self._sync_once(key)  # another has taken its place, and expects to hear
        elif loaded.endpoint.epoch > runner.epoch:
            self._drop(key)  # it was taken from us, as retention does when it gives deliveries up; begin anew
            await self._sync_once(key)
        else:
            runner.refresh(loaded, is_latest=not self._to_sync[key])

    # -- storing

    async def _remind_of_cursors(self) -> None:
        await asyncio.sleep(self._remind_every_s)
        for audience in tuple(self._audiences.values()):
            if audience.is_behind:
                await audience.remind(self.clock.monotonic)

    async def _store_what_waits(self) -> None:
        await self._store_wanted.wait()
        self._store_wanted.clear()
        runners, self._to_store = self._to_store, {}
        taken = [(runner, *runner.take_unstored()) for runner in runners.values() if not runner.dropped]
        self._waiting = 0
        if not taken:
            self._release_held_back()
            return
        self._unstored = sum(len(write.attempts) for _, write, _ in taken)
        writes = [write for _, write, _ in taken]
        stale: set[Key] = set()
        refused: set[Key] = set()
        for start in range(0, len(writes), WRITES_A_TIME):
            await self._persist(writes[start : start + WRITES_A_TIME], stale, refused)
        self._unstored = 0
        for runner, _, waited_for in taken:
            if runner.key in refused:
                self.broke(runner)
            elif runner.key in stale:
                log.warning("lease_lost", account_id=runner.key[0], endpoint_id=runner.key[1])
                if self._runners.get(runner.key) is runner:
                    self._drop(runner.key)
            elif not runner.dropped:
                self._aside.pop(runner.key, None)
                runner.stored(waited_for)
        self._release_held_back()

    async def _persist(self, writes: list[EndpointWrite], stale: set[Key], refused: set[Key]) -> None:
        """Store `writes`; note the endpoints that are another's now as `stale`, and those that cannot be stored."""
        try:
            stale |= await self._insist("persist", lambda: self._persist_once(writes), only=Unavailable)
        except Exception:
            if len(writes) == 1:
                key = (writes[0].account_id, writes[0].endpoint_id)
                log.exception("endpoint_not_stored", account_id=key[0], endpoint_id=key[1])
                refused.add(key)
                self._stored_last = True  # the database answers; this one alone it does not take
                return
            for write in writes:
                await self._persist([write], stale, refused)

    async def _persist_once(self, writes: list[EndpointWrite]) -> set[Key]:
        try:
            stale = await self._store.persist(writes)
        except Exception:
            self._stored_last = False
            raise
        self._stored_last = True
        return stale

    def _release_held_back(self) -> None:
        while self._held_back and self._waiting < UNSTORED_MAX:
            self._held_back.popleft()()

    # -- going on

    async def _forever(self, name: str, step: Callable[[], Awaitable[None]]) -> None:
        pause_s = PAUSE_S_MIN
        while True:
            try:
                await step()
                pause_s = PAUSE_S_MIN
            except asyncio.CancelledError:
                raise
            except Exception:  # a loop that ends would hold every delivery for good
                log.exception("delivery_loop_failed", loop=name, again_in_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, self._retry_s_max)

    async def _insist(self, what: str, act: Callable[[], Awaitable[T]], only: type[Exception] = Exception) -> T:
        """Do `act` until it does not raise `only`: the database is away, and what was promised waits for it."""
        pause_s = PAUSE_S_MIN
        while True:
            try:
                return await act()
            except asyncio.CancelledError:
                raise
            except only as error:
                log.warning("delivery_must_wait", doing=what, error=str(error), again_in_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, self._retry_s_max)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("delivery_task_failed", exc_info=error)

    async def _wind_down(self) -> None:
        """Nothing new goes out; what is out ends as cancelled or answered, and is written down."""
        self._stopping = True
        self._leases_held = False
        self._turnstile.close()
        await self.dispatcher.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WIND_DOWN_S_MAX):
                while self.in_flight or self._to_store or self._unstored:  # noqa: ASYNC110 - the process is ending
                    await asyncio.sleep(0.01)
        with contextlib.suppress(TimeoutError, Unavailable):
            async with asyncio.timeout(RELEASE_S_MAX):
                await self._store.release_leases(self.owner)
        for key in tuple(self._runners):
            self._drop(key)
        for task in self._tasks:
            task.cancel()
