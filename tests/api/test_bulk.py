import asyncio
from typing import Any

import msgspec
from structlog.testing import capture_logs

from api.asgi_client import Client, Reply
from api.conftest import on_both_databases

NDJSON = {"Content-Type": "application/x-ndjson"}


def line(reference: str, **document: Any) -> bytes:
    return msgspec.json.encode({"reference": reference, **document}) + b"\n"


async def bulk(api: Client, *pieces: bytes, headers: dict[str, str] | None = None) -> Reply:
    return await api.call("POST", "/v1/bulk/shipments", body=list(pieces), headers=NDJSON | (headers or {}))


@on_both_databases
async def test_each_line_is_answered_in_order_whatever_becomes_of_it(api: Client) -> None:
    body = line("SO-1") + line("SO-2", eta={"at": "2026-11-30T15:00:00"}) + b"{broken\n" + line("SO-1", tags=["a"])
    results = (await bulk(api, body)).lines()
    assert [(result["line"], result["status"], result["reference"]) for result in results] == [
        (1, 201, "SO-1"),
        (2, 422, "SO-2"),
        (3, 400, None),
        (4, 200, "SO-1"),
    ]
    assert [list(result) for result in results[:2]] == [
        ["line", "status", "reference", "version", "events"],
        ["line", "status", "reference", "errors"],
    ]
    assert results[1]["errors"][0]["path"] == "/eta/at"
    assert results[3]["version"] == 2


async def test_the_body_may_be_cut_anywhere_and_needs_no_last_line_end(api: Client) -> None:
    body = b"".join(line(f"SO-{number}", tags=["ä"]) for number in range(100)).rstrip()
    pieces = [body[start : start + 37] for start in range(0, len(body), 37)]
    results = (await bulk(api, *pieces)).lines()
    assert [result["line"] for result in results] == list(range(1, 101))
    assert {result["status"] for result in results} == {201}


async def test_lines_about_one_shipment_are_taken_in_their_order(api: Client) -> None:
    body = b"".join(line("SO-1", tags=[f"t{number}"]) for number in range(200))
    results = (await bulk(api, body)).lines()
    assert [result["version"] for result in results] == list(range(1, 201))
    assert (await api.call("GET", "/v1/shipments/SO-1")).json()["tags"] == ["t199"]


async def test_results_come_while_the_body_is_still_being_sent(api: Client) -> None:
    gate = asyncio.Event()
    pieces = GatedPieces([line("SO-1"), line("SO-2")], gate)
    exchange = api.app(pieces.scope(api), pieces.receive, pieces.send)
    serving = asyncio.create_task(exchange)
    first = await pieces.result()
    assert first["reference"] == "SO-1"
    gate.set()
    assert (await pieces.result())["reference"] == "SO-2"
    await serving


class GatedPieces:
    """Sends its first piece at once, and the rest only when the gate opens."""

    def __init__(self, pieces: list[bytes], gate: asyncio.Event) -> None:
        self._pieces = pieces
        self._gate = gate
        self._sent = 0
        self._results: asyncio.Queue[bytes] = asyncio.Queue()

    def scope(self, api: Client) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {api.token}", "content-type": "application/x-ndjson"}
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        path = "/v1/bulk/shipments"
        return {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": pairs,
            "root_path": "",
        }

    async def receive(self) -> dict[str, Any]:
        if self._sent:
            await self._gate.wait()
        self._sent += 1
        return {"type": "http.request", "body": self._pieces.pop(0), "more_body": bool(self._pieces)}

    async def send(self, message: dict[str, Any]) -> None:
        if message.get("body"):
            await self._results.put(message["body"])

    async def result(self) -> Any:
        return msgspec.json.decode(await asyncio.wait_for(self._results.get(), 10))


async def test_no_more_of_the_body_is_taken_in_than_is_answered(api: Client) -> None:
    taken = 0

    def pieces() -> Any:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield line(f"SO-{number}")

    source = pieces()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": next(source), "more_body": True}

    stuck = asyncio.Event()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            stuck.set()
            await asyncio.Event().wait()

    scope = GatedPieces([], asyncio.Event()).scope(api)
    serving = asyncio.create_task(api.app(scope, receive, send))
    await stuck.wait()
    for _ in range(50):
        await asyncio.sleep(0)
    assert taken < 20
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_a_line_that_is_too_long_fails_alone(api: Client) -> None:
    long = line("SO-2", tags=["x" * (1024 * 1024)])
    results = (await bulk(api, line("SO-1"), long, line("SO-3"))).lines()
    assert [result["status"] for result in results] == [201, 413, 201]


async def test_a_body_that_announces_more_than_64_mib_is_refused(api: Client) -> None:
    reply = await bulk(api, line("SO-1"), headers={"Content-Length": str(64 * 1024 * 1024 + 1)})
    assert reply.status == 413


async def test_a_body_that_grows_past_64_mib_ends_with_a_line_that_says_so(api: Client) -> None:
    blank = b" " * (1024 * 1024 - 1) + b"\n"
    results = (await bulk(api, line("SO-1"), *[blank] * 64)).lines()
    assert [result["status"] for result in results] == [201, 413]


async def test_only_ndjson_is_taken(api: Client) -> None:
    reply = await api.call(
        "POST", "/v1/bulk/shipments", body=line("SO-1"), headers={"Content-Type": "application/json"}
    )
    assert reply.status == 415


async def test_nothing_sent_is_nothing_answered(api: Client) -> None:
    reply = await bulk(api, b"\n\n")
    assert (reply.status, reply.body) == (200, b"")


async def test_a_repeated_request_with_a_key_answers_as_before(api: Client) -> None:
    body = line("SO-1") + line("SO-2", tags=3) + line("SO-1", tags=["a"])
    first = await bulk(api, body, headers={"Idempotency-Key": "k1"})
    again = await bulk(api, body, headers={"Idempotency-Key": "k1"})
    other = await bulk(api, line("SO-9"), headers={"Idempotency-Key": "k1"})
    assert first.body == again.body
    assert [result["status"] for result in other.lines()] == [422]
    assert (await api.call("GET", "/v1/shipments/SO-9")).status == 404


async def test_one_bad_line_among_many_leaves_no_gap_in_the_log(api: Client) -> None:
    body = b"".join(line(f"SO-{number}") + line(f"SO-{number}", is_return="?") for number in range(50))
    await bulk(api, body)
    events = (await api.call("GET", "/v1/events?limit=1000")).json()["items"]
    assert [event["position"] for event in events] == list(range(1, 101))


async def test_what_was_sent_before_the_client_hung_up_stands_and_is_no_fault_of_ours(api: Client) -> None:
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": line("SO-1") + b'{"reference": "SO-', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        pass

    with capture_logs() as logged:
        await api.app(GatedPieces([], asyncio.Event()).scope(api), receive, send)
    assert logged == []
    assert (await api.call("GET", "/v1/shipments/SO-1")).status == 200
