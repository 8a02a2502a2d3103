"""Tells histories by hand, for tests of the checker: each call adds the records of one thing that happened."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from waypost.simulator.checker import check
from waypost.simulator.history import (
    Arrived,
    AttemptSeen,
    Committed,
    Ending,
    EndpointChanged,
    EndpointRow,
    EndpointSettingsSeen,
    EventSeen,
    Fault,
    FaultsStopped,
    History,
    Name,
    OperatorAsked,
    PendingRowSeen,
    ProcessTurn,
    ReceiverAnswered,
    Record,
    ReportAnswered,
    ReportSent,
    SendBegan,
    SendEnded,
    Wishes,
    WorkerRow,
)

BEGAN_AT = 1_796_083_200_000_000
SECOND = 1_000_000
LEASE = 5 * SECOND
ENDPOINT = Name("default", "ep_1")
OTHER = Name("default", "ep_2")
SECRET = "whsec_one"
SETTINGS = EndpointSettingsSeen(
    url="https://erp.example/hooks", ordering="shipment", timeout_s=15.0, in_flight_max=16, rate_per_second=None,
    retry_schedule_s=(5.0, 300.0),
)  # fmt: skip


class Story:
    """A history in the making. Times are in seconds; a request's `process` also names its worker, `w1`."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.now = 0
        self.log: dict[str, list[EventSeen]] = defaultdict(list)
        self.rows: dict[Name, EndpointRow] = {}
        self.pending: dict[tuple[Name, int], PendingRowSeen] = {}
        self.attempts: list[AttemptSeen] = []
        self.folds: list[tuple[Name, int, int]] = []
        self.renewed: dict[int, int] = {}
        self.requests = 0
        self.calls = 0
        self.facts: dict[tuple[str, int], Mapping[str, tuple[str, ...]]] = {}
        self.replays: list[tuple[str, str, int, int, str]] = []
        self.waiting: dict[Name, int] = {}
        self.shown: list[tuple[Name, int, str]] = []

    def add(self, record: Record) -> int:
        """Add a record and give its place."""
        self.records.append(record)
        return len(self.records) - 1

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += round(seconds * SECOND)

    # -- processes

    def start(self, process: int = 1) -> None:
        """Start a worker."""
        self.add(ProcessTurn(self.now, process, "started", clock=BEGAN_AT + self.now))

    def kill(self, process: int = 1) -> None:
        """Kill it."""
        self.add(ProcessTurn(self.now, process, "killed"))

    def renew(self, process: int = 1, lives: int = LEASE) -> None:
        """Renew its lease."""
        clock = BEGAN_AT + self.now
        self.renewed[process] = self.now
        row = WorkerRow(f"p{process}", clock + lives)
        self.add(Committed(self.now, process, "leases", workers=(row,), store_clock=clock))

    def take(self, name: Name = ENDPOINT, process: int = 1) -> None:
        """Take an endpoint with the next epoch."""
        clock = BEGAN_AT + self.now
        self.renewed[process] = self.now
        row = self.rows[name] = replace(self.rows[name], epoch=self.rows[name].epoch + 1, owner=f"p{process}")
        workers = (WorkerRow(f"p{process}", clock + LEASE),)
        self.add(
            Committed(self.now, process, "take", endpoints=(row,), workers=workers, store_clock=clock)
        )  # fmt: skip

    # -- endpoints

    def endpoint(
        self, name: Name = ENDPOINT, *, start: int = 0, patterns: tuple[str, ...] = ("*",),
        wanted: Mapping[str, tuple[str, ...]] | None = None, **settings: Any,
    ) -> None:  # fmt: skip
        """Make an endpoint."""
        made = replace(SETTINGS, **settings)
        wishes = (Wishes(start + 1, patterns, wanted or {}),)
        row = self.rows[name] = EndpointRow(
            name=name, cursor=start, epoch=0, owner=None, health="active", paused=False, failures_in_a_row=0,
            failing_since=None, last_success_at=None, held_until=None,
        )  # fmt: skip
        asked_at = self.now
        self.wait(0.001)
        self.add(Committed(self.now, None, "create_endpoint", endpoints=(row,)))
        self.add(
            EndpointChanged(self.now, asked_at, name, made, wishes, start, ((SECRET, None),), made=True, start=start)
        )  # fmt: skip
        self.wait(0.001)

    def ask(self, what: str, name: Name = ENDPOINT, *, answered: bool = True, **more: Any) -> None:
        """Have somebody ask for something."""
        asked_at = self.now
        self.wait(0.001)
        self.add(OperatorAsked(self.now, asked_at, what, name, answered, **more))

    # -- reports

    def report(
        self, *types: str, key: str = "shp_1", account: str = "default", once: str = "", heard: bool = True,
        events: Iterable[EventSeen] | None = None,
    ) -> list[EventSeen]:  # fmt: skip
        """Hand in a report that makes events of these types, and hear the answer."""
        self.calls += 1
        call = self.calls
        self.add(ReportSent(self.now, call, account, key, once or f"once-{call}"))
        self.wait(0.001)
        new = list(self.events(*types, key=key, account=account)) if events is None else list(events)
        if types and events is None:
            self.add(Committed(self.now, None, "report", events=tuple((account, event) for event in new)))
        self.wait(0.001)
        if heard:
            told = tuple(replace(event, body_hash="") for event in new)
            self.add(ReportAnswered(self.now, call, accepted=True, events=told))
        return new

    def events(self, *types: str, key: str = "shp_1", account: str = "default") -> list[EventSeen]:
        """Give the account's next events; they are for a commit to come."""
        log = self.log[account]
        for event_type in types:
            position = len(log) + 1
            sequence = sum(event.key == key for event in log) + 1
            log.append(EventSeen(position, sequence, key, event_type, f"evt_{position}", f"bytes {position}"))
        return log[len(log) - len(types) :]

    # -- requests

    def begin(
        self, *positions: int, name: Name = ENDPOINT, process: int = 1, attempt: int = 1, arrives: bool = True,
        **more: Any,
    ) -> int:  # fmt: skip
        """Begin a request, with a lease that is fresh enough, and let it arrive."""
        if self.now - self.renewed.get(process, self.now) > LEASE - SECOND // 10:
            self.renew(process)
        self.requests += 1
        events = [self.log[name.account_id][position - 1] for position in positions]
        clock = BEGAN_AT + self.now
        alone = len(events) == 1
        values: dict[str, Any] = {
            "at": self.now, "request": self.requests, "process": process, "name": name, "url": SETTINGS.url,
            "webhook_id": events[0].event_id if alone else f"bat_{events[0].event_id}-{len(events)}",
            "event_type": events[0].type if alone else "batch", "event_ids": tuple(e.event_id for e in events),
            "positions": positions, "keys": tuple(e.key for e in events),
            "sequences": tuple(e.sequence for e in events), "attempt": attempt,
            "body_hash": " ".join(e.body_hash for e in events), "replay_id": None, "signed_by": (SECRET,),
            "timestamp": clock // SECOND, "process_clock": clock,
        }  # fmt: skip
        self.add(SendBegan(**(values | more)))
        if arrives:
            self.wait(0.001)
            self.add(Arrived(self.now, self.requests))
        return self.requests

    def end(self, request: int, status: int | None = 200, *, retry_after: str | None = None) -> None:
        """Let the receiver answer and the process hear it; no status is a timeout."""
        self.wait(0.001)
        if status is None:
            self.add(SendEnded(self.now, request, "timeout", None))
            return
        self.add(ReceiverAnswered(self.now, request, status, retry_after))
        self.wait(0.001)
        self.add(SendEnded(self.now, request, "success" if status < 300 else "status", status, retry_after))

    def send(self, *positions: int, status: int | None = 200, retry_after: str | None = None, **more: Any) -> None:
        """Send and hear the answer."""
        self.end(self.begin(*positions, **more), status, retry_after=retry_after)

    # -- what owners store

    def store(
        self, *attempts: tuple[int, int, str], name: Name = ENDPOINT, process: int | None = 1,
        put: Iterable[PendingRowSeen] = (), gone: Iterable[int] = (), status: int | None = None,
        events: Iterable[EventSeen] = (), epoch: int | None = None, folds: Iterable[tuple[int, int]] = (),
        **row: Any,
    ) -> int:  # fmt: skip
        """Commit what an owner stores: attempts as (position, number, verdict), rows, and changes of the endpoint."""
        self.wait(0.001)
        before = self.rows[name]
        after = self.rows[name] = replace(before, **row)
        made = [
            AttemptSeen(
                name=name, position=position, number=number, verdict=verdict,
                outcome="success" if verdict == "delivered" else "status",
                status=200 if verdict == "delivered" else (status or 500), started_at=BEGAN_AT + self.now,
            )
            for position, number, verdict in attempts
        ]  # fmt: skip
        put, gone = tuple(put), tuple(gone)
        self.attempts += made
        self.pending |= {(one.name, one.position): one for one in put}
        for position in gone:
            self.pending.pop((name, position), None)
        added = tuple((name, position, into) for position, into in folds)
        self.folds += added
        written = ((name, before.epoch if epoch is None else epoch),) if process is not None else ()
        return self.add(
            Committed(
                self.now, process, "persist", endpoints=(after,) if after != before else (), pending_put=put,
                pending_gone=tuple((name, position) for position in gone), attempts=tuple(made), folds=added,
                events=tuple((name.account_id, event) for event in events), worker_epochs=written,
            )
        )  # fmt: skip

    def deliver(self, position: int, *, name: Name = ENDPOINT, attempt: int = 1, **more: Any) -> None:
        """Send an event that is taken, and store that."""
        self.send(position, name=name, attempt=attempt, **more)
        cursor = max(position, self.rows[name].cursor)
        gone = [position] if (name, position) in self.pending else []
        self.store((position, attempt, "delivered"), name=name, cursor=cursor, gone=gone)

    def held(self, position: int, failures: int, *, name: Name = ENDPOINT, state: str = "retrying") -> PendingRowSeen:
        """A pending row."""
        key = self.log[name.account_id][position - 1].key
        return PendingRowSeen(
            name=name, position=position, key=key, state=state, failures=failures, attempts=failures
        )  # fmt: skip

    # -- the end

    def ending(self, *, idle: bool = True) -> None:
        """End the run as the database stands."""
        self.wait(1)
        self.add(FaultsStopped(self.now))
        self.wait(1)
        gone = {
            place for one in self.records if isinstance(one, Committed) for place in one.events_gone
        }  # fmt: skip
        events = tuple(
            (account, event) for account, log in self.log.items() for event in log
            if (account, event.position) not in gone
        )  # fmt: skip
        self.add(
            Ending(
                at=self.now, idle=idle, endpoints=tuple(self.rows.values()), pending=tuple(self.pending.values()),
                attempts=tuple(self.attempts), folds=tuple(self.folds), events=events, shown=tuple(self.shown),
                waiting=tuple(self.waiting.items()), replays=tuple(self.replays),
            )
        )  # fmt: skip

    def history(self) -> History:
        """Give the history as told."""
        return History(0, {}, tuple(self.records), self.facts)

    def broken(self) -> set[str]:
        """Name the promises that the history breaks."""
        return {one.promise for one in check(self.history())}


def begun(**settings: Any) -> Story:
    """A worker and an endpoint that it holds, at rest."""
    story = Story()
    story.start()
    story.endpoint(**settings)
    story.take()
    return story


def harm(story: Story, name: str, until_s: float, touches: tuple[Name, ...] | None = None) -> None:
    """Let the world do harm for some seconds."""
    story.add(Fault(story.now, name, until=story.now + round(until_s * SECOND), touches=touches))
