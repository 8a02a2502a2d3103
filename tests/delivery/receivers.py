"""Receivers that behave as told, on real sockets, and certificates for them."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from waypost.delivery.egress import EgressRules
from waypost.delivery.sender import AttemptResult, Sender, SendRequest

LOOPBACK_ALLOWED = EgressRules(allow=(ip_network("127.0.0.0/8"), ip_network("::1/128")))

ClientKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Receiver:
    """A running receiver: what it was sent, on how many connections."""

    port: int
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def https_url(self) -> str:
        return f"https://127.0.0.1:{self.port}/hook"


async def read_request(receiver: Receiver, reader: asyncio.StreamReader) -> bool:
    """Read one request whole; False when the client closed instead."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return False
    length = next(int(line[15:]) for line in head.lower().splitlines() if line.startswith("content-length:"))
    receiver.heads.append(head)
    receiver.bodies.append(await reader.readexactly(length))
    return True


@asynccontextmanager
async def receiving(
    *answers: bytes | Behaviour, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Receiver]:
    """Run a receiver that gives `answers` in turn, over all its connections, the last one again and again.

    Bytes are written after a request was read; a function takes the connection over and ends with it.
    """
    turn = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal turn
        while await read_request(receiver, reader):
            given = answers[min(turn, len(answers) - 1)]
            turn += 1
            if not isinstance(given, bytes):
                await given(reader, writer)
                return
            writer.write(given)
            await writer.drain()

    async with accepting(serve, tls=tls, host=host) as receiver:
        yield receiver


@asynccontextmanager
async def accepting(
    behave: Behaviour,
    *,
    tls: ssl.SSLContext | None = None,
    takes_bytes: int | None = None,
    host: str = "127.0.0.1",
) -> AsyncIterator[Receiver]:
    """Run a server that does `behave` on each connection, before anything is read.

    The system takes about `takes_bytes` of what it is sent for it, and no more until it reads.
    """
    receiver = Receiver(0)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        receiver.connections += 1
        try:
            await behave(reader, writer)
        except (ConnectionError, ssl.SSLError):
            pass  # the sender let go, as many of these tests want it to
        finally:
            writer.transport.abort()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = socket.create_server((host, 0), backlog=512)
    if takes_bytes is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, takes_bytes)
    server = await asyncio.start_server(begin, sock=listener, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await turns()


@contextmanager
def silent_listener(host: str, port: int = 0) -> Iterator[int]:
    """Hold a port whose queue is full: connections to it are neither taken nor refused. Gives the port."""
    with closing(socket.create_server((host, port), backlog=0)) as full, ExitStack() as fillers:
        for _ in range(4):
            filler = fillers.enter_context(closing(socket.socket()))
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        yield full.getsockname()[1]


async def turns(count: int = 20) -> None:
    """Let the loop go round a few times, so that what was written on loopback arrives."""
    for _ in range(count):
        await asyncio.sleep(0)


def answer(status: str = "200 OK", body: bytes = b"", *headers: str) -> bytes:
    """Give the bytes of a complete answer."""
    lines = [f"HTTP/1.1 {status}", *headers, f"content-length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say nothing until the client lets go."""
    await reader.read()


def write_then(data: bytes, then: Behaviour) -> Behaviour:
    """Write `data`, then go on as `then` does."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        await then(reader, writer)

    return behave


async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End the connection in an orderly way."""
    writer.close()
    await writer.wait_closed()


async def close_one_half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say that nothing more will come, and keep listening."""
    writer.write_eof()
    await reader.read()


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End the connection with a TCP reset."""
    linger_off = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_off)
    writer.transport.abort()


def names(**addresses: list[str]) -> Callable[[str], Awaitable[list[str]]]:
    """Give a lookup of these names (a `_` stands for a dot)."""
    known = {name.replace("_", "."): found for name, found in addresses.items()}

    async def lookup(host: str) -> list[str]:
        return known[host]

    return lookup


async def post(
    sender: Sender, url: str, body: bytes = b"{}", *, timeout_s: float = 10.0, pool_key: str = "ep_1", **headers: str
) -> AttemptResult:
    """Send one request."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await sender.send(SendRequest(url=url, headers=named, body=body, timeout_s=timeout_s, pool_key=pool_key))


class Authority:
    """A certificate authority of the tests."""

    def __init__(self, name: str = "Authority of the tests") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = self._sign(self._name, self._key, authority=True)

    @property
    def pem(self) -> str:
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def server(self, folder: Path, name: str, *, expired: bool = False, self_signed: bool = False) -> ssl.SSLContext:
        """Give the TLS settings of a server whose certificate is for `name` (a host name or an IP address)."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key, name=name, expired=expired, self_signed=self_signed)
        file = folder / "server.pem"
        file.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def client(
        self, name: str, *, key: ClientKey | None = None, expired: bool = False
    ) -> tuple[str, ClientKey]:  # fmt: skip
        """Give a client's certificate (PEM) and the key it is for."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key, expired=expired)
        return certificate.public_bytes(serialization.Encoding.PEM).decode(), key

    def _sign(
        self,
        subject: x509.Name,
        key: ClientKey,
        *,
        name: str | None = None,
        authority: bool = False,
        expired: bool = False,
        self_signed: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if self_signed else self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=10))
            .not_valid_after(now + timedelta(days=-5 if expired else 5))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if name is not None:
            alternative = x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
            builder = builder.add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        return builder.sign(key if self_signed else self._key, hashes.SHA256())
