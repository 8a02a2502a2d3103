"""Finding shipments, and pages of them."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from log.builders import DEFAULT, a_report, put
from waypost.errors import BadRequest, NotFound
from waypost.log import Accepted, Log, Request, Unit


async def listed(log: Log, **wanted: Any) -> list[str]:
    """The references of all shipments that match, by pages of two."""
    found: list[str] = []
    cursor = None
    while True:
        page = await log.list_shipments(DEFAULT, limit=2, cursor=cursor, **wanted)
        found += [item.reference for item in page.items]
        cursor = page.next
        if cursor is None:
            return found


@pytest.fixture
async def four(log: Log) -> list[Accepted]:
    """Four shipments that differ in all that they are listed by."""
    documents: list[dict[str, Any]] = [
        {"status": "booked", "carrier": {"id": "norrsund", "name": "Norrsund Lines"}},
        {"status": "draft", "references": [{"type": "invoice", "value": "INV-7"}, {"type": "bol", "value": "INV-77"}]},
        {"status": "booked", "tracking": {"tracking_numbers": [{"value": "NRSU-1", "carrier": "norrsund"}]}},
        {"status": "booked", "carrier": {"name": "Hafnia"}},
    ]
    return [await put(log, f"SO-{number}", **document) for number, document in enumerate(documents)]


async def test_the_newest_made_come_first(log: Log, four: list[Accepted]) -> None:
    assert await listed(log) == ["SO-3", "SO-2", "SO-1", "SO-0"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"status": "booked"}, ["SO-3", "SO-2", "SO-0"]),
        ({"status": "draft"}, ["SO-1"]),
        ({"condition": "ok"}, ["SO-3", "SO-2", "SO-1", "SO-0"]),
        ({"condition": "delayed"}, []),
        ({"carrier": "norrsund"}, ["SO-0"]),
        ({"carrier": "Norrsund Lines"}, ["SO-0"]),
        ({"carrier": "Norrsund"}, []),
        ({"carrier": "Norrsund Lines", "q": "so"}, ["SO-0"]),
        ({"carrier": "Hafnia", "status": "booked"}, ["SO-3"]),
        ({"carrier": "Hafnia", "status": "draft"}, []),
        ({"q": "so-"}, ["SO-0", "SO-1", "SO-2", "SO-3"]),
        ({"q": "INV-7"}, ["SO-1"]),
        ({"q": "nrsu"}, ["SO-2"]),
        ({"q": "so-", "status": "draft"}, ["SO-1"]),
        ({"q": "nothing"}, []),
        ({"q": "%"}, []),
        ({"q": "so-\0"}, []),
    ],
)
async def test_shipments_are_found_by(
    log: Log, four: list[Accepted], wanted: dict[str, str], expected: list[str]
) -> None:
    assert await listed(log, **wanted) == expected


async def test_a_carriers_id_and_name_find_its_shipments_in_one_order_and_once_each(log: Log) -> None:
    kinds = [{"id": "dsv"}, {"name": "dsv"}, {"id": "se-7", "name": "dsv"}, {"id": "dsv", "name": "dsv"}, {"id": "ups"}]
    await log.do_all([Request(a_report(f"SO-{number}", carrier=kinds[number % 5])) for number in range(40)])
    assert await listed(log, carrier="dsv") == [f"SO-{number}" for number in reversed(range(40)) if number % 5 < 4]


async def test_with_updated_since_the_longest_unchanged_come_first(log: Log, four: list[Accepted]) -> None:
    await put(log, "SO-1")
    early = (await log.get_account(DEFAULT)).created_at
    assert await listed(log, updated_since=early) == ["SO-0", "SO-2", "SO-3", "SO-1"]
    assert await listed(log, updated_since=early + timedelta(days=1)) == []


async def test_what_changes_while_pages_are_read_is_not_missed(log: Log, four: list[Accepted]) -> None:
    early = (await log.get_account(DEFAULT)).created_at
    first = await log.list_shipments(DEFAULT, updated_since=early, limit=2)
    await put(log, "SO-3")
    await put(log, "SO-0")
    rest = await log.list_shipments(DEFAULT, updated_since=early, limit=50, cursor=first.next)
    assert {item.reference for item in first.items + rest.items} == {"SO-0", "SO-1", "SO-2", "SO-3"}
    assert rest.items[-1].reference == "SO-0"


async def test_a_hundred_of_one_instant_come_once_each(log: Log) -> None:
    await log.do_all([Request(a_report(f"SO-{number}")) for number in range(100)])
    await log.do(Unit(DEFAULT, lambda tx: tx.connection.execute(text("UPDATE shipments SET updated_at = 7"))))
    early = (await log.get_account(DEFAULT)).created_at - timedelta(days=36500)
    found = await listed(log, updated_since=early)
    assert len(found) == len(set(found)) == 100


async def test_a_cursor_of_another_list_is_refused(log: Log, four: list[Accepted]) -> None:
    cursor = (await log.list_shipments(DEFAULT, limit=1)).next
    with pytest.raises(BadRequest):
        await log.list_shipments(DEFAULT, q="so", cursor=cursor)


async def test_an_unknown_shipment_is_not_found(log: Log) -> None:
    for name in ("SO-1", "shp_unknown"):
        with pytest.raises(NotFound):
            await log.get_shipment(DEFAULT, name)
        with pytest.raises(NotFound):
            await log.shipment_events(DEFAULT, name, 0)


async def test_a_shipments_events_come_in_order_after_a_sequence(log: Log, four: list[Accepted]) -> None:
    await put(log, "SO-0")
    rows = await log.shipment_events(DEFAULT, "SO-0", 1)
    assert [row.sequence for row in rows] == [2, 3]
    assert await log.get_event(DEFAULT, rows[1].event_id) == rows[1]
    assert await log.events_at(DEFAULT, [rows[1].position, rows[0].position, 999]) == rows
