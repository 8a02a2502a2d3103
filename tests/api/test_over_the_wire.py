"""The application behind the real server: what only sockets can show."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from waypost.api.app import Application

AUTHORIZATION = b"authorization: Bearer wp_operator\r\n"


async def until(happened: Callable[[], bool]) -> None:
    """Wait for what another thread does; nothing tells when it has."""
    while not happened():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def port(app: Application) -> AsyncIterator[int]:
    """Where the application is served."""
    port = free_port()
    server = Server(
        app, address="127.0.0.1", port=port, interface=Interfaces.ASGINL, http=HTTPModes.http1, log_enabled=False
    )
    serving = asyncio.create_task(server.serve())
    while not serving.done():
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            break
        await asyncio.sleep(0.01)
    yield port
    app.close()
    server.stop()
    with suppress(asyncio.CancelledError):
        await serving


async def talk(port: int, *parts: bytes, until: Callable[[bytes], bool] | None = None) -> bytes:
    """Send the parts, and give what comes back until the connection ends, or until enough has come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        with suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
        async with asyncio.timeout(20):
            while chunk := await reader.read(65536):
                received += chunk
                if until is not None and until(received):
                    break
    except ConnectionError:
        pass
    finally:
        writer.close()
    return received


def head(method: str, target: str, *lines: bytes, length: int | None = None) -> bytes:
    content_length = b"" if length is None else b"content-length: %d\r\n" % length
    close = b"connection: close\r\n"
    return (
        b"%b %b HTTP/1.1\r\nhost: x\r\n" % (method.encode(), target.encode())
        + AUTHORIZATION
        + close
        + b"".join(lines)
        + content_length
        + b"\r\n"
    )


JSON = b"content-type: application/json\r\n"


async def test_an_encoded_slash_in_a_reference_arrives_as_sent(port: int) -> None:
    put = await talk(port, head("PUT", "/v1/shipments/A%2FB%207", JSON, length=2) + b"{}")
    assert put.startswith(b"HTTP/1.1 201")
    assert b'"reference":"A/B 7"' in put
    assert (await talk(port, head("GET", "/v1/shipments/A%2FB%207"))).startswith(b"HTTP/1.1 200")
    assert (await talk(port, head("GET", "/v1/shipments/A/B"))).startswith(b"HTTP/1.1 404")
    assert (await talk(port, head("GET", "/v1/shipments/%FF"))).startswith(b"HTTP/1.1 400")


async def test_a_client_that_writes_on_still_hears_that_its_body_is_too_large(port: int) -> None:
    size = 3 * 1024 * 1024
    reply = await talk(port, head("PUT", "/v1/shipments/SO-1", JSON, length=size), b"x" * size)
    assert reply.startswith(b"HTTP/1.1 413")
    assert b"application/problem+json" in reply


async def test_a_chunked_body_is_read(port: int) -> None:
    chunked = b"transfer-encoding: chunked\r\n"
    reply = await talk(port, head("PUT", "/v1/shipments/SO-1", JSON, chunked) + b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 201")


async def test_bulk_answers_a_line_before_the_next_is_sent(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        head("POST", "/v1/bulk/shipments", b"content-type: application/x-ndjson\r\n", b"transfer-encoding: chunked\r\n")
    )
    for number in (1, 2, 3):
        line = b'{"reference": "SO-%d"}\n' % number
        writer.write(b"%x\r\n%b\r\n" % (len(line), line))
        await writer.drain()
        async with asyncio.timeout(10):
            while b'"reference":"SO-%d"' % number not in await reader.readline():
                pass
    writer.write(b"0\r\n\r\n")
    async with asyncio.timeout(10):
        assert (await reader.read()).endswith(b"0\r\n\r\n")
    writer.close()


async def test_a_stream_reaches_the_client_and_ends_when_it_hangs_up(port: int, app: Application) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head("GET", "/v1/events/stream"))
    async with asyncio.timeout(10):
        await reader.readuntil(b": still here")
        await talk(port, head("PUT", "/v1/shipments/SO-1", JSON, length=2) + b"{}")
        await reader.readuntil(b"event: shipment.created")
        assert app.streams == 1
        writer.close()
        await until(lambda: app.streams == 0)


@pytest.mark.parametrize(
    "smuggled",
    [
        b"content-length: 2\r\ntransfer-encoding: chunked\r\n",
        b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        b"content-length: 2\r\ncontent-length: 3\r\n",
        b"transfer-encoding : chunked\r\n",
        b"content-length: +2\r\n",
    ],
)
async def test_a_request_that_could_hide_another_never_makes_two(port: int, smuggled: bytes) -> None:
    hidden = head("PUT", "/v1/shipments/HIDDEN", JSON, length=2) + b"{}"
    first = head("PUT", "/v1/shipments/SO-1", JSON).replace(b"connection: close\r\n", smuggled)
    await talk(port, first + b"0\r\n\r\n" + hidden, until=lambda received: received.count(b"HTTP/1.1") == 2)
    assert (await talk(port, head("GET", "/v1/shipments/HIDDEN"))).startswith(b"HTTP/1.1 404")


async def test_head_says_what_get_would(port: int) -> None:
    reply = await talk(port, head("HEAD", "/healthz"))
    assert reply.startswith(b"HTTP/1.1 200")
    assert reply.endswith(b"\r\n\r\n")
