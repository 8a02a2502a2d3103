"""Two services on one PostgreSQL database: what one of them holds, the other waits for, and no reader sees a gap."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from log.builders import ACTOR, DEFAULT, assert_no_gaps, log_rows, once, put
from waypost.clock import IdSource, SystemClock
from waypost.ids import AccountId
from waypost.log import AcceptReport, Log, Vault, open_database, units
from waypost.shipments.report import CancelReport

HELD_EVENT = """INSERT INTO events (account_id, position, event_id, type, key, sequence, recorded_at, body)
    VALUES ('default', 1, 'evt_held', 'shipment.created', 'shp_held', 1, 0, '{}')"""


@pytest.fixture
async def two(pg_url: str, vault: Vault) -> AsyncIterator[list[Log]]:
    """Two services on one database."""
    logs = [Log(open_database(pg_url), SystemClock(), IdSource(), vault) for _ in range(2)]
    for log in logs:
        await log.start()
    await logs[0].ensure_operator("wp_operator")
    yield logs
    for log in logs:
        await log.close()


async def test_a_later_commit_waits_for_the_one_that_has_its_position(two: list[Log], pg_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(pg_url) as first:
        await first.execute("SELECT position FROM accounts WHERE account_id = 'default' FOR UPDATE")
        await first.execute(HELD_EVENT)
        await first.execute("UPDATE accounts SET position = 1 WHERE account_id = 'default'")
        later = asyncio.create_task(put(two[0]))
        await _until_somebody_waits(pg_url)
        assert await log_rows(two[1]) == []
        await first.commit()
    assert [event.position for event in (await later).events] == [2, 3]
    assert [row.position for row in await log_rows(two[1])] == [1, 2, 3]


async def _until_somebody_waits(pg_url: str) -> None:
    """Come back once a connection stands at a lock: PostgreSQL tells nobody of it, so it is asked again and again."""
    async with await psycopg.AsyncConnection.connect(pg_url, autocommit=True) as looking:
        async with asyncio.timeout(30):
            while True:
                waiting = await looking.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
                if (await waiting.fetchone()) != (0,):
                    return


async def test_no_reader_ever_sees_a_gap_while_both_write(two: list[Log]) -> None:
    writers = [
        asyncio.create_task(_put_many(log, f"{side}-{number}")) for side, log in enumerate(two) for number in range(10)
    ]
    seen = 0
    while not all(writer.done() for writer in writers):
        rows = await two[seen % 2].events_after(DEFAULT, seen, 1000)
        assert [row.position for row in rows] == list(range(seen + 1, seen + 1 + len(rows)))
        seen += len(rows)
    await asyncio.gather(*writers)
    assert_no_gaps(await log_rows(two[0]))


async def _put_many(log: Log, reference: str) -> None:
    for _ in range(5):
        await put(log, reference)


async def test_two_services_that_are_told_of_one_shipment_count_its_events_together(two: list[Log]) -> None:
    await asyncio.gather(*(put(two[number % 2], "SO-1") for number in range(20)))
    rows = await two[0].shipment_events(DEFAULT, "SO-1", 0)
    assert [row.sequence for row in rows] == list(range(1, 22))


async def test_one_key_at_both_services_has_one_effect(two: list[Log]) -> None:
    await put(two[0])
    cancel = AcceptReport(DEFAULT, "SO-1", CancelReport(None, ACTOR))
    answers = await asyncio.gather(*(two[number % 2].do_once(cancel, once()) for number in range(20)))
    assert len({(answer.status, answer.body) for answer in answers}) == 1


async def test_groups_over_the_same_accounts_in_both_services_do_not_lock_each_other_out(two: list[Log]) -> None:
    names = [AccountId(f"account-{number}") for number in range(8)]
    for name in names:
        await two[0].do(units.create_account(name, name))
    orders = [names, names[::-1]]
    puts = [put(log, "SO-1", account=name) for log, order in zip(two, orders, strict=True) for name in order * 5]
    await asyncio.gather(*puts)
    for name in names:
        assert_no_gaps(await log_rows(two[1], name))
