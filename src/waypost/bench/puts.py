"""Single PUTs from many clients at once: how many are accepted, and how long each waits for its commit."""

from typing import Any

from waypost.bench.bench import Bench, rest
from waypost.bench.documents import SHIPMENT_EVENTS
from waypost.bench.figures import BenchmarkFailed, Figure, Result, at_least, over_rounds, quantile
from waypost.bench.loading import fit_padding
from waypost.bench.processes import Account, Child, Receiver, Service

NAME = "puts"
CLIENTS = 64
IN_FLIGHT = 64
ACCEPTED_GOAL = 1500


def run(bench: Bench) -> Result:
    """Measure in turn an account without an endpoint and one whose events are delivered meanwhile."""
    requests, rounds = bench.sized(10_000, 640), bench.sized(5, 2)
    with Receiver() as receiver, Service(bench.folder / NAME) as service, Child("waypost.bench.clients") as clients:
        alone, followed = service.account("alone"), service.account("followed")
        padding = fit_padding(alone)
        followed.add_endpoint(receiver.url, max_in_flight=IN_FLIGHT)
        put(clients, alone, "warm-", requests // 4, padding)
        put(clients, followed, "warm-", requests // 4, padding)
        receiver.wait_for(requests // 4 * SHIPMENT_EVENTS)
        without, cpu_us, with_endpoint = [], [], []
        for number in range(rounds):
            bench.say(f"puts: round {number + 1} of {rounds}")
            rest()
            cpu_before = service.cpu_s()
            without.append(put(clients, alone, f"r{number}-", requests, padding))
            cpu_us.append((service.cpu_s() - cpu_before) * 1e6 / requests)
            receiver.ask("reset")
            with_endpoint.append(put(clients, followed, f"r{number}-", requests, padding))
            receiver.wait_for(requests * SHIPMENT_EVENTS)
    return Result(
        NAME,
        "Single PUTs",
        {
            "clients": f"{CLIENTS} at once, keep-alive, in another process",
            "shipments": f"{rounds} rounds of {requests:,} new ones, two events each, with and without an endpoint",
            "endpoint": f"max_in_flight {IN_FLIGHT}, everything else as by default",
        },
        [
            *_figures("without an endpoint", without, requests),
            over_rounds("CPU of the service for each PUT, without an endpoint", cpu_us, "µs"),
            *_figures("delivering meanwhile", with_endpoint, requests),
        ],
    )


def put(clients: Child, account: Account, prefix: str, requests: int, padding: int) -> dict[str, Any]:
    """PUT so many new shipments with CLIENTS clients at once; what clients.py tells of them."""
    told: dict[str, Any] = clients.ask(
        "put", port=account.service.port, token=account.token, clients=CLIENTS, requests=requests, first=1,
        prefix=prefix, padding=padding,
    )  # fmt: skip
    if told["statuses"] != {"201": requests}:
        raise BenchmarkFailed(f"{requests} PUTs of new shipments were answered {told['statuses']}")
    return told


def _figures(how: str, rounds: list[dict[str, Any]], requests: int) -> list[Figure]:
    rates = [requests / told["elapsed_s"] for told in rounds]
    latencies = [told["latencies_ms"] for told in rounds]
    return [
        over_rounds(f"accepted, {how}", rates, "PUTs/s", at_least(ACCEPTED_GOAL)),
        over_rounds(f"answer after, p50, {how}", [quantile(of_round, 0.5) for of_round in latencies], "ms"),
        over_rounds(f"answer after, p99, {how}", [quantile(of_round, 0.99) for of_round in latencies], "ms"),
    ]
