"""Every statement of a replay walks an index: the log may grow, a step along it costs the same."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Select
from sqlalchemy.sql import Executable

from log.builders import DEFAULT
from log.test_indexes import plan_of
from waypost.events.patterns import Wants
from waypost.ids import EndpointId
from waypost.log import Database, EndpointVersion, matching, open_database, own_events, replays
from waypost.log.matching import Scope

EP = EndpointId("ep_1")
SCOPE = Scope(
    account_id=DEFAULT,
    endpoint_id=EP,
    which="failed",
    versions=(EndpointVersion(1, Wants()),),
    after=0,
    through=10,
    types=("a.b", "c.d"),
    keys=None,
)
SORTED = {"of keys"}  # a shipment's events are few

STATEMENTS: dict[str, tuple[Executable, str]] = {
    "failed": (matching.failed_positions(SCOPE, 0, 10), "COVERING INDEX attempts_by_verdict"),
    "types at": (matching.types_at(DEFAULT, [1, 2]), "INDEX sqlite_autoindex_events_1"),
    "of keys": (matching.positions_of_keys(SCOPE, ("shp_1", "shp_2"), 0, 10), "(account_id=? AND key=?)"),
    "of types": (
        matching.positions_of_types(DEFAULT, ["a.b", "c.d"], 0, 10),
        "COVERING INDEX events_by_type (account_id=? AND type=? AND position>? AND position<?)",
    ),
    "pending between": (matching.pending_between(DEFAULT, EP, 0, 10), "PRIMARY KEY"),
    "delivered between": (matching.delivered_between(DEFAULT, EP, 0, 10), "COVERING INDEX attempts_by_verdict"),
    "folded between": (matching.folded_between(DEFAULT, EP, 0, 10), "PRIMARY KEY"),
    "in play": (replays.count_in_play(DEFAULT, "ep_1", "job_1"), "PRIMARY KEY"),
    "due": (replays.due_jobs(10), "INDEX replays_running"),
    "running": (replays.count_running(), "INDEX replays_running"),
    "newest jobs": (replays.replays_before(DEFAULT, EP, "job_~", 10), "INDEX replays_by_endpoint"),
    "to send": (replays.events_to_send(DEFAULT, [1, 2]), "INDEX sqlite_autoindex_events_1"),
    "one type": (own_events.one_type(DEFAULT, "a.b"), "PRIMARY KEY"),
}


@pytest.fixture
def sqlite(sqlite_url: str) -> Iterator[Database]:
    database = open_database(sqlite_url)
    yield database
    database.close()


@pytest.mark.parametrize("name", STATEMENTS)
def test_it_walks_its_index(sqlite: Database, name: str) -> None:
    statement, index = STATEMENTS[name]
    assert isinstance(statement, Select)
    plan: list[Any] = plan_of(sqlite, statement)
    assert any(index in step for step in plan), plan
    assert not [step for step in plan if step.startswith("SCAN") and "USING" not in step], plan
    assert name in SORTED or not [step for step in plan if "TEMP B-TREE" in step], plan
