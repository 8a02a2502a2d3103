"""Speaks to the application as a server would: the path as bytes, the body in pieces, the answer as it comes."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import msgspec

from waypost.api.app import Application

OPERATOR_TOKEN = "wp_operator"


@dataclass
class Reply:
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body's JSON value."""
        return msgspec.json.decode(self.body)

    def lines(self) -> list[Any]:
        """The JSON value of each line."""
        return [msgspec.json.decode(line) for line in self.body.splitlines()]

    def places(self) -> dict[str, str]:
        """The `errors` of a problem: message by path."""
        return {error["path"]: error["message"] for error in self.json()["errors"]}


@dataclass
class Client:
    """A caller with one token."""

    app: Application
    token: str | None = OPERATOR_TOKEN
    headers: dict[str, str] = field(default_factory=dict)

    async def call(
        self,
        method: str,
        target: str,
        json: Any = None,
        *,
        body: bytes | Iterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Make one request. `target` is path and query as sent; `body` may come in pieces."""
        async with self.stream(method, target, json, body=body, headers=headers) as (status, answer_headers, chunks):
            parts = [chunk async for chunk in chunks]
        return Reply(status, answer_headers, b"".join(parts))

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        target: str,
        json: Any = None,
        *,
        body: bytes | Iterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> AsyncIterator[tuple[int, dict[str, str], AsyncIterator[bytes]]]:
        """Make one request and read its answer as it comes; leaving the block hangs up."""
        if body is None:
            body = b"" if json is None else msgspec.json.encode(json)
        exchange = _Exchange([body] if isinstance(body, bytes) else list(body))
        scope = _scope(method, target, self._headers(headers, with_body=json is not None))
        serving = asyncio.create_task(self.app(scope, exchange.receive, exchange.send))
        try:
            start = await exchange.first(serving)
            yield start["status"], _decoded(start["headers"]), exchange.chunks(serving)
        finally:
            exchange.hang_up()
            await asyncio.wait_for(serving, 10)

    def _headers(self, given: dict[str, str] | None, *, with_body: bool) -> dict[str, str]:
        headers = {"host": "waypost.test", **self.headers}
        if with_body:
            headers["content-type"] = "application/json"
        if self.token is not None:
            headers["authorization"] = f"Bearer {self.token}"
        return headers | {name.lower(): value for name, value in (given or {}).items()}


class _Exchange:
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces or [b""]
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._gone = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        if not self._pieces:
            await self._gone.wait()
            return {"type": "http.disconnect"}
        piece = self._pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(self._pieces)}

    async def send(self, message: dict[str, Any]) -> None:
        await self._messages.put(message)

    def hang_up(self) -> None:
        self._pieces.clear()
        self._gone.set()

    async def first(self, serving: "asyncio.Task[None]") -> dict[str, Any]:
        message = await self._next(serving)
        assert message["type"] == "http.response.start", message
        return message

    async def chunks(self, serving: "asyncio.Task[None]") -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._next(serving)
            more = message["more_body"]
            if message["body"]:
                yield message["body"]

    async def _next(self, serving: "asyncio.Task[None]") -> dict[str, Any]:
        """The next message, or what the application failed with instead."""
        if not self._messages.empty():
            return self._messages.get_nowait()
        getting = asyncio.ensure_future(self._messages.get())
        await asyncio.wait((getting, serving), return_when=asyncio.FIRST_COMPLETED, timeout=20)
        if getting.done():
            return getting.result()
        getting.cancel()
        serving.result()
        raise AssertionError("The application ended without an answer.")


def _scope(method: str, target: str, headers: dict[str, str]) -> dict[str, Any]:
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path, errors="replace"),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8484),
        "state": {},
    }


def _decoded(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    decoded: dict[str, str] = {}
    for name, value in headers:  # Set-Cookie alone may come more than once; its lines are kept apart
        key, text = name.decode(), value.decode("latin-1")
        decoded[key] = f"{decoded[key]}\n{text}" if key == "set-cookie" and key in decoded else text
    return decoded
