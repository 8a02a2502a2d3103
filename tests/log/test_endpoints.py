"""Endpoints as they are stored: settings, wishes by position, secrets."""

from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import text

from log.builders import DEFAULT, SECRET, a_write, an_endpoint, endpoint_name, log_rows, owned, put
from waypost.errors import InvalidDocument, NotFound
from waypost.events.patterns import Wants
from waypost.ids import AccountId, EndpointId
from waypost.log import Database, EndpointSettings, Log, Standing, units
from waypost.log.auditing import Actor

NEW_SECRET = "whsec_bmV3LXNlY3JldC1uZXctc2VjcmV0LW5ldy1zZWNyZXQ="


async def test_an_endpoint_is_read_back_as_it_was_made(log: Log) -> None:
    made = await an_endpoint(log, "shipment.status.*")
    read = await log.get_endpoint(*endpoint_name(made))
    assert read == made
    assert (read.state, read.state_reason, read.cursor) == ("active", None, 0)
    assert [secret.secret for secret in read.secrets] == [SECRET]


async def test_a_new_endpoint_starts_at_the_exact_end_of_the_log(log: Log) -> None:
    await put(log)
    assert (await an_endpoint(log)).cursor == 2


async def test_an_endpoint_may_start_with_history(log: Log) -> None:
    await put(log, "SO-1")
    await put(log, "SO-2")
    assert (await an_endpoint(log, start="beginning")).cursor == 0
    assert (await an_endpoint(log, start=3)).cursor == 3


async def test_an_endpoint_may_start_at_a_time(log: Log) -> None:
    await put(log)
    made = (await log.get_endpoint(*endpoint_name(await an_endpoint(log)))).created_at
    assert (await an_endpoint(log, start=made - timedelta(hours=1))).cursor == 0
    assert (await an_endpoint(log, start=made + timedelta(hours=1))).cursor == 2


async def test_a_start_past_the_end_of_the_log_is_refused(log: Log) -> None:
    with pytest.raises(InvalidDocument, match="ends at position 0"):
        await an_endpoint(log, start=1)


async def test_what_an_endpoint_wants_changes_for_the_events_after(log: Log) -> None:
    endpoint = await an_endpoint(log, "shipment.created")
    await put(log)
    changed = Wants(("shipment.status.*",))
    await log.do(units.change_endpoint(*endpoint_name(endpoint), endpoint.settings, changed))
    await put(log, "SO-2")
    rows, _ = await log.owed_events(*endpoint_name(endpoint), 0)
    assert [(row.position, row.type) for row in rows] == [(1, "shipment.created"), (4, "shipment.status.booked")]


async def test_changing_the_settings_alone_makes_no_new_version(log: Log) -> None:
    endpoint = await an_endpoint(log)
    settings = msgspec.structs.replace(endpoint.settings, url="https://new.example/")
    await put(log)
    changed = await log.do(units.change_endpoint(*endpoint_name(endpoint), settings, endpoint.wants))
    assert changed.settings.url == "https://new.example/"
    assert changed.versions == endpoint.versions


async def test_passwords_and_secrets_are_nowhere_in_the_database(log: Log, database: Database) -> None:
    settings = EndpointSettings(
        url="https://erp.example/", auth={"type": "bearer", "token": "canary"}, headers={"x-key": "canary"}
    )
    made = await log.do(units.create_endpoint(DEFAULT, settings, Wants(), secret="whsec_canary"))
    with database.readers.connect() as connection:
        for table in ("endpoints", "endpoint_secrets"):
            assert "canary" not in str(connection.execute(text(f"SELECT * FROM {table}")).all())
    assert (await log.get_endpoint(*endpoint_name(made))).settings == settings


async def test_both_secrets_are_live_after_a_rotation(log: Log) -> None:
    endpoint = await an_endpoint(log)
    rotated = await log.do(units.rotate_secret(*endpoint_name(endpoint), NEW_SECRET, 3600))
    secrets = (await log.get_endpoint(*endpoint_name(endpoint))).secrets
    assert [secret.secret for secret in secrets] == [NEW_SECRET, SECRET]
    assert [secret.expires_at for secret in secrets] == [None, rotated.previous_expires_at]


async def test_a_secret_whose_overlap_is_over_is_gone_at_the_next_rotation(log: Log) -> None:
    endpoint = await an_endpoint(log)
    await log.do(units.rotate_secret(*endpoint_name(endpoint), NEW_SECRET, 0))
    await log.do(units.rotate_secret(*endpoint_name(endpoint), SECRET + "2", 3600))
    secrets = (await log.get_endpoint(*endpoint_name(endpoint))).secrets
    assert [secret.secret for secret in secrets] == [SECRET + "2", NEW_SECRET]


async def test_revealing_a_secret_is_audited(log: Log, database: Database) -> None:
    endpoint = await an_endpoint(log)
    shown = await log.do(units.reveal_secret(*endpoint_name(endpoint), Actor("tms", "tok_1")))
    assert (shown.secret, shown.previous_expires_at) == (SECRET, None)
    with database.readers.connect() as connection:
        written = connection.execute(text("SELECT actor, action, subject FROM audit")).all()
    assert [tuple(row) for row in written] == [("tms", "endpoint.secret_revealed", endpoint.endpoint_id)]


async def test_pausing_twice_keeps_the_first_moment(log: Log) -> None:
    endpoint = await an_endpoint(log)
    first = await log.do(units.pause_endpoint(*endpoint_name(endpoint)))
    second = await log.do(units.pause_endpoint(*endpoint_name(endpoint)))
    assert first.state == second.state == "paused"
    assert first.state_since == second.state_since


async def test_resuming_makes_a_suspended_endpoint_active(log: Log) -> None:
    endpoint = await owned(log)
    await log.persist([a_write(endpoint, standing=Standing(health="suspended", reason="410", failures_in_a_row=9))])
    assert (await log.get_endpoint(*endpoint_name(endpoint))).state == "suspended"
    resumed = await log.do(units.resume_endpoint(*endpoint_name(endpoint)))
    assert (resumed.state, resumed.standing.failures_in_a_row, resumed.standing.version) == ("active", 0, 1)


async def test_a_deleted_endpoint_is_gone_with_what_it_was_owed(log: Log, database: Database) -> None:
    endpoint = await an_endpoint(log)
    await log.do(units.delete_endpoint(*endpoint_name(endpoint)))
    with pytest.raises(NotFound):
        await log.get_endpoint(*endpoint_name(endpoint))
    with database.readers.connect() as connection:
        for table in ("endpoint_versions", "endpoint_secrets", "pending"):
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() == 0


async def test_the_endpoint_of_another_account_is_not_found(log: Log) -> None:
    endpoint = await an_endpoint(log)
    other = AccountId("fossvik")
    await log.do(units.create_account(other, "Fossvik"))
    with pytest.raises(NotFound):
        await log.get_endpoint(other, endpoint.endpoint_id)
    with pytest.raises(NotFound):
        await log.do(units.delete_endpoint(other, endpoint.endpoint_id))


async def test_pages_of_endpoints_hold_each_once(log: Log) -> None:
    made = [(await an_endpoint(log)).endpoint_id for _ in range(5)]
    listed: list[EndpointId] = []
    cursor = None
    while True:
        page = await log.list_endpoints(DEFAULT, 2, cursor)
        listed += [endpoint.endpoint_id for endpoint in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert listed == made
    assert await log_rows(log) == []


async def test_a_rotation_without_overlap_ends_every_earlier_secret(log: Log) -> None:
    endpoint = await an_endpoint(log)
    await log.do(units.rotate_secret(DEFAULT, endpoint.endpoint_id, SECRET, 86_400))
    await log.do(units.rotate_secret(DEFAULT, endpoint.endpoint_id, SECRET, 0))
    found = await log.get_endpoint(DEFAULT, endpoint.endpoint_id)
    assert [secret.expires_at for secret in found.secrets] == [None]


async def test_many_rotations_leave_few_secrets_signing(log: Log) -> None:
    endpoint = await an_endpoint(log)
    for _ in range(20):
        await log.do(units.rotate_secret(DEFAULT, endpoint.endpoint_id, SECRET, 86_400))
    found = await log.get_endpoint(DEFAULT, endpoint.endpoint_id)
    assert len(found.secrets) == 5
