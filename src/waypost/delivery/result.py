"""What goes into one attempt and what comes out of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

from waypost.delivery.identity import ClientIdentity

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


class Rendering(msgspec.Struct, frozen=True, kw_only=True):
    """How a body was made of an event: the settings of the endpoint as they were when it was sent."""

    payload: str
    personal_data: bool
    format: str


class SendRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request: `body` goes out byte for byte, `headers` as given (see `build_headers`). Webhooks are POSTs.

    `pool_key` names the endpoint: connections are shared within it and never beyond it. `timeout_s` is in seconds.
    `identity` is shown to a server that asks for a client certificate; None shows nothing. `rendering` is for the
    delivery log, which keeps no bodies: None says that the body is the stored event.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes
    timeout_s: float
    pool_key: str
    identity: ClientIdentity | None = None
    rendering: Rendering | None = None
    method: Literal["POST", "GET"] = "POST"


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """How long each part took, in milliseconds, None for a part that did not happen.

    A part that the deadline or an error cut off counts until then. `dns`, `connect` and `tls` are None on a reused
    connection. `first_byte` runs from when the connection stands to the first byte of the answer, `body` from there to
    the end of what was read.
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
    connected to, or tried last. `response_body` holds at most ANSWER_BYTES_KEPT_MAX bytes, as they came (never
    inflated); `truncated` says that there was more. Header names are lower-case, and texts hold no lone surrogates.
    `retry_after` is the raw header. `error_text` is one technical sentence for failures without a complete answer,
    None else. `explanation` is the plain sentence about what only we can know; None leaves it to `explain`.
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
    explanation: str | None = None

    @property
    def stale_connection(self) -> bool:
        """Whether a pooled connection ended before any byte of an answer: the next attempt goes at once."""
        return self.outcome == "reset" and self.reused_connection
