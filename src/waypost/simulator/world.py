"""The world of one run: time, the database, processes, network and receivers, and the pen that writes its history."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from waypost.errors import CallerError, Unavailable
from waypost.simulator.clocks import WorldClock
from waypost.simulator.config import Config
from waypost.simulator.faults import HARMS, SLOTS, Of
from waypost.simulator.history import Committed, Complaint, Fault, Name, Record
from waypost.simulator.log_client import LogClient
from waypost.simulator.loop import Life, VirtualLoop
from waypost.simulator.network import Network
from waypost.simulator.process import Machine, Process
from waypost.simulator.receivers import Receivers
from waypost.simulator.store import Database, Noted, chance
from waypost.simulator.watching import Changes, in_order

T = TypeVar("T")

SECONDS_AN_HOUR = 3600.0
AWAY_S_MAX = 1800.0  # of the database for everybody: waiting workers ask for it every few seconds
ANSWER_S_MAX = 30.0  # how long a caller of the API waits


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The caller heard nothing: the process died, or the answer took too long. It may be done or not."""


UNANSWERED = Unanswered()


class World:
    """Everything of one run. `history` is what is written down of it."""

    def __init__(self, seed: int, config: Config) -> None:
        self.seed = seed
        self.config = config
        self.history: list[Record] = []
        self.event_facts: dict[tuple[str, int], dict[str, tuple[str, ...]]] = {}
        self.injected: Counter[str] = Counter()
        self.committing: Process | None = None
        self.harmful = True
        self.over = False
        self.accounts = [f"acc{number}" for number in range(1, config.accounts + 1)]
        self.loop = VirtualLoop(self.dice("turns"))  # type: ignore[abstract]  # what is left out is never asked for
        self.loop.on_error = self._broke
        self.database_clock = WorldClock(self.loop)
        self.database = Database(self.accounts, self.database_clock, self._committed)
        self.receivers = Receivers(self)
        self.network = Network(self)
        self.away_until_s = 0.0  # of the database
        self.machines = [Machine(self, number) for number in range(1, config.processes + 1)]
        self._processes = 0
        self._choices = self.dice("choices")

    # -- time and dice

    def dice(self, name: str) -> random.Random:
        """Give dice of their own for a part of the world, so that leaving out another part changes little here."""
        return random.Random(f"{self.seed}/{name}")  # noqa: S311 - no secret

    @property
    def at(self) -> int:
        """The world's own time in whole microseconds."""
        return round(self.loop.time() * 1_000_000)

    @property
    def slot_s(self) -> float:
        """How long a slot is."""
        return self.config.hours * SECONDS_AN_HOUR / SLOTS

    @property
    def patience_s(self) -> float:
        """How long a caller waits at most before it calls again: in runs of weeks nobody asks every minute."""
        return max(60.0, self.slot_s / 20)

    @property
    def slot(self) -> int:
        """The slot of this moment."""
        return int(self.loop.time() / self.slot_s)

    # -- harm

    def happens(self, name: str, dice: random.Random) -> bool:
        """Say whether a harm befalls this occasion. Nothing does once the world is healed."""
        return self.harmful and chance(dice, self.config.harms.get(name, 0.0))

    def harm(
        self,
        name: str,
        *,
        process: int | None = None,
        request: int | None = None,
        until_s: float | None = None,
        touches: Sequence[Name] | None = None,
    ) -> None:
        """Write down that a harm was done."""
        self.injected[name] += 1
        until = None if until_s is None else round(until_s * 1_000_000)
        named = None if touches is None else tuple(touches)
        self.history.append(Fault(self.at, name, process, request, until, named))

    def times_of(self, name: str, key: str = "") -> list[float]:
        """Give the instants, in seconds, at which a harm of slots befalls in this run."""
        assert HARMS[name].of is Of.SLOT, name
        ratio = self.config.harms.get(name, 0.0)
        dice = self.dice(f"{name}/{key}")
        times = []
        for slot in range(SLOTS):
            falls, place = dice.random() < ratio, dice.random()
            if falls:
                times.append((slot + place) * self.slot_s)
        return times

    # -- the pen

    def record(self, record: Record) -> None:
        """Write something down."""
        self.history.append(record)

    def _committed(self, noted: Noted, changes: Changes, lost_answer: bool) -> None:
        """Write down what a commit did, unless it did nothing that is watched."""
        if changes == Changes() and not noted.epochs:
            return
        self.event_facts |= noted.facts
        by = self.committing
        committed = Committed(
            at=self.at,
            process=None if by is None else by.number,
            what=" ".join(noted.what),
            endpoints=tuple(changes.endpoints),
            endpoints_gone=tuple(changes.endpoints_gone),
            pending_put=tuple(changes.pending_put),
            pending_gone=tuple(changes.pending_gone),
            attempts=tuple(changes.attempts),
            attempts_gone=tuple(changes.attempts_gone),
            folds=tuple(changes.folds),
            events=tuple(changes.events),
            events_gone=tuple(changes.events_gone),
            worker_epochs=tuple((Name(*name), epoch) for name, epoch in noted.epochs),
            refused=tuple(in_order(noted.refused)),
            lost_answer=lost_answer,
            rewritten=tuple(changes.rewritten),
            workers=tuple(changes.workers),
            workers_gone=tuple(changes.workers_gone),
            store_clock=self.database_clock.now_us(),
        )
        self.record(committed)

    def _broke(self, life: Life, error: BaseException) -> None:
        """Take an error that nothing in the product caught. One of the world's own is a bug of the simulator."""
        if life is self.loop.world:
            raise error
        if not self.over:
            self.complain(life, f"{type(error).__name__}: {error}")

    def complain(self, life: Life, words: str) -> None:
        """Write down that a process met an error that no harm explains."""
        number = next((process.number for process in self.living() if process.life is life), None)
        self.record(Complaint(self.at, number, words))

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run a coroutine of somebody outside of all processes; its failure ends the run."""
        task = self.loop.create_task(work)
        task.add_done_callback(lambda done: done.result())
        return task

    # -- processes

    def next_process(self) -> int:
        """Give the number of a new life of a process."""
        self._processes += 1
        return self._processes

    def living(self) -> list[Process]:
        """The processes that live, paused ones included."""
        return [machine.process for machine in self.machines if machine.process is not None]

    def start(self) -> None:
        """Start every machine's process, and let harm come to them."""
        for machine in self.machines:
            machine.start()
        self._befall("database_away", self._database_away)
        self._befall("database_clock_steps", self._step_database_clock)

    def _befall(self, name: str, act: Callable[[], None]) -> None:
        for at_s in self.times_of(name):
            self.loop.in_world(at_s, lambda: act() if self.harmful else None)

    def _database_away(self) -> None:
        ttl_s = self.config.lease_ttl_s
        self.away_until_s = self.loop.time() + self._choices.choice(
            [0.5, min(ttl_s * 0.5, 300.0), min(ttl_s * 1.5, AWAY_S_MAX), min(ttl_s * 4, AWAY_S_MAX)]
        )
        self.harm("database_away", until_s=self.away_until_s)

    def _step_database_clock(self) -> None:
        self.database_clock.step(self._choices.choice([1.0, 60.0, 3600.0]))
        self.harm("database_clock_steps")

    # -- the API

    async def ask(self, call: Callable[[LogClient], Awaitable[T]]) -> T | CallerError | Unanswered:
        """Call the API of a process, as somebody outside does. Waits as long as a caller would."""
        dice = self._choices
        processes = [process for process in self.living() if process.serves]
        await asyncio.sleep(dice.uniform(0.0005, 0.02))
        if not processes:
            await asyncio.sleep(1)
            return UNANSWERED
        answer: asyncio.Future[T | CallerError | Unanswered] = self.loop.create_future()
        process = processes[dice.randrange(len(processes))]
        if not process.serve(call, answer):
            return UNANSWERED
        timer = self.loop.call_later(ANSWER_S_MAX, _resolve, answer, UNANSWERED)
        heard = await answer
        timer.cancel()
        return UNANSWERED if isinstance(heard, Unavailable) else heard

    async def insist(self, call: Callable[[LogClient], Awaitable[T]]) -> T | CallerError:
        """Call until there is an answer."""
        pause_s = 0.5
        while True:
            heard = await self.ask(call)
            if not isinstance(heard, Unanswered):
                return heard
            await asyncio.sleep(pause_s * self._choices.uniform(1, 2))
            pause_s = min(pause_s * 2, self.patience_s)

    # -- healing

    def heal(self) -> None:
        """Stop all harm: clocks go right, receivers are good, every machine runs."""
        self.harmful = False
        self.away_until_s = 0.0
        for machine in self.machines:
            machine.heal()


def _resolve(future: "asyncio.Future[T]", value: T) -> None:
    if not future.done():
        future.set_result(value)
