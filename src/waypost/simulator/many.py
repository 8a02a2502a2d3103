"""Many runs, on as many processors as are wanted: each seed is lived through, checked and counted."""

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context

from waypost.simulator.checker import Broken, check
from waypost.simulator.config import Config, draw
from waypost.simulator.history import Fault, History
from waypost.simulator.run import digest, run_seed, virtual_hours
from waypost.simulator.shrink import RUNS_MAX, Shrunk, shrink

AHEAD = 4  # runs that wait for each processor


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run: how long it was, what it suffered, and the promises it broke, the earliest first."""

    seed: int
    hours: float
    requests: int
    events: int
    digest: str
    harms: Counter[str]
    broken: tuple[Broken, ...]


def run_and_check(seed: int, planted: str | None = None) -> Outcome:
    """Live through the run of a seed and hold it against the promises."""
    return judged(run_seed(seed, planted))


def judged(history: History) -> Outcome:
    """Hold a history against the promises."""
    kinds = Counter(type(record).__name__ for record in history.records)
    return Outcome(
        seed=history.seed,
        hours=virtual_hours(history),
        requests=kinds["SendBegan"],
        events=len(history.event_facts),
        digest=digest(history),
        harms=Counter(record.name for record in history.records if isinstance(record, Fault)),
        broken=tuple(check(history)),
    )


def run_many(seeds: Iterable[int], *, jobs: int, planted: str | None = None) -> Iterator[Outcome]:
    """Live through many seeds and give what became of each, in their order."""
    if jobs == 1:
        for seed in seeds:
            yield run_and_check(seed, planted)
        return
    # Started afresh: a fork would take over locks that threads of this process hold.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        coming = iter(seeds)
        waiting = [pool.submit(run_and_check, seed, planted) for seed in islice(coming, jobs * AHEAD)]
        try:
            while waiting:
                outcome = waiting.pop(0).result()
                for seed in coming:
                    waiting.append(pool.submit(run_and_check, seed, planted))
                    break
                yield outcome
        finally:
            for one in waiting:
                one.cancel()


def breach_of(history: History, promise: str) -> Broken | None:
    """Give the first breach of a promise in a history, or None."""
    return next((broken for broken in check(history) if broken.promise == promise), None)


def smallest(seed: int, promise: str, planted: str | None = None, *, runs_max: int = RUNS_MAX) -> tuple[Shrunk, Broken]:
    """Make the run of a seed that breaks a promise as small as it gets; gives it and the breach in it."""

    def breaks(config: Config) -> History | None:
        history = run_seed(seed, planted, config)
        return history if breach_of(history, promise) else None

    whole = draw(seed)
    shrunk = shrink(whole, run_seed(seed, planted, whole), breaks, runs_max=runs_max)
    found = breach_of(shrunk.history, promise)
    assert found is not None, promise
    return shrunk, found
