"""The delivery engine: what one endpoint is sent, in which order, and when again. Pure.

One door, `Engine.take(signal, now)`: a signal says what happened, the effects say what to do about it. Sockets, clock,
dice and database are the worker's. Instants are whole microseconds of a clock that never steps back.

The log is followed by a *cursor*: every position up to it is settled (delivered, failed, not wanted) or *pending*, that
is, written down as an exception the cursor has passed. Positions past it that were read are the *window*. Deliveries of
one key (a shipment) form a *lane*: only its head is sent, the rest waits in log order. A lane's head that failed waits
for its retry, and only its own lane with it.

Two troubles are kept apart. While some deliveries get through, a failure belongs to the event: it is tried again by the
schedule and in the end `failed`. When nothing gets through, the endpoint is failing: the cursor stands, one probe at a
time goes out, and no probe counts against any delivery.
"""

import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import Enum
from typing import assert_never

from waypost.delivery.health import FAILING_DAYS_MAX, FAILURES_IN_A_ROW_MAX, Health, Turn, turned
from waypost.delivery.schedule import (
    RETRY_AFTER_S_MAX,
    SECOND,
    hold_until,
    next_attempt_at,
    next_probe_at,
    spread,
)
from waypost.delivery.signals import (
    Answer,
    AttemptEnded,
    CursorDue,
    Effect,
    LogGrew,
    LogRead,
    NotSent,
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
    Standing,
    Start,
    Stored,
    TimeIs,
    Verdict,
    WakeAt,
)

READ_AHEAD = 256  # positions of the log held in memory for one endpoint
PENDING_MAX = 2_000  # exceptions written down for one endpoint; at the limit the cursor waits
WINDOW_START = 4.0  # attempts at once before the receiver has shown what it takes
CURSOR_LAG_MAX = 1_000  # positions nobody wants that a crash may make us read again
CURSOR_LAG_S_MAX = 30
FAST_ANSWER_S = 2.0  # a receiver that takes longer is not given more at once
OWN_TROUBLE_S = 1.0  # until an attempt is made again that this machine could not make
READ_AGAIN_S = 5.0  # until a log is read again that did not hold what it was said to, unless it grows before


class Phase(Enum):
    """Where a delivery in memory stands."""

    WAITING = "waiting"  # behind another one of its lane
    READY = "ready"  # may go out
    SENDING = "sending"
    RETRYING = "retrying"  # waits for its retry, or for the endpoint
    CLOSING = "closing"  # failed for good, but that is not on disk yet


class _Delivery:
    """One owed event in memory."""

    __slots__ = (
        "attempts", "due_at", "failures", "first_attempt_at", "fresh", "key", "last_attempt_at", "phase", "position",
        "probe", "resend", "stale_once", "stored",
    )  # fmt: skip

    def __init__(self, position: int, key: str, attempts: int = 0) -> None:
        self.position = position
        self.key = key
        self.phase = Phase.WAITING
        self.attempts = attempts
        self.failures = 0
        self.due_at = 0
        self.first_attempt_at: int | None = None
        self.last_attempt_at: int | None = None
        self.stored = False  # has a pending row
        self.resend = False
        self.fresh = False
        self.stale_once = False
        self.probe = False  # what is out was sent to see whether the endpoint is back

    def row(self) -> Pending:
        """Its pending row."""
        if self.resend:
            state = PendingState.RESEND
        elif self.phase is Phase.WAITING:
            state = PendingState.WAITING
        else:
            state = PendingState.RETRYING
        ended = self.attempts - (self.phase is Phase.SENDING)
        return Pending(
            self.position, self.key, state, self.due_at, self.failures, ended, self.first_attempt_at,
            self.last_attempt_at,
        )  # fmt: skip


class Engine:
    """The state machine of one endpoint. Its owner gives it every signal and does every effect, in order."""

    def __init__(self, settings: Settings, start: Start, now: int) -> None:
        """Take up an endpoint as it is stored. Give it a TimeIs to set it going."""
        self.settings = settings
        self.standing = _within_reason(start.standing, now)
        self.paused = start.paused
        self.cursor = start.cursor
        self.window_size = WINDOW_START if start.standing.health is Health.ACTIVE else 1.0
        self._cursor_told = start.cursor
        self._cursor_told_at = now
        self._log_end = start.log_end
        self._read_through = start.cursor
        self._reading = False
        self._read_again_at = now
        self._settled_before = set(start.settled_past_cursor)
        self._attempts_before = dict(start.attempts_past_cursor)
        self._deliveries: dict[int, _Delivery] = {}  # all that are owed, by position
        self._resends: dict[int, _Delivery] = {}  # settled ones that were asked for again
        self._lanes: dict[str, deque[_Delivery]] = {}
        self._window: deque[int] = deque()  # owed positions past the cursor, in log order
        self._ready: list[int] = []  # heap of positions
        self._retries: list[tuple[int, int]] = []  # heap of due_at, position
        self._pending_count = 0
        self._in_flight = 0
        self._growth_limit = float(settings.in_flight_max)
        self._next_send_at = 0
        self._probes = max(0, start.standing.failures_in_a_row - FAILURES_IN_A_ROW_MAX)
        self._next_probe_at = now
        self._probed_at: dict[str, int] = {}
        self._success_before_trouble = start.standing.last_success_at
        self._effects: list[Effect] = []
        self._begin_persist()
        self._load(start.pending, now)

    # -- the door

    def take(self, signal: Signal, now: int) -> list[Effect]:
        """Take what happened and give what to do, in order. Persist, if any, comes first."""
        self._effects = []
        match signal:
            case AttemptEnded():
                self._attempt_ended(signal, now)
            case NotSent():
                self._not_sent(signal)
            case LogGrew(end):
                self._log_grew(end, now)
            case LogRead():
                self._log_read(signal, now)
            case Stored(failed):
                self._stored(failed, now)
            case SettingsChanged(settings):
                self.settings = settings
                self._growth_limit = float(settings.in_flight_max)
                self.window_size = min(self.window_size, self._growth_limit)
                if settings.rate_per_second is not None:
                    self._next_send_at = min(self._next_send_at, now + round(SECOND / settings.rate_per_second))
            case Paused():
                self.paused = True
            case Resumed(paused):
                self._resumed(now, paused=paused)
            case ResendAsked(rows):
                self._resend_asked(rows, now)
            case TimeIs() | CursorDue():
                pass
            case _:
                assert_never(signal)
        self._advance_cursor(now, due=isinstance(signal, CursorDue))
        self._send_what_may_go(now)
        self._read_on(now)
        wake_at = self._wake_at(now)
        persist = self._end_persist()
        effects = [persist, *self._effects] if persist else self._effects
        if wake_at is not None:
            effects.append(WakeAt(wake_at))
        return effects

    def may_still_go(self, position: int, now: int) -> bool:
        """Whether what was told to be sent, and was kept back since, may go out now. When not, say NotSent."""
        standing = self.standing
        if self.paused or standing.health is Health.SUSPENDED or (standing.held_until or 0) > now:
            return False
        return standing.health is Health.ACTIVE or self._being_sent(position).probe

    @property
    def in_flight(self) -> int:
        """How many attempts are out."""
        return self._in_flight

    @property
    def owed_count(self) -> int:
        """How many owed deliveries are in memory."""
        return len(self._deliveries)

    @property
    def idle(self) -> bool:
        """Whether all that the log holds is settled and nothing is out."""
        return not self._deliveries and not self._resends and self._read_through >= self._log_end

    @property
    def read_through(self) -> int:
        """How far the log was read."""
        return self._read_through

    @property
    def cursor_told(self) -> int:
        """The cursor as it was last told to be stored."""
        return self._cursor_told

    @property
    def sated(self) -> bool:
        """Whether nothing but a signal from outside, or a new event that it wants, can give it something to do."""
        return self.idle and not self._reading and not self._in_flight

    @property
    def deaf(self) -> bool:
        """Whether it takes nothing of the log for now, however far that goes."""
        if self._reading:
            return False
        if self.paused:
            return bool(self._window)
        if self.standing.health is Health.FAILING:
            return len(self._window) >= READ_AHEAD
        return self.standing.health is Health.SUSPENDED

    def phase(self, position: int) -> Phase | None:
        """Where an owed delivery stands; None when it is settled or was not read yet."""
        delivery = self._deliveries.get(position)
        return delivery.phase if delivery else None

    # -- taking up

    def _load(self, rows: Sequence[Pending], now: int) -> None:
        for row in sorted(rows, key=lambda row: row.position):
            self._add_row(row, now)

    def _add_row(self, row: Pending, now: int) -> None:
        delivery = _Delivery(row.position, row.key, row.attempts)
        delivery.failures = row.failures
        # No retry is further off than the schedule says, whatever the clock did meanwhile.
        longest = spread(max((*self.settings.retry_schedule_s, 24 * 3600.0)), 1.0)
        delivery.due_at = min(row.due_at, now + longest)
        delivery.first_attempt_at = row.first_attempt_at
        delivery.last_attempt_at = row.last_attempt_at
        delivery.stored = True
        self._pending_count += 1
        if row.state is PendingState.RESEND:
            delivery.resend = True
            self._resends[row.position] = delivery
            if not row.failures:
                delivery.due_at = min(delivery.due_at, now)  # asked for, and not tried since: whatever the clock did
            self._retry(delivery, delivery.due_at)
            if row.position > self._read_through:
                self._settled_before.add(row.position)
            return
        self._deliveries[row.position] = delivery
        if row.position > self.cursor:
            self._window.append(row.position)  # rows come in order of position, before anything is read
        self._join_lane(delivery)
        if row.state is PendingState.RETRYING and delivery.phase is Phase.READY:
            self._retry(delivery, delivery.due_at)

    # -- lanes

    def _join_lane(self, delivery: _Delivery) -> None:
        lane = self._lanes.get(delivery.key)
        if lane is None:
            self._lanes[delivery.key] = deque((delivery,))
            self._make_ready(delivery)
        elif lane[-1].position < delivery.position:
            lane.append(delivery)
        else:
            self._squeeze_in(lane, delivery)

    def _squeeze_in(self, lane: deque[_Delivery], delivery: _Delivery) -> None:
        """Give an older event its place in the lane: it had a lane of its own before the ordering was changed."""
        head = lane[0]
        first = 0 if head.phase in {Phase.READY, Phase.RETRYING} else 1  # what is out cannot be called back
        later = (place for place in range(first, len(lane)) if lane[place].position > delivery.position)
        place = next(later, len(lane))
        lane.insert(place, delivery)
        if place == 0:
            head.phase = Phase.WAITING
            self._make_ready(delivery)

    def _make_ready(self, delivery: _Delivery) -> None:
        delivery.phase = Phase.READY
        heapq.heappush(self._ready, delivery.position)

    def _retry(self, delivery: _Delivery, due_at: int) -> None:
        delivery.phase = Phase.RETRYING
        delivery.due_at = due_at
        heapq.heappush(self._retries, (due_at, delivery.position))

    def _settle(self, delivery: _Delivery) -> None:
        """Take a delivered or finally failed event out, and let the next one of its lane go."""
        if delivery.stored:
            self._gone.append(delivery.position)
            self._pending_count -= 1
        if delivery.resend:
            del self._resends[delivery.position]
            self._probed_at.pop(_probe_key(delivery), None)
            return
        del self._deliveries[delivery.position]
        if delivery.position > self._read_through:
            self._settled_before.add(delivery.position)  # its row was quicker than the reading of the log
        lane = self._lanes[delivery.key]
        head = lane.popleft()
        assert head is delivery, (head.position, delivery.position)
        if lane:
            self._make_ready(lane[0])
        else:
            del self._lanes[delivery.key]
            self._probed_at.pop(_probe_key(delivery), None)

    # -- signals

    def _log_grew(self, end: int, now: int) -> None:
        if end > self._log_end:
            self._log_end, self._read_again_at = end, now

    def _log_read(self, read: LogRead, now: int) -> None:
        self._reading = False
        assert read.through >= self._read_through, (read.through, self._read_through)
        if read.through == self._read_through:
            self._read_again_at = now + round(READ_AGAIN_S * SECOND)
        self._read_through = read.through
        self._log_end = max(self._log_end, read.through)
        for position, key in read.owed:
            if position in self._settled_before:
                self._settled_before.discard(position)  # sent before a crash; nothing is left to do
                continue
            if position in self._deliveries:
                continue  # it has a pending row already
            delivery = _Delivery(position, key if self.settings.ordered else f"#{position}",
                                 self._attempts_before.pop(position, 0))  # fmt: skip
            self._deliveries[position] = delivery
            self._window.append(position)
            self._join_lane(delivery)

    def _attempt_ended(self, ended: AttemptEnded, now: int) -> None:
        delivery = self._being_sent(ended.position)
        self._in_flight -= 1
        if delivery.first_attempt_at is None:
            delivery.first_attempt_at = now - round(ended.took_s * SECOND)
        delivery.last_attempt_at = now
        if ended.answer is Answer.TAKEN:
            self._succeeded(delivery, ended, now)
        elif ended.answer is Answer.CANCELLED:
            self._again(delivery, now + round(OWN_TROUBLE_S * SECOND))
        elif ended.answer is Answer.STALE and not delivery.stale_once:
            # The receiver closed an idle connection as we took it up: no verdict on it, so no failure.
            delivery.stale_once = delivery.fresh = True
            self._again(delivery, now)
        else:
            delivery.stale_once = False
            self._failed(delivery, ended, now)

    def _being_sent(self, position: int) -> _Delivery:
        delivery = self._deliveries.get(position)
        if delivery is None or delivery.phase is not Phase.SENDING:
            delivery = self._resends[position]
        assert delivery.phase is Phase.SENDING, position
        return delivery

    def _not_sent(self, told: NotSent) -> None:
        """Take back what did not go out: its number is given to the attempt that does."""
        delivery = self._being_sent(told.position)
        self._in_flight -= 1
        delivery.attempts -= 1
        delivery.fresh = told.fresh
        self._make_ready(delivery)

    def _again(self, delivery: _Delivery, due_at: int) -> None:
        """Try again what says nothing about the endpoint: nothing is counted."""
        self._attempts.append((delivery.position, delivery.attempts, Verdict.RETRYING))
        self._retry(delivery, due_at)
        if delivery.stored:
            self._put[delivery.position] = delivery

    def _succeeded(self, delivery: _Delivery, ended: AttemptEnded, now: int) -> None:
        self._attempts.append((delivery.position, delivery.attempts, Verdict.DELIVERED))
        self._settle(delivery)
        before = self.standing
        # Stored only when it says something new: an hour of successes is not an hour of writes of the same row.
        if before.failures_in_a_row or before.health is not Health.ACTIVE or 0 < (before.held_until or 0) <= now:
            # One that was out already when the endpoint asked for patience does not end its patience.
            held_until = before.held_until if (before.held_until or 0) > now else None
            self._stand(Turn.SUCCEEDED, now, None, failures_in_a_row=0, failing_since=None, held_until=held_until)
        self.standing = replace(self.standing, last_success_at=now)
        if before.health is Health.FAILING:
            self._recovered(now)
        elif ended.took_s <= FAST_ANSWER_S and self.window_size < self.settings.in_flight_max:
            step = 1.0 if self.window_size < self._growth_limit else 1.0 / self.window_size
            self.window_size = min(self.window_size + step, float(self.settings.in_flight_max))

    def _recovered(self, now: int) -> None:
        """The endpoint came back: what failed for its sake goes now; what was refused before keeps its time."""
        self._probes = 0
        self._probed_at.clear()
        self.window_size = 1.0
        self._growth_limit = float(self.settings.in_flight_max)
        self._release_held(now)

    def _release_held(self, now: int) -> None:
        last_success_at = self._success_before_trouble
        for delivery in self._deliveries.values():
            if delivery.phase is not Phase.RETRYING:
                continue
            tried_at = delivery.last_attempt_at
            if delivery.due_at > now and (tried_at is None or last_success_at is None or tried_at > last_success_at):
                self._retry(delivery, now)

    def _failed(self, delivery: _Delivery, ended: AttemptEnded, now: int) -> None:
        standing = self.standing
        failures_in_a_row = standing.failures_in_a_row + 1
        held_until = standing.held_until
        if ended.retry_after_s is not None and ended.answer is Answer.SLOW_DOWN:
            held_until = max(held_until or 0, hold_until(now, ended.retry_after_s, ended.jitter))
        if ended.answer in {Answer.SLOW_DOWN, Answer.UNREACHED, Answer.STALE}:
            self.window_size = self._growth_limit = max(1.0, self.window_size / 2)
        self._stand(None, now, standing.reason, failures_in_a_row=failures_in_a_row, held_until=held_until)
        if ended.answer is Answer.GONE:
            self._attempts.append((delivery.position, delivery.attempts, Verdict.RETRYING))
            self._hold(delivery, now)
            self._stand(Turn.ANSWERED_GONE, now, ended.reason)
            return
        if standing.health is not Health.ACTIVE:
            self._probe_failed(delivery, ended, now)
            return
        self._count_failure(delivery, ended, now)
        if self.standing.health is Health.ACTIVE and failures_in_a_row >= FAILURES_IN_A_ROW_MAX:
            self._begin_failing(ended, now)

    def _count_failure(self, delivery: _Delivery, ended: AttemptEnded, now: int) -> None:
        delivery.failures += 1
        due_at = next_attempt_at(now, delivery.failures, self.settings.retry_schedule_s, ended.jitter)
        if due_at is not None:
            self._attempts.append((delivery.position, delivery.attempts, Verdict.RETRYING))
            self._retry(delivery, max(due_at, self.standing.held_until or 0))
            self._keep(delivery)
        elif self._took_something_since(delivery.first_attempt_at):
            self._attempts.append((delivery.position, delivery.attempts, Verdict.FAILED))
            delivery.phase = Phase.CLOSING
            if delivery.stored:
                self._gone.append(delivery.position)
        else:
            # The schedule is used up, but nothing else got through either: that is the endpoint's trouble.
            self._attempts.append((delivery.position, delivery.attempts, Verdict.RETRYING))
            self._retry(delivery, now)
            self._keep(delivery)
            self._begin_failing(ended, now)

    def _took_something_since(self, first_attempt_at: int | None) -> bool:
        success = self.standing.last_success_at
        return success is not None and first_attempt_at is not None and success > first_attempt_at

    def _probe_failed(self, delivery: _Delivery, ended: AttemptEnded, now: int) -> None:
        self._attempts.append((delivery.position, delivery.attempts, Verdict.RETRYING))
        self._hold(delivery, now)
        if not delivery.probe:
            return  # it went out before the endpoint was seen to fail
        self._next_probe_at = next_probe_at(now, self._probes, self.settings.retry_schedule_s, ended.jitter)
        self._probes += 1
        failing_since = self.standing.failing_since
        if failing_since is not None and now - failing_since >= FAILING_DAYS_MAX * 86_400 * SECOND:
            self._stand(Turn.FAILED_TOO_LONG, now, ended.reason)

    def _hold(self, delivery: _Delivery, now: int) -> None:
        """Put an event back that was tried while the endpoint is in trouble: nothing is counted."""
        self._retry(delivery, now)
        if delivery.stored:
            self._put[delivery.position] = delivery

    def _begin_failing(self, ended: AttemptEnded, now: int) -> None:
        self._stand(Turn.FAILED_IN_A_ROW, now, ended.reason, failing_since=now)
        self.window_size = 1.0
        self._probes = 0
        self._probed_at.clear()
        self._next_probe_at = next_probe_at(now, 0, self.settings.retry_schedule_s, ended.jitter)

    def _stored(self, failed: tuple[int, ...], now: int) -> None:
        """A final failure is on disk: only now may the lane go on, or a crash could try it after its successor."""
        for position in failed:
            delivery = self._deliveries.get(position)
            if delivery is None or delivery.phase is not Phase.CLOSING:
                delivery = self._resends[position]
            assert delivery.phase is Phase.CLOSING, position
            if delivery.stored:
                self._pending_count -= 1
                delivery.stored = False  # its row went with the final attempt
            self._settle(delivery)

    def _resumed(self, now: int, *, paused: bool) -> None:
        self.paused = paused
        if self.standing.health is not Health.ACTIVE:
            self._stand(Turn.RESUME_ASKED, now, None, failures_in_a_row=0, failing_since=None, held_until=None)
            self._recovered(now)

    def _resend_asked(self, rows: tuple[Pending, ...], now: int) -> None:
        for row in rows:
            known = self._deliveries.get(row.position)
            if row.state is not PendingState.RESEND:
                # A row that tells of fewer attempts was read before the latest one was stored: its time is past.
                same = known is not None and known.phase is Phase.RETRYING and row.attempts == known.attempts
                if known is not None and same and row.due_at < known.due_at:
                    self._retry(known, row.due_at)
            elif row.position not in self._resends:
                self._add_row(row, now)

    # -- what follows

    def _advance_cursor(self, now: int, *, due: bool) -> None:
        """Move the cursor over all that is settled or written down, writing down what waits behind a pending one."""
        if self.standing.health is Health.ACTIVE and not self.paused:
            self._write_down_waiting()
        window, deliveries = self._window, self._deliveries
        while window:
            delivery = deliveries.get(window[0])
            if delivery is not None and not delivery.stored:
                break
            window.popleft()
        cursor = window[0] - 1 if window else self._read_through
        if cursor > self.cursor:
            self.cursor = cursor
        lag = self.cursor - self._cursor_told
        if lag and (
            due
            or self._persist_open()
            or lag >= CURSOR_LAG_MAX
            or now - self._cursor_told_at >= CURSOR_LAG_S_MAX * SECOND
        ):  # fmt: skip
            self._cursor_told, self._cursor_told_at = self.cursor, now
            self._cursor_moved = True

    def _write_down_waiting(self) -> None:
        """Give a row to each delivery at the front of the window that waits behind a pending one of its lane."""
        for position in self._window:
            delivery = self._deliveries.get(position)
            if delivery is None or delivery.stored:
                continue
            if delivery.phase is not Phase.WAITING or self._pending_count >= PENDING_MAX:
                return
            if not self._lanes[delivery.key][0].stored:
                return
            self._keep(delivery)

    def _keep(self, delivery: _Delivery) -> None:
        """Write the delivery down, or anew."""
        if not delivery.stored:
            delivery.stored = True
            self._pending_count += 1
        self._put[delivery.position] = delivery

    def _send_what_may_go(self, now: int) -> None:
        if self.paused or self.standing.health is Health.SUSPENDED:
            return
        while self._retries and self._retries[0][0] <= now:
            due_at, position = heapq.heappop(self._retries)
            delivery = self._deliveries.get(position)
            if delivery is None or delivery.phase is not Phase.RETRYING or delivery.due_at != due_at:
                delivery = self._resends.get(position)
                if delivery is None or delivery.phase is not Phase.RETRYING or delivery.due_at != due_at:
                    continue  # an older entry of a delivery whose time was changed
            self._make_ready(delivery)
        if (self.standing.held_until or 0) > now:
            return
        if self.standing.health is Health.FAILING:
            self._probe(now)
            return
        while self._in_flight < int(self.window_size) and (delivery := self._next_ready()) is not None:
            if self.settings.rate_per_second is not None:
                if self._next_send_at > now:
                    return
                self._next_send_at = max(now, self._next_send_at) + round(SECOND / self.settings.rate_per_second)
            heapq.heappop(self._ready)
            self._send(delivery)

    def _next_ready(self) -> _Delivery | None:
        """The first that may go out, still in the heap; entries of what is no longer ready are thrown away."""
        while self._ready:
            for known in (self._deliveries, self._resends):
                delivery = known.get(self._ready[0])
                if delivery is not None and delivery.phase is Phase.READY:
                    return delivery
            heapq.heappop(self._ready)
        return None

    def _send(self, delivery: _Delivery, *, probe: bool = False) -> None:
        delivery.phase = Phase.SENDING
        delivery.probe = probe
        delivery.attempts += 1
        self._in_flight += 1
        self._effects.append(Send(delivery.position, delivery.attempts, delivery.fresh))
        delivery.fresh = False

    def _probe(self, now: int) -> None:
        """Try the lane tried least recently: a refused event cannot hide that others would pass."""
        if self._in_flight or self._next_probe_at > now:
            return
        head = min(
            (head for head in self._heads() if head.phase in {Phase.READY, Phase.RETRYING}),
            key=lambda head: (self._probed_at.get(_probe_key(head), head.last_attempt_at or 0), head.position),
            default=None,
        )
        if head is not None:
            self._probed_at[_probe_key(head)] = now
            self._send(head, probe=True)

    def _heads(self) -> Iterator[_Delivery]:
        for lane in self._lanes.values():
            yield lane[0]
        yield from self._resends.values()

    def _read_on(self, now: int) -> None:
        """Ask for more of the log when there is room for it in the window."""
        room = READ_AHEAD - len(self._window)
        if room > 0 and self._wants_more() and self._read_again_at <= now:
            self._reading = True
            self._effects.append(ReadLog(self._read_through, room))

    def _wants_more(self) -> bool:
        if self._reading or self._read_through >= self._log_end:
            return False
        return self.standing.health is not Health.SUSPENDED and not (self.paused and self._window)

    def _wake_at(self, now: int) -> int | None:
        """When time alone makes a difference: a retry due, a hold over, a probe, the rate limit, a lazy cursor."""
        times: list[int] = []
        if self._cursor_told < self.cursor and not self._cursor_moved:
            times.append(self._cursor_told_at + CURSOR_LAG_S_MAX * SECOND)
        if self._read_again_at > now and self._wants_more():
            times.append(self._read_again_at)
        if not self.paused and self.standing.health is not Health.SUSPENDED:
            held_until = self.standing.held_until or 0
            if self.standing.health is Health.FAILING:
                # One that is due and did not go had no head to try: time alone changes nothing then.
                probe_at = max(self._next_probe_at, held_until)
                if (self._lanes or self._resends) and not self._in_flight and probe_at > now:
                    times.append(probe_at)
            else:
                if self._retries:
                    times.append(max(self._retries[0][0], held_until))
                if self._ready and held_until > now:
                    times.append(held_until)
                elif self._ready and self._in_flight < int(self.window_size):
                    times.append(self._next_send_at)
        return max(min(times), now + 1) if times else None

    # -- what is to be stored

    def _begin_persist(self) -> None:
        self._attempts: list[tuple[int, int, Verdict]] = []
        self._put: dict[int, _Delivery] = {}
        self._gone: list[int] = []
        self._cursor_moved = False
        self._standing_moved = False

    def _persist_open(self) -> bool:
        return bool(self._attempts or self._put or self._gone or self._standing_moved)

    def _stand(self, turn: Turn | None, now: int, reason: str | None, **changes: int | None) -> None:
        health = turned(self.standing.health, turn) if turn else self.standing.health
        if health is not self.standing.health:
            if health is Health.FAILING or self.standing.health is Health.ACTIVE:
                self._success_before_trouble = self.standing.last_success_at
            self.standing = replace(self.standing, health=health, since=now, reason=reason)
        self.standing = replace(self.standing, **changes)  # type: ignore[arg-type]
        self._standing_moved = True

    def _end_persist(self) -> Persist | None:
        if not self._persist_open() and not self._cursor_moved:
            return None
        gone = set(self._gone)
        persist = Persist(
            attempts=tuple(self._attempts),
            put=tuple(delivery.row() for position, delivery in self._put.items() if position not in gone),
            gone=tuple(self._gone),
            cursor=self.cursor if self._cursor_moved else None,
            standing=self.standing,
        )
        self._begin_persist()
        return persist


def _probe_key(head: _Delivery) -> str:
    """What is probed in turn: lanes, and each resend, which stands beside the lane of its key."""
    return f"resend {head.position}" if head.resend else head.key


def _within_reason(standing: Standing, now: int) -> Standing:
    """Take nothing for true that only a clock that was stepped back can say."""
    held_until, failing_since, success = standing.held_until, standing.failing_since, standing.last_success_at
    return replace(
        standing,
        held_until=None if held_until is None else min(held_until, hold_until(now, RETRY_AFTER_S_MAX, 1.0)),
        failing_since=None if failing_since is None else min(failing_since, now),
        last_success_at=None if success is None else min(success, now),
    )
