"""From the code of a standard list to a status: the tables are data, `tables/*.csv`.

A row gives the status of a code; `classifier` is set when the code itself only estimates; `moves_eta` says that an
estimated or planned time of this code is the ETA. A code may have several rows: `when` names a field and the value it
must have (`carrier_reason=EMPTY`), the first row that fits decides, and its `note` says why.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import cast, get_args

from waypost.shipments.model import Classifier, CodeList, Status, TrackingEventInput


@dataclass(frozen=True, slots=True)
class CodeRow:
    """What one code means."""

    code: str
    when: tuple[str, str] | None
    status: Status | None
    classifier: Classifier | None
    moves_eta: bool
    note: str


def look_up(event: TrackingEventInput) -> CodeRow | None:
    """Find what the event's code means; None when it has none or the list does not know it."""
    if event.code is None or event.code_list is None:
        return None
    for row in code_table(event.code_list).get(event.code.upper(), ()):
        if row.when is None or str(getattr(event, row.when[0]) or "").upper() == row.when[1]:
            return row
    return None


@cache
def code_table(code_list: CodeList) -> Mapping[str, tuple[CodeRow, ...]]:
    """Give the table of a code list: the rows of each code, in the order in which they are tried."""
    table: dict[str, tuple[CodeRow, ...]] = {}
    text = files(__package__).joinpath("tables", f"{code_list}.csv").read_text("utf-8")
    for line in csv.DictReader(text.splitlines()):
        row = _row(line)
        table[row.code] = (*table.get(row.code, ()), row)
    return table


def _row(line: dict[str, str]) -> CodeRow:
    field, _, value = line["when"].partition("=")
    assert not line["status"] or line["status"] in get_args(Status), line
    return CodeRow(
        code=line["code"],
        when=(field, value) if field else None,
        status=cast(Status, line["status"]) if line["status"] else None,
        classifier=cast(Classifier, line["classifier"]) if line["classifier"] else None,
        moves_eta=line["moves_eta"] == "yes",
        note=line["note"],
    )
