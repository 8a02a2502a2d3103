"""`waypost simulate`: live through runs of the service in virtual time and hold each against the promises."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from typing import Annotated

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from waypost.cli.output import AsJson, CommandError, UsageError, print_json, print_table, remark, remarks, say
from waypost.simulator.checker import PROMISES, Broken
from waypost.simulator.many import Outcome, run_many, smallest
from waypost.simulator.planted import PLANTED
from waypost.simulator.story import tell

PLANTED_SEEDS_MAX = 10_000
ALL = "all"


class BrokenPromise(msgspec.Struct, frozen=True):
    """A promise that a run broke."""

    seed: int
    promise: str
    words: str
    story: list[str] = []


class Summary(msgspec.Struct, frozen=True):
    """What came of all runs."""

    seeds: int
    first: int
    virtual_hours: float
    requests: int
    events: int
    seconds: float
    promises: int
    faults: dict[str, int]
    broken: list[BrokenPromise]


class Found(msgspec.Struct, frozen=True):
    """How many seeds it took until a planted bug broke a promise; `seed` is null when none did."""

    planted: str
    seed: int | None
    seeds: int
    promise: str | None


def simulate(
    *,
    seed: Annotated[int | None, Parameter(validator=Number(gte=0))] = None,
    seeds: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    first: Annotated[int, Parameter(validator=Number(gte=0))] = 1,
    planted: str | None = None,
    jobs: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    json: AsJson = False,
) -> None:
    """Run the service in a simulated world that does it harm, and check that its promises hold.

    ```
    waypost simulate --seeds 1000
    waypost simulate --seed 8123
    waypost simulate --planted all
    ```

    Everything in a run follows from its seed: the same seed gives the same run. When a promise breaks, the run is made
    as small as it gets and its story is told.

    Parameters
    ----------
    seed
        Run this one.
    seeds
        Run so many. Default: 100
    first
        The first of many.
    planted
        Put a known bug back into the product and see how many seeds it takes to find it; `all` does so with each.
    jobs
        How many runs at a time. Default: one for each processor
    """
    if seed is not None and seeds is not None:
        raise UsageError("Give --seed for one run or --seeds for many, not both.")
    jobs = jobs or os.cpu_count() or 1
    if planted is not None:
        return _find(planted, first if seed is None else seed, seeds or PLANTED_SEEDS_MAX, jobs, json=json)
    start, count = (seed, 1) if seed is not None else (first, seeds or 100)
    summary = _run(start, count, min(jobs, count), json=json)
    if json:
        print_json(summary)
    else:
        _show(summary)
    if summary.broken:
        raise CommandError(f"{len(summary.broken)} of {count} runs broke a promise.")
    return None


def _run(first: int, count: int, jobs: int, *, json: bool) -> Summary:
    began_s = time.monotonic()
    hours, requests, events = 0.0, 0, 0
    harms: Counter[str] = Counter()
    broken: list[BrokenPromise] = []
    for outcome in _watched(run_many(range(first, first + count), jobs=jobs), count):
        hours, requests, events = hours + outcome.hours, requests + outcome.requests, events + outcome.events
        harms += outcome.harms
        if outcome.broken:
            broken.append(_told(outcome.seed, outcome.broken[0], whole=len(broken) == 0))
            if not json:
                _tell(broken[-1])
    return Summary(
        seeds=count,
        first=first,
        virtual_hours=round(hours, 1),
        requests=requests,
        events=events,
        seconds=round(time.monotonic() - began_s, 1),
        promises=len(PROMISES),
        faults=dict(sorted(harms.items())),
        broken=broken,
    )


def _watched(outcomes: Iterator[Outcome], count: int) -> Iterator[Outcome]:
    """Give the outcomes as they come, under a bar when somebody watches."""
    console = remarks()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal or count == 1) as bar:
        task = bar.add_task("Runs", total=count)
        for outcome in outcomes:
            yield outcome
            bar.advance(task)


def _told(seed: int, broken: Broken, *, whole: bool, planted: str | None = None) -> BrokenPromise:
    """Tell the story of a breach; only of the first one the run is made small, which takes many runs."""
    if not whole:
        return BrokenPromise(seed, broken.promise, broken.words)
    remark(f"Seed {seed} broke a promise. Making the run smaller …")
    shrunk, found = smallest(seed, broken.promise, planted)
    config = shrunk.config
    head = (
        f"The smallest run of seed {seed} that breaks it: {config.hours:g} h, {config.processes} processes, "
        f"{config.endpoints} endpoints, {config.reports} reports; harms: {', '.join(sorted(config.harms)) or 'none'}"
    )
    return BrokenPromise(seed, broken.promise, broken.words, [head, *tell(shrunk.history, found)])


def _tell(broken: BrokenPromise) -> None:
    for line in broken.story or [f"Broken: {broken.promise}: {broken.words}"]:
        say(line)
    say(f"Again: waypost simulate --seed {broken.seed}")
    say("")


def _show(summary: Summary) -> None:
    if summary.faults:
        print_table(("fault", "times"), summary.faults.items(), right=("times",))
    last = summary.first + summary.seeds - 1
    seeds = f"seed {summary.first}" if summary.seeds == 1 else f"seeds {summary.first} to {last}"
    say(
        f"{seeds}: {summary.virtual_hours:,} virtual hours in {summary.seconds:,} s, {summary.events:,} events, "
        f"{summary.requests:,} requests, {summary.promises} promises checked, {len(summary.broken)} runs broke one"
    )


def _find(wanted: str, first: int, count: int, jobs: int, *, json: bool) -> None:
    if wanted != ALL and wanted not in PLANTED:
        names = "\n".join(f"  {name}: {bug.words}" for name, bug in PLANTED.items())
        raise UsageError(f'There is no planted bug "{wanted}". There are:\n{names}')
    found = []
    for name in PLANTED if wanted == ALL else [wanted]:
        found.append(_find_one(name, first, count, jobs))
        if not json:
            one = found[-1]
            says = f"found by seed {one.seed}, the {one.seeds}., as: {one.promise}" if one.promise else "NOT FOUND"
            say(f"{name}: {says}")
    if json:
        print_json(found)
    missed = [one.planted for one in found if one.seed is None]
    if missed:
        raise CommandError(f"{len(missed)} planted bugs were not found in {count} seeds: {', '.join(missed)}")
    if len(found) > 1 and not json:
        took = sorted(one.seeds for one in found)
        say(
            f"{len(found)} planted bugs found; half of them within {took[len(took) // 2]} seeds, all within {took[-1]}."
        )


def _find_one(name: str, first: int, count: int, jobs: int) -> Found:
    outcomes = run_many(range(first, first + count), jobs=jobs, planted=name)
    try:
        for number, outcome in enumerate(outcomes, 1):
            if outcome.broken:
                return Found(name, outcome.seed, number, outcome.broken[0].promise)
    finally:
        outcomes.close()  # type: ignore[attr-defined]
    return Found(name, None, count, None)
