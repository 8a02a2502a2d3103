"""SQLite's write-ahead log: how long it may get, and that tending it fails nobody."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pysqlite3.dbapi2 as sqlite3
import pytest
from sqlalchemy import event, text

from log.builders import DEFAULT, put
from waypost.clock import IdSource, SystemClock
from waypost.log import Accepted, AcceptReport, Database, Log, Request, Unit, Vault, open_database
from waypost.log.database import WAL_BYTES_KEPT
from waypost.shipments.report import EraseReport

OPERATOR = "wp_operator_of_this_test"
BIG = {"goods": [{"id": f"g_{n}", "description": "planks " * 250} for n in range(100)]}  # about 170 KB a copy


@pytest.fixture
def database(sqlite_url: str) -> Database:
    return open_database(sqlite_url)


@pytest.fixture
async def log(database: Database, vault: Vault) -> AsyncIterator[Log]:
    log = Log(database, SystemClock(), IdSource(), vault)
    await log.start()
    await log.ensure_operator(OPERATOR)
    yield log
    await log.close()


def journal(database: Database) -> Path:
    assert database.path is not None
    return database.path.with_name(database.path.name + "-wal")


def forbid_checkpoints(connection: Any, _record: object) -> None:
    def judge(action: int, argument: str | None, *_: object) -> int:
        checkpoint = action == sqlite3.SQLITE_PRAGMA and argument == "wal_checkpoint"
        return int(sqlite3.SQLITE_DENY if checkpoint else sqlite3.SQLITE_OK)

    connection.set_authorizer(judge)


async def test_it_stays_short_though_there_is_always_somebody_reading(log: Log, database: Database) -> None:
    async def read() -> None:
        while True:
            await log.events_after(DEFAULT, 0, 20)

    readers = [asyncio.create_task(read()) for _ in range(8)]
    longest = 0
    for number in range(150):  # each is kept three times: twice as an event, once as the shipment
        await put(log, f"SO-{number}", **BIG)
        longest = max(longest, journal(database).stat().st_size)
    for reader in readers:
        reader.cancel()
    assert longest < WAL_BYTES_KEPT + 2**20


async def test_what_was_erased_leaves_it_once_the_reader_in_the_way_is_gone(log: Log, database: Database) -> None:
    await put(log, "SO-1", parties={"consignee": {"name": "Canary"}})
    with database.readers.connect() as reader:
        reader.execute(text("SELECT count(*) FROM events"))
        await log.do(AcceptReport(DEFAULT, "SO-1", EraseReport()))
        assert b"Canary" in journal(database).read_bytes()
    await put(log, "SO-2")
    assert b"Canary" not in journal(database).read_bytes()


async def test_a_reader_that_stays_holds_up_no_report_for_long(log: Log, database: Database) -> None:
    with database.readers.connect() as reader:
        reader.execute(text("SELECT count(*) FROM events"))
        async with asyncio.timeout(30):
            for number in range(100):
                await put(log, f"SO-{number}", **BIG)
        assert journal(database).stat().st_size > WAL_BYTES_KEPT


async def test_an_erasure_is_done_once_though_the_journal_cannot_be_emptied(sqlite_url: str, vault: Vault) -> None:
    database = open_database(sqlite_url)
    event.listen(database.writer, "connect", forbid_checkpoints)
    log = Log(database, SystemClock(), IdSource(), vault)
    await log.start()
    await log.ensure_operator(OPERATOR)
    await put(log)
    runs: list[None] = []
    beside = Unit(DEFAULT, lambda _tx: runs.append(None))
    erased, _ = await log.do_all([Request(AcceptReport(DEFAULT, "SO-1", EraseReport())), Request(beside)])
    await log.close()
    assert isinstance(erased, Accepted)
    assert len(runs) == 1
