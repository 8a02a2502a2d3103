"""Deliveries are counted by the hour with the attempts that are stored: exactly, whatever comes twice or moves back."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from log.builders import DEFAULT, a_write, an_attempt, log_rows, owned, put
from waypost.clock import IdSource, to_micros
from waypost.log import Database, EndpointRecord, Log, Vault, hours, retention, units
from waypost.log.hours import AccountHours, Outcomes, hour_of
from waypost.log.keeping import Ages

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
NOON_HOUR = hour_of(to_micros(NOON))


@dataclass
class HandClock:
    """A clock that a test sets."""

    at: datetime = field(default=NOON)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def log(database: Database, vault: Vault, clock: HandClock) -> AsyncIterator[Log]:
    log = Log(database, clock, IdSource(), vault)
    await log.start()
    await log.ensure_operator("wp_operator")
    yield log
    await log.close()


async def told(log: Log, endpoint: EndpointRecord) -> dict[int, Outcomes]:
    def read(connection, _vault):  # type: ignore[no-untyped-def]
        found = hours.read_hours(connection, DEFAULT, [endpoint.endpoint_id], NOON_HOUR - 30, NOON_HOUR + 30)
        return {hour - NOON_HOUR: outcomes for hour, outcomes in found[endpoint.endpoint_id].items()}

    return await log.look(read)


async def total(log: Log, sums: AccountHours, now: int = 0) -> Outcomes:
    since, until = NOON_HOUR - 30, NOON_HOUR + now + 1
    return await log.look(lambda connection, _: sums.read(connection, DEFAULT, since, until, NOON_HOUR + now))


async def test_each_way_to_end_is_counted(log: Log) -> None:
    endpoint = await owned(log)
    await put(log)
    first, second = await log_rows(log)
    await log.persist([a_write(endpoint, attempts=(an_attempt(first), an_attempt(second, "retrying")))])
    await log.persist([a_write(endpoint, attempts=(an_attempt(second, number=2),))])
    await log.persist([a_write(endpoint, attempts=(an_attempt(second, "failed", number=3),))])
    assert await told(log, endpoint) == {0: Outcomes(at_once=1, later=1, retrying=1, failed=1)}


async def test_a_write_that_comes_again_is_counted_once(log: Log) -> None:
    endpoint = await owned(log)
    await put(log)
    first, second = await log_rows(log)
    write = a_write(endpoint, attempts=(an_attempt(first), an_attempt(second)))
    await log.persist([write])
    await log.persist([write])
    assert await told(log, endpoint) == {0: Outcomes(at_once=2)}


async def test_a_write_with_an_old_epoch_counts_nothing(log: Log) -> None:
    endpoint = await owned(log)
    await put(log)
    first, _ = await log_rows(log)
    await log.persist([a_write(endpoint, epoch=0, attempts=(an_attempt(first),))])
    assert await told(log, endpoint) == {}


async def test_an_hour_that_is_over_stands_apart_and_the_next_begins_at_nothing(log: Log, clock: HandClock) -> None:
    endpoint = await owned(log)
    await put(log)
    first, second = await log_rows(log)
    await log.persist([a_write(endpoint, attempts=(an_attempt(first),))])
    clock.at += timedelta(hours=2)
    await log.persist([a_write(endpoint, attempts=(an_attempt(second, "failed"),))])
    assert await told(log, endpoint) == {0: Outcomes(at_once=1), 2: Outcomes(failed=1)}


async def test_what_is_stored_after_a_clock_was_set_back_counts_to_the_latest_hour(log: Log, clock: HandClock) -> None:
    endpoint = await owned(log)
    await put(log)
    first, second = await log_rows(log)
    await log.persist([a_write(endpoint, attempts=(an_attempt(first),))])
    clock.at -= timedelta(hours=3)
    await log.persist([a_write(endpoint, attempts=(an_attempt(second),))])
    assert await told(log, endpoint) == {0: Outcomes(at_once=2)}


async def test_the_account_counts_what_all_its_endpoints_did(log: Log, clock: HandClock) -> None:
    one, other = await owned(log), await owned(log)
    await put(log)
    first, second = await log_rows(log)
    await log.persist([a_write(one, attempts=(an_attempt(first),)), a_write(other, attempts=(an_attempt(first),))])
    sums = AccountHours()
    assert await total(log, sums) == Outcomes(at_once=2)
    clock.at += timedelta(hours=5)
    await log.persist([a_write(one, attempts=(an_attempt(second),))])
    assert await total(log, sums, now=5) == await total(log, sums, now=5) == Outcomes(at_once=3)


async def test_a_deleted_endpoint_leaves_its_counts(log: Log) -> None:
    endpoint = await owned(log)
    await put(log)
    first, _ = await log_rows(log)
    await log.persist([a_write(endpoint, attempts=(an_attempt(first),))])
    await log.do(units.delete_endpoint(DEFAULT, endpoint.endpoint_id))
    assert await total(log, AccountHours()) == Outcomes(at_once=1)


async def test_hours_leave_with_the_events_of_their_time(log: Log, clock: HandClock) -> None:
    endpoint = await owned(log)
    await put(log)
    first, second = await log_rows(log)
    await log.persist([a_write(endpoint, attempts=(an_attempt(first),))])
    clock.at += timedelta(days=20)
    await log.persist([a_write(endpoint, attempts=(an_attempt(second),))])
    ages = Ages(days=10, owed_days=10)
    clock.at += timedelta(hours=1)
    assert (await log.do(retention.remove_hours(DEFAULT, ages))).removed == 1
    assert await told(log, endpoint) == {}
