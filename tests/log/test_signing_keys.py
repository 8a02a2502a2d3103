"""What endpoints sign with, as it is stored and published."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from sqlalchemy import text

from log.builders import DEFAULT, SECRET, endpoint_name
from waypost.errors import BadRequest
from waypost.events.patterns import Wants
from waypost.ids import AccountId, EndpointId
from waypost.log import Database, EndpointRecord, EndpointSettings, Log, SigningKey, units
from waypost.log.auditing import Actor

BOTH = ("v1", "v1a")
ONE, TWO, THREE = (SigningKey(f"whsk_canary{n}", f"whpk_{n}") for n in (1, 2, 3))


async def signing(log: Log, *schemes: str, key: SigningKey | None = ONE) -> EndpointRecord:
    settings = EndpointSettings(url="https://erp.example/hooks", signature=schemes)
    return await log.do(units.create_endpoint(DEFAULT, settings, Wants(), secret=SECRET, signing_key=key))


async def changed_to(log: Log, endpoint: EndpointRecord, *schemes: str, key: SigningKey) -> EndpointRecord:
    settings = msgspec.structs.replace(endpoint.settings, signature=schemes)
    work = units.change_endpoint(*endpoint_name(endpoint), settings, endpoint.wants, signing_key=key)
    return await log.do(work)


async def published(log: Log, endpoint: EndpointRecord | None = None, **at: datetime) -> list[str]:
    page = await log.public_keys(DEFAULT, endpoint and endpoint.endpoint_id, at.get("at", datetime.now(UTC)), 50, None)
    return [key.public_key for key in page.items]


def known(endpoint: EndpointRecord) -> list[tuple[str, str | None]]:
    return [(secret.scheme, secret.public_key) for secret in endpoint.secrets]


async def test_an_endpoint_that_signs_with_v1_alone_has_no_key(log: Log) -> None:
    endpoint = await signing(log, "v1")
    assert known(endpoint) == [("v1", None)]
    assert await published(log) == []


async def test_an_endpoint_that_signs_with_v1a_has_a_key_and_a_secret(log: Log) -> None:
    endpoint = await signing(log, "v1a")
    assert sorted(known(endpoint)) == [("v1", None), ("v1a", "whpk_1")]
    assert await published(log) == ["whpk_1"]


async def test_an_endpoint_that_takes_v1a_up_later_gets_a_key_then(log: Log) -> None:
    endpoint = await signing(log, "v1")
    assert ("v1a", "whpk_1") in known(await changed_to(log, endpoint, *BOTH, key=ONE))


async def test_a_change_leaves_a_key_as_it_is(log: Log) -> None:
    endpoint = await signing(log, *BOTH)
    changed = await changed_to(log, endpoint, "v1a", key=TWO)
    assert [public for _, public in known(changed) if public] == ["whpk_1"]


async def test_private_keys_are_nowhere_in_the_database(log: Log, database: Database) -> None:
    await signing(log, *BOTH)
    with database.readers.connect() as connection:
        stored = str(connection.execute(text("SELECT * FROM endpoint_secrets")).all())
    assert "whpk_1" in stored
    assert "canary" not in stored


async def test_a_rotation_changes_both_kinds_and_both_overlap(log: Log) -> None:
    endpoint = await signing(log, *BOTH)
    rotated = await log.do(units.rotate_secret(*endpoint_name(endpoint), "whsec_new", 3600, signing_key=TWO))
    assert (rotated.secret, rotated.public_key) == ("whsec_new", "whpk_2")
    secrets = (await log.get_endpoint(*endpoint_name(endpoint))).secrets
    ends = {secret.secret: secret.expires_at for secret in secrets}
    assert ends == {
        "whsec_new": None,
        TWO.private_key: None,
        SECRET: rotated.previous_expires_at,
        ONE.private_key: rotated.previous_expires_at,
    }


async def test_a_rotation_makes_no_key_where_there_was_none(log: Log) -> None:
    endpoint = await signing(log, "v1")
    rotated = await log.do(units.rotate_secret(*endpoint_name(endpoint), "whsec_new", 0, signing_key=TWO))
    assert rotated.public_key is None
    assert await published(log) == []


async def test_the_secret_is_revealed_with_the_public_key_and_never_the_private_one(log: Log) -> None:
    endpoint = await signing(log, *BOTH)
    shown = await log.do(units.reveal_secret(*endpoint_name(endpoint), Actor("tms", "tok_1")))
    assert (shown.secret, shown.public_key) == (SECRET, "whpk_1")


async def test_many_rotations_leave_five_of_each_kind(log: Log) -> None:
    endpoint = await signing(log, *BOTH)
    for _ in range(8):
        await log.do(units.rotate_secret(*endpoint_name(endpoint), SECRET, 86_400, signing_key=TWO))
    found = await log.get_endpoint(*endpoint_name(endpoint))
    assert sorted(scheme for scheme, _ in known(found)) == ["v1"] * 5 + ["v1a"] * 5


async def test_both_keys_are_published_until_the_overlap_ends(log: Log) -> None:
    endpoint = await signing(log, *BOTH)
    rotated = await log.do(units.rotate_secret(*endpoint_name(endpoint), SECRET, 3600, signing_key=TWO))
    assert await published(log, endpoint) == ["whpk_1", "whpk_2"]
    assert rotated.previous_expires_at is not None
    assert await published(log, endpoint, at=rotated.previous_expires_at + timedelta(seconds=1)) == ["whpk_2"]


async def test_only_the_keys_of_the_endpoint_that_is_asked_about_are_given(log: Log) -> None:
    first = await signing(log, "v1a", key=ONE)
    second = await signing(log, "v1a", key=TWO)
    assert await published(log, first) == ["whpk_1"]
    assert await published(log, second) == ["whpk_2"]
    assert await published(log) == ["whpk_1", "whpk_2"]


async def test_what_does_not_exist_has_no_keys(log: Log) -> None:
    await signing(log, "v1a")
    now = datetime.now(UTC)
    for account, endpoint in [("nobody", None), ("no\0body", None), ("default", "ep_x"), ("default", "ep_\0")]:
        found = await log.public_keys(AccountId(account), endpoint and EndpointId(endpoint), now, 50, None)
        assert (found.items, found.next) == ([], None)


async def test_pages_of_keys_hold_each_once(log: Log) -> None:
    for key in (ONE, TWO, THREE):
        await signing(log, "v1a", key=key)
    found: list[str] = []
    cursor = None
    while True:
        page = await log.public_keys(DEFAULT, None, datetime.now(UTC), 2, cursor)
        found += [key.public_key for key in page.items]
        if (cursor := page.next) is None:
            break
    assert found == ["whpk_1", "whpk_2", "whpk_3"]


async def test_a_cursor_of_another_list_is_refused(log: Log) -> None:
    with pytest.raises(BadRequest):
        await log.public_keys(DEFAULT, None, datetime.now(UTC), 2, "ImVwXzEi")


async def test_a_deleted_endpoint_publishes_nothing(log: Log) -> None:
    endpoint = await signing(log, "v1a")
    await log.do(units.delete_endpoint(*endpoint_name(endpoint)))
    assert await published(log) == []
