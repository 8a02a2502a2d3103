"""The one database of a world: the log's real statements on SQLite in memory, behind a network that fails.

A process reaches it through a `LogClient`, which has the methods of the log that delivery uses and gathers requests
into groups as the log's writer does. What a request was sent for is done at an instant of the database's own: the
process may be dead or paused by then, or never hear of it.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pysqlite3.dbapi2 as sqlite3
from sqlalchemy import Connection, create_engine, event, insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from waypost.clock import Clock, IdSource
from waypost.log.committing import Committer, unavailable
from waypost.log.group import Committed, Request
from waypost.log.tables import accounts, metadata
from waypost.log.vault import Vault
from waypost.log.writer import GROUP_REQUESTS_MAX
from waypost.simulator.watching import HASH, Changes, Watcher, body_hash, watch

T = TypeVar("T")

KEY = bytes(range(32))  # of a world's vault


class Killed(BaseException):
    """The process that was committing is dead. Nothing of it catches this."""


class _Kept(sqlite3.Connection):  # type: ignore[misc]  # the driver has no types
    """A connection that outlives its closing: the database in memory goes with it."""

    def close(self) -> None:
        self.rollback()


@dataclass(slots=True)
class Trouble:
    """What befalls one commit, drawn before it is tried: `fails`, `lies`, `kills_before` or `kills_after`."""

    begin_fails: bool = False
    commit: str = ""


@dataclass(slots=True)
class Noted:
    """What the units of a transaction say of themselves, for the history; forgotten when it is rolled back."""

    what: list[str] = field(default_factory=list)
    epochs: list[tuple[tuple[str, str], int]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    facts: dict[tuple[str, int], dict[str, tuple[str, ...]]] = field(default_factory=dict)


CommitSeen = Callable[[Noted, Changes, bool], None]


class Database:
    """The database itself. One at a time is open in a process, since they share their compiled statements."""

    def __init__(self, account_ids: Sequence[str], clock: Clock, seen: CommitSeen) -> None:
        """`seen` is told of each commit as it happens: what was noted, what changed, and whether its answer is lost."""
        self.clock = clock
        self.vault = Vault(KEY)
        self.watcher = Watcher()
        self.noted = Noted()
        self.trouble = Trouble()
        self.commits = 0
        self._seen = seen
        self.raw = _open()
        _Current.database = self
        self.reading = _engine.connect().execution_options(waypost_reads=True)
        with _engine.begin() as connection:
            rows = [
                {"account_id": account, "name": account, "settings": "{}", "position": 0, "created_at": 0}
                for account in account_ids
            ]
            connection.execute(insert(accounts), rows)

    def close(self) -> None:
        """Let go of it. The database goes with the last connection that somebody still has."""
        _Current.database = None
        self.reading.close()

    def read(self, query: Callable[[Connection], T]) -> T:
        """Read the state of this instant."""
        return query(self.reading)

    def begin(self) -> None:
        """Begin a transaction, or fail to."""
        self.noted = Noted()
        if self.trouble.begin_fails:
            self.trouble.begin_fails = False
            raise OperationalError("BEGIN", None, sqlite3.OperationalError("deadlock detected"))
        self.raw.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Commit, or do what befalls."""
        how, self.trouble.commit = self.trouble.commit, ""
        if how == "fails":
            raise sqlite3.OperationalError("disk I/O error")
        if how == "kills_before":
            self.raw.rollback()
            raise Killed
        self.raw.commit()
        self.commits += 1
        noted, self.noted = self.noted, Noted()
        self._seen(noted, self.watcher.changes(self.raw), bool(how))
        if how == "kills_after":
            raise Killed
        if how == "lies":
            raise sqlite3.OperationalError("server closed the connection unexpectedly")


class _Current:
    database: Database | None = None


def _open() -> Any:
    """Give a new database in memory with the log's tables, copied from one that is made once."""
    connection = sqlite3.connect(":memory:", factory=_Kept, isolation_level=None, cached_statements=512)
    connection.create_function(HASH, 1, body_hash, deterministic=True)
    connection.execute("PRAGMA cache_size = -65536")
    _template().backup(connection)
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


_made: list[Any] = []


def _template() -> Any:
    if not _made:
        template = sqlite3.connect(":memory:", isolation_level=None)
        template.create_function(HASH, 1, body_hash, deterministic=True)
        making = create_engine("sqlite+pysqlite://", module=sqlite3, poolclass=NullPool, creator=lambda: template)
        connection = making.connect()
        metadata.create_all(connection)
        connection.commit()
        watch(template)
        _made.extend([template, connection])  # the connection would close it
    return _made[0]


def _current() -> Database:
    assert _Current.database is not None, "no world is open"
    return _Current.database


_engine = create_engine(
    "sqlite+pysqlite://",
    module=sqlite3,
    paramstyle="named",
    poolclass=NullPool,
    creator=lambda: _current().raw,
    query_cache_size=2_000,
)


@event.listens_for(_engine, "begin")
def _begin(connection: Connection) -> None:
    if not connection.get_execution_options().get("waypost_reads"):
        _current().begin()


_engine.dialect.do_commit = lambda dbapi_connection: _current().commit()  # type: ignore[method-assign]


# -- a process's way to it -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Batch:
    requests: Sequence[Request]
    answer: Callable[[list[object]], None]


class GroupWriter:
    """Gathers the requests of one process into groups, as the log's writer does, and has the database do them."""

    def __init__(
        self,
        database: Database,
        ids: IdSource,
        go: Callable[[Callable[[], object], Callable[[object], None]], None],
        reachable: Callable[[], None],
    ) -> None:
        """`go` takes a call to the database and gives back what came of it, when and if it does.

        `reachable` raises while the database cannot be reached.
        """
        self._reachable = reachable
        self._committer = Committer(self._connect, database.clock, ids, database.vault)
        self._queue: deque[_Batch] = deque()
        self._go = go
        self._busy = False
        self.on_commit: Callable[[Committed], None] = lambda committed: None

    def submit(self, requests: Sequence[Request], answer: Callable[[list[object]], None]) -> None:
        """Have `requests` done, in one transaction with others that wait; `answer` is told what became of each."""
        self._queue.append(_Batch(requests, answer))
        if not self._busy:
            self._next()

    def do(self, requests: Sequence[Request]) -> object:
        """Do a group at the database, now. Gives its GroupResult, or the exception that ended it."""
        try:
            self._reachable()
        except OperationalError:
            self._committer.drop_connection()
            return unavailable("The database is away; try again.")
        try:
            return self._committer.do(requests)
        except Killed:
            self._committer.drop_connection()
            raise
        except Exception as error:  # noqa: BLE001 - as the writer's thread does
            self._committer.drop_connection()
            return error

    def close(self) -> None:
        """Let go of the connection: the process is gone."""
        self._committer.drop_connection()

    def _connect(self) -> Connection:
        self._reachable()
        return _engine.connect()

    def _next(self) -> None:
        batches: list[_Batch] = []
        size = 0
        while self._queue and size < GROUP_REQUESTS_MAX:
            batches.append(self._queue.popleft())
            size += len(batches[-1].requests)
        self._busy = bool(batches)
        if batches:
            requests = [request for batch in batches for request in batch.requests]
            self._go(lambda: self.do(requests), lambda result: self._answer(batches, result))

    def _answer(self, batches: list[_Batch], result: Any) -> None:
        if isinstance(result, Exception):
            outcomes: list[object] = [result] * sum(len(batch.requests) for batch in batches)
        else:
            outcomes = result.outcomes
            if result.committed:
                self.on_commit(result.committed)
        start = 0
        for batch in batches:
            end = start + len(batch.requests)
            batch.answer(outcomes[start:end])
            start = end
        self._next()


def chance(dice: random.Random, ratio: float) -> bool:
    """Say whether something of this ratio happens now. What never happens draws nothing."""
    return ratio > 0 and dice.random() < ratio
