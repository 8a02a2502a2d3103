"""Lets attempts begin a few at a time, the accounts in rotation.

A thousand endpoints that are resumed at once have a thousand attempts to begin. Begun together they would fill the
event loop for a quarter of a second, and everybody else's events would stand behind them. So a few begin in one turn of
the loop; then come the answers, the requests and the other accounts.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from waypost.ids import AccountId

BEGUN_A_TURN = 16  # of the event loop; beginning one takes about 0.1 ms


class Turnstile:
    """Begins what it is given, at once while there is little of it. For one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[AccountId, deque[Callable[[], None]]] = {}
        self._begun = 0
        self._turning = False
        self._closed = False

    def enter(self, account_id: AccountId, begin: Callable[[], None]) -> None:
        """Call `begin` now or in one of the next turns of the event loop, those of one account in order."""
        if self._closed:
            return
        if not self._waiting and self._begun < BEGUN_A_TURN:
            self._begun += 1
            begin()
        else:
            self._waiting.setdefault(account_id, deque()).append(begin)
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def close(self) -> None:
        """Begin nothing more."""
        self._closed = True
        self._waiting.clear()

    def _turn(self) -> None:
        self._begun = 0
        while self._waiting and self._begun < BEGUN_A_TURN:
            account_id = next(iter(self._waiting))
            queue = self._waiting.pop(account_id)
            begin = queue.popleft()
            if queue:
                self._waiting[account_id] = queue  # behind the others
            self._begun += 1
            begin()
        self._turning = bool(self._begun)
        if self._turning:
            asyncio.get_running_loop().call_soon(self._turn)
