"""Service processes: the real worker and the log's real statements, on a machine with a clock of its own.

A process is an API that others call, and a worker. A machine starts its process again after it died or was stopped.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from waypost.clock import IdSource
from waypost.delivery.audience import REMIND_EVERY_S
from waypost.delivery.dispatch import Dispatcher
from waypost.delivery.worker import PAUSE_S_MAX, Worker
from waypost.errors import CallerError
from waypost.ids import AccountId
from waypost.log import events
from waypost.log.committing import unavailable
from waypost.log.group import Committed
from waypost.simulator.clocks import WorldClock
from waypost.simulator.history import ProcessTurn
from waypost.simulator.log_client import LogClient
from waypost.simulator.store import GroupWriter, Killed, Trouble

if TYPE_CHECKING:
    from waypost.simulator.world import World

T = TypeVar("T")

DATABASE_S = (0.0001, 0.004)  # one way to the database
NOTICE_S = (0.0005, 0.03)
RESTART_S = (0.2, 2.0, 30.0)
SLOW_S_MAX = 120.0  # of a commit or a read; behind a slower one thousands of calls would pile up
STANDSTILL_S_MAX = 7200.0  # of a process, unless its lease is longer
POLL_EVERY_S = 5.0
RETRIES_A_LEASE = 20.0  # while the database is away, between two times that a lease is to be renewed
_COMMIT_TROUBLES = (
    ("commit_fails", "fails"),
    ("commit_lies", "lies"),
    ("deadlock", "begin"),
    ("crash_before_commit", "kills_before"),
    ("crash_after_commit", "kills_after"),
)
COMMITTED_ALTHOUGH_DEAD = 0.5  # of the commits under way when their process dies


class Machine:
    """A place where one process runs at a time. Its clock outlives the processes."""

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.number = number
        self.dice = world.dice(f"machine/{number}")
        self.process: Process | None = None
        self.cut_until_s = 0.0  # of its way to the database
        self._starting = False
        harms = world.config.harms
        skew_s = drift = 0.0
        if self.dice.random() < harms.get("clock_skew", 0.0):
            skew_s = self.dice.choice([-1, 1]) * self.dice.choice([1.0, 60.0, 3600.0])
            world.harm("clock_skew")
        if self.dice.random() < harms.get("clock_drift", 0.0):
            drift = self.dice.choice([-1, 1]) * self.dice.choice([1e-5, 1e-3])
            world.harm("clock_drift")
        self.clock = WorldClock(world.loop, skew_s=skew_s, drift=drift)

    def start(self) -> None:
        """Start its process, and let befall it what is to befall it."""
        self._run()
        for name, act in {
            "crash_any_time": self._crash,
            "stop": self._stop,
            "process_paused": lambda: self._pause(longer=True),
            "process_starved": lambda: self._pause(longer=False),
            "clock_steps": self._step_clock,
            "clock_frozen": self._freeze_clock,
            "connection_cut": self._cut,
        }.items():
            for at_s in self.world.times_of(name, str(self.number)):
                self.world.loop.in_world(at_s, self._befall, act)

    def _befall(self, act: Callable[[], None]) -> None:
        if self.world.harmful:
            act()

    def _run(self) -> None:
        self._starting = False
        if self.process is None:
            self.process = Process(self.world, self, self.world.next_process())
            self.turn("started")

    def turn(self, what: str, detail: str = "") -> None:
        """Write down what became of the process."""
        assert self.process is not None
        clock = self.clock.now_us()
        self.world.record(ProcessTurn(self.world.at, self.process.number, what, detail, clock))

    def kill(self, harm: str, request: int | None = None) -> None:
        """Kill the process, as SIGKILL does, and start another one later."""
        process = self.process
        if process is None:
            return
        self.world.harm(harm, process=process.number, request=request)
        self.turn("killed", harm)
        process.end()
        self._start_later()

    def kill_if(self, process: "Process", harm: str, request: int) -> None:
        """Kill `process` if it still runs."""
        if self.process is process and self.world.harmful:
            self.kill(harm, request)

    def ended(self) -> None:
        """Note that the process has ended by itself."""
        if self.process is not None:
            self.turn("ended")
            self.process.end()
            self._start_later()

    def _start_later(self) -> None:
        self.process = None
        if not self._starting:
            self._starting = True
            delay_s = self.dice.choice(RESTART_S) if self.world.harmful else RESTART_S[0]
            self.world.loop.in_world(delay_s, self._run)

    def heal(self) -> None:
        """Let nothing be in its way any more."""
        self.cut_until_s = 0.0
        self.clock.set_right()
        if self.process is not None:
            self._wake(self.process)

    def _crash(self) -> None:
        self.kill("crash_any_time")

    def _stop(self) -> None:
        if self.process is not None and self.process.serves:
            self.world.harm("stop", process=self.process.number)
            self.turn("stop")
            self.process.stop()

    def _pause(self, *, longer: bool) -> None:
        process = self.process
        if process is None or process.life.paused:
            return
        ttl_s = self.world.config.lease_ttl_s
        spans_s = (
            [ttl_s * 1.2, max(ttl_s * 1.2, min(ttl_s * 10, STANDSTILL_S_MAX))]
            if longer
            else [0.1, 1.0, min(ttl_s * 0.5, 60.0)]
        )
        span_s = self.dice.choice(spans_s)
        until_s = self.world.loop.time() + span_s
        self.world.harm("process_paused" if longer else "process_starved", process=process.number, until_s=until_s)
        self.turn("paused")
        self.world.loop.pause(process.life)
        self.world.loop.in_world(span_s, self._wake, process)

    def _wake(self, process: "Process") -> None:
        if process.life.alive and process.life.paused:
            self.turn("woken")
            self.world.loop.wake(process.life)

    def _step_clock(self) -> None:
        by_s = self.dice.choice([-1, 1]) * self.dice.choice([1.0, 1.0, 3600.0, 3600.0, 10 * 365 * 86400.0])
        self.clock.step(by_s)
        self.world.harm("clock_steps", process=None if self.process is None else self.process.number)
        if self.process is not None:
            self.turn("stepped", f"{by_s:+g} s")

    def _freeze_clock(self) -> None:
        self.clock.freeze()
        span_s = self.world.slot_s * self.dice.choice([0.05, 0.5])
        number = None if self.process is None else self.process.number
        self.world.harm("clock_frozen", process=number, until_s=self.world.loop.time() + span_s)
        self.world.loop.in_world(span_s, self.clock.thaw)

    def _cut(self) -> None:
        self.cut_until_s = self.world.loop.time() + self.world.config.lease_ttl_s * self.dice.choice([1.5, 3])
        number = None if self.process is None else self.process.number
        self.world.harm("connection_cut", process=number, until_s=self.cut_until_s)


class Process:
    """One life of a service: it serves calls and delivers, until it is killed or stopped."""

    def __init__(self, world: "World", machine: Machine, number: int) -> None:
        self.world = world
        self.machine = machine
        self.number = number
        self.clock = machine.clock
        self.dice = world.dice(f"process/{number}")
        self.life, self.context = world.loop.begin(f"process {number}")
        self.serves = True
        self.ids = IdSource(self.dice.getrandbits)
        self.writer = GroupWriter(world.database, self.ids, self._write, self._reachable)
        self.writer.on_commit = self._committed
        self.log = LogClient(self)
        self.sender = world.network.sender(self)
        config = world.config
        self.worker = Worker(
            self.log, Dispatcher(self.sender, self.clock), self.clock, self.ids, owner=f"p{number}",
            dice=world.dice(f"jitter/{number}"), lease_ttl_s=config.lease_ttl_s, lease_every_s=config.lease_every_s,
            remind_every_s=max(REMIND_EVERY_S, config.lease_every_s / 4),
            retry_s_max=max(PAUSE_S_MAX, config.lease_every_s / RETRIES_A_LEASE),
        )  # fmt: skip
        self._calls: list[asyncio.Future[Any]] = []
        self._running = self.spawn(self.worker.run())
        if not config.alone:
            self.spawn(self._poll())
        self._ended = False
        self.spawn(self._wait_for_end())

    def spawn(self, work: Any) -> "asyncio.Task[Any]":
        """Run a coroutine in this process."""
        return self.world.loop.create_task(work, context=self.context.copy())

    def soon(self, callback: Callable[..., object], *args: Any) -> None:
        """Call back in this process, if it still lives."""
        self.world.loop.call_soon(callback, *args, context=self.context)

    def calm(self, lease_ttl_s: float, lease_every_s: float) -> None:
        """Renew leases less often from now on: nothing happens any more, and somebody waits for the last retry."""
        self.worker.lease_ttl_s = max(lease_ttl_s, self.worker.lease_ttl_s)
        self.worker.lease_every_s = max(lease_every_s, self.worker.lease_every_s)

    def stop(self) -> None:
        """Tell it to stop, as SIGTERM does."""
        self.serves = False
        self.soon(self._running.cancel)

    def end(self) -> None:
        """Let nothing of it run any more. Those who called it hear that the connection is gone."""
        self.serves = False
        self.world.loop.kill(self.life)
        self.writer.close()
        for answer in self._calls:
            self.world.loop.in_world(0.001, _resolve, answer, unavailable("The connection was cut."))
        self._calls.clear()

    def serve(
        self, call: "Callable[[LogClient], Awaitable[T]]", answer: "asyncio.Future[T | CallerError | Any]"
    ) -> bool:
        """Serve a call of the API; `answer` hears what became of it. False when nobody listens."""
        if not self.serves:
            return False
        self._calls.append(answer)
        self.spawn(self._serve(call, answer))
        return True

    async def _serve(self, call: "Callable[[LogClient], Awaitable[T]]", answer: "asyncio.Future[Any]") -> None:
        try:
            outcome: object = await call(self.log)
        except CallerError as error:
            outcome = error
        self._calls.remove(answer)
        self.world.loop.in_world(self.dice.uniform(0.0005, 0.02), _resolve, answer, outcome)

    async def _wait_for_end(self) -> None:
        await asyncio.wait([self._running])
        self.machine.ended()

    # -- word from other processes

    def hear(self, committed: Committed) -> None:
        """Hear of a commit of another process."""
        self.soon(tell, self.worker, committed)

    def _committed(self, committed: Committed) -> None:
        tell(self.worker, committed)
        self.world.network.announce(self, committed)

    async def _poll(self) -> None:
        """Look now and then where the logs end: word of it may be lost."""
        while True:
            await asyncio.sleep(max(POLL_EVERY_S, self.worker.lease_every_s) * self.dice.uniform(0.8, 1.2))
            try:
                ends = await self.log.read(
                    lambda connection: {
                        AccountId(account): events.log_end(connection, AccountId(account))
                        for account in self.world.accounts
                    }
                )
            except CallerError:
                continue  # the database is away; the next look tells
            self.worker.log_grew(ends)

    # -- the way to the database

    def _reachable(self) -> None:
        """Raise when the database cannot be reached."""
        if self.world.loop.time() < max(self.world.away_until_s, self.machine.cut_until_s):
            raise OperationalError("connect", None, ConnectionRefusedError("connection refused"))

    def _write(self, do: Callable[[], object], answer: Callable[[object], None]) -> None:
        world, dice = self.world, self.dice
        there_s = dice.uniform(*DATABASE_S)
        if world.happens("slow_commit", dice):
            there_s += dice.choice(
                [0.5, 3.0, *(min(world.config.lease_ttl_s * part, SLOW_S_MAX) for part in (0.5, 1.5))]
            )
            world.harm("slow_commit", process=self.number, until_s=world.loop.time() + there_s)
        world.loop.in_world(there_s, self._write_there, do, answer)

    def _write_there(self, do: Callable[[], object], answer: Callable[[object], None]) -> None:
        """Do a group at the database, at its own instant."""
        world = self.world
        dead = not self.life.alive
        if world.over or (dead and (world.config.alone or self.dice.random() >= COMMITTED_ALTHOUGH_DEAD)):
            return
        trouble, harm = self._trouble()
        world.database.trouble = trouble
        world.committing = self
        killed = False
        try:
            result = do()
        except Killed:
            killed = True
        finally:
            world.committing = None
            world.database.trouble = Trouble()
        if killed:
            self.machine.kill(harm)  # what it was to answer is never heard
            return
        if harm and trouble == Trouble():  # else it was never asked to commit
            world.harm(harm, process=self.number)
        world.loop.in_world(self.dice.uniform(*DATABASE_S), self.soon, answer, result)

    def _trouble(self) -> tuple[Trouble, str]:
        """Draw what befalls a commit; a harm is written down with its name."""
        world, dice = self.world, self.dice
        if not self.life.alive:
            return Trouble(), ""
        for name, how in _COMMIT_TROUBLES:
            if world.happens(name, dice):
                return Trouble(begin_fails=how == "begin", commit="" if how == "begin" else how), name
        return Trouble(), ""

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Read at the database, at its own instant."""
        world, dice = self.world, self.dice
        answer: asyncio.Future[T] = world.loop.create_future()
        there_s = dice.uniform(*DATABASE_S)
        if world.happens("slow_read", dice):
            there_s += dice.choice([0.5, 3.0, min(world.config.lease_ttl_s, SLOW_S_MAX)])
            world.harm("slow_read", process=self.number, until_s=world.loop.time() + there_s)
        world.loop.in_world(there_s, self._read_there, query, answer)
        return await answer

    def _read_there(self, query: Callable[[Connection], T], answer: "asyncio.Future[T]") -> None:
        world = self.world
        if world.over or not self.life.alive:
            return
        back_s = self.dice.uniform(*DATABASE_S)
        fails = world.happens("read_fails", self.dice)
        if fails:
            world.harm("read_fails", process=self.number)
        try:
            self._reachable()
            if fails:
                raise OperationalError("SELECT", None, ConnectionResetError("connection reset"))
            outcome = world.database.read(query)
        except OperationalError as error:
            failure = unavailable("The database is away; try again.")
            failure.__cause__ = error
            world.loop.in_world(back_s, self.soon, _fail, answer, failure)
        except Exception as error:  # noqa: BLE001 - told to whoever asked
            world.loop.in_world(back_s, self.soon, _fail, answer, error)
        else:
            world.loop.in_world(back_s, self.soon, _resolve, answer, outcome)


def tell(worker: Worker, committed: Committed) -> None:
    """Tell a worker what was committed, as the service does; in an order that no hash decides."""
    for account_id, positions in committed.erased.items():
        worker.events_rewritten(account_id, positions)
    worker.log_grew(committed.accounts)
    for account_id, endpoint_id in sorted(committed.endpoints):
        worker.endpoint_changed(account_id, endpoint_id)


def _resolve(future: "asyncio.Future[Any]", value: object) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: "asyncio.Future[Any]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
