"""A receiver that is never the bottleneck: it counts what arrives, notes when, and answers 204.

A process of its own. It is asked on standard input, a JSON object a line, and answers on standard output; it ends with
its standard input. Instants are nanoseconds of CLOCK_MONOTONIC, which all processes of a machine share.
"""

import asyncio
import json
import sys
from time import monotonic_ns
from typing import Any, cast

import uvloop

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
END_OF_HEAD = b"\r\n\r\n"
BACKLOG = 1024
MANY = b"/hooks/"


class Arrivals:
    """What arrived since the last `reset`: requests, distinct events, and when each event came first.

    The same event at two endpoints of this receiver counts as two.
    """

    def __init__(self) -> None:
        self.answering = True
        self.wanted = 0
        self.enough = asyncio.Event()
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.requests = 0
        self.first_at_ns = self.last_at_ns = 0
        self.instants_ns: dict[bytes, int] = {}

    def add(self, event_id: bytes) -> None:
        """Note one request. Only the first arrival of an event moves `last_at_ns`."""
        self.requests += 1
        if event_id in self.instants_ns:
            return
        now = self.instants_ns[event_id] = self.last_at_ns = monotonic_ns()
        if not self.first_at_ns:
            self.first_at_ns = now
        if len(self.instants_ns) >= self.wanted:
            self.enough.set()

    async def wait_for(self, events: int, patience_s: float) -> None:
        """Return once so many events have come, or when nothing new came for `patience_s`."""
        self.wanted = events
        seen = -1
        while seen < len(self.instants_ns) < events:
            seen = len(self.instants_ns)
            self.enough.clear()
            try:
                await asyncio.wait_for(self.enough.wait(), patience_s)
            except TimeoutError:
                continue

    def told(self) -> dict[str, int]:
        """The counts and the ends."""
        return {
            "requests": self.requests,
            "events": len(self.instants_ns),
            "first_at_ns": self.first_at_ns,
            "last_at_ns": self.last_at_ns,
        }


class Connection(asyncio.Protocol):
    """One connection: requests with a Content-Length, one after the other, kept alive."""

    def __init__(self, arrivals: Arrivals, connections: set[asyncio.Transport]) -> None:
        self._arrivals = arrivals
        self._connections = connections
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note it, so that going down can cut it off."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are of no class of asyncio's
        self._connections.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        """Answer each request that has come whole. Nearly always that is one, and all of `data`."""
        if self._rest:
            data = self._rest + data
        while (head_end := data.find(END_OF_HEAD)) >= 0:
            head = data[:head_end]
            names = head.lower()
            request_end = head_end + len(END_OF_HEAD) + int(_header(head, names, b"\r\ncontent-length:") or 0)
            if len(data) < request_end:
                break
            self._arrivals.add(_endpoint(head) + _header(head, names, b"\r\nwebhook-id:"))
            if self._arrivals.answering:
                self._transport.write(ANSWER)
            data = data[request_end:]
        self._rest = data


def _endpoint(head: bytes) -> bytes:
    """What tells apart the endpoints of a receiver that stands for many: `7 ` for /hooks/7, nothing for /hooks."""
    path = head[len(b"POST ") : head.index(b" ", len(b"POST "))]
    return path[len(MANY) :] + b" " if path.startswith(MANY) else b""


def _header(head: bytes, names: bytes, name: bytes) -> bytes:
    """The value of a header, empty when it is not there. `names` is the head in lower case, to find names in."""
    start = names.find(name)
    if start < 0:
        return b""
    start += len(name)
    end = head.find(b"\r\n", start)
    return (head[start:] if end < 0 else head[start:end]).strip()


class Receiver:
    """Listens on one port of the loopback address while it is up."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._arrivals = Arrivals()
        self._connections: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None

    async def up(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._arrivals, self._connections), "127.0.0.1", self._port, backlog=BACKLOG
        )

    async def down(self) -> None:
        """Refuse connections, and cut off those that stand."""
        assert self._server is not None
        self._server.close()
        for transport in tuple(self._connections):
            transport.abort()
        await self._server.wait_closed()

    async def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked for, and tell what has arrived."""
        match asked["do"]:
            case "up":
                await self.up()
            case "down":
                await self.down()
            case "fall_silent":
                self._arrivals.answering = False
            case "reset":
                self._arrivals.reset()
            case "wait":
                await self._arrivals.wait_for(asked["events"], asked["patience_s"])
            case "instants":
                instants = self._arrivals.instants_ns.items()
                return {event_id.decode(): at_ns for event_id, at_ns in instants}
            case "count":
                pass
        return self._arrivals.told()


async def main(port: int) -> None:
    """Serve until standard input ends."""
    receiver = Receiver(port)
    await receiver.up()
    questions = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(questions), sys.stdin)
    print(json.dumps({"ready": True}), flush=True)
    while line := await questions.readline():
        print(json.dumps(await receiver.answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
