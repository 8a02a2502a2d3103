"""The numbers of a page, gathered in one reading of the log: an account over a window, an endpoint over a window."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Select, func, select

from waypost.clock import from_micros
from waypost.events import patterns
from waypost.ids import AccountId, EndpointId
from waypost.log import figures, owed
from waypost.log.behind import Behind, Held, oldest_waiting_at, read_behind, read_retried, waiting_between
from waypost.log.endpoints import read_endpoints
from waypost.log.events import count_of_types, first_position_since, log_end
from waypost.log.figures import CameIn, Ending, EventCounts, Micros, Moving, Places, Quiet, Refused, Times
from waypost.log.hours import HOUR_US, NOTHING, AccountHours, Outcomes, hour_of, read_hours
from waypost.log.owed import Counts, types_of_account
from waypost.log.records import EndpointRecord, Waiting
from waypost.log.tables import attempts, endpoints, events, folded, pending
from waypost.log.told import ToldCount, count_told
from waypost.log.vault import Vault

DAY_US = 24 * HOUR_US
WEEK_US = 7 * DAY_US
SHOWN_MAX = 8  # endpoints, the worst first
QUIET_SHOWN = 3
LATEST = 6
HOURS_OF_A_DAY = 24
NO_HOURS = (0,) * HOURS_OF_A_DAY
MEDIAN_OF = 100
STATE_COUNT_MAX = 10_000


@dataclass(slots=True)
class Memory:
    """What does not change any more and is not read twice. One for a log."""

    counts: Counts = field(default_factory=Counts)
    places: Places = field(default_factory=Places)
    hours: AccountHours = field(default_factory=AccountHours)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What to look at: bins between `edges` (Unix microseconds), and the same ones in weeks before.

    `now` may lie before the last edge: what is to come is empty.
    """

    edges: tuple[Micros, ...]
    before: tuple[tuple[Micros, ...], ...]
    now: Micros


@dataclass(frozen=True, slots=True)
class Day:
    """An endpoint's last 24 hours, the oldest first: what ended in each, what was recorded in it and still waits, and
    how long half of the latest answers took at most, in microseconds.
    """

    hours: tuple[Outcomes, ...]
    held: tuple[int, ...]
    median_us: int | None

    @property
    def total(self) -> Outcomes:
        """All of it."""
        return sum(self.hours, NOTHING)

    @property
    def bars(self) -> list[tuple[int, int, int]]:
        """By hour: delivered, attempts that failed, held."""
        hours = zip(self.hours, self.held, strict=True)
        return [(hour.delivered, hour.retrying + hour.failed, held) for hour, held in hours]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """An account over a window."""

    moving: Moving
    events: EventCounts
    waiting: tuple[int, ...]
    """By bin: events that wait for somebody."""
    outcomes: Outcomes
    times: Times
    """From the record of an event to its arrival."""
    behind: Behind
    endpoints: tuple[tuple[Held, Day], ...]
    """Some of them, the worst first."""
    refused: tuple[Refused, ...]
    quiet: tuple[Quiet, ...]
    quiet_count: int
    ending: tuple[Ending, ...]
    named: dict[str, EndpointRecord]
    """The endpoints that `refused` and `ending` are about, as far as they still exist."""
    sources: tuple[CameIn, ...]
    refused_messages: CameIn
    latest: tuple[int, ...]
    """The positions of the last events, the newest first."""
    told: dict[int, ToldCount] | None
    """Of the latest events; None where there are too many endpoints."""


def read_overview(
    connection: Connection, vault: Vault, memory: Memory, account_id: AccountId, window: Window
) -> Overview:
    """Give how an account fares."""
    now, edges = window.now, window.edges
    types = types_of_account(connection, account_id)
    counted = figures.count_events(connection, memory.places, account_id, edges, window.before, now)
    a_minute_ago, a_week_ago = (
        first_position_since(connection, account_id, instant, log_end(connection, account_id))
        for instant in (now - 60_000_000, now - WEEK_US)
    )
    behind = read_behind(connection, vault, memory.counts, account_id, a_minute_ago, types)
    waiters = [one.endpoint for one in behind.held if one.waiting.count]
    retried = read_retried(connection, account_id, waiters, counted.bounds)
    shown = _worst_first(connection, vault, account_id, behind)
    since, now_hour = hour_of(edges[0]), hour_of(now)
    refused = figures.refused_since(connection, account_id, a_week_ago)
    ending = figures.ending_secrets(connection, account_id, now, now + WEEK_US)
    quiet, quiet_count = figures.quiet_since(connection, account_id, a_week_ago, QUIET_SHOWN)
    names = {one.endpoint_id for one in refused[:SHOWN_MAX]} | {one.endpoint_id for one in ending}
    records = read_endpoints(connection, vault, [(account_id, EndpointId(name)) for name in sorted(names)])
    came, refused_messages = figures.came_in(connection, account_id, edges[0])
    latest = connection.execute(last_positions(account_id, LATEST)).scalars().all()
    return Overview(
        moving=figures.count_moving(connection, account_id),
        events=counted,
        waiting=tuple(waiting_between(connection, account_id, waiters, counted.bounds, types, retried)),
        outcomes=memory.hours.read(connection, account_id, since, now_hour + 1, now_hour),
        times=figures.times_to_told(connection, account_id, edges[0], since),
        behind=behind,
        endpoints=tuple(
            zip(shown, days_of(connection, memory, account_id, [one.endpoint for one in shown], now), strict=True)
        ),
        refused=tuple(one for one in refused if any(one.endpoint_id == record.endpoint_id for record in records)),
        quiet=tuple(quiet),
        quiet_count=quiet_count,
        ending=tuple(ending),
        named={record.endpoint_id: record for record in records},
        sources=tuple(came),
        refused_messages=refused_messages,
        latest=tuple(latest),
        told=count_told(connection, account_id, latest),
    )


def _worst_first(connection: Connection, vault: Vault, account_id: AccountId, behind: Behind) -> list[Held]:
    """Those that are behind, and then others, up to SHOWN_MAX."""
    shown = list(behind.held[:SHOWN_MAX])
    there = {one.endpoint.endpoint_id for one in shown}
    if len(shown) < SHOWN_MAX:
        ids = connection.execute(some_endpoints(account_id, SHOWN_MAX + len(shown))).scalars().all()
        left = [EndpointId(name) for name in ids if name not in there][: SHOWN_MAX - len(shown)]
        records = read_endpoints(connection, vault, [(account_id, name) for name in left])
        shown += [Held(record, Waiting(0, more=False), None) for record in records]
    return shown


def days_of(
    connection: Connection,
    memory: Memory,
    account_id: AccountId,
    records: Sequence[EndpointRecord],
    now: Micros,
    medians: bool = True,
) -> list[Day]:
    """Give the last 24 hours of some endpoints, in the same order; without `medians`, those are None."""
    last = hour_of(now)
    first = last - HOURS_OF_A_DAY + 1
    edges = [hour * HOUR_US for hour in range(first, last + 2)]
    bounds = memory.places.of(connection, account_id, edges, now)
    waiters = [record for record in records if _waits(record, bounds)]
    types = types_of_account(connection, account_id) if waiters else []
    retried = read_retried(connection, account_id, waiters, bounds)
    found = read_hours(connection, account_id, [record.endpoint_id for record in records], first, last + 1)
    days: list[Day] = []
    for record in records:
        hours = found[record.endpoint_id]
        answers: Sequence[int] = ()
        if medians:
            latest = figures.answers_between(account_id, record.endpoint_id, edges[0], edges[-1]).limit(MEDIAN_OF)
            answers = connection.execute(latest).scalars().all()
        held: Sequence[int] = NO_HOURS
        if _waits(record, bounds):
            held = waiting_between(connection, account_id, [record], bounds, types, retried)
        days.append(
            Day(
                tuple(hours.get(hour, NOTHING) for hour in range(first, last + 1)),
                tuple(held),
                figures.times_of(answers).p50_us,
            )
        )
    return days


def _waits(record: EndpointRecord, bounds: Sequence[int]) -> bool:
    """Whether something recorded meanwhile may wait for it. The cursor of an active one is stored a little late."""
    return record.state != "active" and record.cursor < bounds[-1]


# -- one endpoint ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StateCounts:
    """Deliveries of an endpoint by state, each counted to STATE_COUNT_MAX."""

    waiting: Waiting
    retrying: Waiting
    delivered: Waiting
    failed: Waiting
    skipped: Waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """An endpoint over a window, by bin. Bins begin and end with whole hours, UTC."""

    outcomes: tuple[Outcomes, ...]
    waiting: tuple[int, ...]
    """Events recorded in the bin that wait for it."""
    times: tuple[Times, ...]
    """How long it took to answer."""
    overall: Times
    usual: float | None
    """How many deliveries are usual in such a window; None where there is no week before."""
    counts: StateCounts
    oldest_at: datetime | None
    """When the oldest event was recorded that waits for it; None when nothing waits."""

    @property
    def total(self) -> Outcomes:
        """All of it."""
        return sum(self.outcomes, NOTHING)


def read_activity(
    connection: Connection, memory: Memory, endpoint: EndpointRecord, hours: Sequence[int], now: Micros
) -> Activity:
    """Give how an endpoint fared between each two of `hours` (since 1970, UTC)."""
    account_id, endpoint_id = endpoint.account_id, endpoint.endpoint_id
    found = read_hours(connection, account_id, [endpoint_id], hours[0], hours[-1])[endpoint_id]
    edges = [hour * HOUR_US for hour in hours]
    bounds = memory.places.of(connection, account_id, edges, now)
    waiting = owed.waiting(connection, memory.counts, endpoint)
    types, held = types_of_account(connection, account_id), [0] * (len(hours) - 1)
    if waiting.count:
        retried = read_retried(connection, account_id, [endpoint], bounds)
        held = waiting_between(connection, account_id, [endpoint], bounds, types, retried)
    times = figures.answer_times(connection, account_id, endpoint_id, edges)
    (overall,) = figures.answer_times(connection, account_id, endpoint_id, [edges[0], edges[-1]])
    return Activity(
        outcomes=tuple(
            sum((found.get(hour, NOTHING) for hour in range(first, last)), NOTHING) for first, last in pairwise(hours)
        ),
        waiting=tuple(held),
        times=tuple(times),
        overall=overall,
        usual=_usual(connection, endpoint, hours),
        counts=count_states(connection, endpoint, waiting, types),
        oldest_at=oldest_waiting_at(connection, endpoint) if waiting.count else None,
    )


def _usual(connection: Connection, endpoint: EndpointRecord, hours: Sequence[int]) -> float | None:
    """The mean of the deliveries in the same window of up to four weeks before, in which the endpoint was there."""
    totals: list[int] = []
    for weeks in range(1, 5):
        since, until = hours[0] - weeks * 168, hours[-1] - weeks * 168
        if from_micros(since * HOUR_US) >= endpoint.created_at:
            found = read_hours(connection, endpoint.account_id, [endpoint.endpoint_id], since, until)
            totals.append(sum(found[endpoint.endpoint_id].values(), NOTHING).delivered)
    return sum(totals) / len(totals) if totals else None


def count_states(
    connection: Connection, endpoint: EndpointRecord, waiting: Waiting, types: Sequence[str]
) -> StateCounts:
    """Count an endpoint's deliveries by state; `waiting` are those that wait, in retry or not."""
    key = (endpoint.account_id, endpoint.endpoint_id)
    retrying = connection.execute(pending_retrying(*key)).scalar_one()
    delivered = connection.execute(with_verdict(*key, "delivered")).scalar_one()
    failed = connection.execute(with_verdict(*key, "failed")).scalar_one()
    matcher = patterns.compile(endpoint.wants)
    unwanted = [name for name in types if not matcher.needs_body(name) and not matcher(name, b"")]
    end, most = log_end(connection, endpoint.account_id), STATE_COUNT_MAX + 1
    skipped = connection.execute(folded_of(*key)).scalar_one()
    if unwanted:
        reach = (endpoint.start_position, end, most)
        skipped += connection.execute(count_of_types(endpoint.account_id, unwanted, *reach)).scalar_one()
    return StateCounts(
        Waiting(max(waiting.count - retrying, 0), waiting.more),
        *map(_bounded, (retrying, delivered, failed, skipped)),
    )


def _bounded(count: int) -> Waiting:
    return Waiting(min(count, STATE_COUNT_MAX), count > STATE_COUNT_MAX)


# -- statements --------------------------------------------------------------------------------------------------------


def last_positions(account_id: AccountId, limit: int) -> Select[Any]:
    """The positions of the last events, the newest first. Walks the primary key backwards."""
    columns = events.c
    mine = select(columns.position).where(columns.account_id == account_id)
    return mine.order_by(columns.position.desc()).limit(limit)


def some_endpoints(account_id: AccountId, limit: int) -> Select[Any]:
    """Some endpoints, the oldest first, without those of replays. Walks the primary key."""
    columns = endpoints.c
    mine = select(columns.endpoint_id).where(columns.account_id == account_id, columns.replay_of.is_(None))
    return mine.order_by(columns.endpoint_id).limit(limit)


def pending_retrying(account_id: AccountId, endpoint_id: EndpointId) -> Select[Any]:
    """How many deliveries are tried again; they are bounded. Walks the primary key."""
    columns = pending.c
    mine = select(func.count()).select_from(pending).where(columns.account_id == account_id)
    return mine.where(columns.endpoint_id == endpoint_id, columns.state != "waiting")


def with_verdict(account_id: AccountId, endpoint_id: EndpointId, verdict: str) -> Select[Any]:
    """How many events had this verdict, counted to STATE_COUNT_MAX and one. Walks attempts_by_verdict alone."""
    columns = attempts.c
    mine = select(columns.position).distinct().where(columns.account_id == account_id)
    mine = mine.where(columns.endpoint_id == endpoint_id, columns.verdict == verdict)
    return select(func.count()).select_from(mine.limit(STATE_COUNT_MAX + 1).subquery())


def folded_of(account_id: AccountId, endpoint_id: EndpointId) -> Select[Any]:
    """How many events went out with newer ones, counted to STATE_COUNT_MAX and one. Walks the primary key."""
    columns = folded.c
    mine = select(columns.position).where(columns.account_id == account_id, columns.endpoint_id == endpoint_id)
    return select(func.count()).select_from(mine.limit(STATE_COUNT_MAX + 1).subquery())
