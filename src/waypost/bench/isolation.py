"""Two hundred and fifty endpoints, a fifth of which never answer: what the others notice of it."""

import time

from waypost.bench.bench import Bench, rest
from waypost.bench.figures import Result, at_most, over_rounds, quantile
from waypost.bench.loading import OneByOne, add_endpoints, fit_padding
from waypost.bench.processes import Account, Receiver, Service

NAME = "isolation"
HEALTHY, HANGING = 200, 50
PERIOD_S = 0.2  # between two shipments; each is an event for every endpoint
TIMEOUT_S = 2
RETRY_S = 1.0
RATIO_GOAL = 1.5


def run(bench: Bench) -> Result:
    """Measure in turn an account with the healthy endpoints alone and one with the hanging ones beside them."""
    healthy, hanging = bench.sized(HEALTHY, 20), bench.sized(HANGING, 5)
    shipments, rounds = bench.sized(50, 5), bench.sized(7, 2)
    with Receiver() as receiver, Receiver() as silent, Service(bench.folder / NAME) as service:
        silent.ask("fall_silent")
        alone, beside = service.account("alone"), service.account("beside")
        padding = fit_padding(service.account("padding"))
        good = [{"url": receiver.url_of(number), "events": ["shipment.created"]} for number in range(healthy)]
        add_endpoints(alone, good)
        add_endpoints(beside, good)
        # Tried again and again, so that there is as much trouble in the last round as in the first.
        patience = {"timeout_seconds": TIMEOUT_S, "retry_schedule": [RETRY_S] * 10}
        bad = [{**one, **patience, "url": silent.url_of(number)} for number, one in enumerate(good[:hanging])]
        add_endpoints(beside, bad)
        p50: dict[str, list[float]] = {"alone": [], "beside": []}
        p99: dict[str, list[float]] = {"alone": [], "beside": []}
        for number in range(rounds + 1):
            bench.say(f"isolation: round {number} of {rounds}")
            for name, account in (("alone", alone), ("beside", beside)):
                rest()
                latencies_ms = _latencies_ms(receiver, account, f"r{number}-", shipments, healthy, padding)
                if number:  # the first round only warms up, and lets the hanging ones hang
                    p50[name].append(quantile(latencies_ms, 0.5))
                    p99[name].append(quantile(latencies_ms, 0.99))
        tried = silent.ask("count")["requests"]
    ratios = [with_hanging / without for with_hanging, without in zip(p99["beside"], p99["alone"], strict=True)]
    return Result(
        NAME,
        "Beside endpoints that never answer",
        {
            "endpoints": f"{healthy} that answer at once; beside them {hanging} that never do, or none",
            "shipments": f"{rounds} rounds of {shipments}, one each {PERIOD_S * 1000:.0f} ms, for both in turn",
            "hanging": f"given up after {TIMEOUT_S} s and tried again after {RETRY_S:.0f} s: {tried:,} requests in all",
            "measured": "from the PUT to the arrival of its event, at each of the healthy ones",
        },
        [
            over_rounds("p99 of the healthy, with to without", ratios, "", at_most(RATIO_GOAL)),
            over_rounds("p99, without", p99["alone"], "ms"),
            over_rounds("p99, with the hanging ones", p99["beside"], "ms"),
            over_rounds("p50, without", p50["alone"], "ms"),
            over_rounds("p50, with the hanging ones", p50["beside"], "ms"),
        ],
    )


def _latencies_ms(
    receiver: Receiver, account: Account, prefix: str, shipments: int, endpoints: int, padding: int
) -> list[float]:
    """PUT shipments at a steady pace and give how long the event of each took to each endpoint."""
    receiver.ask("reset")
    sent_ns: dict[str, int] = {}
    next_at = time.monotonic()
    with OneByOne(account, padding) as caller:
        for number in range(1, shipments + 1):
            time.sleep(max(0.0, next_at - time.monotonic()))
            next_at += PERIOD_S
            made = caller.put(f"{prefix}{number}", number)
            sent_ns[made.event_ids[0]] = made.sent_ns
    receiver.wait_for(shipments * endpoints)
    instants: dict[str, int] = receiver.ask("instants")
    return [(at_ns - sent_ns[name.partition(" ")[2]]) / 1e6 for name, at_ns in instants.items()]
