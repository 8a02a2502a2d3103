"""A history made ready to be asked: what went out and how it ended, and what was stored at any moment.

A moment is a place in the history's records, so that two things of the same microsecond still have an order. Nothing
here knows how the product works; it only sorts what both sides of each border saw.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

from waypost.simulator.checker.wants import is_wanted, version_at
from waypost.simulator.history import (
    Arrived,
    AttemptSeen,
    Committed,
    Complaint,
    Ending,
    EndpointChanged,
    EndpointRow,
    EndpointSettingsSeen,
    EventSeen,
    Fault,
    FaultsStopped,
    History,
    Microseconds,
    Name,
    OperatorAsked,
    PendingRowSeen,
    ProcessTurn,
    ReceiverAnswered,
    ReportAnswered,
    ReportSent,
    SendBegan,
    SendEnded,
    Wishes,
)

SECOND = 1_000_000
NEVER = 1 << 62  # a moment after every other
LEASE_S = 5.0  # how long a worker may be silent before others take its endpoints, if the run says nothing else
LIFE_ENDS = ("killed", "ended")

T = TypeVar("T")
Place = tuple[Name, int]  # an event at an endpoint


class Timeline(Generic[T]):
    """A value that changes: what it was at any moment."""

    __slots__ = ("moments", "values")

    def __init__(self) -> None:
        self.moments: list[int] = []
        self.values: list[T] = []

    def put(self, moment: int, value: T) -> None:
        """Note that it is `value` from `moment` on."""
        self.moments.append(moment)
        self.values.append(value)

    def at(self, moment: int) -> T | None:
        """Give the value at `moment`, changes of that moment included; None before the first."""
        place = bisect_right(self.moments, moment)
        return self.values[place - 1] if place else None

    def between(self, after: int, before: int) -> Iterator[tuple[int, T]]:
        """Give the changes strictly between two moments."""
        for place in range(bisect_right(self.moments, after), len(self.moments)):
            if self.moments[place] >= before:
                return
            yield self.moments[place], self.values[place]


@dataclass(slots=True, eq=False)
class Sent:
    """A request: how it began, whether it arrived, what was answered and what was heard. Moments are NEVER if not."""

    moment: int
    began: SendBegan
    epoch: int  # the stored epoch of its endpoint when it began
    again: bool  # asked for by somebody: a resend or a replay
    arrived: int = NEVER
    arrived_at: Microseconds | None = None
    answered: ReceiverAnswered | None = None
    ended: SendEnded | None = None
    ended_moment: int = NEVER
    over: int = NEVER  # when it ended, or its process did

    @property
    def name(self) -> Name:
        """The endpoint it went to."""
        return self.began.name

    @property
    def owner(self) -> tuple[int, int]:
        """The process and the epoch it was sent under: within one of them everything is known."""
        return self.began.process, self.epoch

    @property
    def taken(self) -> bool:
        """Whether the process heard a success."""
        return self.ended is not None and self.ended.outcome == "success"

    @property
    def refused(self) -> bool:
        """Whether it ended as a failure that says something of the receiver."""
        ended = self.ended
        return ended is not None and ended.outcome not in ("success", "cancelled") and not ended.stale


@dataclass(frozen=True, slots=True)
class Asked:
    """What an operator asked for, with its moment."""

    moment: int
    call: OperatorAsked


class Facts:
    """The facts of one run. Attributes are by account, endpoint (`Name`) or event at an endpoint (`Place`)."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.records = history.records
        self.lease_us = round(float(str(history.config.get("lease_ttl_s", LEASE_S))) * SECOND)
        self.lag_us = 2 * self.lease_us  # until every worker knows of a change that was answered, or has no lease left
        self.sent: list[Sent] = []
        self.sent_to: dict[Name, list[Sent]] = defaultdict(list)
        self.sent_at: dict[Place, list[Sent]] = defaultdict(list)
        self.commits: list[tuple[int, Committed]] = []
        self.rows: dict[Name, Timeline[EndpointRow | None]] = defaultdict(Timeline)
        self.pending: dict[Place, Timeline[PendingRowSeen | None]] = defaultdict(Timeline)
        self.attempts: dict[Place, list[tuple[int, AttemptSeen]]] = defaultdict(list)
        self.folded: dict[Place, tuple[int, int]] = {}  # moment, the position that holds it
        self.log: dict[str, dict[int, EventSeen]] = defaultdict(dict)
        self.logged: dict[tuple[str, int], int] = {}
        self.log_end: dict[str, Timeline[int]] = defaultdict(Timeline)
        self.hashes: dict[tuple[str, int], Timeline[str]] = defaultdict(Timeline)
        self.events_gone: dict[tuple[str, int], int] = {}
        self.asked: list[Asked] = []
        self.asked_of: dict[Name, list[Asked]] = defaultdict(list)
        self.changes: dict[Name, list[EndpointChanged]] = defaultdict(list)
        self.turns: dict[int, list[tuple[int, ProcessTurn]]] = defaultdict(list)
        self.reports: dict[int, ReportSent] = {}
        self.answers: list[tuple[int, ReportAnswered]] = []
        self.faults: list[Fault] = []
        self.complaints: list[tuple[int, Complaint]] = []
        self.faults_stopped_at: Microseconds | None = None
        self.ending: Ending | None = None
        self._requests: dict[int, Sent] = {}
        self._settled: dict[Place, int] = {}
        self._wanted: dict[Name, list[int]] = {}
        for moment, record in enumerate(history.records):
            self._note(moment, record)
        self._end_with_their_process()

    # -- sorting

    def _note(self, moment: int, record: object) -> None:
        match record:
            case Committed():
                self._committed(moment, record)
            case SendBegan():
                self._began(moment, record)
            case Arrived() | ReceiverAnswered() | SendEnded():
                self._went_on(moment, record)
            case _:
                self._heard(moment, record)

    def _went_on(self, moment: int, record: Arrived | ReceiverAnswered | SendEnded) -> None:
        sent = self._requests[record.request]
        match record:
            case Arrived(at):
                if sent.arrived == NEVER:
                    sent.arrived, sent.arrived_at = moment, at
            case ReceiverAnswered():
                sent.answered = record
            case SendEnded():
                sent.ended, sent.ended_moment, sent.over = record, moment, moment

    def _heard(self, moment: int, record: object) -> None:
        match record:
            case OperatorAsked(name=name):
                self.asked.append(Asked(moment, record))
                self.asked_of[name].append(self.asked[-1])
            case EndpointChanged(name=name):
                self.changes[name].append(record)
            case ProcessTurn(process=process):
                self.turns[process].append((moment, record))
            case ReportSent(call=call):
                self.reports[call] = record
            case ReportAnswered():
                self.answers.append((moment, record))
            case Fault():
                self.faults.append(record)
            case Complaint():
                self.complaints.append((moment, record))
            case FaultsStopped(at):
                self.faults_stopped_at = at
            case Ending():
                self.ending = record
            case _:
                raise TypeError(f"no record of a history: {record!r}")

    def _committed(self, moment: int, commit: Committed) -> None:
        self.commits.append((moment, commit))
        for row in commit.endpoints:
            self.rows[row.name].put(moment, row)
        for name in commit.endpoints_gone:
            self.rows[name].put(moment, None)
        for name, position in commit.pending_gone:
            self.pending[name, position].put(moment, None)
        for pending in commit.pending_put:
            self.pending[pending.name, pending.position].put(moment, pending)
        for attempt in commit.attempts:
            place = (attempt.name, attempt.position)
            self.attempts[place].append((moment, attempt))
            if attempt.verdict in ("delivered", "failed"):
                self._settled.setdefault(place, moment)
        for name, position, into in commit.folds:
            self.folded.setdefault((name, position), (moment, into))
            self._settled.setdefault((name, position), moment)
        for account, event in commit.events:
            self.log[account].setdefault(event.position, event)
            self.logged.setdefault((account, event.position), moment)
            self.hashes[account, event.position].put(moment, event.body_hash)
            self.log_end[account].put(moment, max(event.position, self.log_end[account].at(moment) or 0))
        for account, event in commit.rewritten:
            self.hashes[account, event.position].put(moment, event.body_hash)
        for account, position in commit.events_gone:
            self.events_gone.setdefault((account, position), moment)

    def _began(self, moment: int, began: SendBegan) -> None:
        row = self.row(began.name, moment)
        held = [self.pending_row((began.name, position), moment) for position in began.positions]
        again = began.replay_id is not None or any(one is not None and one.state == "resend" for one in held)
        sent = Sent(moment, began, row.epoch if row else -1, again)
        self._requests[began.request] = sent
        self.sent.append(sent)
        self.sent_to[began.name].append(sent)
        for position in began.positions:
            self.sent_at[began.name, position].append(sent)

    def _end_with_their_process(self) -> None:
        ends = {
            process: moment for process, turns in self.turns.items() for moment, turn in turns if turn.turn in LIFE_ENDS
        }
        for sent in self.sent:
            if sent.over == NEVER:
                sent.over = ends.get(sent.began.process, NEVER)

    # -- asking

    def at(self, moment: int) -> Microseconds:
        """Give the time of a moment."""
        return self.records[moment].at

    def row(self, name: Name, moment: int) -> EndpointRow | None:
        """Give an endpoint as it was stored at a moment."""
        rows = self.rows.get(name)
        return rows.at(moment) if rows else None

    def pending_row(self, place: Place, moment: int) -> PendingRowSeen | None:
        """Give a pending row as it was stored at a moment."""
        rows = self.pending.get(place)
        return rows.at(moment) if rows else None

    def settled(self, place: Place) -> int:
        """Give the moment from which it stood in the store as delivered, failed or folded into another; or NEVER."""
        return self._settled.get(place, NEVER)

    def stored(self, place: Place, verdict: str) -> int:
        """Give the moment from which an attempt with this verdict was stored; or NEVER."""
        return next((moment for moment, one in self.attempts.get(place, ()) if one.verdict == verdict), NEVER)

    def is_stored(self, sent: Sent, before: int = NEVER) -> bool:
        """Say whether the attempt of a sending was stored before a moment; else the next owner knows nothing of it."""
        place = (sent.name, sent.began.positions[0])
        return any(
            sent.moment < moment < before and attempt.number == sent.began.attempt
            for moment, attempt in self.attempts.get(place, ())
        )

    @cached_property
    def made(self) -> dict[Name, EndpointChanged]:
        """How each endpoint was made, as far as anybody was told."""
        return {name: next((c for c in changes if c.made), changes[0]) for name, changes in self.changes.items()}

    @cached_property
    def wishes(self) -> dict[Name, list[Wishes]]:
        """Every version of what each endpoint wants, in order of position."""
        found: dict[Name, list[Wishes]] = {}
        for name, changes in self.changes.items():
            versions = {version.from_position: version for change in changes for version in change.wishes}
            found[name] = [versions[position] for position in sorted(versions)]
        return found

    def wants(self, name: Name, position: int) -> bool:
        """Say whether the endpoint is owed the event at `position` of its account's log."""
        event = self.log[name.account_id].get(position)
        if event is None or name not in self.made or position <= self.made[name].start_position:
            return False
        version = version_at(self.wishes[name], position)
        words = self.history.event_facts.get((name.account_id, position), {})
        return version is not None and is_wanted(version, event.type, words)

    def wanted(self, name: Name) -> list[int]:
        """Give the positions that the endpoint is owed, in order, whatever became of them."""
        if name not in self._wanted:
            self._wanted[name] = [p for p in sorted(self.log[name.account_id]) if self.wants(name, p)]
        return self._wanted[name]

    def settings(self, name: Name, since: Microseconds, until: Microseconds) -> list[EndpointSettingsSeen]:
        """Give the settings of which any may have been in force somewhere between two times."""
        return [change.settings for change in self.in_force(name, since, until)]

    def in_force(self, name: Name, since: Microseconds, until: Microseconds) -> list[EndpointChanged]:
        """Give the changes that may have been the latest one somewhere between two times."""
        found: list[EndpointChanged] = []
        for change in self.changes.get(name, ()):
            if change.at <= since:
                found = [change]
            elif change.asked_at <= until:
                found.append(change)
        return found

    def asked_between(self, name: Name, since: Microseconds, until: Microseconds, *what: str) -> list[Asked]:
        """Give what was asked of the endpoint and may have taken effect between two times."""
        return [
            asked
            for asked in self.asked_of.get(name, ())
            if asked.call.what in what and asked.call.asked_at <= until and self.until(asked) >= since
        ]

    def until(self, asked: Asked) -> Microseconds:
        """By when it had taken effect everywhere; a call without an answer may take effect at any time."""
        return asked.call.at + self.lag_us if asked.call.answered else NEVER

    def always_ordered(self, name: Name) -> bool:
        """Say whether the endpoint kept shipments in order all the time."""
        return all(change.settings.ordering == "shipment" for change in self.changes.get(name, ()))

    def key_of(self, name: Name, position: int) -> str:
        """Give the key of an event, empty when it is not in the log."""
        event = self.log[name.account_id].get(position)
        return event.key if event else ""

    def written_by_owner(self, commit: Committed, name: Name) -> bool:
        """Say whether a commit holds a write of the endpoint's owner, and no resume by somebody beside it."""
        named = any(of == name for of, _ in commit.worker_epochs) and name not in commit.refused
        return named and "resume" not in commit.what

    def clock_error(self, process: int, moment: int) -> Microseconds:
        """How wrong a process's wall clock was when it last told."""
        told = self._clocks.get(process)
        return abs(told.at(moment) or 0) if told else 0

    def clock_error_at_start(self, process: int) -> Microseconds:
        """How wrong its wall clock was when it started: from then on it counts on by a clock that never steps."""
        told = self._clocks.get(process)
        return abs(told.values[0]) if told and told.values else 0

    @cached_property
    def written_down(self) -> dict[Name, list[int]]:
        """The positions that ever had a pending row, by endpoint."""
        found: dict[Name, list[int]] = defaultdict(list)
        for name, position in self.pending:
            found[name].append(position)
        return found

    @cached_property
    def _clocks(self) -> dict[int, Timeline[int]]:
        found: dict[int, Timeline[int]] = defaultdict(Timeline)
        for moment, record in enumerate(self.records):
            if isinstance(record, ProcessTurn) and record.clock is not None:
                found[record.process].put(moment, record.clock - record.at - self.history.began_at)
            elif isinstance(record, SendBegan):
                found[record.process].put(moment, record.process_clock - record.at - self.history.began_at)
        return found

    @cached_property
    def clock_error_max(self) -> Microseconds:
        """How wrong any clock ever was."""
        return max((abs(error) for told in self._clocks.values() for error in told.values), default=0)

    def troubled(self, since: Microseconds, until: Microseconds, name: Name | None = None) -> bool:
        """Say whether the world harmed something between two times that can delay the endpoint (or anybody)."""
        for fault in self.faults:
            ends = fault.until if fault.until is not None else fault.at
            if fault.at <= until and ends >= since and (fault.touches is None or name is None or name in fault.touches):
                return True
        return self.turned(since, until) > 0

    def turned(self, since: Microseconds, until: Microseconds) -> int:
        """How often, between two times, a process began, ended, stood still or went on."""
        times = self._turn_times
        return bisect_right(times, until) - bisect_left(times, since)

    @cached_property
    def _turn_times(self) -> list[Microseconds]:
        return sorted(turn.at for turns in self.turns.values() for _, turn in turns)

    @cached_property
    def without_workers(self) -> list[tuple[Microseconds, Microseconds]]:
        """The times, begin and end, in which no process was alive and awake."""
        awake: set[int] = set()
        found: list[tuple[Microseconds, Microseconds]] = []
        asleep_since: Microseconds | None = 0
        turns = sorted((one for turns in self.turns.values() for one in turns), key=lambda one: one[0])
        for _, turn in turns:
            if turn.turn in ("started", "woken"):
                awake.add(turn.process)
            elif turn.turn in ("killed", "stop", "ended", "paused"):
                awake.discard(turn.process)
            if awake and asleep_since is not None:
                found.append((asleep_since, turn.at))
                asleep_since = None
            elif not awake and asleep_since is None:
                asleep_since = turn.at
        if asleep_since is not None:
            found.append((asleep_since, self.records[-1].at if self.records else asleep_since))
        return found
