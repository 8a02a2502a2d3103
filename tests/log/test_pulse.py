"""Whether anything moved in an account, as open pages ask it."""

from typing import Any

import pytest
from sqlalchemy import Select

from log.builders import DEFAULT, a_pending, a_write, an_attempt, an_endpoint, log_rows, owned, put
from log.test_indexes import plan_of, sqlite  # noqa: F401 - a fixture
from waypost.ids import AccountId
from waypost.log import Database, Log, Standing, units
from waypost.log.pulse import Pulse, count_troubles, moves_of, position_of, take_pulse, troubles_of


async def pulse_of(log: Log, account_id: AccountId = DEFAULT) -> Pulse:
    return await log.look(lambda connection, _: take_pulse(connection, account_id))


async def test_position_moves_with_the_log(log: Log) -> None:
    before = await pulse_of(log)
    await put(log)
    after = await pulse_of(log)
    assert after.position > before.position == 0
    assert not after.changed_since(before)


async def test_endpoint_that_was_made_changed_or_removed_moved(log: Log) -> None:
    before = await pulse_of(log)
    endpoint = await an_endpoint(log)
    made = await pulse_of(log)
    assert made.changed_since(before) == {endpoint.endpoint_id}
    await log.do(units.pause_endpoint(DEFAULT, endpoint.endpoint_id))
    paused = await pulse_of(log)
    assert paused.changed_since(made) == {endpoint.endpoint_id}
    await log.do(units.delete_endpoint(DEFAULT, endpoint.endpoint_id))
    assert (await pulse_of(log)).changed_since(paused) == {endpoint.endpoint_id}


async def test_endpoint_with_a_settled_event_moved_and_its_neighbour_did_not(log: Log) -> None:
    busy, _ = await owned(log), await an_endpoint(log)
    await put(log)
    row, *_ = await log_rows(log)
    before = await pulse_of(log)
    await log.persist([a_write(busy, cursor=row.position, attempts=(an_attempt(row),))])
    assert (await pulse_of(log)).changed_since(before) == {busy.endpoint_id}


async def test_endpoint_whose_retry_failed_once_more_moved(log: Log) -> None:
    endpoint = await owned(log)
    await put(log)
    row, *_ = await log_rows(log)
    before = await pulse_of(log)
    failed = a_write(
        endpoint,
        standing=Standing(health="active", failures_in_a_row=2),
        attempts=(an_attempt(row, "retrying", 2),),
        pending_put=(a_pending(row),),
    )
    await log.persist([failed])
    assert (await pulse_of(log)).changed_since(before) == {endpoint.endpoint_id}


async def test_account_that_is_gone_stands_still(log: Log) -> None:
    gone = await pulse_of(log, AccountId("nobody"))
    assert (gone.position, gone.endpoints) == (0, {})


async def test_troubles_are_the_failing_and_the_suspended_of_the_account(log: Log) -> None:
    await log.do(units.create_account("fossvik", "Fossvik"))
    for health in ("active", "failing", "suspended"):
        endpoint = await owned(log)
        await log.persist([a_write(endpoint, standing=Standing(health=health))])
    elsewhere = await owned(log, account=AccountId("fossvik"))
    await log.persist([a_write(elsewhere, standing=Standing(health="failing"))])
    assert await log.look(lambda connection, _: count_troubles(connection, DEFAULT)) == 2


@pytest.mark.parametrize("statement", [position_of(DEFAULT), moves_of(DEFAULT), troubles_of(DEFAULT)])
def test_only_the_accounts_own_rows_are_read(sqlite: Database, statement: Select[Any]) -> None:  # noqa: F811
    plan = plan_of(sqlite, statement)
    assert all("account_id=?" in step for step in plan), plan
