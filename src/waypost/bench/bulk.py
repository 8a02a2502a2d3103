"""Bulk in, signed webhooks out: how much of the yardstick is left when every event is durable and in order."""

import statistics

from waypost.bench.bench import Bench, ratios_to_neighbours, rest
from waypost.bench.figures import Result, at_least, over_rounds
from waypost.bench.loading import deliver, event_bodies, fit_padding
from waypost.bench.processes import Receiver, Service, Yardstick

NAME = "bulk"
IN_FLIGHT = 64
BODIES = 1000
RATIO_GOAL = 0.25


def run(bench: Bench) -> Result:
    """Measure bulk and yardstick in turn, on one service and one receiver."""
    shipments, rounds, posts = bench.sized(10_000, 500), bench.sized(5, 2), bench.sized(20_000, 1_000)
    with Receiver() as receiver, Service(bench.folder / NAME) as service:
        account = service.account("bulk")
        padding = fit_padding(account)
        account.add_endpoint(receiver.url, max_in_flight=IN_FLIGHT)
        deliver(receiver, account, "warm-", range(1, shipments // 2 + 1), padding)
        bodies = event_bodies(account, BODIES)
        path = bench.folder / "bodies.ndjson"
        path.write_bytes(b"\n".join(bodies))
        with Yardstick(receiver.url, path, posts) as yardstick:
            best = yardstick.best_concurrency()
            yardstick.cpu_us.clear()
            same, fastest, delivered, accepted, cpu_us = [], [], [], [], []
            for number in range(rounds + 1):
                bench.say(f"bulk: round {number} of {rounds}")
                rest()
                same.append(yardstick.posts_per_s(IN_FLIGHT))
                fastest.append(yardstick.posts_per_s(best))
                if number == rounds:
                    break
                rest()
                cpu_before = service.cpu_s()
                rates = deliver(receiver, account, f"r{number}-", range(1, shipments + 1), padding)
                rest()
                cpu_us.append((service.cpu_s() - cpu_before) * 1e6 / (shipments * 2))
                accepted.append(rates.accepted_per_s)
                delivered.append(rates.delivered_per_s)
            yardstick_cpu_us = statistics.median(yardstick.cpu_us)
    return Result(
        NAME,
        "Bulk in, durable, delivered to one endpoint",
        {
            "shipments": f"{rounds} rounds of {shipments:,} new ones, two events each",
            "event": f"{statistics.mean(map(len, bodies)):,.0f} bytes at the mean",
            "endpoint": f"max_in_flight {IN_FLIGHT}, everything else as by default",
            "yardstick": f"{posts:,} posts before and after each round, {IN_FLIGHT} and {best} at once",
        },
        [
            over_rounds("of the yardstick", ratios_to_neighbours(delivered, same), "", at_least(RATIO_GOAL)),
            over_rounds("of the yardstick at its best concurrency", ratios_to_neighbours(delivered, fastest), ""),
            over_rounds("delivered, first byte in to last arrival", delivered, "events/s"),
            over_rounds("accepted meanwhile", accepted, "shipments/s"),
            over_rounds(f"yardstick, {IN_FLIGHT} at once", same, "posts/s"),
            over_rounds(f"yardstick, {best} at once", fastest, "posts/s"),
            over_rounds("CPU of the service for each event", cpu_us, "µs"),
            over_rounds("CPU of the yardstick for each post", [yardstick_cpu_us], "µs"),
        ],
    )
