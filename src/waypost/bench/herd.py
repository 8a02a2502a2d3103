"""A thousand endpoints resumed at once, each with events held for it: what an endpoint of another account notices."""

import time
from concurrent.futures import ThreadPoolExecutor

from waypost.bench.bench import Bench, rest
from waypost.bench.figures import Figure, Result, quantile
from waypost.bench.loading import OneByOne, add_endpoints, fit_padding, load, tell_endpoints
from waypost.bench.processes import Receiver, Service

NAME = "herd"
ENDPOINTS = 1_000
PERIOD_S = 0.05


def run(bench: Bench) -> Result:
    """Measure the healthy endpoint while nothing else happens, and while the herd gets what was held for it."""
    endpoints, held, samples = bench.sized(ENDPOINTS, 50), bench.sized(50, 5), bench.sized(200, 20)
    with Receiver() as receiver, Receiver() as healthy, Service(bench.folder / NAME) as service:
        herd, account = service.account("herd"), service.account("healthy")
        padding = fit_padding(account)
        account.add_endpoint(healthy.url, events=["shipment.created"])
        bench.say(f"herd: making {endpoints:,} endpoints")
        urls = [receiver.url_of(number) for number in range(endpoints)]
        made = add_endpoints(herd, [{"url": url, "events": ["shipment.created"]} for url in urls])
        tell_endpoints(herd, made, "pause")
        load(herd, "held-", range(1, held + 1), padding)
        with OneByOne(account, padding) as caller, ThreadPoolExecutor(1) as beside:
            _put(caller, "warm", 20)
            rest()
            sent_ns = _put(caller, "quiet", samples)
            bench.say("herd: resuming all")
            resuming = beside.submit(tell_endpoints, herd, made, "resume")
            number = 0
            while receiver.ask("count")["events"] < endpoints * held:
                sent_ns |= _put(caller, f"herd{number}", 20)
                number += 1
            resuming.result()
        arrived = receiver.ask("count")
        rest()
        instants: dict[str, int] = healthy.ask("instants")
        peak_mb = service.peak_mb()
    latencies_ms = {reference: (instants[event_id] - at) / 1e6 for reference, (event_id, at) in sent_ns.items()}
    quiet = [ms for reference, ms in latencies_ms.items() if reference.startswith("quiet")]
    during = [ms for reference, ms in latencies_ms.items() if reference.startswith("herd")]
    return Result(
        NAME,
        "A herd that is resumed at once",
        {
            "herd": f"{endpoints:,} endpoints of one account, {held} events held for each",
            "healthy": f"an endpoint of another account; a PUT each {PERIOD_S * 1000:.0f} ms, until its event arrives",
        },
        [
            Figure("p99 of the healthy, during to before", quantile(during, 0.99) / quantile(quiet, 0.99), ""),
            Figure("p50, before", quantile(quiet, 0.5), "ms"),
            Figure("p99, before", quantile(quiet, 0.99), "ms"),
            Figure("p50, during", quantile(during, 0.5), "ms"),
            Figure("p99, during", quantile(during, 0.99), "ms"),
            Figure(
                "delivered to the herd",
                endpoints * held * 1e9 / (arrived["last_at_ns"] - arrived["first_at_ns"]),
                "deliveries/s",
            ),
            Figure("memory, at most", peak_mb, "MB"),
        ],
    )


def _put(caller: OneByOne, name: str, count: int) -> dict[str, tuple[str, int]]:
    """PUT shipments at a pace; gives the event of each and when it was sent."""
    sent: dict[str, tuple[str, int]] = {}
    for number in range(1, count + 1):
        time.sleep(PERIOD_S)
        made = caller.put(f"{name}-{number}", number)
        sent[f"{name}-{number}"] = (made.event_ids[0], made.sent_ns)
    return sent
