"""One PUT at a time on an idle service: how long until the receiver knows."""

import time

from waypost.bench.bench import Bench
from waypost.bench.documents import SHIPMENT_EVENTS
from waypost.bench.figures import Figure, Result, at_most, quantile
from waypost.bench.loading import OneByOne, Put, fit_padding
from waypost.bench.processes import Account, Receiver, Service

NAME = "idle"
P50_GOAL_MS = 10
P99_GOAL_MS = 50
PAUSE_S = 0.02  # after the last arrival, so that its result is stored and the service idle again


def run(bench: Bench) -> Result:
    """PUT new shipments one by one. Each makes two events; the second goes out when the first is delivered."""
    samples = bench.sized(1_000, 100)
    with Receiver() as receiver, Service(bench.folder / NAME) as service:
        account = service.account("idle")
        padding = fit_padding(account)
        account.add_endpoint(receiver.url)
        _put_all(account, receiver, "warm-", max(20, samples // 10), padding)
        receiver.ask("reset")
        bench.say(f"idle: {samples} PUTs, one at a time")
        puts = _put_all(account, receiver, "idle-", samples, padding)
        instants: dict[str, int] = receiver.ask("instants")
    arrivals = [(one, instants[event_id]) for one in puts for event_id in one.event_ids]
    from_answer = [(at - one.answered_ns) / 1e6 for one, at in arrivals]
    from_request = [(at - one.sent_ns) / 1e6 for one, at in arrivals]
    answers = [(one.answered_ns - one.sent_ns) / 1e6 for one in puts]
    return Result(
        NAME,
        "Accept to arrival when idle",
        {
            "shipments": f"{samples:,} new ones, one at a time, two events each",
            "pause": f"{PAUSE_S * 1000:.0f} ms after both events have arrived",
            "endpoint": "as by default",
        },
        [
            Figure("answer to arrival, p50", quantile(from_answer, 0.5), "ms", at_most(P50_GOAL_MS)),
            Figure("answer to arrival, p99", quantile(from_answer, 0.99), "ms", at_most(P99_GOAL_MS)),
            Figure("request to arrival, p50", quantile(from_request, 0.5), "ms"),
            Figure("request to arrival, p99", quantile(from_request, 0.99), "ms"),
            Figure("request to answer, p50", quantile(answers, 0.5), "ms"),
            Figure("request to answer, p99", quantile(answers, 0.99), "ms"),
        ],
        ["An event goes out as soon as it is committed, so the first of two may arrive before the answer does."],
    )


def _put_all(account: Account, receiver: Receiver, prefix: str, count: int, padding: int) -> list[Put]:
    """PUT shipments, each once the one before has arrived."""
    made: list[Put] = []
    with OneByOne(account, padding) as caller:
        for number in range(1, count + 1):
            time.sleep(PAUSE_S)
            made.append(caller.put(f"{prefix}{number}", number))
            receiver.wait_for(number * SHIPMENT_EVENTS)
    return made
