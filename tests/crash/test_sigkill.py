"""The service is killed under load, again and again. What it acknowledged must arrive, in order for each shipment."""

import random
import threading
from collections import defaultdict
from http.client import HTTPException

import pytest

from service_process import Receiver, Service, wait_for

SHIPMENTS = 40
SENDERS = 8
KILLS = 4
WRITES_BETWEEN_KILLS = range(30, 300)
SEED = 20261201  # of the moments at which it is killed


class Senders:
    """Threads that put shipments, one weight after another, and remember what was acknowledged."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.acknowledged: dict[str, dict] = {}
        self.versions: dict[str, int] = defaultdict(int)
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._send, args=(number,)) for number in range(SENDERS)]
        for thread in self.threads:
            thread.start()

    def _send(self, number: int) -> None:
        dice = random.Random(number)
        weight = 0
        while not self.stopping.is_set():
            weight += 1
            reference = f"SO-{number}-{dice.randrange(SHIPMENTS // SENDERS)}"
            document = {"handling_units": [{"id": "hu_1", "gross_weight_kg": str(weight)}]}
            try:
                status, answer = self.service.call("PUT", f"/v1/shipments/{reference}", document)
            except (OSError, HTTPException):
                self.stopping.wait(0.05)  # it is down; nothing was acknowledged
                continue
            assert status in {200, 201}, answer
            with self.lock:
                for event in answer["events"]:
                    self.acknowledged[event["id"]] = event | {"reference": reference}
                self.versions[reference] = max(self.versions[reference], answer["shipment"]["version"])

    def count(self) -> int:
        with self.lock:
            return len(self.acknowledged)

    def stop(self) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def killed_again_and_again(tmp_path):
    """The service after kills at random moments under load and a quiet end, the receiver, and what was acknowledged."""
    receiver = Receiver(tmp_path / "arrivals.jsonl").start()
    service = Service(tmp_path).start()
    endpoint = {"url": receiver.url, "retry_schedule": [0.1, 0.2, 0.5, 1, 1, 1]}
    status, made = service.call("POST", "/v1/endpoints", endpoint)
    assert status == 201, made
    senders = Senders(service)
    try:
        dice = random.Random(SEED)
        for _ in range(KILLS):
            mark = senders.count() + dice.choice(WRITES_BETWEEN_KILLS)
            wait_for(lambda mark=mark: senders.count() >= mark, "the senders to get on")
            service.kill()
            service.start()
        senders.stop()
        path = f"/v1/endpoints/{made['id']}"
        wait_for(lambda: service.call("GET", path)[1]["waiting"] == 0, "everything to be settled")
        yield service, receiver, senders, made["id"]
    finally:
        senders.stop()
        receiver.stop()
        service.kill()


def test_all_that_was_acknowledged_arrives_in_order_although_the_service_is_killed(killed_again_and_again):
    service, receiver, senders, endpoint_id = killed_again_and_again
    arrivals = receiver.arrivals()
    stored = list(service.log())

    # Nothing acknowledged is lost: it is in the log under the numbers that were answered, and it arrived.
    by_id = {event["id"]: event for event in stored}
    for event_id, event in senders.acknowledged.items():
        assert (by_id[event_id]["position"], by_id[event_id]["sequence"]) == (event["position"], event["sequence"])
    assert {arrival["id"] for arrival in arrivals} == set(by_id)

    # Positions and sequences have no gaps, whatever was cut off.
    assert [event["position"] for event in stored] == list(range(1, len(stored) + 1))
    sequences = defaultdict(list)
    for event in stored:
        sequences[event["reference"]].append(event["sequence"])
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in sequences.values())

    # First arrivals of each shipment are in order.
    first = {}
    for place, arrival in enumerate(arrivals):
        first.setdefault(arrival["id"], place)
    for reference in sequences:
        mine = [event["id"] for event in stored if event["reference"] == reference]
        assert [first[event_id] for event_id in mine] == sorted(first[event_id] for event_id in mine)

    # A second sending has a cause: it was in flight at one of the kills.
    assert len(arrivals) - len(first) <= KILLS * 16

    # And the delivery log says so.
    _, page = service.call("GET", f"/v1/endpoints/{endpoint_id}/deliveries?state=failed")
    assert page["items"] == []
