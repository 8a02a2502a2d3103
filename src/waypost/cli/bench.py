"""`waypost bench`: how fast Waypost is on this machine, and how much memory it takes."""

import signal
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from waypost.bench.figures import BenchmarkFailed
from waypost.bench.page import as_json, markdown, write_section
from waypost.bench.run import BENCHMARKS, measure
from waypost.cli.output import AsJson, CommandError, UsageError, print_json, remark, say

PAGE = Path("docs") / "benchmarks.md"


def bench(
    *,
    only: Annotated[list[str] | None, Parameter(negative="")] = None,
    quick: bool = False,
    json: AsJson = False,
    write: bool = False,
    folder: Path = Path(),
) -> None:
    """Measure how fast Waypost is and how much memory it takes, on this machine.

    ```
    waypost bench --quick
    waypost bench --only bulk --only puts
    ```

    The real service is started on SQLite, with the receivers and the callers in processes of their own, over loopback.
    The whole takes half an hour, and the figures mean something only while the machine does nothing else.

    Parameters
    ----------
    only
        Measure this alone; may be given several times. One of bulk, puts, idle, fanout, isolation, accept, many,
        backlog, herd, growth, memory. Default: all.
    quick
        Small sizes, in two minutes: shows that everything works, not how fast it is.
    write
        Put the results into docs/benchmarks.md of the working directory.
    folder
        A folder on the disk to measure. Default: the working directory. What is put there is removed in the end.
    """
    unknown = [name for name in only or () if name not in BENCHMARKS]
    if unknown:
        raise UsageError(f'There is no benchmark "{unknown[0]}"; there are {", ".join(BENCHMARKS)}.')
    if write and not PAGE.exists():
        raise UsageError(f"There is no {PAGE} here to write the results into: run it in a checkout.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the processes started are ended
    try:
        machine, results = measure(only or list(BENCHMARKS), quick=quick, folder=folder, say=remark)
    except BenchmarkFailed as error:
        raise CommandError(f"The benchmark failed: {error}") from error
    command = " ".join(["waypost bench", *(f"--only {name}" for name in only or ()), *["--quick"] * quick])
    section = markdown(machine, results, command)
    if json:
        print_json(as_json(machine, results, command))
    else:
        for line in section.splitlines():
            say(line)
    if write:
        write_section(PAGE, section)
