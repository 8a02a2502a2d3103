"""What only the service in its own process can show: its server, its delivery side, its end."""

import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from service_process import OPERATOR_TOKEN, PATIENCE_S, Receiver, Service, wait_for

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
