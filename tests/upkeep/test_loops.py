"""Loops that go on whatever happens, and a service that notices when one does not."""

import asyncio

import pytest
from structlog.testing import capture_logs

from waypost.errors import Unavailable
from waypost.upkeep import loops
from waypost.upkeep.loops import Loop, Loops


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of milliseconds."""
    monkeypatch.setattr(loops, "PAUSE_S_MIN", 0.001)
    monkeypatch.setattr(loops, "PAUSE_S_MAX", 0.004)


class Turns:
    """A turn that fails as it is told, and after that says that it is done."""

    def __init__(self, *failures: BaseException, rest_s: float = 60) -> None:
        self.failures = list(failures)
        self.made = 0
        self.rest_s = rest_s
        self.done = asyncio.Event()

    async def __call__(self) -> float:
        self.made += 1
        if self.failures:
            raise self.failures.pop(0)
        self.done.set()
        return self.rest_s


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.usefixtures("quick")
async def test_a_turn_that_fails_is_told_and_tried_again_after_a_pause_that_grows() -> None:
    turns = Turns(*[ValueError("no")] * 4)
    with capture_logs() as told:
        running = asyncio.create_task(Loops([Loop("mine", turns)]).run())
        await turns.done.wait()
        await stop(running)
    assert [entry["again_in_s"] for entry in told] == [0.001, 0.002, 0.004, 0.004]
    assert {entry["event"] for entry in told} == {"upkeep_failed"}


@pytest.mark.usefixtures("quick")
async def test_a_database_that_is_away_is_told_in_one_line() -> None:
    turns = Turns(Unavailable("The database is away; try again."))
    with capture_logs() as told:
        running = asyncio.create_task(Loops([Loop("mine", turns)]).run())
        await turns.done.wait()
        await stop(running)
    assert [entry["event"] for entry in told] == ["upkeep_must_wait"]


async def test_one_that_fails_does_not_hold_up_the_others() -> None:
    broken, fine = Turns(*[ValueError("no")] * 100), Turns()
    running = asyncio.create_task(Loops([Loop("broken", broken), Loop("fine", fine)]).run())
    await fine.done.wait()
    await stop(running)


async def test_a_loop_that_is_woken_does_not_rest_on() -> None:
    turns = Turns()
    loop = Loop("mine", turns)
    running = asyncio.create_task(Loops([loop]).run())
    await turns.done.wait()
    turns.done.clear()
    loop.wake()
    await turns.done.wait()
    assert turns.made == 2
    await stop(running)


async def test_a_loop_whose_task_ended_is_noticed() -> None:
    dies, fine = Turns(asyncio.CancelledError()), Turns()
    running = Loops([Loop("dies", dies), Loop("fine", fine)])
    assert not running.ready()
    task = asyncio.create_task(running.run())
    await fine.done.wait()
    for _ in range(10):  # the task that ended is seen to have ended in a few rounds of the event loop
        await asyncio.sleep(0)
    assert not running.ready()
    assert dies.made == 1
    await stop(task)
