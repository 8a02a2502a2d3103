"""SQLite's write-ahead log, kept short and rid of what was erased.

SQLite begins it anew only at a commit that no reader overlaps. Under steady reading there is always one, each a few
milliseconds old, and the log would grow without end. So once it is too long the writer waits for the readers of that
moment, who are never many milliseconds from done; later ones read the new state and are not in the way. Somebody
else's reader, such as an operator's shell, may stay for hours: the wait has an end, and is not begun again for a while.
"""

from pathlib import Path

import structlog
from sqlalchemy import Connection

from waypost.log.database import BUSY_TIMEOUT_MS, WAL_BYTES_KEPT, Database

WAIT_MS_MAX = 250
GROWTH_BYTES = 16 * 1024 * 1024  # what a log that could not be emptied may grow before the readers are waited for again

log = structlog.get_logger(__name__)


class Journal:
    """Tends the write-ahead log of one database, in the writer's thread. PostgreSQL tends its own."""

    def __init__(self, database: Database) -> None:
        path = database.path
        self._path: Path | None = None if path is None else path.with_name(path.name + "-wal")
        self._bytes_max = WAL_BYTES_KEPT
        self._erased = False

    def tend(self, connection: Connection, *, erased: bool) -> None:
        """Empty the log where that is due; call it after each commit. `erased`: it holds what must be forgotten.

        What was committed stands whatever happens here, so nothing is raised.
        """
        if self._path is None:
            return
        try:
            self._tend(connection, self._path, erased=erased)
        except Exception as error:  # noqa: BLE001 - the next commit will tell if the database is away
            log.warning("journal_not_emptied", error=f"{type(error).__name__}: {error}")

    def _tend(self, connection: Connection, path: Path, *, erased: bool) -> None:
        size = path.stat().st_size
        if size <= WAL_BYTES_KEPT:
            self._bytes_max = WAL_BYTES_KEPT
        too_long = size > self._bytes_max
        if erased or too_long:
            wait_ms = WAIT_MS_MAX
        elif self._erased:
            wait_ms = 0  # a reader was in the way of the last attempt: see whether it is gone
        else:
            return
        self._erased = self._erased or erased
        if _empty(connection, wait_ms):
            self._erased = False
        elif too_long:
            self._bytes_max = size + GROWTH_BYTES
            log.warning("journal_held_by_a_reader", size_bytes=size)


def _empty(connection: Connection, wait_ms: int) -> bool:
    """Move all of it into the database and cut it to nothing; False when a reader outlasts the wait."""
    execute = connection.connection.driver_connection.execute  # type: ignore[union-attr]
    execute(f"PRAGMA busy_timeout = {wait_ms}")
    try:
        (blocked, _, _) = execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    return not blocked
