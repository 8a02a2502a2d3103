"""One PUT at a time on an idle service: how long until the receiver knows."""

import json
import time
from http.client import HTTPConnection

from benchmarks.bench import Bench
from benchmarks.documents import SHIPMENT_EVENTS, put_body
from benchmarks.figures import BenchmarkFailed, Figure, Result, at_most, quantile
from benchmarks.loading import fit_padding
from benchmarks.processes import PATIENCE_S, Account, Receiver, Service

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
        sent_ns, answered_ns, events = _put_all(account, receiver, "idle-", samples, padding)
        instants: dict[str, int] = receiver.ask("instants")
    arrived_ns = [[instants[event_id] for event_id in of_put] for of_put in events]
    from_answer = [(at - start) / 1e6 for start, ats in zip(answered_ns, arrived_ns, strict=True) for at in ats]
    from_request = [(at - start) / 1e6 for start, ats in zip(sent_ns, arrived_ns, strict=True) for at in ats]
    answers = [(answered - sent) / 1e6 for sent, answered in zip(sent_ns, answered_ns, strict=True)]
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


def _put_all(
    account: Account, receiver: Receiver, prefix: str, count: int, padding: int
) -> tuple[list[int], list[int], list[list[str]]]:
    """PUT shipments, each once the one before has arrived. Gives when sent, when answered, and the events' ids."""
    sent_ns, answered_ns, events = [], [], []
    connection = HTTPConnection("127.0.0.1", account.service.port, timeout=PATIENCE_S)
    headers = {"authorization": f"Bearer {account.token}", "content-type": "application/json"}
    for number in range(1, count + 1):
        body = put_body(number, padding)
        time.sleep(PAUSE_S)
        sent_ns.append(time.monotonic_ns())
        connection.request("PUT", f"/v1/shipments/{prefix}{number}", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        answered_ns.append(time.monotonic_ns())
        if answer.status != 201:
            raise BenchmarkFailed(f"a PUT was answered {answer.status}: {text[:500].decode(errors='replace')}")
        events.append([event["id"] for event in json.loads(text)["events"]])
        receiver.wait_for(number * SHIPMENT_EVENTS)
    connection.close()
    return sent_ns, answered_ns, events
