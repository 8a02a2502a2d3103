"""A long backlog of one endpoint: whether it drains as fast as events go out that have just come in."""

from waypost.bench.bench import Bench, rest
from waypost.bench.documents import SHIPMENT_EVENTS
from waypost.bench.figures import Figure, Result, at_least, over_rounds
from waypost.bench.loading import deliver, fit_padding, load, tell_endpoints
from waypost.bench.processes import Account, Receiver, Service

NAME = "backlog"
IN_FLIGHT = 64
RATIO_GOAL = 0.8


def run(bench: Bench) -> Result:
    """Measure the live rate, hold the endpoint while the backlog comes in, let it go, and measure live again."""
    events, live, rounds = bench.sized(100_000, 4_000), bench.sized(5_000, 500), bench.sized(3, 1)
    with Receiver() as receiver, Service(bench.folder / NAME) as service:
        account = service.account("backlog")
        padding = fit_padding(account)
        endpoint = account.add_endpoint(receiver.url, max_in_flight=IN_FLIGHT)
        deliver(receiver, account, "warm-", range(1, live // 2 + 1), padding)
        live_rates = [_live(receiver, account, f"before{number}-", live, padding) for number in range(rounds)]
        tell_endpoints(account, [endpoint["id"]], "pause")
        bench.say(f"backlog: loading {events:,} events while the endpoint is paused")
        load(account, "held-", range(1, events // SHIPMENT_EVENTS + 1), padding)
        rest()
        receiver.ask("reset")
        bench.say("backlog: the endpoint is resumed")
        tell_endpoints(account, [endpoint["id"]], "resume")
        arrived = receiver.wait_for(events)
        drained_per_s = (events - 1) * 1e9 / (arrived["last_at_ns"] - arrived["first_at_ns"])
        live_rates += [_live(receiver, account, f"after{number}-", live, padding) for number in range(rounds)]
    live_rate = over_rounds("live", live_rates, "events/s")
    return Result(
        NAME,
        "A backlog of one endpoint",
        {
            "backlog": f"{events:,} events, loaded in bulk while the endpoint was paused",
            "live": f"{rounds} times {live:,} new shipments in bulk before the backlog and as often after it, "
            "from the first byte in to the last arrival",
            "endpoint": f"max_in_flight {IN_FLIGHT}, everything else as by default",
        },
        [
            Figure("backlog to live", drained_per_s / live_rate.value, "", at_least(RATIO_GOAL)),
            Figure("backlog, first arrival to last", drained_per_s, "events/s"),
            live_rate,
        ],
    )


def _live(receiver: Receiver, account: Account, prefix: str, shipments: int, padding: int) -> float:
    rest()
    return deliver(receiver, account, prefix, range(1, shipments + 1), padding).delivered_per_s
