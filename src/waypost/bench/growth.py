"""A long log and a short one: whether a new event costs more when there are many.

Works on the log itself, in this process. The long log is filled with copies of shipments that were accepted for real,
with ids, references and numbers of their own; a million of them one by one would take an hour.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pysqlite3.dbapi2 as sqlite3
from sqlalchemy import Table

from waypost.bench.bench import Bench
from waypost.bench.documents import SHIPMENT_EVENTS, purchase_order, put_body, tracking_number
from waypost.bench.figures import BenchmarkFailed, Result, at_most, over_rounds
from waypost.clock import IdSource, SystemClock
from waypost.ids import RANDOM_BITS, AccountId, ulid
from waypost.log import Accepted, AcceptReport, Log, Request
from waypost.log.tables import events, shipment_keys, shipments
from waypost.shipments.facts import Actor
from waypost.shipments.reading import read_document
from waypost.shipments.report import DocumentReport

NAME = "growth"
ACCOUNT = AccountId("default")
OPERATOR_TOKEN = "wp_for_this_benchmark"  # noqa: S105 - of a log that is thrown away
MODEL_SHIPMENTS = 500  # accepted for real; the others are copies of them
GROUP = 64  # reports that share a commit, as when 64 clients call at once
PADDING = 40
FILL_CACHE_KIB = 256 * 1024  # the indexes that grow in their middle
RATIO_GOAL = 1.15

Row = dict[str, Any]


@dataclass
class OneLog:
    """A log that is measured, and what was measured of it."""

    log: Log
    numbers: Iterator[int]
    position: int
    wall_us: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)

    async def measure(self, groups: int) -> None:
        """Accept so many groups and read each back as delivery does. Adds the mean cost of an event to the lists."""
        wall = cpu = 0.0
        for _ in range(groups):
            reports = [_report(next(self.numbers)) for _ in range(GROUP)]
            wall_started, cpu_started = time.perf_counter(), time.process_time()
            await _accept(self.log, reports)
            rows = await self.log.events_after(ACCOUNT, self.position, GROUP * SHIPMENT_EVENTS)
            cpu += time.process_time() - cpu_started
            wall += time.perf_counter() - wall_started
            self.position = rows[-1].position
        self.wall_us.append(wall * 1e6 / (groups * GROUP * SHIPMENT_EVENTS))
        self.cpu_us.append(cpu * 1e6 / (groups * GROUP * SHIPMENT_EVENTS))


def run(bench: Bench) -> Result:
    """Fill both logs, then measure them in turn."""
    return asyncio.run(_run(bench))


async def _run(bench: Bench) -> Result:
    few, many = bench.sized(10_000, 2_000), bench.sized(1_000_000, 40_000)
    rounds, groups = bench.sized(15, 3), bench.sized(10, 3)
    bench.say(f"growth: filling a log with {many:,} events")
    for name in ("short", "long"):
        (bench.folder / name).mkdir()
    short, long = await filled(bench.folder / "short", few), await filled(bench.folder / "long", many)
    try:
        for one in (short, long):
            await one.measure(groups)
            one.wall_us.clear()
            one.cpu_us.clear()
        for number in range(rounds):
            bench.say(f"growth: round {number + 1} of {rounds}")
            for one in (short, long) if number % 2 else (long, short):
                await one.measure(groups)
    finally:
        await short.log.close()
        await long.log.close()
    return Result(
        NAME,
        "A long log and a short one",
        {
            "logs": f"{few:,} and {many:,} events before, each with {(rounds + 1) * groups * GROUP * 2:,} more after",
            "measured": f"{rounds} rounds, in turn, each of {groups} groups of {GROUP} new shipments, two events each",
            "cost": "from the report to the event read back from the log, with the commit on disk between",
        },
        [
            over_rounds(
                "time for each event, long to short", _ratios(long.wall_us, short.wall_us), "", at_most(RATIO_GOAL)
            ),
            over_rounds(
                "CPU for each event, long to short", _ratios(long.cpu_us, short.cpu_us), "", at_most(RATIO_GOAL)
            ),
            over_rounds(f"time for each event, {few:,} in the log", short.wall_us, "µs"),
            over_rounds(f"time for each event, {many:,} in the log", long.wall_us, "µs"),
        ],
    )


def _ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    return [over / under for over, under in zip(above, below, strict=True)]


def _report(number: int) -> AcceptReport:
    document = read_document(put_body(number, PADDING))
    report = DocumentReport(document=document, actor=Actor(kind="api", token="bench"))  # noqa: S106 - a name
    return AcceptReport(ACCOUNT, _reference(number), report)


async def _accept(log: Log, reports: list[AcceptReport]) -> list[Accepted]:
    outcomes = await log.do_all([Request(report) for report in reports])
    accepted = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
    if len(accepted) != len(reports) or any(len(one.events) != SHIPMENT_EVENTS for one in accepted):
        raise BenchmarkFailed("the log did not take a new shipment")
    return accepted


# -- filling


async def open_log(folder: Path) -> Log:
    """Open the log in a folder, with a key that everybody knows."""
    return await Log.open(
        f"sqlite:///{folder / 'waypost.db'}", key=bytes(32), clock=SystemClock(), ids=IdSource(), migrate=True
    )


async def filled(folder: Path, count: int, apart_ms: int = 1) -> OneLog:
    """Make a log of `count` events; every thousand of them lie so many milliseconds apart."""
    log = await open_log(folder)
    await log.ensure_operator(OPERATOR_TOKEN)  # makes the account as well
    for start in range(1, MODEL_SHIPMENTS + 1, GROUP):
        await _accept(log, [_report(number) for number in range(start, min(start + GROUP, MODEL_SHIPMENTS + 1))])
    await log.close()
    copies = count // (MODEL_SHIPMENTS * SHIPMENT_EVENTS) - 1
    _fill(folder / "waypost.db", copies, apart_ms)
    first_new = (copies + 1) * MODEL_SHIPMENTS + 1
    return OneLog(
        await open_log(folder), iter(range(first_new, 1 << 31)), (copies + 1) * MODEL_SHIPMENTS * SHIPMENT_EVENTS
    )


def _fill(path: Path, copies: int, apart_ms: int) -> None:
    """Copy what is in the log so many times. Copies are younger than their models, and older than what comes later."""
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    # Nothing to lose yet. The log sets what it needs when it opens the file to be measured.
    for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{FILL_CACHE_KIB}"):
        connection.execute(f"PRAGMA {pragma}")
    begun_ms = time.time_ns() // 1_000_000 - (copies + 1) * apart_ms
    models = {table: _rows(connection, table) for table in (shipments, events, shipment_keys)}
    numbers = {row["shipment_id"]: int(row["reference"].rpartition("-")[2]) for row in models[shipments]}
    for copy in range(1, copies + 1):
        aside = _Copy(copy, begun_ms + copy * apart_ms, numbers)
        for table, change in ((shipments, aside.shipment), (events, aside.event), (shipment_keys, aside.key)):
            _insert(connection, table, models[table], change)
    head = (copies + 1) * MODEL_SHIPMENTS * SHIPMENT_EVENTS
    connection.execute("UPDATE accounts SET position = ? WHERE account_id = ?", (head, ACCOUNT))
    connection.commit()
    connection.close()


def _rows(connection: Any, table: Table) -> list[Row]:
    columns = ", ".join(column.name for column in table.columns)
    order = ", ".join(column.name for column in table.primary_key.columns)
    return [dict(row) for row in connection.execute(f"SELECT {columns} FROM {table.name} ORDER BY {order}")]  # noqa: S608 - our names


def _insert(connection: Any, table: Table, models: list[Row], change: Callable[[Row], Row]) -> None:
    columns = [column.name for column in table.columns]
    places = ", ".join("?" * len(columns))
    rows = (tuple((model | change(model)).values()) for model in models)
    connection.executemany(f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({places})", rows)  # noqa: S608 - our names


@dataclass(frozen=True)
class _Copy:
    """The copy of all models with the given number: what is its own in each row."""

    copy: int
    at_ms: int
    numbers: dict[str, int]

    def shipment(self, row: Row) -> Row:
        number = self.numbers[row["shipment_id"]]
        at_us = self.at_ms * 1000
        own = {"shipment_id": self._shipment_id(number), "reference": _reference(self._number(number))}
        return own | {"created_at": at_us, "updated_at": at_us}

    def event(self, row: Row) -> Row:
        position = row["position"] + self.copy * MODEL_SHIPMENTS * SHIPMENT_EVENTS
        key = self._shipment_id(self.numbers[row["key"]])
        event_id = "evt_" + ulid(self.at_ms, position)
        return {"position": position, "event_id": event_id, "key": key, "recorded_at": self.at_ms * 1000}

    def key(self, row: Row) -> Row:
        number = self.numbers[row["shipment_id"]]
        names = (_reference, purchase_order, tracking_number)
        values = {name(number).casefold(): name(self._number(number)).casefold() for name in names}
        return {"shipment_id": self._shipment_id(number), "value": values[row["value"]]}

    def _number(self, number: int) -> int:
        return number + self.copy * MODEL_SHIPMENTS

    def _shipment_id(self, number: int) -> str:
        return "shp_" + ulid(self.at_ms, number << (RANDOM_BITS - 32))


def _reference(number: int) -> str:
    return f"SO-{number}"
