"""What a carrier's codes mean, as data: a table of rows, and the rule by which a scan finds its meaning there.

A row says for which code, which detail of it, which scan (`first`: the first one with this code in the message) and
which shipment (`return`) it stands; `*` and `any` stand for all, `a|b` for either. Each of the four answers is taken
from the first row that fits and fills it. So one row can say how far a shipment is and another one what troubles it,
and special rows stand above general ones. A code that fits no row at all is not mapped: it is kept, and shown to a
person.
"""

import csv
import io
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, get_args

from waypost.shipments.model import ActionRequiredBy, Condition, Reason, Status

COLUMNS = (
    "status",
    "status_detail",
    "scan",
    "shipment",
    "becomes",
    "condition",
    "reason",
    "action_required_by",
    "note",
)
ROWS_MAX = 5_000  # an operator's own table is data from outside; the longest code list in freight has about 400 codes


class TableError(ValueError):
    """A table cannot be used: the message names the line and what is wrong there."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What a row is held against: the codes as the carrier wrote them, and where the scan stands."""

    status: str
    status_detail: str
    is_first: bool
    is_return: bool


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a scan says. None means that it says nothing on that point."""

    status: Status | None = None
    condition: Condition | None = None
    reason: Reason | None = None
    action_required_by: ActionRequiredBy | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table; `None` among the codes means that every code fits."""

    statuses: frozenset[str] | None
    details: frozenset[str] | None
    first_only: bool
    returns_only: bool
    meaning: Meaning

    def fits(self, scan: Scan) -> bool:
        """Whether this row speaks about `scan`."""
        return (
            (self.statuses is None or scan.status in self.statuses)
            and (self.details is None or scan.status_detail in self.details)
            and (scan.is_first or not self.first_only)
            and (scan.is_return or not self.returns_only)
        )


@dataclass(frozen=True, slots=True)
class StatusTable:
    """The rows of one table, in the order in which they are asked."""

    rows: tuple[Row, ...]

    def meaning(self, scan: Scan) -> Meaning | None:
        """Give what `scan` says, or None when no row knows its code."""
        fitting = [row.meaning for row in self.rows if row.fits(scan)]
        if not fitting:
            return None
        return Meaning(
            status=next((meaning.status for meaning in fitting if meaning.status), None),
            condition=next((meaning.condition for meaning in fitting if meaning.condition), None),
            reason=next((meaning.reason for meaning in fitting if meaning.reason), None),
            action_required_by=next((m.action_required_by for m in fitting if m.action_required_by), None),
        )


def read_table(text: str) -> StatusTable:
    """Read a table from CSV with the columns of `COLUMNS`; raises TableError naming the line."""
    reader = csv.DictReader(io.StringIO(text), strict=True)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise TableError(f"line 1: the columns must be {', '.join(COLUMNS)}")
    rows: list[Row] = []
    try:
        for cells in reader:
            if len(rows) == ROWS_MAX:
                raise TableError(f"line {reader.line_num}: a table holds at most {ROWS_MAX} rows")
            rows.append(_read_row(cells, reader.line_num))
    except csv.Error as error:
        raise TableError(f"after line {reader.line_num}: {error}") from error
    return StatusTable(tuple(rows))


@cache
def packaged_table(name: str) -> StatusTable:
    """Give the table `name` that comes with Waypost; read once."""
    return read_table(resources.files("waypost.intake.tables").joinpath(f"{name}.csv").read_text(encoding="utf-8"))


def _read_row(cells: dict[str, str], line: int) -> Row:
    if None in cells or None in cells.values():
        raise TableError(f"line {line}: {len(COLUMNS)} cells expected")
    return Row(
        statuses=_codes(cells["status"]),
        details=_codes(cells["status_detail"]),
        first_only=_choice(cells, "scan", ("any", "first"), line) == "first",
        returns_only=_choice(cells, "shipment", ("any", "return"), line) == "return",
        meaning=Meaning(
            status=_answer(cells, "becomes", Status, line),
            condition=_answer(cells, "condition", Condition, line),
            reason=_answer(cells, "reason", Reason, line),
            action_required_by=_answer(cells, "action_required_by", ActionRequiredBy, line),
        ),
    )


def _codes(cell: str) -> frozenset[str] | None:
    return None if cell == "*" else frozenset(code.strip() for code in cell.split("|"))


def _choice(cells: dict[str, str], column: str, allowed: Collection[str], line: int) -> str:
    if cells[column] not in allowed:
        raise TableError(f"line {line}: {column} is {cells[column][:80]!r}; allowed: {', '.join(allowed)}")
    return cells[column]


def _answer(cells: dict[str, str], column: str, vocabulary: object, line: int) -> Any:
    """The word in an answering column, which must be of `vocabulary` (a Literal); None when the cell is empty."""
    return _choice(cells, column, get_args(vocabulary), line) if cells[column] else None
