"""What an endpoint is owed, and how much of it waits."""

from typing import Any

import pytest

from log.builders import (
    DEFAULT,
    a_pending,
    a_report,
    a_write,
    an_attempt,
    an_endpoint,
    endpoint_name,
    log_rows,
    owned,
    put,
)
from waypost.errors import InvalidDocument
from waypost.events.filters import Filter
from waypost.events.patterns import Wants
from waypost.log import EndpointRecord, Log, Request, Waiting, units
from waypost.log import owed as owed_module

CARRIED = {"carrier": {"id": "norrsund", "name": "Norrsund Lines"}}
OF_NORRSUND = Filter(carriers=("norrsund",))


async def waiting(log: Log, endpoint: EndpointRecord) -> Waiting:
    return await log.waiting(*endpoint_name(endpoint))


async def owed(log: Log, endpoint: EndpointRecord, limit: int = 50) -> list[int]:
    """The positions it is owed, by pages."""
    found: list[int] = []
    place: int | None = 0
    while place is not None:
        rows, place = await log.owed_events(*endpoint_name(endpoint), place, limit)
        found += [row.position for row in rows]
    return found


async def test_an_endpoint_is_owed_what_it_wants_from_its_start_on(log: Log) -> None:
    await put(log, "SO-1")
    endpoint = await an_endpoint(log, "shipment.created")
    await put(log, "SO-2")
    await put(log, "SO-3")
    assert await owed(log, endpoint) == await owed(log, endpoint, 1) == [3, 5]


async def test_a_filter_is_held_against_the_shipment_in_the_event(log: Log) -> None:
    endpoint = await an_endpoint(log, filter=OF_NORRSUND)
    await put(log, "SO-1")
    await put(log, "SO-2", **CARRIED)
    assert await owed(log, endpoint) == [3, 4]
    assert await waiting(log, endpoint) == Waiting(2, False)


async def test_all_that_is_owed_waits_until_it_is_settled(log: Log) -> None:
    endpoint = await owned(log)
    for number in range(3):
        await put(log, f"SO-{number}")
    rows = await log_rows(log)
    assert await waiting(log, endpoint) == Waiting(6, False)
    # The first is retried with the second behind it, the third is delivered past the cursor.
    await log.persist(
        [
            a_write(
                endpoint,
                attempts=(an_attempt(rows[0], "retrying"), an_attempt(rows[2])),
                pending_put=(a_pending(rows[0]), a_pending(rows[1], "waiting")),
                cursor=2,
            )
        ]
    )
    assert await waiting(log, endpoint) == Waiting(5, False)


async def test_a_resend_does_not_count_as_waiting(log: Log) -> None:
    endpoint = await owned(log, "shipment.created")
    await put(log)
    row = (await log_rows(log))[0]
    await log.persist([a_write(endpoint, attempts=(an_attempt(row),), cursor=2)])
    await log.do(units.resend(*endpoint_name(endpoint), row.event_id))
    assert await waiting(log, endpoint) == Waiting(0, False)


@pytest.mark.parametrize("given", [{}, {"filter": OF_NORRSUND}])
async def test_counting_goes_on_from_where_it_was(log: Log, given: dict[str, Any]) -> None:
    endpoint = await an_endpoint(log, **given)
    for number in range(1, 4):
        await put(log, f"SO-{number}", **CARRIED)
        assert await waiting(log, endpoint) == Waiting(2 * number, False)


@pytest.mark.parametrize("given", [{}, {"filter": OF_NORRSUND}])
async def test_what_waits_is_counted_to_a_bound(log: Log, given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owed_module, "COUNT_MAX", 3)
    endpoint = await an_endpoint(log, **given)
    await log.do_all([Request(a_report(f"SO-{number}", **CARRIED)) for number in range(5)])
    assert await waiting(log, endpoint) == Waiting(3, True)


async def test_each_event_is_counted_by_the_wishes_of_its_time(log: Log) -> None:
    endpoint = await an_endpoint(log, "shipment.created")
    await put(log, "SO-1")
    changed = Wants(("*",), OF_NORRSUND)
    await log.do(units.change_endpoint(*endpoint_name(endpoint), endpoint.settings, changed))
    await put(log, "SO-2")
    await put(log, "SO-3", **CARRIED)
    endpoint = await log.get_endpoint(*endpoint_name(endpoint))
    assert await owed(log, endpoint) == [1, 5, 6]
    assert await waiting(log, endpoint) == Waiting(3, False)


async def test_what_would_wait_for_a_new_endpoint_is_counted_within_a_bound(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    await log.do_all([Request(a_report(f"SO-{number}", **CARRIED)) for number in range(10)])
    everything, carried = Wants(("*",)), Wants(("*",), OF_NORRSUND)
    assert [await log.waiting_from(DEFAULT, wants, 5) for wants in (everything, carried)] == [Waiting(15, False)] * 2
    monkeypatch.setattr(owed_module, "SCANNED_ROWS_MAX", 4)
    counted = [await log.waiting_from(DEFAULT, wants, "beginning") for wants in (everything, carried)]
    assert counted == [Waiting(20, False), Waiting(4, True)]
    with pytest.raises(InvalidDocument, match="ends at position 20"):
        await log.waiting_from(DEFAULT, everything, 21)
