"""What an operation answers, and how it goes out as ASGI messages."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

Headers = tuple[tuple[bytes, bytes], ...]

# The three of ASGI. Source: asgi.readthedocs.io, specification, "HTTP Connection Scope".
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON = b"application/json"
NDJSON = b"application/x-ndjson"
PROBLEM = b"application/problem+json"

# Answers hold an account's data and sometimes secrets: no cache keeps them, and no browser guesses their type.
NO_STORE = b"no-store"
NO_SNIFF = (b"x-content-type-options", b"nosniff")
FIXED_HEADERS: Headers = ((b"cache-control", NO_STORE), NO_SNIFF)

encode_json = msgspec.json.Encoder().encode


class Answerable(Protocol):
    """What a handler may return."""

    @property
    def status(self) -> int:
        """The HTTP status, known before the first byte goes out."""
        ...

    async def send(self, receive: Receive, send: Send, *, request_id: bytes, head: bool) -> None:
        """Write the answer; with `head`, the headers alone."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer: status, body and the headers besides the fixed ones."""

    status: int
    body: bytes = b""
    headers: Headers = ()
    content_type: bytes = JSON
    cache_control: bytes = NO_STORE

    async def send(self, receive: Receive, send: Send, *, request_id: bytes, head: bool) -> None:
        """Write the answer in two messages."""
        headers = [(b"cache-control", self.cache_control), NO_SNIFF, (b"x-request-id", request_id), *self.headers]
        if self.status != 204:
            headers += ((b"content-type", self.content_type), (b"content-length", b"%d" % len(self.body)))
        await send(_start(self.status, headers))
        await send(_part(b"" if head else self.body, last=True))


@dataclass(frozen=True, slots=True)
class StreamReply:
    """An answer that is written while it is made. `chunks` is closed when the client goes away.

    A chunk is asked for only once the one before was taken, so a slow client slows its own answer and holds one
    chunk of memory. `watch_disconnect` is for answers that wait a long time between chunks; it may be set only when
    the request body was read to its end.
    """

    chunks: AsyncGenerator[bytes, None]
    content_type: bytes
    status: int = 200
    headers: Headers = ()
    watch_disconnect: bool = False

    async def send(self, receive: Receive, send: Send, *, request_id: bytes, head: bool) -> None:
        """Write the answer chunk by chunk, to its end or until the client is gone."""
        fixed = [*FIXED_HEADERS, (b"x-request-id", request_id), (b"content-type", self.content_type)]
        try:
            await send(_start(self.status, [*fixed, *self.headers]))
            if not head:
                await self._pump(receive, send)
            await send(_part(b"", last=True))
        finally:
            await self.chunks.aclose()

    async def _pump(self, receive: Receive, send: Send) -> None:
        if not self.watch_disconnect:
            await self._write(send)
            return
        writing = asyncio.ensure_future(self._write(send))
        leaving = asyncio.ensure_future(_until_gone(receive))
        try:
            await asyncio.wait((writing, leaving), return_when=asyncio.FIRST_COMPLETED)
            if writing.done():
                writing.result()
        finally:
            for task in (writing, leaving):
                task.cancel()
            await asyncio.gather(writing, leaving, return_exceptions=True)

    async def _write(self, send: Send) -> None:
        async for chunk in self.chunks:
            await send(_part(chunk, last=False))


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _start(status: int, headers: list[tuple[bytes, bytes]]) -> Any:
    return {"type": "http.response.start", "status": status, "headers": headers}


def _part(body: bytes, *, last: bool) -> Any:
    return {"type": "http.response.body", "body": body, "more_body": not last}


def json_reply(value: object, status: int = 200, headers: Headers = ()) -> Reply:
    """Answer with `value` as JSON: a Struct, or anything that msgspec encodes."""
    return Reply(status, encode_json(value), headers)


NO_CONTENT = Reply(204)
