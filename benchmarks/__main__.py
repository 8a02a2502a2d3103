"""The command: `python -m benchmarks`."""

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import bulk, growth, idle, memory, neighbour, puts
from benchmarks.bench import Bench
from benchmarks.figures import BenchmarkFailed, Result
from benchmarks.machine import look_at_machine
from benchmarks.page import json_text, markdown, write_section

BENCHMARKS: Mapping[str, Callable[[Bench], Result]] = {
    module.NAME: module.run for module in (bulk, puts, idle, neighbour, growth, memory)
}
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
FOLDER = Path("build") / "benchmarks"


def main(arguments: list[str] | None = None) -> int:
    """Measure and print. Gives 0, also when a goal is missed; 1 when something was lost or did not work."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the processes started are ended
    options = _read(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=options.folder)).resolve()
    try:
        machine = look_at_machine(folder)
        results = [_run(BENCHMARKS[name], Bench(folder, options.quick)) for name in options.only or BENCHMARKS]
    except BenchmarkFailed as error:
        print(f"The benchmark failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 128 + signal.SIGINT
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    command = _command(options)
    section = markdown(machine, results, command)
    print(json_text(machine, results, command) if options.json else section)
    if options.write:
        write_section(PAGE, section)
    return 0


def _run(benchmark: Callable[[Bench], Result], bench: Bench) -> Result:
    result = benchmark(bench)
    for used in bench.folder.iterdir():  # the databases of one benchmark would only crowd the disk of the next
        shutil.rmtree(used) if used.is_dir() else used.unlink()
    return result


def _read(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure how fast Waypost is and how much memory it takes, on this machine.",
        epilog="Example: python -m benchmarks --only bulk --only puts --quick",
    )
    parser.add_argument("--only", action="append", choices=BENCHMARKS, metavar="NAME",
                        help=f"measure this alone: {', '.join(BENCHMARKS)}; may be given several times")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="small sizes: show that it works, not how fast it is")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--write", action="store_true", help="put the results into docs/benchmarks.md")
    parser.add_argument("--folder", type=Path, default=FOLDER, metavar="PATH",
                        help="a folder on the disk to measure, left empty (default: %(default)s)")  # fmt: skip
    return parser.parse_args(arguments)


def _command(options: argparse.Namespace) -> str:
    """The command as it was given, as far as it changes the figures."""
    parts = ["python -m benchmarks", *(f"--only {name}" for name in options.only or ())]
    return " ".join(parts + ["--quick"] * options.quick)


if __name__ == "__main__":
    sys.exit(main())
