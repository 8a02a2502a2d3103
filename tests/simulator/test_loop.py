"""The virtual event loop: time that costs nothing, processes that die and stand still."""

import asyncio
import random

import pytest

from waypost.simulator.loop import TurningInCircles, VirtualLoop


@pytest.fixture
def loop():
    made = VirtualLoop(random.Random(1))
    yield made
    made.close()


def test_a_sleep_of_a_year_takes_no_time(loop):
    task = loop.create_task(asyncio.sleep(365 * 86400, "woken"))
    loop.run(1e9, task.done)
    assert (task.result(), loop.time()) == ("woken", 365 * 86400)


def test_callbacks_of_one_process_run_in_the_order_asked_for(loop):
    ran = []
    for number in range(50):
        loop.call_soon(ran.append, number)
    loop.run(0)
    assert ran == list(range(50))


def test_the_dice_say_which_process_comes_first():
    def order(seed):
        loop, ran = VirtualLoop(random.Random(seed)), []
        for name in "abcd":
            _, context = loop.begin(name)
            for _ in range(3):
                loop.call_soon(ran.append, name, context=context)
        loop.run(1)
        loop.close()
        return "".join(ran)

    assert len({order(seed) for seed in range(20)}) > 10
    assert order(5) == order(5)


def test_a_killed_process_does_not_even_clean_up(loop):
    did = []

    async def work():
        try:
            await asyncio.sleep(10)
        finally:
            did.append("cleaned up")

    life, context = loop.begin("p")
    loop.create_task(work(), context=context)
    loop.run(5)
    loop.kill(life)
    loop.run(100)
    assert did == []


def test_a_paused_process_does_everything_later(loop):
    did = []
    life, context = loop.begin("p")
    loop.call_later(1, lambda: did.append(loop.time()), context=context)
    loop.pause(life)
    loop.run(50)
    assert did == []
    loop.wake(life)
    loop.run(60)
    assert did == [50]


def test_what_the_world_asked_for_happens_although_the_process_is_dead(loop):
    did = []
    life, context = loop.begin("p")
    context.run(loop.in_world, 3.0, did.append, "arrived")
    loop.kill(life)
    loop.run(10)
    assert did == ["arrived"]


def test_a_timeout_ends_what_waits_too_long(loop):
    async def work():
        async with asyncio.timeout(2):
            await asyncio.Event().wait()

    task = loop.create_task(work())
    loop.run(10)
    assert isinstance(task.exception(), TimeoutError)


def test_callbacks_that_call_each_other_for_ever_are_found(loop):
    def again():
        loop.call_soon(again)

    loop.call_soon(again)
    with pytest.raises(TurningInCircles):
        loop.run(1)
