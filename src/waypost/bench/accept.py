"""What it costs to accept an event when a thousand endpoints do not get it: for want of wanting it, or paused."""

from waypost.bench.bench import Bench, rest
from waypost.bench.figures import Result, at_most, over_rounds
from waypost.bench.loading import add_endpoints, fit_padding, tell_endpoints
from waypost.bench.processes import Account, Child, Receiver, Service
from waypost.bench.puts import CLIENTS, put

NAME = "accept"
ENDPOINTS = 1_000
RATIO_GOAL = 1.15


def run(bench: Bench) -> Result:
    """Measure in turn an account with one endpoint, one with a thousand that want nothing, one with as many paused."""
    requests, rounds = bench.sized(3_000, 320), bench.sized(8, 2)
    endpoints = bench.sized(ENDPOINTS, 50)
    unwanted = {"events": ["shipment.status.delivered"]}
    paused = {"events": ["shipment.*"]}
    with Receiver() as receiver, Service(bench.folder / NAME) as service, Child("waypost.bench.clients") as clients:
        kinds = {
            "1 that does not want it": (unwanted, 1),
            f"{endpoints:,} that do not want it": (unwanted, endpoints),
            "1 paused": (paused, 1),
            f"{endpoints:,} paused": (paused, endpoints),
        }
        accounts: dict[str, Account] = {}
        for number, (kind, (settings, count)) in enumerate(kinds.items()):
            accounts[kind] = account = service.account(f"accept{number}")
            made = add_endpoints(account, [{"url": receiver.url_of(i), **settings} for i in range(count)])
            if settings is paused:
                tell_endpoints(account, made, "pause")
        padding = fit_padding(next(iter(accounts.values())))
        wall_us: dict[str, list[float]] = {kind: [] for kind in kinds}
        cpu_us: dict[str, list[float]] = {kind: [] for kind in kinds}
        for number in range(rounds + 1):
            bench.say(f"accept: round {number} of {rounds}")
            for kind, account in accounts.items() if number % 2 else reversed(accounts.items()):
                rest()
                cpu_before = service.cpu_s()
                told = put(clients, account, f"r{number}-", requests, padding)
                if number:  # the first round only warms up
                    wall_us[kind].append(told["elapsed_s"] * 1e6 / requests)
                    cpu_us[kind].append((service.cpu_s() - cpu_before) * 1e6 / requests)
        arrived = receiver.ask("count")["requests"]
    assert arrived == 0, f"{arrived} events were delivered that nobody should get"
    few, many, one_paused, many_paused = kinds
    return Result(
        NAME,
        "Accepting an event beside a thousand endpoints that do not get it",
        {
            "clients": f"{CLIENTS} at once, keep-alive, in another process",
            "shipments": f"{rounds} rounds of {requests:,} new ones for each account in turn, two events each",
        },
        [
            over_rounds(
                "time, many that do not want it to one", _ratios(wall_us[many], wall_us[few]), "", at_most(RATIO_GOAL)
            ),
            over_rounds(
                "time, many paused to one", _ratios(wall_us[many_paused], wall_us[one_paused]), "", at_most(RATIO_GOAL)
            ),
            over_rounds("CPU, many that do not want it to one", _ratios(cpu_us[many], cpu_us[few]), ""),
            over_rounds("CPU, many paused to one", _ratios(cpu_us[many_paused], cpu_us[one_paused]), ""),
            *(over_rounds(f"time for each PUT, {kind}", wall_us[kind], "µs") for kind in kinds),
        ],
    )


def _ratios(above: list[float], below: list[float]) -> list[float]:
    return [over / under for over, under in zip(above, below, strict=True)]
