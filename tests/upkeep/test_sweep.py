"""What leaves by age and what stays, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from itertools import count

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Table, insert, select

from log.builders import DEFAULT, a_pending, a_report, a_write, an_attempt, an_endpoint, log_rows, once, owned, put
from log.test_erasure import until_somebody_waits
from upkeep.builders import AGES, NOW, MovedClock, a_log, a_sweep, attempts_left, events_left, lived, pending_left
from waypost.api.shapes import DeliveryAttempt
from waypost.clock import to_micros
from waypost.ids import AccountId
from waypost.log import Database, EndpointRecord, Log, LogRow, ReplayAsked, Request, Unit, Vault, open_database, units
from waypost.log.auditing import Actor
from waypost.log.keeping import DAY_US, Ages
from waypost.log.tables import (
    accounts,
    attempts,
    expiry_notices,
    folded,
    idempotency,
    intake_messages,
    intake_shipments,
    replays,
    workers,
)

accounts_made = count(1)


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
async def log(database: Database, vault: Vault, clock: MovedClock) -> AsyncIterator[Log]:
    async with a_log(database, vault, clock) as log:
        yield log


async def aged(log: Log, clock: MovedClock, *days_ago: float) -> list[LogRow]:
    """Events of one shipment, so many days old; the first report makes two."""
    for days in days_ago:
        clock.days_ago(days)
        await put(log)
    clock.days_ago(0)
    return await log_rows(log)


async def add_row(log: Log, table: Table, row: dict[str, object]) -> None:
    """Put a row into a table, as somebody else's work left it."""
    await log.do(Unit(DEFAULT, lambda tx: tx.connection.execute(insert(table), row) and None))


async def swept(log: Log, clock: MovedClock, ages: Ages = AGES) -> None:
    await a_sweep(log, clock, ages).turn()


async def test_old_events_leave_and_young_ones_stay(database: Database, log: Log, clock: MovedClock) -> None:
    await aged(log, clock, 31, 29)
    await swept(log, clock)
    assert events_left(database) == [3]


async def test_reading_the_log_goes_on_with_what_is_there(log: Log, clock: MovedClock) -> None:
    await aged(log, clock, 31, 29)
    await swept(log, clock)
    assert [row.position for row in await log.events_after(DEFAULT, 0)] == [3]


async def test_an_endpoint_from_the_beginning_begins_with_what_is_there(log: Log, clock: MovedClock) -> None:
    await aged(log, clock, 31, 29)
    await swept(log, clock)
    endpoint = await an_endpoint(log, start="beginning")
    assert endpoint.cursor == 2


async def test_the_shipment_stays_and_counts_on(log: Log, clock: MovedClock) -> None:
    await aged(log, clock, 31)
    await swept(log, clock)
    (made,) = (await put(log)).events
    assert (made.sequence, made.position) == (3, 3)


async def test_a_clock_that_jumped_a_year_ahead_removes_nothing_and_gives_up_nothing(
    database: Database, log: Log, clock: MovedClock
) -> None:
    clock.days_ago(2)
    await owned(log)
    await aged(log, clock, 2, 1)
    await swept(log, clock)
    clock.forward(days=365)
    await swept(log, clock)
    clock.forward(hours=23)
    await swept(log, clock)
    assert (events_left(database), attempts_left(database)) == ([1, 2, 3], [])


async def test_a_clock_that_came_back_is_as_if_it_had_never_jumped(
    database: Database, log: Log, clock: MovedClock
) -> None:
    await aged(log, clock, 31, 29)
    await swept(log, clock)
    clock.forward(days=365)
    await swept(log, clock)
    clock.forward(days=-365)
    await swept(log, clock)
    assert events_left(database) == [3]


async def test_after_a_long_rest_retention_goes_on_a_day_later(database: Database, log: Log, clock: MovedClock) -> None:
    await aged(log, clock, 0)
    await swept(log, clock)
    for _ in range(25):
        clock.forward(hours=1)
        clock.at = max(clock.at, NOW + timedelta(days=40))
        await swept(log, clock)
    assert events_left(database) == []


async def test_what_a_clock_that_was_behind_recorded_is_as_young_as_what_stands_before_it(
    database: Database, log: Log, clock: MovedClock
) -> None:
    """Neither removed nor given up: an endpoint owes what came in after the event of a minute ago."""
    await owned(log)
    await aged(log, clock, 0)
    await log.persist([a_write(await only_endpoint(log), cursor=2)])
    await aged(log, clock, 365)
    await swept(log, clock)
    assert (events_left(database), attempts_left(database)) == ([1, 2, 3], [])


async def only_endpoint(log: Log) -> EndpointRecord:
    (endpoint,) = (await log.list_endpoints(DEFAULT)).items
    return endpoint


async def test_what_a_clock_that_was_ahead_recorded_does_not_hold_up_the_rest(
    database: Database, log: Log, clock: MovedClock
) -> None:
    await aged(log, clock, 40, -300, 35, 1)
    await swept(log, clock)
    assert events_left(database) == [3, 5]


async def test_two_services_sweep_at_once_and_nothing_owed_leaves(pg_url: str, vault: Vault, clock: MovedClock) -> None:
    one, other = open_database(pg_url), open_database(pg_url)
    async with a_log(one, vault, clock) as first, a_log(other, vault, clock) as second:
        clock.days_ago(40)
        endpoint = await owned(first)
        await first.do_all([Request(a_report(weight=weight)) for weight in range(1, 251)])
        rows = await log_rows(first)
        clock.days_ago(0)
        waiting = tuple(a_pending(row) for row in rows[5::50])
        await first.persist([a_write(endpoint, cursor=200, pending_put=waiting[:4])])
        await asyncio.gather(*(a_sweep(log, clock).turn() for log in (first, second, first, second)))
        assert events_left(one) == [row.position for row in waiting[:4]] + list(range(201, 252))
    one.close()
    other.close()


async def test_an_event_past_a_cursor_stays_beyond_its_days(database: Database, log: Log, clock: MovedClock) -> None:
    clock.days_ago(60)
    endpoint = await owned(log)
    await aged(log, clock, 60, 50)
    await log.persist([a_write(endpoint, cursor=1)])
    await swept(log, clock)
    assert events_left(database) == [2, 3]


async def test_a_pending_event_stays_beyond_its_days(database: Database, log: Log, clock: MovedClock) -> None:
    clock.days_ago(60)
    endpoint = await owned(log)
    rows = await aged(log, clock, 60, 50)
    await log.persist([a_write(endpoint, cursor=3, pending_put=(a_pending(rows[1]),))])
    await swept(log, clock)
    assert (events_left(database), pending_left(database)) == ([2], [2])


async def test_what_a_running_replay_has_to_look_at_stays(database: Database, log: Log, clock: MovedClock) -> None:
    clock.days_ago(60)
    endpoint = await owned(log)
    await aged(log, clock, 60, 50, 40)
    await log.persist([a_write(endpoint, cursor=4)])
    await a_replay(log, endpoint, scanned=2)
    await swept(log, clock)
    assert events_left(database) == [3, 4]


async def a_replay(log: Log, endpoint: EndpointRecord, scanned: int) -> None:
    row = {
        "account_id": endpoint.account_id, "replay_id": "job_1", "endpoint_id": endpoint.endpoint_id,
        "target_id": endpoint.endpoint_id, "which": "all", "asked": "{}", "through": 100, "scanned": scanned,
        "matched": 0, "fed": 0, "state": "running", "created_at": 0, "stepped_at": 0,
    }  # fmt: skip
    await add_row(log, replays, row)


async def test_a_replay_does_not_begin_amid_a_step_that_could_take_what_it_wants(pg_url: str, vault: Vault) -> None:
    database = open_database(pg_url)
    clock = MovedClock()
    async with a_log(database, vault, clock) as log:
        endpoint = await owned(log)
        await put(log)
        asked = ReplayAsked(which="all")
        scope, matched = await log.count_replay(endpoint.account_id, endpoint.endpoint_id, asked)
        other = open_database(pg_url)
        with other.writer.connect() as step:
            step.execute(select(accounts.c.account_id).where(accounts.c.account_id == DEFAULT).with_for_update())
            job = units.create_replay(scope, asked, matched, actor=Actor("tms", "tok_1"))
            beginning = asyncio.create_task(log.do(job))
            async with asyncio.timeout(30):
                await until_somebody_waits(other)
            assert not beginning.done()
            step.commit()
            await beginning
        other.close()
    database.close()


async def test_attempts_leave_with_their_events_and_never_before(
    database: Database, log: Log, clock: MovedClock
) -> None:
    clock.days_ago(60)
    endpoint = await owned(log)
    rows = await aged(log, clock, 60, 50)
    made = tuple(an_attempt(row, started_at=NOW.replace(month=10)) for row in rows)
    await log.persist([a_write(endpoint, cursor=1, attempts=made)])
    await swept(log, clock)
    assert (events_left(database), attempts_left(database)) == ([2, 3], [2, 3])


async def test_an_attempt_made_lately_outlives_its_event_by_some_days(
    database: Database, log: Log, clock: MovedClock
) -> None:
    clock.days_ago(60)
    endpoint = await owned(log)
    rows = await aged(log, clock, 60)
    await log.persist([a_write(endpoint, cursor=2, attempts=(an_attempt(rows[0], started_at=NOW),))])
    await swept(log, clock)
    assert (events_left(database), attempts_left(database)) == ([], [1])
    await lived(log, clock, days=8)
    assert attempts_left(database) == []


async def test_what_was_answered_leaves_with_the_event_though_the_attempt_stays(log: Log, clock: MovedClock) -> None:
    """An erasure finds attempts by their events, so none may quote people once its event has left."""
    clock.days_ago(60)
    endpoint = await owned(log)
    rows = await aged(log, clock, 60)
    answered = b'{"number":1,"response":{"headers":{"x":"Mari"},"body":"for Mari","truncated":false}}'
    tried = [an_attempt(row, started_at=NOW - timedelta(days=1), detail=answered) for row in rows]
    await log.persist([a_write(endpoint, cursor=2, attempts=tuple(tried))])
    await swept(log, clock)
    kept = await log.look(lambda connection, _: connection.execute(select(attempts.c.detail)).scalars().all())
    assert [msgspec.json.decode(one)["response"]["body"] for one in kept] == ["", ""]


async def test_attempts_at_an_endpoint_that_was_deleted_leave_by_age(
    database: Database, log: Log, clock: MovedClock
) -> None:
    clock.days_ago(60)
    endpoint = await owned(log)
    rows = await aged(log, clock, 60)
    made = tuple(an_attempt(row, started_at=NOW.replace(month=10)) for row in rows)
    await log.persist([a_write(endpoint, cursor=2, attempts=made)])
    await log.do(units.delete_endpoint(endpoint.account_id, endpoint.endpoint_id))
    await swept(log, clock)
    assert attempts_left(database) == []


async def test_an_event_that_failed_lately_can_still_be_sent_again(
    database: Database, log: Log, clock: MovedClock
) -> None:
    clock.days_ago(60)
    endpoint = await owned(log)
    rows = await aged(log, clock, 60)
    failed = an_attempt(rows[0], verdict="failed", started_at=NOW)
    await log.persist([a_write(endpoint, cursor=2, attempts=(failed,))])
    await swept(log, clock)
    assert events_left(database) == [1]
    await lived(log, clock, days=8)
    assert events_left(database) == []


async def test_an_event_owed_past_its_limit_stands_as_failed_with_the_reason(log: Log, clock: MovedClock) -> None:
    clock.days_ago(95)
    endpoint = await owned(log)
    rows = await aged(log, clock, 95)
    await swept(log, clock)
    delivery, tried, _ = await log.get_delivery(DEFAULT, endpoint.endpoint_id, rows[0].event_id)
    assert delivery.state == "failed"
    assert delivery.state_reason == "It waited for as long as owed events are kept, and was given up."
    assert "90 days" in msgspec.json.decode(tried[0].detail)["explanation"]
    shown = {"verdict": tried[0].verdict, **msgspec.json.decode(tried[0].detail)}
    shown["request"]["body"] = "{}"  # of the event, which is kept but once
    assert msgspec.convert(shown, DeliveryAttempt).number == 1


async def test_giving_up_goes_on_where_the_limit_ends(database: Database, log: Log, clock: MovedClock) -> None:
    clock.days_ago(95)
    endpoint = await owned(log)
    rows = await aged(log, clock, 95, 91, 60)
    await log.persist([a_write(endpoint, cursor=2, pending_put=(a_pending(rows[0]),))])
    await swept(log, clock)
    after = await log.get_endpoint(DEFAULT, endpoint.endpoint_id)
    assert (after.cursor, pending_left(database), attempts_left(database)) == (3, [], [1, 3])


async def test_giving_up_takes_the_endpoint_over_from_its_owner(log: Log, clock: MovedClock) -> None:
    clock.days_ago(95)
    endpoint = await owned(log)
    await aged(log, clock, 95)
    await swept(log, clock)
    stale = await log.persist([a_write(endpoint, cursor=1)])
    assert stale == {(endpoint.account_id, endpoint.endpoint_id)}
    (lease,) = await log.take_leases("w1", 60, 10, frozenset({(endpoint.account_id, endpoint.endpoint_id)}))
    assert lease.epoch == 3


async def test_what_was_sent_before_a_crash_is_not_given_up(log: Log, clock: MovedClock) -> None:
    clock.days_ago(95)
    endpoint = await owned(log)
    rows = await aged(log, clock, 95)
    await log.persist([a_write(endpoint, attempts=(an_attempt(rows[0], started_at=NOW),))])
    await swept(log, clock)
    delivery, _, _ = await log.get_delivery(DEFAULT, endpoint.endpoint_id, rows[1].event_id)
    assert delivery.state == "failed"
    with pytest.raises(Exception, match="no event"):
        await log.get_delivery(DEFAULT, endpoint.endpoint_id, rows[0].event_id)


async def test_what_nobody_asked_for_is_passed_without_a_word(database: Database, log: Log, clock: MovedClock) -> None:
    clock.days_ago(95)
    await owned(log, "tracking.*")
    await aged(log, clock, 95)
    await swept(log, clock)
    assert (events_left(database), attempts_left(database)) == ([], [])


async def fold(log: Log, endpoint: EndpointRecord, position: int, into: int) -> None:
    name = {"account_id": endpoint.account_id, "endpoint_id": endpoint.endpoint_id}
    await add_row(log, folded, name | {"position": position, "into_position": into})


async def test_an_event_folded_into_one_that_waits_stays(database: Database, log: Log, clock: MovedClock) -> None:
    clock.days_ago(60)
    endpoint = await owned(log)
    rows = await aged(log, clock, 60, 50, 40)
    await fold(log, endpoint, 2, into=3)
    await log.persist([a_write(endpoint, cursor=4, pending_put=(a_pending(rows[2]),))])
    await swept(log, clock)
    assert events_left(database) == [2, 3]


async def test_what_was_folded_into_a_delivered_event_leaves_after_it(
    database: Database, log: Log, clock: MovedClock
) -> None:
    """As long as the newer event can be sent again, it goes out with the same bytes."""
    clock.days_ago(60)
    endpoint = await owned(log)
    await aged(log, clock, 60, 50)
    await fold(log, endpoint, 2, into=3)
    await log.persist([a_write(endpoint, cursor=3)])
    await swept(log, clock)
    assert events_left(database) == [2]
    await swept(log, clock)
    with database.readers.connect() as connection:
        assert connection.execute(select(folded.c.position)).all() == []
    assert events_left(database) == []


async def test_a_folded_event_past_the_limit_stands_as_failed_while_its_holder_waits_on(
    database: Database, log: Log, clock: MovedClock
) -> None:
    clock.days_ago(95)
    endpoint = await owned(log)
    rows = await aged(log, clock, 95, 60)
    await fold(log, endpoint, 2, into=3)
    await log.persist([a_write(endpoint, cursor=3, pending_put=(a_pending(rows[2]),))])
    await swept(log, clock)
    assert (attempts_left(database), pending_left(database)) == ([2], [3])


async def test_a_batch_is_given_up_whole(database: Database, log: Log, clock: MovedClock) -> None:
    """It comes again with the same events, or not at all."""
    clock.days_ago(91)
    endpoint = await owned(log)
    rows = await aged(log, clock, 91, 89)
    members = tuple(replace(a_pending(row), batch_id="bat_1") for row in rows[1:])
    await log.persist([a_write(endpoint, cursor=3, pending_put=members)])
    await swept(log, clock)
    assert (attempts_left(database), pending_left(database)) == ([2, 3], [])


async def test_many_owed_events_are_given_up_in_steps(database: Database, log: Log, clock: MovedClock) -> None:
    clock.days_ago(95)
    await owned(log)
    await log.do_all([Request(a_report(f"SO-{number}")) for number in range(300)])
    clock.days_ago(0)
    await swept(log, clock)
    assert len(attempts_left(database)) == 600


async def test_an_account_is_warned_once_for_each_step(database: Database, log: Log, clock: MovedClock) -> None:
    clock.days_ago(84)
    endpoint = await owned(log)
    await aged(log, clock, 84)
    await swept(log, clock)
    await swept(log, clock)
    await lived(log, clock, days=5.5)
    with database.readers.connect() as connection:
        found = connection.execute(select(expiry_notices.c.endpoint_id, expiry_notices.c.days_left)).all()
    assert sorted(map(tuple, found)) == [(endpoint.endpoint_id, 1), (endpoint.endpoint_id, 7)]


async def test_who_catches_up_is_warned_anew_the_next_time(database: Database, log: Log, clock: MovedClock) -> None:
    clock.days_ago(84)
    endpoint = await owned(log)
    await aged(log, clock, 84)
    await swept(log, clock)
    await log.persist([a_write(endpoint, cursor=2)])
    await swept(log, clock)
    with database.readers.connect() as connection:
        assert connection.execute(select(expiry_notices.c.days_left)).all() == []


async def test_kept_answers_leave_after_a_day(database: Database, log: Log, clock: MovedClock) -> None:
    clock.forward(hours=-30)
    await log.do_once(a_report(), once())
    clock.forward(hours=30)
    await log.do_once(a_report(), once("key-2"))
    await swept(log, clock)
    with database.readers.connect() as connection:
        assert len(connection.execute(select(idempotency.c.scope)).all()) == 1


async def test_raw_messages_leave_with_what_ties_them_to_shipments(
    database: Database, log: Log, clock: MovedClock
) -> None:
    message = {"account_id": DEFAULT, "source_id": "src_1", "state": "accepted", "body": b"x"}
    tied = {"account_id": DEFAULT, "shipment_id": "shp_1"}
    for name, days in (("old", 31), ("young", 29)):
        received_at = to_micros(NOW) - days * DAY_US
        await add_row(log, intake_messages, message | {"message_id": name, "received_at": received_at})
        await add_row(log, intake_shipments, tied | {"message_id": name})
    await swept(log, clock)
    with database.readers.connect() as connection:
        assert connection.execute(select(intake_messages.c.message_id)).scalars().all() == ["young"]
        assert connection.execute(select(intake_shipments.c.message_id)).scalars().all() == ["young"]


async def test_rows_of_dead_workers_leave(database: Database, log: Log, clock: MovedClock) -> None:
    await log.take_leases("alive", 60, 10)
    await add_row(log, workers, {"owner": "dead", "lease_until": 0})
    await swept(log, clock)
    with database.readers.connect() as connection:
        assert connection.execute(select(workers.c.owner)).scalars().all() == ["alive"]


class AnEndpoint(msgspec.Struct):
    """What is drawn of an endpoint: how far it came, what it waits for and what was sent past its cursor."""

    pattern: str
    cursor: int
    pending: set[int]
    delivered: set[int]


POSITIONS = st.sets(st.integers(1, 14), max_size=5)
ENDPOINTS = st.builds(
    AnEndpoint,
    pattern=st.sampled_from(["*", "shipment.updated", "shipment.created", "tracking.*"]),
    cursor=st.integers(0, 14),
    pending=POSITIONS,
    delivered=POSITIONS,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ages=st.lists(st.floats(0, 120), min_size=1, max_size=12),
    drawn=st.lists(ENDPOINTS, max_size=3),
)
async def test_nothing_owed_leaves_and_nothing_else_stays(
    database: Database, log: Log, clock: MovedClock, ages: list[float], drawn: list[AnEndpoint]
) -> None:
    """Against a plain account of who is owed what: random ages, cursors, pending rows and deliveries."""
    account = AccountId(f"drawn-{next(accounts_made)}")
    ages = sorted(ages, reverse=True)
    clock.days_ago(ages[0])
    await log.do(units.create_account(account, "Drawn"))
    made = [await an_endpoint(log, one.pattern, account=account) for one in drawn]
    for days in ages:
        clock.days_ago(days)
        await put(log, account=account)
    clock.days_ago(0)
    rows = {row.position: row for row in await log_rows(log, account)}
    await log.take_leases("w1", 60, 1000)
    for endpoint, one in zip(made, drawn, strict=True):
        one.cursor = min(one.cursor, len(rows))
        one.pending &= {p for p in rows if p <= one.cursor}
        one.delivered &= {p for p in rows if p > one.cursor}
        epoch = (await log.get_endpoint(account, endpoint.endpoint_id)).epoch
        put_rows = tuple(a_pending(rows[position]) for position in sorted(one.pending))
        sent = tuple(an_attempt(rows[position], started_at=NOW) for position in sorted(one.delivered))
        write = a_write(endpoint, epoch, cursor=one.cursor, pending_put=put_rows, attempts=sent)
        assert not await log.persist([write])

    await swept(log, clock)

    left = set(events_left(database, account))
    old = {p for p, row in rows.items() if row.recorded_at < to_micros(NOW) - AGES.kept_us}
    past = {p for p, row in rows.items() if row.recorded_at < to_micros(NOW) - AGES.owed_us}
    assert set(rows) - old <= left
    failed: set[int] = set()
    for endpoint, one in zip(made, drawn, strict=True):
        wanted = {p for p, row in rows.items() if one.pattern in ("*", row.type)}
        owed = {p for p in wanted if p > one.cursor and p not in one.delivered} | one.pending
        assert owed <= left, "what is owed, or stands as failed since just now, is in the log"
        for position in owed & past:
            delivery, _, _ = await log.get_delivery(account, endpoint.endpoint_id, rows[position].event_id)
            assert delivery.state == "failed"
        for position in owed - past:
            delivery, _, _ = await log.get_delivery(account, endpoint.endpoint_id, rows[position].event_id)
            assert delivery.state in ("waiting", "retrying")
        failed |= owed & past
    floor = min([max([one.cursor, *(p for p in past if p > one.cursor)]) for one in drawn], default=len(rows))
    waited_for = {p for one in drawn for p in one.pending} | failed
    assert not {p for p in old if p <= floor and p not in waited_for} & left
