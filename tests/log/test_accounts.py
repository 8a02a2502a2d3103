"""Accounts and tokens."""

import asyncio

import pytest
from sqlalchemy import text

from conftest import OPERATOR_TOKEN
from log.builders import DEFAULT, put
from waypost.clock import IdSource, SystemClock
from waypost.errors import Conflict, NotFound
from waypost.ids import AccountId
from waypost.log import AccountSettings, Database, Log, Vault, open_database, units

FOSSVIK = AccountId("fossvik")


async def test_the_operator_acts_for_the_account_default(log: Log) -> None:
    principal = await log.authenticate(OPERATOR_TOKEN)
    assert principal is not None
    assert (principal.account_id, principal.operator) == (DEFAULT, True)


async def test_a_new_operator_token_ends_the_one_before(log: Log) -> None:
    await log.ensure_operator("wp_another")
    assert await log.authenticate(OPERATOR_TOKEN) is None
    assert await log.authenticate("wp_another") is not None


async def test_a_token_stands_for_its_account_and_scopes(log: Log) -> None:
    await log.do(units.create_account(FOSSVIK, "Fossvik Freight"))
    made = await log.do(units.create_token(FOSSVIK, "tms", ["read", "shipments:write"]))
    principal = await log.authenticate(made.token)
    assert principal is not None
    assert (principal.account_id, principal.name, principal.operator) == (FOSSVIK, "tms", False)
    assert principal.scopes == {"read", "shipments:write"}


async def test_a_revoked_token_fails_from_the_next_request_on(log: Log) -> None:
    made = await log.do(units.create_token(DEFAULT, "tms", ["read"]))
    for _ in range(2):
        await log.do(units.revoke_token(DEFAULT, made.record.token_id))
    assert await log.authenticate(made.token) is None
    listed = {token.name: token.revoked_at for token in (await log.list_tokens(DEFAULT)).items}
    assert listed["tms"] is not None
    assert listed["operator"] is None


async def test_an_unknown_token_is_nobodys(log: Log) -> None:
    for token in ("", "wp_unknown", "wp_\0", "wp_\udcff"):
        assert await log.authenticate(token) is None


async def test_a_token_is_kept_as_its_hash_alone(log: Log, database: Database) -> None:
    made = await log.do(units.create_token(DEFAULT, "tms", ["read"]))
    with database.readers.connect() as connection:
        assert made.token not in str(connection.execute(text("SELECT * FROM tokens")).all())


async def test_the_token_of_another_account_cannot_be_revoked(log: Log) -> None:
    await log.do(units.create_account(FOSSVIK, "Fossvik Freight"))
    made = await log.do(units.create_token(DEFAULT, "tms", ["read"]))
    with pytest.raises(NotFound):
        await log.do(units.revoke_token(FOSSVIK, made.record.token_id))


async def test_an_account_is_made_once(log: Log) -> None:
    made = await log.do(units.create_account("fossvik", "Fossvik Freight"))
    with pytest.raises(Conflict):
        await log.do(units.create_account("fossvik", "Another"))
    assert await log.get_account(FOSSVIK) == made
    assert await log.account_exists(FOSSVIK)
    assert not await log.account_exists(AccountId("nobody"))


async def test_an_account_without_an_id_gets_one(log: Log) -> None:
    made = await log.do(units.create_account(None, "Fossvik Freight"))
    assert made.account_id.startswith("acc-")
    assert [account.account_id for account in (await log.list_accounts()).items] == [made.account_id, DEFAULT]


async def test_the_eta_threshold_applies_to_the_reports_after_it(log: Log) -> None:
    def eta(minute: int) -> dict[str, str]:
        return {"at": f"2026-12-01T12:{minute:02}:00Z", "precision": "minute", "source": "carrier"}

    await put(log, eta=eta(0), weight=1)
    assert (await put(log, eta=eta(10), weight=1)).events == ()
    await log.do(units.change_account(DEFAULT, None, AccountSettings(eta_threshold_minutes=5)))
    changed = await put(log, eta=eta(20), weight=1)
    assert [event.type for event in changed.events] == ["shipment.eta_changed"]


async def test_a_token_that_is_revoked_while_it_is_looked_up_is_not_remembered(log: Log) -> None:
    made = await log.do(units.create_token(DEFAULT, "tms", ["read"]))
    await asyncio.gather(log.authenticate(made.token), log.do(units.revoke_token(DEFAULT, made.record.token_id)))
    assert await log.authenticate(made.token) is None


async def test_another_service_sees_at_once_that_a_token_was_revoked(pg_url: str, vault: Vault) -> None:
    logs = [Log(open_database(pg_url), SystemClock(), IdSource(), vault) for _ in range(2)]
    for log in logs:
        await log.start()
    await logs[0].ensure_operator(OPERATOR_TOKEN)
    made = await logs[0].do(units.create_token(DEFAULT, "tms", ["read"]))
    assert await logs[1].authenticate(made.token) is not None
    await logs[0].do(units.revoke_token(DEFAULT, made.record.token_id))
    assert await logs[1].authenticate(made.token) is None
    for log in logs:
        await log.close()
