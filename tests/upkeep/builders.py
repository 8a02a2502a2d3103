"""What the tests of upkeep are made of: a clock that is moved by hand, and a log whose events have an age."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import Select, select

from log.builders import DEFAULT
from waypost.clock import IdSource
from waypost.ids import AccountId
from waypost.log import Database, Log, Vault
from waypost.log.keeping import Ages
from waypost.log.tables import attempts, events, pending
from waypost.upkeep.sweep import Sweep

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
AGES = Ages(days=30, owed_days=90)


class MovedClock:
    """A wall clock that stands still until it is moved."""

    def __init__(self, now: datetime = NOW) -> None:
        self.at = now

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return time.monotonic()

    def days_ago(self, days: float) -> None:
        """Stand so many days before NOW."""
        self.at = NOW - timedelta(days=days)

    def forward(self, **span: float) -> None:
        """Go on by a span, named as timedelta names it."""
        self.at += timedelta(**span)


@asynccontextmanager
async def a_log(database: Database, vault: Vault, clock: MovedClock) -> AsyncIterator[Log]:
    """A log that goes by `clock`, with the account `default`."""
    log = Log(database, clock, IdSource(), vault)
    await log.start()
    try:
        await log.ensure_operator("wp_operator")
        yield log
    finally:
        await log.close()


def a_sweep(log: Log, clock: MovedClock, ages: Ages = AGES) -> Sweep:
    """A sweep that rests for no time at all."""

    async def no_rest(_seconds: float) -> None:
        return None

    return Sweep(log, ages, clock, sleep=no_rest)


async def lived(log: Log, clock: MovedClock, days: float) -> None:
    """Let time pass with a sweep a day: a clock that leaps is not believed."""
    end = clock.at + timedelta(days=days)
    while clock.at < end:
        clock.at = min(clock.at + timedelta(days=1), end)
        await a_sweep(log, clock).turn()


def read(database: Database, query: Select[tuple[int]]) -> list[int]:
    """What a query of one column finds, in order."""
    with database.readers.connect() as connection:
        return sorted(connection.execute(query).scalars())


def events_left(database: Database, account: AccountId = DEFAULT) -> list[int]:
    """The positions that are left in the log."""
    return read(database, select(events.c.position).where(events.c.account_id == account))


def attempts_left(database: Database, account: AccountId = DEFAULT) -> list[int]:
    """The positions of the attempts that are left."""
    return read(database, select(attempts.c.position).where(attempts.c.account_id == account))


def pending_left(database: Database, account: AccountId = DEFAULT) -> list[int]:
    """The positions that are pending."""
    return read(database, select(pending.c.position).where(pending.c.account_id == account))
