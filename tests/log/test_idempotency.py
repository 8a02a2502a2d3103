"""One effect for one Idempotency-Key."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from log.builders import DEFAULT, NOON, a_report, log_rows, once, put
from waypost.clock import IdSource
from waypost.errors import Conflict, Forbidden, IdempotencyMismatch
from waypost.ids import AccountId
from waypost.log import Answer, Database, Log, Unit, Vault, refusal, units
from waypost.log.tables import idempotency
from waypost.log.transaction import Tx


async def test_fifty_parallel_requests_with_one_key_have_one_effect_and_equal_answers(log: Log) -> None:
    answers = await asyncio.gather(*(log.do_once(a_report(), once()) for _ in range(50)))
    assert len({(answer.status, answer.body) for answer in answers}) == 1
    assert len(await log_rows(log)) == 2


async def test_a_repeated_request_is_answered_as_before(log: Log) -> None:
    first = await log.do_once(a_report(weight=1), once())
    await put(log, weight=2)
    assert await log.do_once(a_report(weight=1), once()) == first
    assert len(await log_rows(log)) == 3


async def test_the_key_with_another_body_is_refused(log: Log) -> None:
    await log.do_once(a_report(), once())
    with pytest.raises(IdempotencyMismatch):
        await log.do_once(a_report(), once(body=b"another"))


async def test_the_key_with_another_body_in_the_same_group_is_refused(log: Log) -> None:
    answers = await asyncio.gather(
        log.do_once(a_report(), once()), log.do_once(a_report(), once(body=b"another")), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [Answer, IdempotencyMismatch]


@pytest.mark.parametrize("change", [{"path": "/v1/shipments/SO-2/cancel"}, {"key": "key-2"}])
async def test_another_path_or_key_is_another_request(log: Log, change: dict[str, str]) -> None:
    await log.do_once(a_report(weight=1), once())
    await log.do_once(a_report(weight=2), once(**change))
    assert len(await log_rows(log)) == 3


async def test_the_same_key_in_two_accounts_is_two_keys(log: Log) -> None:
    other = AccountId("fossvik")
    await log.do(units.create_account(other, "Fossvik"))
    await log.do_once(a_report(), once())
    await log.do_once(a_report(account=other), once())
    assert len(await log_rows(log, other)) == 2


async def test_a_refusal_is_kept_and_answered_again(log: Log) -> None:
    refused = await log.do_once(refusal(DEFAULT, Conflict("It was delivered.")), once())
    again = await log.do_once(a_report(), once())
    assert refused == again == Answer(409, {}, b"It was delivered.")
    assert await log_rows(log) == []


async def test_a_refusal_of_the_moment_is_not_kept(log: Log) -> None:
    refused = await log.do_once(refusal(DEFAULT, Forbidden("No scope.")), once())
    assert refused.status == 403
    assert (await log.do_once(a_report(), once())).status == 200


async def test_the_second_in_a_group_runs_when_the_first_came_to_nothing(log: Log) -> None:
    first, second = await asyncio.gather(
        log.do_once(refusal(DEFAULT, Forbidden("No scope.")), once()), log.do_once(a_report(), once())
    )
    assert (first.status, second.status) == (403, 200)


async def test_a_kept_secret_is_encrypted(log: Log, database: Database) -> None:
    unit = Unit(DEFAULT, lambda _tx: "wp_canary")
    first = await log.do_once(unit, once(secret=True))
    with database.readers.connect() as connection:
        stored = connection.execute(select(idempotency.c.body)).scalar_one()
    assert b"wp_canary" not in stored
    assert await log.do_once(unit, once(secret=True)) == first


class OwnClock:
    """A clock that its test moves."""

    def __init__(self) -> None:
        self.instant = NOON

    def now(self) -> datetime:
        return self.instant

    def monotonic(self) -> float:
        return 0.0


async def test_a_key_is_free_again_after_a_day(database: Database, vault: Vault) -> None:
    clock, counted = OwnClock(), []
    log = Log(database, clock, IdSource(), vault)
    await log.start()
    await log.ensure_operator("wp_operator")
    count: Callable[[Tx], int] = lambda _tx: counted.append(1) or len(counted)  # noqa: E731
    for passed in (timedelta(0), timedelta(hours=23), timedelta(hours=25)):
        clock.instant = NOON + passed
        await log.do_once(Unit(DEFAULT, count), once())
    await log.close()
    assert len(counted) == 2
