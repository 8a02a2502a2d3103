"""Telling of silence: an active shipment that no scan came for is told, once, in the accounts that asked for it.

What is found here is only a guess: the report is held against the shipment as it is when its turn comes, under the
account's lock. So a scan that comes in meanwhile, a restart, or a second service makes no event too many.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

import structlog
from sqlalchemy import Connection

from waypost.clock import Clock, to_micros
from waypost.ids import AccountId, ShipmentId
from waypost.log import Accepted, AcceptReport, Account, Log, Request, Vault, clock_watch, keeping, silence
from waypost.shipments import StaleReport

log = structlog.get_logger(__name__)

EVERY_S = 60.0
PAUSE_S = 0.02  # after a step, at the least; others write meanwhile
PAUSE_SHARE = 3  # of a step's own time
SHIPMENTS_A_STEP = 50
ACCOUNTS_A_PAGE = 100


class Silence:
    """Looks for shipments that nothing was heard of for as long as their account set."""

    def __init__(
        self, log_of_all: Log, clock: Clock, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._log = log_of_all
        self._clock = clock
        self._sleep = sleep

    async def turn(self) -> float:
        """Look once through all accounts; give the seconds until the next time."""
        now_us = to_micros(self._clock.now())
        seen = await self._log.look(lambda connection, _: clock_watch.read_clock(connection))
        if keeping.watch_clock(seen, now_us).is_ahead:
            return EVERY_S  # the sweep, which notes what the clock shows, has warned
        cursor: str | None = None
        while True:
            page = await self._log.list_accounts(ACCOUNTS_A_PAGE, cursor)
            for account in page.items:
                if account.settings.stale_after_hours is not None:
                    await self._tell(account, account.settings.stale_after_hours)
            if page.next is None:
                return EVERY_S
            cursor = page.next

    async def _tell(self, account: Account, after_hours: int) -> None:
        account_id, place, told = account.account_id, silence.BEGINNING, 0
        before_us = to_micros(self._clock.now() - timedelta(hours=after_hours))
        while found := await self._log.look(partial(_quiet, account_id, before_us, place)):
            began = self._clock.monotonic()
            reports = [AcceptReport(account_id, name, StaleReport(after_hours), whole=False) for name, _ in found]
            told += _count_told(account_id, await self._log.do_all([Request(report) for report in reports]))
            # On past those that were told, and past one that could not be.
            place = found[-1][1]
            await self._sleep(max(PAUSE_S, PAUSE_SHARE * (self._clock.monotonic() - began)))
        if told:
            log.info("silence_told", account_id=account_id, shipments=told)


def _quiet(
    account_id: AccountId, before_us: int, place: silence.Place, connection: Connection, _: Vault
) -> list[tuple[ShipmentId, silence.Place]]:
    return silence.quiet_before(connection, account_id, before_us, place, SHIPMENTS_A_STEP)


def _count_told(account_id: AccountId, outcomes: list[object]) -> int:
    """How many shipments were told; what one of them fails with is its own."""
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            log.error("silence_not_told", account_id=account_id, error=f"{type(outcome).__name__}: {outcome}")
    return sum(isinstance(outcome, Accepted) and bool(outcome.events) for outcome in outcomes)
