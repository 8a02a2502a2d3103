"""The most memory that the service takes while a receiver that was down gets its backlog."""

from waypost.bench.bench import Bench
from waypost.bench.documents import SHIPMENT_EVENTS
from waypost.bench.figures import Figure, Result, at_most
from waypost.bench.loading import fit_padding, load
from waypost.bench.processes import Receiver, Service

NAME = "memory"
IN_FLIGHT = 64
PROBE_S = 1.0
PEAK_GOAL_MB = 250


def run(bench: Bench) -> Result:
    """Take the receiver down, load the backlog, bring it up again, and watch."""
    events = bench.sized(100_000, 4_000)
    with Receiver() as receiver, Service(bench.folder / NAME) as service:
        account = service.account("memory")
        padding = fit_padding(account)
        started_mb = service.resident_mb()
        receiver.ask("down")
        account.add_endpoint(receiver.url, max_in_flight=IN_FLIGHT, retry_schedule=[PROBE_S] * 10)
        bench.say(f"memory: loading {events:,} events while the receiver is down")
        load(account, "held-", range(1, events // SHIPMENT_EVENTS + 1), padding)
        loading_mb = service.peak_mb()
        service.forget_peak()
        bench.say("memory: the receiver is up again")
        receiver.ask("up")
        arrived = receiver.wait_for(events)
        draining_mb = service.peak_mb()
    drained_per_s = (events - 1) * 1e9 / (arrived["last_at_ns"] - arrived["first_at_ns"])
    return Result(
        NAME,
        "Memory while a backlog drains",
        {
            "backlog": f"{events:,} events, loaded in bulk while the receiver refused connections",
            "endpoint": f"max_in_flight {IN_FLIGHT}, a probe every {PROBE_S:.0f} s, everything else as by default",
            "measured": "VmHWM, the peak of resident memory, of the service's processes",
        },
        [
            Figure("peak while draining", draining_mb, "MB", at_most(PEAK_GOAL_MB)),
            Figure("peak while loading", loading_mb, "MB", at_most(PEAK_GOAL_MB)),
            Figure("after the start", started_mb, "MB"),
            Figure("drained, first arrival to last", drained_per_s, "events/s"),
        ],
    )
