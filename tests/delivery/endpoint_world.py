"""A small world around one engine: a log, a store that keeps what is persisted, and a receiver that says what it likes.

Time is a number that the world moves on by itself; a crash throws the engine away and takes it up from the store.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from waypost.delivery.engine import Engine
from waypost.delivery.schedule import SECOND
from waypost.delivery.signals import (
    Answer,
    AttemptEnded,
    Effect,
    LogGrew,
    LogRead,
    Owed,
    Pending,
    PendingState,
    Persist,
    ReadLog,
    ResendAsked,
    Send,
    Settings,
    Signal,
    Standing,
    Start,
    Stored,
    TimeIs,
    Verdict,
    WakeAt,
)

SCHEDULE = (5.0, 300.0, 1800.0)
Receiver = Callable[[int, int, int], Answer]  # position, attempt number, now


def always(answer: Answer) -> Receiver:
    return lambda position, number, now: answer


@dataclass
class Sent:
    position: int
    number: int
    at: int
    answer: Answer
    fresh: bool


Entry = tuple[str, bool, str]  # key, wanted, type


def entry(given: tuple[str, bool] | tuple[str, bool, str] | str) -> Entry:
    """An event of the log: a wanted one of no particular type where only its key is given."""
    key, wanted, type_name = (given, True, "") if isinstance(given, str) else (*given, "")[:3]
    return key, wanted, type_name


@dataclass
class World:
    log: Sequence[tuple[str, bool] | Entry | str] = ()  # position 1 is the first
    receiver: Receiver = field(default_factory=lambda: always(Answer.TAKEN))
    settings: Settings = field(default_factory=lambda: Settings(retry_schedule_s=SCHEDULE))
    now: int = 0
    latency_us: int = 20_000
    retry_after_s: float | None = None
    jitter: Callable[[], float] = lambda: 0.5
    store_by_hand: bool = False

    def __post_init__(self) -> None:
        self.log = [entry(given) for given in self.log]
        self.cursor = 0
        self.standing = Standing()
        self.rows: dict[int, Pending] = {}
        self.attempts: dict[int, list[tuple[int, Verdict]]] = {}
        self.folded: dict[int, int] = {}
        self.sent: list[Sent] = []  # of a batch, each of its events
        self.requests: list[Send] = []
        self.paused = False
        self.max_in_flight = 0
        self.rows_written = 0
        self.unstored: list[Persist] = []
        self._serial = 0
        self.take_up()

    # -- what the tests ask

    def arrivals(self) -> list[int]:
        """Positions in the order of their first arrival at a receiver that took them."""
        return list(dict.fromkeys(sent.position for sent in self.sent if sent.answer is Answer.TAKEN))

    def verdict(self, position: int) -> Verdict | None:
        verdicts = [verdict for _, verdict in self.attempts.get(position, [])]
        return Verdict.DELIVERED if Verdict.DELIVERED in verdicts else (verdicts[-1] if verdicts else None)

    def attempts_of(self, position: int) -> list[int]:
        return [sent.at // SECOND for sent in self.sent if sent.position == position]

    # -- what the tests do

    def append(self, *entries: tuple[str, bool] | Entry | str) -> None:
        self.log.extend(entry(given) for given in entries)
        self.give(LogGrew(len(self.log)))

    def resend(self, position: int) -> None:
        key, _, type_name = self.log[position - 1]
        made = len(self.attempts.get(position, []))
        row = Pending(position, key, state=PendingState.RESEND, attempts=made, type=type_name)
        self.rows[position] = row
        self.give(ResendAsked((row,), self.held()))

    def held(self) -> dict[int, tuple[int, ...]]:
        """What is folded into the events that are past the cursor or have a row, as the log gives it."""
        held: dict[int, tuple[int, ...]] = {}
        for position, into in sorted(self.folded.items()):
            if into > self.cursor or into in self.rows:
                held[into] = (*held.get(into, ()), position)
        return held

    def crash(self) -> None:
        self.unstored.clear()
        self.take_up()

    def take_up(self) -> None:
        self._queue: list[tuple[int, int, Signal | None]] = []
        past = {position: verdicts for position, verdicts in self.attempts.items() if position > self.cursor}
        settled = frozenset(p for p in past if self.verdict(p) in {Verdict.DELIVERED, Verdict.FAILED})
        settled |= {position for position in self.folded if position > self.cursor}
        self.engine = Engine(
            self.settings,
            Start(
                cursor=self.cursor, log_end=len(self.log), standing=self.standing, paused=self.paused,
                pending=tuple(self.rows.values()), settled_past_cursor=settled,
                attempts_past_cursor={position: len(verdicts) for position, verdicts in past.items()},
                folded=self.held(),
            ),
            self.now,
        )  # fmt: skip
        self.give(TimeIs())

    def give(self, signal: Signal) -> None:
        for effect in self.engine.take(signal, self.now):
            self._do(effect)

    def store(self) -> None:
        """Put on disk what waits for it."""
        for persist in self.unstored:
            self._write(persist)
        waited_for = tuple(position for persist in self.unstored for position in persist.waited_for)
        self.unstored.clear()
        if waited_for:
            self.give(Stored(waited_for))

    def run(self, *, until_s: float | None = None, steps: int = 100_000) -> None:
        """Let time pass: up to `until_s`, or until nothing is left to happen."""
        for _ in range(steps):
            if not self._queue or (until_s is not None and self._queue[0][0] > until_s * SECOND):
                break
            at, _, signal = heapq.heappop(self._queue)
            self.now = max(self.now, at)
            self.give(signal or TimeIs())
        else:
            raise AssertionError("the world does not come to rest")
        if until_s is not None:
            self.now = round(until_s * SECOND)

    # -- effects

    def _do(self, effect: Effect) -> None:
        match effect:
            case Send(position, number, fresh):
                answer = self.receiver(position, number, self.now)
                self.requests.append(effect)
                self.sent += [Sent(part.position, number, self.now, answer, fresh) for part in effect.parts]
                self.max_in_flight = max(self.max_in_flight, self.engine.in_flight)
                took_s = self.latency_us / SECOND
                ended = AttemptEnded(position, answer, self.jitter(), "said so", self.retry_after_s, took_s)
                self._later(self.now + self.latency_us, ended)
            case ReadLog(after, limit):
                page = self.log[after : after + limit]
                owed = [Owed(after + 1 + i, key, name) for i, (key, wanted, name) in enumerate(page) if wanted]
                self._later(self.now, LogRead(owed, after + len(page)))
            case WakeAt(at):
                self._later(at, None)
            case Persist():
                self.unstored.append(effect)
                if not self.store_by_hand:
                    self.store()

    def _later(self, at: int, signal: Signal | None) -> None:
        self._serial += 1
        heapq.heappush(self._queue, (at, self._serial, signal))

    def _write(self, persist: Persist) -> None:
        for position, number, verdict in persist.attempts:
            numbers = [known for known, _ in self.attempts.setdefault(position, [])]
            assert number not in numbers, f"attempt {number} of {position} is stored twice"
            self.attempts[position].append((number, verdict))
        for row in persist.put:
            self.rows[row.position] = row
            self.rows_written += 1
        for position in persist.gone:
            self.rows.pop(position, None)
        self.folded |= dict(persist.folded)
        if persist.cursor is not None:
            assert persist.cursor >= self.cursor
            self.cursor = persist.cursor
        self.standing = persist.standing
        self.check_cursor()

    def check_cursor(self) -> None:
        """Every position up to the cursor is settled or written down."""
        for position in range(1, self.cursor + 1):
            _, wanted, _ = self.log[position - 1]
            settled = self.verdict(position) in {Verdict.DELIVERED, Verdict.FAILED} or position in self.folded
            assert not wanted or settled or position in self.rows, f"{position} is lost below {self.cursor}"
