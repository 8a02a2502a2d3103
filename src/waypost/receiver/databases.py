"""The little that the inbox needs of a database: one transaction at a time, on a connection of the receiver's own.

Three kinds of connection: sqlite3 (and modules like it), SQLAlchemy, and any other of DB-API 2.0 (PEP 249).
"""

import re
import sys
from collections.abc import Sequence
from typing import Any, Protocol


class InboxError(Exception):
    """The inbox cannot work with this connection, or an effect broke its rules."""


class Database(Protocol):
    """A connection, with its transactions begun and ended by hand."""

    def begin(self, *, writes: bool) -> None:
        """Begin a transaction. Raises InboxError when one is under way: its work would be committed or undone."""

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> Any:
        """Run a statement, with `?` for each parameter; give what `rowcount` and `fetchone` are asked of."""

    def check_still_open(self) -> None:
        """Raise InboxError when the transaction was ended by somebody else, where that can be seen."""

    def commit(self) -> None:
        """Make it last."""

    def rollback(self) -> None:
        """Undo it."""


def adapt(connection: Any, paramstyle: str | None = None) -> Database:
    """Give the Database for a connection, known by what it can do. `paramstyle` (PEP 249) is for unknown drivers."""
    if hasattr(connection, "exec_driver_sql"):
        return _SqlAlchemy(connection)
    if hasattr(connection, "in_transaction") and hasattr(connection, "isolation_level"):
        return _Sqlite(connection)
    return _DbApi(connection, paramstyle or _paramstyle_of(connection))


def is_integrity_error(error: BaseException) -> bool:
    """Whether a constraint refused a row. PEP 249 fixes the class's name; SQLAlchemy's wrapper has the same."""
    return any(kind.__name__ == "IntegrityError" for kind in type(error).__mro__)


def is_missing_table(error: BaseException) -> bool:
    """Whether an error may mean that a table is not there: SQLite and PostgreSQL use different classes for it."""
    return any(kind.__name__ in {"OperationalError", "ProgrammingError"} for kind in type(error).__mro__)


_UNDER_WAY = "The connection is inside a transaction. Commit it, or give the inbox a connection of its own."
_ENDED = "The effect ended the transaction (a commit, a rollback, or executescript). The inbox ends it."


class _Sqlite:
    def __init__(self, connection: Any) -> None:
        self._connection = connection
        # Python 3.12's autocommit=False keeps a transaction open at all times, and only commit() opens the next.
        self._always_open = getattr(connection, "autocommit", None) is False

    def begin(self, *, writes: bool) -> None:
        if self._always_open:
            return
        if self._connection.in_transaction:
            raise InboxError(_UNDER_WAY)
        # IMMEDIATE: of two that come at once one waits here, instead of failing halfway.
        self._connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> Any:
        return self._connection.execute(statement, tuple(parameters))

    def check_still_open(self) -> None:
        if not self._connection.in_transaction:
            raise InboxError(_ENDED)

    def commit(self) -> None:
        if self._always_open:
            self._connection.commit()
        else:
            self._connection.execute("COMMIT")

    def rollback(self) -> None:
        if self._always_open:
            self._connection.rollback()
        elif self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


class _SqlAlchemy:
    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._paramstyle = connection.dialect.paramstyle

    def begin(self, *, writes: bool) -> None:
        if self._connection.in_transaction():
            raise InboxError(_UNDER_WAY)
        if self._connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
            raise InboxError("The connection is in AUTOCOMMIT: the mark and the effect could not be one transaction.")
        self._connection.begin()

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> Any:
        return self._connection.exec_driver_sql(*with_parameters(statement, parameters, self._paramstyle))

    def check_still_open(self) -> None:
        if not self._connection.in_transaction():
            raise InboxError(_ENDED)

    def commit(self) -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()


class _DbApi:
    def __init__(self, connection: Any, paramstyle: str) -> None:
        self._connection = connection
        self._paramstyle = paramstyle

    def begin(self, *, writes: bool) -> None:
        if self._is_in_transaction() is True:
            raise InboxError(_UNDER_WAY)
        if getattr(self._connection, "autocommit", False) is True:
            self.execute("BEGIN")

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> Any:
        cursor = self._connection.cursor()
        cursor.execute(*with_parameters(statement, parameters, self._paramstyle))
        return cursor

    def check_still_open(self) -> None:
        if self._is_in_transaction() is False:
            raise InboxError(_ENDED)

    def commit(self) -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()

    def _is_in_transaction(self) -> bool | None:
        """None where the driver does not tell; psycopg does (0 is idle, as in libpq)."""
        status = getattr(getattr(self._connection, "info", None), "transaction_status", None)
        return None if status is None else int(status) != 0


def with_parameters(statement: str, parameters: Sequence[object], paramstyle: str) -> tuple[Any, ...]:
    """Write the `?` of a statement as a driver wants its parameters (PEP 249, paramstyle), with them beside it."""
    if not parameters:
        return (statement,)
    names = iter(range(1, len(parameters) + 1))
    match paramstyle:
        case "qmark":
            return statement, tuple(parameters)
        case "format" | "pyformat":
            return statement.replace("?", "%s"), tuple(parameters)
        case "numeric":
            return re.sub(r"\?", lambda _: f":{next(names)}", statement), tuple(parameters)
        case "numeric_dollar":
            return re.sub(r"\?", lambda _: f"${next(names)}", statement), tuple(parameters)
        case "named":
            named = {f"p{number}": value for number, value in enumerate(parameters, 1)}
            return re.sub(r"\?", lambda _: f":p{next(names)}", statement), named
    raise InboxError(f"{paramstyle!r} is not a paramstyle of DB-API 2.0.")


def _paramstyle_of(connection: Any) -> str:
    package = type(connection).__module__.partition(".")[0]
    paramstyle = getattr(sys.modules.get(package), "paramstyle", None)
    if not isinstance(paramstyle, str):
        raise InboxError(f"{package} does not say its paramstyle. Give the inbox paramstyle=…, as PEP 249 names it.")
    return paramstyle
