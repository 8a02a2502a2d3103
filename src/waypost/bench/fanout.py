"""One event that a hundred endpoints want: how long until the last has it, and how many a second in a row."""

import statistics
import time

from waypost.bench.bench import Bench, ratios_to_neighbours, rest
from waypost.bench.documents import document
from waypost.bench.figures import Result, at_least, over_rounds
from waypost.bench.loading import add_endpoints, deliver, event_bodies, fit_padding
from waypost.bench.processes import Account, Receiver, Service, Yardstick

NAME = "fanout"
ENDPOINTS = 100
BODIES = 100
RATIO_GOAL = 0.5


def run(bench: Bench) -> Result:
    """Measure events one by one, events in a row, and the yardstick, in turn, with the same receiver."""
    shipments, singles, rounds = bench.sized(100, 5), bench.sized(20, 3), bench.sized(7, 2)
    with Receiver() as receiver, Service(bench.folder / NAME) as service:
        account = service.account("fanout")
        padding = fit_padding(account)
        urls = [receiver.url_of(number) for number in range(ENDPOINTS)]
        # One event of each shipment, and one request at a time to each: what the yardstick does with 100 at once.
        add_endpoints(account, [{"url": url, "events": ["shipment.created"], "max_in_flight": 1} for url in urls])
        deliver(receiver, account, "warm-", range(1, shipments // 2 + 2), padding, ENDPOINTS)
        path = bench.folder / "bodies.ndjson"
        path.write_bytes(b"\n".join(event_bodies(account, BODIES)))
        one_rates, row_rates, alone, in_a_row = [], [], [], []
        with Yardstick(receiver.url, path, shipments * ENDPOINTS) as yardstick:
            for number in range(rounds + 1):
                bench.say(f"fanout: round {number} of {rounds}")
                rest()
                in_a_row.append(yardstick.posts_per_s(ENDPOINTS))
                alone.append(statistics.median(yardstick.posts_per_s(ENDPOINTS, ENDPOINTS) for _ in range(singles)))
                if number == rounds:
                    break
                rest()
                one_rates.append(
                    statistics.median(
                        _one_event(receiver, account, f"o{number}-{single}", padding) for single in range(singles)
                    )
                )
                rest()
                rates = deliver(receiver, account, f"r{number}-", range(1, shipments + 1), padding, ENDPOINTS)
                row_rates.append(rates.delivered_per_s)
    return Result(
        NAME,
        "One event for a hundred endpoints",
        {
            "one event": f"{rounds} rounds of {singles} shipments, one at a time; from the request to the last arrival",
            "in a row": f"{rounds} rounds of {shipments} shipments in bulk, one event each",
            "endpoints": f"{ENDPOINTS} of one account, max_in_flight 1",
            "yardstick": f"{ENDPOINTS} posts at once: {ENDPOINTS} in all, and {shipments * ENDPOINTS:,} in all",
        },
        [
            over_rounds(
                "of the yardstick, in a row", ratios_to_neighbours(row_rates, in_a_row), "", at_least(RATIO_GOAL)
            ),
            over_rounds("of the yardstick, one event", ratios_to_neighbours(one_rates, alone), ""),
            over_rounds("delivered, in a row", row_rates, "deliveries/s"),
            over_rounds("the last of one event after", [ENDPOINTS * 1000 / rate for rate in one_rates], "ms"),
            over_rounds("yardstick, in a row", in_a_row, "posts/s"),
            over_rounds(f"yardstick, {ENDPOINTS} posts after", [ENDPOINTS * 1000 / rate for rate in alone], "ms"),
        ],
    )


def _one_event(receiver: Receiver, account: Account, reference: str, padding: int) -> float:
    """PUT one shipment and wait for its event at all endpoints. Gives the deliveries a second."""
    time.sleep(0.02)
    receiver.ask("reset")
    began_ns = time.monotonic_ns()
    account.call("PUT", f"/v1/shipments/{reference}", document(1, padding))
    arrived = receiver.wait_for(ENDPOINTS)
    return ENDPOINTS * 1e9 / (arrived["last_at_ns"] - began_ns)
