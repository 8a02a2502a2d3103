"""Types and events of the senders' own, on both databases."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from log.builders import DEFAULT, NOON, assert_no_gaps, log_rows, put
from waypost.errors import Conflict, InvalidDocument, NotFound
from waypost.ids import AccountId, EventId
from waypost.log import Log, NewType, OwnEvent, Posted, TypeChangedError, units
from waypost.log.own_events import TYPES_MAX


async def register(log: Log, name: str = "invoice.created", account: AccountId = DEFAULT, **given: Any) -> int:
    """Register a type and give its revision."""
    fields = {"title": name, "description": "", "schema": "true", "example": None} | given
    own, _ = await log.do(units.put_type(account, NewType(type=name, **fields)))
    return own.revision


def an_event(key: str = "R-1", **given: Any) -> OwnEvent:
    return OwnEvent(**{"type": "invoice.created", "key": key, "data": b'{"number":1}'} | given)


async def post(log: Log, event: OwnEvent, revision: int = 1, account: AccountId = DEFAULT) -> Posted:
    return await log.do(units.post_event(account, event, revision))


async def test_a_type_is_new_once_and_changed_after(log: Log) -> None:
    own, is_new = await log.do(units.put_type(DEFAULT, NewType(type="a.b", title="", description="", schema="true",
                                                               example=None)))  # fmt: skip
    assert (own.revision, is_new) == (1, True)
    assert await register(log, "a.b", schema="false") == 2
    found = await log.find_own_type(DEFAULT, "a.b")
    assert found is not None
    assert (found.schema, found.created_at) == ("false", own.created_at)


async def test_types_are_listed_by_name_and_belong_to_their_account(log: Log) -> None:
    await log.do(units.create_account(AccountId("fossvik"), "Fossvik"))
    for name in ("invoice.paid", "claim.opened", "invoice.created"):
        await register(log, name)
    await register(log, "theirs.alone", AccountId("fossvik"))
    assert [own.type for own in await log.own_types_after(DEFAULT, "claim.opened", 10)] == [
        "invoice.created", "invoice.paid",
    ]  # fmt: skip
    assert await log.own_type_names(AccountId("fossvik")) == {"theirs.alone"}


async def test_an_account_has_so_many_types_and_no_more(log: Log) -> None:
    for number in range(TYPES_MAX):
        await register(log, f"kind.n{number}")
    with pytest.raises(Conflict, match="limit"):
        await register(log, "kind.more")
    assert await register(log, "kind.n0") == 2


async def test_events_count_their_key_and_stand_in_the_log_among_the_others(log: Log) -> None:
    await register(log)
    await put(log)
    for key in ("R-1", "R-2", "R-1"):
        await post(log, an_event(key))
    rows = await log_rows(log)
    assert_no_gaps(rows)
    assert [(row.key, row.sequence) for row in rows if row.type == "invoice.created"] == [
        ("R-1", 1), ("R-2", 1), ("R-1", 2),
    ]  # fmt: skip


async def test_an_event_says_what_was_given_and_when_it_happened(log: Log) -> None:
    await register(log)
    posted = await post(log, an_event(data=b'{"total":1.50}', occurred_at=NOON, event_id=EventId("tms-1")))
    assert b'"data":{"total":1.50}' in posted.body
    event = msgspec.json.decode(posted.body)
    assert (event["id"], event["type"], event["key"]) == ("tms-1", "invoice.created", "R-1")
    assert (event["timestamp"], event["shipment_id"], event["reference"]) == ("2026-12-01T12:00:00Z", None, None)
    assert (await log.get_event(DEFAULT, "tms-1")).body == posted.body


async def test_the_same_event_with_its_id_again_adds_nothing(log: Log) -> None:
    await register(log)
    first = await post(log, an_event(event_id=EventId("tms-1")))
    again = await post(log, an_event(event_id=EventId("tms-1"), data=b'{ "number": 1.0 }'))
    assert (first.added, again.added, again.body) == (True, False, first.body)
    assert len(await log_rows(log)) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"data": b'{"number":2}'},
        {"key": "R-2"},
        {"type": "invoice.paid"},
        {"occurred_at": NOON + timedelta(hours=1)},
        {"occurred_at": None},
    ],
)
async def test_the_same_id_with_other_content_is_refused(log: Log, other: dict[str, Any]) -> None:
    await register(log)
    await register(log, "invoice.paid")
    given: dict[str, Any] = {"event_id": EventId("tms-1"), "occurred_at": NOON}
    await post(log, an_event(**given))
    with pytest.raises(Conflict, match="tms-1"):
        await post(log, an_event(**given | other))
    assert len(await log_rows(log)) == 1


async def test_an_id_is_one_of_its_account(log: Log) -> None:
    await log.do(units.create_account(AccountId("fossvik"), "Fossvik"))
    for account in (DEFAULT, AccountId("fossvik")):
        await register(log, account=account)
        assert (await post(log, an_event(event_id=EventId("tms-1")), account=account)).added


async def test_an_event_of_no_type_of_the_account_is_refused(log: Log) -> None:
    await log.do(units.create_account(AccountId("fossvik"), "Fossvik"))
    await register(log, account=AccountId("fossvik"))
    with pytest.raises(InvalidDocument, match="no type of this account"):
        await post(log, an_event())


async def test_an_event_held_against_a_schema_that_changed_since_is_not_taken(log: Log) -> None:
    await register(log)
    await register(log, schema="false")
    with pytest.raises(TypeChangedError):
        await post(log, an_event(), revision=1)
    assert (await post(log, an_event(), revision=2)).added


async def test_many_at_once_get_numbers_without_gaps(log: Log) -> None:
    await register(log)
    await asyncio.gather(*(post(log, an_event(f"R-{number % 3}")) for number in range(60)))
    assert_no_gaps(await log_rows(log))


async def test_of_many_with_one_id_one_is_added(log: Log) -> None:
    await register(log)
    posted = await asyncio.gather(*(post(log, an_event(event_id=EventId("tms-1"))) for _ in range(20)))
    assert [one.added for one in posted].count(True) == 1
    assert {one.body for one in posted} == {posted[0].body}


async def test_a_type_goes_while_it_has_no_events(log: Log) -> None:
    await register(log)
    await log.do(units.delete_type(DEFAULT, "invoice.created"))
    with pytest.raises(NotFound):
        await log.do(units.delete_type(DEFAULT, "invoice.created"))
    await register(log)
    await post(log, an_event())
    with pytest.raises(Conflict, match="holds events"):
        await log.do(units.delete_type(DEFAULT, "invoice.created"))
