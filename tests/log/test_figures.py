"""The numbers that pages show: what is counted, what is usual, who is behind; and no reading grows with the log."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, Select

from log.builders import DEFAULT, SECRET, a_pending, a_write, an_attempt, an_endpoint, log_rows, owned, put
from log.test_indexes import FINE, plan_of
from waypost.clock import IdSource, to_micros
from waypost.events.kinds import DELIVERY_FAILED
from waypost.ids import AccountId, EndpointId, EventId
from waypost.log import (
    Announcement,
    Database,
    EndpointRecord,
    Log,
    Standing,
    Vault,
    behind,
    events,
    figures,
    hours,
    open_database,
    overview,
    owed,
    told,
    units,
)  # fmt: skip
from waypost.log.hours import HOUR_US, Outcomes, hour_of
from waypost.log.overview import Overview, Window

EP = EndpointId("ep_1")
TUESDAY = datetime(2026, 12, 1, 14, 30, tzinfo=UTC)
MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC)


@dataclass
class HandClock:
    """A clock that a test sets."""

    at: datetime = field(default=TUESDAY)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def log(database: Database, vault: Vault, clock: HandClock) -> AsyncIterator[Log]:
    log = Log(database, clock, IdSource(), vault)
    await log.start()
    await log.ensure_operator("wp_operator")
    yield log
    await log.close()


def day_edges(begin: datetime = MIDNIGHT) -> tuple[int, ...]:
    return tuple(to_micros(begin) + hour * HOUR_US for hour in range(25))


async def look(log: Log, now: datetime = TUESDAY) -> Overview:
    weeks = tuple(day_edges(MIDNIGHT - timedelta(weeks=weeks)) for weeks in range(1, 5))
    return await log.overview(DEFAULT, Window(edges=day_edges(), before=weeks, now=to_micros(now)))


async def settle(log: Log, endpoint: EndpointRecord, **more: Any) -> None:
    """Let everything in the log have been delivered to an endpoint at its first attempt."""
    rows = [row for row in await log_rows(log) if row.position > endpoint.cursor]
    attempts = tuple(an_attempt(row, started_at=TUESDAY) for row in rows)
    await log.persist([a_write(endpoint, cursor=rows[-1].position, attempts=attempts, **more)])


# -- an account


async def test_an_empty_account_has_nothing_to_show(log: Log) -> None:
    seen = await look(log)
    assert (seen.events.total, seen.behind.endpoints, seen.behind.waiting.count) == (0, 0, 0)
    assert seen.endpoints == seen.latest == seen.quiet == ()


async def test_events_stand_in_the_hour_they_were_recorded_in(log: Log, clock: HandClock) -> None:
    clock.at = MIDNIGHT + timedelta(hours=8, minutes=59)
    await put(log)
    clock.at += timedelta(minutes=1)
    await put(log)
    seen = await look(log)
    assert seen.events.counts[8:10] == (2, 1)
    assert seen.events.total == 3


async def test_the_usual_is_the_mean_of_the_weeks_that_the_log_reaches_back_to(log: Log, clock: HandClock) -> None:
    for weeks, references in ((3, ("SO-0",)), (2, ("SO-1", "SO-2")), (1, ("SO-3",))):
        clock.at = TUESDAY - timedelta(weeks=weeks)
        for reference in references:
            await put(log, reference)  # each makes two events
    seen = await look(log)
    assert seen.events.usual is not None
    assert seen.events.usual[14] == 3  # 4 a fortnight ago, 2 a week ago; three weeks ago the log began that very day


async def test_a_log_that_began_today_has_no_usual(log: Log) -> None:
    await put(log)
    assert (await look(log)).events.usual is None


async def test_deliveries_are_counted_with_their_share_at_the_first_attempt(log: Log) -> None:
    endpoint = await owned(log)
    await put(log)
    first, second = await log_rows(log)
    await log.persist([a_write(endpoint, attempts=(an_attempt(first), an_attempt(second, "retrying")))])
    await log.persist([a_write(endpoint, attempts=(an_attempt(second, number=2),))])
    assert (await look(log)).outcomes == Outcomes(at_once=1, later=1, retrying=1)


async def test_times_go_from_the_record_of_an_event_to_its_arrival(log: Log) -> None:
    endpoint = await owned(log)
    await put(log)
    rows = await log_rows(log)
    late = (timedelta(seconds=1), timedelta(seconds=3))
    attempts = tuple(
        an_attempt(row, started_at=TUESDAY + wait, duration_us=100_000) for row, wait in zip(rows, late, strict=True)
    )
    await log.persist([a_write(endpoint, cursor=2, attempts=attempts)])
    times = (await look(log)).times
    assert (times.p50_us, times.p99_us) == (1_100_000, 3_100_000)


async def test_what_waits_is_counted_over_all_endpoints(log: Log, clock: HandClock) -> None:
    paused, other = await owned(log), await owned(log, "shipment.created")
    for endpoint in (paused, other):
        await log.do(units.pause_endpoint(DEFAULT, endpoint.endpoint_id))
    clock.at = TUESDAY - timedelta(hours=2)
    await put(log)
    seen = (await look(log)).behind
    assert (seen.waiting.count, seen.waiting_at, seen.oldest_at) == (3, 2, clock.at)
    assert seen.states == {"suspended": 0, "failing": 0, "paused": 2, "active": 0}


async def test_an_active_endpoint_is_behind_once_a_minute_has_passed(log: Log, clock: HandClock) -> None:
    await owned(log)
    await put(log)
    assert (await look(log)).behind.held == ()
    (late,) = (await look(log, TUESDAY + timedelta(minutes=2))).behind.held
    assert late.waiting.count == 2


async def test_who_rests_without_wanting_anything_is_not_behind(log: Log) -> None:
    await owned(log, "shipment.status.delivered")
    await put(log)
    assert (await look(log, TUESDAY + timedelta(minutes=5))).behind.held == ()


async def test_an_event_counts_once_however_many_wait_for_it(log: Log, clock: HandClock) -> None:
    one, other = await owned(log), await owned(log, "shipment.created")
    clock.at = MIDNIGHT + timedelta(hours=9)
    await put(log)
    for endpoint in (one, other):
        await log.do(units.pause_endpoint(DEFAULT, endpoint.endpoint_id))
    seen = await look(log)
    assert seen.waiting[9] == 2
    assert sum(seen.waiting) == 2


async def test_an_event_in_retry_waits_though_the_cursor_has_passed_it(log: Log) -> None:
    endpoint = await owned(log)
    await put(log)
    first, second = await log_rows(log)
    tried = (an_attempt(first, "retrying"), an_attempt(second))
    await log.persist([a_write(endpoint, cursor=2, attempts=tried, pending_put=(a_pending(first),))])
    seen = await look(log)
    assert seen.waiting[14] == 1
    assert seen.behind.waiting.count == 1


async def test_the_worst_endpoints_come_first(log: Log) -> None:
    fine, failing, suspended, paused = [await owned(log) for _ in range(4)]
    await put(log)
    for endpoint, health in ((fine, "active"), (failing, "failing"), (suspended, "suspended")):
        await log.persist([a_write(endpoint, standing=Standing(health=health, reason="why", since=1))])
    await log.do(units.pause_endpoint(DEFAULT, paused.endpoint_id))
    shown = [held.endpoint.endpoint_id for held, _ in (await look(log)).endpoints]
    assert shown == [one.endpoint_id for one in (suspended, failing, paused, fine)]


async def test_a_day_of_an_endpoint_has_24_hours_with_what_is_held(log: Log, clock: HandClock) -> None:
    endpoint = await owned(log)
    clock.at = TUESDAY - timedelta(hours=3)
    await put(log)
    await settle(log, endpoint)
    await log.do(units.pause_endpoint(DEFAULT, endpoint.endpoint_id))
    clock.at = TUESDAY
    await put(log)
    day = (await log.days_of(DEFAULT, [endpoint.endpoint_id], TUESDAY))[endpoint.endpoint_id]
    assert len(day.hours) == len(day.held) == 24
    assert (day.hours[20], day.hours[23], day.held[23], day.median_us) == (Outcomes(at_once=2), Outcomes(), 1, 96_000)


async def test_refused_deliveries_are_told_by_their_endpoint(log: Log) -> None:
    endpoint = await owned(log)
    announced = Announcement(
        event_id=EventId("evt_refused"), type=DELIVERY_FAILED, occurred_at=TUESDAY, data=msgspec.Raw(b"{}")
    )
    await log.persist([a_write(endpoint, announcements=(announced,))])
    (refused,) = (await look(log)).refused
    assert (refused.endpoint_id, refused.count, refused.last_at) == (endpoint.endpoint_id, 1, TUESDAY)


async def test_a_secret_whose_overlap_ends_is_told(log: Log) -> None:
    endpoint = await an_endpoint(log)
    await log.do(units.rotate_secret(DEFAULT, endpoint.endpoint_id, SECRET[:-2] + "g=", 86_400))
    (ending,) = (await look(log)).ending
    assert (ending.endpoint_id, ending.expires_at) == (endpoint.endpoint_id, TUESDAY + timedelta(days=1))


async def test_what_came_in_is_counted_by_source(log: Log) -> None:
    source = await log.do(units.create_source(DEFAULT, "easypost", "Norrsund Lines", "secret", {}))
    await log.do(units.take_message(DEFAULT, source.source_id, b"{}", []))
    await log.do(units.refuse_message(DEFAULT, source.source_id, b"{", "no JSON"))
    seen = await look(log)
    assert [(one.name, one.count.count, one.last_at) for one in seen.sources] == [("Norrsund Lines", 2, TUESDAY)]
    assert seen.refused_messages.count.count == 1


async def test_nothing_of_another_account_is_seen(log: Log) -> None:
    await log.do(units.create_account("other", "Other"))
    await put(log, account=AccountId("other"))
    seen = await look(log)
    assert (seen.events.total, seen.latest, seen.moving.moving.count) == (0, (), 0)


# -- who was told


async def test_an_event_says_where_it_got_through_of_where_it_is_wanted(log: Log) -> None:
    everything, created = await owned(log), await owned(log, "shipment.created")
    await put(log)
    await settle(log, everything)
    counts = await log.count_told(DEFAULT, [1, 2])
    assert counts is not None
    assert [(counts[position].told, counts[position].wanted) for position in (1, 2)] == [(1, 2), (1, 1)]
    assert not counts[1].is_settled
    assert counts[2].is_settled
    assert created.endpoint_id != everything.endpoint_id


async def test_a_final_failure_settles_an_event_without_telling(log: Log) -> None:
    endpoint = await owned(log, "shipment.created")
    await put(log)
    first, _ = await log_rows(log)
    await log.persist([a_write(endpoint, cursor=1, attempts=(an_attempt(first, "failed"),))])
    counts = await log.count_told(DEFAULT, [1])
    assert counts is not None
    assert (counts[1].told, counts[1].failed, counts[1].wanted, counts[1].is_settled) == (0, 1, 1, True)


async def test_each_event_stands_in_its_own_way_at_each_endpoint(log: Log) -> None:
    everything, created = await owned(log), await owned(log, "shipment.created")
    await put(log)
    await settle(log, everything)
    seen = await log.told(DEFAULT, [1, 2])
    states = {(endpoint.endpoint_id, one.position): one.state for endpoint, made in seen.endpoints for one in made}
    assert states == {
        (everything.endpoint_id, 1): "delivered",
        (everything.endpoint_id, 2): "delivered",
        (created.endpoint_id, 1): "waiting",
        (created.endpoint_id, 2): "skipped",
    }
    assert [delivery.state for _, delivery in seen.of(2)] == ["delivered", "skipped"]


# -- one endpoint


async def test_the_activity_of_an_endpoint_has_outcomes_times_and_states(log: Log) -> None:
    endpoint = await owned(log, "shipment.created")
    await put(log)
    await put(log, "SO-2")
    first, _, third, _ = await log_rows(log)
    tried = (an_attempt(first, started_at=TUESDAY), an_attempt(third, "retrying", started_at=TUESDAY))
    await log.persist([a_write(endpoint, cursor=4, attempts=tried, pending_put=(a_pending(third),))])
    hour = hour_of(to_micros(TUESDAY))
    activity = await log.activity(DEFAULT, endpoint.endpoint_id, range(hour - 2, hour + 2), TUESDAY)
    assert activity.outcomes == (Outcomes(), Outcomes(), Outcomes(at_once=1, retrying=1))
    assert activity.waiting == (0, 0, 1)
    assert [times.p50_us for times in activity.times] == [None, None, 96_000]
    assert activity.total.error_rate == 0.5
    states = activity.counts
    counted = [one.count for one in (states.waiting, states.retrying, states.delivered, states.failed, states.skipped)]
    assert counted == [0, 1, 1, 0, 2]


async def test_what_is_usual_for_an_endpoint_is_what_it_got_in_the_weeks_before(log: Log, clock: HandClock) -> None:
    clock.at = TUESDAY - timedelta(weeks=1, hours=3)
    endpoint = await owned(log)
    clock.at = TUESDAY - timedelta(weeks=1)
    await put(log)
    await settle(log, endpoint)
    clock.at = TUESDAY
    hour = hour_of(to_micros(TUESDAY))
    activity = await log.activity(DEFAULT, endpoint.endpoint_id, [hour - 2, hour + 1], TUESDAY)
    assert (activity.total.delivered, activity.usual) == (0, 2)


# -- no reading grows with the log

STATEMENTS: dict[str, Select[Any]] = {
    "in trouble": behind.endpoints_in_trouble(DEFAULT),
    "endpoints": behind.count_of_endpoints(DEFAULT),
    "behind": behind.endpoints_behind(DEFAULT, 5, 5),
    "first pending": behind.first_pending_at(DEFAULT, EP),
    "first pending of many": behind.first_pending_of(DEFAULT, ["ep_1", "ep_2"]),
    "pending of some": owed.pending_of_some(DEFAULT, ["ep_1", "ep_2"]),
    "settled of some": owed.settled_of_some(DEFAULT, ["ep_1", "ep_2"]),
    "folded of some": owed.folded_of_some(DEFAULT, ["ep_1", "ep_2"]),
    "count of types": events.count_of_types(DEFAULT, ["a", "b"], 0, 9, 5),
    "count of all": events.count_of_log(DEFAULT, 0, 9, 5),
    "pending between": behind.pending_in(DEFAULT, ["ep_1", "ep_2"], 1, 9),
    "told": told.settled_at(DEFAULT, ["ep_1", "ep_2"], [1, 2]),
    "folded": told.folded_at(DEFAULT, ["ep_1", "ep_2"], [1, 2]),
    "tried again": told.pending_at(DEFAULT, ["ep_1", "ep_2"], [1, 2]),
    "ids": told.endpoint_ids(DEFAULT, 5),
    "first recorded": figures.first_recorded(DEFAULT),
    "moving": figures.shipments_moving(DEFAULT),
    "status": figures.shipments_with(DEFAULT, "booked"),
    "trouble": figures.shipments_in(DEFAULT, "delayed"),
    "lately": figures.endpoints_lately(DEFAULT, 1),
    "told lately": figures.latest_told(DEFAULT, "ep_1", 0),
    "answers": figures.answers_between(DEFAULT, EP, 0, 1),
    "events of a type": figures.told_of_type(DEFAULT, "tracking.stale", 0, 5),
    "shipments": figures.shipments_at(DEFAULT, ["shp_1", "shp_2"]),
    "ending secrets": figures.secrets_ending(DEFAULT, 0, 1),
    "sources": figures.sources_named(DEFAULT),
    "messages": figures.messages_since(DEFAULT, "src_1", "msg_"),
    "last message": figures.last_message(DEFAULT, "src_1", "msg_"),
    "refused messages": figures.refused_messages(DEFAULT, "msg_"),
    "last refused": figures.last_refused(DEFAULT, "msg_"),
    "hours": hours.hours_of(DEFAULT, ["ep_1", "ep_2"], [1, 2]),
    "sums of hours": hours.sums_of(DEFAULT, 1, 2),
    "running hours": hours.running_hours(DEFAULT, ["ep_1"]),
    "running since": hours.running_since(DEFAULT, 1),
    "old hours": hours.old_hours(DEFAULT, 1, 5),
    "last positions": overview.last_positions(DEFAULT, 5),
    "some endpoints": overview.some_endpoints(DEFAULT, 5),
    "retrying": overview.pending_retrying(DEFAULT, EP),
    "verdict": overview.with_verdict(DEFAULT, EP, "delivered"),
    "folds": overview.folded_of(DEFAULT, EP),
}


@pytest.fixture
def sqlite(sqlite_url: str) -> Iterator[Database]:
    database = open_database(sqlite_url)
    yield database
    database.close()


@pytest.mark.parametrize("name", STATEMENTS)
def test_it_walks_an_index(sqlite: Database, name: str) -> None:
    plan = plan_of(sqlite, STATEMENTS[name])
    assert plan
    fine = (*FINE, "SCAN some")
    assert not [step for step in plan if step.startswith("SCAN") and not step.startswith(fine)], plan
    assert not [step for step in plan if "TEMP B-TREE" in step], plan


@pytest.mark.parametrize("name", STATEMENTS)
def test_postgresql_can_walk_an_index(pg_url: str, name: str) -> None:
    database = open_database(pg_url)
    compiled = STATEMENTS[name].compile(
        dialect=database.readers.dialect, compile_kwargs={"literal_binds": True, "render_postcompile": True}
    )
    with database.readers.connect() as connection:
        plan = _pg_plan(connection, str(compiled))
    database.close()
    assert "Seq Scan" not in plan, plan


def _pg_plan(connection: Connection, sql: str) -> str:
    connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # empty tables: else it would not look at an index
    return "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {sql.replace('%', '%%')}"))
