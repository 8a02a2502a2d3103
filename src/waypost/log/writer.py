"""Group commit: requests that arrive together share one transaction, and none waits for a timer.

One thread owns the writing connection. It takes whatever is queued, does it in one transaction, commits, and only then
answers. While a commit waits for the disk the next group gathers, so groups grow with the load by themselves. What
becomes of a group that fails is decided in committing.py.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection

from waypost.clock import Clock, IdSource
from waypost.log.committing import Committer, unavailable
from waypost.log.database import Database
from waypost.log.group import Committed, Request
from waypost.log.journal import Journal
from waypost.log.vault import Vault

GROUP_REQUESTS_MAX = 256  # bounds how long PostgreSQL's account row stays locked, and what one failure undoes
QUEUED_MAX = 20_000  # batches; a service that is so far behind says so instead of filling its memory

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
        self._journal = Journal(database)
        self._committer = Committer(database.writer.connect, clock, ids, vault, after_commit=self._tend)
        self._queue: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
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
                self._committer.drop_connection()
                self._answer(batches, [error] * sum(len(batch.requests) for batch in batches), Committed.nothing())
        self._committer.drop_connection()

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
        result = self._committer.do([request for batch in batches for request in batch.requests])
        self._answer(batches, result.outcomes, result.committed)

    def _tend(self, connection: Connection, committed: Committed) -> None:
        self._journal.tend(connection, erased=bool(committed.erased))

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
