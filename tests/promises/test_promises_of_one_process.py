"""What Waypost promises, held against a real service in its own process. The crash test has the rest."""

import re
import socket
from collections import Counter
from pathlib import Path

import pytest

from service_process import Receiver, Service, free_port, wait_for

RECORDING = Path(__file__).with_name("recording")


@pytest.fixture
def service(tmp_path):
    service = Service(tmp_path).start()
    yield service
    service.kill()


@pytest.fixture
def receiver(tmp_path):
    receiver = Receiver(tmp_path / "arrivals.jsonl").start()
    yield receiver
    receiver.stop()


@pytest.fixture
def silent_port():
    """A port that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        yield listener.getsockname()[1]


def add_endpoint(service, url, **settings):
    status, made = service.call("POST", "/v1/endpoints", {"url": url, **settings})
    assert status == 201, made
    return f"/v1/endpoints/{made['id']}"


def put(service, reference, weight="1"):
    document = {"handling_units": [{"id": "hu_1", "gross_weight_kg": weight}]}
    status, answer = service.call("PUT", f"/v1/shipments/{reference}", document)
    assert status in {200, 201}, answer
    return answer["events"]


def wait_until_settled(service, path):
    wait_for(lambda: service.call("GET", path)[1]["waiting"] == 0, "everything to be settled")


def test_no_event_is_sent_twice_without_a_cause(service, receiver):
    path = add_endpoint(service, receiver.url)
    accepted = [event["id"] for number in range(50) for event in put(service, f"SO-{number}")]
    wait_until_settled(service, path)
    assert Counter(arrival["id"] for arrival in receiver.arrivals()) == Counter(accepted)


def test_a_restart_in_good_order_repeats_nothing_and_loses_nothing(service, receiver):
    path = add_endpoint(service, receiver.url)
    accepted = [event["id"] for number in range(50) for event in put(service, f"SO-{number}")]
    service.stop()
    service.start()
    accepted += [event["id"] for event in put(service, "SO-after")]
    wait_until_settled(service, path)
    arrived = Counter(arrival["id"] for arrival in receiver.arrivals())
    assert set(arrived) == set(accepted)
    # An attempt that SIGTERM cut off is unknown, and may come again; never more than were out at once.
    assert sum(arrived.values()) - len(accepted) <= 16


def test_an_endpoint_that_never_answers_costs_only_itself(service, receiver, silent_port):
    silent = add_endpoint(service, f"http://127.0.0.1:{silent_port}/hooks", timeout_seconds=60)
    healthy = add_endpoint(service, receiver.url)
    for number in range(100):
        put(service, f"SO-{number}")
    wait_until_settled(service, healthy)
    assert len(receiver.arrivals()) == 200
    assert service.call("GET", silent)[1]["waiting"] == 200  # its first attempts still hang: 60 s are not over


def test_what_a_receiver_that_is_down_missed_comes_in_order_when_it_is_back(service, receiver):
    receiver.stop()
    path = add_endpoint(service, receiver.url, retry_schedule=[0.1] * 30)
    for weight in range(1, 21):
        put(service, "SO-1", str(weight))
    wait_for(lambda: service.call("GET", path)[1]["state"] == "failing", "the endpoint to be failing")
    assert service.call("GET", path)[1]["waiting"] == 21
    receiver.start()
    wait_until_settled(service, path)
    assert [arrival["sequence"] for arrival in receiver.arrivals()] == list(range(1, 22))


def test_a_new_endpoint_from_the_beginning_gets_history_first_and_in_order(service, receiver):
    for weight in range(1, 11):
        put(service, "SO-1", str(weight))
    path = add_endpoint(service, receiver.url, start="beginning")
    put(service, "SO-1", "11")
    wait_until_settled(service, path)
    assert [arrival["sequence"] for arrival in receiver.arrivals()] == list(range(1, 13))


@pytest.mark.parametrize("host", ["169.254.169.254", "10.0.0.7", "[::ffff:10.0.0.7]", "2130706433", "localhost."])
def test_nobody_is_let_in_by_a_webhook(tmp_path, host):
    with_nothing_allowed = Service(tmp_path, environment={"WAYPOST_EGRESS_ALLOW": ""}).start()
    try:
        status, problem = with_nothing_allowed.call("POST", "/v1/endpoints", {"url": f"http://{host}/hooks"})
        assert (status, problem["errors"][0]["path"]) == (422, "/url")
    finally:
        with_nothing_allowed.kill()


def test_the_service_connects_to_nobody_but_its_endpoints(tmp_path, receiver):
    recorded = tmp_path / "connections"
    environment = {"PYTHONPATH": str(RECORDING), "CONNECTIONS_FILE": str(recorded)}
    service = Service(tmp_path, environment=environment).start()
    try:
        path = add_endpoint(service, receiver.url)
        add_endpoint(service, f"http://127.0.0.1:{free_port()}/nobody-there")
        put(service, "SO-1")
        wait_until_settled(service, path)
        service.call("POST", f"{path}/test", {"type": "shipment.created"})
        service.call("GET", "/docs")
    finally:
        service.stop()
    lines = recorded.read_text().splitlines()
    ports = {int(match[1]) for line in lines if (match := re.search(r"\('127\.0\.0\.1', (\d+)\)", line))}
    assert receiver.port in ports, "the recorder sees no connection, so it proves nothing"
    foreign = [line for line in lines if not re.search(r"'127\.0\.0\.1'|'/(dev|run|tmp)", line)]
    assert foreign == []
