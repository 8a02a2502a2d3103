"""The machine that the figures belong to."""

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

from waypost.bench.figures import quantile
from waypost.log.database import sqlite_version

FSYNCS = 200
FSYNC_BYTES = 4096  # a page of SQLite's


@dataclass(frozen=True, slots=True)
class Machine:
    """What one has to know of a machine to compare it with another. Times of fsync in milliseconds."""

    cores: int
    processor: str
    memory_gb: float
    system: str
    python: str
    sqlite: str
    filesystem: str
    fsync_p50_ms: float
    fsync_p99_ms: float
    load: float

    def rows(self) -> list[tuple[str, str]]:
        """For a table: what, and its value."""
        return [
            ("processor", f"{self.cores} × {self.processor}"),
            ("memory", f"{self.memory_gb:.0f} GB"),
            ("system", self.system),
            ("Python", self.python),
            ("SQLite", self.sqlite),
            ("file system", self.filesystem),
            ("fsync of 4 KB", f"{self.fsync_p50_ms:.2f} ms at the median, {self.fsync_p99_ms:.2f} ms at p99"),
            ("load before", f"{self.load:.2f}"),
        ]


def look_at_machine(folder: Path) -> Machine:
    """Describe this machine, and measure the disk under `folder`."""
    load = os.getloadavg()[0]
    fsyncs_ms = _fsyncs_ms(folder)
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        processor=_first_value(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        memory_gb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9,
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        sqlite=sqlite_version(),
        filesystem=_filesystem(folder),
        fsync_p50_ms=quantile(fsyncs_ms, 0.5),
        fsync_p99_ms=quantile(fsyncs_ms, 0.99),
        load=load,
    )


def _fsyncs_ms(folder: Path) -> list[float]:
    """How long it takes to append a page and have it on disk, each time."""
    path = folder / "fsync"
    times = []
    with path.open("wb", buffering=0) as file:
        for _ in range(FSYNCS):
            started = time.perf_counter()
            file.write(bytes(FSYNC_BYTES))
            os.fsync(file.fileno())
            times.append((time.perf_counter() - started) * 1000)
    path.unlink()
    return times


def _first_value(path: Path, name: str) -> str | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in pairs if key.strip() == name), None)


def _filesystem(folder: Path) -> str:
    """The kind of file system that holds `folder`: that of the longest mount point above it."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    above = [(len(mount[1]), mount[2]) for mount in mounts if folder.resolve().is_relative_to(mount[1])]
    return max(above)[1] if above else "unknown"
