"""From a message to what came of it: rendered, signed, authenticated and sent as the endpoint's settings say now."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from waypost.clock import Clock
from waypost.delivery.attempt import prepare
from waypost.delivery.message import Message
from waypost.delivery.sender import AttemptResult, SendRequest
from waypost.ids import AccountId, EndpointId
from waypost.log.records import EndpointRecord


class SenderLike(Protocol):
    """What makes the requests: the sender, or a simulator's network."""

    async def send(self, request: SendRequest) -> AttemptResult:
        """POST once. Never raises for what the network or the receiver does."""
        ...

    def forget(self, pool_key: str) -> None:
        """Close the connections of a pool; requests in flight end normally."""
        ...

    async def close(self) -> None:
        """End the attempts in flight as `cancelled` and close every connection."""
        ...


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What went out and what came of it. `request` is None when it did not come to one.

    `hidden` are the names, in lower case, of the headers whose values nobody is shown: they may be passwords.
    """

    request: SendRequest | None
    result: AttemptResult
    hidden: frozenset[str]


class Dispatcher:
    """Sends messages to endpoints. Used within one event loop, and closed in it."""

    def __init__(self, sender: SenderLike, clock: Clock) -> None:
        self._sender = sender
        self._clock = clock

    async def send(
        self, endpoint: EndpointRecord, message: Message, *, number: int, fresh: bool = False
    ) -> Dispatched:  # fmt: skip
        """Make attempt `number` of `message`. Never raises for what the receiver or the network does.

        With `fresh` it goes out on a new connection.
        """
        pool_key = pool_key_of(endpoint.account_id, endpoint.endpoint_id)
        now = self._clock.now()
        request = prepare(
            endpoint.settings, live_secrets(endpoint, now), pool_key=pool_key, event_id=message.id,
            event_type=message.type, body=message.parts[0].body, number=number, timestamp=int(now.timestamp()),
            replay_id=message.replay_id,
        )  # fmt: skip
        if fresh:
            self._sender.forget(pool_key)
        result = await self._sender.send(request)
        return Dispatched(request, result, frozenset(map(str.lower, endpoint.settings.headers)))

    def forget(self, account_id: AccountId, endpoint_id: EndpointId) -> None:
        """Let go of connections and what else is kept: the endpoint was changed, deleted, or is another worker's."""
        self._sender.forget(pool_key_of(account_id, endpoint_id))

    async def close(self) -> None:
        """End the attempts in flight as `cancelled` and close every connection."""
        await self._sender.close()


def pool_key_of(account_id: AccountId, endpoint_id: EndpointId) -> str:
    """Name the connections of an endpoint: they are shared within it and never beyond it."""
    return f"{account_id}/{endpoint_id}"


def live_secrets(endpoint: EndpointRecord, now: datetime) -> list[str]:
    """Give the secrets that sign at `now`, newest first."""
    return [known.secret for known in endpoint.secrets if known.expires_at is None or known.expires_at > now]
