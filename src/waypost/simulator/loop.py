"""An event loop whose time is virtual, and in which processes can be killed, paused and told apart.

Every callback belongs to a *life*: one process from its start to its end, found in the callback's context. A life that
is killed runs none of its callbacks again, not even to clean up, as after SIGKILL. One that is paused runs them later.
Within a life the order is asyncio's own; whose turn it is among lives, and among timers of one instant, the dice say.

Nothing is ever waited for: when no callback is ready, time moves on to the next timer.
"""

import asyncio
import contextvars
import heapq
import random
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

CLOSINGS_MAX = 10  # of one coroutine that goes on waiting while it is cleaned up
AT_ONE_INSTANT_MAX = 200_000  # callbacks; whoever needs more of them is turning in a circle
TASKS_KEPT_MIN = 256  # of a life, before those that are done are forgotten

_life: "contextvars.ContextVar[Life]" = contextvars.ContextVar("life")


class TurningInCircles(Exception):
    """Callbacks call each other without any time passing."""


class Life:
    """What a callback belongs to. `name` is for the story alone."""

    __slots__ = ("alive", "name", "paused", "ready", "tasks", "tasks_kept_max")

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.paused = False
        self.ready: deque[Handle] = deque()
        # All of them, so that none is garbage before the end: its clean-up would run at a moment of the collector's.
        self.tasks: list[asyncio.Task[Any]] = []
        self.tasks_kept_max = TASKS_KEPT_MIN


class Handle:
    """A callback to come, as `call_soon` and `call_at` give it."""

    __slots__ = ("_args", "_callback", "_context", "_gone", "_life", "_when")

    def __init__(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...], context: contextvars.Context,
        life: Life,
    ) -> None:  # fmt: skip
        self._when = when
        self._callback = callback
        self._args = args
        self._context = context
        self._life = life
        self._gone = False

    def cancel(self) -> None:
        """Let it not be called."""
        self._gone = True

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._gone

    def when(self) -> float:
        """The instant it is due, in seconds of the loop."""
        return self._when


class VirtualLoop(asyncio.AbstractEventLoop):
    """Runs callbacks in virtual time. Only what asyncio's tasks, futures, locks and time-outs need is there."""

    def __init__(self, dice: random.Random) -> None:
        """`dice` say whose turn it is. What is started outside of any process belongs to the world's own life."""
        self.world = Life("the world")
        self.callbacks_run = 0
        self.on_error: Callable[[Life, BaseException], None] | None = None
        self._dice = dice
        self._now = 0.0
        self._serial = 0
        self._timers: list[tuple[float, float, int, Handle]] = []
        self._runnable: list[Life] = []
        self._lives: list[Life] = [self.world]
        self._over = False
        _life.set(self.world)

    # -- for the world

    def begin(self, name: str) -> tuple[Life, contextvars.Context]:
        """Give a new life, and the context in which its first callback is to run."""
        life = Life(name)
        self._lives.append(life)
        context = contextvars.copy_context()
        context.run(_life.set, life)
        return life, context

    def kill(self, life: Life) -> None:
        """Run nothing of `life` any more, without a word to it."""
        life.alive = False
        life.ready.clear()
        if life in self._runnable:
            self._runnable.remove(life)

    def pause(self, life: Life) -> None:
        """Run nothing of `life` until it is woken."""
        life.paused = True
        if life in self._runnable:
            self._runnable.remove(life)

    def wake(self, life: Life) -> None:
        """Run what became ready in the meantime, and go on."""
        life.paused = False
        if life.alive and life.ready and life not in self._runnable:
            self._runnable.append(life)

    def in_world(self, delay_s: float, callback: Callable[..., object], *args: Any) -> Handle:
        """Call back after `delay_s` on behalf of the world, whoever asks: no kill and no pause is in its way."""
        return self._call_at(self._now + delay_s, callback, args, self._world_context(), self.world)

    def run(self, until_s: float, stop: Callable[[], bool] | None = None) -> None:
        """Run until that instant, or until nothing is left to come, or `stop` says so between two instants."""
        events._set_running_loop(self)
        try:
            while True:
                self._run_ready()
                if stop is not None and stop():
                    return
                when = self._timers[0][0] if self._timers else until_s
                if when >= until_s:
                    self._now = max(self._now, until_s)
                    return
                self._now = max(self._now, when)
                self._ripen()
        finally:
            events._set_running_loop(None)

    def close(self) -> None:
        """End everything: nothing is called any more, and what waits is cleaned up without effect."""
        self._over = True
        events._set_running_loop(self)  # or what ends asks asyncio for a loop, and is given a real one
        try:
            for life in self._lives:
                for task in life.tasks:
                    _close(task)
        finally:
            events._set_running_loop(None)
        self._timers.clear()
        self._lives.clear()

    def _run_ready(self) -> None:
        runnable = self._runnable
        last = self.callbacks_run + AT_ONE_INSTANT_MAX
        while runnable:
            place = self._dice.randrange(len(runnable)) if len(runnable) > 1 else 0
            life = runnable[place]
            handle = life.ready.popleft()
            if not life.ready:
                del runnable[place]
            if handle._gone:
                continue
            self.callbacks_run += 1
            if self.callbacks_run > last:
                raise TurningInCircles(f"{life.name} at {self._now:.6f} s: {handle._callback!r}")
            try:
                handle._context.run(handle._callback, *handle._args)
            except Exception as error:
                if self.on_error is None:
                    raise
                self.on_error(life, error)

    def _ripen(self) -> None:
        """Make ready what is due, in an order of the dice's among timers of one instant."""
        timers = self._timers
        while timers and timers[0][0] <= self._now:
            handle = heapq.heappop(timers)[3]
            if not handle._gone:
                self._add_ready(handle)

    def _add_ready(self, handle: Handle) -> None:
        life = handle._life
        if not life.alive:
            return
        if not life.ready and not life.paused:
            self._runnable.append(life)
        life.ready.append(handle)

    def _call_at(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...], context: contextvars.Context,
        life: Life,
    ) -> Handle:  # fmt: skip
        handle = Handle(when, callback, args, context, life)
        if life.alive and not self._over:
            self._serial += 1
            heapq.heappush(self._timers, (when, self._dice.random(), self._serial, handle))
        return handle

    def _world_context(self) -> contextvars.Context:
        context = contextvars.copy_context()
        context.run(_life.set, self.world)
        return context

    # -- for asyncio

    def time(self) -> float:
        """Give the virtual time in seconds from the run's beginning."""
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        """Call back at this very instant, after what is ready already."""
        if context is None:
            context = contextvars.copy_context()
        handle = Handle(self._now, callback, args, context, context.get(_life, self.world))
        if not self._over:
            self._add_ready(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        """Call back after `delay` seconds."""
        return self.call_at(self._now + max(0.0, delay), callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        """Call back at an instant of the loop's time."""
        if context is None:
            context = contextvars.copy_context()
        return self._call_at(when, callback, args, context, context.get(_life, self.world))

    def create_future(self) -> "asyncio.Future[Any]":
        """Make a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: contextvars.Context | None = None
    ) -> "asyncio.Task[T]":
        """Start `coro` in the life of who asks, or of `context`."""
        task = asyncio.Task(coro, loop=self, name=name or "", context=context)
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # a killed process leaves its tasks as they are
        life = (context or contextvars.copy_context()).get(_life, self.world)
        life.tasks.append(task)
        if len(life.tasks) > life.tasks_kept_max:
            life.tasks = [one for one in life.tasks if not one.done()]
            life.tasks_kept_max = max(TASKS_KEPT_MIN, 2 * len(life.tasks))
        return task

    def get_debug(self) -> bool:
        """Say that asyncio's own checks are off."""
        return False

    def is_running(self) -> bool:
        """Whether callbacks may come."""
        return not self._over

    def is_closed(self) -> bool:
        """Whether it has ended."""
        return self._over

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Take an error that nobody waits for; after the end there is nobody to tell."""
        error = context.get("exception")
        if not self._over and self.on_error is not None and isinstance(error, BaseException):
            self.on_error(_life.get(self.world), error)


def current_life() -> Life:
    """The life in which the caller runs."""
    return _life.get()


def _close(task: "asyncio.Task[Any]") -> None:
    """Clean up a task that will never go on. What its clean-up waits for never comes, so it is told again and again."""
    coroutine = task.get_coro()
    for _ in range(CLOSINGS_MAX):
        if task.done() or coroutine is None or coroutine.cr_frame is None:  # type: ignore[union-attr]
            return
        with suppress(Exception):
            coroutine.close()
