"""The promises, checked from outside: by what was acknowledged, what the log holds, and what arrived."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from service_process import Receiver, Service, wait_for


@dataclass
class Acknowledged:
    """Events that a 2xx told of, by their ids; and how many may have come twice, for a crash that each test knows."""

    events: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    repeats_max: int = 0

    def add(self, answer: Mapping[str, Any]) -> None:
        for event in answer["events"]:
            self.events[event["id"]] = event


def put(service: Service, reference: str, weight: int = 1) -> tuple[int, Any]:
    """Report a shipment. Raises OSError or HTTPException when the service dies meanwhile."""
    document = {"handling_units": [{"id": "hu_1", "gross_weight_kg": str(weight)}]}
    return service.call("PUT", f"/v1/shipments/{quote(reference, safe='')}", document)


def wait_until_settled(service: Service, *paths: str) -> None:
    for path in paths:
        wait_for(lambda path=path: service.call("GET", path)[1]["waiting"] == 0, f"{path} to have nothing waiting")


def check_log(stored: list[dict[str, Any]], acknowledged: Acknowledged) -> None:
    """Nothing acknowledged is lost or changed its number, and neither positions nor sequences have gaps."""
    by_id = {event["id"]: event for event in stored}
    assert len(by_id) == len(stored)
    for event_id, event in acknowledged.events.items():
        assert event_id in by_id, f"{event} was acknowledged and is lost"
        found = by_id[event_id]
        assert (found["position"], found["sequence"]) == (event["position"], event["sequence"])
    assert [event["position"] for event in stored] == list(range(1, len(stored) + 1))
    sequences = defaultdict(list)
    for event in stored:
        sequences[event["shipment_id"]].append(event["sequence"])
    for numbers in sequences.values():
        assert numbers == list(range(1, len(numbers) + 1))


def check_arrivals(stored: Iterable[dict[str, Any]], arrivals: list[dict[str, Any]], *, repeats_max: int = 0) -> None:
    """Everything arrived, the first arrivals of each shipment in order, and no more than `repeats_max` came again."""
    wanted = [event for event in stored if event["type"].startswith("shipment.")]
    first: dict[str, int] = {}
    for place, arrival in enumerate(arrivals):
        first.setdefault(arrival["id"], place)
    assert set(first) == {event["id"] for event in wanted}
    lanes = defaultdict(list)
    for event in wanted:
        lanes[event["shipment_id"]].append(first[event["id"]])
    for places in lanes.values():
        assert places == sorted(places)
    repeated = Counter(arrival["id"] for arrival in arrivals)
    assert sum(repeated.values()) - len(repeated) <= repeats_max, [
        event for event, times in repeated.items() if times > 1
    ]


def check_all(service: Service, receiver: Receiver, acknowledged: Acknowledged) -> None:
    """Check log and arrivals of a service with one endpoint that wants every shipment's events from the beginning."""
    stored = list(service.log())
    check_log(stored, acknowledged)
    check_arrivals(stored, receiver.arrivals(), repeats_max=acknowledged.repeats_max)
