"""A crueller world around one engine: reads and writes take time, and nothing comes at a good moment.

Sends are kept back, rows are read while others are written, resends come as the log makes them, settings and ordering
change, receivers answer 410 and ask for patience, and a crash comes with writes under way. `run_world` lives through
one; `check` says whether it kept what deliveries promise. Both follow from the seed alone.
"""

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from delivery.endpoint_world import Sent, World
from waypost.delivery.engine import Engine
from waypost.delivery.schedule import SECOND
from waypost.delivery.signals import (
    Answer,
    AttemptEnded,
    Effect,
    LogRead,
    NotSent,
    Owed,
    Paused,
    Pending,
    PendingState,
    Persist,
    ReadLog,
    ResendAsked,
    Resumed,
    Send,
    Settings,
    SettingsChanged,
    Signal,
    Start,
    Stored,
    TimeIs,
    Verdict,
    WakeAt,
)

STEPS_MAX = 60_000
KEPT_BACK_RATIO = 0.1
TYPES = ("shipment.updated", "shipment.eta_changed", "shipment.status.collected")
SCHEDULES = ((5.0,), (1.0, 5.0), (5.0, 300.0, 1800.0), (0.1,) * 6)
MOODS = (
    [Answer.TAKEN],
    [Answer.TAKEN] * 5 + [Answer.REFUSED],
    [Answer.REFUSED],
    [Answer.UNREACHED],
    [Answer.TAKEN] * 3 + [Answer.SLOW_DOWN, Answer.UNREACHED, Answer.STALE, Answer.REFUSED],
    [Answer.TAKEN] * 8 + [Answer.GONE],
    [Answer.TAKEN] * 2 + [Answer.TOO_LARGE],
)
SETTLED = {Verdict.DELIVERED, Verdict.FAILED}


class CruelWorld(World):
    """A world in which everything takes time; the dice say how much."""

    def __init__(self, dice: random.Random, schedule: tuple[float, ...]) -> None:
        self.dice = dice
        self.asked: Counter[int] = Counter()  # resends of what was settled
        self.answers_lost: Counter[int] = Counter()  # taken by the receiver, and lost in a crash
        self.answers = [Answer.TAKEN]
        self.reordered = False
        self.life = 0  # counts crashes: what an earlier life began does not end
        self.out: dict[int, tuple[int, Answer]] = {}
        self.storing: list[Persist] | None = None
        super().__init__(settings=Settings(retry_schedule_s=schedule))

    # -- what befalls it

    def crash(self) -> None:
        for position, (_, answer) in self.out.items():
            self.answers_lost[position] += answer is Answer.TAKEN
        stored = {(position, number) for position, made in self.attempts.items() for number, _ in made}
        for persist in [*(self.storing or []), *self.unstored]:
            for position, number, verdict in persist.attempts:
                lost = verdict is Verdict.DELIVERED and (position, number) not in stored
                self.answers_lost[position] += lost
        self.out.clear()
        self.storing = None
        self.unstored.clear()
        self.life += 1
        self.take_up()

    def take_up(self) -> None:
        """Take the endpoint up as the log gives it: a row says more of its position than the attempts do."""
        self._queue = []
        past = {position: made for position, made in self.attempts.items() if position > self.cursor}
        settled = {position for position, made in past.items() if SETTLED & {verdict for _, verdict in made}}
        folded = {position for position in self.folded if position > self.cursor}
        start = Start(
            cursor=self.cursor, log_end=len(self.log), standing=self.standing, paused=self.paused,
            pending=tuple(self.rows.values()), settled_past_cursor=frozenset(settled - set(self.rows) | folded),
            attempts_past_cursor={position: max(number for number, _ in made) for position, made in past.items()},
            folded=self.held(),
        )  # fmt: skip
        self.engine = Engine(self.settings, start, self.now)
        self.give(TimeIs())

    def resend(self, position: int) -> None:
        """Ask for an event again: the row is written at once, and the engine's owner reads the rows a little later."""
        row = self.rows.get(position)
        made = self.attempts.get(position, [])
        if row is not None:
            row = replace(row, due_at=self.now)
        elif position > self.cursor and not self.is_settled(position):
            return  # it is owed anyway
        else:
            number = max((number for number, _ in made), default=0)
            key, _, name = self.log[position - 1]
            row = Pending(position, key, PendingState.RESEND, self.now, 0, number, type=name)
        self.asked[position] += row.state is PendingState.RESEND
        self.rows[position] = row
        self._read_rows()

    def is_settled(self, position: int) -> bool:
        """Whether it was delivered, failed for good, or goes out with a newer one."""
        return position in self.folded or bool(SETTLED & {verdict for _, verdict in self.attempts.get(position, [])})

    def change(self, settings: Settings) -> None:
        self.reordered |= settings.ordered != self.settings.ordered
        self.settings = settings
        self.give(SettingsChanged(settings))

    def pause(self, *, paused: bool) -> None:
        self.paused = paused
        self.give(Paused() if paused else Resumed())

    def run(self, *, until_s: float | None = None, steps: int = STEPS_MAX) -> None:
        for _ in range(steps):
            if not self._queue or (until_s is not None and self._queue[0][0] > until_s * SECOND):
                break
            at, _, (life, act) = heapq.heappop(self._queue)
            self.now = max(self.now, at)
            if life == self.life:
                act()
        else:
            raise AssertionError("the world does not come to rest")
        if until_s is not None:
            self.now = max(self.now, round(until_s * SECOND))

    # -- what the engine says

    def _do(self, effect: Effect) -> None:
        match effect:
            case Send():
                if self.dice.random() < KEPT_BACK_RATIO:
                    self._after(self.dice.choice([0.01, 1, 30]), lambda: self._send_late(effect))
                else:
                    self._send(effect)
            case ReadLog(after, limit):
                page = self.log[after : after + min(limit, self.dice.choice([1, 3, 256]))]
                owed = [Owed(after + 1 + i, key, name) for i, (key, wanted, name) in enumerate(page) if wanted]
                self._tell_after(self.dice.choice([0, 0.001, 0.1, 3]), LogRead(owed, after + len(page)))
            case WakeAt(at):
                self._tell_after(max(0, at - self.now) / SECOND, TimeIs())
            case Persist():
                self.unstored.append(effect)
                self._store_soon()

    def _send_late(self, send: Send) -> None:
        if self.engine.may_still_go(send.position, self.now):
            self._send(send)
        else:
            self.give(NotSent(send.position, send.fresh))

    def _send(self, send: Send) -> None:
        position = send.position
        assert not self.paused, f"{position} goes out of a paused endpoint"
        self.check_request(send)
        answer = self.dice.choice(self.answers)
        took_s = self.dice.choice([0.001, 0.02, 0.5, 15])
        retry_after_s = self.dice.choice([None, 1.0, 120.0, 7200.0]) if answer is Answer.SLOW_DOWN else None
        self.requests.append(send)
        for part in send.parts:
            self.out[part.position] = (send.number, answer)
            self.sent.append(Sent(part.position, send.number, self.now, answer, send.fresh))
        ended = AttemptEnded(position, answer, self.dice.random(), "said so", retry_after_s, took_s)
        self._after(took_s, lambda: self._end(send, ended))

    def check_request(self, send: Send) -> None:
        """What goes out is stored as it goes out, or another owner could send it in another way."""
        positions = [part.position for part in send.parts]
        assert positions == sorted(set(positions)), f"{positions} go out in another order"
        for part in send.parts:
            assert part.position not in self.out, f"{part.position} is out twice at once"
            stored = tuple(sorted(older for older, into in self.folded.items() if into == part.position))
            assert part.folded == stored, f"{part.position} goes out with {part.folded}, and {stored} is stored"
        if send.batch:
            names = {self.rows[position].batch for position in positions}
            assert names == {(positions[0], len(positions))}, f"{positions} go out as a batch, {names} is stored"

    def _end(self, send: Send, ended: AttemptEnded) -> None:
        for part in send.parts:
            del self.out[part.position]
        self.give(ended)

    def _tell_after(self, delay_s: float, signal: Signal) -> None:
        self._after(delay_s, lambda: self.give(signal))

    def _after(self, delay_s: float, act: Callable[[], None]) -> None:
        self._serial += 1
        heapq.heappush(self._queue, (self.now + round(delay_s * SECOND), self._serial, (self.life, act)))

    # -- the store: one write at a time, of all that waits

    def _store_soon(self) -> None:
        if self.storing is None:
            self.storing, self.unstored = self.unstored, []
            self._after(self.dice.choice([0.001, 0.001, 0.05, 20]), self._commit)

    def _commit(self) -> None:
        for persist in self.storing:
            self._write(persist)
        self._after(self.dice.choice([0, 0.01]), self._stored)

    def _stored(self) -> None:
        waited_for = tuple(position for persist in self.storing for position in persist.waited_for)
        self.storing = None
        if waited_for:
            self.give(Stored(waited_for))
        if self.unstored:
            self._store_soon()

    def _write(self, persist: Persist) -> None:
        """As the log does: what is gone goes first, and a row that is there keeps its key."""
        for position in persist.gone:
            self.rows.pop(position, None)
        known = {row.position: self.rows[row.position].key for row in persist.put if row.position in self.rows}
        put = tuple(replace(row, key=known.get(row.position, row.key)) for row in persist.put)
        super()._write(replace(persist, gone=(), put=put))

    def _read_rows(self) -> None:
        """Read the rows, but take none for new that was settled since the reading began, by an attempt of its own."""
        settled = self._settled_unstored()

        def read() -> None:
            late = settled | self._settled_unstored()
            rows = tuple(row for row in self.rows.values() if row.attempts >= late.get(row.position, 0))
            self.give(ResendAsked(rows, self.held()))

        self._after(self.dice.choice([0.001, 0.01]), read)

    def _settled_unstored(self) -> dict[int, int]:
        attempts = [made for persist in [*(self.storing or []), *self.unstored] for made in persist.attempts]
        return {position: number for position, number, verdict in attempts if verdict in SETTLED}


W = TypeVar("W", bound=CruelWorld)


def run_world(dice: random.Random, steps: int) -> CruelWorld:
    """Live through `steps` things that happen, then let everything heal and come to rest."""
    schedule = dice.choice(SCHEDULES)
    return live(CruelWorld(dice, schedule), steps, lambda world: befall(world, dice, schedule))


def live(world: W, steps: int, befall: Callable[[W], None]) -> W:
    """Let `steps` things befall a world, then let it come to rest."""
    dice = world.dice
    for _ in range(steps):
        world.answers = dice.choice(MOODS)
        befall(world)
        world.run(until_s=world.now / SECOND + dice.choice([0.005, 0.05, 1, 20, 400, 4000]))
    world.answers = [Answer.TAKEN]
    world.change(replace(world.settings, in_flight_max=16, rate_per_second=None))
    world.pause(paused=False)
    world.append("z")
    world.run()
    world.pause(paused=False)  # one that was out may have been answered 410
    world.run()
    return world


def befall(world: CruelWorld, dice: random.Random, schedule: tuple[float, ...]) -> None:
    """Let one of the usual things happen."""
    what = dice.choice(["append", "append", "append", "crash", "resend", "resend", "pause", "change", "resume", "wait"])
    match what:
        case "append":
            many = dice.choice([1, 3, 10, 40])
            world.append(*[(dice.choice("abcd"), dice.random() < 0.8, dice.choice(TYPES)) for _ in range(many)])
        case "crash":
            world.crash()
        case "resend" if world.log:
            for _ in range(dice.choice([1, 1, 4])):
                world.resend(dice.randrange(1, len(world.log) + 1))
        case "pause" | "resume":
            world.pause(paused=what == "pause")
        case "change":
            rate = dice.choice([None, None, 5.0])
            in_flight_max = dice.choice([1, 4, 16])
            world.change(Settings(
                retry_schedule_s=schedule, in_flight_max=in_flight_max, rate_per_second=rate,
                ordered=world.settings.ordered if dice.random() < 0.8 else not world.settings.ordered,
                coalesce=dice.random() < 0.5, batch_size=dice.choice([None, 1, 3, 50]),
                batch_wait_s=dice.choice([0, 0.05, 10]),
            ))  # fmt: skip


def check(world: CruelWorld) -> None:
    """Whatever happened: nothing lost, nothing left over, nothing too often, each shipment in order."""
    check_nothing_is_lost_or_left(world)
    check_nothing_is_taken_too_often(world)
    if not world.reordered:
        check_order(world)


def check_nothing_is_lost_or_left(world: CruelWorld) -> None:
    for position, (_, wanted, _) in enumerate(world.log, 1):
        assert not wanted or world.is_settled(world.folded.get(position, position)), f"{position} is lost"
    assert (world.rows, world.cursor) == ({}, len(world.log))
    assert (world.engine.idle, world.engine.in_flight, world.engine.owed_count) == (True, 0, 0)


def check_nothing_is_taken_too_often(world: CruelWorld) -> None:
    taken = Counter(sent.position for sent in world.sent if sent.answer is Answer.TAKEN)
    for position, count in taken.items():
        _, wanted, _ = world.log[position - 1]
        allowed = wanted + world.asked[position] + world.answers_lost[position]
        assert count <= allowed, f"{position} was taken {count} times, {allowed} are explained"


def check_order(world: CruelWorld) -> None:
    for key in "abcd":
        mine = [position for position in world.arrivals() if world.log[position - 1][:2] == (key, True)]
        well = [p for p in mine if Verdict.FAILED not in {verdict for _, verdict in world.attempts.get(p, [])}]
        well = [p for p in well if not (p in world.folded and world.asked[p])]  # one that was asked for comes late
        assert well == sorted(well), f"{key} came in another order: {well}"
