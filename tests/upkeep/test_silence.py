"""Telling of silence, on both databases."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from log.builders import DEFAULT, assert_no_gaps, log_rows, put
from upkeep.builders import MovedClock, a_log
from waypost.ids import AccountId
from waypost.log import AcceptReport, AccountSettings, Database, Log, Vault, units
from waypost.shipments import Actor, TrackingReport, read_tracking_events
from waypost.upkeep.silence import SHIPMENTS_A_STEP, Silence


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
async def log(database: Database, vault: Vault, clock: MovedClock) -> AsyncIterator[Log]:
    async with a_log(database, vault, clock) as log:
        await log.do(units.change_account(DEFAULT, None, AccountSettings(stale_after_hours=24)))
        yield log


async def looked(log: Log, clock: MovedClock, hours: float = 0) -> list[str | None]:
    """Let so many hours pass and look once; the references of all that was ever told."""

    async def no_rest(_seconds: float) -> None:
        return None

    clock.forward(hours=hours)
    await Silence(log, clock, sleep=no_rest).turn()
    stale = [row for row in await log_rows(log) if row.type == "tracking.stale"]
    return [msgspec.json.decode(row.body)["reference"] for row in stale]


async def scan(log: Log, clock: MovedClock, status: str = "in_transit", reference: str = "SO-1") -> None:
    body = msgspec.json.encode([{"status": status, "occurred_at": clock.now()}])
    report = TrackingReport(tuple(read_tracking_events(body)), Actor(kind="api", token="tms"))
    await log.do(AcceptReport(DEFAULT, reference, report))


async def test_a_silent_shipment_is_told_and_counted_like_any_other_event(log: Log, clock: MovedClock) -> None:
    await put(log, "SO-1")
    clock.forward(hours=20)
    await put(log, "SO-2")
    assert await looked(log, clock, hours=4) == ["SO-1"]
    await put(log, "SO-1")
    assert_no_gaps(await log_rows(log))


async def test_it_is_told_once_also_by_another_service(log: Log, clock: MovedClock) -> None:
    await put(log)
    assert await looked(log, clock, hours=24) == ["SO-1"]
    assert await looked(log, clock, hours=1000) == ["SO-1"]


async def test_a_scan_begins_a_new_silence(log: Log, clock: MovedClock) -> None:
    await put(log)
    await looked(log, clock, hours=24)
    await scan(log, clock)
    assert await looked(log, clock, hours=23) == ["SO-1"]
    assert await looked(log, clock, hours=1) == ["SO-1", "SO-1"]


async def test_what_has_arrived_is_left_in_peace(log: Log, clock: MovedClock) -> None:
    await put(log)
    await scan(log, clock, "delivered")
    assert await looked(log, clock, hours=1000) == []


async def test_an_account_that_did_not_ask_is_told_nothing(log: Log, clock: MovedClock) -> None:
    other = AccountId("fossvik")
    await log.do(units.create_account(other, "Fossvik"))
    await put(log, account=other)
    await looked(log, clock, hours=1000)
    assert "tracking.stale" not in {row.type for row in await log_rows(log, other)}


async def test_switched_on_later_it_tells_of_silences_that_began_before(log: Log, clock: MovedClock) -> None:
    await log.do(units.change_account(DEFAULT, None, AccountSettings()))
    await put(log)
    assert await looked(log, clock, hours=30) == []
    await log.do(units.change_account(DEFAULT, None, AccountSettings(stale_after_hours=30)))
    assert await looked(log, clock) == ["SO-1"]


async def test_many_are_told_in_steps_the_longest_silent_first(log: Log, clock: MovedClock) -> None:
    references = [f"SO-{number}" for number in range(SHIPMENTS_A_STEP + 3)]
    for reference in references:
        await put(log, reference)
        clock.forward(seconds=1)
    assert await looked(log, clock, hours=24) == references
