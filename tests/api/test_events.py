import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec
import pytest

from api.asgi_client import Client
from api.conftest import TokenMaker
from waypost.api import tails
from waypost.events.catalogue import CATALOGUE


async def book(api: Client, *references: str) -> None:
    for reference in references:
        assert (await api.call("PUT", f"/v1/shipments/{reference}", {})).status == 201


async def test_the_log_is_polled_page_by_page(api: Client) -> None:
    await book(api, "SO-1", "SO-2")
    first = (await api.call("GET", "/v1/events?limit=3")).json()
    second = (await api.call("GET", f"/v1/events?limit=3&after={first['next']}")).json()
    assert [event["position"] for event in first["items"] + second["items"]] == [1, 2, 3, 4]
    assert (first["next"], second["next"]) == (3, None)


async def test_one_event_is_answered_as_it_is_sent(api: Client) -> None:
    await book(api, "SO-1")
    listed = await api.call("GET", "/v1/events?limit=1")
    event_id = listed.json()["items"][0]["id"]
    one = await api.call("GET", f"/v1/events/{event_id}")
    assert one.body in listed.body
    assert one.json()["type"] == "shipment.created"


@pytest.mark.parametrize("event_id", ["evt_9", "x", "evt_%00", "evt_" + "x" * 1000, "%27"])
async def test_an_unknown_event_is_not_found(api: Client, event_id: str) -> None:
    assert (await api.call("GET", f"/v1/events/{event_id}")).status == 404


@dataclass
class Sent:
    """A server-sent event."""

    id: int
    type: str
    data: bytes


async def sent_events(chunks: AsyncIterator[bytes]) -> AsyncIterator[Sent]:
    async for chunk in chunks:
        if not chunk.startswith(b":"):
            name, kind, data, _, _ = chunk.split(b"\n")
            yield Sent(
                int(name.removeprefix(b"id: ")), kind.decode().removeprefix("event: "), data.removeprefix(b"data: ")
            )


async def test_a_stream_gives_what_happens_as_it_happens(api: Client) -> None:
    await book(api, "SO-1")
    async with api.stream("GET", "/v1/events/stream") as (status, headers, chunks):
        assert (status, headers["content-type"]) == (200, "text/event-stream")
        assert (await anext(chunks)).startswith(b":")
        await book(api, "SO-2")
        events = sent_events(chunks)
        created = await asyncio.wait_for(anext(events), 5)
        booked = await asyncio.wait_for(anext(events), 5)
    assert [(event.id, event.type) for event in (created, booked)] == [
        (3, "shipment.created"),
        (4, "shipment.status.booked"),
    ]
    assert msgspec.json.decode(created.data)["reference"] == "SO-2"


@pytest.mark.parametrize(
    ("query", "headers", "first"),
    [
        ("?after=0", {}, 1),
        ("?after=2", {}, 3),
        ("?after=0", {"Last-Event-ID": "3"}, 4),
        ("", {"Last-Event-ID": "1"}, 2),
    ],
)
async def test_a_stream_goes_on_where_the_client_was(
    api: Client, query: str, headers: dict[str, str], first: int
) -> None:
    await book(api, "SO-1", "SO-2")
    async with api.stream("GET", f"/v1/events/stream{query}", headers=headers) as (_, _, chunks):
        assert (await asyncio.wait_for(anext(sent_events(chunks)), 5)).id == first


async def test_a_long_history_streams_in_order_without_a_gap(api: Client) -> None:
    await book(api, *(f"SO-{number}" for number in range(130)))
    async with api.stream("GET", "/v1/events/stream?after=0") as (_, _, chunks):
        events = sent_events(chunks)
        positions = [(await asyncio.wait_for(anext(events), 5)).id for _ in range(260)]
    assert positions == list(range(1, 261))


@pytest.mark.parametrize("given", ["-1", "x", "9" * 30, "1.5", "٣"])
async def test_a_last_event_id_that_is_no_position_is_400(api: Client, given: str) -> None:
    if not given.isascii():
        given = given.encode().decode("latin-1")
    reply = await api.call("GET", "/v1/events/stream", headers={"Last-Event-ID": given})
    assert reply.status == 400


async def test_a_quiet_stream_says_that_it_is_alive(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails, "KEEP_ALIVE_S", 0.01)
    async with api.stream("GET", "/v1/events/stream") as (_, _, chunks):
        assert [await asyncio.wait_for(anext(chunks), 5) for _ in range(3)] == [tails.KEEP_ALIVE] * 3


async def test_a_stream_holds_only_its_own_account(api: Client, caller: TokenMaker) -> None:
    other = await caller("shipments:write", account="fossvik")
    async with api.stream("GET", "/v1/events/stream") as (_, _, chunks):
        await book(other, "XX-1")
        await book(api, "SO-1")
        event = await asyncio.wait_for(anext(sent_events(chunks)), 5)
    assert msgspec.json.decode(event.data)["reference"] == "SO-1"


async def test_streams_are_bounded_and_free_again_when_the_client_leaves(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tails, "STREAMS_PER_ACCOUNT_MAX", 1)
    async with api.stream("GET", "/v1/events/stream") as (_, _, chunks):
        await anext(chunks)
        refused = await api.call("GET", "/v1/events/stream")
        assert (refused.status, refused.headers["retry-after"]) == (429, "5")
    async with api.stream("GET", "/v1/events/stream") as (status, _, chunks):
        assert status == 200


async def test_closing_the_application_ends_the_streams(api: Client) -> None:
    async with api.stream("GET", "/v1/events/stream") as (_, _, chunks):
        await anext(chunks)
        api.app.close()
        assert [chunk async for chunk in chunks] == []


async def test_the_catalogue_names_each_type_with_schema_and_example(api: Client) -> None:
    page = (await api.call("GET", "/v1/event-types?limit=10")).json()
    rest = (await api.call("GET", f"/v1/event-types?limit=1000&cursor={page['next']}")).json()
    types = [item["type"] for item in page["items"] + rest["items"]]
    assert len(set(types)) == len(types) > 40
    one = (await api.call("GET", "/v1/event-types/shipment.status.delivered")).json()
    assert one["example"]["type"] == one["type"] == "shipment.status.delivered"
    assert one["schema"]["$schema"].endswith("2020-12/schema")


async def test_one_call_without_a_limit_gives_the_whole_catalogue(api: Client) -> None:
    page = (await api.call("GET", "/v1/event-types")).json()
    assert ([item["type"] for item in page["items"]], page["next"]) == (list(CATALOGUE), None)


async def test_an_unknown_event_type_is_not_found(api: Client) -> None:
    assert (await api.call("GET", "/v1/event-types/shipment.deliverd")).status == 404
    assert (await api.call("GET", "/v1/event-types?cursor=nonsense")).status == 400
