"""The endpoints of an account as its log grows: who hears of an event, who does not, and what is stored of that."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from waypost.clock import IdSource, SystemClock, from_micros, to_micros
from waypost.delivery.audience import REMIND_EVERY_S, REMINDED_AFTER_S, ROUNDS, Audience
from waypost.delivery.engine import CURSOR_LAG_S_MAX
from waypost.delivery.rows import RowCache
from waypost.delivery.runner import Runner
from waypost.delivery.signals import LogGrew, Resumed, TimeIs
from waypost.events.patterns import Wants
from waypost.ids import AccountId, EndpointId, EventId
from waypost.log.records import (
    EndpointRecord,
    EndpointSettings,
    EndpointVersion,
    Lease,
    LoadedEndpoint,
    LogRow,
    Standing,
)

ACME = AccountId("acme")
CREATED, DELIVERED = "shipment.created", "shipment.status.delivered"
START = from_micros(1_800_000_000_000_000)


class Town:
    """One account's log in memory, and a host for its endpoints that sends and stores nothing but notes both."""

    def __init__(self):
        self.clock, self.ids, self.dispatcher = SystemClock(), IdSource(), None
        self.rows, self.log, self.reads = RowCache(), [], 0
        self.now_s = 0.0
        self.begun, self.stored, self._tasks = 0, {}, []
        self.audience = Audience(self, ACME, 0)

    def endpoint(self, pattern, paused=False):
        endpoint_id = EndpointId(f"ep_{len(self.audience)}")
        versions = (EndpointVersion(1, Wants((pattern,))),)
        endpoint = EndpointRecord(
            account_id=ACME, endpoint_id=endpoint_id, settings=EndpointSettings(url="http://erp.example/"),
            versions=versions, secrets=(), standing=Standing(health="active", since=0),
            paused_at=START if paused else None, start_position=0, cursor=0, epoch=1, created_at=START,
            updated_at=START,
        )  # fmt: skip
        loaded = LoadedEndpoint(
            endpoint=endpoint, log_position=len(self.log), pending=(), settled_past_cursor=frozenset(),
            attempts_past_cursor={},
        )  # fmt: skip
        runner = Runner(self, Lease(ACME, endpoint_id, 1), loaded)
        self.audience.add(runner)
        runner.give(TimeIs())
        return runner, loaded

    async def happens(self, event_type):
        position = len(self.log) + 1
        self.log.append(LogRow(position, EventId(f"evt_{position}"), event_type, f"shp_{position}", 1, 0, b"{}"))
        self.audience.grew(position)
        await self.quiet()

    async def quiet(self):
        while self._tasks:
            tasks, self._tasks = self._tasks, []
            await asyncio.gather(*tasks)

    # -- what runners and audiences ask of their host

    def now_us(self):
        return to_micros(START + timedelta(seconds=self.now_s))

    def jitter(self):
        return 0.5

    def spawn(self, work):
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    def store_soon(self, runner, attempts):
        write, _ = runner.take_unstored()
        self.stored[runner.key[1]] = write.cursor

    def rest(self, runner, wants):
        return self.audience.rest(runner, wants, self.now_s)

    def rouse(self, runner):
        self.audience.rouse(runner)

    def may_send(self, start):
        return True

    def begin(self, account_id, start):
        self.begun += 1

    def is_ours(self):
        return True

    async def read_log(self, account_id, after, limit):
        self.reads += 1
        return self.log[after : after + limit]


async def test_an_event_that_nobody_wants_is_read_once_and_touches_no_endpoint():
    town = Town()
    runners = [town.endpoint(DELIVERED)[0] for _ in range(100)]
    await town.happens(CREATED)
    assert town.reads == 1
    assert [runner.engine.read_through for runner in runners] == [0] * 100
    assert (town.stored, town.begun) == ({}, 0)
    assert town.audience.idle


async def test_an_event_rouses_those_who_want_it_and_no_other():
    town = Town()
    (wanting, _), (other, _) = town.endpoint(CREATED), town.endpoint(DELIVERED)
    await town.happens("shipment.updated")
    await town.happens(CREATED)
    assert town.begun == 1
    assert (wanting.engine.read_through, wanting.engine.owed_count) == (2, 1)
    assert other.engine.read_through == 0


async def test_an_endpoint_that_is_roused_by_something_else_has_caught_up():
    town = Town()
    runner, _ = town.endpoint(DELIVERED)
    await town.happens(CREATED)
    runner.give(TimeIs())
    assert (runner.engine.read_through, runner.engine.cursor) == (1, 1)
    await town.happens(DELIVERED)
    assert runner.engine.owed_count == 1


async def test_endpoints_at_different_places_rest_together_and_none_misses_an_event():
    town = Town()
    runners = [town.endpoint(CREATED)[0]]
    for _ in range(3):
        await town.happens(DELIVERED)
        runners.append(town.endpoint(CREATED)[0])
        await town.quiet()
    await town.happens(CREATED)
    assert [runner.engine.owed_count for runner in runners] == [1] * 4


async def test_a_paused_endpoint_with_held_events_hears_of_no_more_and_has_all_after_it_is_resumed():
    town = Town()
    runner, _ = town.endpoint(CREATED, paused=True)
    await town.happens(CREATED)
    for _ in range(50):
        await town.happens(CREATED)
    assert (runner.engine.owed_count, town.begun) == (1, 0)
    runner.give(Resumed())
    await town.quiet()
    assert runner.engine.owed_count == 51


async def test_resting_endpoints_store_their_cursors_in_turn_within_the_time_for_it():
    town = Town()
    for _ in range(200):
        town.endpoint(DELIVERED)
    town.now_s = 1.0
    await town.happens(CREATED)
    stored = []
    while town.now_s < 1.0 + CURSOR_LAG_S_MAX:
        await town.audience.remind(lambda: town.now_s)
        stored.append(len(town.stored))
        town.now_s += REMIND_EVERY_S
    assert stored[int(REMINDED_AFTER_S / REMIND_EVERY_S) - 3] == 0
    assert max(later - before for before, later in pairwise(stored)) <= 16
    assert town.stored == {f"ep_{number}": 1 for number in range(200)}


async def test_once_all_cursors_are_stored_nobody_is_reminded():
    town = Town()
    for _ in range(40):
        town.endpoint(DELIVERED)
    await town.happens(CREATED)
    assert town.audience.is_behind
    town.now_s += CURSOR_LAG_S_MAX
    for _ in range(3 * ROUNDS):
        await town.audience.remind(lambda: town.now_s)
    assert not town.audience.is_behind


async def test_an_event_that_comes_after_a_change_is_judged_by_the_change_although_that_is_known_later():
    town = Town()
    runner, loaded = town.endpoint(CREATED)
    await town.happens("shipment.updated")
    runner.expect_change()
    await town.happens(CREATED)
    assert (town.begun, runner.engine.owed_count) == (0, 0)
    await town.happens(DELIVERED)

    changed = (*loaded.endpoint.versions, EndpointVersion(2, Wants((DELIVERED,))))
    known = replace(loaded, endpoint=replace(loaded.endpoint, versions=changed), log_position=3)
    runner.refresh(known, is_latest=False)
    await town.quiet()
    assert runner.engine.owed_count == 0
    runner.refresh(known, is_latest=True)
    await town.quiet()
    assert [runner.engine.phase(position) is not None for position in (1, 2, 3)] == [False, False, True]


async def test_a_log_that_does_not_hold_what_it_was_said_to_is_left_to_each_engine():
    town = Town()
    runner, _ = town.endpoint(CREATED)
    town.audience.grew(1)
    await town.quiet()
    assert not runner.engine.idle
    town.log.append(LogRow(1, EventId("evt_1"), CREATED, "shp_1", 1, 0, b"{}"))
    runner.give(LogGrew(1))
    town.now_s += 6
    runner.give(TimeIs())
    await town.quiet()
    assert runner.engine.owed_count == 1
