"""Every statement of upkeep walks an index too: a sweep over a large log must not read what stays."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Delete, Select
from sqlalchemy.sql import Executable

from log.builders import DEFAULT
from log.test_indexes import FINE, plan_of
from waypost.ids import EndpointId
from waypost.log import Database, alerts, clock_watch, erasure, expiry, open_database, retention, silence

EP = EndpointId("ep_1")
# What is sorted or walked whole there is bounded: the running replays, the accounts to tell.
SMALL = {"running replay", "due alerts", "warned endpoints", "last numbers", "settled between"}

STATEMENTS: dict[str, Select[tuple[object, ...]]] = {
    "ages": retention.ages_after(DEFAULT, 0, 200),
    "lowest cursor": retention.lowest_cursor(DEFAULT),
    "running replay": retention.lowest_replay(DEFAULT),
    "pending": retention.positions_pending(DEFAULT, 0, 200),
    "folded": retention.positions_folded(DEFAULT, 0, 200),
    "just failed": retention.positions_just_failed(DEFAULT, 0, 200, 0),
    "folds of what is gone": retention.folds_of_gone(DEFAULT, 200, 200),
    "attempts": retention.attempts_after(DEFAULT, EP, (1, 1), 200, 200),
    "positions there": retention.positions_there(DEFAULT, [1, 2]),
    "kept answers": retention.answers_before(DEFAULT, 0, 200),
    "messages": retention.messages_before(DEFAULT, 0, 200),
    "endpoints behind": expiry.endpoints_with_old_events(DEFAULT, 0),
    "first young event": expiry.first_young(DEFAULT, 0, 100),
    "clock": clock_watch.the_clock(),
    "following event": expiry.following_event(DEFAULT, 0),
    "oldest pending": expiry.oldest_pending(DEFAULT, EP),
    "oldest fold": expiry.oldest_fold(DEFAULT, EP),
    "old pending": expiry.pending_before(DEFAULT, EP, 0, 100, 500),
    "batches": expiry.pending_of_batches(DEFAULT, EP, ["bat_1"]),
    "old folds": expiry.folds_before(DEFAULT, EP, 0, 100, 500),
    "locked cursor": expiry.locked_cursor(DEFAULT, EP),
    "settled between": expiry.settled_between(DEFAULT, EP, 0, 500),
    "last numbers": expiry.last_numbers(DEFAULT, EP, [1, 2]),
    "warned endpoints": expiry.warned_endpoints(DEFAULT),
    "due alerts": alerts.due_alerts(0, 50),
    "operational events": alerts.positions_of_type(DEFAULT, "delivery.failed", 0, 500),
    "due notices": alerts.due_notices(DEFAULT, 0),
    "erased accounts": erasure.accounts_erased_since(0),
    "erased positions": erasure.positions_erased_since(DEFAULT, 0),
    "erased among these": erasure.erased_positions(DEFAULT, [1, 2]),
    "accounts with erasures": erasure.erased_accounts(),
    "quiet shipments": silence.quiet_shipments(DEFAULT, 100, (1, "shp_1"), 50),
}
DELETES: dict[str, Delete] = {
    "event": retention.delete_event(),
    "attempt": retention.delete_attempt(),
    "fold": retention.delete_fold(),
    "kept answer": retention.delete_answer(),
    "message": retention.delete_message(),
    "links of a message": retention.delete_message_links(),
}


@pytest.fixture
def sqlite(sqlite_url: str) -> Iterator[Database]:
    database = open_database(sqlite_url)
    yield database
    database.close()


def scans(plan: list[str]) -> list[str]:
    return [step for step in plan if step.startswith("SCAN") and not step.startswith(FINE)]


@pytest.mark.parametrize("name", STATEMENTS)
def test_it_walks_an_index(sqlite: Database, name: str) -> None:
    plan = plan_of(sqlite, STATEMENTS[name])
    assert plan
    assert not scans(plan) or name in SMALL, plan
    assert name in SMALL or not [step for step in plan if "TEMP B-TREE" in step], plan


@pytest.mark.parametrize("name", ["ages", "pending", "folded", "just failed", "folds of what is gone", "attempts"])
def test_a_step_reads_only_the_positions_that_it_is_about(sqlite: Database, name: str) -> None:
    plan = plan_of(sqlite, STATEMENTS[name])
    assert any("position>?" in step or "position<?" in step for step in plan), plan


@pytest.mark.parametrize("name", DELETES)
def test_what_is_removed_is_found_by_an_index(sqlite: Database, name: str) -> None:
    plan = plan_of_delete(sqlite, DELETES[name])
    assert plan
    assert not scans(plan), plan


def plan_of_delete(database: Database, statement: Executable) -> list[str]:
    compiled = statement.compile(dialect=database.readers.dialect)  # type: ignore[attr-defined]
    with database.readers.connect() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", dict.fromkeys(compiled.params, 0)).all()
    return [row.detail for row in rows]
