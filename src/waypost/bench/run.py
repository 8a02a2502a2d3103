"""Runs benchmarks one after the other, each on databases of its own."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from waypost.bench import accept, backlog, bulk, fanout, growth, herd, idle, isolation, many, memory, pages, puts
from waypost.bench.bench import Bench
from waypost.bench.figures import Result
from waypost.bench.machine import Machine, look_at_machine

BENCHMARKS: Mapping[str, Callable[[Bench], Result]] = {
    module.NAME: module.run
    for module in (bulk, puts, idle, fanout, isolation, accept, many, backlog, herd, growth, memory, pages)
}


def measure(
    names: Sequence[str], *, quick: bool, folder: Path, say: Callable[[str], None]
) -> tuple[Machine, list[Result]]:
    """Measure the benchmarks `names`, on the disk of `folder`; `say` is told how it goes.

    Raises BenchmarkFailed when something was lost or did not work. A goal that is missed is no failure.
    """
    with _scratch(folder) as scratch:
        machine = look_at_machine(scratch)
        return machine, [_run(BENCHMARKS[name], Bench(scratch, quick, say)) for name in names]


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="waypost-bench-", dir=folder)).resolve()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _run(benchmark: Callable[[Bench], Result], bench: Bench) -> Result:
    result = benchmark(bench)
    for used in bench.folder.iterdir():  # the databases of one benchmark would only crowd the disk of the next
        shutil.rmtree(used) if used.is_dir() else used.unlink()
    return result
