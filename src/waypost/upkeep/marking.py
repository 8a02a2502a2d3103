"""Noticing that the database was restored to an older state: a mark beside it says how far each log had come.

A restored log gives positions out again, with other events. Nothing in the database can tell, so the mark is kept in
the data folder. docs/design/0007-restored-backups.md says why it warns and does not refuse.
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog

from waypost.log import Log

log = structlog.get_logger(__name__)

MARK_FILE = "log-mark.json"
EVERY_S = 60.0
AGAIN_S = 3600.0
ACCOUNTS_A_PAGE = 1000
REMEDY = (
    "The database is older than it was. Events past this position are gone, and their positions are given out again: "
    "put the senders' documents once more, and let receivers reconcile from this position on."
)


class Mark(msgspec.Struct, frozen=True):
    """How far each account's log had come, and in which database."""

    database: str
    positions: dict[str, int]


def went_back(mark: Mark | None, database: str, positions: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Give the accounts whose log is shorter than the mark says, with the marked and the present position."""
    if mark is None or mark.database != database:
        return {}
    now = {account_id: positions.get(account_id, 0) for account_id in mark.positions}
    return {account_id: (was, now[account_id]) for account_id, was in mark.positions.items() if now[account_id] < was}


class Marking:
    """Compares the log with the mark once, when the service starts, and moves the mark on from then on."""

    def __init__(self, log_of_all: Log, folder: Path, database: str) -> None:
        """`database` names the database without a password: another one is not held against this mark."""
        self._log = log_of_all
        self._path = folder / MARK_FILE
        self._database = database
        self._compared = False

    async def turn(self) -> float:
        """Move the mark on; give the seconds until the next time."""
        positions = await self._positions()
        if not self._compared:
            mark = await asyncio.to_thread(read_mark, self._path)
            for account_id, (was, now) in went_back(mark, self._database, positions).items():
                log.warning("log_went_back", account_id=account_id, marked=was, position=now, what_to_do=REMEDY)
            self._compared = True
        try:
            await asyncio.to_thread(write_mark, self._path, Mark(self._database, positions))
        except OSError as error:  # a folder that may not be written, or a full disk: the service works without a mark
            log.warning("log_mark_not_written", path=str(self._path), error=str(error), again_in_s=AGAIN_S)
            return AGAIN_S
        return EVERY_S

    async def _positions(self) -> dict[str, int]:
        found: dict[str, int] = {}
        cursor: str | None = None
        while True:
            page = await self._log.list_accounts(ACCOUNTS_A_PAGE, cursor)
            found |= {str(account.account_id): account.position for account in page.items}
            if page.next is None:
                return found
            cursor = page.next


def read_mark(path: Path) -> Mark | None:
    """Give the mark, None where there is none yet, or one that was cut off: a warning less, and no harm."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Mark)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        log.warning("log_mark_unreadable", path=str(path), error=str(error))
        return None


def write_mark(path: Path, mark: Mark) -> None:
    """Put the mark in the place of the one before, whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(msgspec.json.encode(mark))
    os.replace(fresh, path)
