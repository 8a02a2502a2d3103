"""The receivers nobody wishes for, each with what must be said of the first attempt at it.

They run on real sockets, in a thread with an event loop of its own, beside the test.
"""

import asyncio
import gzip
import re
import threading
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from delivery.receivers import (
    Authority,
    Behaviour,
    Receiver,
    accepting,
    answer,
    close,
    close_one_half,
    hang,
    read_request,
    reset,
    silent_listener,
    write_then,
)

POURED_BYTES_MAX = 100_000_000
NASTY_BODY = b"\0\xff\xed\xa0\x80'\"<script>\x1b[2J"

OK = b"HTTP/1.1 200 OK\r\n"
END_OF_HEAD = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Hostile:
    """A kind of receiver. `outcome`, `status` and `says` are those of the first attempt; `says` is a whole sentence.

    In `says` a number of milliseconds stands as `N ms`. `behave` takes a connection over once it is accepted; None is
    a port whose queue is full. `certificate` makes it speak TLS: the name, and what is wrong with it.
    """

    name: str
    behave: Behaviour | None
    outcome: str
    status: int | None
    says: str
    certificate: tuple[str, dict[str, bool]] | None = None
    speaks_https: bool = False


def says_without_milliseconds(explanation: str) -> str:
    return re.sub(r"\b(under 1|\d+) ms\b", "N ms", explanation)


def answering(*given: bytes | Behaviour) -> Behaviour:
    """Read requests whole and give these answers in turn, on each connection anew, the last one again and again."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        turn = 0
        while await read_request(Receiver(0), reader):
            this = given[min(turn, len(given) - 1)]
            turn += 1
            if not isinstance(this, bytes):
                await this(reader, writer)
                return
            writer.write(this)
            await writer.drain()

    return behave


def pouring(beginning: bytes, piece: bytes, *, pause_s: float = 0) -> Behaviour:
    """Write `beginning`, then `piece` again and again, as fast as it is taken."""

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        written = 0
        while written < POURED_BYTES_MAX and not writer.is_closing():
            writer.write(piece)
            written += len(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return answering(write_then(beginning, pour))


async def answer_unread(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say that all is well when the head of a request is in; its body is met while looking for the next head."""
    while True:
        try:
            await reader.readuntil(END_OF_HEAD)
        except asyncio.IncompleteReadError:
            return
        writer.write(answer())
        await writer.drain()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes."""
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


def leading_to_the_trap(status: str, header: str) -> Behaviour:
    """Answer with a header that leads to the trap, whose port stands in the request's path."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        receiver = Receiver(0)
        while await read_request(receiver, reader):
            port = receiver.heads[-1].partition(" HTTP/")[0].rpartition("/")[2]
            writer.write(answer(status, b"", header.format(port)))
            await writer.drain()

    return behave


ANSWERED = "Your server answered {} in N ms."
CUT = " Of its answer only the first 64 KiB were read; a short body, or none, is enough."
TOO_SLOW = (
    "Your server did not answer within 1 second. It accepted the connection; the work behind it is slow. "
    "Answer first, then do the work."
)
HEADERS_DO_NOT_END = (
    "Your server began to answer, but the headers of its answer did not end within 1 second. "
    "Look at what it sends, and at a proxy in front of it."
)
BODY_DOES_NOT_END = (
    "Your server answered 200, but did not finish its answer within 1 second. A short body, or none, is enough."
)
TOO_MANY_HEADERS = (
    "Your server began to answer{}, but its headers are too long or too many: at most 128 are read, of 8 KB each. "
    "Send fewer."
)
LENGTHS = (
    "Your server began to answer, but the answer is at odds with itself about its length. "
    "Send one Content-Length, or chunks, and never both."
)
CHUNKS = "Your server began to answer 200, but the chunks of its answer do not add up. A proxy may have spoilt them."
ENDLESS = (
    "Your server began to answer 200, and went on without ever coming to an end. A short body, or none, is enough."
)
BROKE_OFF = (
    "Your server began to answer{}, but the connection ended in the middle of the answer. Its log should say why."
)
NO_ANSWER = "Your server closed the connection without an answer. Its log should say why."
NOT_HTTP = "What your server answered is not HTTP. Check the address and the port."
FAILED_AT_IT = "Your server answered 500: it failed while working on our request. Its log should say why."
REDIRECT = "it sends us elsewhere. Redirects are not followed: enter the final address."
NO_STATUS = "Your server answered {}, which is no status of HTTP. A success is 200 to 299."
INTERIM = "Your server sent one interim answer (1xx) after the other, and no final one. A success is 200 to 299."

CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
BOMB = gzip.compress(bytes(50_000_000))
BOMB_IN_CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BOMB), BOMB)

SAYS_TOO_LITTLE = (
    Hostile(
        "never accepts", None, "timeout", None,
        "No connection to your server within 1 second. Check that it runs, and the firewall in front of it.",
    ),
    Hostile("never answers", answering(hang), "timeout", None, TOO_SLOW),
    Hostile("stops in the headers", answering(write_then(OK + b"x-a: ", hang)), "timeout", None, HEADERS_DO_NOT_END),
    Hostile(
        "stops in the body", answering(write_then(OK + b"content-length: 5\r\n\r\nhe", hang)), "timeout", 200,
        BODY_DOES_NOT_END,
    ),
    Hostile("one byte a second", pouring(b"H", b"T", pause_s=1), "timeout", None, HEADERS_DO_NOT_END),
    Hostile(
        "one byte a second of a body", pouring(OK + b"content-length: 99\r\n\r\n", b".", pause_s=1), "timeout", 200,
        BODY_DOES_NOT_END,
    ),
    Hostile(
        "never agrees on TLS", hang, "timeout", None,
        "Your server accepted the connection, but agreed on no encryption (TLS) within 1 second.", speaks_https=True,
    ),
)  # fmt: skip

SAYS_TOO_MUCH = (
    Hostile("endless headers", pouring(OK, b"x-h: 1\r\n" * 1000), "bad_answer", None, TOO_MANY_HEADERS.format("")),
    Hostile(
        "a header without end", pouring(OK + b"x-h: ", b"a" * 65_536), "bad_answer", None, TOO_MANY_HEADERS.format("")
    ),
    Hostile(
        "a flood of headers", answering(OK + b"x-h: 1\r\n" * 2_000 + b"content-length: 0\r\n\r\n"), "bad_answer", None,
        TOO_MANY_HEADERS.format(""),
    ),
    Hostile(
        "a status line without end", pouring(OK[:-2], b" very" * 10_000), "bad_answer", None,
        TOO_MANY_HEADERS.format(""),
    ),
    Hostile(
        "trailers without end", pouring(CHUNKED + b"0\r\n", b"x-t: 1\r\n" * 10_000), "bad_answer", 200,
        TOO_MANY_HEADERS.format(" 200"),
    ),
    Hostile("a chunk without begin", pouring(CHUNKED + b"1;", b"x" * 65_536), "bad_answer", 200, ENDLESS),
    Hostile(
        "a body of 100 MB", pouring(OK + b"content-length: 100000000\r\n\r\n", bytes(1_000_000)), "success", 200,
        ANSWERED.format(200) + CUT,
    ),
    Hostile(
        "a body without end", pouring(CHUNKED, b"1\r\n.\r\n" * 10_000), "success", 200, ANSWERED.format(200) + CUT
    ),
    Hostile(
        "a gzip bomb", answering(answer("200 OK", BOMB, "content-encoding: gzip")), "success", 200, ANSWERED.format(200)
    ),
    Hostile(
        "a gzip bomb in chunks",
        answering(CHUNKED[:-2] + b"content-encoding: gzip\r\n\r\n" + BOMB_IN_CHUNKS), "success", 200,
        ANSWERED.format(200),
    ),
    Hostile(
        "a flood of 1xx", pouring(b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 100), "bad_answer", None, INTERIM
    ),
)  # fmt: skip

ENDS_THE_CONNECTION = (
    Hostile("closes without an answer", answering(close), "reset", None, NO_ANSWER),
    Hostile("closes before the request", close, "reset", None, NO_ANSWER),
    Hostile("resets without an answer", answering(reset), "reset", None, NO_ANSWER),
    Hostile("closes its half without an answer", answering(close_one_half), "reset", None, NO_ANSWER),
    Hostile(
        "closes its half after the answer", answering(write_then(answer(), close_one_half)), "success", 200,
        ANSWERED.format(200),
    ),
    Hostile(
        "resets in the headers", answering(write_then(OK + b"x-a: ", reset)), "bad_answer", None, BROKE_OFF.format("")
    ),
    Hostile(
        "resets in the body", answering(write_then(OK + b"content-length: 5\r\n\r\nhe", reset)), "bad_answer", 200,
        BROKE_OFF.format(" 200"),
    ),
    Hostile(
        "HTTP/1.0", answering(write_then(b"HTTP/1.0 200 OK\r\n\r\nfine", close)), "success", 200, ANSWERED.format(200)
    ),
    Hostile("HTTP/0.9", answering(write_then(b"fine, thank you", close)), "bad_answer", None, NOT_HTTP),
)  # fmt: skip

LEADS_ELSEWHERE = (
    *[
        Hostile(
            f"{status} to a private address", leading_to_the_trap(f"{status} X", "location: http://127.0.0.1:{}/"),
            "status", status,
            f"Your server answered {status}: {REDIRECT}",
        )
        for status in (301, 302, 303, 307, 308)
    ],
    Hostile(
        "another service for the same name", leading_to_the_trap("200 OK", 'alt-svc: http/1.1="127.0.0.1:{}"'),
        "success", 200, ANSWERED.format(200),
    ),
    Hostile(
        "a page that leads on", leading_to_the_trap("200 OK", "refresh: 0; url=http://127.0.0.1:{}/"), "success", 200,
        ANSWERED.format(200),
    ),
    Hostile(
        "hints at what to fetch early",
        leading_to_the_trap("103 X", "link: <http://127.0.0.1:{}/>; rel=preload\r\n\r\nHTTP/1.1 200 OK"),
        "success", 200, ANSWERED.format(200),
    ),
    Hostile(
        "switches to another protocol",
        answering(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"), "status", 101,
        "Your server answered 101: it wants to change the protocol, which webhooks do not. A success is 200 to 299.",
    ),
)  # fmt: skip

LENGTHS_THAT_ARE_WRONG = (
    Hostile(
        "a body longer than its length", answering(OK + b"content-length: 2\r\n\r\nabcdefgh"), "success", 200,
        ANSWERED.format(200),
    ),
    Hostile(
        "a body where there is none", answering(b"HTTP/1.1 204 X\r\ncontent-length: 5\r\n\r\nhello"), "success", 204,
        ANSWERED.format(204),
    ),
    Hostile(
        "a body shorter than its length", answering(write_then(OK + b"content-length: 99\r\n\r\nab", close)),
        "bad_answer", 200, BROKE_OFF.format(" 200"),
    ),
    Hostile(
        "two lengths", answering(OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab"), "bad_answer", None, LENGTHS
    ),
    Hostile(
        "chunks and a length", answering(OK + b"content-length: 3\r\n" + CHUNKED[len(OK) :] + b"3\r\nabc\r\n0\r\n\r\n"),
        "bad_answer", None, LENGTHS,
    ),
    Hostile("a negative length", answering(OK + b"content-length: -5\r\n\r\n"), "bad_answer", None, LENGTHS),
    Hostile(
        "a length of 2^64", answering(OK + b"content-length: 18446744073709551616\r\n\r\n"), "bad_answer", None, LENGTHS
    ),
    Hostile("a chunk of no size", answering(CHUNKED + b"zz\r\nabc\r\n"), "bad_answer", 200, CHUNKS),
    Hostile("a chunk longer than its size", answering(CHUNKED + b"1\r\nabc\r\n0\r\n\r\n"), "bad_answer", 200, CHUNKS),
)  # fmt: skip

SAYS_NONSENSE = (
    Hostile("garbage", answering(b"\0\xff\xfe garbage\r\n\r\n"), "bad_answer", None, NOT_HTTP),
    Hostile("another protocol", write_then(b"SSH-2.0-OpenSSH_9.2\r\n", hang), "bad_answer", None, NOT_HTTP),
    Hostile("our own request", echo, "bad_answer", None, NOT_HTTP),
    Hostile("status 999", answering(answer("999 X")), "status", 999, NO_STATUS.format("999")),
    Hostile("status 000", answering(answer("000 X")), "status", 0, NO_STATUS.format("000")),
    Hostile("status 20", answering(answer("20 X")), "bad_answer", None, NOT_HTTP),
    Hostile(
        "NUL in a header", answering(answer("200 OK", b"", "x-a: a\0b")), "bad_answer", None,
        "Your server began to answer, but the answer is not well-formed HTTP. Look at its headers.",
    ),
    Hostile(
        "NUL and bytes that are no UTF-8 in the body", answering(answer("500 X", NASTY_BODY)), "status", 500,
        FAILED_AT_IT,
    ),
    Hostile(
        "bytes that are no UTF-8 in the headers",
        answering(b"HTTP/1.1 500 \xff\xfe\r\nx-a: caf\xe9\r\ncontent-length: 0\r\n\r\n"), "status", 500, FAILED_AT_IT,
    ),
    Hostile("a failure and a success at once", answering(answer("500 X") + answer()), "status", 500, FAILED_AT_IT),
    Hostile("a success before it has read", answer_unread, "success", 200, ANSWERED.format(200)),
    Hostile(
        "a wait of 10^20 seconds", answering(answer("503 X", b"", "retry-after: 99999999999999999999")), "status", 503,
        "Your server answered 503: it is not available at the moment.",
    ),
)  # fmt: skip

TLS_THAT_IS_WRONG = (
    Hostile(
        "a certificate for another name", answering(answer()), "tls", None,
        "The certificate of your server is for another name. Check the address, or get one for this name.",
        certificate=("other.example", {}),
    ),
    Hostile(
        "an expired certificate", answering(answer()), "tls", None,
        "The certificate of your server has expired. Renew it.", certificate=("127.0.0.1", {"expired": True}),
    ),
    Hostile(
        "a self-signed certificate", answering(answer()), "tls", None,
        "The certificate of your server is signed by nobody we trust. Use one of a public authority.",
        certificate=("127.0.0.1", {"self_signed": True}),
    ),
    Hostile(
        "plain HTTP at an https address", write_then(answer("400 X"), hang), "tls", None,
        "Your server does not speak TLS at this port. Use http://, or the port that speaks https.", speaks_https=True,
    ),
)  # fmt: skip

HOSTILE: tuple[Hostile, ...] = (
    *SAYS_TOO_LITTLE,
    *SAYS_TOO_MUCH,
    *ENDS_THE_CONNECTION,
    *LEADS_ELSEWHERE,
    *LENGTHS_THAT_ARE_WRONG,
    *SAYS_NONSENSE,
    *TLS_THAT_IS_WRONG,
)


class Besiegers:
    """All of `HOSTILE`, running, and a trap that nobody may ever step into."""

    def __init__(self, folder: Path) -> None:
        self.urls: dict[str, str] = {}
        self.trap = Receiver(0)
        self.authority = Authority()
        self._folder = folder
        self._running = threading.Event()
        self._enough: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="besiegers")

    def start(self) -> "Besiegers":
        self._thread.start()
        self._running.wait()
        return self

    def stop(self) -> None:
        assert self._loop
        assert self._enough
        self._loop.call_soon_threadsafe(self._enough.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop, self._enough = asyncio.get_running_loop(), asyncio.Event()
        async with AsyncExitStack() as stack:
            self.trap = await stack.enter_async_context(accepting(hang))
            for number, hostile in enumerate(HOSTILE):
                self.urls[hostile.name] = await self._open(stack, hostile, number)
            self._running.set()
            await self._enough.wait()

    async def _open(self, stack: AsyncExitStack, hostile: Hostile, number: int) -> str:
        if hostile.behave is None:
            return f"http://127.0.0.1:{stack.enter_context(silent_listener('127.0.0.1'))}/"
        tls = None
        if hostile.certificate is not None:
            name, faults = hostile.certificate
            folder = self._folder / str(number)
            folder.mkdir()
            tls = self.authority.server(folder, name, **faults)
        receiver = await stack.enter_async_context(accepting(hostile.behave, tls=tls))
        scheme = "https" if tls or hostile.speaks_https else "http"
        return f"{scheme}://127.0.0.1:{receiver.port}/hook/{self.trap.port}"
