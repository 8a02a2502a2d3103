"""Group commit: requests that arrive together share one transaction, and none waits for a timer.

One thread owns the writing connection. It takes whatever is queued, does it in one transaction, commits, and only then
answers. While a commit waits for the disk the next group gathers, so groups grow with the load by themselves.

When the database refuses a group, its requests are tried one by one, so that one cannot spoil the others. When the
commit fails nobody knows what is stored: everybody in the group is told `Unavailable`, and the connection is made anew.
A failed fsync is never asked for again: what it left in the page cache cannot be trusted.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from waypost.clock import Clock, IdSource
from waypost.errors import Unavailable
from waypost.log.database import Database
from waypost.log.group import Again, CommitFailed, Committed, GroupResult, Request, run_group
from waypost.log.journal import Journal
from waypost.log.vault import Vault

GROUP_REQUESTS_MAX = 256  # bounds how long PostgreSQL's account row stays locked, and what one failure undoes
QUEUED_MAX = 20_000  # batches; a service that is so far behind says so instead of filling its memory
RETRY_AFTER_S = 1

T = TypeVar("T")
Listener = Callable[[Committed], None]

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Batch:
    """Requests that were handed in together and are answered together, in order."""

    requests: Sequence[Request]
    future: "asyncio.Future[list[object]]"


class Writer:
    """Does units of work for the whole process, in groups. Use it on one event loop: `start`, then `submit`."""

    def __init__(self, database: Database, clock: Clock, ids: IdSource, vault: Vault) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._vault = vault
        self._queue: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._connection: Connection | None = None
        self._journal = Journal(database)
        self._listeners: list[Listener] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="waypost-writer", daemon=True)
        self._closed = False

    # -- for the event loop

    def start(self) -> None:
        """Start the thread. Answers and listeners come on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def on_commit(self, listener: Listener) -> None:
        """Call `listener` on the loop after each commit that changed something it names, before the answers."""
        self._listeners.append(listener)

    async def submit(self, requests: Sequence[Request]) -> list[object]:
        """Do several, in order, and give the outcome of each once it is on disk: see `GroupResult`.

        An outcome is Unavailable when the database is away; then the request may or may not be done.
        """
        if self._closed or self._loop is None or self._queue.qsize() >= QUEUED_MAX:
            raise unavailable("The service is stopping, or far behind.")
        if not requests:
            return []
        batch = _Batch(requests, self._loop.create_future())
        self._queue.put(batch)
        return await batch.future

    async def close(self) -> None:
        """Finish what is queued and end the thread."""
        if self._closed or self._loop is None:
            return
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    # -- in the thread

    def _run(self) -> None:
        while (batches := self._take()) is not None:
            try:
                self._do(batches)
            except Exception as error:
                log.exception("writer_failed")
                self._drop_connection()
                self._answer(batches, [error] * sum(len(batch.requests) for batch in batches), Committed.nothing())
        self._drop_connection()

    def _take(self) -> list[_Batch] | None:
        """Wait for a batch, then take all that is queued beside it, as far as the group's bound. None ends it."""
        batches: list[_Batch] = []
        size = 0
        while size < GROUP_REQUESTS_MAX:
            try:
                batch = self._queue.get(block=not batches)
            except queue.Empty:
                break
            if batch is None:
                if batches:
                    self._queue.put(None)
                    break
                return None
            if not batch.future.cancelled():
                batches.append(batch)
                size += len(batch.requests)
        return batches

    def _do(self, batches: list[_Batch]) -> None:
        requests = [request for batch in batches for request in batch.requests]
        result = self._run_group(requests)
        while again := [index for index, outcome in enumerate(result.outcomes) if isinstance(outcome, Again)]:
            rest = self._run_group([requests[index] for index in again])
            for index, outcome in zip(again, rest.outcomes, strict=True):
                result.outcomes[index] = outcome
            result = result.and_then(rest)
        self._answer(batches, result.outcomes, result.committed)

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
            self._connection = self._database.writer.connect()
        result = run_group(self._connection, requests, self._clock, self._ids, self._vault)
        self._journal.tend(self._connection, erased=bool(result.committed.erased))
        return result

    def _failed(self, requests: Sequence[Request], error: Exception) -> GroupResult:
        self._recover(error, len(requests))
        failure = unavailable("The database is away; try again.")
        failure.__cause__ = error
        return GroupResult([failure] * len(requests), Committed.nothing())

    def _recover(self, error: Exception, requests: int) -> None:
        log.warning("group_failed", error=_in_short(error), requests=requests)
        self._drop_connection()

    def _drop_connection(self) -> None:
        """Close the connection for real: the next group begins with a new one."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            connection.invalidate()
            connection.close()
        except SQLAlchemyError as error:
            log.warning("connection_close_failed", error=_in_short(error))

    def _answer(self, batches: list[_Batch], outcomes: list[object], committed: Committed) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._resolve, batches, outcomes, committed)
        except RuntimeError:  # the loop is closed: nobody waits any more
            log.warning("nobody_to_answer", requests=len(outcomes))

    # -- on the loop again

    def _resolve(self, batches: list[_Batch], outcomes: list[object], committed: Committed) -> None:
        if committed:
            for listener in self._listeners:
                try:
                    listener(committed)
                except Exception:  # whoever wrote is answered, whatever a listener's trouble is
                    log.exception("listener_failed")
        start = 0
        for batch in batches:
            end = start + len(batch.requests)
            if not batch.future.done():
                batch.future.set_result(outcomes[start:end])
            start = end


def unavailable(detail: str) -> Unavailable:
    """The refusal of a service whose database is away."""
    return Unavailable(detail, headers={"Retry-After": str(RETRY_AFTER_S)})


def _in_short(error: BaseException) -> str:
    """Name an error without the statement's values, which may be personal data or secrets."""
    cause = error.__cause__ if isinstance(error, CommitFailed) else error
    original = cause.orig if isinstance(cause, DBAPIError) else cause
    return f"{type(original).__name__}: {original}"
