"""Asking for a replay, watching it, cancelling it."""

from typing import Any

import pytest

from api.asgi_client import Client, Reply
from api.conftest import TokenMaker, on_both_databases
from waypost.ids import AccountId, EndpointId
from waypost.log import EndpointWrite, Log, units

DEFAULT = AccountId("default")


async def make(api: Client, log: Log, *, shipments: int = 2, settled: bool = True, account: AccountId = DEFAULT) -> str:
    """An endpoint that wants everything, and whose cursor stands behind two events for each of some shipments."""
    hook = {"url": "https://192.0.2.1/hook", "events": ["*"], "start": "beginning"}
    endpoint_id = EndpointId((await api.call("POST", "/v1/endpoints", hook)).json()["id"])
    for number in range(shipments):
        assert (await api.call("PUT", f"/v1/shipments/SO-{number}", {})).status == 201
    (lease,) = [one for one in await log.take_leases("w1", 60, 100) if one.endpoint_id == endpoint_id]
    if settled:
        end = await log.log_end(account)
        write = EndpointWrite(account_id=account, endpoint_id=endpoint_id, epoch=lease.epoch, cursor=end)
        assert await log.persist([write]) == set()
    return endpoint_id


async def ask(api: Client, endpoint_id: str, headers: dict[str, str] | None = None, **given: Any) -> Reply:
    return await api.call("POST", f"/v1/endpoints/{endpoint_id}/replay", {"which": "all"} | given, headers=headers)


@on_both_databases
async def test_a_dry_run_counts_and_a_replay_is_a_job(api: Client, log: Log) -> None:
    endpoint_id = await make(api, log)
    counted = await ask(api, endpoint_id, which="missing", dry_run=True)
    assert (counted.status, counted.json()) == (200, {"matched": 4})
    asked = await ask(api, endpoint_id, which="missing", since="2026-01-01T00:00:00+01:00", types=["shipment.*"])
    job = asked.json()
    assert (asked.status, job["matched"], job["done"], job["state"]) == (202, 4, 0, "running")
    assert (job["which"], job["since"], job["types"]) == ("missing", "2025-12-31T23:00:00Z", ["shipment.*"])
    assert job["id"].startswith("job_")
    path = f"/v1/endpoints/{endpoint_id}/replays"
    assert (await api.call("GET", f"{path}/{job['id']}")).json() == job
    assert (await api.call("GET", path)).json() == {"items": [job], "next": None}


async def test_what_has_not_come_to_its_turn_is_left_out(api: Client, log: Log) -> None:
    endpoint_id = await make(api, log, settled=False)
    assert (await ask(api, endpoint_id, dry_run=True)).json() == {"matched": 0}


async def test_types_shipments_and_times_narrow_it(api: Client, log: Log) -> None:
    endpoint_id = await make(api, log, shipments=3)

    async def matched(**given: Any) -> int:
        count: int = (await ask(api, endpoint_id, dry_run=True, **given)).json()["matched"]
        return count

    assert await matched() == 6
    assert await matched(types=["shipment.created"]) == 3
    assert await matched(shipments=["SO-1"], types=["shipment.*"]) == 2
    assert await matched(until="2020-01-01T00:00:00Z") == 0
    assert await matched(since=None, until=None, types=[], shipments=[], to_url=None) == 6
    assert await matched(which="failed") == 0


async def test_a_cancelled_replay_stays_cancelled(api: Client, log: Log) -> None:
    endpoint_id = await make(api, log)
    job = (await ask(api, endpoint_id)).json()
    path = f"/v1/endpoints/{endpoint_id}/replays/{job['id']}"
    cancelled = await api.call("POST", f"{path}/cancel")
    assert (cancelled.status, cancelled.json()["state"]) == (200, "cancelled")
    await log.do(units.feed_replays(8))
    assert (await api.call("GET", path)).json() == cancelled.json()
    assert (await log.load_endpoint(DEFAULT, EndpointId(endpoint_id))).pending == ()


async def test_an_idempotency_key_begins_one_job(api: Client, log: Log) -> None:
    endpoint_id = await make(api, log)
    replies = [await ask(api, endpoint_id, {"Idempotency-Key": "k"}) for _ in range(2)]
    assert replies[0].body == replies[1].body
    assert len((await api.call("GET", f"/v1/endpoints/{endpoint_id}/replays")).json()["items"]) == 1


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"which": "some"}, "/which"),
        ({"since": "yesterday"}, "/since"),
        ({"until": 5}, "/until"),
        ({"types": ["shipment.creatd"]}, "/types/0"),
        ({"types": "shipment.*"}, "/types"),
        ({"shipments": ["SO-0", "SO-99"]}, "/shipments/1"),
        ({"shipments": ["SO-0"] * 501}, "/shipments"),
        ({"dry_run": "yes"}, "/dry_run"),
        ({"state": "done"}, "/state"),
        ({"to_url": "http://127.0.0.1/in"}, "/to_url"),
        ({"to_url": "http://[::ffff:169.254.169.254]/"}, "/to_url"),
        ({"to_url": "ftp://192.0.2.1/"}, "/to_url"),
        ({"to_url": ""}, "/to_url"),
    ],
)
async def test_what_is_wrong_is_named(api: Client, log: Log, given: dict[str, Any], path: str) -> None:
    endpoint_id = await make(api, log)
    reply = await ask(api, endpoint_id, **given)
    assert (reply.status, path in reply.places()) == (422, True), reply.body
    assert (await api.call("GET", f"/v1/endpoints/{endpoint_id}/replays")).json()["items"] == []


async def test_which_has_to_be_given(api: Client, log: Log) -> None:
    endpoint_id = await make(api, log)
    reply = await api.call("POST", f"/v1/endpoints/{endpoint_id}/replay", {})
    assert reply.places() == {"/which": "is missing"}


async def test_a_replay_to_another_url_shows_it_and_adds_no_endpoint(api: Client, log: Log) -> None:
    endpoint_id = await make(api, log)
    job = (await ask(api, endpoint_id, to_url="https://192.0.2.7/spare")).json()
    assert job["to_url"] == "https://192.0.2.7/spare"
    assert [one["id"] for one in (await api.call("GET", "/v1/endpoints")).json()["items"]] == [endpoint_id]
    for path in (f"/v1/endpoints/{job['id']}", f"/v1/endpoints/{job['id']}/deliveries"):
        assert (await api.call("GET", path)).status == 404


async def test_own_types_can_be_replayed(api: Client, log: Log) -> None:
    await api.call("PUT", "/v1/event-types/invoice.created", {"schema": True})
    await api.call("POST", "/v1/events", {"type": "invoice.created", "key": "R-1", "data": {}})
    endpoint_id = await make(api, log)
    assert (await ask(api, endpoint_id, types=["invoice.*"], dry_run=True)).json() == {"matched": 1}


async def test_replays_of_a_foreign_endpoint_are_unknown(api: Client, caller: TokenMaker, log: Log) -> None:
    fossvik = await caller("shipments:write", "endpoints:write", "read", account="fossvik")
    endpoint_id = await make(fossvik, log, account=AccountId("fossvik"))
    job = (await ask(fossvik, endpoint_id)).json()
    assert (await ask(api, endpoint_id)).status == 404
    path = f"/v1/endpoints/{endpoint_id}/replays"
    for method, target in (("GET", path), ("GET", f"{path}/{job['id']}"), ("POST", f"{path}/{job['id']}/cancel")):
        assert (await api.call(method, target)).status == 404
    mine = await make(api, log)
    assert (await api.call("GET", f"/v1/endpoints/{mine}/replays/{job['id']}")).status == 404
    assert (
        await ask(api, mine, shipments=[(await fossvik.call("GET", "/v1/shipments/SO-1")).json()["id"]])
    ).status == 422
