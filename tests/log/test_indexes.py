"""Every statement that a list or a loop makes walks an index: what is stored may grow, the cost may not."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import BindParameter, Select
from sqlalchemy.sql import Executable, visitors
from sqlalchemy.sql.sqltypes import TupleType

from log.builders import DEFAULT
from waypost.ids import EndpointId
from waypost.log import (
    Database,
    accept,
    accounts,
    deliveries,
    endpoints,
    erasure,
    events,
    idempotency,
    leases,
    numbers,
    open_database,
    owed,
    resending,
    shipments,
    signing_keys,
    sources,
    transaction,
)
from waypost.log.shipments import ShipmentFilter

EP = EndpointId("ep_1")
# What is sorted there is bounded.
SMALL = {
    "epochs", "last attempt", "newest secrets", "endpoints to load", "pending of many", "attempts past the cursors",
    "settled past the cursors", "folded of many",
}  # fmt: skip

STATEMENTS: dict[str, Executable] = {
    "lock accounts": transaction.locked_accounts(),
    "token": accounts.live_token(b""),
    "accounts": accounts.accounts_after("", 50),
    "tokens": accounts.tokens_after(DEFAULT, "", 50),
    "shipments by reference": accept.shipments_by_reference(),
    "shipments by id": accept.shipments_by_id(),
    "shipments with a number": numbers.shipments_with_number(DEFAULT, "n"),
    "taken reference": numbers.taken_reference(DEFAULT, "n"),
    "newest shipments": shipments.shipments_newest_first(DEFAULT, "shp_2").limit(50),
    "shipments by change": shipments.shipments_by_change(DEFAULT, 0, "").limit(50),
    "shipments by prefix": shipments.shipments_by_prefix(DEFAULT, "so", ("so-1", "shp_1")).limit(50),
    "events": events.events_after(),
    "events at": events.events_at(),
    "events of a shipment": events.events_of_key(DEFAULT, "shp_1", 0, 50),
    "event by id": events.event_by_id(DEFAULT, "evt_1"),
    "count of a type": events.count_of_type(DEFAULT, "shipment.created", 0, 10, 10),
    "endpoints": endpoints.endpoints_after(DEFAULT, "", 50),
    "versions": endpoints.versions_of(DEFAULT, ["ep_1"]),
    "newest secrets": endpoints.secrets_of(DEFAULT, ["ep_1"]),
    "public keys": signing_keys.public_keys(DEFAULT, None, 0, ("", ""), 50),
    "public keys of one": signing_keys.public_keys(DEFAULT, EP, 0, ("", ""), 50),
    "pending": leases.pending_of(DEFAULT, EP),
    "endpoints to load": endpoints.endpoint_rows(),
    "pending of many": leases.pending_of_many(),
    "attempts past the cursors": leases.attempts_past_cursors(),
    "settled past the cursors": leases.settled_past_cursors(),
    "folded of many": leases.folded_of_many(),
    "epochs": leases.locked_epochs(),
    "settled": owed.settled_positions(DEFAULT, EP, 0),
    "folded": owed.folded_positions(DEFAULT, EP, 0),
    "pending up to the cursor": owed.pending_up_to(DEFAULT, EP, 0),
    "event to resend": resending.event_to_resend(DEFAULT, "evt_1"),
    "log downwards": deliveries.positions_of_log(DEFAULT, 0, 10).limit(50),
    "type downwards": deliveries.positions_of_type(DEFAULT, "t", 0, 10).limit(50),
    "shipment downwards": deliveries.positions_of_key(DEFAULT, "shp_1", 0, 10).limit(50),
    "tried downwards": deliveries.positions_tried(DEFAULT, EP, 0, 10).limit(50),
    "verdict downwards": deliveries.positions_of_verdict(DEFAULT, EP, "failed", 0, 10).limit(50),
    "pending downwards": deliveries.positions_pending(DEFAULT, EP, 0, 10).limit(50),
    "folded downwards": deliveries.positions_folded(DEFAULT, EP, 0, 10).limit(50),
    "holders": deliveries.holders_of(DEFAULT, EP, [1, 2]),
    "last attempt": deliveries.last_attempts(DEFAULT, EP, [1, 2]),
    "attempts of one": deliveries.attempts_at(DEFAULT, EP, 1),
    "durations": deliveries.latest_durations(DEFAULT, EP, 0),
    "kept answers": idempotency.kept_answers(DEFAULT, [b"s"], 0),
    "sources": sources.sources_after(DEFAULT, "", 50),
    "source": sources.source_by_id("src_1"),
    "messages": sources.messages_before(DEFAULT, "src_1", "z", 50),
    "erased events": erasure.events_of_shipment(DEFAULT, "shp_1"),
    "first of a batch": erasure.position_of(DEFAULT, "evt_1"),
    "erased attempts": erasure.attempts_at(DEFAULT, "ep_1", [1]),
}
LISTS = {
    "by status": ShipmentFilter(status="booked"),
    "in trouble": ShipmentFilter(condition="delayed"),
}


FINE = ("SCAN anon_", "SCAN CONSTANT ROW")  # a derived table, a list of values


def plan_of(database: Database, statement: Executable) -> list[str]:
    """How SQLite would go about it. Values that the caller gives are made up."""
    assert isinstance(statement, Select)
    asked = [part for part in visitors.iterate(statement) if isinstance(part, BindParameter) and part.required]
    given = statement.params({part.key: _made_up(part) for part in asked})
    compiled = given.compile(dialect=database.readers.dialect, compile_kwargs={"render_postcompile": True})
    with database.readers.connect() as connection:
        values = dict.fromkeys(re.findall(r":(\w+)", str(compiled)), 0)
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", values).all()
    return [row.detail for row in rows]


def _made_up(part: BindParameter[Any]) -> object:
    if not part.expanding:
        return 0
    return [(0, 0)] if isinstance(part.type, TupleType) else [0]


@pytest.fixture
def sqlite(sqlite_url: str) -> Iterator[Database]:
    database = open_database(sqlite_url)
    yield database
    database.close()


@pytest.mark.parametrize("name", STATEMENTS)
def test_it_walks_an_index(sqlite: Database, name: str) -> None:
    plan = plan_of(sqlite, STATEMENTS[name])
    assert plan
    assert not [step for step in plan if step.startswith("SCAN") and not step.startswith(FINE)], plan
    assert name in SMALL or not [step for step in plan if "TEMP B-TREE" in step], plan


@pytest.mark.parametrize("name", LISTS)
def test_a_filtered_list_of_shipments_walks_the_index_of_its_filter(sqlite: Database, name: str) -> None:
    statement = shipments.filtered(shipments.shipments_newest_first(DEFAULT, "shp_2"), LISTS[name]).limit(50)
    (step,) = plan_of(sqlite, statement)
    assert step.startswith("SEARCH shipments USING INDEX shipments_"), step


def test_a_list_of_a_carriers_shipments_walks_the_indexes_of_its_id_and_its_name(sqlite: Database) -> None:
    wanted = ShipmentFilter(carrier="norrsund")
    plan = plan_of(sqlite, shipments.shipments_of_carrier(DEFAULT, wanted, "shp_2", 51))
    for index in ("shipments_by_carrier", "shipments_by_carrier_name"):
        assert any(f"INDEX {index} (account_id=? AND {index[13:]}=? AND shipment_id<?)" in step for step in plan), plan
    assert any("INDEX sqlite_autoindex_shipments_1 (account_id=? AND shipment_id=?)" in step for step in plan), plan
    assert not [step for step in plan if "TEMP B-TREE" in step or step.startswith("SCAN shipments")], plan
