"""The shell around one endpoint's engine: it does what the engine says and tells it what came of it."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import structlog
from msgspec.structs import replace as replace_struct

from waypost.clock import Clock, IdSource, to_micros
from waypost.delivery.announcing import delivery_failed, state_changed
from waypost.delivery.attempt import detail, judge
from waypost.delivery.dispatch import Dispatched, Dispatcher
from waypost.delivery.engine import Engine
from waypost.delivery.explain import explain
from waypost.delivery.health import Health
from waypost.delivery.message import BATCH_TYPE, Message, Part
from waypost.delivery.result import AttemptResult, SendRequest, Timings
from waypost.delivery.rows import RowCache
from waypost.delivery.signals import (
    Answer,
    Effect,
    LogGrew,
    LogRead,
    NotSent,
    Owed,
    Paused,
    Persist,
    ReadLog,
    ResendAsked,
    Resumed,
    Send,
    SettingsChanged,
    Signal,
    Standing,
    Stored,
    TimeIs,
    Verdict,
    WakeAt,
)
from waypost.delivery.translating import (
    batch_id,
    engine_settings,
    engine_start,
    pending_of,
    pending_row,
    standing_row,
)
from waypost.events.patterns import Wants, matcher_of
from waypost.ids import AccountId, EndpointId, EventId
from waypost.log.erasure import erase_answer
from waypost.log.leases import STATE_CHANGES
from waypost.log.records import (
    Announcement,
    AttemptRow,
    EndpointRecord,
    EndpointVersion,
    EndpointWrite,
    Lease,
    LoadedEndpoint,
    LogRow,
    PendingRow,
)
from waypost.log.records import Standing as StandingRow

log = structlog.get_logger(__name__)

Key = tuple[AccountId, EndpointId]

LOST = "What was to be sent is not in the log any more: it was kept for as long as events are kept."


class Host(Protocol):
    """What a runner needs of the worker it lives in."""

    clock: Clock
    ids: IdSource
    dispatcher: Dispatcher
    rows: RowCache

    def now_us(self) -> int:
        """Give the engine's time: microseconds, never stepping back."""
        ...

    def jitter(self) -> float:
        """Draw a number in [0, 1)."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` beside; what it raises is logged."""
        ...

    def store_soon(self, runner: "Runner", attempts: int) -> None:
        """Put what the runner has to store on disk, together with that of others; `attempts` are new among it."""
        ...

    def broke(self, runner: "Runner") -> None:
        """Begin anew with an endpoint whose engine failed."""
        ...

    def rest(self, runner: "Runner", wants: Wants | None) -> bool:
        """Let it rest until the log brings what it `wants`; None when nothing there concerns it for now."""
        ...

    def rouse(self, runner: "Runner") -> None:
        """Let it catch up with what was judged for it while it rested."""
        ...

    def may_send(self, start: Callable[[], None]) -> bool:
        """Say whether an attempt may go out now; when not, `start` is called once it may."""
        ...

    def begin(self, account_id: AccountId, start: Callable[[], None]) -> None:
        """Call `start` now or in a moment, when others have had their turn."""
        ...

    def is_ours(self) -> bool:
        """Say whether the lease still stands, as far as we can know."""
        ...

    async def read_log(self, account_id: AccountId, after: int, limit: int) -> list[LogRow]:
        """Give the rows after `after`, however long the database takes to come back."""
        ...

    async def read_rows(self, account_id: AccountId, positions: Sequence[int]) -> list[LogRow]:
        """Give these rows, without those that retention took."""
        ...


@dataclass(slots=True)
class Unstored:
    """What waits to be stored of one endpoint; later words on a position replace earlier ones."""

    attempts: list[AttemptRow] = field(default_factory=list)
    put: dict[int, PendingRow] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    settled: dict[int, int] = field(default_factory=dict)  # position: the number of the attempt that settled it
    cursor: int | None = None
    standing: StandingRow | None = None
    batches: list[tuple[int, frozenset[int]]] = field(default_factory=list)  # of attempts: by the first position, all
    folded: dict[int, int] = field(default_factory=dict)
    waited_for: list[int] = field(default_factory=list)
    announcements: list[Announcement] = field(default_factory=list)

    def __bool__(self) -> bool:
        return self.standing is not None


class _Ended(NamedTuple):
    """What came of an attempt for one event, until the engine has said what it means."""

    row: LogRow | None
    dispatched: Dispatched
    reason: str
    batch_id: str | None
    positions: tuple[int, ...]  # of all events of the request


class Runner:
    """Runs one endpoint for as long as its lease is ours."""

    def __init__(self, host: Host, lease: Lease, loaded: LoadedEndpoint) -> None:
        self.key: Key = (lease.account_id, lease.endpoint_id)
        self.unstored = Unstored()
        self.dropped = False
        self.out: set[int] = set()  # positions of the attempts that are out
        self._erased: set[int] = set()  # of these, the ones whose event was erased since
        self._storing: dict[int, int] = {}  # of what is being stored: the positions settled by it
        self._settled_lately: dict[int, int] | None = None  # while the rows are read anew: these, and those since
        self._host = host
        self._account_id = lease.account_id
        self.epoch = lease.epoch
        self._events: dict[int, EventId] = {row.position: row.event_id for row in loaded.pending}
        self._results: dict[int, _Ended] = {}
        self._signals: deque[Signal] = deque()
        self._taking = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        self._resting = False
        self._outdated = False  # what it wants was changed, and is not known here yet
        self._to_read: ReadLog | None = None  # what waits for that
        self._to_judge: list[LogRow] | None = None
        self._use(loaded.endpoint)
        self._health = Health(loaded.endpoint.standing.health)
        self.engine = Engine(engine_settings(loaded.endpoint), engine_start(loaded), host.now_us())

    # -- what the worker calls

    def give(self, signal: Signal) -> None:
        """Tell the engine, and do what follows. A signal that comes meanwhile waits its turn."""
        if self._resting and not self.dropped:
            self._host.rouse(self)
        self._signals.append(signal)
        self.go_on()

    def catch_up(self, through: int, end: int) -> None:
        """Get up: nothing the log holds up to `through` is wanted, and it ends at `end`. Say `go_on` then."""
        self._resting = False
        if through > self.engine.read_through:
            self._signals.append(LogRead((), through))
        self._signals.append(LogGrew(end))

    def go_on(self) -> None:
        """Do what follows from the signals that wait."""
        if self._taking or self.dropped:
            return
        self._taking = True
        try:
            while self._signals and not self.dropped:
                for effect in self.engine.take(self._signals.popleft(), self._host.now_us()):
                    self._do(effect)
        except Exception:  # a bug that this endpoint meets costs neither its neighbours nor who told it
            log.exception("engine_broke", account_id=self._account_id, endpoint_id=self.key[1])
            self._host.broke(self)
        finally:
            self._taking = False
        if not (self.dropped or self._outdated or self._resting):
            self._rest_if_there_is_nothing_to_do()

    def expect_change(self) -> None:
        """Judge no event until `refresh`: what is wanted of those to come is not known here yet."""
        self._outdated = True
        if self._resting:
            self.give(TimeIs())

    def refresh(self, loaded: LoadedEndpoint, *, is_latest: bool) -> None:
        """Take over what was changed from outside: settings, secrets, wishes, pause, resume and resends.

        `is_latest` False: another change was made meanwhile, and another refresh follows.
        """
        endpoint = loaded.endpoint
        resumed = endpoint.standing.version != self.endpoint.standing.version
        before = self.endpoint.settings
        self._use(endpoint)
        if (before.url, before.auth) != (endpoint.settings.url, endpoint.settings.auth):
            self._host.dispatcher.forget(*self.key)
        paused = endpoint.paused_at is not None
        if resumed:
            self._tell_nothing_of_the_resume()
        if resumed or (self.engine.paused and not paused):
            self.give(Resumed(paused=paused))
        elif paused:
            self.give(Paused())
        self.give(SettingsChanged(engine_settings(endpoint)))
        # A row of fewer attempts than the one that settled its position was read before that was stored.
        settled, self._settled_lately = self._settled_lately or {}, None
        asked = [row for row in loaded.pending if row.attempts >= settled.get(row.position, 0)]
        self._events.update({row.position: row.event_id for row in asked})
        self.give(ResendAsked(pending_of(asked), loaded.folded))
        if is_latest:
            self._judge_what_waits()
        self.give(LogGrew(loaded.log_position))

    def _tell_nothing_of_the_resume(self) -> None:
        """Leave that to the log, which was told with the resume itself, and forget what was seen before it."""
        self._health = Health.ACTIVE
        unstored = self.unstored
        unstored.announcements = [one for one in unstored.announcements if one.type not in STATE_CHANGES]

    def _judge_what_waits(self) -> None:
        self._outdated = False
        rows, self._to_judge = self._to_judge, None
        if rows is not None:
            self._read(rows)
        to_read, self._to_read = self._to_read, None
        if to_read is not None:
            self._do(to_read)

    def begin_reading(self) -> None:
        """Note that the rows are read from now on: what is settled meanwhile, or not on disk yet, is not taken anew."""
        self._settled_lately = self._storing | self.unstored.settled

    def take_unstored(self) -> tuple[EndpointWrite, tuple[int, ...]]:
        """Give what is to be stored, and what is waited for in it; from now on it is the caller's to store."""
        unstored, self.unstored = self.unstored, Unstored()
        self._storing = unstored.settled
        write = EndpointWrite(
            account_id=self._account_id, endpoint_id=self.key[1], epoch=self.epoch, cursor=unstored.cursor,
            standing=unstored.standing, attempts=tuple(unstored.attempts), pending_put=tuple(unstored.put.values()),
            pending_gone=tuple(unstored.gone), folded=tuple(unstored.folded.items()),
            announcements=tuple(unstored.announcements),
        )  # fmt: skip
        return write, tuple(unstored.waited_for)

    def stored(self, waited_for: tuple[int, ...]) -> None:
        """What was taken to be stored is on disk."""
        self._storing = {}
        if waited_for:
            self.give(Stored(waited_for))

    def forget_answers(self, positions: Set[int]) -> None:
        """Store no answer to these events, which were erased: it may quote what we sent. Their attempts stay."""
        self._erased |= self.out & positions
        answered = {first for first, batch in self.unstored.batches if not batch.isdisjoint(positions)}
        self.unstored.attempts = [
            replace(row, detail=erase_answer(row.detail)) if row.position in positions | answered else row
            for row in self.unstored.attempts
        ]

    def drop(self) -> None:
        """Do nothing more: the endpoint is somebody else's now, or gone."""
        self.dropped = True
        if self._timer is not None:
            self._timer.cancel()

    # -- what the engine says

    def _do(self, effect: Effect) -> None:
        match effect:
            case Persist():
                self._persist(effect)
            case Send():
                if self._host.may_send(lambda: self._start(effect)):
                    self._start(effect)
            case ReadLog() if self._outdated:
                self._to_read = effect
            case ReadLog(after, limit):
                rows = self._host.rows.after(self._account_id, after, limit)
                if rows:
                    self._read(rows)
                else:
                    self._host.spawn(self._read_from_store(after, limit))
            case WakeAt(at):
                self._wake_at(at)

    def _start(self, send: Send) -> None:
        if not self.dropped:
            self._host.begin(self._account_id, lambda: self._host.spawn(self._attempt_counted(send)))

    async def _attempt_counted(self, send: Send) -> None:
        positions = {part.position for part in send.parts}
        self.out |= positions
        try:
            await self._attempt(send)
        finally:
            self.out -= positions
            self._erased -= positions

    async def _attempt(self, send: Send) -> None:
        rows = await self._rows_of(send)
        if self.dropped or not self._may_still_go(send):
            return
        if any(part.position not in rows for part in send.parts):
            self._ended(send, self._lost(), rows, is_lost=True)
            return
        try:
            message = self._message(send, rows)
            sent = await self._host.dispatcher.send(self.endpoint, message, number=send.number, fresh=send.fresh)
        except Exception as error:
            log.exception("attempt_broke", endpoint_id=self.key[1], position=send.position)
            result = AttemptResult(
                outcome="bad_answer", started_at=self._host.clock.now(), timings_ms=Timings(), error_text=repr(error)
            )
            sent = Dispatched(None, result, frozenset())
        self._ended(send, sent, rows)

    async def _rows_of(self, send: Send) -> dict[int, LogRow]:
        """The events of a request and those that were folded into them, by position."""
        rows: dict[int, LogRow] = {}
        missing: list[int] = []
        for part in send.parts:
            for position in (*part.folded, part.position):
                if (row := self._host.rows.get(self._account_id, position)) is not None:
                    rows[position] = row
                else:
                    missing.append(position)
        if missing:
            rows |= {row.position: row for row in await self._host.read_rows(self._account_id, missing)}
        return rows

    def _may_still_go(self, send: Send) -> bool:
        """Ask once more right before it goes: it may have been kept back for long, by a slow disk or a slow read."""
        if not self._host.is_ours():
            return False  # this runner does nothing more
        if self.engine.may_still_go(send.position, self._host.now_us()):
            return True
        self.give(NotSent(send.position, send.fresh))
        return False

    def _lost(self) -> Dispatched:
        """What came of a request that cannot be made."""
        now = self._host.clock.now()
        result = AttemptResult(outcome="cancelled", started_at=now, timings_ms=Timings(), explanation=LOST)
        return Dispatched(None, result, frozenset())

    def _message(self, send: Send, rows: Mapping[int, LogRow]) -> Message:
        """What the request carries. What was folded is left out where retention took it."""
        first = rows[send.position]
        parts = tuple(
            Part(rows[part.position].body, tuple(rows[older].body for older in part.folded if older in rows))
            for part in send.parts
        )
        if send.batch:
            return Message(batch_id(first.event_id, len(parts)), BATCH_TYPE, parts, send.replay_id, is_batch=True)
        return Message(first.event_id, first.type, parts, send.replay_id)

    def _ended(self, send: Send, dispatched: Dispatched, rows: Mapping[int, LogRow], *, is_lost: bool = False) -> None:
        if self.dropped:
            return
        result, positions = dispatched.result, [part.position for part in send.parts]
        if not self._erased.isdisjoint(positions):
            result = replace_struct(result, response_headers={}, response_body=b"")
        reason = "" if result.outcome == "success" else explain(result, self.endpoint.settings.timeout_seconds)
        batch = batch_id(self._events[send.position], len(positions)) if send.batch else None
        for position in positions:
            answered = result if position == send.position else _without_answer(result)
            told = dispatched if answered is dispatched.result else replace(dispatched, result=answered)
            self._results[position] = _Ended(rows.get(position), told, reason, batch, tuple(positions))
        if result.outcome != "success":
            log.info(
                "attempt_failed", account_id=self._account_id, endpoint_id=self.key[1],
                event_id=self._events.get(send.position), batch_id=batch, attempt=send.number, outcome=result.outcome,
                status=result.status, duration_ms=result.timings_ms.total,
            )  # fmt: skip
        now = self._host.clock.now()
        ended = judge(result, send.position, reason=reason, jitter=self._host.jitter(), now=now)
        self.give(replace(ended, answer=Answer.LOST) if is_lost else ended)

    async def _read_from_store(self, after: int, limit: int) -> None:
        rows = await self._host.read_log(self._account_id, after, limit)
        if rows:
            self._read(rows)
        else:
            self.give(LogRead((), after))

    def _read(self, rows: list[LogRow]) -> None:
        if self._outdated:
            self._to_judge = rows
            return
        owed = []
        for row in rows:
            if self._wants(row):
                self._events[row.position] = row.event_id
                owed.append(Owed(row.position, row.key, row.type))
        self.give(LogRead(owed, rows[-1].position))

    def _wants(self, row: LogRow) -> bool:
        for from_position, matcher in self._matchers:
            if row.position >= from_position:
                try:
                    return matcher(row.type, row.body)
                except Exception:
                    log.exception("event_not_judged", endpoint_id=self.key[1], position=row.position)
                    return True
        return False

    def _wake_at(self, at: int) -> None:
        if self._timer is not None:
            if self._timer_at <= at:
                return  # it wakes early and finds nothing to do, which is cheaper than a new timer each time
            self._timer.cancel()
        self._timer_at = at
        delay_s = max(0, at - self._host.now_us()) / 1_000_000
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._wake)

    def _rest_if_there_is_nothing_to_do(self) -> None:
        engine = self.engine
        if engine.sated:
            if self._wants_since <= engine.read_through + 1 and self._host.rest(self, self.wants):
                self._resting = True
                if self._timer is not None:  # it would only remind of the cursor, as those do that it rests among
                    self._timer.cancel()
                    self._timer = None
        elif engine.deaf:
            self._resting = self._host.rest(self, None)

    def _wake(self) -> None:
        self._timer = None
        self.give(TimeIs())

    # -- what is stored

    def _persist(self, persist: Persist) -> None:
        unstored, settled = self.unstored, list[int]()
        for row in persist.put:
            unstored.gone.discard(row.position)
            unstored.put[row.position] = pending_row(row, self._events)
        for position in persist.gone:
            unstored.put.pop(position, None)
            unstored.gone.add(position)
        for position, into in persist.folded:
            self._events.pop(position, None)
            unstored.folded[position] = into
        unstored.waited_for += persist.waited_for
        for position, number, verdict in persist.attempts:
            ended = self._results.pop(position)
            unstored.attempts.append(self._attempt_row(position, number, verdict, ended))
            if ended.batch_id is not None and position == ended.positions[0]:
                unstored.batches.append((position, frozenset(ended.positions)))
            if verdict is Verdict.FAILED:
                self._announce_failure(number, ended)
            if verdict is not Verdict.RETRYING:
                settled.append(position)
                unstored.settled[position] = number
                if self._settled_lately is not None:
                    self._settled_lately[position] = number
        for position in settled:
            self._events.pop(position, None)
        if persist.cursor is not None:
            unstored.cursor = persist.cursor
        if persist.standing.health is not self._health:
            self._health = persist.standing.health
            self._announce_health(persist.standing)
        unstored.standing = standing_row(persist.standing, self.endpoint.standing.version)
        self._host.store_soon(self, len(persist.attempts))

    def _announce_health(self, standing: Standing) -> None:
        now = self._host.clock.now()
        event_id = self._host.ids.event_id(now)
        self.unstored.announcements.append(state_changed(self.endpoint, standing, event_id=event_id, now=now))

    def _announce_failure(self, number: int, ended: _Ended) -> None:
        if ended.row is None:
            return  # retention took the event itself; the attempt says so
        now = self._host.clock.now()
        announcement = delivery_failed(
            self.endpoint, ended.row, ended.dispatched.result, number=number, explanation=ended.reason,
            event_id=self._host.ids.event_id(now), now=now,
        )  # fmt: skip
        if announcement is not None:
            self.unstored.announcements.append(announcement)

    def _attempt_row(self, position: int, number: int, verdict: Verdict, ended: _Ended) -> AttemptRow:
        request, result = ended.dispatched.request, ended.dispatched.result
        settings = self.endpoint.settings
        if request is None:
            request = SendRequest(
                url=settings.url, headers={}, body=b"", timeout_s=settings.timeout_seconds, pool_key=""
            )
        explanation = ended.reason or explain(result, settings.timeout_seconds)
        return AttemptRow(
            position=position,
            number=number,
            event_id=self._events[position],
            started_at=to_micros(result.started_at),
            verdict=verdict.value,
            outcome=result.outcome,
            status=result.status,
            duration_us=round(result.timings_ms.total * 1000),
            detail=detail(
                request,
                result,
                number=number,
                explanation=explanation,
                own=ended.dispatched.hidden,
                batch_id=ended.batch_id,
            ),
        )

    # -- the endpoint's settings

    def _use(self, endpoint: EndpointRecord) -> None:
        self.endpoint = endpoint
        newest = endpoint.versions[-1] if endpoint.versions else EndpointVersion(0, Wants(patterns=()))
        self._wants_since, self.wants = newest.from_position, newest.wants
        self._matchers = [(version.from_position, matcher_of(version.wants)) for version in reversed(endpoint.versions)]


def _without_answer(result: AttemptResult) -> AttemptResult:
    """The answer to a batch is kept once, with its first event."""
    return replace_struct(result, response_body=b"")
