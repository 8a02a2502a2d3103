"""Attempts begin a few in each turn of the event loop, and no account waits behind all of another's."""

import asyncio

from waypost.delivery.turnstile import BEGUN_A_TURN, Turnstile


async def turns(count):
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_comes_alone_begins_at_once():
    begun = []
    Turnstile().enter("acme", lambda: begun.append(1))
    assert begun == [1]


async def test_so_many_begin_in_a_turn_and_the_others_in_the_next_ones_in_order():
    turnstile, begun = Turnstile(), []
    for number in range(BEGUN_A_TURN * 2 + 5):
        turnstile.enter("acme", lambda number=number: begun.append(number))
    counts = []
    for _ in range(3):
        counts.append(len(begun))
        await turns(1)
    assert counts == [BEGUN_A_TURN, BEGUN_A_TURN * 2, BEGUN_A_TURN * 2 + 5]
    assert begun == sorted(begun)


async def test_an_account_with_one_attempt_waits_behind_one_of_each_other_and_not_behind_all():
    turnstile, begun = Turnstile(), []
    for _ in range(1_000):
        turnstile.enter("herd", lambda: begun.append("herd"))
    turnstile.enter("acme", lambda: begun.append("acme"))
    await turns(1)
    assert begun.index("acme") == BEGUN_A_TURN + 1


async def test_after_a_pause_what_comes_begins_at_once_again():
    turnstile, begun = Turnstile(), []
    for _ in range(BEGUN_A_TURN + 1):
        turnstile.enter("acme", lambda: begun.append(1))
    await turns(4)
    begun.clear()
    turnstile.enter("acme", lambda: begun.append(2))
    assert begun == [2]


async def test_nothing_begins_once_it_is_closed():
    turnstile, begun = Turnstile(), []
    for _ in range(BEGUN_A_TURN + 1):
        turnstile.enter("acme", lambda: begun.append(1))
    turnstile.close()
    turnstile.enter("acme", lambda: begun.append(1))
    await turns(2)
    assert len(begun) == BEGUN_A_TURN
