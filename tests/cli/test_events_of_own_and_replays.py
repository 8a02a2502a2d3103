"""Own events and replays from the command line, against a real service and a real receiver."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from cli.running import Ran, waypost
from service_process import OPERATOR_TOKEN, Service, wait_for

TYPE = {
    "type": "invoice.created",
    "title": "Invoice made",
    "schema": {"type": "object", "properties": {"total": {"multipleOf": 0.01}}, "required": ["total"]},
    "example": {"total": 612.5},
}
EVENT = {"type": "invoice.created", "key": "R-1", "id": "tms-1", "data": {"total": 612.5}}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("service")).start()
    yield running
    running.stop()


@pytest.fixture
def run(service: Service, request: pytest.FixtureRequest) -> Any:
    """Runs a command for an account of the test's own."""
    account = f"t-{abs(hash(request.node.name)) % 10**9}"
    service.call("POST", "/v1/accounts", {"id": account, "name": request.node.name[:60]})
    given = {"WAYPOST_URL": f"http://127.0.0.1:{service.port}", "WAYPOST_TOKEN": OPERATOR_TOKEN}

    def command(*arguments: str, stdin: str = "") -> Ran:
        return waypost(*arguments, "--account", account, given=given, stdin=stdin)

    command.account = account  # type: ignore[attr-defined]
    return command


class Noting(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        names = ("webhook-id", "waypost-replay", "waypost-attempt")
        told = (self.path, *(self.headers.get(name) for name in names), body)
        self.server.arrivals.append(told)  # type: ignore[attr-defined]
        self.send_response(422 if told[1] == self.server.refused else 200)  # type: ignore[attr-defined]
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Any]:
    """A server that notes what arrives, and takes all but the event whose id is its `refused`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Noting) as server:
        server.refused, server.arrivals = None, []  # type: ignore[attr-defined]
        server.base = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def an_endpoint(run: Any, receiver: Any, *, retry_schedule: list[float] | None = None) -> str:
    """Add an endpoint for everything, put three shipments, and wait until what they made has arrived."""
    settings = json.dumps({"retry_schedule": retry_schedule} if retry_schedule else {})
    added = run("endpoint", "add", f"{receiver.base}/live", "--events", "*", "--settings", "-", "--json",
                stdin=settings)  # fmt: skip
    return str(json.loads(added.out)["id"])


def put(run: Any, count: int = 3) -> None:
    for number in range(count):
        assert run("shipment", "put", f"SO-{number}", "-", stdin="{}").code == 0


def settled(service: Service, run: Any, endpoint_id: str, state: str, count: int) -> bool:
    path = f"/v1/endpoints/{endpoint_id}/deliveries?state={state}"
    return len(service.call("GET", path, account=run.account)[1]["items"]) == count


def test_a_type_is_put_and_an_event_of_it_sent(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "type.json"
    file.write_text(json.dumps(TYPE))
    assert run("events", "put-type", str(file)).out == "invoice.created is registered.\n"
    assert run("events", "put-type", str(file)).out == "invoice.created is changed for the events to come.\n"
    assert run("events", "types", "--own").out.splitlines()[1] == "invoice.created\tInvoice made\tyes"
    sent = run("events", "send", "-", stdin=json.dumps(EVENT))
    assert sent.out == "tms-1 is in the log: invoice.created, 1 of R-1, position 1.\n"
    again = run("events", "send", "-", "--json", stdin=json.dumps(EVENT))
    assert (again.code, json.loads(again.out)["id"]) == (0, "tms-1")


def test_what_is_wrong_with_an_event_is_said_in_lines(run: Any) -> None:
    run("events", "put-type", "-", stdin=json.dumps(TYPE))
    refused = run("events", "send", "-", stdin=json.dumps(EVENT | {"data": {}}))
    assert (refused.code, refused.err.splitlines()[1]) == (1, '  /data: "total" is a required property')
    unnamed = run("events", "put-type", "-", stdin='{"schema": true}')
    assert (unnamed.code, "type" in unnamed.err) == (1, True)


def test_a_replay_sends_what_was_delivered_again_marked_and_alike(service: Service, run: Any, receiver: Any) -> None:
    endpoint_id = an_endpoint(run, receiver)
    put(run)
    wait_for(lambda: settled(service, run, endpoint_id, "delivered", 6), "the deliveries")
    dry = run("events", "replay", endpoint_id, "--which", "all", "--type", "shipment.created", "--dry-run")
    assert dry.out == "3 deliveries match.\n"
    live = list(receiver.arrivals)
    ended = run("events", "replay", endpoint_id, "--which", "all", "--type", "shipment.created", "--json")
    job = json.loads(ended.out)
    assert (ended.code, job["state"], job["matched"], job["done"]) == (0, "done", 3, 3)
    again = receiver.arrivals[len(live) :]
    first = {event_id: body for _, event_id, _, _, body in live}
    assert [(path, replay, attempt) for path, _, replay, attempt, _ in again] == [("/live", job["id"], "2")] * 3
    assert all(first[event_id] == body for _, event_id, _, _, body in again)


def test_what_failed_is_delivered_by_a_replay_and_the_log_says_so(service: Service, run: Any, receiver: Any) -> None:
    endpoint_id = an_endpoint(run, receiver, retry_schedule=[2.0])
    run("events", "put-type", "-", stdin=json.dumps(TYPE))
    receiver.refused = "tms-1"
    run("events", "send", "-", stdin=json.dumps(EVENT))
    wait_for(lambda: receiver.arrivals, "the first attempt")
    put(run, 1)  # others get through, so it is the event that is refused
    wait_for(lambda: settled(service, run, endpoint_id, "failed", 1), "the final failure")
    receiver.refused = None
    assert run("events", "replay", endpoint_id, "--which", "failed", "--dry-run").out == "1 delivery matches.\n"
    assert run("events", "replay", endpoint_id, "--which", "failed", "--type", "invoice.*").code == 0
    _, delivery = service.call("GET", f"/v1/endpoints/{endpoint_id}/deliveries/tms-1", account=run.account)
    assert (delivery["state"], len(delivery["attempts"])) == ("delivered", 3)


def test_a_replay_to_another_url_leaves_the_endpoint_alone(service: Service, run: Any, receiver: Any) -> None:
    endpoint_id = an_endpoint(run, receiver)
    put(run)
    wait_for(lambda: settled(service, run, endpoint_id, "delivered", 6), "the deliveries")
    live = len(receiver.arrivals)
    ended = run("events", "replay", endpoint_id, "--which", "all", "--to-url", f"{receiver.base}/spare")
    assert (ended.code, ended.out.endswith("is done; 6 of 6 deliveries are settled.\n")) == (0, True), ended
    spared = [(path, replay is not None, attempt) for path, _, replay, attempt, _ in receiver.arrivals[live:]]
    assert spared == [("/spare", True, "1")] * 6
    _, listed = service.call("GET", f"/v1/endpoints/{endpoint_id}/deliveries", account=run.account)
    assert {delivery["attempts"] for delivery in listed["items"]} == {1}
    _, endpoints = service.call("GET", "/v1/endpoints", account=run.account)
    assert [endpoint["id"] for endpoint in endpoints["items"]] == [endpoint_id]


def test_a_replay_that_is_not_waited_for_can_be_cancelled(service: Service, run: Any, receiver: Any) -> None:
    endpoint_id = an_endpoint(run, receiver)
    put(run)
    wait_for(lambda: settled(service, run, endpoint_id, "delivered", 6), "the deliveries")
    assert run("endpoint", "pause", endpoint_id).code == 0
    begun = run("events", "replay", endpoint_id, "--which", "all", "--no-wait", "--json")
    job = json.loads(begun.out)
    cancelled = run("events", "cancel-replay", endpoint_id, job["id"])
    assert cancelled.out == f"Replay {job['id']} is cancelled; 0 of 6 deliveries are settled.\n"


def test_a_replay_needs_to_know_which(run: Any) -> None:
    assert run("events", "replay", "ep_1").code == 2
    assert run("events", "replay", "ep_1", "--which", "all").code == 1
