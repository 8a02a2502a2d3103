"""The work of the writing connection: groups of requests in, what became of each out. No thread and no queue is here.

When the database refuses a group, its requests are tried one by one, so that one cannot spoil the others. When the
commit fails nobody knows what is stored: everybody in the group is told `Unavailable`, and the connection is made anew.
A failed fsync is never asked for again: what it left in the page cache cannot be trusted.
"""

from collections.abc import Callable, Sequence

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from waypost.clock import Clock, IdSource
from waypost.errors import Unavailable
from waypost.log.group import Again, CommitFailed, Committed, GroupResult, Request, run_group
from waypost.log.vault import Vault

RETRY_AFTER_S = 1

log = structlog.get_logger(__name__)


class Committer:
    """Does groups of requests over one connection, which it opens when it needs it and drops after any trouble."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        clock: Clock,
        ids: IdSource,
        vault: Vault,
        *,
        after_commit: Callable[[Connection, Committed], None] = lambda connection, committed: None,
    ) -> None:
        """`connect` opens the writing connection; `after_commit` is called with it after each commit."""
        self._connect = connect
        self._clock = clock
        self._ids = ids
        self._vault = vault
        self._after_commit = after_commit
        self._connection: Connection | None = None
        self._unsure = Committed.nothing()  # what may be stored, and is told with the next group that surely is

    def do(self, requests: Sequence[Request]) -> GroupResult:
        """Do a group in one transaction. An outcome is Unavailable when nobody can tell whether it is done.

        Raises only for a bug of ours; then call `drop_connection`.
        """
        result = self._run_group(requests)
        while again := [index for index, outcome in enumerate(result.outcomes) if isinstance(outcome, Again)]:
            rest = self._run_group([requests[index] for index in again])
            for index, outcome in zip(again, rest.outcomes, strict=True):
                result.outcomes[index] = outcome
            result = result.and_then(rest)
        return result

    def drop_connection(self) -> None:
        """Close the connection for real: the next group begins with a new one."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            connection.invalidate()
            connection.close()
        except SQLAlchemyError as error:
            log.warning("connection_close_failed", error=_in_short(error))

    def _run_group(self, requests: Sequence[Request]) -> GroupResult:
        """Run a group; when that fails before its commit, run it once more, one by one."""
        try:
            return self._attempt(requests)
        except CommitFailed as error:
            return self._failed(requests, error)
        except Exception as error:  # noqa: BLE001 - told apart below
            # Deadlocks, lost connections, broken constraints, bugs: nothing of the group is stored.
            self._recover(error, len(requests))
        result = GroupResult([], Committed.nothing())
        for request in requests:
            try:
                alone = self._attempt([request])
            except (CommitFailed, OperationalError, InterfaceError, PoolTimeout) as error:
                alone = self._failed([request], error)
            except Exception as error:  # noqa: BLE001 - a bug in one request must not fail its neighbours
                alone = GroupResult([error], Committed.nothing())
            result = GroupResult(result.outcomes + alone.outcomes, result.committed).and_then(alone)
        return result

    def _attempt(self, requests: Sequence[Request]) -> GroupResult:
        if self._connection is None:
            self._connection = self._connect()
        try:
            result = run_group(self._connection, requests, self._clock, self._ids, self._vault, unsure=self._unsure)
        except CommitFailed as error:
            self._unsure = error.maybe
            raise
        self._unsure = Committed.nothing()
        self._after_commit(self._connection, result.committed)
        return result

    def _failed(self, requests: Sequence[Request], error: Exception) -> GroupResult:
        self._recover(error, len(requests))
        failure = unavailable("The database is away; try again.")
        failure.__cause__ = error
        return GroupResult([failure] * len(requests), Committed.nothing())

    def _recover(self, error: Exception, requests: int) -> None:
        log.warning("group_failed", error=_in_short(error), requests=requests)
        self.drop_connection()


def unavailable(detail: str) -> Unavailable:
    """The refusal of a service whose database is away."""
    return Unavailable(detail, headers={"Retry-After": str(RETRY_AFTER_S)})


def _in_short(error: BaseException) -> str:
    """Name an error without the statement's values, which may be personal data or secrets."""
    cause = error.__cause__ if isinstance(error, CommitFailed) else error
    original = cause.orig if isinstance(cause, DBAPIError) else cause
    return f"{type(original).__name__}: {original}"
