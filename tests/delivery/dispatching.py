"""Endpoints without a database, a dispatcher for them, and a token endpoint."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec

from delivery.receivers import LOOPBACK_ALLOWED, Receiver, answer, receiving
from waypost.delivery.dispatch import Dispatcher
from waypost.delivery.egress import EgressRules
from waypost.delivery.message import Message, Part
from waypost.delivery.sender import Sender
from waypost.events.catalogue import CATALOGUE
from waypost.events.patterns import Wants
from waypost.ids import AccountId, EndpointId
from waypost.log.records import EndpointRecord, EndpointSecret, EndpointSettings, EndpointVersion, Standing

NOW = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
PRIVATE_KEY = "whsk_" + base64.b64encode(bytes(range(32))).decode()
OK = answer()


class StoppedClock:
    """A clock that a test moves on."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return self.seconds


def an_endpoint(url: str, *secrets: EndpointSecret, endpoint_id: str = "ep_1", **settings: Any) -> EndpointRecord:
    return EndpointRecord(
        account_id=AccountId("default"),
        endpoint_id=EndpointId(endpoint_id),
        settings=EndpointSettings(url=url, **settings),
        versions=(EndpointVersion(1, Wants(("*",))),),
        secrets=secrets or (EndpointSecret(SECRET, NOW),),
        standing=Standing(),
        paused_at=None,
        start_position=0,
        cursor=0,
        epoch=1,
        created_at=NOW,
        updated_at=NOW,
    )


def a_body(event_type: str = "shipment.created") -> bytes:
    return msgspec.json.encode(CATALOGUE[event_type].example)


def a_message(event_type: str = "shipment.created", **given: Any) -> Message:
    return Message("evt_1", event_type, (Part(a_body(event_type)),), **given)


@asynccontextmanager
async def dispatching(
    rules: EgressRules = LOOPBACK_ALLOWED, *, clock: StoppedClock | None = None, extra_ca_pem: str | None = None
) -> AsyncIterator[Dispatcher]:
    dispatcher = Dispatcher(Sender(rules, extra_ca_pem=extra_ca_pem), clock or StoppedClock())
    try:
        yield dispatcher
    finally:
        await dispatcher.close()


def headers_of(receiver: Receiver, request: int = -1) -> dict[str, str]:
    lines = receiver.heads[request].split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}


@dataclass
class TokenEndpoint:
    """A running token endpoint."""

    receiver: Receiver

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.receiver.port}/token"


@asynccontextmanager
async def giving_tokens(*answers: bytes | Callable[..., Any]) -> AsyncIterator[TokenEndpoint]:
    """Run a token endpoint that gives `answers` in turn, the last one again and again."""
    async with receiving(*answers) as receiver:
        yield TokenEndpoint(receiver)


class Held:
    """An answer that is held back: `came` says that the request is there, `go` lets it out."""

    def __init__(self, given: bytes) -> None:
        self.came, self.go = asyncio.Event(), asyncio.Event()
        self._given = given

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came.set()
        await self.go.wait()
        writer.write(self._given)
        await writer.drain()


def a_token(text: str = "token-1", **fields: Any) -> bytes:
    given = {"access_token": text, "token_type": "Bearer", "expires_in": 3600} | fields
    return answer("200 OK", msgspec.json.encode(given), "content-type: application/json")


def asked(tokens: TokenEndpoint, request: int = -1) -> dict[str, str]:
    """The fields of a request to the token endpoint, with the client's id and secret wherever they were."""
    fields = {name: values[0] for name, values in parse_qs(tokens.receiver.bodies[request].decode()).items()}
    authorization = headers_of(tokens.receiver, request).get("authorization", "")
    if authorization.startswith("Basic "):
        client_id, _, client_secret = base64.b64decode(authorization[6:]).decode().partition(":")
        fields |= {"basic_id": unquote(client_id), "basic_secret": unquote(client_secret)}
    return fields
