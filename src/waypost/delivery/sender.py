"""Sends one webhook request and says what came of it.

One monotonic deadline covers everything from the name lookup to the last byte of the answer. Whatever the other side
does is a value (`AttemptResult`), never an exception: the engine decides what follows from it.
"""

import asyncio
import errno
import io
import os
import socket
import ssl
from collections.abc import Mapping
from datetime import datetime
from time import monotonic
from typing import Literal

import aiohttp
import msgspec

from waypost.clock import Clock, SystemClock
from waypost.delivery.connector import Connector, Exchange, exchange_under_way
from waypost.delivery.egress import EgressRules, parse_url
from waypost.delivery.lookup import Lookup, addresses_of
from waypost.errors import CallerError

ANSWER_BYTES_KEPT_MAX = 64 * 1024  # an error page fits; some receivers stream megabytes by mistake
ANSWER_HEADERS_KEPT_MAX = 16 * 1024  # characters of names and values together
ERROR_TEXT_LENGTH_MAX = 300

READ_BUFFER_BYTES = 32 * 1024  # aiohttp stops reading from the socket at twice this
BODY_BYTES_IN_ONE_WRITE_MAX = 1024 * 1024  # beyond it aiohttp warns that one write might hold up the loop
POOL_IDLE_S_MAX = 120.0
SWEEP_INTERVAL_S = 30.0

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
    None else.
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


_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_read=None, sock_connect=None)

# Ours, not the receiver's: no file handles, no free ports, no memory for buffers.
_OUR_TROUBLE = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})


class Sender:
    """Owns the outgoing connections. Used within one event loop, and closed in it."""

    def __init__(
        self,
        rules: EgressRules,
        *,
        clock: Clock | None = None,
        lookup: Lookup = addresses_of,
        extra_ca_pem: str | None = None,
    ) -> None:
        """Read the system's certificate authorities from disk; `extra_ca_pem` is trusted beside them.

        `lookup` resolves a name, anew for each new connection.
        """
        self._rules = rules
        self._lookup = lookup
        self._clock = clock or SystemClock()
        self._tls = ssl.create_default_context()
        self._tls.set_alpn_protocols(["http/1.1"])
        if extra_ca_pem is not None:
            self._tls.load_verify_locations(cadata=extra_ca_pem)
        self._pools: dict[str, _Pool] = {}
        self._in_flight: set[asyncio.Timeout] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False
        self._next_sweep_at = 0.0

    async def send(self, request: SendRequest) -> AttemptResult:
        """POST once. Never raises for what the network or the receiver does.

        Raises CancelledError when the calling task is cancelled; `close` ends attempts as `cancelled` instead.
        """
        attempt = _Attempt(self._clock.now())
        try:
            url = parse_url(request.url).url
        except CallerError as error:
            return attempt.failed("address_not_allowed", error.detail)
        if self._closed:
            return attempt.failed("cancelled", "the service is stopping")
        pool = self._pool(request.pool_key, attempt.started)
        pool.in_flight += 1
        token = exchange_under_way.set(attempt.exchange)
        deadline = asyncio.timeout(request.timeout_s)
        self._in_flight.add(deadline)
        try:
            async with deadline:
                body = request.body
                answer = await pool.session.post(
                    url,
                    data=body if len(body) <= BODY_BYTES_IN_ONE_WRITE_MAX else io.BytesIO(body),
                    headers=request.headers,
                    allow_redirects=False,
                )
                await attempt.read(answer)
            return attempt.answered()
        except TimeoutError as error:
            if self._closed and deadline.expired():
                return attempt.failed("cancelled", "the service is stopping")
            if deadline.expired():
                return attempt.failed("timeout", f"no complete answer within {request.timeout_s:g} s")
            return attempt.failed(*_classify(error, attempt.exchange))
        except (aiohttp.ClientError, OSError, ssl.SSLError, ValueError) as error:
            return attempt.failed(*_classify(error, attempt.exchange))
        finally:
            self._in_flight.discard(deadline)
            exchange_under_way.reset(token)
            pool.in_flight -= 1
            if pool.retired and not pool.in_flight:
                self._close_pool(pool)

    def change_rules(self, rules: EgressRules) -> None:
        """Judge every later connection by `rules`; pooled connections made under the old ones are not used again."""
        self._rules = rules
        for pool_key in list(self._pools):
            self.forget(pool_key)

    def forget(self, pool_key: str) -> None:
        """Close the connections of an endpoint (it was deleted, its URL changed); requests in flight end normally."""
        pool = self._pools.pop(pool_key, None)
        if pool is not None:
            pool.retired = True
            if not pool.in_flight:
                self._close_pool(pool)

    async def close(self) -> None:
        """End the attempts in flight as `cancelled` and close every connection."""
        self._closed = True
        now = asyncio.get_running_loop().time()
        for deadline in self._in_flight:
            if not deadline.expired():
                deadline.reschedule(now)
        for pool_key in list(self._pools):
            self.forget(pool_key)
        while self._closing or self._in_flight:
            await asyncio.gather(*self._closing)
            await asyncio.sleep(0)

    def _pool(self, pool_key: str, now: float) -> "_Pool":
        if now >= self._next_sweep_at:
            self._sweep(now)
        pool = self._pools.get(pool_key)
        if pool is None:
            pool = self._pools[pool_key] = _Pool(Connector(self._rules, self._tls, self._lookup))
        pool.used_at = now
        return pool

    def _sweep(self, now: float) -> None:
        """Let go of pools nobody has used for a while; their connections were closed long before."""
        self._next_sweep_at = now + SWEEP_INTERVAL_S
        idle = [key for key, pool in self._pools.items() if pool.used_at < now - POOL_IDLE_S_MAX and not pool.in_flight]
        for pool_key in idle:
            self.forget(pool_key)

    def _close_pool(self, pool: "_Pool") -> None:
        task = asyncio.get_running_loop().create_task(pool.session.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


class _Pool:
    """The session of one endpoint."""

    __slots__ = ("in_flight", "retired", "session", "used_at")

    def __init__(self, connector: Connector) -> None:
        self.session = aiohttp.ClientSession(
            connector=connector,
            timeout=_NO_TIMEOUT,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding"),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=READ_BUFFER_BYTES,
        )
        self.in_flight = 0
        self.used_at = 0.0
        self.retired = False


class _Attempt:
    """One attempt as it goes: what is known of the answer so far."""

    __slots__ = ("_body", "_started_at", "_status_headers", "_truncated", "exchange", "started")

    def __init__(self, started_at: datetime) -> None:
        self._started_at = started_at
        self.started = monotonic()
        self.exchange = Exchange()
        self._status_headers: tuple[int, Mapping[str, str]] | None = None
        self._body = b""
        self._truncated = False

    async def read(self, answer: aiohttp.ClientResponse) -> None:
        """Keep the answer's head and the first ANSWER_BYTES_KEPT_MAX bytes of its body; drop the connection at more."""
        try:
            self._status_headers = answer.status, _headers_kept(answer)
            content = answer.content
            while not content.at_eof():
                self._body += await content.readany()
                if len(self._body) > ANSWER_BYTES_KEPT_MAX:
                    self._body, self._truncated = self._body[:ANSWER_BYTES_KEPT_MAX], True
                    return
        finally:
            # Does nothing when the answer was read to its end: its connection is back in the pool.
            answer.close()

    def answered(self) -> AttemptResult:
        """Give the result of a complete answer."""
        assert self._status_headers is not None
        return self._result("success" if 200 <= self._status_headers[0] < 300 else "status", None)

    def failed(self, outcome: Outcome, error_text: str) -> AttemptResult:
        """Give the result of an attempt that got no complete answer."""
        return self._result(outcome, _shown(error_text)[:ERROR_TEXT_LENGTH_MAX])

    def _result(self, outcome: Outcome, error_text: str | None) -> AttemptResult:
        exchange = self.exchange
        status, headers = self._status_headers or (None, {})
        return AttemptResult(
            outcome=outcome,
            started_at=self._started_at,
            timings_ms=_timings(exchange, self.started, monotonic()),
            status=status,
            address=exchange.address,
            reused_connection=exchange.reused,
            response_headers=headers,
            response_body=self._body,
            truncated=self._truncated,
            error_text=error_text,
            retry_after=headers.get("retry-after"),
        )


def _timings(exchange: Exchange, started: float, ended: float) -> Timings:
    first_byte_at = exchange.protocol.first_byte_at if exchange.protocol is not None else 0.0
    total = round((ended - started) * 1000, 1)
    first_byte = _ms(exchange.ready_at, first_byte_at or ended)
    body = _ms(first_byte_at, ended)
    if exchange.reused:
        return Timings(first_byte=first_byte, body=body, total=total)
    return Timings(
        dns=_ms(exchange.dns_at, exchange.resolved_at or ended),
        connect=_ms(exchange.connect_at, exchange.connected_at or ended),
        tls=_ms(exchange.connected_at, exchange.ready_at or ended) if exchange.is_tls else None,
        first_byte=first_byte,
        body=body,
        total=total,
    )


def _ms(start: float, end: float) -> float | None:
    return round((end - start) * 1000, 1) if start else None


def _headers_kept(answer: aiohttp.ClientResponse) -> dict[str, str]:
    """Names in lower case; values of a name given twice are joined (RFC 9110, 5.3); what is too much is left out."""
    kept: dict[str, str] = {}
    length = 0
    for name, value in answer.headers.items():
        length += len(name) + len(value)
        if length > ANSWER_HEADERS_KEPT_MAX:
            break
        lower = name.lower()
        # aiohttp keeps bytes that are not UTF-8 as lone surrogates, which no JSON and no database takes.
        shown = value if value.isascii() else value.encode("utf-8", "replace").decode()
        kept[lower] = f"{kept[lower]}, {shown}" if lower in kept else shown
    return kept


def _classify(error: Exception, exchange: Exchange) -> tuple[Outcome, str]:
    """Name what went wrong, and say it in a technical sentence that holds no part of the request."""
    if exchange.refusal is not None:
        return "address_not_allowed", exchange.refusal
    if exchange.protocol is None:
        return _classify_no_connection(error, exchange)
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return "tls", _tls_text(error if isinstance(error, ssl.SSLError) else error.__cause__)
    if not exchange.protocol.first_byte_at:
        return "reset", "the connection ended before any answer"
    if isinstance(error, aiohttp.ClientResponseError):
        return "bad_answer", f"the answer is not HTTP: {error.message}"
    if exchange.protocol.fault is not None:
        return "bad_answer", exchange.protocol.fault
    return "bad_answer", "the connection ended in the middle of the answer"


def _classify_no_connection(error: Exception, exchange: Exchange) -> tuple[Outcome, str]:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
    if isinstance(cause, socket.gaierror | UnicodeError):
        return "dns", f"no address for the name: {cause.strerror if isinstance(cause, OSError) else cause}"
    if isinstance(cause, ssl.SSLError | ssl.CertificateError):
        return "tls", _tls_text(cause)
    if exchange.connected_at and exchange.is_tls:
        return "tls", "the connection ended while agreeing on TLS"
    if isinstance(cause, OSError) and cause.errno in _OUR_TROUBLE:
        return "cancelled", f"this machine could not open a connection: {cause.strerror}"
    if isinstance(cause, OSError) and cause.errno == errno.ETIMEDOUT:
        return "timeout", "no connection: timed out"
    if isinstance(cause, OSError):
        return "refused", f"no connection: {os.strerror(cause.errno) if cause.errno else cause}"
    return "refused", f"the request could not be made: {error}"


def _tls_text(error: BaseException | None) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted: {error.verify_message}"
    reason = error.reason if isinstance(error, ssl.SSLError) and error.reason else str(error)
    return f"no agreement on TLS: {reason.replace('_', ' ').lower()}"


def _shown(text: str) -> str:
    """Give `text` on one line without control characters or lone surrogates: parts of it are the receiver's."""
    return "".join([char if char.isprintable() else " " for char in text])
