"""What an open page is told: that something moved, which parts, and when it is over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from api.asgi_client import Client
from dashboard.conftest import Site
from dashboard.visitor import Visitor
from log.builders import put
from waypost.clock import IdSource, SystemClock
from waypost.dashboard import pulses
from waypost.log import Log, Vault, open_database
from waypost.log.sessions import Session, find_session, sign_out


@asynccontextmanager
async def listening(visitor: Visitor, status: int = 200) -> AsyncIterator[AsyncIterator[bytes]]:
    """Listen as an open page does; the first message, how soon to come back, is taken."""
    cookie = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    client = Client(visitor.app, None)
    async with client.stream("GET", "/live", headers={"cookie": cookie}) as (answered, headers, chunks):
        assert answered == status
        if status == 200:
            assert headers["content-type"].startswith("text/event-stream")
            assert await anext(chunks) == b"retry: 2000\n\n"
        yield chunks


async def told(chunks: AsyncIterator[bytes], name: str) -> list[str]:
    """Give what the next message of a name says; `beat` is passed over."""
    async with asyncio.timeout(20):
        async for chunk in chunks:
            kind, _, data = chunk.decode().strip().partition("\n")
            if kind == f"event: {name}":
                return data.removeprefix("data: ").split()
            assert kind == "event: beat", chunk
    raise AssertionError(f"the stream ended without {name}")


async def test_open_page_is_told_that_the_log_grew(site: Site) -> None:
    async with listening(await site.visitor()) as chunks:
        await site.api.call("PUT", "/v1/shipments/SO-1", {})
        assert "log" in await told(chunks, "changed")


async def test_open_page_is_told_which_endpoint_changed(site: Site) -> None:
    made = await site.api.call("POST", "/v1/endpoints", {"url": "https://erp.example/hooks"})
    endpoint_id = made.json()["id"]
    async with listening(await site.visitor()) as chunks:
        await site.api.call("POST", f"/v1/endpoints/{endpoint_id}/pause")
        assert endpoint_id in await told(chunks, "changed")


async def test_page_is_not_told_of_another_account(site: Site) -> None:
    async with listening(await site.visitor("owner", "neighbour")) as chunks:
        await site.api.call("PUT", "/v1/shipments/SO-1", {})
        there = {"waypost-account": "neighbour"}
        await site.api.call("POST", "/v1/endpoints", {"url": "https://erp.example/hooks"}, headers=there)
        changed = await told(chunks, "changed")
        assert changed
        assert all(name.startswith("ep_") for name in changed), changed


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_what_another_process_stored_is_told_too(site: Site, database_url: str, vault: Vault) -> None:
    database = open_database(database_url)
    other = Log(database, SystemClock(), IdSource(), vault)
    await other.start()
    try:
        async with listening(await site.visitor()) as chunks:
            await put(other, "SO-2")
            assert await told(chunks, "changed") == ["log"]
    finally:
        await other.close()
        database.close()


async def test_one_page_too_many_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulses, "STREAMS_PER_ACCOUNT_MAX", 1)
    visitor = await site.visitor()
    async with listening(visitor):
        async with listening(visitor, status=429):
            pass
        async with listening(await site.visitor("owner", "neighbour")):
            pass  # another account has pages of its own


async def test_place_of_a_closed_page_is_free_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulses, "STREAMS_PER_ACCOUNT_MAX", 1)
    visitor = await site.visitor()
    for _ in range(3):
        async with listening(visitor):
            pass


async def test_stream_ends_with_the_session(site: Site) -> None:
    visitor = await site.visitor()
    async with listening(visitor) as chunks:
        site.clock.ahead_s = 60
        await site.log.do(sign_out(await session_of(site, visitor)))
        await site.api.call("PUT", "/v1/shipments/SO-1", {})
        assert await told(chunks, "ended") == ["-"]
        assert [chunk async for chunk in chunks] == []


async def test_stream_ends_when_the_service_stops(site: Site) -> None:
    async with listening(await site.visitor()) as chunks:
        site.app.close()
        left = [chunk async for chunk in chunks]
        assert len(left) <= 1


async def test_stranger_is_not_told_anything(site: Site) -> None:
    reply = await site.stranger().get("/live")
    assert (reply.status, reply.headers["location"]) == (303, "/sign-in?next=%2Flive")


async def session_of(site: Site, visitor: Visitor) -> Session:
    """Give the session whose cookie a visitor holds."""
    (token,) = visitor.cookies.values()
    found = await site.log.look(lambda connection, _: find_session(connection, token, SystemClock().now()))
    assert found is not None
    return found
