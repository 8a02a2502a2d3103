"""The log's latest rows in memory, for all endpoints together, bounded in bytes.

An event that a hundred endpoints want is read once. Rows are kept by account and position, oldest use first to go; what
is missing is read from the log again.
"""

from collections import OrderedDict
from collections.abc import Iterable

from waypost.ids import AccountId
from waypost.log.records import LogRow

BYTES_MAX = 32 * 1024 * 1024
_ROW_OVERHEAD = 600  # bytes of Python around a body, roughly


class RowCache:
    """Rows of the log by account and position."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._rows: OrderedDict[tuple[AccountId, int], LogRow] = OrderedDict()

    def add(self, account_id: AccountId, rows: Iterable[LogRow]) -> None:
        """Keep `rows`, and let the least used ones go when they are too many."""
        for row in rows:
            key = (account_id, row.position)
            if key not in self._rows:
                self._rows[key] = row
                self._bytes += len(row.body) + _ROW_OVERHEAD
        while self._bytes > self._bytes_max:
            _, gone = self._rows.popitem(last=False)
            self._bytes -= len(gone.body) + _ROW_OVERHEAD

    def get(self, account_id: AccountId, position: int) -> LogRow | None:
        """Give one row, or None."""
        return self._rows.get((account_id, position))

    def after(self, account_id: AccountId, position: int, limit: int) -> list[LogRow]:
        """Give the rows right after `position` as far as they are here without a gap, at most `limit`."""
        rows: list[LogRow] = []
        while len(rows) < limit and (row := self._rows.get((account_id, position + len(rows) + 1))) is not None:
            rows.append(row)
        return rows

    def forget(self, account_id: AccountId, position: int) -> None:
        """Let a row go whose bytes were rewritten by an erasure."""
        gone = self._rows.pop((account_id, position), None)
        if gone is not None:
            self._bytes -= len(gone.body) + _ROW_OVERHEAD
