import asyncio
import hashlib
import hmac
from typing import Any

import msgspec
import pytest

from api.asgi_client import Client, Reply
from api.conftest import TokenMaker, on_both_databases
from waypost.api.app import Application

SECRET = "a secret shared with the carrier"


def message(number: str = "EZ1000000001", **changes: Any) -> bytes:
    tracker = {
        "object": "Tracker",
        "tracking_code": number,
        "carrier": "USPS",
        "status": "in_transit",
        "tracking_details": [
            {
                "object": "TrackingDetail",
                "message": "Picked up",
                "status": "in_transit",
                "status_detail": "arrived_at_facility",
                "datetime": "2026-11-23T08:15:00Z",
                "source": "USPS",
                "tracking_location": {"city": "CHARLESTON", "state": "SC", "country": "US", "zip": "29407"},
            }
        ],
        **changes,
    }
    return msgspec.json.encode({"id": "evt_1", "object": "Event", "description": "tracker.updated", "result": tracker})


def signature(body: bytes, secret: str = SECRET) -> str:
    return "hmac-sha256-hex=" + hmac.digest(secret.encode(), body, hashlib.sha256).hex()


async def a_source(api: Client) -> str:
    source = await api.call("POST", "/v1/sources", {"kind": "easypost", "name": "EasyPost", "secret": SECRET})
    assert source.status == 201
    return str(source.json()["id"])


async def post(app: Application, source_id: str, body: bytes, signed: str | None = None) -> Reply:
    headers = {"Content-Type": "application/json", "X-Hmac-Signature": signature(body) if signed is None else signed}
    return await Client(app, token=None).call("POST", f"/v1/intake/{source_id}", body=body, headers=headers)


async def test_a_source_answers_the_url_for_the_carrier_and_never_its_secret(api: Client) -> None:
    source_id = await a_source(api)
    source = await api.call("GET", f"/v1/sources/{source_id}")
    assert source.json()["url"] == f"https://waypost.test/v1/intake/{source_id}"
    assert SECRET.encode() not in source.body + (await api.call("GET", "/v1/sources")).body


@on_both_databases
async def test_a_signed_message_makes_a_shipment_with_its_events(app: Application, api: Client) -> None:
    source_id = await a_source(api)
    reply = await post(app, source_id, message())
    assert (reply.status, reply.json()["shipments"]) == (200, 1)
    shipment = (await api.call("GET", "/v1/shipments/EZ1000000001")).json()
    assert shipment["status"] in ("in_transit", "collected")
    events = (await api.call("GET", "/v1/shipments/EZ1000000001/events")).json()["items"]
    assert "tracking.event_recorded" in [event["type"] for event in events]
    assert len(events) == reply.json()["events"]


async def test_the_same_message_again_changes_nothing(app: Application, api: Client) -> None:
    source_id = await a_source(api)
    await post(app, source_id, message())
    before = (await api.call("GET", "/v1/events")).body
    again = await post(app, source_id, message())
    assert (again.status, again.json()["events"]) == (200, 0)
    assert (await api.call("GET", "/v1/events")).body == before


@pytest.mark.parametrize(
    "signed", ["", "hmac-sha256-hex=", "hmac-sha256-hex=00", signature(message(), "another"), "x" * 65536]
)
async def test_a_missing_or_wrong_signature_answers_as_an_unknown_source(
    app: Application, api: Client, signed: str
) -> None:
    source_id = await a_source(api)
    wrong = await post(app, source_id, message(), signed)
    unknown = await post(app, "src_01KA0000000000000000000000", message(), signed)
    assert (wrong.status, unknown.status) == (401, 401)
    assert wrong.json()["title"] == "The message's signature does not fit."
    assert {**wrong.json(), "request_id": ""} == {**unknown.json(), "request_id": ""}
    assert (await api.call("GET", "/v1/events")).json()["items"] == []


async def test_another_sources_secret_does_not_open_this_one(app: Application, api: Client) -> None:
    source_id = await a_source(api)
    await api.call("POST", "/v1/sources", {"kind": "easypost", "name": "other", "secret": "another"})
    assert (await post(app, source_id, message(), signature(message(), "another"))).status == 401


async def test_a_message_that_cannot_be_read_is_refused_with_the_place_and_kept(app: Application, api: Client) -> None:
    source_id = await a_source(api)
    body = message(tracking_details=[{"status": "in_transit", "datetime": "soon"}])
    reply = await post(app, source_id, body)
    assert (reply.status, list(reply.places())) == (422, ["/result/tracking_details/0/datetime"])
    assert (await api.call("GET", "/v1/shipments")).json()["items"] == []


async def test_a_changed_secret_counts_from_then_on_and_a_deleted_source_is_closed(
    app: Application, api: Client
) -> None:
    source_id = await a_source(api)
    await api.call("PATCH", f"/v1/sources/{source_id}", {"secret": "new", "name": "renamed"})
    assert (await post(app, source_id, message())).status == 401
    assert (await post(app, source_id, message(), signature(message(), "new"))).status == 200
    assert (await api.call("DELETE", f"/v1/sources/{source_id}")).status == 204
    assert (await post(app, source_id, message(), signature(message(), "new"))).status == 401


async def test_a_source_takes_600_messages_a_minute_and_forged_ones_do_not_count(app: Application, api: Client) -> None:
    source_id = await a_source(api)
    for _ in range(20):
        await post(app, source_id, message(), "forged")
    statuses = [reply.status for reply in await asyncio.gather(*[post(app, source_id, message()) for _ in range(601)])]
    assert statuses.count(200) in (600, 601)
    assert statuses.count(429) in (0, 1)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"kind": "ups", "name": "x", "secret": "y"}, "/kind"),
        ({"kind": "easypost", "name": "x"}, "/secret"),
        ({"kind": "easypost", "name": "x", "secret": ""}, "/secret"),
        ({"kind": "easypost", "name": "x", "secret": "y", "url": "z"}, "/url"),
    ],
)
async def test_a_wrong_source_is_refused(api: Client, body: dict[str, Any], path: str) -> None:
    reply = await api.call("POST", "/v1/sources", body)
    assert (reply.status, list(reply.places())) == (422, [path])


async def test_a_token_does_not_open_the_intake(api: Client, caller: TokenMaker) -> None:
    source_id = await a_source(api)
    writer = await caller("shipments:write", "endpoints:write", "read")
    body = {"description": "tracker.updated"}
    assert (await writer.call("POST", f"/v1/intake/{source_id}", body)).status == 401
