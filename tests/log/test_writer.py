"""Group commit, and what it does when the database fails."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import event, insert, text
from sqlalchemy.exc import ProgrammingError

from log.builders import DEFAULT, a_report, assert_no_gaps, log_rows, once, put
from waypost.clock import IdSource, SystemClock
from waypost.errors import Conflict, Unavailable
from waypost.log import Accepted, Database, Log, Unit, Vault, open_database
from waypost.log.group import Committed
from waypost.log.tables import event_keys
from waypost.log.transaction import Tx


def refuse(tx: Tx) -> None:
    tx.connection.execute(insert(event_keys), {"account_id": "default", "key": "refused", "sequence": 1})
    tx.head(DEFAULT).position += 7
    raise Conflict("no")


def break_statement(tx: Tx) -> None:
    tx.connection.execute(text("SELECT nonsense FROM nowhere"))


class Commits:
    """Lets the next commits of a database fail: before they happen, or after, as a lie."""

    def __init__(self, database: Database) -> None:
        self.dialect = database.writer.dialect
        self.honest: Callable[[Any], None] = self.dialect.do_commit
        self.connects = 0
        event.listen(database.writer, "connect", self._connected)

    def _connected(self, *_: object) -> None:
        self.connects += 1

    def fail_once(self, *, lie: bool) -> None:
        def do_commit(connection: Any) -> None:
            self.dialect.do_commit = self.honest  # type: ignore[method-assign]
            if lie:
                self.honest(connection)
            raise self.dialect.loaded_dbapi.OperationalError("disk I/O error")

        self.dialect.do_commit = do_commit  # type: ignore[method-assign]


@pytest.fixture
def commits(database: Database) -> Commits:
    return Commits(database)


async def together(log: Log, *work: Any) -> list[Any]:
    """Hand in several at once; they share a group, since the writer waits for the first."""
    release = threading.Event()
    first = asyncio.create_task(log.do(Unit(DEFAULT, lambda _tx: release.wait(30))))
    await asyncio.sleep(0)
    others = [asyncio.create_task(log.do(one)) for one in work]
    await asyncio.sleep(0)
    release.set()
    await first
    return await asyncio.gather(*others, return_exceptions=True)


async def test_requests_that_arrive_together_share_a_commit(log: Log, database: Database) -> None:
    counted = []
    event.listen(database.writer, "commit", counted.append)
    await together(log, *(a_report(f"SO-{number}") for number in range(20)))
    assert len(counted) <= 2  # one more when the first had begun already


async def test_a_unit_that_refuses_is_undone_alone_and_gives_its_numbers_back(log: Log, database: Database) -> None:
    outcomes = await together(log, a_report("SO-1"), Unit(DEFAULT, refuse, locks=True), a_report("SO-2"))
    assert [type(outcome) for outcome in outcomes] == [Accepted, Conflict, Accepted]
    assert_no_gaps(await log_rows(log))
    await put(log, "SO-3")
    assert_no_gaps(await log_rows(log))
    with database.readers.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM event_keys")).scalar() == 0


async def test_a_broken_statement_does_not_spoil_its_neighbours(log: Log) -> None:
    outcomes = await together(log, a_report("SO-1"), Unit(DEFAULT, break_statement), a_report("SO-2"))
    assert [isinstance(outcome, Accepted) for outcome in outcomes] == [True, False, True]
    assert isinstance(outcomes[1], ProgrammingError | Unavailable)
    assert_no_gaps(await log_rows(log))


async def test_a_commit_that_fails_is_never_acknowledged(log: Log, commits: Commits) -> None:
    commits.fail_once(lie=False)
    with pytest.raises(Unavailable) as refused:
        await put(log)
    assert refused.value.headers == {"Retry-After": "1"}
    assert await log_rows(log) == []


async def test_the_connection_of_a_failed_commit_is_not_used_again(log: Log, commits: Commits) -> None:
    commits.fail_once(lie=False)
    with pytest.raises(Unavailable):
        await put(log)
    assert (await put(log)).created
    assert commits.connects == 1


async def test_a_commit_reported_as_failed_though_done_is_found_by_its_key(log: Log, commits: Commits) -> None:
    commits.fail_once(lie=True)
    with pytest.raises(Unavailable):
        await log.do_once(a_report(), once())
    answer = await log.do_once(a_report(), once())
    assert answer.status == 200
    assert len(await log_rows(log)) == 2


async def test_what_a_commit_with_a_lost_answer_changed_is_told_with_the_next_one(log: Log, commits: Commits) -> None:
    heard: list[Committed] = []
    log.on_commit(heard.append)
    commits.fail_once(lie=True)
    with pytest.raises(Unavailable):
        await log.do_once(a_report(), once())
    assert heard == []
    await log.do_once(a_report(), once())
    assert [dict(committed.accounts) for committed in heard] == [{DEFAULT: 2}]


async def test_what_a_failed_commit_did_not_store_is_told_with_where_the_log_ends(log: Log, commits: Commits) -> None:
    heard: list[Committed] = []
    log.on_commit(heard.append)
    commits.fail_once(lie=False)
    with pytest.raises(Unavailable):
        await put(log)
    await log.do(Unit(DEFAULT, lambda _tx: None))
    assert [dict(committed.accounts) for committed in heard] == [{DEFAULT: 0}]


async def test_a_document_put_again_after_a_lost_answer_adds_nothing(log: Log, commits: Commits) -> None:
    commits.fail_once(lie=True)
    with pytest.raises(Unavailable):
        await put(log, weight=402)
    assert (await put(log, weight=402)).events == ()


async def test_everything_asked_before_closing_is_done(database: Database, log: Log) -> None:
    asked = [asyncio.create_task(put(log, f"SO-{number}")) for number in range(5)]
    await asyncio.sleep(0)
    await log.close()
    assert all([(await task).created for task in asked])
    with pytest.raises(Unavailable):
        await put(log)


async def test_a_request_that_was_given_up_before_its_turn_is_not_done(log: Log) -> None:
    release = threading.Event()
    first = asyncio.create_task(log.do(Unit(DEFAULT, lambda _tx: release.wait(30))))
    await asyncio.sleep(0)
    given_up = asyncio.create_task(put(log))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    release.set()
    await first
    await put(log, "SO-2")
    assert len(await log_rows(log)) == 2


async def test_a_full_disk_is_503_and_passes_without_a_restart(sqlite_url: str, vault: Vault) -> None:
    database = open_database(sqlite_url)
    pages = [1]  # no more than there are
    event.listen(database.writer, "connect", lambda made, _: made.execute(f"PRAGMA max_page_count = {pages[0]}"))
    log = Log(database, SystemClock(), IdSource(), vault)
    await log.start()
    await log.ensure_operator("wp_operator")
    outcomes = [await attempt(put(log, f"SO-{number}")) for number in range(20)]
    assert isinstance(outcomes[-1], Unavailable)
    stored = await log_rows(log)
    assert len(stored) == 2 * sum(isinstance(outcome, Accepted) for outcome in outcomes)
    pages[0] = 1 << 30
    assert (await put(log, "SO-again")).created
    assert_no_gaps(await log_rows(log))
    await log.close()


async def attempt(work: Awaitable[Any]) -> Any:
    """What it gives, or what it raises."""
    return (await asyncio.gather(work, return_exceptions=True))[0]
