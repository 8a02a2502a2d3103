"""Loops that go on for as long as the service does, whatever happens to one turn of them.

A turn that fails is told in the log and tried again after a pause that grows. A loop whose task ended nevertheless is
noticed by `ready`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog

from waypost.errors import Unavailable

log = structlog.get_logger(__name__)

PAUSE_S_MIN = 1.0
PAUSE_S_MAX = 300.0


@dataclass(frozen=True, slots=True)
class Loop:
    """One loop: `turn` does a bounded piece of work and gives how many seconds may pass until the next turn."""

    name: str
    turn: Callable[[], Awaitable[float]]
    wanted: asyncio.Event = field(default_factory=asyncio.Event, compare=False)

    def wake(self) -> None:
        """Let the next turn begin at once."""
        self.wanted.set()


class Loops:
    """Runs several loops side by side, until it is cancelled."""

    def __init__(self, loops: Sequence[Loop]) -> None:
        self._loops = tuple(loops)
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Run every loop; return when cancelled."""
        self._tasks = [asyncio.create_task(_forever(loop), name=f"upkeep {loop.name}") for loop in self._loops]
        try:
            # One that ends does not end the others; `ready` tells.
            await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def ready(self) -> bool:
        """Whether every loop is alive."""
        return len(self._tasks) == len(self._loops) and not any(task.done() for task in self._tasks)


async def _forever(loop: Loop) -> None:
    pause_s = PAUSE_S_MIN
    while True:
        loop.wanted.clear()
        try:
            rest_s = await loop.turn()
            pause_s = PAUSE_S_MIN
        except Unavailable as error:
            log.warning("upkeep_must_wait", loop=loop.name, error=error.detail, again_in_s=pause_s)
            rest_s, pause_s = pause_s, min(pause_s * 2, PAUSE_S_MAX)
        except Exception:  # a loop that ends would let the disk fill up, or keep alerts from everybody
            log.exception("upkeep_failed", loop=loop.name, again_in_s=pause_s)
            rest_s, pause_s = pause_s, min(pause_s * 2, PAUSE_S_MAX)
        await _rest(loop, rest_s)


async def _rest(loop: Loop, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await loop.wanted.wait()
    except TimeoutError:
        return
