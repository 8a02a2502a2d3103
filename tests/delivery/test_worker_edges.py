"""The worker when the database is away, slow or answers nothing after the commit, and when changes come meanwhile."""

import asyncio
import json
import time
from typing import ClassVar

import msgspec
import pytest
import structlog
from sqlalchemy import delete, select, update
from structlog.testing import capture_logs

import waypost.delivery.worker as worker_module
from delivery.offices import (
    ACCOUNT,
    EVERYTHING,
    PATIENCE_S,
    REFUSED,
    SECRET,
    TAKEN,
    events_at,
    eventually,
    working,
)
from delivery.receivers import accepting, answer, hang, read_request, receiving, turns
from waypost.clock import SystemClock
from waypost.delivery.attempt import prepare
from waypost.errors import Unavailable
from waypost.log import AcceptReport, EndpointSettings, Unit, units
from waypost.log.group import Request
from waypost.log.tables import attempts, events, workers
from waypost.service import configure_logging
from waypost.shipments.facts import Actor
from waypost.shipments.reading import read_document
from waypost.shipments.report import DocumentReport, EraseReport

QUICK_S = 3  # to stop within, though attempts are out; far less than their timeout


class Between:
    """The log with something between it and the worker."""

    def __init__(self, log):
        self.log = log

    def __getattr__(self, name):
        return getattr(self.log, name)


class AClock(SystemClock):
    """A clock that can be moved on."""

    moved_s = 0.0

    def monotonic(self):
        return super().monotonic() + self.moved_s


@pytest.fixture
async def office(log):
    async with working(log) as office:
        yield office


async def happens(event):
    await asyncio.wait_for(event.wait(), PATIENCE_S)


async def an_endpoint(log, url, **settings):
    settings = EndpointSettings(url=url, **{"retry_schedule": (0.1, 0.1, 0.1), **settings})
    return await log.do(units.create_endpoint(ACCOUNT, settings, EVERYTHING, secret=SECRET))


async def put_named(log, reference, name):
    """Put a shipment with a person in it."""
    body = json.dumps({"parties": {"consignee": {"name": name}}}).encode()
    actor = Actor(kind="api", token="test")
    return await log.do(AcceptReport(ACCOUNT, reference, DocumentReport(document=read_document(body), actor=actor)))


def is_syncing(office):
    """Whether the worker has yet to take in a change of an endpoint."""
    return bool(office.worker._to_sync)


def results_to_store(office):
    """How many attempts ended and are not on disk."""
    return office.worker._waiting + office.worker._unstored


def rests_s(office):
    """For how long each endpoint that broke is left alone."""
    return [aside.pause_s for aside in office.worker._aside.values()]


def counts(receiver, events):
    """How often each of these events arrived."""
    ids = [event["id"] for event in events_at(receiver)]
    return [ids.count(event.id) for event in events]


# -- leases


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # on a file nobody else could have taken them
async def test_a_worker_whose_lease_lapsed_takes_its_endpoints_again(office):
    async with receiving(TAKEN) as receiver:
        endpoint = await office.endpoint(receiver.url)
        await office.put("SO-1")
        await office.settled(endpoint)
        lapsed = update(workers).values(lease_until=0)
        with capture_logs() as logged:
            await office.log.do(Unit(ACCOUNT, lambda tx: tx.connection.execute(lapsed) and None))
            await eventually(lambda: any(line["event"] == "leases_lapsed" for line in logged))
        await office.put("SO-2")
        await office.settled(endpoint)


async def test_a_database_that_is_away_for_a_moment_while_endpoints_start_costs_none_of_them(log):
    class Away(Between):
        been_away = False

        async def load_endpoints(self, names):
            if not self.been_away:
                self.been_away = True
                raise Unavailable("away")
            return await self.log.load_endpoints(names)

    async with receiving(TAKEN) as receiver:
        mine = [await an_endpoint(log, receiver.url) for _ in range(3)]
        async with working(log, Away(log)) as office:
            await office.put("SO-1")
            for endpoint in mine:
                await office.settled(endpoint)


async def test_leases_are_not_lost_with_the_answer_to_the_commit_that_took_them(log):
    class Lost(Between):
        lost = False

        async def take_leases(self, *args, **options):
            taken = await self.log.take_leases(*args, **options)
            if taken and not self.lost:
                self.lost = True
                raise Unavailable("done, but nobody said so")
            return taken

    async with receiving(TAKEN) as receiver:
        endpoint = await an_endpoint(log, receiver.url)
        async with working(log, Lost(log)) as office:
            await office.put("SO-1")
            await office.settled(endpoint)


class Unleased(Between):
    """A log that, while it is `ill`, renews and gives no lease."""

    ill = False

    def __init__(self, log):
        super().__init__(log)
        self.read = asyncio.Event()

    async def renew_lease(self, *args, **options):
        if self.ill:
            raise Unavailable("away")
        return await self.log.renew_lease(*args, **options)

    async def take_leases(self, *args, **options):
        if self.ill:
            raise Unavailable("away")
        return await self.log.take_leases(*args, **options)

    async def events_after(self, *args):
        rows = await self.log.events_after(*args)
        self.read.set()
        return rows


async def test_a_worker_that_cannot_renew_its_lease_stops_sending_when_it_lapses(log):
    store, clock = Unleased(log), AClock()
    async with receiving(TAKEN) as receiver, working(log, store, clock) as office:
        endpoint = await office.endpoint(receiver.url)
        await office.put("SO-1")
        await office.settled(endpoint)
        store.ill = True
        clock.moved_s = worker_module.LEASE_TTL_S * 2
        store.read.clear()
        held = await office.put("SO-2")
        await happens(store.read)
        await turns()
        assert (office.worker.ready(), counts(receiver, held.events)) == (False, [0, 0])
        store.ill = False
        await office.settled(endpoint)
        assert counts(receiver, held.events) == [1, 1]


async def test_what_waits_for_a_read_does_not_go_once_the_lease_has_lapsed(log):
    class SlowRow(Unleased):
        async def events_at(self, *args):
            self.asked.set()
            await self.go.wait()
            return await self.log.events_at(*args)

    store, clock = SlowRow(log), AClock()
    store.asked, store.go = asyncio.Event(), asyncio.Event()
    async with receiving(REFUSED, TAKEN) as receiver, working(log, store, clock) as office:
        await office.endpoint(receiver.url)
        accepted = await office.put("SO-1")
        await eventually(lambda: receiver.bodies)
        office.worker.events_rewritten(ACCOUNT, [1])  # it is read anew for the retry
        await happens(store.asked)
        store.ill = True
        clock.moved_s = worker_module.LEASE_TTL_S * 2
        store.go.set()
        await eventually(lambda: office.worker.in_flight == 0)
        assert counts(receiver, accepted.events) == [1, 0]


async def test_what_came_back_is_stored_before_lapsed_endpoints_are_begun_anew(log):
    class Shut(Unleased):
        async def persist(self, writes):
            await self.open.wait()
            return await self.log.persist(writes)

    store, clock = Shut(log), AClock()
    store.open = asyncio.Event()
    async with receiving(TAKEN) as receiver, working(log, store, clock) as office:
        endpoint = await office.endpoint(receiver.url)
        accepted = await office.put("SO-1")
        await eventually(lambda: len(receiver.bodies) == 2)
        with capture_logs() as logged:
            clock.moved_s = worker_module.LEASE_TTL_S * 2
            await eventually(lambda: any(line["event"] == "leases_lapsed" for line in logged))
        store.open.set()
        await office.settled(endpoint)
        assert counts(receiver, accepted.events) == [1, 1]


# -- stopping


@pytest.mark.parametrize("shipments", [1, 40])
async def test_stopping_with_attempts_out_is_quick_and_lets_go_of_the_leases(log, shipments):
    async with receiving(hang) as receiver:
        async with working(log) as office:
            await office.endpoint(receiver.url, timeout_seconds=60)
            await asyncio.gather(*[office.put(f"SO-{number}") for number in range(shipments)])
            await eventually(lambda: receiver.bodies)
            began = time.monotonic()
        took_s = time.monotonic() - began
        left = await log.do(Unit(ACCOUNT, lambda tx: tx.connection.execute(select(workers.c.owner)).scalars().all()))
        assert left == []
        assert took_s < QUICK_S


# -- erasure


async def test_what_was_erased_is_not_sent_from_memory(office):
    async with receiving(TAKEN) as first, receiving(TAKEN) as second:
        one, two = await office.endpoint(first.url), await office.endpoint(second.url)
        await office.log.do(units.pause_endpoint(ACCOUNT, two.endpoint_id))
        await put_named(office.log, "SO-1", "Mari Kask")
        await office.settled(one)
        assert b"Mari" in b"".join(first.bodies)
        await office.log.do(AcceptReport(ACCOUNT, "SO-1", EraseReport()))
        await office.log.do(units.resume_endpoint(ACCOUNT, two.endpoint_id))
        await office.settled(two)
        assert b"Mari" not in b"".join(second.bodies)


async def test_an_answer_that_comes_after_its_event_was_erased_is_not_kept(office):
    go = asyncio.Event()

    async def echo_late(reader, writer):
        await go.wait()
        writer.write(answer("500 No", b"not for Mari Kask", "x-to: Mari"))
        await writer.drain()

    async with receiving(echo_late, TAKEN) as receiver:
        endpoint = await office.endpoint(receiver.url)
        accepted = await put_named(office.log, "SO-1", "Mari Kask")
        await eventually(lambda: receiver.bodies)
        await office.log.do(AcceptReport(ACCOUNT, "SO-1", EraseReport()))
        go.set()
        await office.settled(endpoint)
        _, made, _ = await office.log.get_delivery(ACCOUNT, endpoint.endpoint_id, accepted.events[0].id)
        assert [attempt.status for attempt in made] == [500, 204]
        assert b"Mari" not in b"".join(attempt.detail for attempt in made)


async def test_an_answer_that_waits_for_the_disk_while_its_event_is_erased_is_not_kept(log):
    class Shut(Between):
        async def persist(self, writes):
            if any(write.attempts for write in writes):
                self.waiting.set()
                await self.open.wait()
            return await self.log.persist(writes)

    store = Shut(log)
    store.waiting, store.open = asyncio.Event(), asyncio.Event()
    echo = answer("500 No", b"not for Mari Kask")
    async with receiving(TAKEN, TAKEN, echo, TAKEN) as receiver, working(log, store) as office:
        endpoint = await office.endpoint(receiver.url)
        await office.put("SO-1")  # its answers keep the disk busy
        await happens(store.waiting)
        await eventually(lambda: results_to_store(office) == 2)
        accepted = await put_named(log, "SO-2", "Mari Kask")
        await eventually(lambda: results_to_store(office) > 2)
        await log.do(AcceptReport(ACCOUNT, "SO-2", EraseReport()))
        store.open.set()
        await office.settled(endpoint)
        for event in accepted.events:
            _, made, _ = await log.get_delivery(ACCOUNT, endpoint.endpoint_id, event.id)
            assert b"Mari" not in b"".join(attempt.detail for attempt in made)
        assert len(receiver.bodies) > 2


# -- changes that come meanwhile


async def test_a_header_that_is_taken_away_while_an_attempt_is_out_stays_hidden(office):
    go = asyncio.Event()

    async def refuse_late(reader, writer):
        await go.wait()
        writer.write(REFUSED)
        await writer.drain()

    async with receiving(refuse_late, TAKEN) as receiver:
        endpoint = await office.endpoint(receiver.url, headers={"X-Key": "hush-hush"})
        accepted = await office.put("SO-1")
        await eventually(lambda: receiver.bodies)
        changed = msgspec.structs.replace(endpoint.settings, headers={})
        await office.log.do(units.change_endpoint(ACCOUNT, endpoint.endpoint_id, changed, EVERYTHING))
        await eventually(lambda: not is_syncing(office))
        go.set()
        await office.settled(endpoint)
        _, made, _ = await office.log.get_delivery(ACCOUNT, endpoint.endpoint_id, accepted.events[0].id)
        assert b"hush-hush" not in b"".join(attempt.detail for attempt in made)


async def test_a_resend_that_was_answered_is_not_sent_again_by_a_row_that_was_read_before(log):
    class Slow(Between):
        gate = None

        async def persist(self, writes):
            if self.gate is not None and any(write.pending_gone for write in writes):
                self.waiting.set()
                await self.gate.wait()
            return await self.log.persist(writes)

    store = Slow(log)
    store.waiting = asyncio.Event()
    async with receiving(TAKEN) as receiver, working(log, store) as office:
        endpoint = await office.endpoint(receiver.url)
        accepted = await office.put("SO-1")
        await office.settled(endpoint)
        store.gate = asyncio.Event()
        first, second = (event.id for event in accepted.events)
        await log.do(units.resend(ACCOUNT, endpoint.endpoint_id, first))
        await happens(store.waiting)  # it arrived, and its row is about to go
        await log.do(units.resend(ACCOUNT, endpoint.endpoint_id, second))
        await eventually(lambda: counts(receiver, accepted.events)[1] == 2 and not is_syncing(office))
        store.gate.set()
        await eventually(lambda: office.worker.idle)
        assert counts(receiver, accepted.events) == [2, 2]


async def test_an_endpoint_paused_again_before_the_worker_looked_stays_paused(log):
    async with receiving(TAKEN) as receiver, working(log, log) as office:
        endpoint = await office.endpoint(receiver.url)
        await office.put("SO-1")
        await office.settled(endpoint)
        await log.do(units.pause_endpoint(ACCOUNT, endpoint.endpoint_id))
        await eventually(lambda: not is_syncing(office))
        both = [units.resume_endpoint, units.pause_endpoint]
        await log.do_all([Request(wish(ACCOUNT, endpoint.endpoint_id)) for wish in both])  # they meet in one group
        await eventually(lambda: not is_syncing(office))
        held = await office.put("SO-2")
        watcher = await office.endpoint(receiver.url)  # it is started after the other has heard of SO-2
        await office.put("SO-3")
        await office.settled(watcher)
        assert counts(receiver, held.events) == [0, 0]
        assert (await log.get_endpoint(ACCOUNT, endpoint.endpoint_id)).state == "paused"


async def test_a_pause_that_comes_while_an_endpoint_is_started_is_taken_in(log):
    class Slow(Between):
        async def load_endpoints(self, names):
            loaded = await self.log.load_endpoints(names)
            if not self.reading.is_set():
                self.reading.set()
                await self.go.wait()
            return loaded

    store = Slow(log)
    store.reading, store.go = asyncio.Event(), asyncio.Event()
    async with receiving(TAKEN) as receiver:
        endpoint = await an_endpoint(log, receiver.url)
        async with working(log, store) as office:
            await happens(store.reading)
            await log.do(units.pause_endpoint(ACCOUNT, endpoint.endpoint_id))
            store.go.set()
            await eventually(lambda: office.worker.endpoints == 1 and not is_syncing(office))
            await office.put("SO-1")
            watcher = await office.endpoint(receiver.url)
            await office.put("SO-2")
            await office.settled(watcher)
            assert {event["reference"] for event in events_at(receiver)} == {"SO-2"}


async def test_a_pause_is_obeyed_by_what_waits_for_a_read_and_costs_no_attempt(log):
    class SlowRow(Between):
        async def events_at(self, *args):
            self.asked.set()
            await self.go.wait()
            return await self.log.events_at(*args)

    store = SlowRow(log)
    store.asked, store.go = asyncio.Event(), asyncio.Event()
    async with receiving(REFUSED, TAKEN) as receiver, working(log, store) as office:
        endpoint = await office.endpoint(receiver.url)
        accepted = await office.put("SO-1")
        await eventually(lambda: receiver.bodies)
        office.worker.events_rewritten(ACCOUNT, [1])  # it is read anew for the retry
        await happens(store.asked)
        await log.do(units.pause_endpoint(ACCOUNT, endpoint.endpoint_id))
        await eventually(lambda: not is_syncing(office))
        store.go.set()
        await eventually(lambda: office.worker.in_flight == 0)
        assert len(receiver.bodies) == 1
        await log.do(units.resume_endpoint(ACCOUNT, endpoint.endpoint_id))
        await office.settled(endpoint)
        _, made, _ = await log.get_delivery(ACCOUNT, endpoint.endpoint_id, accepted.events[0].id)
        assert [attempt.number for attempt in made] == [1, 2]


async def test_a_resend_past_the_cursor_is_sent_once_more_also_over_a_restart(log):
    go = asyncio.Event()

    async def hold_the_slow(reader, writer):
        while await read_request(receiver, reader):
            if json.loads(receiver.bodies[-1])["reference"] == "SO-slow":
                await go.wait()
            writer.write(TAKEN)
            await writer.drain()

    async with accepting(hold_the_slow) as receiver:
        async with working(log) as office:
            endpoint = await office.endpoint(receiver.url, timeout_seconds=60)
            await office.put("SO-slow")
            quick = await office.put("SO-quick")
            await eventually(lambda: counts(receiver, quick.events) == [1, 1])
            await eventually(lambda: not results_to_store(office))
        await log.do(units.resend(ACCOUNT, endpoint.endpoint_id, quick.events[0].id))
        go.set()
        async with working(log) as office:
            await office.settled(endpoint)
            await eventually(lambda: counts(receiver, quick.events)[0] == 2 and office.worker.idle)
        assert counts(receiver, quick.events) == [2, 1]


async def test_a_resend_is_judged_by_what_comes_after_it_was_asked_for(office):
    async with receiving(TAKEN) as receiver:
        endpoint = await office.endpoint(receiver.url)
        accepted = await office.put("SO-1")
        await office.settled(endpoint)
        await office.log.do(units.pause_endpoint(ACCOUNT, endpoint.endpoint_id))
        await office.log.do(units.resend(ACCOUNT, endpoint.endpoint_id, accepted.events[0].id))
        loaded = await office.log.load_endpoint(ACCOUNT, endpoint.endpoint_id)
        assert [row.first_attempt_at for row in loaded.pending] == [None]


# -- bugs that one endpoint meets


async def test_an_event_that_has_left_the_log_is_given_up_with_a_plain_reason_and_the_next_goes_on(log):
    async with receiving(TAKEN) as receiver:
        async with working(log) as office:
            endpoint = await office.endpoint(receiver.url)
            accepted = [await office.put("SO-1"), await office.put("SO-1", weight="2")]
            await office.settled(endpoint)
            await eventually(lambda: not results_to_store(office))
        for one in accepted:
            await log.do(units.resend(ACCOUNT, endpoint.endpoint_id, one.events[0].id))
        gone = events.c.account_id == ACCOUNT, events.c.position == accepted[0].events[0].position
        await log.do(Unit(ACCOUNT, lambda tx: tx.connection.execute(delete(events).where(*gone))))
        async with working(log) as office:
            await office.settled(endpoint)
            await eventually(lambda: counts(receiver, accepted[1].events[:1]) == [2])
        assert counts(receiver, accepted[0].events[:1]) == [1]
    made = select(attempts.c.verdict, attempts.c.detail).where(attempts.c.event_id == accepted[0].events[0].id)
    first, last = await log.do(Unit(ACCOUNT, lambda tx: tx.connection.execute(made.order_by(attempts.c.number)).all()))
    assert (first.verdict, last.verdict) == ("delivered", "failed")
    assert "is not in the log any more" in json.loads(last.detail)["explanation"]


async def test_an_engine_that_breaks_costs_neither_its_neighbours_nor_who_wrote(office, monkeypatch):
    async with receiving(TAKEN) as first, receiving(TAKEN) as second:
        broken, well = await office.endpoint(first.url), await office.endpoint(second.url)
        await eventually(lambda: office.worker.endpoints == 2)

        def take(signal, now):
            raise AssertionError("a bug")

        runner = office.worker._runners[ACCOUNT, broken.endpoint_id]
        monkeypatch.setattr(runner.engine, "take", take)
        await office.put("SO-1")
        await office.settled(well)
        await office.settled(broken)  # it is begun anew


async def test_a_result_that_cannot_be_stored_costs_only_its_own_endpoint(log):
    class Picky(Between):
        refused = None

        async def persist(self, writes):
            if any(write.endpoint_id == self.refused and write.attempts for write in writes):
                raise ValueError("it cannot be written")
            return await self.log.persist(writes)

    store = Picky(log)
    async with receiving(TAKEN) as first, receiving(TAKEN) as second, working(log, store) as office:
        bad, well = await office.endpoint(first.url), await office.endpoint(second.url)
        store.refused = bad.endpoint_id
        with capture_logs() as logged:
            await office.put("SO-1")
            await office.settled(well)
            await eventually(lambda: any(line["event"] == "endpoint_not_stored" for line in logged))
        assert len(second.bodies) == 2
        store.refused = None
        await office.settled(bad)  # it was begun anew from what is stored


async def test_an_endpoint_whose_results_cannot_be_stored_is_tried_ever_less_often(log):
    class Picky(Between):
        async def persist(self, writes):
            if any(write.attempts for write in writes):
                raise ValueError("it cannot be written")
            return await self.log.persist(writes)

    clock = AClock()
    often = {"lease_every_s": 0.02}
    async with receiving(TAKEN) as receiver, working(log, Picky(log), clock, **often) as office:
        await office.endpoint(receiver.url)
        await office.put("SO-1")
        for rest_s in (1, 2, 4):
            await eventually(lambda rest_s=rest_s: rests_s(office) == [rest_s])
            assert office.worker.endpoints == 0
            clock.moved_s += rest_s


async def test_results_of_many_endpoints_are_stored_a_bounded_number_at_a_time(log, monkeypatch):
    class Counting(Between):
        sizes: ClassVar = []

        async def persist(self, writes):
            self.sizes.append(len(writes))
            return await self.log.persist(writes)

    monkeypatch.setattr(worker_module, "WRITES_A_TIME", 2)
    store = Counting(log)
    async with receiving(TAKEN) as receiver, working(log, store) as office:
        mine = [await office.endpoint(receiver.url) for _ in range(5)]
        await office.put("SO-1")
        for endpoint in mine:
            await office.settled(endpoint)
        assert max(store.sizes) <= 2


async def test_attempts_that_were_held_back_go_when_nothing_is_left_to_store(office):
    async with receiving(TAKEN) as receiver:
        endpoint = await office.endpoint(receiver.url)
        await eventually(lambda: office.worker.endpoints == 1)
        went = asyncio.Event()
        runner = office.worker._runners[ACCOUNT, endpoint.endpoint_id]
        office.worker.store_soon(runner, worker_module.UNSTORED_MAX)
        assert not office.worker.may_send(went.set)
        office.worker.broke(runner)  # what it had to store goes with it
        await happens(went)


def test_no_secret_is_in_the_traceback_of_an_attempt_that_broke(capsys):
    before = structlog.get_config()
    settings = EndpointSettings(url="http://127.0.0.1:1/", headers={"X-Key": "-".join(["hush", "hush"])})
    try:
        configure_logging("console")
        secret = "whsec_" + "notbase64!"
        prepare(settings, [secret], pool_key="k", event_id="e", event_type="t", body=b"", number=1, timestamp=1)
    except ValueError:
        structlog.get_logger("test").exception("attempt_broke")
    finally:
        structlog.configure(**before)
    told = capsys.readouterr().err
    assert "attempt_broke" in told
    assert "whsec_notbase64" not in told
    assert "hush-hush" not in told
