"""Access tokens for receivers that want OAuth 2 client credentials (RFC 6749, section 4.4).

A token is fetched when the first request needs it, kept until shortly before it expires, and shared by all requests of
its endpoint; requests that need one at the same moment wait for one fetch. Token endpoints are reached through the
sender, under the same egress rules as webhooks.
"""

import asyncio
import base64
import math
import re
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from waypost.clock import Clock
from waypost.delivery.headers import USER_AGENT
from waypost.delivery.result import AttemptResult, SendRequest, Timings

EXPIRES_S_DEFAULT = 600.0  # where the token endpoint does not say; a 401 fetches another one anyway
EXPIRES_S_MAX = 86_400.0
EARLY_S_MAX = 30.0  # so long before its end a token is not used any more,
EARLY_SHARE_MAX = 0.1  # but no longer than this part of its life

_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")
_ERROR_CODE = re.compile(r"[a-z_]{1,40}")  # RFC 6749, section 5.2, as far as one may be shown


class Poster(Protocol):
    """What makes the requests."""

    async def send(self, request: SendRequest) -> AttemptResult:
        """POST once. Never raises for what the network or the receiver does."""
        ...

    def forget(self, pool_key: str) -> None:
        """Close the connections of a pool."""
        ...


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token is asked for with."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, to be used until `expires_at` of the monotonic clock."""

    text: str = field(repr=False)
    expires_at: float


class _Answer(msgspec.Struct):
    access_token: str = ""
    token_type: str | None = None
    expires_in: object = None  # some say it in words, or not at all


class _Refusal(msgspec.Struct):
    error: str = ""


@dataclass(slots=True)
class _Kept:
    grant: Grant
    token: Token | None = None
    fetching: "asyncio.Task[Token | AttemptResult] | None" = None
    in_body: bool = False  # whether this token endpoint wants the secret in the body


class Tokens:
    """The tokens of all endpoints, by the name of their connections. Used within one event loop."""

    def __init__(self, sender: Poster, clock: Clock) -> None:
        self._sender = sender
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    async def get(self, name: str, grant: Grant, timeout_s: float) -> Token | AttemptResult:
        """Give the token of endpoint `name`, or the failed attempt that stands for not getting one."""
        kept = self._kept.get(name)
        if kept is None or kept.grant != grant:
            kept = self._kept[name] = _Kept(grant)
        if kept.token is not None and self._clock.monotonic() < kept.token.expires_at:
            return kept.token
        return await self._fetch_once(name, kept, timeout_s)

    async def renew(self, name: str, grant: Grant, refused: Token, timeout_s: float) -> Token | AttemptResult:
        """Give another token than `refused`, which the receiver did not take: a newer one if there is one already."""
        kept = self._kept.get(name)
        if kept is not None and kept.grant == grant and kept.token is refused:
            kept.token = None
        return await self.get(name, grant, timeout_s)

    def forget(self, name: str) -> None:
        """Let go of a token: its endpoint was changed or is gone."""
        self._kept.pop(name, None)

    async def close(self) -> None:
        """Wait for the fetches that are out; they end at once when the sender was closed before."""
        await asyncio.gather(*(kept.fetching for kept in self._kept.values() if kept.fetching is not None))

    async def _fetch_once(self, name: str, kept: _Kept, timeout_s: float) -> Token | AttemptResult:
        if kept.fetching is None:
            kept.fetching = asyncio.get_running_loop().create_task(self._fetch(f"{name}#token", kept, timeout_s))
            kept.fetching.add_done_callback(lambda _: setattr(kept, "fetching", None))
        # A request that is given up takes the fetch from nobody else.
        return await asyncio.shield(kept.fetching)

    async def _fetch(self, pool_key: str, kept: _Kept, timeout_s: float) -> Token | AttemptResult:
        started = self._clock.monotonic()
        result = await self._ask(pool_key, kept.grant, timeout_s, in_body=kept.in_body)
        left_s = timeout_s - (self._clock.monotonic() - started)  # one timeout for both: requests wait for this
        if result.status in (400, 401) and result.outcome == "status" and left_s > 0:
            # RFC 6749, section 2.3.1: servers must take the secret in the header, and some take it in the body alone.
            again = await self._ask(pool_key, kept.grant, left_s, in_body=not kept.in_body)
            if again.outcome == "success":
                result, kept.in_body = again, not kept.in_body
        self._sender.forget(pool_key)
        token = self._read(result, started)
        if isinstance(token, Token):
            kept.token = token
            return token
        took_ms = round((self._clock.monotonic() - started) * 1000, 1)
        return AttemptResult(
            outcome=result.outcome if result.outcome not in ("status", "success") else "bad_answer",
            started_at=result.started_at,
            timings_ms=Timings(total=took_ms),
            error_text=f"no access token: {result.error_text or f'answered {result.status}'}",
            explanation=f"The token endpoint {_shown(kept.grant.token_url)} {token}",
        )

    async def _ask(self, pool_key: str, grant: Grant, timeout_s: float, *, in_body: bool) -> AttemptResult:
        fields = {"grant_type": "client_credentials"}
        if grant.scope:
            fields["scope"] = grant.scope
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        headers["user-agent"] = USER_AGENT
        if in_body:
            fields |= {"client_id": grant.client_id, "client_secret": grant.client_secret}
        else:
            pair = f"{quote(grant.client_id, safe='')}:{quote(grant.client_secret, safe='')}"
            headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        body = urlencode(fields).encode()
        return await self._sender.send(
            SendRequest(url=grant.token_url, headers=headers, body=body, timeout_s=timeout_s, pool_key=pool_key)
        )

    def _read(self, result: AttemptResult, started: float) -> Token | str:
        """Give the token in an answer, or say what is wrong with the answer, without quoting it."""
        if result.outcome != "success":
            return _problem(result)
        try:
            answer = msgspec.json.decode(result.response_body, type=_Answer)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return f"answered {result.status}, but not with a token (JSON with access_token)."
        if not _TOKEN.fullmatch(answer.access_token):
            return f"answered {result.status} without an access token that can be used."
        if answer.token_type is not None and answer.token_type.lower() != "bearer":
            return f"answered {result.status} with a token that is no bearer token."
        life_s = _seconds(answer.expires_in)
        return Token(answer.access_token, started + life_s - min(EARLY_S_MAX, life_s * EARLY_SHARE_MAX))


def _seconds(expires_in: object) -> float:
    """Give how long a token lives; EXPIRES_S_DEFAULT where what the token endpoint says is no number."""
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float | str):
        return EXPIRES_S_DEFAULT
    try:
        given_s = float(expires_in)
    except (ValueError, OverflowError):
        return EXPIRES_S_DEFAULT
    return EXPIRES_S_DEFAULT if math.isnan(given_s) else max(0.0, min(given_s, EXPIRES_S_MAX))


def _problem(result: AttemptResult) -> str:
    if result.outcome == "status":
        return _refusal(result)
    return _PROBLEMS[result.outcome].format(reason=result.error_text or "no reason is known")


def _refusal(result: AttemptResult) -> str:
    try:
        code = msgspec.json.decode(result.response_body, type=_Refusal).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        code = ""
    answered = f"answered {result.status} ({code})" if _ERROR_CODE.fullmatch(code) else f"answered {result.status}"
    if result.status in (400, 401, 403):
        return f"{answered}: it gives us no token. Check client_id, client_secret and scope."
    if result.status is not None and 300 <= result.status < 400:
        return f"{answered}: it sends us elsewhere, which we do not follow. Enter the final token_url."
    return f"{answered}: it gives us no token."


_PROBLEMS = {
    "timeout": "gave no complete answer in time.",
    "dns": "cannot be found: nobody has this name. Check token_url for a typing error.",
    "refused": "takes no connections. Check token_url.",
    "reset": "closed the connection without an answer.",
    "tls": "and we could not agree on an encrypted connection (TLS): {reason}.",
    "address_not_allowed": "may not be reached. {reason}",
    "bad_answer": "answered with something that is not HTTP, or its answer broke off.",
    "cancelled": "was not asked to the end: we gave this attempt up on our side. It is made again.",
}


def _shown(url: str) -> str:
    """Give a URL without its query, which may hold a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"
