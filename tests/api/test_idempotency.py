import asyncio
from pathlib import Path

import pytest

from api.asgi_client import Client
from api.conftest import QuietDelivery, TokenMaker, on_both_databases

SCAN = {"status": "collected", "occurred_at": "2026-11-23T08:00:00Z"}
ENDPOINT = {"url": "https://192.0.2.1/hook"}


def key(value: str) -> dict[str, str]:
    return {"Idempotency-Key": value}


@on_both_databases
async def test_the_same_key_and_body_answer_as_before_byte_for_byte(api: Client) -> None:
    first = await api.call("POST", "/v1/endpoints", ENDPOINT, headers=key("k1"))
    again = await api.call("POST", "/v1/endpoints", ENDPOINT, headers=key("k1"))
    assert (first.status, again.status) == (201, 201)
    assert first.body == again.body
    assert len((await api.call("GET", "/v1/endpoints")).json()["items"]) == 1


@on_both_databases
async def test_fifty_at_once_have_one_effect_and_equal_answers(api: Client) -> None:
    await api.call("PUT", "/v1/shipments/SO-1", {})
    calls = [api.call("POST", "/v1/shipments/SO-1/tracking-events", SCAN, headers=key("k1")) for _ in range(50)]
    replies = await asyncio.gather(*calls)
    assert len({reply.body for reply in replies}) == 1
    assert len((await api.call("GET", "/v1/events")).json()["items"]) == 4


async def test_the_same_key_with_another_body_is_422(api: Client) -> None:
    await api.call("POST", "/v1/endpoints", ENDPOINT, headers=key("k1"))
    reply = await api.call("POST", "/v1/endpoints", ENDPOINT | {"description": "other"}, headers=key("k1"))
    assert (reply.status, reply.json()["type"]) == (422, "https://waypost.example/problems/idempotency-mismatch")


async def test_a_refusal_is_kept_too_wherever_it_came_from(api: Client) -> None:
    unread = await api.call("POST", "/v1/endpoints", {"url": "nonsense"}, headers=key("k1"))
    unknown = await api.call("POST", "/v1/shipments/SO-1/cancel", headers=key("k1"))
    await api.call("PUT", "/v1/shipments/SO-1", {})
    assert (unread.status, unknown.status) == (422, 404)
    assert (await api.call("POST", "/v1/endpoints", {"url": "nonsense"}, headers=key("k1"))).body == unread.body
    assert (await api.call("POST", "/v1/shipments/SO-1/cancel", headers=key("k1"))).body == unknown.body


async def test_a_refused_body_does_not_stand_for_another(api: Client) -> None:
    await api.call("POST", "/v1/endpoints", {"url": "nonsense"}, headers=key("k1"))
    reply = await api.call("POST", "/v1/endpoints", ENDPOINT, headers=key("k1"))
    assert reply.json()["type"].endswith("idempotency-mismatch")


async def test_a_403_is_not_kept(caller: TokenMaker) -> None:
    reader, writer = await caller("read"), await caller("endpoints:write")
    assert (await reader.call("POST", "/v1/endpoints", ENDPOINT, headers=key("k1"))).status == 403
    assert (await writer.call("POST", "/v1/endpoints", ENDPOINT, headers=key("k1"))).status == 201


async def test_a_key_belongs_to_account_and_path(api: Client, caller: TokenMaker) -> None:
    other = await caller("endpoints:write", account="fossvik")
    first = await api.call("POST", "/v1/endpoints", ENDPOINT, headers=key("k1"))
    theirs = await other.call("POST", "/v1/endpoints", ENDPOINT, headers=key("k1"))
    source = await api.call("POST", "/v1/sources", {"kind": "easypost", "name": "x", "secret": "y"}, headers=key("k1"))
    assert (first.status, theirs.status, source.status) == (201, 201, 201)
    assert first.json()["id"] != theirs.json()["id"]


async def test_an_operators_key_covers_the_accounts_it_makes(api: Client) -> None:
    first = await api.call("POST", "/v1/accounts", {"id": "a", "name": "A"}, headers=key("k1"))
    again = await api.call("POST", "/v1/accounts", {"id": "a", "name": "A"}, headers=key("k1"))
    other = await api.call("POST", "/v1/accounts", {"id": "b", "name": "B"}, headers=key("k1"))
    assert (first.status, again.body, other.status) == (201, first.body, 422)


async def test_a_secret_that_was_answered_is_not_stored_in_clear(api: Client, database_url: str) -> None:
    reply = await api.call("POST", "/v1/endpoints", ENDPOINT, headers=key("k1"))
    secret = reply.json()["secret"].encode()
    assert secret not in bytes_on_disk(database_url)


def bytes_on_disk(database_url: str) -> bytes:
    path = Path(database_url.removeprefix("sqlite:///"))
    return path.read_bytes() + path.with_name(path.name + "-wal").read_bytes()


async def test_a_test_event_is_sent_once_for_a_key(api: Client, delivery: QuietDelivery) -> None:
    endpoint = (await api.call("POST", "/v1/endpoints", ENDPOINT)).json()["id"]
    calls = [api.call("POST", f"/v1/endpoints/{endpoint}/test", headers=key("k1")) for _ in range(10)]
    replies = await asyncio.gather(*calls)
    assert len({reply.body for reply in replies}) == 1
    assert len(delivery.tests) == 1


@pytest.mark.parametrize("value", ["", "x" * 256, "a\x07b", "ü"])
async def test_a_key_that_cannot_be_one_is_400(api: Client, value: str) -> None:
    assert (await api.call("POST", "/v1/endpoints", ENDPOINT, headers=key(value))).status == 400


async def test_put_and_get_take_no_key(api: Client) -> None:
    first = await api.call("PUT", "/v1/shipments/SO-1", {"tags": ["a"]}, headers=key("k1"))
    second = await api.call("PUT", "/v1/shipments/SO-1", {"tags": ["b"]}, headers=key("k1"))
    assert (first.status, second.status) == (201, 200)
