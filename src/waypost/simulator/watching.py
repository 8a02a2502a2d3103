"""What a commit changed of the rows that promises are about, whoever wrote them: the database itself notes it.

Triggers write each changed row into a table of their own, in the same transaction, so that what is rolled back leaves
no note. After a commit the notes are read and forgotten.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from waypost.log.tables import metadata
from waypost.simulator.history import AttemptSeen, EndpointRow, EventSeen, Name, PendingRowSeen, WorkerRow

NOTES = "simulator_notes"
HASH = "simulator_hash"
PLACES = 12  # values a note can hold

# Of each table that is watched: the columns noted, of which the first are its key.
WATCHED: dict[str, tuple[str, ...]] = {
    "endpoints": (
        "account_id", "endpoint_id", "cursor", "epoch", "owner", "health", "paused_at", "failures_in_a_row",
        "failing_since", "last_success_at", "held_until",
    ),
    "pending": (
        "account_id", "endpoint_id", "position", "key", "state", "failures", "attempts", "batch_id", "replay_id",
    ),
    "attempts": (
        "account_id", "endpoint_id", "position", "number", "verdict", "outcome", "status", "started_at",
    ),
    "events": ("account_id", "position", "sequence", "key", "type", "event_id", "body"),
    "folded": ("account_id", "endpoint_id", "position", "into_position"),
    "workers": ("owner", "lease_until"),
}  # fmt: skip


def body_hash(body: bytes) -> str:
    """Name bytes, briefly enough for a history."""
    return blake2b(body, digest_size=8).hexdigest()


def watch(connection: Any) -> None:
    """Have the database of this DB-API connection note what changes. `HASH` is to be there on each connection."""
    places = ", ".join(f"v{place}" for place in range(PLACES))
    connection.execute(f"CREATE TABLE {NOTES} (n INTEGER PRIMARY KEY, what, gone, {places})")
    for table, columns in WATCHED.items():
        if table not in metadata.tables:
            continue
        for moment, row, gone in (("INSERT", "NEW", 0), ("UPDATE", "NEW", 0), ("DELETE", "OLD", 1)):
            values = ", ".join(_noted(table, column, row) for column in columns)
            into = ", ".join(["what", "gone", *(f"v{place}" for place in range(len(columns)))])
            connection.execute(
                f"CREATE TRIGGER {NOTES}_{table}_{moment.lower()} AFTER {moment} ON {table} BEGIN "  # noqa: S608
                f"INSERT INTO {NOTES} ({into}) VALUES ('{table}', {gone}, {values}); END"
            )


def _noted(table: str, column: str, row: str) -> str:
    if column not in metadata.tables[table].columns:
        return "NULL"
    return f"{HASH}({row}.body)" if column == "body" else f"{row}.{column}"


@dataclass(slots=True)
class Changes:
    """What one commit changed."""

    endpoints: list[EndpointRow] = field(default_factory=list)
    endpoints_gone: list[Name] = field(default_factory=list)
    pending_put: list[PendingRowSeen] = field(default_factory=list)
    pending_gone: list[tuple[Name, int]] = field(default_factory=list)
    attempts: list[AttemptSeen] = field(default_factory=list)
    attempts_gone: list[tuple[Name, int, int]] = field(default_factory=list)
    folds: list[tuple[Name, int, int]] = field(default_factory=list)
    events: list[tuple[str, EventSeen]] = field(default_factory=list)
    events_gone: list[tuple[str, int]] = field(default_factory=list)
    rewritten: list[tuple[str, EventSeen]] = field(default_factory=list)
    workers: list[WorkerRow] = field(default_factory=list)
    workers_gone: list[str] = field(default_factory=list)


class Watcher:
    """Reads the notes. It remembers the rows as they were, so that a row written again as it was is no change."""

    def __init__(self) -> None:
        self.endpoints: dict[Name, EndpointRow] = {}
        self.pending: dict[tuple[Name, int], PendingRowSeen] = {}
        self.attempts: dict[tuple[Name, int, int], AttemptSeen] = {}
        self.events: dict[tuple[str, int], EventSeen] = {}
        self.by_event_id: dict[tuple[str, str], EventSeen] = {}  # also of events that retention took
        self.folds: dict[tuple[Name, int], int] = {}
        self.workers: dict[str, WorkerRow] = {}

    def changes(self, connection: Any) -> Changes:
        """Give what changed since the last call."""
        notes = connection.execute(f"SELECT * FROM {NOTES} ORDER BY n").fetchall()  # noqa: S608
        changes = Changes()
        if notes:
            connection.execute(f"DELETE FROM {NOTES}")  # noqa: S608
            last: dict[tuple[object, ...], tuple[object, ...]] = {}
            for note in notes:
                key = (note[1], *note[3 : 3 + _KEY_LENGTHS[note[1]]])
                last.pop(key, None)
                last[key] = note
            for note in last.values():
                _TAKERS[note[1]](self, changes, bool(note[2]), note[3:])  # type: ignore[index]
        return changes

    def _endpoint(self, changes: Changes, gone: bool, row: Any) -> None:
        name = Name(row[0], row[1])
        if gone:
            if self.endpoints.pop(name, None) is not None:
                changes.endpoints_gone.append(name)
            return
        seen = EndpointRow(
            name=name, cursor=row[2], epoch=row[3], owner=row[4], health=row[5], paused=row[6] is not None,
            failures_in_a_row=row[7], failing_since=row[8], last_success_at=row[9], held_until=row[10],
        )  # fmt: skip
        if self.endpoints.get(name) != seen:
            self.endpoints[name] = seen
            changes.endpoints.append(seen)

    def _pending(self, changes: Changes, gone: bool, row: Any) -> None:
        name, position = Name(row[0], row[1]), row[2]
        if gone:
            if self.pending.pop((name, position), None) is not None:
                changes.pending_gone.append((name, position))
            return
        seen = PendingRowSeen(
            name=name, position=position, key=row[3], state=row[4], failures=row[5], attempts=row[6],
            batch_id=row[7], replay_id=row[8],
        )  # fmt: skip
        if self.pending.get((name, position)) != seen:
            self.pending[name, position] = seen
            changes.pending_put.append(seen)

    def _attempt(self, changes: Changes, gone: bool, row: Any) -> None:
        name, position, number = Name(row[0], row[1]), row[2], row[3]
        if gone:
            if self.attempts.pop((name, position, number), None) is not None:
                changes.attempts_gone.append((name, position, number))
            return
        seen = AttemptSeen(
            name=name, position=position, number=number, verdict=row[4], outcome=row[5], status=row[6],
            started_at=row[7],
        )  # fmt: skip
        if self.attempts.get((name, position, number)) != seen:
            self.attempts[name, position, number] = seen
            changes.attempts.append(seen)

    def _event(self, changes: Changes, gone: bool, row: Any) -> None:
        place = (row[0], row[1])
        if gone:
            if self.events.pop(place, None) is not None:
                changes.events_gone.append(place)
            return
        seen = EventSeen(row[1], row[2], row[3], row[4], row[5], row[6])
        before = self.events.get(place)
        if before != seen:
            self.events[place] = self.by_event_id[row[0], row[5]] = seen
            (changes.events if before is None else changes.rewritten).append((row[0], seen))

    def _fold(self, changes: Changes, gone: bool, row: Any) -> None:
        name, position, into = Name(row[0], row[1]), row[2], row[3]
        if gone:
            self.folds.pop((name, position), None)
        elif self.folds.get((name, position)) != into:
            self.folds[name, position] = into
            changes.folds.append((name, position, into))

    def _worker(self, changes: Changes, gone: bool, row: Any) -> None:
        owner = row[0]
        if gone:
            if self.workers.pop(owner, None) is not None:
                changes.workers_gone.append(owner)
            return
        self.workers[owner] = seen = WorkerRow(owner, row[1])
        changes.workers.append(seen)


_TAKERS: dict[str, Any] = {
    "endpoints": Watcher._endpoint,
    "pending": Watcher._pending,
    "attempts": Watcher._attempt,
    "events": Watcher._event,
    "folded": Watcher._fold,
    "workers": Watcher._worker,
}
_KEY_LENGTHS = {"endpoints": 2, "pending": 3, "attempts": 4, "events": 2, "folded": 3, "workers": 1}


def in_order(names: Iterable[tuple[str, str]]) -> list[Name]:
    """Give names in an order that no hash decides."""
    return [Name(*name) for name in sorted(names)]
