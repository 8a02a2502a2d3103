"""Sends one webhook request and says what came of it.

One monotonic deadline covers everything from the name lookup to the last byte of the answer. Whatever the other side
does is a value (`AttemptResult`), never an exception: the engine decides what follows from it.

Beneath is aiohttp's connector and its parser, without its session: there are no redirects, cookies, proxies, retries or
decompression to switch off, and a request costs half as much.
"""

import asyncio
import ssl
from collections.abc import Mapping
from datetime import datetime
from time import monotonic

import aiohttp
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError

from waypost.clock import Clock, SystemClock
from waypost.delivery.connector import (
    AnswerProtocol,
    Connector,
    Exchange,
    Target,
    exchange_under_way,
    is_final,
    target_of,
)
from waypost.delivery.egress import EgressRules
from waypost.delivery.failures import ANSWERED_TOO_EARLY, classify, on_one_line
from waypost.delivery.identity import ClientIdentity, Contexts
from waypost.delivery.lookup import Lookup, addresses_of
from waypost.delivery.result import AttemptResult, Outcome, SendRequest, Timings
from waypost.errors import CallerError

__all__ = ["ANSWER_BYTES_KEPT_MAX", "AttemptResult", "Outcome", "SendRequest", "Sender", "Timings"]

ANSWER_BYTES_KEPT_MAX = 64 * 1024  # an error page fits; some receivers stream megabytes by mistake
ANSWER_HEADERS_KEPT_MAX = 16 * 1024  # characters of names and values together
ERROR_TEXT_LENGTH_MAX = 300

READ_BUFFER_BYTES = 32 * 1024  # aiohttp stops reading from the socket at twice this
POOL_IDLE_S_MAX = 120.0
SWEEP_INTERVAL_S = 30.0

NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_read=None, sock_connect=None)

# Headers that say where a request ends, or where it goes. Given twice, they let a second request hide in the first.
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "expect", "upgrade"})


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
        self._contexts = Contexts(extra_ca_pem)
        if extra_ca_pem is not None:
            self._tls.load_verify_locations(cadata=extra_ca_pem)
        self._pools: dict[str, _Pool] = {}
        self._in_flight: set[asyncio.Timeout] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False
        self._next_sweep_at = 0.0

    async def send(self, request: SendRequest) -> AttemptResult:
        """Make one request. Never raises for what the network or the receiver does.

        Raises CancelledError when the calling task is cancelled; `close` ends attempts as `cancelled` instead.
        """
        attempt = _Attempt(self._clock.now())
        try:
            target = target_of(request.url)
            data = _request_bytes(target, request)
        except CallerError as error:
            return attempt.failed("address_not_allowed", error.detail)
        except ValueError as error:
            return attempt.failed("refused", f"the request could not be made: {error}")
        if self._closed:
            return attempt.failed("cancelled", "the service is stopping")
        pool: _Pool | None = None
        token = exchange_under_way.set(attempt.exchange)
        deadline = asyncio.timeout(request.timeout_s)
        self._in_flight.add(deadline)
        try:
            async with deadline:
                tls = self._tls if request.identity is None else await self._tls_of(request.identity)
                pool = self._pool(request, attempt.started, tls)
                pool.in_flight += 1
                connection = await pool.connector.connect(target, [], NO_TIMEOUT)
                await attempt.converse(connection, data)
            return attempt.answered()
        except TimeoutError as error:
            if self._closed and deadline.expired():
                return attempt.failed("cancelled", "the service is stopping")
            if deadline.expired():
                return attempt.failed("timeout", f"no complete answer within {request.timeout_s:g} s")
            return attempt.failed(*classify(error, attempt.exchange))
        except _IdentityUnusable as error:
            return attempt.failed("tls", f"the client certificate cannot be used: {error}")
        except (aiohttp.ClientError, aiohttp.EofStream, HttpProcessingError, OSError, ValueError) as error:
            return attempt.failed(*classify(error, attempt.exchange))
        finally:
            self._in_flight.discard(deadline)
            exchange_under_way.reset(token)
            if pool is not None:
                pool.in_flight -= 1
                if pool.retired and not pool.in_flight:
                    self._close_pool(pool)

    def open_connector(self) -> Connector:
        """Give a connector of its own, under the same rules; who asked for it closes it."""
        return Connector(self._rules, self._tls, self._lookup)

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
        self._contexts.close()

    async def _tls_of(self, identity: ClientIdentity) -> ssl.SSLContext:
        try:
            return await self._contexts.of(identity)
        except ssl.SSLError as error:
            raise _IdentityUnusable(error.reason) from error

    def _pool(self, request: SendRequest, now: float, tls: ssl.SSLContext) -> "_Pool":
        if now >= self._next_sweep_at:
            self._sweep(now)
        pool = self._pools.get(request.pool_key)
        if pool is not None and pool.identity is not request.identity and pool.identity != request.identity:
            self.forget(request.pool_key)  # a connection vouches for whom it was made as
            pool = None
        if pool is None:
            connector = Connector(self._rules, tls, self._lookup)
            pool = self._pools[request.pool_key] = _Pool(connector, request.identity)
        pool.used_at = now
        return pool

    def _sweep(self, now: float) -> None:
        """Let go of pools nobody has used for a while; their connections were closed long before."""
        self._next_sweep_at = now + SWEEP_INTERVAL_S
        idle = [key for key, pool in self._pools.items() if pool.used_at < now - POOL_IDLE_S_MAX and not pool.in_flight]
        for pool_key in idle:
            self.forget(pool_key)

    def _close_pool(self, pool: "_Pool") -> None:
        task = asyncio.get_running_loop().create_task(pool.connector.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


class _IdentityUnusable(Exception):
    """The client certificate cannot be shown. The message is the reason in a word or two."""


class _Pool:
    """The connections of one endpoint."""

    __slots__ = ("connector", "identity", "in_flight", "retired", "used_at")

    def __init__(self, connector: Connector, identity: ClientIdentity | None) -> None:
        self.connector = connector
        self.identity = identity
        self.in_flight = 0
        self.used_at = 0.0
        self.retired = False


class _Attempt:
    """One attempt as it goes: what is known of the answer so far."""

    __slots__ = ("_body", "_headers", "_started_at", "_status", "_truncated", "_unread", "exchange", "started")

    def __init__(self, started_at: datetime) -> None:
        self._started_at = started_at
        self.started = monotonic()
        self.exchange = Exchange()
        self._status: int | None = None
        self._headers: Mapping[str, str] = {}
        self._body = b""
        self._truncated = False
        self._unread = False

    async def converse(self, connection: Connection, data: bytes) -> None:
        """Write the request and read its answer: the head, and at most ANSWER_BYTES_KEPT_MAX bytes of its body.

        The connection goes back to its pool only when the answer was read to its end.
        """
        protocol = self.exchange.protocol
        assert protocol is not None
        assert protocol.transport is not None
        is_whole = False
        try:
            protocol.set_response_params(read_until_eof=True, auto_decompress=False, read_bufsize=READ_BUFFER_BYTES)
            protocol.transport.write(data)
            await self._read(protocol)
            self._unread = protocol.unsent_bytes() > 0
            is_whole = not self._truncated and not self._unread
        finally:
            if is_whole:
                connection.release()
            else:
                connection.close()

    async def _read(self, protocol: AnswerProtocol) -> None:
        while True:
            head, content = await protocol.read()
            if is_final(head.code):
                break
        self._status = head.code
        self._headers = _headers_kept(head.headers)
        while not content.at_eof():
            self._body += await content.readany()
            if len(self._body) > ANSWER_BYTES_KEPT_MAX:
                self._body, self._truncated = self._body[:ANSWER_BYTES_KEPT_MAX], True
                return

    def answered(self) -> AttemptResult:
        """Give the result of a complete answer."""
        assert self._status is not None
        if not 200 <= self._status < 300:
            return self._result("status", None)
        if self._unread:  # whatever it says, it does not have the event
            return self._result("bad_answer", ANSWERED_TOO_EARLY)
        return self._result("success", None)

    def failed(self, outcome: Outcome, error_text: str) -> AttemptResult:
        """Give the result of an attempt that got no complete answer."""
        return self._result(outcome, on_one_line(error_text)[:ERROR_TEXT_LENGTH_MAX])

    def _result(self, outcome: Outcome, error_text: str | None) -> AttemptResult:
        exchange = self.exchange
        return AttemptResult(
            outcome=outcome,
            started_at=self._started_at,
            timings_ms=timings_of(exchange, self.started, monotonic()),
            status=self._status,
            address=exchange.address,
            reused_connection=exchange.reused,
            response_headers=self._headers,
            response_body=self._body,
            truncated=self._truncated,
            error_text=error_text,
            retry_after=self._headers.get("retry-after"),
        )


def _request_bytes(target: Target, request: SendRequest) -> bytes:
    """Write the request down. Raises ValueError for headers that would make another request of it."""
    lines = [f"{name}: {value}\r\n" for name, value in request.headers.items()]
    if not _OURS.isdisjoint(map(str.lower, request.headers)):
        raise ValueError("a header that belongs to the connection was given")
    begins = target.head if request.method == "POST" else request.method + target.head.removeprefix("POST")
    head = f"{begins}{''.join(lines)}content-length: {len(request.body)}\r\n\r\n"
    if head.count("\n") != len(lines) + 4 or head.count("\r") != len(lines) + 4 or "\0" in head:
        raise ValueError("a header holds a line break or NUL")
    return head.encode("ascii") + request.body


def _headers_kept(headers: Mapping[str, str]) -> dict[str, str]:
    """Names in lower case; values of a name given twice are joined (RFC 9110, 5.3); what is too much is left out."""
    kept: dict[str, str] = {}
    length = 0
    for name, value in headers.items():
        length += len(name) + len(value)
        if length > ANSWER_HEADERS_KEPT_MAX:
            break
        lower = name.lower()
        # aiohttp keeps bytes that are not UTF-8 as lone surrogates, which no JSON and no database takes.
        shown = value if value.isascii() else value.encode("utf-8", "replace").decode()
        kept[lower] = f"{kept[lower]}, {shown}" if lower in kept else shown
    return kept


def timings_of(exchange: Exchange, started: float, ended: float) -> Timings:
    """Give where the time went between two moments of the monotonic clock."""
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
