"""What only the service in its own process can show: its server, its delivery side, its end."""

import runpy
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from docs.builders import ROOT
from service_process import OPERATOR_TOKEN, PATIENCE_S, Receiver, Service, free_port, wait_for
from waypost.receiver import verify

BULK_HEAD = (
    b"POST /v1/bulk/shipments HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\n"
    b"authorization: Bearer %b\r\ntransfer-encoding: chunked\r\n\r\n" % OPERATOR_TOKEN.encode()
)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """The service."""
    service = Service(tmp_path).start()
    yield service
    service.kill()


@pytest.fixture
def client(service: Service) -> Iterator[socket.socket]:
    """A connection to it."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE_S) as client:
        yield client


def send_line(client: socket.socket, number: int) -> None:
    line = b'{"reference": "SO-%d"}\n' % number
    client.sendall(b"%x\r\n%b\r\n" % (len(line), line))


def test_a_bulk_client_that_waits_for_each_result_gets_it_before_it_sends_the_next_line(
    client: socket.socket,
) -> None:
    answer = client.makefile("rb")
    client.sendall(BULK_HEAD)
    for number in range(1, 6):
        send_line(client, number)
        while b'"reference":"SO-%d"' % number not in answer.readline():
            pass
    client.sendall(b"0\r\n\r\n")
    assert answer.readline() == b"\r\n"
    assert answer.readline() == b"0\r\n"


def test_the_attempts_of_a_delivery_say_what_they_mean_and_those_of_a_test_leave_it_to_the_answer(
    service: Service, tmp_path: Path
) -> None:
    receiver = Receiver(tmp_path / "arrivals.jsonl").start()
    try:
        _, endpoint = service.call("POST", "/v1/endpoints", {"url": receiver.url})
        path = f"/v1/endpoints/{endpoint['id']}"
        _, put = service.call("PUT", "/v1/shipments/SO-1", {})
        _, tested = service.call("POST", f"{path}/test")
        delivery = f"{path}/deliveries/{put['events'][0]['id']}"
        wait_for(lambda: service.call("GET", delivery)[1]["state"] == "delivered", "the delivery")
        (attempt,) = service.call("GET", delivery)[1]["attempts"]
    finally:
        receiver.stop()
    assert attempt.keys() - tested["attempt"].keys() == {"verdict", "explanation"}
    assert (attempt["verdict"], tested["verdict"]) == ("delivered", "delivered")
    assert msgspec.json.decode(attempt["request"]["body"])["id"] == put["events"][0]["id"]


class Agreeing(BaseHTTPRequestHandler):
    """A receiver that takes whatever comes."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def receiving_tests(service: Service, **settings: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make an endpoint and press its test button; gives the endpoint and the attempt."""
    with HTTPServer(("127.0.0.1", 0), Agreeing) as receiver:
        serving = threading.Thread(target=receiver.serve_forever)
        serving.start()
        url = f"http://127.0.0.1:{receiver.server_port}/"
        _, endpoint = service.call("POST", "/v1/endpoints", {"url": url, **settings})
        _, tested = service.call("POST", f"/v1/endpoints/{endpoint['id']}/test", {"type": "shipment.updated"})
        receiver.shutdown()
        serving.join()
    assert tested["verdict"] == "delivered", tested
    return endpoint, tested["attempt"]


def test_a_test_that_is_signed_with_a_key_passes_with_the_published_one(service: Service) -> None:
    endpoint, attempt = receiving_tests(service, signature=["v1a"])
    copied = ROOT / "src" / "waypost" / "dashboard" / "receivers" / "python" / "keys.py"
    public_keys = runpy.run_path(str(copied))["public_keys"]
    keys = public_keys(f"http://127.0.0.1:{service.port}", endpoint["id"])
    assert keys == [endpoint["public_key"]]
    event = verify(attempt["request"]["body"].encode(), attempt["request"]["headers"], secret=keys)
    assert event.type == "shipment.updated"


def test_a_test_goes_out_in_the_format_of_its_endpoint(service: Service) -> None:
    _, attempt = receiving_tests(service, format="cloudevents", payload="changes")
    event = msgspec.json.decode(attempt["request"]["body"])
    assert (event["specversion"], event["test"], "shipment" in event["data"]) == ("1.0", True, False)
    assert attempt["request"]["headers"]["content-type"] == "application/cloudevents+json"


def test_a_test_of_an_endpoint_of_batches_is_a_batch_of_one(service: Service) -> None:
    _, attempt = receiving_tests(service, format="batch", payload="reference")
    (event,) = msgspec.json.decode(attempt["request"]["body"])
    headers = attempt["request"]["headers"]
    assert (headers["webhook-id"], headers["waypost-event-type"]) == (f"bat_{event['id']}-1", "batch")
    assert event["data"] == {}


def test_a_test_shows_the_receiver_who_we_are_and_the_caller_that_it_is_hidden(
    service: Service, tmp_path: Path
) -> None:
    _, attempt = receiving_tests(service, auth={"type": "bearer", "token": "canary"})
    assert attempt["request"]["headers"]["authorization"] == "(hidden)"
    assert "canary" not in (tmp_path / "service.log").read_text()


def test_a_test_without_an_access_token_says_what_the_token_endpoint_did(service: Service) -> None:
    auth = {"type": "oauth2_client_credentials", "client_id": "waypost", "client_secret": "canary"}
    token_url = f"http://127.0.0.1:{free_port()}/token"
    settings = {"url": "http://127.0.0.2:8080/", "auth": auth | {"token_url": token_url}}
    _, endpoint = service.call("POST", "/v1/endpoints", settings)
    _, tested = service.call("POST", f"/v1/endpoints/{endpoint['id']}/test")
    assert tested["verdict"] == "failed"
    assert tested["explanation"] == f"The token endpoint {token_url} takes no connections. Check token_url."
    assert "canary" not in str(tested)


def test_a_delivery_shows_what_was_sent_by_the_settings_of_then(service: Service) -> None:
    with HTTPServer(("127.0.0.1", 0), Agreeing) as receiver:
        serving = threading.Thread(target=receiver.serve_forever)
        serving.start()
        settings = {"url": f"http://127.0.0.1:{receiver.server_port}/", "payload": "reference", "format": "cloudevents"}
        _, endpoint = service.call("POST", "/v1/endpoints", settings)
        _, put = service.call("PUT", "/v1/shipments/SO-1", {})
        path = f"/v1/endpoints/{endpoint['id']}"
        delivery = f"{path}/deliveries/{put['events'][0]['id']}"
        wait_for(lambda: service.call("GET", delivery)[1]["state"] == "delivered", "the delivery")
        service.call("PATCH", path, {"payload": "full", "format": "waypost"})
        (attempt,) = service.call("GET", delivery)[1]["attempts"]
        receiver.shutdown()
        serving.join()
    body = msgspec.json.decode(attempt["request"]["body"])
    assert (body["specversion"], body["id"], body["data"]) == ("1.0", put["events"][0]["id"], {})
    assert "rendering" not in attempt


def test_a_delivery_shows_the_one_body_that_told_what_was_folded(service: Service) -> None:
    bodies: list[bytes] = []

    class Keeping(Agreeing):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(204)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Keeping) as receiver:
        serving = threading.Thread(target=receiver.serve_forever)
        serving.start()
        url = f"http://127.0.0.1:{receiver.server_port}/"
        settings = {"url": url, "events": ["shipment.updated"], "coalesce": True, "payload": "changes"}
        _, endpoint = service.call("POST", "/v1/endpoints", settings)
        path = f"/v1/endpoints/{endpoint['id']}"
        service.call("POST", f"{path}/pause")
        service.call("PUT", "/v1/shipments/SO-1", {"tags": []})
        puts = [service.call("PUT", "/v1/shipments/SO-1", {"tags": list("abc"[:count])})[1] for count in (1, 2, 3)]
        service.call("POST", f"{path}/resume")
        delivery = f"{path}/deliveries/{puts[-1]['events'][0]['id']}"
        wait_for(lambda: service.call("GET", delivery)[1]["state"] == "delivered", "the delivery")
        (attempt,) = service.call("GET", delivery)[1]["attempts"]
        receiver.shutdown()
        serving.join()
    assert [attempt["request"]["body"].encode()] == bodies
    assert [change["new"] for change in msgspec.json.decode(bodies[0])["data"]["changes"]] == ["a", "b", "c"]


def test_a_delivery_that_came_to_no_request_shows_none(service: Service) -> None:
    auth = {"type": "oauth2_client_credentials", "client_id": "waypost", "client_secret": "canary"}
    token_url = f"http://127.0.0.1:{free_port()}/token"
    settings = {"url": "http://127.0.0.2:8080/", "auth": auth | {"token_url": token_url}}
    _, endpoint = service.call("POST", "/v1/endpoints", settings)
    _, put = service.call("PUT", "/v1/shipments/SO-1", {})
    delivery = f"/v1/endpoints/{endpoint['id']}/deliveries/{put['events'][0]['id']}"
    wait_for(lambda: service.call("GET", delivery)[1]["attempts"], "the attempt")
    attempt = service.call("GET", delivery)[1]["attempts"][0]
    assert (attempt["request"]["headers"], attempt["request"]["body"]) == ({}, "")
    assert attempt["outcome"] == "refused"
