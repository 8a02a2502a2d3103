"""The callers: keep-alive clients that PUT shipments one after the other, cheaply, in a process of their own.

Asked on standard input, a JSON object a line; see processes.Child. Requests are made before the clock starts.
"""

import asyncio
import json
import sys
from collections import Counter
from time import monotonic_ns
from typing import Any, cast

import uvloop

from waypost.bench.documents import put_body

END_OF_HEAD = b"\r\n\r\n"
PATIENCE_S = 120.0


class Client(asyncio.Protocol):
    """One connection that sends its requests in turn, each once the one before is answered."""

    def __init__(self, requests: list[bytes]) -> None:
        self._requests = iter(requests)
        self._rest = b""
        self._sent_at_ns = 0
        self.latencies_ns: list[int] = []
        self.statuses: Counter[str] = Counter()
        self.bodies: list[bytes] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection for `start`."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are of no class of asyncio's

    def start(self) -> None:
        """Send the next request, or be done."""
        request = next(self._requests, None)
        if request is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._sent_at_ns = monotonic_ns()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take an answer, as soon as it is whole."""
        if self._rest:
            data = self._rest + data
        head_end = data.find(END_OF_HEAD)
        if head_end < 0 or len(data) < head_end + len(END_OF_HEAD) + _content_length(data[:head_end]):
            self._rest = data
            return
        self.latencies_ns.append(monotonic_ns() - self._sent_at_ns)
        self.statuses[data[9:12].decode()] += 1
        self._rest = b""
        self.start()

    def connection_lost(self, exc: Exception | None) -> None:
        """The service must not close while there is something to send."""
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the service closed the connection"))


def _content_length(head: bytes) -> int:
    name = b"\r\ncontent-length:"
    start = head.lower().index(name) + len(name)
    return int(head[start:].partition(b"\r\n")[0])


def put_request(host: str, token: str, reference: str, body: bytes) -> bytes:
    """The bytes of one PUT."""
    head = (
        f"PUT /v1/shipments/{reference} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def put(asked: dict[str, Any]) -> dict[str, Any]:
    """PUT `requests` new shipments with `clients` clients at once. Gives the time, the statuses and each latency."""
    port, clients = asked["port"], asked["clients"]
    numbers = range(asked["first"], asked["first"] + asked["requests"])
    requests = [
        put_request(
            f"127.0.0.1:{port}", asked["token"], f"{asked['prefix']}{number}", put_body(number, asked["padding"])
        )
        for number in numbers
    ]
    loop = asyncio.get_running_loop()
    protocols = [
        (await loop.create_connection(lambda own=requests[start::clients]: Client(own), "127.0.0.1", port))[1]  # type: ignore[misc]
        for start in range(clients)
    ]
    started_ns = monotonic_ns()
    for protocol in protocols:
        protocol.start()
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*(protocol.done for protocol in protocols))
    ended_ns = monotonic_ns()
    return {
        "started_ns": started_ns,
        "elapsed_s": (ended_ns - started_ns) / 1e9,
        "statuses": sum((protocol.statuses for protocol in protocols), Counter()),
        "latencies_ms": [latency / 1e6 for protocol in protocols for latency in protocol.latencies_ns],
    }


def main() -> None:
    """Answer until standard input ends."""
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(uvloop.run(put(json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
