"""Ten thousand endpoints, a hundred of them failing: memory, a start, an idle service, and an event that few want."""

import time

from waypost.bench.bench import Bench, rest
from waypost.bench.documents import document
from waypost.bench.figures import BenchmarkFailed, Figure, Result, at_most, quantile
from waypost.bench.loading import OneByOne, add_endpoints, fit_padding
from waypost.bench.processes import PATIENCE_S, Account, Service, free_port

NAME = "many"
ENDPOINTS, FAILING = 10_000, 100
MEMORY_GOAL_MB = 400
IDLE_GOAL_PERCENT = 2
FAILURES_IN_A_ROW = 5


def run(bench: Bench) -> Result:
    """Make them in one account, let some fail, start the service anew and look at it."""
    endpoints, failing = bench.sized(ENDPOINTS, 200), bench.sized(FAILING, 10)
    puts, idle_s = bench.sized(300, 20), bench.sized(30, 2)
    with Service(bench.folder / NAME) as service:
        account, empty = service.account("many"), service.account("empty")
        padding = fit_padding(empty)
        bench.say(f"many: making {endpoints:,} endpoints")
        nobody = f"http://127.0.0.1:{free_port()}"
        rare = [{"url": f"{nobody}/{i}", "events": ["shipment.status.delivered"]} for i in range(endpoints - failing)]
        began = time.monotonic()
        add_endpoints(account, rare)
        down = [{"url": f"{nobody}/down/{i}", "events": ["shipment.created"]} for i in range(failing)]
        add_endpoints(account, down)
        making_s = time.monotonic() - began
        for number in range(FAILURES_IN_A_ROW):
            account.call("PUT", f"/v1/shipments/first-{number}", document(number, padding))
        _wait_until_failing(account, failing)
        bench.say("many: starting anew")
        start_s = service.restart()
        started_mb = service.peak_mb()
        rest()
        bench.say(f"many: looking at it for {idle_s} s")
        began, cpu_before = time.monotonic(), service.cpu_s()
        time.sleep(idle_s)
        idle_percent = (service.cpu_s() - cpu_before) * 100 / (time.monotonic() - began)
        bench.say(f"many: {puts} PUTs, one at a time")
        beside_ms, alone_ms = _answers_ms(account, puts, padding), _answers_ms(empty, puts, padding)
        rest()
        scrapes_ms = [_scrape_ms(service) for _ in range(bench.sized(20, 3))]
        resident_mb, peak_mb = service.resident_mb(), service.peak_mb()
    return Result(
        NAME,
        "Ten thousand endpoints",
        {
            "endpoints": f"{endpoints:,} of one account; {failing} failing, their receiver refuses connections",
            "idle": f"{idle_s} s after a start, nothing coming in",
            "memory": "VmHWM and VmRSS of the service's processes",
            "events": f"{puts} PUTs of new shipments, one at a time, that only the failing ones want",
        },
        [
            Figure("memory, at most so far", peak_mb, "MB", at_most(MEMORY_GOAL_MB)),
            Figure("CPU when idle", idle_percent, "%", at_most(IDLE_GOAL_PERCENT)),
            Figure("start until ready", start_s, "s"),
            Figure("memory after the start", started_mb, "MB"),
            Figure("memory in the end", resident_mb, "MB"),
            Figure("answer to a PUT, p50", quantile(beside_ms, 0.5), "ms"),
            Figure("answer to a PUT, p99", quantile(beside_ms, 0.99), "ms"),
            Figure("answer to a PUT, p50, of an account without endpoints", quantile(alone_ms, 0.5), "ms"),
            Figure("answer to a PUT, p99, of an account without endpoints", quantile(alone_ms, 0.99), "ms"),
            Figure("a look at /metrics, p50", quantile(scrapes_ms, 0.5), "ms"),
            Figure("made", endpoints / making_s, "endpoints/s"),
        ],
    )


def _wait_until_failing(account: Account, count: int) -> None:
    """Return once so many endpoints are failing."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := _failing(account)) < count:
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"{found} endpoints are failing of {count} that nobody answers for")
        time.sleep(1)


def _failing(account: Account) -> int:
    found, path = 0, "/v1/endpoints?limit=1000"
    page = account.call("GET", path)
    while True:
        found += len([endpoint for endpoint in page["items"] if endpoint["state"] == "failing"])
        if page["next"] is None:
            return found
        page = account.call("GET", f"{path}&cursor={page['next']}")


def _scrape_ms(service: Service) -> float:
    """Read the metrics as a monitoring system does; its gauges are counted over all endpoints."""
    began = time.monotonic()
    told = service.call(service.operator_token, "GET", "/metrics")
    if b"waypost_endpoints_held" not in told:
        raise BenchmarkFailed("/metrics does not tell how many endpoints are held")
    return (time.monotonic() - began) * 1000


def _answers_ms(account: Account, count: int, padding: int) -> list[float]:
    answers: list[float] = []
    with OneByOne(account, padding) as caller:
        for number in range(1, count + 1):
            made = caller.put(f"one-{number}", number)
            answers.append((made.answered_ns - made.sent_ns) / 1e6)
            time.sleep(0.01)
    return answers
