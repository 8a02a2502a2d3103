"""Sends one webhook request and says what came of it.

One monotonic deadline covers everything from the name lookup to the last byte of the answer. Whatever the other side
does is a value (`AttemptResult`), never an exception: the engine decides what follows from it.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal

import msgspec

from waypost.delivery.egress import EgressRules

Outcome = Literal[
    "success",  # a 2xx, its body read to the end or to the cap, within the timeout
    "status",  # any other complete answer
    "timeout",  # the deadline passed, wherever the attempt stood
    "dns",  # the name has no address
    "refused",  # no connection: refused, unreachable
    "reset",  # the connection ended before any byte of the answer
    "tls",  # no TLS: certificate, protocol, or the handshake was cut off
    "address_not_allowed",  # the egress rules refuse the address; nothing was sent to it
    "bad_answer",  # bytes that are not HTTP, or an answer that was cut off
    "cancelled",  # given up on our side: the sender is closing, or this machine has no socket left
]


class SendRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One POST: `body` goes out byte for byte, `headers` as given (see `build_headers`).

    `pool_key` names the endpoint: connections are shared within it and never beyond it. `timeout_s` is in seconds.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes
    timeout_s: float
    pool_key: str


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """How long each part took, in milliseconds, None for a part that did not happen or did not end.

    `dns`, `connect` and `tls` are None on a reused connection. `first_byte` runs from the request's start on the
    connection to the first byte of the answer, `body` from there to the end of what was read.
    """

    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    body: float | None = None
    total: float = 0.0


class AttemptResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one attempt.

    `status` is None unless headers of an answer came, whatever the outcome. `address` is the IP address that was
    connected to. `response_body` holds at most ANSWER_BYTES_KEPT_MAX bytes, as they came (never inflated); `truncated`
    says that there was more. Header names are lower-case, and texts hold no lone surrogates. `retry_after` is the raw
    header. `error_text` is one technical sentence for failures without an answer, None else.
    """

    outcome: Outcome
    started_at: datetime
    timings_ms: Timings
    status: int | None = None
    address: str | None = None
    reused_connection: bool = False
    response_headers: Mapping[str, str] = {}
    response_body: bytes = b""
    truncated: bool = False
    error_text: str | None = None
    retry_after: str | None = None

    @property
    def stale_connection(self) -> bool:
        """Whether a pooled connection ended before any byte of an answer: the next attempt goes at once."""
        return self.outcome == "reset" and self.reused_connection


def utc_now() -> datetime:
    """Give the wall clock's time, for `started_at` alone: every duration here is monotonic."""
    return datetime.now(UTC)


class Sender:
    """Owns the outgoing connections. Made and closed inside a running event loop."""

    def __init__(
        self, rules: EgressRules, *, now: Callable[[], datetime] = utc_now, extra_ca_pem: str | None = None
    ) -> None:
        """`extra_ca_pem` is trusted beside the system's certificate authorities."""

    async def send(self, request: SendRequest) -> AttemptResult:
        """POST once. Never raises for what the network or the receiver does.

        Raises CancelledError when the calling task is cancelled; `close` ends attempts as `cancelled` instead.
        """
        raise AssertionError(request)

    def change_rules(self, rules: EgressRules) -> None:
        """Judge every later connection by `rules`; pooled connections made under the old ones are not used again."""

    def forget(self, pool_key: str) -> None:
        """Close the idle connections of an endpoint (it was deleted, or its URL changed)."""

    async def close(self) -> None:
        """End the attempts in flight as `cancelled` and close every connection."""
