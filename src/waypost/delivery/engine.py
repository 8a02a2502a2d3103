"""The delivery engine: what one endpoint is sent, in which order, and when again. Pure.

One door, `Engine.take(signal, now)`: a signal says what happened, the effects say what to do about it. Sockets, clock,
dice and database are the worker's. Instants are whole microseconds of a clock that never steps back.

The log is followed by a *cursor*: every position up to it is settled (delivered, failed, folded into a newer event, not
wanted) or *pending*, that is, written down as an exception the cursor has passed. Positions past it that were read are
the *window*. Deliveries of one key (a shipment) form a *lane*: only its head is sent, the rest waits in log order. A
lane's head that failed waits for its retry, and only its own lane with it.

Two troubles are kept apart. While some deliveries get through, a failure belongs to the event: it is tried again by the
schedule and in the end `failed`. When nothing gets through, the endpoint is failing: the cursor stands, one probe at a
time goes out, and no probe counts against any delivery.

Beside it, each with one part of this: parcels.py (what goes out), lanes.py and turns.py (in which order), coalescing.py
(what is folded), packing.py (batches), pace.py (how quickly), probing.py, persisting.py (what is to be stored).
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import assert_never

from waypost.delivery.coalescing import Coalescer
from waypost.delivery.health import FAILING_DAYS_MAX, FAILURES_IN_A_ROW_MAX, Health, Turn, turned
from waypost.delivery.lanes import Lanes
from waypost.delivery.pace import WINDOW_START, Pace
from waypost.delivery.packing import Packer
from waypost.delivery.parcels import Batch, Delivery, Lane, Parcel, Phase
from waypost.delivery.persisting import Ledger
from waypost.delivery.probing import Probes, next_probe, note_probe
from waypost.delivery.schedule import RETRY_AFTER_S_MAX, SECOND, hold_until, next_attempt_at, spread
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
    ReadLog,
    ResendAsked,
    Resumed,
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
from waypost.delivery.turns import Turns

READ_AHEAD = 256  # positions of the log held in memory for one endpoint; more where batches are larger
PENDING_MAX = 2_000  # exceptions written down for one endpoint; at the limit the cursor waits
CURSOR_LAG_MAX = 1_000  # positions nobody wants that a crash may make us read again
CURSOR_LAG_S_MAX = 30
OWN_TROUBLE_S = 1.0  # until an attempt is made again that this machine could not make
READ_AGAIN_S = 5.0  # until a log is read again that did not hold what it was said to, unless it grows before

_NEVER_WHOLE = frozenset({Answer.TOO_LARGE, Answer.LOST})  # what a batch may be told that will not be taken as it is


class Engine:
    """The state machine of one endpoint. Its owner gives it every signal and does every effect, in order."""

    def __init__(self, settings: Settings, start: Start, now: int) -> None:
        """Take up an endpoint as it is stored. Give it a TimeIs to set it going."""
        self.settings = settings
        self._read_ahead = _read_ahead(settings)
        self.standing = _within_reason(start.standing, now)
        self.paused = start.paused
        self.cursor = start.cursor
        self._cursor_told = start.cursor
        self._cursor_told_at = now
        self._log_end = start.log_end
        self._read_through = start.cursor
        self._reading = False
        self._read_again_at = now
        self._settled_before = set(start.settled_past_cursor)
        self._attempts_before = dict(start.attempts_past_cursor)
        self._folded_before = dict(start.folded)
        self._window: deque[int] = deque()  # owed positions past the cursor, in log order
        self._in_flight = 0
        self._success_before_trouble = start.standing.last_success_at
        self._effects: list[Effect] = []
        self._ledger = Ledger()
        self._turns = Turns()
        self._lanes = Lanes(self._turns)
        self._pace = Pace(settings, WINDOW_START if start.standing.health is Health.ACTIVE else 1.0)
        self._probes = Probes(start.standing.failures_in_a_row, now)
        self._coalescer = Coalescer(active=settings.coalesce)
        self._packer = Packer(settings, self._lanes, self._turns, self._ledger)
        self._add_rows(start.pending, start.folded, now)

    # -- the door

    def take(self, signal: Signal, now: int) -> list[Effect]:
        """Take what happened and give what to do, in order. Persist, if any, comes first."""
        self._effects = []
        match signal:
            case AttemptEnded():
                self._attempt_ended(signal, now)
            case NotSent():
                self._not_sent(signal, now)
            case LogGrew(end):
                self._log_grew(end, now)
            case LogRead():
                self._log_read(signal, now)
            case Stored(positions):
                self._stored(positions, now)
            case SettingsChanged(settings):
                self._settings_changed(settings, now)
            case Paused():
                self.paused = True
            case Resumed(paused):
                self._resumed(now, paused=paused)
            case ResendAsked(rows, folded):
                self._resend_asked(rows, folded, now)
            case TimeIs() | CursorDue():
                pass
            case _:
                assert_never(signal)
        self._advance_cursor(now, due=isinstance(signal, CursorDue))
        self._send_what_may_go(now)
        self._read_on(now)
        wake_at = self._wake_at(now)
        persist = self._ledger.end(self.cursor, self.standing)
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
    def window_size(self) -> float:
        """How many attempts may be out at once, in whole numbers."""
        return self._pace.window

    @property
    def in_flight(self) -> int:
        """How many attempts are out."""
        return self._in_flight

    @property
    def owed_count(self) -> int:
        """How many owed deliveries are in memory."""
        return len(self._lanes.owed)

    @property
    def idle(self) -> bool:
        """Whether all that the log holds is settled and nothing is out."""
        return not self._lanes and self._read_through >= self._log_end

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
            return len(self._window) >= self._read_ahead
        return self.standing.health is Health.SUSPENDED

    def phase(self, position: int) -> Phase | None:
        """Where an owed delivery stands; None when it is settled or was not read yet."""
        delivery = self._lanes.owed.get(position)
        return delivery.parcel.phase if delivery else None

    # -- taking up

    def _add_rows(self, rows: Sequence[Pending], folded: Mapping[int, tuple[int, ...]], now: int) -> None:
        """Take rows up as they are stored, those of a batch together."""
        batches: dict[int, list[Delivery]] = {}
        for row in sorted(rows, key=lambda row: row.position):
            delivery = self._add_row(row, folded.get(row.position, ()), now)
            if row.batch is not None:
                batches.setdefault(row.batch.first, []).append(delivery)
        for members in batches.values():
            self._take_up_batch(members, now)
        self._turns.gather_anew()

    def _add_row(self, row: Pending, folded: tuple[int, ...], now: int) -> Delivery:
        resend = row.state is PendingState.RESEND
        # Of those whose order is nobody's wish, each has a lane to itself.
        key = f"#{row.position}" if resend and not self.settings.ordered else row.key
        attempts = max(row.attempts, self._attempts_before.pop(row.position, 0))
        delivery = Delivery(row.position, key, attempts, type_name=row.type, subject=row.key)
        delivery.failures = row.failures
        delivery.due_at = min(row.due_at, self._due_at_latest(row.failures, now))
        if resend and not row.failures:
            delivery.due_at = min(delivery.due_at, now)  # asked for, and not tried since: whatever the clock did
        delivery.first_attempt_at = row.first_attempt_at
        # By a clock ahead of ours it may lie in the future; its lane would be the last to be probed for long.
        delivery.last_attempt_at = None if row.last_attempt_at is None else min(row.last_attempt_at, now - 1)
        delivery.folded = folded
        delivery.replay_id = row.replay_id
        delivery.resend = resend
        delivery.stored = True
        self._ledger.pending_count += 1
        if resend and row.position > self._read_through:
            self._settled_before.add(row.position)
        elif not resend and row.position > self.cursor:
            self._window.append(row.position)  # rows come in order of position, before anything is read
        self._lanes.join(delivery, now)
        if row.batch is None and not resend:
            self._coalescer.add(delivery)
        if row.state is not PendingState.WAITING and delivery.phase is Phase.READY:
            self._turns.retry(delivery, delivery.due_at)
        return delivery

    def _due_at_latest(self, failures: int, now: int) -> int:
        """No retry is further off than its own wait, or the endpoint's hold, says, whatever the clock did meanwhile.

        Where the schedule was made shorter since, its last wait counts.
        """
        steps_s = self.settings.retry_schedule_s[: max(failures, 1)]
        own_wait = now + spread(steps_s[-1], jitter=1.0) if steps_s else now
        return max(own_wait, self.standing.held_until or 0)

    def _take_up_batch(self, members: list[Delivery], now: int) -> None:
        batch = self._packer.take_up(members)
        self._lanes.count_blocked(batch)
        if self.settings.batch_size is None:
            self._packer.unpack(batch, now)
        elif batch.blocked:
            batch.phase = Phase.WAITING
        elif batch.attempts:
            self._turns.retry(batch, batch.due_at)
        else:
            self._turns.make_ready(batch, now)

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
        for position, key, type_name in read.owed:
            if position in self._settled_before:
                self._settled_before.discard(position)  # sent before a crash; nothing is left to do
                continue
            if position in self._lanes.owed:
                continue  # it has a pending row already
            lane, tried = key if self.settings.ordered else f"#{position}", self._attempts_before.pop(position, 0)
            delivery = Delivery(position, lane, tried, type_name=type_name, subject=key)
            if self._folded_before:
                delivery.folded = self._folded_before.pop(position, ())
            self._window.append(position)
            self._lanes.join(delivery, now)
            self._coalescer.add(delivery)

    def _settings_changed(self, settings: Settings, now: int) -> None:
        self.settings = settings
        self._read_ahead = _read_ahead(settings)
        self._pace.use(settings, now)
        owed = self._lanes.owed
        self._coalescer.switch((owed[position] for position in sorted(owed)), active=settings.coalesce)
        self._packer.use(settings, now)
        if settings.batch_size is None:
            for batch in self._lanes.batches():
                self._unpack_unless_out(batch, now)

    def _unpack_unless_out(self, batch: Batch, now: int) -> None:
        """Take a batch apart where no batches are taken any more."""
        if batch.phase not in {Phase.SENDING, Phase.CLOSING, Phase.GONE}:
            self._packer.unpack(batch, now)

    def _attempt_ended(self, ended: AttemptEnded, now: int) -> None:
        parcel = self._being_sent(ended.position)
        self._in_flight -= 1
        if parcel.first_attempt_at is None:
            # Not before it was sent, whatever its timings say: a success of that very instant came before it.
            parcel.first_attempt_at = max(parcel.sent_at, now - round(ended.took_s * SECOND))
        parcel.last_attempt_at = now
        if ended.answer is Answer.TAKEN:
            self._succeeded(parcel, ended, now)
        elif ended.answer is Answer.CANCELLED:
            self._again(parcel, now + round(OWN_TROUBLE_S * SECOND))
            if parcel.probe:
                self._probes.next_at = now + round(OWN_TROUBLE_S * SECOND)
        elif ended.answer is Answer.STALE and not parcel.stale_once:
            # The receiver closed an idle connection as we took it up: no verdict on it, so no failure.
            parcel.stale_once = parcel.fresh = True
            self._again(parcel, now)
        elif ended.answer in _NEVER_WHOLE and isinstance(parcel, Batch) and len(parcel.members) > 1:
            self._never_whole(parcel, ended, now)
        elif ended.answer is Answer.LOST:
            self._give_up(parcel)
        else:
            parcel.stale_once = False
            self._failed(parcel, ended, now)
        if isinstance(parcel, Batch) and self.settings.batch_size is None:
            self._unpack_unless_out(parcel, now)

    def _being_sent(self, position: int) -> Parcel:
        parcel = self._lanes.being(Phase.SENDING, position)
        assert parcel is not None, position
        return parcel

    def _not_sent(self, told: NotSent, now: int) -> None:
        """Take back what did not go out: its number is given to the attempt that does."""
        parcel = self._being_sent(told.position)
        self._in_flight -= 1
        parcel.attempts -= 1
        parcel.fresh = told.fresh
        self._turns.make_ready(parcel, now)
        if isinstance(parcel, Batch) and self.settings.batch_size is None:
            self._unpack_unless_out(parcel, now)

    def _again(self, parcel: Parcel, due_at: int) -> None:
        """Try again what says nothing about the endpoint: nothing is counted."""
        self._ledger.attempted(parcel, Verdict.RETRYING)
        self._turns.retry(parcel, due_at)
        self._ledger.keep_anew(parcel)

    def _never_whole(self, batch: Batch, ended: AttemptEnded, now: int) -> None:
        """Halve a batch that is too large, or of which something is lost: that says nothing against the rest of it."""
        self._ledger.attempted(batch, Verdict.RETRYING)
        if batch.probe:
            self._probes.failed(self.settings.retry_schedule_s, now, ended.jitter)
        if self.settings.batch_size is not None:
            self._packer.split(batch)
        else:
            self._turns.retry(batch, now)  # it is taken apart right away

    def _succeeded(self, parcel: Parcel, ended: AttemptEnded, now: int) -> None:
        self._ledger.attempted(parcel, Verdict.DELIVERED)
        self._settle(parcel, now)
        before = self.standing
        # Stored only when it says something new: an hour of successes is not an hour of writes of the same row.
        if before.failures_in_a_row or before.health is not Health.ACTIVE or 0 < (before.held_until or 0) <= now:
            # One that was out already when the endpoint asked for patience does not end its patience.
            held_until = before.held_until if (before.held_until or 0) > now else None
            self._stand(Turn.SUCCEEDED, now, None, failures_in_a_row=0, failing_since=None, held_until=held_until)
        self.standing = _with_success(self.standing, now)
        if before.health is Health.FAILING:
            self._recovered(now)
        else:
            self._pace.answered(ended.took_s)

    def _settle(self, parcel: Parcel, now: int) -> None:
        """Take delivered or finally failed events out, and let the next ones of their lanes go."""
        self._packer.settled(parcel)
        for member in parcel.members:
            self._ledger.strike(member)
            self._coalescer.forget(member)
            if member.position > self._read_through and not member.resend:
                self._settled_before.add(member.position)  # its row was quicker than the reading of the log
        self._lanes.leave(parcel, now)

    def _recovered(self, now: int) -> None:
        """The endpoint came back: what failed for its sake goes now; what was refused before keeps its time."""
        self._probes.end(self._lanes)
        self._pace.begin_small()
        last_success_at = self._success_before_trouble
        for _, parcel in self._lanes.waiting_parcels():
            tried_at = parcel.last_attempt_at
            for_its_sake = tried_at is None or last_success_at is None or tried_at > last_success_at
            if parcel.phase is Phase.RETRYING and parcel.due_at > now and for_its_sake:
                self._turns.retry(parcel, now)

    def _failed(self, parcel: Parcel, ended: AttemptEnded, now: int) -> None:
        standing = self.standing
        failures_in_a_row = standing.failures_in_a_row + 1
        held_until = standing.held_until
        if ended.retry_after_s is not None and ended.answer is Answer.SLOW_DOWN:
            held_until = max(held_until or 0, hold_until(now, ended.retry_after_s, ended.jitter))
        if ended.answer in {Answer.SLOW_DOWN, Answer.UNREACHED, Answer.STALE}:
            self._pace.narrow()
        self._stand(None, now, standing.reason, failures_in_a_row=failures_in_a_row, held_until=held_until)
        if ended.answer is Answer.GONE:
            self._again(parcel, now)
            self._stand(Turn.ANSWERED_GONE, now, ended.reason)
            return
        if standing.health is not Health.ACTIVE:
            self._probe_failed(parcel, ended, now)
            return
        self._count_failure(parcel, ended, now)
        if self.standing.health is Health.ACTIVE and failures_in_a_row >= FAILURES_IN_A_ROW_MAX:
            self._begin_failing(ended, now)

    def _count_failure(self, parcel: Parcel, ended: AttemptEnded, now: int) -> None:
        parcel.failures += 1
        due_at = next_attempt_at(now, parcel.failures, self.settings.retry_schedule_s, ended.jitter)
        if due_at is not None:
            self._retry_stored(parcel, max(due_at, self.standing.held_until or 0))
        elif self._took_something_since(parcel.first_attempt_at):
            self._give_up(parcel)
        else:
            # The schedule is used up, but nothing else got through either: that is the endpoint's trouble.
            self._retry_stored(parcel, now)
            self._begin_failing(ended, now)

    def _give_up(self, parcel: Parcel) -> None:
        """Let it stand as failed. Its lanes go on once that is on disk."""
        self._ledger.attempted(parcel, Verdict.FAILED)
        parcel.phase = Phase.CLOSING
        for member in parcel.members:
            self._ledger.strike(member)

    def _retry_stored(self, parcel: Parcel, due_at: int) -> None:
        self._ledger.attempted(parcel, Verdict.RETRYING)
        self._turns.retry(parcel, due_at)
        for member in parcel.members:
            self._ledger.keep(member)

    def _took_something_since(self, first_attempt_at: int | None) -> bool:
        success = self.standing.last_success_at
        return success is not None and first_attempt_at is not None and success > first_attempt_at

    def _probe_failed(self, parcel: Parcel, ended: AttemptEnded, now: int) -> None:
        self._again(parcel, now)  # nothing is counted against it while the endpoint is in trouble
        if not parcel.probe:
            return  # it went out before the endpoint was seen to fail
        self._probes.failed(self.settings.retry_schedule_s, now, ended.jitter)
        failing_since = self.standing.failing_since
        if failing_since is not None and now - failing_since >= FAILING_DAYS_MAX * 86_400 * SECOND:
            self._stand(Turn.FAILED_TOO_LONG, now, ended.reason)

    def _begin_failing(self, ended: AttemptEnded, now: int) -> None:
        self._stand(Turn.FAILED_IN_A_ROW, now, ended.reason, failing_since=now)
        self._pace.begin_small()
        self._probes.begin(self._lanes, self.settings.retry_schedule_s, now, ended.jitter)

    def _stored(self, positions: tuple[int, ...], now: int) -> None:
        """What was waited for is on disk.

        Only now may a lane go on after a final failure or a fold, or a crash could send an event after its successor.
        """
        for position in positions:
            if not self._ledger.stored(position):
                continue
            if (closing := self._lanes.being(Phase.CLOSING, position)) is not None:
                self._settle(closing, now)
            elif (held := self._lanes.being(Phase.STORING, position)) is None:
                continue  # it was told with its batch, or this was taken apart meanwhile
            elif isinstance(held, Batch):
                self._packer.stored(held, now)
            else:
                self._fold_stored(held, now)

    def _fold_stored(self, held: Parcel, now: int) -> None:
        """What was folded is on disk: what waited for that goes on from where it stands in its lane."""
        for member in held.members:
            if member.lane[0] is not member:
                member.phase = Phase.WAITING
                continue
            if member.folded:
                self._coalescer.forget(member)  # or it might be folded for ever, and never go
            self._turns.make_ready(member, now)

    def _resumed(self, now: int, *, paused: bool) -> None:
        if self.paused and not paused:
            self._pace.begin_small()  # much may have gathered
        self.paused = paused
        if self.standing.health is not Health.ACTIVE:
            self._stand(Turn.RESUME_ASKED, now, None, failures_in_a_row=0, failing_since=None, held_until=None)
            self._recovered(now)

    def _resend_asked(self, rows: tuple[Pending, ...], folded: Mapping[int, tuple[int, ...]], now: int) -> None:
        self._take_back_cancelled({row.position: row.replay_id for row in rows}, now)
        new = []
        for row in rows:
            known = self._lanes.owed.get(row.position)
            if row.state is not PendingState.RESEND:
                # A row that tells of fewer attempts was read before the latest one was stored: its time is past.
                parcel = known.parcel if known is not None else None
                same = parcel is not None and parcel.phase is Phase.RETRYING and row.attempts == parcel.attempts
                if parcel is not None and same and row.due_at < parcel.due_at:
                    self._turns.retry(parcel, row.due_at)
            elif row.position not in self._lanes.resends:
                new.append(row)
        self._add_rows(new, folded, now)

    def _take_back_cancelled(self, asked: Mapping[int, str | None], now: int) -> None:
        """Let go of what a replay asked for and, once it was cancelled, asks for no more. What is out is out."""
        for delivery in tuple(self._lanes.resends.values()):
            parcel = delivery.parcel  # alone even where batches are taken
            is_movable = parcel.phase in {Phase.WAITING, Phase.READY, Phase.RETRYING}
            is_asked = delivery.position in asked and asked[delivery.position] == delivery.replay_id
            if delivery.replay_id is not None and not is_asked and is_movable:
                # Another that asks for it may have been written before the latest attempt was.
                self._attempts_before[delivery.position] = parcel.attempts
                parcel.phase = Phase.GONE
                self._ledger.forget(delivery)
                self._lanes.withdraw(delivery, now)

    # -- what follows

    def _advance_cursor(self, now: int, *, due: bool) -> None:
        """Move the cursor over all that is settled or written down, writing down what waits behind a pending one."""
        if self.standing.health is Health.ACTIVE and not self.paused:
            self._write_down_waiting()
        # While it fails the cursor stands, or each probe of a batch would write a row and make room for the next.
        if self.standing.health is not Health.FAILING:
            window, owed = self._window, self._lanes.owed
            while window:
                delivery = owed.get(window[0])
                if delivery is not None and not delivery.stored:
                    break
                window.popleft()
            # Rows past the cursor were taken up before what was read between them, and were popped by now.
            self.cursor = max(self.cursor, window[0] - 1 if window else self._read_through)
        lag = self.cursor - self._cursor_told
        if lag and (
            due
            or self._ledger.is_open
            or lag >= CURSOR_LAG_MAX
            or now - self._cursor_told_at >= CURSOR_LAG_S_MAX * SECOND
        ):  # fmt: skip
            self._cursor_told, self._cursor_told_at = self.cursor, now
            self._ledger.cursor_moved = True

    def _write_down_waiting(self) -> None:
        """Give a row to each delivery at the front of the window that waits behind a pending one of its lane."""
        for position in self._window:
            delivery = self._lanes.owed.get(position)
            if delivery is None or delivery.stored:
                continue
            if delivery.phase is not Phase.WAITING or self._ledger.pending_count >= PENDING_MAX:
                return
            if not delivery.lane[0].stored:
                return
            self._ledger.keep(delivery)

    def _send_what_may_go(self, now: int) -> None:
        if self.paused or self.standing.health is Health.SUSPENDED:
            return
        self._turns.wake_the_due(now)
        if (self.standing.held_until or 0) > now:
            return
        if self.standing.health is Health.FAILING:
            self._probe(now)
            return
        if self._reads_first(now):
            return
        while self._pace.room(self._in_flight + self._packer.storing) and self._pace.next_send_at <= now:
            if (parcel := self._turns.first()) is not None:
                self._turns.pop()
                self._let_go(parcel, now)
            elif self._packer.is_due(now) and (room := self._room_in_batch()):
                self._packer.pack(room, self._fold)
                if self.settings.rate_per_second is not None:
                    return  # what gathers until it may go, goes with the next
            else:
                return

    def _reads_first(self, now: int) -> bool:
        """Whether what may be folded waits until as much of the log is read as there is room for."""
        if not self._coalescer.active:
            return False
        room = self._read_ahead - len(self._window)
        return self._reading or (room > 0 and self._wants_more() and self._read_again_at <= now)

    def _room_in_batch(self) -> int:
        """How many events a batch may hold now: each is written down, and that has a bound."""
        return min(self.settings.batch_size or 0, PENDING_MAX - self._ledger.pending_count)

    def _let_go(self, parcel: Parcel, now: int) -> None:
        """Send what is ready, or first make up what goes out in its place."""
        if isinstance(parcel, Delivery):
            if self.settings.batch_size is not None:
                self._packer.pack_alone(parcel)
                return
            if parcel.family is not None and self._fold_alone(parcel):
                return
        self._send(parcel, now)

    def _fold(self, delivery: Delivery) -> list[Lane]:
        """Fold what is about to go out into a newer one, if there is any. Gives the lanes that have a part in it.

        What comes forward in them waits until that is stored, or a crash could let the older one go out after it.
        """
        folding = self._coalescer.fold(delivery)
        if folding is None:
            self._coalescer.forget(delivery)
            return []
        older, holder = folding
        for other in older:
            self._ledger.folded(other, holder)
            if other.position > self._read_through:
                self._settled_before.add(other.position)
            self._lanes.remove(other)
        # They may stand in several lanes where the ordering was changed.
        return [*(other.lane for other in older), holder.lane]

    def _fold_alone(self, delivery: Delivery) -> bool:
        """The same for what goes out by itself; whether anything was folded, and has to be stored first."""
        lanes = self._fold(delivery)
        if not lanes:
            return False
        # It holds the others itself where the older ones stand in other lanes, from before the ordering was changed.
        is_folded = delivery.phase is Phase.GONE
        holder = self._lanes.owed[self._ledger.holder_of(delivery.position)] if is_folded else delivery
        for waiting in (*(lane[0] for lane in lanes if lane and lane[0].phase is Phase.WAITING), holder):
            if waiting.phase is not Phase.STORING:
                waiting.phase = Phase.STORING
                self._ledger.hold(waiting.position)
        return True

    def _send(self, parcel: Parcel, now: int, *, probe: bool = False) -> None:
        parcel.phase = Phase.SENDING
        parcel.sent_at = now
        parcel.probe = probe
        parcel.attempts += 1
        self._in_flight += 1
        self._pace.sent(now)
        self._effects.append(parcel.sending())
        parcel.fresh = False

    def _probe(self, now: int) -> None:
        """Try the lane tried least recently."""
        if self._in_flight or self._packer.storing or max(self._probes.next_at, self._pace.next_send_at) > now:
            return
        parcel = next_probe(self._lanes)
        if isinstance(parcel, Delivery) and self.settings.batch_size is not None:
            self._packer.pack_alone(parcel)  # it is probed once that is stored, being the one tried least recently
        elif parcel is not None:
            note_probe(parcel, now)
            self._send(parcel, now, probe=True)

    def _read_on(self, now: int) -> None:
        """Ask for more of the log when there is room for it in the window."""
        room = self._read_ahead - len(self._window)
        if room > 0 and self._wants_more() and self._read_again_at <= now:
            self._reading = True
            self._effects.append(ReadLog(self._read_through, room))

    def _wants_more(self) -> bool:
        if self._reading or self._read_through >= self._log_end:
            return False
        if self._ledger.pending_count >= PENDING_MAX:
            return False  # whatever is read may fail and want a row: the cursor waits until some are settled
        return self.standing.health is not Health.SUSPENDED and not (self.paused and self._window)

    def _wake_at(self, now: int) -> int | None:
        """When time alone makes a difference: something is due, a lazy cursor, or a log to be read again."""
        times: list[int] = []
        if self._cursor_told < self.cursor and not self._ledger.cursor_moved:
            times.append(self._cursor_told_at + CURSOR_LAG_S_MAX * SECOND)
        if self._read_again_at > now and self._wants_more():
            times.append(self._read_again_at)
        if not self.paused and self.standing.health is not Health.SUSPENDED:
            self._add_times_of_sending(times, now)
        return max(min(times), now + 1) if times else None

    def _add_times_of_sending(self, times: list[int], now: int) -> None:
        """A retry due, a hold over, a probe, the rate limit, a batch that has waited long enough."""
        held_until = self.standing.held_until or 0
        if self.standing.health is Health.FAILING:
            # One that is due and did not go had no head to try: time alone changes nothing then.
            probe_at = max(self._probes.next_at, self._pace.next_send_at, held_until)
            if self._lanes and not self._in_flight and not self._packer.storing and probe_at > now:
                times.append(probe_at)
            return
        if self._turns.next_due_at is not None:
            times.append(max(self._turns.next_due_at, held_until))
        free_at = max(held_until, self._pace.next_send_at)
        if self._reading and self._coalescer.active:
            return  # what is read goes with it
        if held_until <= now and not self._pace.room(self._in_flight + self._packer.storing):
            return  # the next answer makes room
        if self._turns.first() is not None:
            times.append(free_at)
        if self._packer.due_at is not None and self._room_in_batch() > 0:
            times.append(max(free_at, now if self._packer.is_due(now) else self._packer.due_at))

    # -- how the endpoint stands

    def _stand(self, turn: Turn | None, now: int, reason: str | None, **changes: int | None) -> None:
        health = turned(self.standing.health, turn) if turn else self.standing.health
        if health is not self.standing.health:
            if health is Health.FAILING or self.standing.health is Health.ACTIVE:
                self._success_before_trouble = self.standing.last_success_at
            self.standing = replace(self.standing, health=health, since=now, reason=reason)
        self.standing = replace(self.standing, **changes)  # type: ignore[arg-type]
        self._ledger.standing_moved = True


def _read_ahead(settings: Settings) -> int:
    """How many owed positions past the cursor are held in memory: so many that batches fill."""
    return max(READ_AHEAD, 2 * (settings.batch_size or 0))


def _with_success(standing: Standing, now: int) -> Standing:
    """The same with a success now. Made by hand: it is once for each delivery, and `replace` takes thrice as long."""
    return Standing(
        health=standing.health, reason=standing.reason, since=standing.since,
        failures_in_a_row=standing.failures_in_a_row, failing_since=standing.failing_since, last_success_at=now,
        held_until=standing.held_until,
    )  # fmt: skip


def _within_reason(standing: Standing, now: int) -> Standing:
    """Take nothing for true that only a clock that was stepped back can say."""
    held_until, failing_since, success = standing.held_until, standing.failing_since, standing.last_success_at
    return replace(
        standing,
        held_until=None if held_until is None else min(held_until, hold_until(now, RETRY_AFTER_S_MAX, 1.0)),
        failing_since=None if failing_since is None else min(failing_since, now),
        last_success_at=None if success is None else min(success, now),
    )
