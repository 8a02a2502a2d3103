"""One request of a delivery: what goes out, how the answer is judged, and what is written down of it."""

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Protocol
from urllib.parse import quote, quote_plus

import msgspec

from waypost.delivery.authentication import NOTHING_SHOWN, Shown, secrets_within
from waypost.delivery.headers import build_headers
from waypost.delivery.result import Rendering
from waypost.delivery.schedule import read_retry_after
from waypost.delivery.sender import AttemptResult, SendRequest
from waypost.delivery.signals import Answer, AttemptEnded

HIDDEN = "(hidden)"  # what the delivery log shows of a header's value that may be a password
SECRET_LENGTH_MIN = 6
SPELLINGS_CACHED = 64  # of endpoints; dozens of long headers are thousands of characters, spelled in eight ways
_SLOW_DOWN = frozenset({429, 502, 503, 504})
_GONE = 410
_TOO_LARGE = 413

_encode = msgspec.json.Encoder().encode


class Target(Protocol):
    """What a request needs to know of an endpoint's settings."""

    @property
    def url(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def timeout_seconds(self) -> float: ...


def prepare(
    target: Target,
    secrets: Sequence[str],
    *,
    pool_key: str,
    event_id: str,
    event_type: str,
    body: bytes,
    number: int,
    timestamp: int,
    replay_id: str | None = None,
    content_type: str = "application/json",
    shown: Shown = NOTHING_SHOWN,
    rendering: Rendering | None = None,
) -> SendRequest:
    """Make the signed request of an attempt: contract and Standard Webhooks 1.0.

    `timestamp` is the Unix time of the attempt in seconds, so that an event that was held for days still passes the
    receiver's five-minute check. `secrets` are those that live now; each signs. `shown` is what authenticates us.
    """
    own = {name.lower(): value for name, value in target.headers.items()}
    headers = build_headers(
        secrets=secrets, message_id=event_id, timestamp=timestamp, body=body, attempt=number, event_type=event_type,
        extra=own | dict(shown.headers), replay_id=replay_id, content_type=content_type,
    )  # fmt: skip
    return SendRequest(
        url=target.url, headers=headers, body=body, timeout_s=target.timeout_seconds, pool_key=pool_key,
        identity=shown.identity, rendering=rendering,
    )  # fmt: skip


def judge(result: AttemptResult, position: int, *, reason: str, jitter: float, now: datetime) -> AttemptEnded:
    """Tell the engine what came of the attempt of `position`. `reason` is the plain sentence for it."""
    answer = _answer(result)
    retry_after_s = read_retry_after(result.retry_after, now) if answer is Answer.SLOW_DOWN else None
    return AttemptEnded(position, answer, jitter, reason, retry_after_s, result.timings_ms.total / 1000)


def _answer(result: AttemptResult) -> Answer:
    if result.outcome == "success":
        return Answer.TAKEN
    if result.stale_connection:
        return Answer.STALE
    if result.outcome == "cancelled":
        return Answer.CANCELLED
    if result.outcome != "status":
        return Answer.UNREACHED
    if result.status == _GONE:
        return Answer.GONE
    if result.status == _TOO_LARGE:
        return Answer.TOO_LARGE
    return Answer.SLOW_DOWN if result.status in _SLOW_DOWN else Answer.REFUSED


class _Request(msgspec.Struct):
    method: str
    url: str
    headers: Mapping[str, str]
    body: str | msgspec.UnsetType = msgspec.UNSET


class _Response(msgspec.Struct):
    headers: Mapping[str, str]
    body: str
    truncated: bool


class _Detail(msgspec.Struct):
    number: int
    started_at: datetime
    outcome: str
    status: int | None
    address: str | None
    reused_connection: bool
    timings_ms: object
    explanation: str
    request: _Request
    response: _Response | None
    batch_id: str | msgspec.UnsetType = msgspec.UNSET
    rendering: Rendering | msgspec.UnsetType = msgspec.UNSET


def detail(
    request: SendRequest,
    result: AttemptResult,
    *,
    number: int,
    explanation: str,
    own: Iterable[str],
    body: str | msgspec.UnsetType = msgspec.UNSET,
    batch_id: str | None = None,
) -> bytes:
    """Give the JSON of an attempt as the API shows it; without the request's `body` where it follows from the event.

    How it follows is kept in `rendering`, which is left out where the body is the stored event itself.

    `batch_id` names the batch that the request carried; its answer is kept with its first event alone.
    `own` names the headers whose values may be passwords: the endpoint's own and those of its authentication. They are
    hidden, also where the receiver says them back. Texts of it that are not UTF-8 are shown with the replacement
    character.
    """
    hidden = {name.lower() for name in own}
    headers = {name: HIDDEN if name in hidden else value for name, value in request.headers.items()}
    secret = _spelled(tuple(value for name, value in request.headers.items() if name in hidden))
    response = None
    if result.status is not None:
        answered = {name: _without(secret, value) for name, value in result.response_headers.items()}
        body_text = _without(secret, result.response_body.decode("utf-8", "replace"))
        response = _Response(answered, body_text, result.truncated)
    return _encode(
        _Detail(
            number, result.started_at, result.outcome, result.status, result.address, result.reused_connection,
            result.timings_ms, explanation, _Request("POST", request.url, headers, body), response,
            msgspec.UNSET if batch_id is None else batch_id, request.rendering or msgspec.UNSET,
        )
    )  # fmt: skip


@lru_cache(maxsize=SPELLINGS_CACHED)
def _spelled(values: tuple[str, ...]) -> list[str]:
    """Give what is secret in these values, in every spelling that a receiver may say it back in, the longest first.

    Short values are left: they occur by chance.
    """
    parts = {part for value in values for part in (value, *secrets_within(value)) if len(part) >= SECRET_LENGTH_MIN}
    spelled = set(parts)
    for part in parts:
        quoted = {json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1]}
        spelled |= quoted | {text.replace("/", "\\/") for text in quoted}
        spelled |= {
            quote(part),
            quote(part, safe=""),
            quote_plus(part),
            html.escape(part),
            html.escape(part, quote=False),
        }
    return sorted(spelled, key=lambda text: (-len(text), text))


def _without(secret: Iterable[str], text: str) -> str:
    """Hide in a receiver's text what it was shown."""
    for spelling in secret:
        text = text.replace(spelling, HIDDEN)
    return text
