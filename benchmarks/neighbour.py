"""An endpoint that never answers, and another of the same account beside it: what the good one loses."""

from benchmarks.bench import Bench, rest
from benchmarks.figures import Result, over_rounds
from benchmarks.loading import deliver, fit_padding
from benchmarks.processes import Receiver, Service

NAME = "neighbour"


def run(bench: Bench) -> Result:
    """Measure in turn an account with one endpoint and an account with a silent one beside it."""
    shipments, rounds = bench.sized(5_000, 300), bench.sized(5, 2)
    with Receiver() as receiver, Receiver() as silent, Service(bench.folder / NAME) as service:
        alone, beside = service.account("alone"), service.account("beside")
        padding = fit_padding(alone)
        silent.ask("fall_silent")
        for account in (alone, beside):
            account.add_endpoint(receiver.url)
        beside.add_endpoint(silent.url)
        rates: dict[str, list[float]] = {"alone": [], "beside": []}
        for number in range(rounds + 1):
            bench.say(f"neighbour: round {number} of {rounds}")
            for name, account in (("alone", alone), ("beside", beside)):
                rest()
                measured = deliver(receiver, account, f"r{number}-", range(1, shipments + 1), padding)
                if number:  # the first round only warms up
                    rates[name].append(measured.delivered_per_s)
        tried = silent.ask("count")["requests"]
    shares = [with_silent / without for with_silent, without in zip(rates["beside"], rates["alone"], strict=True)]
    return Result(
        NAME,
        "Beside an endpoint that never answers",
        {
            "shipments": f"{rounds} rounds of {shipments:,} new ones in bulk, for both accounts in turn",
            "endpoints": f"as by default; the silent one took {tried:,} requests and answered none",
        },
        [
            over_rounds("share of the rate that is left", shares, ""),
            over_rounds("delivered, alone", rates["alone"], "events/s"),
            over_rounds("delivered, beside the silent one", rates["beside"], "events/s"),
        ],
    )
