"""The one way out: every outgoing connection is opened here, to an address that the egress rules allow.

aiohttp never asks a resolver about an IP literal, so addresses are vetted where sockets are made, literals included,
and once more when the connection stands. Names are vetted whole: one bad address refuses them. Where a connection is
new, the parts of its making are timed; a reused one costs a few comparisons.
"""

import asyncio
import functools
import socket
from contextvars import ContextVar
from functools import lru_cache
from ssl import SSLContext, SSLError
from time import monotonic
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import AddrInfoType, Connection
from yarl import URL

from waypost.delivery.egress import EgressRules, parse_url
from waypost.delivery.lookup import Lookup

IDLE_S_MAX = 15.0  # receivers commonly close after 5 to 75 s; a closed one is noticed, or costs one free attempt
CONNECTION_AGE_S_MAX = 60.0  # a changed record, or a changed verdict, is followed at least this soon
ADDRESSES_TRIED_MAX = 16  # of a name with hundreds; all of them are vetted
SECOND_ADDRESS_AFTER_S = 0.25  # RFC 8305, section 8: the connection attempt delay
INTERIM_ANSWERS_MAX = 16  # 100, 102, 103: more is a flood
INTERIM_FLOOD = "a flood of interim answers (1xx)"
ENDLESS = "an answer without end"
ANSWER_BYTES_READ_MAX = 2 * 1024 * 1024  # on the wire: the body that is kept, in chunks of one byte, and full headers
END_OF_HEAD = b"\r\n\r\n"


class AddressRefused(OSError):
    """The egress rules refuse the address. The message is a sentence for the endpoint's owner."""


def is_final(status: int) -> bool:
    """Whether no other answer follows one of this status: 101 hands the connection over, and below 100 is none."""
    return not 100 <= status < 200 or status == 101


class Exchange:
    """What one request went through: moments on the monotonic clock in seconds, 0.0 for what did not happen."""

    __slots__ = (
        "address",
        "connect_at",
        "connected_at",
        "dns_at",
        "is_tls",
        "own",
        "protocol",
        "ready_at",
        "refusal",
        "resolved_at",
        "reused",
    )

    def __init__(self) -> None:
        self.dns_at = self.resolved_at = self.connect_at = self.connected_at = self.ready_at = 0.0
        self.protocol: AnswerProtocol | None = None
        self.address: str | None = None
        self.is_tls = self.reused = False
        self.refusal: str | None = None
        self.own: frozenset[str] = frozenset()


class Target:
    """Where a request goes, in the form in which aiohttp's connector asks for it, and how the request begins."""

    __slots__ = ("connection_key", "head", "host", "port", "proxy", "server_hostname", "ssl", "url")

    def __init__(self, url: URL) -> None:
        self.url = url
        self.host = url.raw_host or ""
        self.port = url.port
        self.proxy = self.server_hostname = None
        self.ssl = True  # verify, by the connector's settings
        self.connection_key = ConnectionKey(self.host, self.port, self.is_ssl(), self.ssl, None, None, None)
        self.head = f"POST {url.raw_path_qs} HTTP/1.1\r\nhost: {url.host_port_subcomponent}\r\n"

    def is_ssl(self) -> bool:
        """Whether the connection speaks TLS."""
        return self.url.scheme == "https"


@lru_cache(maxsize=4096)
def target_of(url: str) -> Target:
    """Give the target of a URL. Raises InvalidDocument for one that is not a plain http(s) URL."""
    return Target(parse_url(url).url)


# The connector, its resolver and the protocols work within the task of the request they work for.
exchange_under_way: ContextVar[Exchange] = ContextVar("exchange_under_way")


class AnswerProtocol(ResponseHandler):
    """One connection. It notes when the first byte of the present answer came, and ends a flood of interim answers.

    aiohttp's parser forgets an answer when what follows it in the same piece of data is wrong, so that it would depend
    on the timing whether a few stray bytes make a failure of a success. Here the head is parsed apart from the rest.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        # Not the loop's clock: uvloop's stands still within a turn and counts whole milliseconds.
        now = monotonic()
        self.opened_at = now
        self.requests = 0
        self.first_byte_at = 0.0
        self.address: str | None = None
        self.fault: str | None = None
        self.tls_error: SSLError | None = None
        self.unsent_at_head = 0
        self._received = 0
        self._interim_answers = 0
        self._in_head = True
        self._head_tail = b""  # the last bytes of a piece of the head: its end may be cut in two
        exchange = exchange_under_way.get(None)
        if exchange is not None:
            # asyncio and uvloop make the protocol when the socket is connected and before they agree on TLS.
            exchange.connected_at = now

    def begin_request(self) -> None:
        """Forget the answer before."""
        self.requests += 1
        self.first_byte_at = 0.0
        self.unsent_at_head = self._received = 0
        self._interim_answers = 0
        self._in_head, self._head_tail = True, b""

    def data_received(self, data: bytes) -> None:
        """Note the first byte, and parse each head apart from what follows it."""
        if not self.first_byte_at:
            self.first_byte_at = monotonic()
        self._received += len(data)
        if self._received > ANSWER_BYTES_READ_MAX:
            self._give_up(ENDLESS)
            return
        while self._in_head and 0 < (end := self._end_of_head(data)) < len(data):
            super().data_received(data[:end])
            if self.exception() is not None:
                return
            data = data[end:]
        super().data_received(data)

    def _end_of_head(self, data: bytes) -> int:
        """Give how many bytes of `data` belong to the head, 0 when it does not end in them."""
        joined = self._head_tail + data
        end = joined.find(END_OF_HEAD) + len(END_OF_HEAD)
        if end < len(END_OF_HEAD):
            self._head_tail = joined[-len(END_OF_HEAD) + 1 :]
            return 0
        end -= len(self._head_tail)
        self._head_tail = b""
        return end

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Take one answer from the parser. aiohttp skips interim ones without end; here there is an end."""
        if is_final(data[0].code):
            self._in_head = False
            self.unsent_at_head = self.unsent_bytes()
        else:
            self._interim_answers += 1
            if self._interim_answers > INTERIM_ANSWERS_MAX:
                self._give_up(INTERIM_FLOOD)
                return
        super().feed_data(data, size)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Tell whoever reads the body as well: aiohttp leaves them waiting when it is the parser that fails."""
        super().set_exception(exc, *cause)
        if self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(exc)

    def _give_up(self, fault: str) -> None:
        """End the connection, since what comes will never be an answer."""
        payload = self._payload
        self.fault = fault
        self.abort()
        self._payload = payload  # aiohttp forgets it, and would forget who reads it
        self.set_exception(aiohttp.ClientPayloadError(fault))

    def unsent_bytes(self) -> int:
        """Give how much of the request has not left this process; of a lost connection, when the answer began."""
        return self.unsent_at_head if self.transport is None else self.transport.get_write_buffer_size()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Keep what TLS said at the end: a server refuses a client certificate only after the handshake (TLS 1.3)."""
        if isinstance(exc, SSLError):
            self.tls_error = exc
        super().connection_lost(exc)

    def close(self) -> None:
        """Let go at once: a graceful end of TLS would wait half a minute for a hostile peer."""
        self.abort()


class Connector(aiohttp.TCPConnector):
    """Connections of one endpoint under one version of the egress rules. Their number is bounded by the engine."""

    def __init__(self, rules: EgressRules, tls: SSLContext, lookup: Lookup) -> None:
        super().__init__(
            ssl=tls,
            resolver=VettingResolver(rules, lookup),
            use_dns_cache=False,
            limit=0,
            keepalive_timeout=IDLE_S_MAX,
            happy_eyeballs_delay=SECOND_ADDRESS_AFTER_S,
            socket_factory=self._open_socket,
        )
        self._rules = rules
        self._lookup = lookup
        make_protocol: type[ResponseHandler] = AnswerProtocol
        self._factory = functools.partial(make_protocol, loop=self._loop)

    # The signature is aiohttp's; no timeout of its own is used here: the sender's one deadline covers it.
    async def connect(self, req: Any, traces: Any, timeout: Any) -> Connection:  # noqa: ASYNC109
        """Give a connection: a pooled one that is young and silent, else a new one to a vetted address."""
        exchange = exchange_under_way.get()
        exchange.is_tls = req.is_ssl()
        if self._rules.owns_port(req.url.port):
            exchange.own = await self._rules.own_addresses(req.url.port, self._lookup)
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            assert isinstance(protocol, AnswerProtocol), protocol
            if not protocol.requests:
                self._admit(connection, protocol, exchange)
                break
            # Some servers say 408 on an idle connection before they close it. That is no answer to this request.
            if not protocol.should_close and monotonic() - protocol.opened_at < CONNECTION_AGE_S_MAX:
                exchange.reused = True
                break
            connection.close()
        protocol.begin_request()
        exchange.protocol, exchange.address, exchange.ready_at = protocol, protocol.address, monotonic()
        return connection

    def _admit(self, connection: Connection, protocol: AnswerProtocol, exchange: Exchange) -> None:
        """Look once more at who is really at the other end."""
        assert protocol.transport is not None
        address, port = protocol.transport.get_extra_info("peername")[:2]
        protocol.address = address
        refusal = self._rules.vet_resolved(address, address, port, exchange.own)
        if refusal is not None:
            connection.close()
            exchange.refusal = refusal
            raise AddressRefused(refusal)

    def _open_socket(self, addr_info: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, sockaddr = addr_info
        address, port = str(sockaddr[0]), int(sockaddr[1])
        exchange = exchange_under_way.get()
        exchange.connect_at = exchange.connect_at or monotonic()
        exchange.address = address
        refusal = self._rules.vet_resolved(address, address, port, exchange.own)
        if refusal is not None:
            exchange.refusal = refusal
            raise AddressRefused(refusal)
        return socket.socket(family, kind, protocol)


class VettingResolver(AbstractResolver):
    """Resolves anew for each new connection, and refuses a name whole when one of its addresses is bad."""

    def __init__(self, rules: EgressRules, lookup: Lookup) -> None:
        self._rules = rules
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Give the addresses of `host`. Raises AddressRefused, or socket.gaierror when it has none."""
        exchange = exchange_under_way.get()
        exchange.dns_at = monotonic()
        exchange.refusal = self._rules.vet_name(host)
        if exchange.refusal is None:
            addresses = await self._lookup(host)
            exchange.resolved_at = monotonic()
            judged = (self._rules.vet_resolved(host, address, port, exchange.own) for address in addresses)
            exchange.refusal = next((refusal for refusal in judged if refusal is not None), None)
        if exchange.refusal is not None:
            raise AddressRefused(exchange.refusal)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses[:ADDRESSES_TRIED_MAX]
        ]

    async def close(self) -> None:
        """Nothing is held."""
