"""One owner for each endpoint at a time, and nothing of an owner that was."""

import asyncio

import msgspec
import pytest

from log.builders import (
    DEFAULT,
    NOON,
    a_pending,
    a_write,
    an_attempt,
    an_endpoint,
    assert_no_gaps,
    endpoint_name,
    log_rows,
    owned,
    put,
)
from waypost.clock import IdSource, SystemClock
from waypost.errors import NotFound
from waypost.ids import EventId
from waypost.log import Announcement, EndpointRecord, Log, Standing, Vault, open_database, units


async def test_an_endpoint_is_taken_once(log: Log) -> None:
    endpoint = await an_endpoint(log)
    (lease,) = await log.take_leases("w1", 60, 10)
    assert (lease.account_id, lease.endpoint_id, lease.epoch) == (*endpoint_name(endpoint), 1)
    assert await log.take_leases("w1", 60, 10) == []


async def test_no_more_are_taken_than_asked_for(log: Log) -> None:
    for _ in range(3):
        await an_endpoint(log)
    assert [len(await log.take_leases("w1", 60, 2)) for _ in range(3)] == [2, 1, 0]


async def test_released_endpoints_are_free_at_once(log: Log) -> None:
    await owned(log)
    await log.release_leases("w1")
    assert [lease.epoch for lease in await log.take_leases("w2", 60, 10)] == [2]


async def test_a_service_that_starts_on_a_sqlite_file_takes_every_endpoint(sqlite_url: str, vault: Vault) -> None:
    log = Log(open_database(sqlite_url), SystemClock(), IdSource(), vault)
    await log.start()
    await log.ensure_operator("wp_operator")
    await owned(log)
    assert len(await log.take_leases("w2", 60, 10)) == 1
    await log.close()


async def test_on_a_sqlite_file_a_lease_lapses_by_no_clock_that_was_set_forth(sqlite_url: str, vault: Vault) -> None:
    log = Log(open_database(sqlite_url), SystemClock(), IdSource(), vault)
    await log.start()
    await log.ensure_operator("wp_operator")
    await an_endpoint(log)
    await log.take_leases("w1", -60, 10)
    assert await log.renew_lease("w1", 60)
    await log.close()


@pytest.fixture
async def two(pg_url: str, vault: Vault):
    """Two services on one PostgreSQL database."""
    logs = [Log(open_database(pg_url), SystemClock(), IdSource(), vault) for _ in range(2)]
    for one in logs:
        await one.start()
    await logs[0].ensure_operator("wp_operator")
    yield logs
    for one in logs:
        await one.close()


async def test_a_living_owner_is_left_alone(two: list[Log]) -> None:
    await owned(two[0])
    assert await two[1].take_leases("w2", 60, 10) == []


async def test_the_endpoints_of_a_dead_owner_are_taken_over(two: list[Log]) -> None:
    await an_endpoint(two[0])
    await two[0].take_leases("w1", 0, 10)  # its lease lapses at once, by the database's clock
    assert [lease.epoch for lease in await two[1].take_leases("w2", 60, 10)] == [2]
    assert not await two[0].renew_lease("w1", 60)
    assert await two[1].renew_lease("w2", 60)


async def test_two_workers_that_take_at_once_never_take_the_same(two: list[Log]) -> None:
    for _ in range(20):
        await an_endpoint(two[0])
    taken = await asyncio.gather(two[0].take_leases("w1", 60, 20), two[1].take_leases("w2", 60, 20))
    taken.append(await two[0].take_leases("w1", 60, 20))
    names = [(lease.endpoint_id, lease.epoch) for leases in taken for lease in leases]
    assert len(names) == len(set(names)) == 20


async def test_nothing_of_an_owner_that_was_lands(log: Log) -> None:
    endpoint = await owned(log)
    await put(log)
    row = (await log_rows(log))[0]
    await log.release_leases("w1")
    await log.take_leases("w2", 60, 10)
    write = a_write(
        endpoint,
        cursor=1,
        attempts=(an_attempt(row),),
        pending_put=(a_pending(row),),
        standing=Standing(health="suspended"),
    )
    assert await log.persist([write]) == {endpoint_name(endpoint)}
    loaded = await log.load_endpoint(*endpoint_name(endpoint))
    assert (loaded.endpoint.cursor, loaded.endpoint.state, loaded.pending) == (0, "active", ())
    assert loaded.attempts_past_cursor == {}


async def test_many_endpoints_load_together_as_each_would_alone(log: Log) -> None:
    first, second, deleted = await owned(log), await owned(log), await owned(log)
    await put(log)
    rows = await log_rows(log)
    await log.persist(
        [
            a_write(first, cursor=1, attempts=(an_attempt(rows[1]),)),
            a_write(second, cursor=1, attempts=(an_attempt(rows[0], "retrying"),), pending_put=(a_pending(rows[0]),)),
        ]
    )
    await log.do(units.delete_endpoint(*endpoint_name(deleted)))
    names = [endpoint_name(endpoint) for endpoint in (first, second, deleted)]
    together = await log.load_endpoints(names)
    assert together == {name: await log.load_endpoint(*name) for name in names[:2]}
    assert [(len(one.pending), one.settled_past_cursor) for one in together.values()] == [(0, {2}), (1, set())]


async def test_a_stale_write_does_not_hold_up_the_others(log: Log) -> None:
    stale, good = await owned(log), await owned(log)
    await put(log)
    refused = await log.persist([a_write(stale, epoch=7, cursor=2), a_write(good, cursor=2)])
    assert refused == {endpoint_name(stale)}
    assert (await log.get_endpoint(*endpoint_name(good))).cursor == 2


async def test_a_deleted_endpoint_counts_as_stale(log: Log) -> None:
    endpoint = await owned(log)
    await log.do(units.delete_endpoint(*endpoint_name(endpoint)))
    assert await log.persist([a_write(endpoint, cursor=2)]) == {endpoint_name(endpoint)}
    with pytest.raises(NotFound):
        await log.load_endpoint(*endpoint_name(endpoint))


async def test_the_next_owner_finds_what_the_last_one_left(log: Log) -> None:
    endpoint = await owned(log)
    for number in range(3):
        await put(log, f"SO-{number}")
    rows = await log_rows(log)
    attempts = (an_attempt(rows[2]), an_attempt(rows[3], "failed"), an_attempt(rows[1], "retrying", 2))
    standing = Standing(failures_in_a_row=2, last_success_at=5)
    await log.persist(
        [a_write(endpoint, cursor=1, attempts=attempts, pending_put=(a_pending(rows[1]),), standing=standing)]
    )
    loaded = await log.load_endpoint(*endpoint_name(endpoint))
    assert loaded.log_position == 6
    assert loaded.pending == (a_pending(rows[1]),)
    assert loaded.settled_past_cursor == {3, 4}
    assert loaded.attempts_past_cursor == {2: 2, 3: 1, 4: 1}
    assert loaded.endpoint.standing == standing


async def test_storing_twice_is_as_storing_once(log: Log) -> None:
    endpoint = await owned(log)
    await put(log)
    row = (await log_rows(log))[0]
    announced = announcement(endpoint)
    write = a_write(
        endpoint, cursor=1, attempts=(an_attempt(row),), pending_put=(a_pending(row),), announcements=(announced,)
    )
    await log.persist([write])
    before = await log.load_endpoint(*endpoint_name(endpoint)), await log_rows(log)
    await log.persist([write])
    assert (await log.load_endpoint(*endpoint_name(endpoint)), await log_rows(log)) == before


async def test_a_pending_row_goes_when_it_is_settled(log: Log) -> None:
    endpoint = await owned(log)
    await put(log)
    row = (await log_rows(log))[0]
    await log.persist([a_write(endpoint, pending_put=(a_pending(row),))])
    await log.persist([a_write(endpoint, pending_gone=(row.position,), cursor=1)])
    assert (await log.load_endpoint(*endpoint_name(endpoint))).pending == ()


async def test_an_owner_that_missed_a_resume_does_not_undo_it(log: Log) -> None:
    endpoint = await owned(log)
    await log.do(units.resume_endpoint(*endpoint_name(endpoint)))  # active already: nothing to miss
    await log.persist([a_write(endpoint, standing=Standing(health="suspended"))])
    await log.do(units.resume_endpoint(*endpoint_name(endpoint)))
    await log.persist([a_write(endpoint, standing=Standing(health="suspended"), cursor=0)])
    assert (await log.get_endpoint(*endpoint_name(endpoint))).state == "active"


async def test_a_resume_is_told_with_itself_though_nobody_delivers(log: Log) -> None:
    endpoint = await owned(log)
    await log.persist([a_write(endpoint, standing=Standing(health="suspended", last_success_at=0))])
    await log.do(units.resume_endpoint(*endpoint_name(endpoint)))
    await log.do(units.resume_endpoint(*endpoint_name(endpoint)))  # it goes on already
    (row,) = await log_rows(log)
    told = msgspec.json.decode(row.body)
    assert (row.type, row.key) == ("endpoint.resumed", endpoint.endpoint_id)
    assert (told["data"]["state"], told["data"]["endpoint"]["id"]) == ("active", endpoint.endpoint_id)


async def test_what_an_owner_saw_before_a_resume_is_not_told_after_it(log: Log) -> None:
    endpoint = await owned(log)
    await log.persist([a_write(endpoint, standing=Standing(health="suspended"))])
    await log.do(units.resume_endpoint(*endpoint_name(endpoint)))
    late = Standing(health="failing")
    await log.persist([a_write(endpoint, standing=late, announcements=(announcement(endpoint),))])
    assert [row.type for row in await log_rows(log)] == ["endpoint.resumed"]


async def test_what_happens_to_an_endpoint_is_told_in_the_log(log: Log) -> None:
    endpoint = await owned(log)
    await put(log)
    first, second = announcement(endpoint), announcement(endpoint)
    await log.persist([a_write(endpoint, announcements=(first, second))])
    rows = await log_rows(log)
    assert_no_gaps(rows)
    assert [(row.type, row.key, row.sequence) for row in rows[2:]] == [
        ("endpoint.failing", endpoint.endpoint_id, 1),
        ("endpoint.failing", endpoint.endpoint_id, 2),
    ]
    told = msgspec.json.decode(rows[3].body)
    assert (told["id"], told["position"], told["sequence"]) == (second.event_id, 4, 2)


def announcement(endpoint: EndpointRecord) -> Announcement:
    event_id = EventId(IdSource().new("evt_", NOON))
    data = msgspec.Raw(msgspec.json.encode({"endpoint_id": endpoint.endpoint_id}))
    return Announcement(event_id=event_id, type="endpoint.failing", occurred_at=NOON, data=data)


async def test_a_settled_event_is_sent_again_on_request(log: Log) -> None:
    endpoint = await owned(log)
    await put(log)
    row = (await log_rows(log))[0]
    await log.persist([a_write(endpoint, cursor=2, attempts=(an_attempt(row),))])
    await log.do(units.resend(*endpoint_name(endpoint), row.event_id))
    await log.do(units.resend(*endpoint_name(endpoint), row.event_id))
    (asked,) = (await log.load_endpoint(*endpoint_name(endpoint))).pending
    assert (asked.position, asked.state, asked.attempts, asked.first_attempt_at) == (
        1,
        "resend",
        1,
        asked.last_attempt_at,
    )


async def test_a_resend_of_one_that_waits_for_its_retry_is_due_now(log: Log) -> None:
    endpoint = await owned(log)
    await put(log)
    row = (await log_rows(log))[0]
    far = a_pending(row, failures=3)
    await log.persist([a_write(endpoint, cursor=1, pending_put=(far,), attempts=(an_attempt(row, "retrying"),))])
    delivery = await log.do(units.resend(*endpoint_name(endpoint), row.event_id))
    (asked,) = (await log.load_endpoint(*endpoint_name(endpoint))).pending
    assert (asked.state, asked.failures, delivery.state) == ("retrying", 3, "retrying")
    assert asked.due_at != far.due_at


async def test_a_resend_of_one_that_is_on_its_way_makes_nothing(log: Log) -> None:
    endpoint = await owned(log)
    await put(log)
    row = (await log_rows(log))[0]
    delivery = await log.do(units.resend(*endpoint_name(endpoint), row.event_id))
    assert delivery.state == "waiting"
    assert (await log.load_endpoint(*endpoint_name(endpoint))).pending == ()


async def test_a_resend_of_an_unknown_event_is_not_found(log: Log) -> None:
    endpoint = await owned(log)
    with pytest.raises(NotFound):
        await log.do(units.resend(DEFAULT, endpoint.endpoint_id, "evt_unknown"))


async def test_what_was_folded_is_settled_and_goes_with_the_event_that_holds_it(log: Log) -> None:
    endpoint = await owned(log)
    await put(log)
    await put(log, "SO-2")
    row = (await log_rows(log))[2]
    await log.persist([a_write(endpoint, cursor=2, pending_put=(a_pending(row),), folded=((1, 3), (2, 3), (3, 4)))])
    loaded = await log.load_endpoint(*endpoint_name(endpoint))
    assert (loaded.settled_past_cursor, loaded.folded) == ({3}, {3: (1, 2), 4: (3,)})
    await log.persist([a_write(endpoint, folded=((1, 4), (2, 4)), pending_gone=(3,), cursor=3)])
    loaded = await log.load_endpoint(*endpoint_name(endpoint))
    assert (loaded.settled_past_cursor, loaded.folded) == (frozenset(), {4: (1, 2, 3)})
