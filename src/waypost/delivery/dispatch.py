"""From a message to what came of it: rendered, signed, authenticated and sent as the endpoint's settings say now."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from msgspec.structs import replace

from waypost.clock import Clock
from waypost.delivery.attempt import prepare
from waypost.delivery.authentication import grant_of, headers_set_by, show
from waypost.delivery.message import BATCH_TYPE, Message
from waypost.delivery.oauth import Token, Tokens
from waypost.delivery.result import Rendering
from waypost.delivery.sender import AttemptResult, SendRequest
from waypost.events import cloudevents
from waypost.events.rendering import batch, render_in
from waypost.ids import AccountId, EndpointId
from waypost.log.records import EndpointRecord, EndpointSettings

_UNAUTHORIZED = 401
REFUSED_LATE = f"Your server answered {_UNAUTHORIZED} to our access token. We try again with another one."
CUT_OFF = (
    "Your server closed the connection without an answer, as servers do that do not accept a client certificate. "
    "Its log should say why."
)


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
        self._tokens = Tokens(sender, clock)

    async def send(
        self, endpoint: EndpointRecord, message: Message, *, number: int, fresh: bool = False
    ) -> Dispatched:  # fmt: skip
        """Make attempt `number` of `message`. Never raises for what the receiver or the network does.

        With `fresh` it goes out on a new connection. Where the receiver refuses an access token (401), another one is
        fetched, once, and the request goes out again at once, as part of the same attempt: unless that began more than
        the endpoint's timeout ago, since after a pause no request may go out later than that.
        """
        settings, started = endpoint.settings, self._clock.monotonic()
        pool_key = pool_key_of(endpoint.account_id, endpoint.endpoint_id)
        hidden = frozenset(map(str.lower, settings.headers)) | headers_set_by(settings.auth)
        if fresh:
            self._sender.forget(pool_key)
        grant = grant_of(settings.auth)
        if grant is None:
            request = self._request(endpoint, message, number, None)
            result = await self._sender.send(request)
            if request.identity is not None and result.outcome == "reset" and not result.reused_connection:
                result = replace(result, explanation=CUT_OFF)
            return Dispatched(request, result, hidden)
        token = await self._tokens.get(pool_key, grant, settings.timeout_seconds)
        if isinstance(token, AttemptResult):
            return Dispatched(None, token, hidden)
        request = self._request(endpoint, message, number, token)
        result = await self._sender.send(request)
        if result.outcome == "status" and result.status == _UNAUTHORIZED:
            token = await self._tokens.renew(pool_key, grant, token, settings.timeout_seconds)
            if isinstance(token, AttemptResult):
                sentence = f"Your server answered {_UNAUTHORIZED} to our access token. {token.explanation}"
                return Dispatched(request, replace(result, explanation=sentence), hidden)
            if self._clock.monotonic() - started > settings.timeout_seconds:
                return Dispatched(request, replace(result, explanation=REFUSED_LATE), hidden)
            request = self._request(endpoint, message, number, token)
            result = await self._sender.send(request)
        return Dispatched(request, result, hidden)

    def forget(self, account_id: AccountId, endpoint_id: EndpointId) -> None:
        """Let go of connections and tokens: the endpoint was changed, deleted, or is another worker's."""
        pool_key = pool_key_of(account_id, endpoint_id)
        self._sender.forget(pool_key)
        self._tokens.forget(pool_key)

    async def close(self) -> None:
        """End the attempts in flight as `cancelled` and close every connection."""
        await self._sender.close()
        await self._tokens.close()

    def _request(self, endpoint: EndpointRecord, message: Message, number: int, token: Token | None) -> SendRequest:
        settings, now = endpoint.settings, self._clock.now()
        body, content_type, event_type = rendered(settings, message)
        return prepare(
            settings, live_secrets(endpoint, now), pool_key=pool_key_of(endpoint.account_id, endpoint.endpoint_id),
            event_id=message.id, event_type=event_type, body=body, number=number, timestamp=int(now.timestamp()),
            replay_id=message.replay_id, content_type=content_type, rendering=rendering_of(settings),
            shown=show(settings.auth, token.text if token else None),
        )  # fmt: skip


def rendered(settings: EndpointSettings, message: Message) -> tuple[bytes, str, str]:
    """Give the body of a message, its content type and the type its header says, as the settings want them.

    An endpoint whose format is `batch` gets an array also of one event. A batch that was made up before the format was
    changed stays one, since it comes again with the same events.
    """
    parts = [
        render_in(
            settings.format, part.body, part.folded, payload=settings.payload, personal_data=settings.personal_data
        )
        for part in message.parts
    ]
    if settings.format == "cloudevents":
        if message.is_batch:
            return batch(parts), cloudevents.BATCH_CONTENT_TYPE, BATCH_TYPE
        return parts[0], cloudevents.CONTENT_TYPE, message.type
    if message.is_batch or settings.format == "batch":
        return batch(parts), "application/json", BATCH_TYPE
    return parts[0], "application/json", message.type


def rendering_of(settings: EndpointSettings) -> Rendering | None:
    """Give how bodies are made by these settings, None where they are the stored events."""
    if settings.payload == "full" and settings.personal_data and settings.format != "cloudevents":
        return None
    return Rendering(payload=settings.payload, personal_data=settings.personal_data, format=settings.format)


def pool_key_of(account_id: AccountId, endpoint_id: EndpointId) -> str:
    """Name the connections of an endpoint: they are shared within it and never beyond it."""
    return f"{account_id}/{endpoint_id}"


def live_secrets(endpoint: EndpointRecord, now: datetime) -> list[str]:
    """Give what signs at `now`: secrets and keys of the kinds that the settings ask for, newest first."""
    wanted = endpoint.settings.signature
    return [
        known.secret
        for known in endpoint.secrets
        if known.scheme in wanted and (known.expires_at is None or known.expires_at > now)
    ]
