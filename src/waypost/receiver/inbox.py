"""Lets each event take effect exactly once.

Waypost sends an event again until it hears that it arrived, so the same event can come twice, at the same time even,
and an older one after a newer one. The inbox writes a mark for the event and runs the effect in *one* transaction of
the receiver's own database: both last or neither does, whatever happens in between.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from waypost.receiver.databases import InboxError, adapt, is_integrity_error, is_missing_table
from waypost.receiver.event import Event
from waypost.receiver.gaps import Gaps, gap_check

__all__ = ["Arrival", "Duplicate", "Handled", "Ignored", "Inbox", "InboxError"]

Value = TypeVar("Value")

_TABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,50}")
_RACES_MAX = 5  # two first events of one key at once: one of them begins again

# `{table}` is a name that was checked; every value is a parameter.
_HAS_TABLES = "SELECT 1 FROM {table}_keys WHERE 1 = 0"  # made last, so it stands for the others
_MARK = "INSERT INTO {table} (event_id, account_id, position, handled_at) VALUES (?, ?, ?, ?)"
_HAS_MARK = "SELECT 1 FROM {table} WHERE event_id = ?"
_POSITIONS = "SELECT position FROM {table} WHERE account_id = ? AND position > ?"
_FORGET = "DELETE FROM {table} WHERE handled_at < ?"
# An update that changes nothing locks the row until the end of the transaction, in every database.
_LOCK_KEY = "UPDATE {table}_keys SET sequence = sequence WHERE account_id = ? AND event_key = ?"
_READ_KEY = "SELECT sequence FROM {table}_keys WHERE account_id = ? AND event_key = ?"
_MAKE_KEY = "INSERT INTO {table}_keys (account_id, event_key, sequence) VALUES (?, ?, 0)"
_MOVE_KEY = "UPDATE {table}_keys SET sequence = ? WHERE account_id = ? AND event_key = ?"
_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS {table} (
        event_id VARCHAR(200) NOT NULL PRIMARY KEY,
        account_id VARCHAR(200) NOT NULL,
        position BIGINT NOT NULL,
        handled_at BIGINT NOT NULL
    )
    """,
    "CREATE INDEX IF NOT EXISTS {table}_position ON {table} (account_id, position)",
    "CREATE INDEX IF NOT EXISTS {table}_handled_at ON {table} (handled_at)",
    """
    CREATE TABLE IF NOT EXISTS {table}_keys (
        account_id VARCHAR(200) NOT NULL,
        event_key VARCHAR(300) NOT NULL,
        sequence BIGINT NOT NULL,
        PRIMARY KEY (account_id, event_key)
    )
    """,
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event that takes effect now, with what the effect needs.

    `connection` is the one given to the inbox, inside the transaction: the effect writes through it and leaves the end
    of the transaction to the inbox. `last_sequence` is the highest sequence of this key (shipment) that has taken
    effect, 0 when this is the first.
    """

    event: Event
    connection: Any
    last_sequence: int

    @property
    def is_late(self) -> bool:
        """Whether a newer event of the same key has taken effect: its state is not to be overwritten by this one."""
        return self.event.sequence <= self.last_sequence

    @property
    def skipped(self) -> range:
        """Give the sequences between the last and this one: not asked for by the endpoint, or still to come."""
        return range(self.last_sequence + 1, self.event.sequence)


@dataclass(frozen=True, slots=True)
class Handled(Generic[Value]):
    """The effect took place, now. `value` is what it returned."""

    value: Value
    is_late: bool


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The effect took place at an earlier arrival of the same event. Answer 2xx, as if it were now."""

    event_id: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """The event has no effect: it is only a test."""

    event_id: str


class Inbox:
    """The events that took effect, kept beside the receiver's own data."""

    def __init__(
        self,
        connection: Any,
        *,
        table: str = "waypost_inbox",
        create_tables: bool = True,
        paramstyle: str | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Keep marks in `table` (and `{table}_keys`) of the database behind `connection`.

        `connection` is one of sqlite3, of SQLAlchemy, or of another DB-API driver, outside of any transaction; like
        them, an inbox serves one thread at a time. Two programs that share a database use two tables. With
        `create_tables` they are made where they are missing. `paramstyle` is for drivers that hide theirs, `now` (Unix
        seconds) for tests.
        """
        if not _TABLE_NAME.fullmatch(table):
            raise InboxError(f"{table!r} is not a table name: use letters, digits and underscores.")
        self._connection = connection
        self._database = adapt(connection, paramstyle)
        self._table = table
        self._now = now
        if create_tables and not self._has_tables():
            self._create_tables()

    def handle(
        self, event: Mapping[str, Any], effect: Callable[[Arrival], Value]
    ) -> Handled[Value] | Duplicate | Ignored:
        """Run `effect` for an event that has not taken effect yet, in one transaction with its mark.

        When `effect` raises, nothing is kept and the exception goes on to the caller: answer 500, and the event comes
        again. Any returned value means: answer 2xx. A test event (`test` true) is Ignored.
        Raises InboxError when the connection is inside a transaction, or `effect` ends it.
        """
        event = event if isinstance(event, Event) else Event(event)
        if event.test:
            return Ignored(event.id)
        for _ in range(_RACES_MAX):
            try:
                return self._in_transaction(lambda: self._handle(event, effect))
            except _AlreadyMarked:
                return Duplicate(event.id)
            except _KeyMadeMeanwhile:
                continue
        raise InboxError(f"The key of {event.id} was made and removed by others {_RACES_MAX} times in a row.")

    def has_handled(self, event_id: str) -> bool:
        """Whether the event took effect here."""
        return not self.not_handled([event_id])

    def not_handled(self, event_ids: Iterable[str]) -> list[str]:
        """Give those of `event_ids` that did not take effect here, to compare with what the endpoint is owed."""
        return self._in_transaction(
            lambda: [one for one in event_ids if self._execute(_HAS_MARK, one).fetchone() is None], writes=False
        )

    def gaps(self, account_id: str = "default", *, after: int | None = None, until: int | None = None) -> Gaps:
        """Find the positions of an account's log that never arrived here, and those that came with two events.

        For an endpoint that wants every event; see `gap_check`.
        """
        rows = self._in_transaction(lambda: self._execute(_POSITIONS, account_id, after or 0).fetchall(), writes=False)
        return gap_check((int(row[0]) for row in rows), after=after, until=until)

    def forget(self, before: datetime) -> int:
        """Remove the marks of events that took effect before `before`, and give their number.

        Keep them longer than the sender may still send an event again: its retention, 30 days by default.
        """
        return self._in_transaction(lambda: int(self._execute(_FORGET, int(before.timestamp())).rowcount))

    def _handle(self, event: Event, effect: Callable[[Arrival], Value]) -> Handled[Value]:
        # The mark first: of two arrivals at once, the second waits here for the first to end.
        self._insert(_AlreadyMarked, _MARK, event.id, event.account_id, event.position, int(self._now()))
        arrival = Arrival(event, self._connection, self._lock_key(event))
        value = effect(arrival)
        self._database.check_still_open()
        if event.sequence > arrival.last_sequence:
            self._execute(_MOVE_KEY, event.sequence, event.account_id, event.key)
        return Handled(value, arrival.is_late)

    def _lock_key(self, event: Event) -> int:
        """Let the events of one key take effect one after the other, and give the last sequence."""
        key = (event.account_id, event.key)
        if self._execute(_LOCK_KEY, *key).rowcount == 0:
            self._insert(_KeyMadeMeanwhile, _MAKE_KEY, *key)
            return 0
        return int(self._execute(_READ_KEY, *key).fetchone()[0])

    def _insert(self, when_there: type[Exception], statement: str, *parameters: object) -> None:
        """Insert a row that may exist once; raise `when_there` when it exists."""
        try:
            self._execute(statement, *parameters)
        except Exception as error:
            if is_integrity_error(error):
                raise when_there from error
            raise

    def _execute(self, statement: str, *parameters: object) -> Any:
        return self._database.execute(statement.format(table=self._table), parameters)

    def _has_tables(self) -> bool:
        try:
            self._in_transaction(lambda: self._execute(_HAS_TABLES), writes=False)
        except Exception as error:
            if is_missing_table(error):
                return False
            raise
        return True

    def _create_tables(self) -> None:
        try:
            self._in_transaction(lambda: [self._execute(made) for made in _TABLES])
        except Exception:
            # PostgreSQL lets one of two that create a table at once fail, IF NOT EXISTS or not.
            if not self._has_tables():
                raise

    def _in_transaction(self, work: Callable[[], Value], *, writes: bool = True) -> Value:
        self._database.begin(writes=writes)
        try:
            value = work()
            self._database.commit()
        except BaseException:
            self._database.rollback()
            raise
        return value


class _AlreadyMarked(Exception):
    """The event took effect before."""


class _KeyMadeMeanwhile(Exception):
    """Another arrival made the row of the key first."""
