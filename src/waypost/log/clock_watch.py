"""What the database remembers of the clock: a clock that is set wrong must not make everything old.

One row for all services, so that two whose clocks differ by more than a day are noticed as well.
"""

from typing import Any

from sqlalchemy import Connection, Select, select

from waypost.ids import AccountId
from waypost.log.database import insert_into
from waypost.log.keeping import ClockSeen, watch_clock
from waypost.log.tables import clock_seen
from waypost.log.transaction import Tx, Unit

NO_ACCOUNT = AccountId("")  # the clock is nobody's
THE_ROW = 1


def note_clock() -> Unit[ClockSeen]:
    """Note what the clock shows now, and give what is known of it then."""

    def work(tx: Tx) -> ClockSeen:
        seen = watch_clock(read_clock(tx.connection), tx.now_us)
        values = {"believed": seen.believed, "ahead_since": seen.ahead_since, "ahead_seen": seen.ahead_seen}
        statement = insert_into(tx.dialect, clock_seen).values(row_id=THE_ROW, **values)
        tx.connection.execute(statement.on_conflict_do_update(index_elements=["row_id"], set_=values))
        return seen

    return Unit(NO_ACCOUNT, work)


def read_clock(connection: Connection) -> ClockSeen | None:
    """Give what was noted of the clock, None before the first sweep."""
    row = connection.execute(the_clock()).first()
    return None if row is None else ClockSeen(*row)


def the_clock() -> Select[Any]:
    """What was noted of the clock. By the primary key."""
    columns = clock_seen.c
    return select(columns.believed, columns.ahead_since, columns.ahead_seen).where(columns.row_id == THE_ROW)
