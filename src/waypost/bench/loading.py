"""Brings shipments into the service in bulk, and gets events out of it."""

import asyncio
import io
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Literal, Self

import aiohttp
import msgspec

from waypost.bench.documents import EVENT_BYTES, SHIPMENT_EVENTS, bulk_lines, document, put_body
from waypost.bench.figures import BenchmarkFailed
from waypost.bench.processes import PATIENCE_S, Account, Receiver

CALLS_AT_ONCE = 32
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


def deliver(
    receiver: Receiver,
    account: Account,
    prefix: str,
    numbers: range,
    padding: int,
    deliveries_each: int = SHIPMENT_EVENTS,
) -> Rates:
    """Put these shipments in bulk and wait until the deliveries that follow from each have arrived, once."""
    receiver.ask("reset")
    loaded = load(account, prefix, numbers, padding)
    expected = loaded.shipments * deliveries_each
    arrived = receiver.wait_for(expected)
    if arrived["requests"] != expected:
        raise BenchmarkFailed(f"{arrived['requests']} requests for {expected} deliveries: something was sent twice")
    return Rates(loaded.accepted_per_s, expected * 1e9 / (arrived["last_at_ns"] - loaded.began_ns))


def add_endpoints(account: Account, endpoints: Sequence[Mapping[str, object]]) -> list[str]:
    """Make these endpoints, many at once, and give their ids in order."""
    return asyncio.run(_call_all(account, [("/v1/endpoints", endpoint) for endpoint in endpoints]))


def tell_endpoints(account: Account, endpoint_ids: Sequence[str], what: Literal["pause", "resume"]) -> None:
    """Pause or resume these endpoints, many at once."""
    asyncio.run(_call_all(account, [(f"/v1/endpoints/{endpoint_id}/{what}", None) for endpoint_id in endpoint_ids]))


async def _call_all(account: Account, calls: Sequence[tuple[str, Mapping[str, object] | None]]) -> list[str]:
    """POST these, CALLS_AT_ONCE at a time, and give the ids that are answered."""
    ids = [""] * len(calls)
    waiting = iter(enumerate(calls))
    headers = {"authorization": f"Bearer {account.token}"}

    async def one_after_the_other(session: aiohttp.ClientSession) -> None:
        for number, (path, body) in waiting:  # shared: each takes the next one
            async with session.post(f"http://127.0.0.1:{account.service.port}{path}", json=body) as answer:
                told = await answer.json()
                if not answer.ok:
                    raise BenchmarkFailed(f"POST {path} answered {answer.status}: {told}")
                ids[number] = told["id"]

    async with aiohttp.ClientSession(headers=headers) as session:
        await asyncio.gather(*(one_after_the_other(session) for _ in range(CALLS_AT_ONCE)))
    return ids


@dataclass(frozen=True, slots=True)
class Put:
    """One PUT: when it was sent and answered, in nanoseconds of CLOCK_MONOTONIC, and the ids of its events."""

    sent_ns: int
    answered_ns: int
    event_ids: list[str]


class OneByOne:
    """PUTs new shipments one at a time on a connection that is kept. Use it in a `with` statement."""

    def __init__(self, account: Account, padding: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", account.service.port, timeout=PATIENCE_S)
        self._headers = {"authorization": f"Bearer {account.token}", "content-type": "application/json"}
        self._padding = padding

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def put(self, reference: str, number: int) -> Put:
        """PUT one. Raises BenchmarkFailed unless it is new."""
        body = put_body(number, self._padding)
        sent_ns = time.monotonic_ns()
        self._connection.request("PUT", f"/v1/shipments/{reference}", body, self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        answered_ns = time.monotonic_ns()
        if answer.status != 201:
            raise BenchmarkFailed(f"a PUT was answered {answer.status}: {text[:500].decode(errors='replace')}")
        return Put(sent_ns, answered_ns, [event["id"] for event in json.loads(text)["events"]])


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
