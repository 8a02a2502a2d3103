"""Brings shipments into the service in bulk, and gets events out of it."""

import asyncio
import io
import json
import time
from dataclasses import dataclass

import aiohttp
import msgspec

from benchmarks.documents import EVENT_BYTES, SHIPMENT_EVENTS, bulk_lines, document
from benchmarks.figures import BenchmarkFailed
from benchmarks.processes import PATIENCE_S, Account, Receiver

LINES_A_REQUEST = 10_000  # about 10 MB, of the 64 MiB that a bulk request may have
PAGE = 1000


class _Page(msgspec.Struct):
    items: list[msgspec.Raw]
    next: int | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A bulk request that was taken whole. Instants in nanoseconds of CLOCK_MONOTONIC."""

    began_ns: int
    answered_ns: int
    shipments: int

    @property
    def events(self) -> int:
        """How many events followed."""
        return self.shipments * SHIPMENT_EVENTS

    @property
    def accepted_per_s(self) -> float:
        """Shipments accepted for each second."""
        return self.shipments * 1e9 / (self.answered_ns - self.began_ns)


def load(account: Account, prefix: str, numbers: range, padding: int) -> Loaded:
    """Put these shipments in bulk, in one request after the other. Raises BenchmarkFailed unless each is new."""
    parts = [
        (
            numbers[start : start + LINES_A_REQUEST],
            bulk_lines(prefix, numbers[start : start + LINES_A_REQUEST], padding),
        )
        for start in range(0, len(numbers), LINES_A_REQUEST)
    ]
    began_ns = time.monotonic_ns()
    answers = [(len(part), asyncio.run(_post(account, lines))) for part, lines in parts]
    answered_ns = time.monotonic_ns()
    for expected, answer in answers:
        results = [json.loads(line) for line in answer.splitlines()]
        new = [result for result in results if result["status"] == 201 and len(result["events"]) == SHIPMENT_EVENTS]
        if len(new) != expected:
            odd = next((result for result in results if result not in new), None)
            raise BenchmarkFailed(f"{len(new)} of {expected} bulk lines made a new shipment; one of the others: {odd}")
    return Loaded(began_ns, answered_ns, len(numbers))


@dataclass(frozen=True, slots=True)
class Rates:
    """Shipments accepted for each second until the answer, and events delivered until the last arrival."""

    accepted_per_s: float
    delivered_per_s: float


def deliver(receiver: Receiver, account: Account, prefix: str, numbers: range, padding: int) -> Rates:
    """Put these shipments in bulk and wait until each of their events has arrived, once."""
    receiver.ask("reset")
    loaded = load(account, prefix, numbers, padding)
    arrived = receiver.wait_for(loaded.events)
    if arrived["requests"] != loaded.events:
        raise BenchmarkFailed(f"{arrived['requests']} requests for {loaded.events} events: something was sent twice")
    return Rates(loaded.accepted_per_s, loaded.events * 1e9 / (arrived["last_at_ns"] - loaded.began_ns))


async def _post(account: Account, lines: bytes) -> bytes:
    """POST the lines, and take the results while they are still being sent."""
    url = f"http://127.0.0.1:{account.service.port}/v1/bulk/shipments"
    headers = {"authorization": f"Bearer {account.token}", "content-type": "application/x-ndjson"}
    timeout = aiohttp.ClientTimeout(total=None, sock_read=PATIENCE_S)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(url, data=io.BytesIO(lines), headers=headers) as answer,
    ):
        body = await answer.read()
        if answer.status != 200:
            raise BenchmarkFailed(f"bulk answered {answer.status}: {body[:500].decode(errors='replace')}")
        return body


def fit_padding(account: Account) -> int:
    """Give the padding that brings the body of an event to EVENT_BYTES, found with one shipment."""
    account.call("PUT", "/v1/shipments/PADDING", document(0))
    sizes = [len(body) for body in event_bodies(account, SHIPMENT_EVENTS)]
    return max(0, EVENT_BYTES - sum(sizes) // len(sizes))


def event_bodies(account: Account, count: int) -> list[bytes]:
    """Give the first events of the account's log, byte for byte."""
    bodies: list[bytes] = []
    after: int | None = 0
    while after is not None and len(bodies) < count:
        answer = account.service.call(account.token, "GET", f"/v1/events?after={after}&limit={PAGE}")
        page = msgspec.json.decode(answer, type=_Page)
        bodies += [bytes(item) for item in page.items]
        after = page.next
    return bodies[:count]
