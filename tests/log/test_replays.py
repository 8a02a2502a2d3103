"""Replays: which events they are about, how they are fed, and how they end, on both databases."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from log.builders import DEFAULT, NOON, SECRET, a_pending, a_write, an_attempt, log_rows, once, owned, put
from waypost.clock import to_micros
from waypost.errors import Conflict, InvalidDocument, NotFound
from waypost.events.filters import Filter
from waypost.events.patterns import Wants
from waypost.ids import AccountId, EndpointId
from waypost.log import (
    Committed,
    Database,
    EndpointRecord,
    EndpointWrite,
    Log,
    LogRow,
    ReplayAsked,
    ReplayRecord,
    Unit,
    units,
)
from waypost.log.auditing import Actor
from waypost.log.expiry import endpoints_with_old_events
from waypost.log.replays import IN_PLAY_MAX, RUNNING_MAX, Fed
from waypost.log.tables import endpoints, pending, replays

FOSSVIK = AccountId("fossvik")


async def shipments(log: Log, count: int, account: AccountId = DEFAULT) -> list[LogRow]:
    """Put so many shipments, each of which makes two events, and give the log."""
    for number in range(count):
        await put(log, f"SO-{number}", account)
    return await log_rows(log, account)


async def an_endpoint_past_it_all(log: Log, *patterns: str, **given: Any) -> EndpointRecord:
    """An endpoint whose cursor stands at the end of the log, delivered or not."""
    endpoint = await owned(log, *patterns, **{"start": "beginning"} | given)
    end = await log.log_end(endpoint.account_id)
    await store(log, endpoint, cursor=end)
    return endpoint


async def store(log: Log, endpoint: EndpointRecord, **given: Any) -> None:
    assert await log.persist([a_write(endpoint, **given)]) == set()


async def count(log: Log, endpoint: EndpointRecord, which: str = "all", **given: Any) -> int:
    _, matched = await log.count_replay(endpoint.account_id, endpoint.endpoint_id, ReplayAsked(which=which, **given))
    return matched


async def replay(log: Log, endpoint: EndpointRecord, which: str = "all", **given: Any) -> ReplayRecord:
    asked = ReplayAsked(which=which, **given)
    scope, matched = await log.count_replay(endpoint.account_id, endpoint.endpoint_id, asked)
    return await log.do(units.create_replay(scope, asked, matched, actor=Actor("tms", "tok_1")))


async def state_of(log: Log, job: ReplayRecord) -> tuple[str, int, int]:
    now = await log.get_replay(job.account_id, EndpointId(job.endpoint_id), job.replay_id)
    return now.state, now.matched, now.done


async def feed(log: Log) -> Fed:
    """Feed until nothing more can be done for now."""
    while (fed := await log.do(units.feed_replays(8))).progress:
        pass
    return fed


def in_play(database: Database, endpoint_id: str) -> list[int]:
    with database.readers.connect() as connection:
        mine = select(pending.c.position).where(pending.c.endpoint_id == endpoint_id, pending.c.state == "resend")
        return list(connection.execute(mine.order_by(pending.c.position)).scalars())


async def deliver(log: Log, endpoint: EndpointRecord, rows: list[LogRow], number: int = 1, verdict: str = "delivered",
                  epoch: int = 1) -> None:  # fmt: skip
    """What the owner stores once these are settled."""
    made = tuple(an_attempt(row, verdict, number) for row in rows)
    gone = tuple(row.position for row in rows)
    await store(log, endpoint, attempts=made, pending_gone=gone, epoch=epoch)


# -- which events ------------------------------------------------------------------------------------------------------


async def test_all_are_the_wanted_events_up_to_the_cursor(log: Log) -> None:
    await shipments(log, 3)
    endpoint = await an_endpoint_past_it_all(log, "shipment.created")
    await shipments(log, 5)
    assert await count(log, endpoint) == 3


async def test_failed_are_the_deliveries_that_stand_as_failed(log: Log) -> None:
    rows = await shipments(log, 4)
    endpoint = await an_endpoint_past_it_all(log)
    failed = [an_attempt(row, "failed") for row in rows[:4]]
    resent = [an_attempt(rows[0], "delivered", number=2)]
    await store(log, endpoint, attempts=(*failed, *resent), pending_put=(a_pending(rows[1], "resend"),))
    assert await count(log, endpoint, "failed") == 2


async def test_missing_are_the_wanted_events_without_a_success(log: Log) -> None:
    rows = await shipments(log, 3)
    endpoint = await an_endpoint_past_it_all(log, "shipment.created")
    created = [row for row in rows if row.type == "shipment.created"]
    await deliver(log, endpoint, created[:1])
    await deliver(log, endpoint, created[1:2], verdict="failed")
    assert await count(log, endpoint, "missing") == 2


async def test_what_came_before_its_start_is_missing_and_judged_by_its_first_wishes(log: Log) -> None:
    await shipments(log, 3)
    endpoint = await an_endpoint_past_it_all(log, "shipment.created", start="now")
    await put(log, "SO-9")
    wants = Wants(("shipment.status.*",))
    await log.do(units.change_endpoint(DEFAULT, endpoint.endpoint_id, endpoint.settings, wants))
    await put(log, "SO-10")
    await store(log, endpoint, cursor=await log.log_end(DEFAULT))
    assert await count(log, endpoint, "missing", types=("shipment.created",)) == 4
    assert await count(log, endpoint, "missing", types=("shipment.status.*",)) == 1


async def test_what_is_on_its_way_anyway_is_left_out(log: Log) -> None:
    rows = await shipments(log, 3)
    endpoint = await an_endpoint_past_it_all(log)
    await store(log, endpoint, pending_put=(a_pending(rows[0]), a_pending(rows[1], "waiting")))
    assert await count(log, endpoint, "missing") == len(rows) - 2
    assert await count(log, endpoint, "all") == len(rows) - 2


async def test_types_are_patterns_and_shipments_are_named_either_way(log: Log) -> None:
    rows = await shipments(log, 3)
    endpoint = await an_endpoint_past_it_all(log)
    assert await count(log, endpoint, types=("shipment.status.*",)) == 3
    assert await count(log, endpoint, types=("shipment.status.*", "shipment.created")) == len(rows)
    assert await count(log, endpoint, shipments=("SO-1",)) == 2
    assert await count(log, endpoint, shipments=("SO-1", rows[0].key)) == 4
    assert await count(log, endpoint, shipments=("SO-1",), types=("shipment.created",)) == 1


async def test_a_shipment_that_does_not_exist_is_named(log: Log) -> None:
    await shipments(log, 1)
    endpoint = await an_endpoint_past_it_all(log)
    with pytest.raises(InvalidDocument) as refused:
        await count(log, endpoint, shipments=("SO-0", "SO-9"))
    assert [error.path for error in refused.value.errors] == ["/shipments/1"]


async def test_a_filter_sees_the_shipments(log: Log) -> None:
    await put(log, "SO-1", tags=["priority"])
    await put(log, "SO-2")
    endpoint = await an_endpoint_past_it_all(log, "shipment.*", filter=Filter(tags=("priority",)))
    assert await count(log, endpoint) == 2
    assert await count(log, endpoint, shipments=("SO-2",)) == 0


async def test_a_time_begins_at_its_first_event_and_ends_before_the_end(log: Log) -> None:
    rows = await shipments(log, 3)
    endpoint = await an_endpoint_past_it_all(log)
    first, last = (at_of(row) for row in (rows[0], rows[-1]))
    assert await count(log, endpoint, since=first) == len(rows)
    assert await count(log, endpoint, since=last + timedelta(days=1)) == 0
    assert await count(log, endpoint, until=first) == 0
    assert await count(log, endpoint, until=last + timedelta(days=1)) == len(rows)
    assert await count(log, endpoint, since=NOON + timedelta(days=9999), until=first) == 0


def at_of(row: LogRow) -> datetime:
    from waypost.clock import from_micros

    return from_micros(row.recorded_at)


async def test_counting_walks_any_length_in_steps(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = await shipments(log, 8)
    endpoint = await an_endpoint_past_it_all(log, filter=None)
    for name in ("POSITIONS_A_STEP", "BODIES_A_STEP", "CANDIDATES_A_STEP"):
        monkeypatch.setattr(f"waypost.log.matching.{name}", 3)
    await deliver(log, endpoint, rows, verdict="failed")
    references = tuple(f"SO-{number}" for number in range(8))
    for which in ("all", "missing", "failed"):
        assert await count(log, endpoint, which) == len(rows)
        assert await count(log, endpoint, which, shipments=references) == len(rows)


# -- feeding -----------------------------------------------------------------------------------------------------------


async def test_a_replay_asks_for_deliveries_in_order_and_ends_when_they_are_settled(
    log: Log, database: Database
) -> None:
    rows = await shipments(log, 2)
    endpoint = await an_endpoint_past_it_all(log)
    await deliver(log, endpoint, rows)
    job = await replay(log, endpoint)
    assert (job.state, job.matched, job.done) == ("running", 4, 0)
    assert await feed(log) == Fed(progress=False, running=1)
    loaded = await log.load_endpoint(DEFAULT, endpoint.endpoint_id)
    assert [(row.position, row.event_id, row.key, row.type, row.state, row.attempts, row.replay_id)
            for row in loaded.pending] == [
        (row.position, row.event_id, row.key, row.type, "resend", 1, job.replay_id) for row in rows
    ]  # fmt: skip
    await deliver(log, endpoint, rows[:3], number=2)
    assert await state_of(log, job) == ("running", 4, 3)
    await deliver(log, endpoint, rows[3:], number=2)
    assert await feed(log) == Fed(progress=False, running=0)
    assert await state_of(log, job) == ("done", 4, 4)
    assert in_play(database, endpoint.endpoint_id) == []


async def test_only_so_many_are_in_play_and_the_next_follow(log: Log, database: Database) -> None:
    rows = await shipments(log, 150)
    endpoint = await an_endpoint_past_it_all(log)
    job = await replay(log, endpoint)
    seen = list[int]()
    by_position = {row.position: row for row in rows}
    for _ in range(20):
        await feed(log)
        now = in_play(database, endpoint.endpoint_id)
        assert len(now) <= IN_PLAY_MAX
        if not now:
            break
        seen += now[:90]
        await deliver(log, endpoint, [by_position[position] for position in now[:90]])
    assert seen == [row.position for row in rows]
    assert await state_of(log, job) == ("done", 300, 300)


async def test_the_owner_is_told_of_what_is_asked_for(log: Log) -> None:
    await shipments(log, 1)
    endpoint = await an_endpoint_past_it_all(log)
    heard = list[Any]()
    log.on_commit(heard.append)
    await replay(log, endpoint)
    assert [committed.replays for committed in heard] == [True]
    await log.do(units.feed_replays(8))
    assert (DEFAULT, endpoint.endpoint_id) in heard[-1].endpoints


async def test_a_step_that_was_undone_is_done_again_and_nothing_twice(log: Log, database: Database) -> None:
    rows = await shipments(log, 2)
    endpoint = await an_endpoint_past_it_all(log)
    job = await replay(log, endpoint)
    step = units.feed_replays(8)

    def breaks_off(tx: Any) -> Fed:
        step.work(tx)
        raise Conflict("The process dies here.")

    with pytest.raises(Conflict):
        await log.do(type(step)(step.account_id, breaks_off))
    assert in_play(database, endpoint.endpoint_id) == []
    await feed(log)
    assert in_play(database, endpoint.endpoint_id) == [row.position for row in rows]
    assert await state_of(log, job) == ("running", 4, 0)


async def test_jobs_take_turns(log: Log) -> None:
    await shipments(log, 2)
    jobs = [await replay(log, await an_endpoint_past_it_all(log)) for _ in range(3)]
    for _ in jobs:
        assert (await log.do(units.feed_replays(1))).progress
    fed = [await log.load_endpoint(DEFAULT, EndpointId(job.endpoint_id)) for job in jobs]
    assert [len(loaded.pending) for loaded in fed] == [4, 4, 4]


async def test_jobs_that_wait_for_their_deliveries_stand_in_nobodys_way(log: Log) -> None:
    """Those of endpoints that are held wait for days."""
    await shipments(log, 2)
    for _ in range(3):
        await replay(log, await an_endpoint_past_it_all(log))
    assert (await feed(log), await log.replays_due()) == (Fed(progress=False, running=3), Fed(False, 3))
    late = await replay(log, await an_endpoint_past_it_all(log))
    assert await log.replays_due() == Fed(progress=True, running=4)
    assert await log.do(units.feed_replays(1)) == Fed(progress=True, running=4)
    assert len((await log.load_endpoint(DEFAULT, EndpointId(late.endpoint_id))).pending) == 4


async def test_a_replay_that_cannot_be_fed_fails_alone(log: Log, database: Database) -> None:
    await shipments(log, 2)
    broken, sound = [await replay(log, await an_endpoint_past_it_all(log)) for _ in range(2)]
    nonsense = update(replays).where(replays.c.replay_id == broken.replay_id).values(asked="{")
    await log.do(Unit(DEFAULT, lambda tx: tx.connection.execute(nonsense).rowcount))
    await feed(log)
    with database.readers.connect() as connection:
        ended = select(replays.c.state).where(replays.c.replay_id == broken.replay_id)
        assert connection.execute(ended).scalar_one() == "failed"
    assert len((await log.load_endpoint(DEFAULT, EndpointId(sound.endpoint_id))).pending) == 4


async def test_what_was_on_its_way_is_not_sent_again_whatever_became_of_it(log: Log) -> None:
    rows = await shipments(log, 1)
    endpoint = await an_endpoint_past_it_all(log)
    await deliver(log, endpoint, rows[:1], verdict="failed")
    await store(log, endpoint, pending_put=(a_pending(rows[1]),))
    job = await replay(log, endpoint, "failed")
    await deliver(log, endpoint, rows[1:], verdict="failed")
    await feed(log)
    assert len((await log.load_endpoint(DEFAULT, EndpointId(job.endpoint_id))).pending) == 1
    await deliver(log, endpoint, rows[:1], number=2)
    await feed(log)
    assert (job.matched, await state_of(log, job)) == (1, ("done", 1, 1))


async def test_two_jobs_do_not_ask_for_the_same_delivery_twice(log: Log, database: Database) -> None:
    rows = await shipments(log, 2)
    endpoint = await an_endpoint_past_it_all(log)
    first, second = await replay(log, endpoint), await replay(log, endpoint)
    await feed(log)
    assert in_play(database, endpoint.endpoint_id) == [row.position for row in rows]
    await deliver(log, endpoint, rows)
    await feed(log)
    assert (await state_of(log, first))[0] == "done"
    assert (await state_of(log, second))[0] == "done"


async def test_a_replay_of_nothing_is_done_at_once(log: Log) -> None:
    await shipments(log, 1)
    endpoint = await an_endpoint_past_it_all(log, "endpoint.failing")
    job = await replay(log, endpoint)
    assert (job.state, job.matched, job.ended_at is not None) == ("done", 0, True)


async def test_so_many_replays_of_one_endpoint_run_and_no_more(log: Log) -> None:
    await shipments(log, 1)
    endpoint = await an_endpoint_past_it_all(log)
    for _ in range(RUNNING_MAX):
        await replay(log, endpoint)
    with pytest.raises(Conflict, match="limit"):
        await replay(log, endpoint)


async def test_a_key_begins_one_replay(log: Log) -> None:
    await shipments(log, 1)
    endpoint = await an_endpoint_past_it_all(log)
    asked = ReplayAsked(which="all")
    scope, matched = await log.count_replay(DEFAULT, endpoint.endpoint_id, asked)
    for _ in range(2):
        await log.do_once(units.create_replay(scope, asked, matched, actor=Actor("tms", "tok_1")), once())
    assert len((await log.list_replays(DEFAULT, endpoint.endpoint_id)).items) == 1


# -- ending ------------------------------------------------------------------------------------------------------------


async def a_failed_replay_in_play(log: Log) -> tuple[EndpointRecord, ReplayRecord, LogRow, EndpointWrite]:
    """A replay of one delivery that stands as failed, and what the owner stores when the next attempt fails too."""
    row, *_ = await shipments(log, 1)
    endpoint = await an_endpoint_past_it_all(log)
    await deliver(log, endpoint, [row], verdict="failed")
    job = await replay(log, endpoint, "failed")
    await feed(log)
    (held,) = (await log.load_endpoint(DEFAULT, endpoint.endpoint_id)).pending
    again = replace(held, attempts=2, failures=1)
    return endpoint, job, row, a_write(endpoint, attempts=(an_attempt(row, "retrying", 2),), pending_put=(again,))


async def test_what_a_cancelled_replay_tried_without_success_stands_as_failed(log: Log, database: Database) -> None:
    endpoint, job, row, failed_again = await a_failed_replay_in_play(log)
    assert await log.persist([failed_again]) == set()
    await log.do(units.cancel_replay(DEFAULT, endpoint.endpoint_id, job.replay_id))
    delivery, *_ = await log.get_delivery(DEFAULT, endpoint.endpoint_id, row.event_id)
    assert (delivery.state, delivery.next_attempt_at) == ("failed", None)
    assert await count(log, endpoint, "failed") == 1


async def test_an_attempt_that_ends_after_its_replay_was_cancelled_is_the_last(log: Log, database: Database) -> None:
    endpoint, job, row, failed_again = await a_failed_replay_in_play(log)
    await log.do(units.cancel_replay(DEFAULT, endpoint.endpoint_id, job.replay_id))
    heard = list[Committed]()
    log.on_commit(heard.append)
    assert await log.persist([failed_again]) == set()
    assert in_play(database, endpoint.endpoint_id) == []
    assert (DEFAULT, endpoint.endpoint_id) in heard[-1].endpoints
    delivery, *_ = await log.get_delivery(DEFAULT, endpoint.endpoint_id, row.event_id)
    assert delivery.state == "failed"


async def test_nobody_is_warned_of_what_a_replay_to_another_url_waits_for(log: Log, database: Database) -> None:
    await shipments(log, 1)
    endpoint = await an_endpoint_past_it_all(log)
    job = await replay(log, endpoint, to_url="https://192.0.2.9/spare")
    await feed(log)
    assert in_play(database, job.replay_id) == [1, 2]
    with database.readers.connect() as connection:
        old = connection.execute(endpoints_with_old_events(DEFAULT, to_micros(NOON + timedelta(days=9999)))).scalars()
        assert job.replay_id not in set(old)


async def test_what_is_asked_for_anew_before_that_attempt_is_stored_counts_it(log: Log, database: Database) -> None:
    endpoint, job, row, failed_again = await a_failed_replay_in_play(log)
    await log.do(units.cancel_replay(DEFAULT, endpoint.endpoint_id, job.replay_id))
    await log.do(units.resend(DEFAULT, endpoint.endpoint_id, row.event_id))
    assert await log.persist([failed_again]) == set()
    (asked,) = (await log.load_endpoint(DEFAULT, endpoint.endpoint_id)).pending
    assert (asked.replay_id, asked.attempts, asked.failures) == (None, 2, 0)


async def test_a_cancelled_replay_takes_back_what_is_in_play(log: Log, database: Database) -> None:
    rows = await shipments(log, 2)
    endpoint = await an_endpoint_past_it_all(log)
    job = await replay(log, endpoint)
    await feed(log)
    await deliver(log, endpoint, rows[:1])
    cancelled = await log.do(units.cancel_replay(DEFAULT, endpoint.endpoint_id, job.replay_id))
    assert (cancelled.state, cancelled.done) == ("cancelled", 1)
    assert in_play(database, endpoint.endpoint_id) == []
    assert await feed(log) == Fed(progress=False, running=0)
    again = await log.do(units.cancel_replay(DEFAULT, endpoint.endpoint_id, job.replay_id))
    assert again == cancelled


async def test_replays_are_listed_newest_first_page_by_page(log: Log) -> None:
    await shipments(log, 1)
    endpoint = await an_endpoint_past_it_all(log)
    jobs = [await replay(log, endpoint) for _ in range(3)]
    page = await log.list_replays(DEFAULT, endpoint.endpoint_id, 2)
    rest = await log.list_replays(DEFAULT, endpoint.endpoint_id, 2, page.next)
    assert [item.replay_id for item in page.items + rest.items] == [job.replay_id for job in reversed(jobs)]


async def test_a_replay_is_one_of_its_endpoint_and_its_account(log: Log) -> None:
    await log.do(units.create_account(FOSSVIK, "Fossvik"))
    await shipments(log, 1)
    endpoint, other = await an_endpoint_past_it_all(log), await an_endpoint_past_it_all(log)
    job = await replay(log, endpoint)
    for account_id, endpoint_id in ((DEFAULT, other.endpoint_id), (FOSSVIK, endpoint.endpoint_id)):
        with pytest.raises(NotFound):
            await log.get_replay(account_id, endpoint_id, job.replay_id)
        with pytest.raises(NotFound):
            await log.do(units.cancel_replay(account_id, endpoint_id, job.replay_id))
    with pytest.raises(NotFound):
        await log.list_replays(FOSSVIK, endpoint.endpoint_id)
    with pytest.raises(NotFound):
        await log.count_replay(FOSSVIK, endpoint.endpoint_id, ReplayAsked(which="all"))


async def test_deleting_the_endpoint_ends_its_replays(log: Log, database: Database) -> None:
    await shipments(log, 1)
    endpoint = await an_endpoint_past_it_all(log)
    await replay(log, endpoint, to_url="https://spare.example/in")
    heard = list[Any]()
    log.on_commit(heard.append)
    await log.do(units.delete_endpoint(DEFAULT, endpoint.endpoint_id))
    assert len(heard[-1].endpoints) == 2
    assert await log.do(units.feed_replays(8)) == Fed(progress=False, running=0)
    with database.readers.connect() as connection:
        assert connection.execute(select(endpoints.c.endpoint_id)).all() == []


# -- to another URL ----------------------------------------------------------------------------------------------------


async def to_another_url(log: Log, rows: int = 2) -> tuple[EndpointRecord, ReplayRecord, EndpointRecord]:
    """An endpoint with its log delivered, a replay of it to another URL, and the endpoint that the replay has."""
    found = await shipments(log, rows)
    endpoint = await an_endpoint_past_it_all(log, "shipment.*")
    await deliver(log, endpoint, found)
    job = await replay(log, endpoint, to_url="https://spare.example/in")
    return endpoint, job, await log.get_endpoint(DEFAULT, EndpointId(job.replay_id))


async def test_another_url_gets_it_from_an_endpoint_of_the_jobs_own(log: Log, database: Database) -> None:
    endpoint, _, copy = await to_another_url(log)
    assert (copy.settings.url, copy.replay_of, copy.secrets) == (
        "https://spare.example/in", endpoint.endpoint_id, endpoint.secrets,
    )  # fmt: skip
    assert copy.secrets[0].secret == SECRET
    await feed(log)
    assert in_play(database, copy.endpoint_id) == [1, 2, 3, 4]
    assert in_play(database, endpoint.endpoint_id) == []
    loaded = await log.load_endpoint(DEFAULT, copy.endpoint_id)
    assert {row.attempts for row in loaded.pending} == {0}
    assert [item.endpoint_id for item in (await log.list_endpoints(DEFAULT)).items] == [endpoint.endpoint_id]


async def test_the_jobs_own_endpoint_wants_nothing_of_the_log(log: Log) -> None:
    _, _, copy = await to_another_url(log)
    await put(log, "SO-99")
    assert (await log.waiting(DEFAULT, copy.endpoint_id)).count == 0


async def test_the_jobs_own_endpoint_goes_when_the_job_has_ended(log: Log) -> None:
    endpoint, job, copy = await to_another_url(log)
    await feed(log)
    await log.take_leases("w1", 60, 100)
    await deliver(log, copy, await log_rows(log))
    await feed(log)
    assert await state_of(log, job) == ("done", 4, 4)
    with pytest.raises(NotFound):
        await log.get_endpoint(DEFAULT, copy.endpoint_id)
    deliveries = await log.list_deliveries(DEFAULT, endpoint.endpoint_id, _any())
    assert {delivery.attempts for delivery in deliveries.items} == {1}


async def test_a_replay_to_a_url_that_was_given_up_fails_and_says_why(log: Log) -> None:
    from waypost.log import Standing

    _, job, copy = await to_another_url(log)
    await feed(log)
    await log.take_leases("w1", 60, 100)
    await store(log, copy, standing=Standing(health="suspended", reason="Your server answered 410 Gone."))
    await feed(log)
    now = await log.get_replay(DEFAULT, EndpointId(job.endpoint_id), job.replay_id)
    assert (now.state, now.state_reason, now.done) == ("failed", "Your server answered 410 Gone.", 0)


def _any() -> Any:
    from waypost.log import DeliveryFilter

    return DeliveryFilter()
