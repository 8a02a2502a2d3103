"""The sweep: once an hour, account by account, what is old leaves, in small steps with a pause after each.

It keeps nothing in mind from one sweep to the next, so a restart costs nothing. Several services on one database may
sweep at once: each step takes the account's lock, and finds nothing where another has been.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from waypost.clock import Clock, from_micros, to_micros
from waypost.errors import Unavailable
from waypost.ids import AccountId, EndpointId
from waypost.log import Log, Unit, clock_watch, expiry, retention
from waypost.log.expiry import Behind
from waypost.log.idempotency import KEPT_US
from waypost.log.keeping import Ages

log = structlog.get_logger(__name__)
T = TypeVar("T")

EVERY_S = 3600.0
PAUSE_S = 0.02  # after a step, at the least; others write meanwhile
PAUSE_SHARE = 3  # of a step's own time: a slow disk is left alone for longer
ACCOUNTS_A_PAGE = 100
REMEDY = (
    "Nothing is removed or given up until the clock has gone on from there for a day. Set it right if it is wrong; "
    "after a rest of more than a day, do nothing."
)


class Sweep:
    """Removes what is old, from every account."""

    def __init__(
        self, log_of_all: Log, ages: Ages, clock: Clock, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._log = log_of_all
        self._ages = ages
        self._clock = clock
        self._sleep = sleep

    async def turn(self) -> float:
        """Sweep once through all accounts; give the seconds until the next time. Not by a clock that may be wrong."""
        clock = await self._do(clock_watch.note_clock())
        if clock.is_ahead:
            log.warning(
                "clock_leapt_ahead", believed=from_micros(clock.believed).isoformat(), what_to_do=REMEDY,
                clock=self._clock.now().isoformat(),
            )  # fmt: skip
            return EVERY_S
        cursor: str | None = None
        while True:
            page = await self._log.list_accounts(ACCOUNTS_A_PAGE, cursor)
            for account in page.items:
                await self._sweep_alone(account.account_id)
            if page.next is None:
                break
            cursor = page.next
        await self._do(retention.remove_workers(self._ages))
        return EVERY_S

    async def _sweep_alone(self, account_id: AccountId) -> None:
        """Sweep one account; what is wrong with it costs only itself."""
        try:
            await self.sweep(account_id)
        except Unavailable:
            raise
        except Exception:
            log.exception("account_not_swept", account_id=account_id)

    async def sweep(self, account_id: AccountId) -> None:
        """Remove what is old from one account, give up what was owed for too long, and note who is to be warned."""
        now_us = to_micros(self._clock.now())
        found = await self._log.look(
            lambda connection, vault: expiry.survey(connection, vault, account_id, self._ages, now_us)
        )
        for endpoint in found.behind:
            if endpoint.is_past:
                await self._give_up(account_id, endpoint, found.young_from)
            elif endpoint.warning_due is not None:
                await self._warn(account_id, endpoint, endpoint.warning_due)
        for endpoint_id in found.at_ease:
            await self._do(expiry.forget_expiry(account_id, endpoint_id))
        events, through = await self._remove_events(account_id)
        attempts = sum([await self._remove_attempts(account_id, one, through) for one in found.tried])
        await self._all(lambda: retention.remove_folds(account_id, through))
        await self._all(lambda: retention.remove_hours(account_id, self._ages))
        answers = await self._all(lambda: retention.remove_answers(account_id, KEPT_US))
        messages = await self._all(lambda: retention.remove_messages(account_id, self._ages))
        if events or attempts or answers or messages:
            log.info(
                "old_data_removed", account_id=account_id, events=events, attempts=attempts, answers=answers,
                messages=messages,
            )  # fmt: skip

    async def _give_up(self, account_id: AccountId, endpoint: Behind, young_from: int | None) -> None:
        given_up = await self._all(lambda: expiry.give_up(account_id, endpoint.endpoint_id, self._ages, young_from))
        if given_up:
            log.warning(
                "owed_events_given_up", account_id=account_id, endpoint_id=endpoint.endpoint_id, events=given_up
            )

    async def _warn(self, account_id: AccountId, endpoint: Behind, days_left: int) -> None:
        expires_at = endpoint.oldest_owed_at + self._ages.owed_us
        if await self._do(expiry.note_expiry(account_id, endpoint.endpoint_id, days_left, expires_at)):
            log.warning(
                "owed_events_expire_soon", account_id=account_id, endpoint_id=endpoint.endpoint_id,
                days_left=days_left, expires_at=from_micros(expires_at).isoformat(),
            )  # fmt: skip

    async def _remove_events(self, account_id: AccountId) -> tuple[int, int]:
        """Give how many events left, and the position that the walk came to."""
        removed, place = 0, 0
        while True:
            step = await self._do(retention.remove_events(account_id, self._ages, place))
            removed, place = removed + step.removed, step.place
            if not step.more:
                return removed, place

    async def _remove_attempts(self, account_id: AccountId, endpoint_id: EndpointId, through: int) -> int:
        removed, place = 0, (0, 0)
        while True:
            step, place = await self._do(retention.remove_attempts(account_id, endpoint_id, self._ages, place, through))
            removed += step.removed
            if not step.more:
                return removed

    async def _all(self, unit: Callable[[], Unit[retention.Step]]) -> int:
        """Do a unit until nothing is left for it; give how many rows that was."""
        removed = 0
        while True:
            step = await self._do(unit())
            removed += step.removed
            if not step.more:
                return removed

    async def _do(self, unit: Unit[T]) -> T:
        began = self._clock.monotonic()
        outcome = await self._log.do(unit)
        await self._sleep(max(PAUSE_S, PAUSE_SHARE * (self._clock.monotonic() - began)))
        return outcome
