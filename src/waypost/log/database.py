"""One database, SQLite or PostgreSQL, behind the same statements.

Exactly one connection writes (the writer's thread owns it); readers come from a small pool and cannot write. On SQLite
nothing else may checkpoint or write, in this process or another: a lock beside the file keeps a second service out.
SQLite before 3.51.3 could lose commits when the write-ahead log was reset, so a newer one is brought along (pysqlite3)
and an older one is refused.
"""

import fcntl
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

import pysqlite3.dbapi2 as sqlite3
from sqlalchemy import Connection, Dialect, Engine, Executable, bindparam, create_engine, event, func, text
from sqlalchemy import Table as AnyTable
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.pool import QueuePool
from sqlalchemy.sql import ColumnElement
from sqlalchemy.types import BigInteger

READERS = 4
BUSY_TIMEOUT_MS = 5_000  # only a backup or the shell of an operator can hold the file at all
WRITER_CACHE_KIB = 32 * 1024  # the upper pages of every index for a million events
READER_CACHE_KIB = 4 * 1024
CHECKPOINT_PAGES = 2_000  # 8 MB of write-ahead log: each hot page is copied back once for many commits
WAL_BYTES_KEPT = 32 * 1024 * 1024  # a log that readers made grow is cut back to this
COMPILED_MAX = 200
POSTGRESQL_PORT = 5432
SQLITE_VERSION_MIN = (3, 51, 3)


class DatabaseProblem(Exception):
    """The database cannot be used as it is. The text says what to do."""


class DatabaseInUse(DatabaseProblem):
    """Another Waypost has this database open."""


@dataclass
class Database:
    """An open database: `writer` gives the one writing connection, `readers` those that only read."""

    url: URL
    writer: Engine
    readers: Engine
    path: Path | None = None
    _lock: IO[str] | None = field(default=None, repr=False)

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file of this machine, which this process alone writes."""
        return self.path is not None

    def close(self) -> None:
        """Close every connection and let go of the lock."""
        self.readers.dispose()
        self.writer.dispose()
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def open_database(url: str, *, readers: int = READERS) -> Database:
    """Open the database at `sqlite:///path` or `postgresql://…`; it may still need `migrate`.

    Raises DatabaseInUse when another process has the SQLite file open, DatabaseProblem when it cannot be used at all.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise DatabaseProblem(
            "The database URL cannot be read. Use sqlite:///path or postgresql://user@host/name."
        ) from error
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return _open_sqlite(parsed, readers)
    if backend == "postgresql":
        return _open_postgresql(parsed.set(drivername="postgresql+psycopg"), readers)
    raise DatabaseProblem(f"{backend} is not supported. Use sqlite:///path or postgresql://user@host/name.")


def sqlite_version() -> str:
    """The version of SQLite in use, for `doctor`."""
    return str(sqlite3.sqlite_version)


def insert_into(dialect: str, table: AnyTable) -> "sqlite.Insert | postgresql.Insert":
    """An INSERT that knows ON CONFLICT, which both databases write alike but SQLAlchemy keeps in two places."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def execute_many(connection: Connection, statement: Executable, rows: Sequence[Mapping[str, Any]]) -> int:
    """Execute an INSERT, UPDATE or DELETE for each of `rows`, which all have the same keys; none of them: nothing.

    Gives how many rows of the table it touched.

    SQLAlchemy leads every value of every row through its own machinery, which costs more than SQLite needs to store
    it. Here the statement is compiled once, and the rows go to the driver as they are: texts, integers and bytes, by
    their place, since a driver that looks each up by its name takes a third longer.
    The same statement object must come each time, so the functions that make them are cached.
    """
    if not rows:
        return 0
    sql, in_order = _compiled(connection, statement, tuple(rows[0]))
    return connection.exec_driver_sql(sql, [in_order(row) for row in rows]).rowcount


InOrder = Callable[[Mapping[str, Any]], tuple[Any, ...]]


def _compiled(connection: Connection, statement: Any, columns: tuple[str, ...]) -> tuple[str, InOrder]:
    key = (connection.dialect.name, statement, columns)
    known = _compiled_statements.get(key)
    if known is None:
        known = _compile(connection.dialect, statement, columns)
        assert len(_compiled_statements) < COMPILED_MAX, "a statement is made anew for each execution"
        _compiled_statements[key] = known
    return known


def _compile(dialect: Dialect, statement: Any, columns: tuple[str, ...]) -> tuple[str, InOrder]:
    """Give the text of a statement with places for its values, and what puts a row's values in their order."""
    style = "qmark" if dialect.name == "sqlite" else "format"
    by_place = type(dialect)(paramstyle=style)  # type: ignore[call-arg]
    compiled = statement.compile(dialect=by_place, column_keys=list(columns))
    names = compiled.positiontup
    assert len(names) > 1, names  # of a single name, itemgetter would give the bare value
    return str(compiled), itemgetter(*names)


_compiled_statements: dict[tuple[str, Any, tuple[str, ...]], tuple[str, InOrder]] = {}


def database_now(connection: Connection, now_us: int) -> ColumnElement[int]:
    """The clock that leases are judged by, in Unix microseconds: PostgreSQL's own, else this machine's `now_us`.

    Workers on several machines never agree on the time; the one database does.
    """
    if connection.dialect.name == "sqlite":
        return bindparam("database_now", now_us, type_=BigInteger, unique=True)
    return database_clock(connection.dialect.name)


def database_clock(dialect: str) -> ColumnElement[int]:
    """The same for a statement that is made once: on SQLite it is to be given `:database_now`."""
    if dialect == "sqlite":
        return bindparam("database_now", type_=BigInteger)
    epoch = func.extract("epoch", func.clock_timestamp(type_=postgresql.TIMESTAMP(timezone=True)))
    return func.cast(epoch * 1_000_000, BigInteger)


# -- SQLite ----------------------------------------------------------------------------------------------------------


def _open_sqlite(url: URL, readers: int) -> Database:
    if sqlite3.sqlite_version_info < SQLITE_VERSION_MIN:
        wanted = ".".join(map(str, SQLITE_VERSION_MIN))
        raise DatabaseProblem(f"SQLite {sqlite_version()} can lose commits; {wanted} or newer is needed.")
    if not url.database or url.database == ":memory:":
        raise DatabaseProblem("A database in memory would forget what was acknowledged. Use sqlite:///path.")
    path = Path(url.database)
    lock = _lock_file(path)
    url = url.set(drivername="sqlite+pysqlite")
    options = {"module": sqlite3, "paramstyle": "named"}
    writer = create_engine(url, **options, poolclass=QueuePool, pool_size=1, max_overflow=0)
    reading = create_engine(url, **options, poolclass=QueuePool, pool_size=readers, max_overflow=0)
    event.listen(writer, "connect", _prepare_sqlite_writer)
    event.listen(writer, "begin", _begin_immediate)
    event.listen(reading, "connect", _prepare_sqlite_reader)
    event.listen(reading, "begin", _begin_deferred)
    return Database(url, writer, reading, path, lock)


def _lock_file(path: Path) -> IO[str]:
    """Hold `path`.lock for as long as the database is open. The kernel lets go of it when the process dies."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = open(path.with_name(path.name + ".lock"), "a+", encoding="ascii")  # noqa: SIM115 - held open
    except OSError as error:
        raise DatabaseProblem(f"{path} cannot be opened: {error.strerror}.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "another process"
        lock.close()
        raise DatabaseInUse(
            f"{path} is in use by {holder}. One service writes a SQLite file; use PostgreSQL for more."
        ) from None
    lock.truncate(0)
    lock.write(f"process {os.getpid()}")
    lock.flush()
    return lock


def _prepare_sqlite_writer(connection: Any, _record: object) -> None:
    _prepare_sqlite(connection, WRITER_CACHE_KIB)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")  # what was erased must not linger in free pages of the file
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}")


def _prepare_sqlite_reader(connection: Any, _record: object) -> None:
    _prepare_sqlite(connection, READER_CACHE_KIB)
    connection.execute("PRAGMA query_only = ON")


def _prepare_sqlite(connection: Any, cache_kib: int) -> None:
    connection.isolation_level = None  # transactions begin where we say so, not where the driver guesses
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute(f"PRAGMA cache_size = -{cache_kib}")


def _begin_immediate(connection: Connection) -> None:
    _execute_bare(connection, "BEGIN IMMEDIATE")


def _begin_deferred(connection: Connection) -> None:
    _execute_bare(connection, "BEGIN")


def _execute_bare(connection: Connection, command: str) -> None:
    """Run a command by the driver alone: SQLAlchemy's way costs more than a small transaction's own statements."""
    try:
        connection.connection.driver_connection.execute(command)  # type: ignore[union-attr]
    except sqlite3.Error as error:
        raise OperationalError(command, None, error) from error


# -- PostgreSQL ------------------------------------------------------------------------------------------------------


def _open_postgresql(url: URL, readers: int) -> Database:
    # A transaction-mode pooler breaks named prepared statements; the plain protocol costs little here.
    settings = {"connect_args": {"application_name": "waypost", "prepare_threshold": None}}
    writer = create_engine(url, poolclass=QueuePool, pool_size=1, max_overflow=0, **settings)
    # A page is made of several statements that must see one state of the log.
    reading = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=readers,
        max_overflow=0,
        isolation_level="REPEATABLE READ",
        execution_options={"postgresql_readonly": True},
        **settings,
    )
    return Database(url, writer, reading)


def database_sockets(url: str) -> set[tuple[str, int]]:
    """Give every (host, port) that a PostgreSQL URL names, its standbys and numeric addresses included.

    They may stand where hosts do, or in the query: `?host=a:5432&host=b`, `?host=a,b&port=5432,5433`, `?hostaddr=…`. A
    server reached through a socket file is taken to listen on this machine as well.
    """
    parsed = make_url(url)
    query = {name: _listed(parsed.query.get(name)) for name in ("host", "hostaddr", "port")}
    hosts = ([parsed.host] if parsed.host else []) + query["host"] + query["hostaddr"]
    ports = [str(parsed.port or POSTGRESQL_PORT), *query["port"]]
    found: set[tuple[str, int]] = set()
    for given in hosts or [""]:
        host, _, port = given.rpartition(":") if given.count(":") == 1 else (given, "", "")
        name = "localhost" if not host or host.startswith("/") else host
        found |= {(name, int(number)) for number in ([port] if port else ports) if number.isdecimal()}
    return found


def _listed(value: str | tuple[str, ...] | None) -> list[str]:
    values = (value,) if isinstance(value, str) else value or ()
    return [part for text in values for part in text.split(",")]


def reachable(database: Database) -> None:
    """Ask the database for nothing, or raise what it raises."""
    with database.readers.connect() as connection:
        connection.execute(text("SELECT 1"))
