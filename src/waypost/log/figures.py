"""What the overview and the page of an endpoint show in numbers, beyond what the API gives.

Nothing here reads more as the log grows: events are counted by their positions, which have no gaps; deliveries by the
hours that were counted when they ended (hours.py); times from so many of the latest and no more.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Select, and_, func, select, text

from waypost.clock import from_micros
from waypost.events.kinds import DELIVERY_FAILED, TRACKING_STALE
from waypost.ids import AccountId, EndpointId, ulid
from waypost.log.events import first_position_since, log_end
from waypost.log.records import Waiting
from waypost.log.tables import attempts, endpoint_secrets, endpoints, events, intake_messages, shipments, sources

COUNT_MAX = 10_000
MOVING = (
    "collected", "in_transit", "customs", "out_for_delivery", "available_for_pickup", "delivery_attempted",
    "partially_delivered", "returning",
)  # fmt: skip
SAMPLED_ENDPOINTS, SAMPLED_EACH = 12, 100  # the latest deliveries that tell how long an event takes
SAMPLED_HOUR = 300  # answers that tell of an hour
REFUSED_MAX = 1_000
QUIET_LOOKED_AT_MAX = 100
SOURCES_MAX = 20
PLACES_KEPT_MAX = 100_000
CLOCKS_DIFFER_US = 300_000_000  # machines that write the same log may be so far apart

Micros = int


# -- events ------------------------------------------------------------------------------------------------------------


class Places:
    """Where in a log the events since an instant begin; of an instant that is past this does not change.

    Safe in several threads.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[AccountId, Micros], int] = {}
        self._lock = threading.Lock()

    def of(self, connection: Connection, account_id: AccountId, instants: Sequence[Micros], now: Micros) -> list[int]:
        """Give the first position at or after each instant; one past the log's end where nothing is."""
        end, places = log_end(connection, account_id), list[int]()
        for instant in instants:
            place = self._known.get((account_id, instant))
            if place is None:
                place = first_position_since(connection, account_id, instant, end) if instant <= now else end + 1
                if instant < now - CLOCKS_DIFFER_US:
                    self._keep(account_id, instant, place)
            # Clocks that were set back leave an earlier time behind a later one; places never go back.
            places.append(max(place, places[-1]) if places else place)
        return places

    def _keep(self, account_id: AccountId, instant: Micros, place: int) -> None:
        with self._lock:
            if len(self._known) >= PLACES_KEPT_MAX:
                self._known.clear()
            self._known[account_id, instant] = place


@dataclass(frozen=True, slots=True)
class EventCounts:
    """Events by bin, with where the bins begin and end in the log, and what is usual in each; None without a past."""

    bounds: tuple[int, ...]
    counts: tuple[int, ...]
    usual: tuple[float, ...] | None

    @property
    def total(self) -> int:
        """All events of the window."""
        return sum(self.counts)


def count_events(
    connection: Connection,
    places: Places,
    account_id: AccountId,
    edges: Sequence[Micros],
    before: Sequence[Sequence[Micros]],
    now: Micros,
) -> EventCounts:
    """Count the events between each two `edges`; `before` are the same edges in weeks before, the usual is their mean.

    A week counts only when the log reaches back to its beginning.
    """
    bounds = places.of(connection, account_id, edges, now)
    begun = connection.execute(first_recorded(account_id)).scalar()
    weeks = [
        _differences(places.of(connection, account_id, week, now))
        for week in before
        if begun is not None and week[0] >= begun
    ]
    usual = tuple(sum(values) / len(values) for values in zip(*weeks, strict=True)) if weeks else None
    return EventCounts(tuple(bounds), tuple(_differences(bounds)), usual)


def _differences(bounds: Sequence[int]) -> list[int]:
    return [after - before for before, after in pairwise(bounds)]


# -- shipments ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Moving:
    """How many shipments are on their way, and how many shipments are late; each counted to COUNT_MAX."""

    moving: Waiting
    delayed: Waiting


def count_moving(connection: Connection, account_id: AccountId) -> Moving:
    """Count shipments on their way, by their statuses, and those that are delayed."""
    *moving, delayed = connection.execute(shipments_moving(account_id)).one()
    return Moving(_bounded(sum(moving)), _bounded(delayed))


def _bounded(count: int) -> Waiting:
    return Waiting(min(count, COUNT_MAX), count > COUNT_MAX)


# -- times -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Times:
    """Quantiles in microseconds; None where nothing was measured."""

    p50_us: int | None = None
    p99_us: int | None = None


def times_of(measured: Sequence[int]) -> Times:
    """The nearest-rank quantiles."""
    ordered = sorted(measured)
    if not ordered:
        return Times()
    return Times(ordered[-(-len(ordered) * 50 // 100) - 1], ordered[-(-len(ordered) * 99 // 100) - 1])


def times_to_told(connection: Connection, account_id: AccountId, since: Micros, hour: int) -> Times:
    """Give how long events took from the log to their endpoints: of the latest deliveries since then.

    Of the SAMPLED_ENDPOINTS that were sent something last, since the hour `hour`, SAMPLED_EACH of each.
    """
    taken: list[int] = []
    for endpoint_id in connection.execute(endpoints_lately(account_id, hour)).scalars().all():
        rows = connection.execute(latest_told(account_id, endpoint_id, since))
        taken += [row.started_at + row.duration_us - row.recorded_at for row in rows]
    return times_of([span for span in taken if span >= 0])


def answer_times(
    connection: Connection, account_id: AccountId, endpoint_id: EndpointId, edges: Sequence[Micros]
) -> list[Times]:
    """Give how long an endpoint took to answer between each two edges: of the last SAMPLED_HOUR successes of each."""
    return [
        times_of(connection.execute(answers_between(account_id, endpoint_id, since, until)).scalars().all())
        for since, until in pairwise(edges)
    ]


# -- what needs a person -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Refused:
    """Deliveries that an endpoint refused for good since some time, and the event of the last of them."""

    endpoint_id: str
    count: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Quiet:
    """A shipment of which nothing was heard for longer than usual."""

    shipment_id: str
    reference: str
    told_at: datetime


@dataclass(frozen=True, slots=True)
class Ending:
    """A secret of an endpoint that signs beside a newer one until then."""

    endpoint_id: str
    expires_at: datetime


def refused_since(connection: Connection, account_id: AccountId, position: int) -> list[Refused]:
    """Give who refused deliveries, told in the log from `position` on, the most first. Of the last REFUSED_MAX."""
    found: dict[str, list[int]] = {}
    for row in connection.execute(told_of_type(account_id, DELIVERY_FAILED, position, REFUSED_MAX)):
        found.setdefault(row.key, []).append(row.recorded_at)
    refused = [Refused(key, len(times), from_micros(max(times))) for key, times in found.items()]
    return sorted(refused, key=lambda one: (-one.count, one.endpoint_id))


def quiet_since(connection: Connection, account_id: AccountId, position: int, limit: int) -> tuple[list[Quiet], int]:
    """Give some shipments that went quiet, told in the log from `position` on, and how many: nothing happened since."""
    rows = connection.execute(told_of_type(account_id, TRACKING_STALE, position, QUIET_LOOKED_AT_MAX)).all()
    last = {row.key: row for row in reversed(rows)}
    if not last:
        return [], 0
    there = connection.execute(shipments_at(account_id, list(last))).all()
    quiet = [
        Quiet(row.shipment_id, row.reference, from_micros(last[row.shipment_id].recorded_at))
        for row in there
        if row.sequence == last[row.shipment_id].sequence
    ]
    quiet.sort(key=lambda one: (one.told_at, one.shipment_id))
    return quiet[:limit], len(quiet)


def ending_secrets(connection: Connection, account_id: AccountId, now: Micros, until: Micros) -> list[Ending]:
    """Give the secrets whose overlap ends until then, the first first, one for each endpoint."""
    found: dict[str, Ending] = {}
    for row in connection.execute(secrets_ending(account_id, now, until)):
        found.setdefault(row.endpoint_id, Ending(row.endpoint_id, from_micros(row.expires_at)))
    return list(found.values())


# -- what came in ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CameIn:
    """What a source sent since some time, counted to COUNT_MAX."""

    source_id: str
    name: str
    kind: str
    count: Waiting
    last_at: datetime | None


def came_in(connection: Connection, account_id: AccountId, since: Micros) -> tuple[list[CameIn], CameIn]:
    """Give what each source sent since then, the most first, and what was refused of it all."""
    after = message_id_at(since)
    found: list[CameIn] = []
    for row in connection.execute(sources_named(account_id)):
        count = connection.execute(messages_since(account_id, row.source_id, after)).scalar_one()
        last = connection.execute(last_message(account_id, row.source_id, after)).scalar()
        last_at = None if last is None else from_micros(last)
        found.append(CameIn(row.source_id, row.name, row.kind, _bounded(count), last_at))
    refused = connection.execute(refused_messages(account_id, after)).scalar_one()
    last = connection.execute(last_refused(account_id, after)).scalar()
    found.sort(key=lambda one: (-one.count.count, one.source_id))
    return found, CameIn("", "", "", _bounded(refused), None if last is None else from_micros(last))


def message_id_at(instant: Micros) -> str:
    """The lowest id that a message which came then can have."""
    return "msg_" + ulid(instant // 1000, 0)


# -- statements --------------------------------------------------------------------------------------------------------


def first_recorded(account_id: AccountId) -> Select[Any]:
    """When the oldest event of the log was recorded. By the primary key."""
    columns = events.c
    mine = select(columns.recorded_at).where(columns.account_id == account_id)
    return mine.order_by(columns.position).limit(1)


def shipments_with(account_id: AccountId, status: str) -> Select[Any]:
    """How many shipments have a status, counted to COUNT_MAX and one. Walks shipments_by_status alone."""
    columns = shipments.c
    some = select(columns.shipment_id).where(columns.account_id == account_id, columns.status == status)
    return select(func.count()).select_from(some.limit(COUNT_MAX + 1).subquery())


def shipments_in(account_id: AccountId, condition: str) -> Select[Any]:
    """How many shipments are in a trouble, counted to COUNT_MAX and one. Walks shipments_in_trouble alone."""
    columns = shipments.c
    some = select(columns.shipment_id).where(columns.account_id == account_id, columns.condition == condition)
    some = some.where(text("condition <> 'ok'"))  # said as the index says it
    return select(func.count()).select_from(some.limit(COUNT_MAX + 1).subquery())


def shipments_moving(account_id: AccountId) -> Select[Any]:
    """How many shipments have each status of those on their way, and how many are delayed, in one row."""
    counts = [shipments_with(account_id, status) for status in MOVING] + [shipments_in(account_id, "delayed")]
    return select(*(count.scalar_subquery() for count in counts))


def endpoints_lately(account_id: AccountId, hour: int) -> Select[Any]:
    """The endpoints that were sent something since an hour, the latest first. Walks endpoints_by_hour backwards."""
    columns = endpoints.c
    mine = select(columns.endpoint_id).where(columns.account_id == account_id, columns.hour >= hour)
    return mine.order_by(columns.hour.desc()).limit(SAMPLED_ENDPOINTS)


def latest_told(account_id: AccountId, endpoint_id: str, since: Micros) -> Select[Any]:
    """The latest deliveries since then, with when their events were recorded. Walks attempts_by_time backwards."""
    columns = attempts.c
    latest = select(columns.account_id, columns.position, columns.started_at, columns.duration_us)
    latest = latest.where(columns.account_id == account_id, columns.endpoint_id == endpoint_id)
    latest = latest.where(columns.started_at >= since, columns.verdict == "delivered")
    some = latest.order_by(columns.started_at.desc()).limit(SAMPLED_EACH).subquery()
    same = and_(events.c.account_id == some.c.account_id, events.c.position == some.c.position)
    return select(some.c.started_at, some.c.duration_us, events.c.recorded_at).select_from(some.join(events, same))


def answers_between(account_id: AccountId, endpoint_id: EndpointId, since: Micros, until: Micros) -> Select[Any]:
    """How long the last successes between two instants took. Walks attempts_by_time backwards, alone."""
    columns = attempts.c
    mine = select(columns.duration_us).where(columns.account_id == account_id, columns.endpoint_id == endpoint_id)
    mine = mine.where(columns.started_at >= since, columns.started_at < until, columns.verdict == "delivered")
    return mine.order_by(columns.started_at.desc()).limit(SAMPLED_HOUR)


def told_of_type(account_id: AccountId, name: str, position: int, limit: int) -> Select[Any]:
    """The last events of a type from `position` on, the newest first. Walks events_by_type backwards."""
    columns = events.c
    mine = select(columns.position, columns.key, columns.sequence, columns.recorded_at)
    mine = mine.where(columns.account_id == account_id, columns.type == name, columns.position >= position)
    return mine.order_by(columns.position.desc()).limit(limit)


def shipments_at(account_id: AccountId, ids: Sequence[str]) -> Select[Any]:
    """What these shipments are called, and the number of their last event. By the primary key."""
    columns = shipments.c
    mine = select(columns.shipment_id, columns.reference, columns.sequence)
    return mine.where(columns.account_id == account_id, columns.shipment_id.in_(list(ids)))


def secrets_ending(account_id: AccountId, now: Micros, until: Micros) -> Select[Any]:
    """The secrets whose overlap ends between now and then, the first first. Walks endpoint_secrets_ending."""
    columns = endpoint_secrets.c
    mine = select(columns.endpoint_id, columns.expires_at).where(columns.account_id == account_id)
    mine = mine.where(text("expires_at IS NOT NULL"), columns.expires_at > now, columns.expires_at <= until)
    return mine.order_by(columns.expires_at).limit(SOURCES_MAX)


def sources_named(account_id: AccountId) -> Select[Any]:
    """The sources, at most so many. Walks the primary key."""
    columns = sources.c
    mine = select(columns.source_id, columns.name, columns.kind).where(columns.account_id == account_id)
    return mine.order_by(columns.source_id).limit(SOURCES_MAX)


def messages_since(account_id: AccountId, source_id: str, after: str) -> Select[Any]:
    """How many messages a source sent since an id, to COUNT_MAX and one. Walks intake_messages_by_source alone."""
    columns = intake_messages.c
    some = select(columns.message_id).where(columns.account_id == account_id, columns.source_id == source_id)
    return select(func.count()).select_from(some.where(columns.message_id >= after).limit(COUNT_MAX + 1).subquery())


def last_message(account_id: AccountId, source_id: str, after: str) -> Select[Any]:
    """When the last message of a source since an id came. Walks intake_messages_by_source backwards."""
    columns = intake_messages.c
    mine = select(columns.received_at).where(columns.account_id == account_id, columns.source_id == source_id)
    return mine.where(columns.message_id >= after).order_by(columns.message_id.desc()).limit(1)


def refused_messages(account_id: AccountId, after: str) -> Select[Any]:
    """How many messages were refused since an id, counted to COUNT_MAX and one. Walks intake_messages_refused."""
    columns = intake_messages.c
    some = select(columns.message_id).where(columns.account_id == account_id, text("state = 'refused'"))
    return select(func.count()).select_from(some.where(columns.message_id >= after).limit(COUNT_MAX + 1).subquery())


def last_refused(account_id: AccountId, after: str) -> Select[Any]:
    """When the last message since an id was refused. Walks intake_messages_refused backwards."""
    columns = intake_messages.c
    mine = select(columns.received_at).where(columns.account_id == account_id, text("state = 'refused'"))
    return mine.where(columns.message_id >= after).order_by(columns.message_id.desc()).limit(1)
