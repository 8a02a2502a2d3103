"""How deliveries ended, counted by the hour in the transaction that stores their attempts.

The hour that runs stands in the endpoint's own row, which is written with each of its attempts anyway; when a later
hour begins, the one before moves into delivery_hours. So counting costs no statement, but for one an hour, and the
counts are exact after any crash: an attempt and its count are stored together, or not at all.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, Delete, Insert, Select, bindparam, delete, func, select

from waypost.ids import AccountId, EndpointId
from waypost.log.database import execute_many, insert_into
from waypost.log.tables import delivery_hours, endpoints
from waypost.log.transaction import Tx

HOUR_US = 3_600_000_000
NAMES = ("at_once", "later", "retrying", "failed")

Name = tuple[AccountId, EndpointId]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How many attempts ended in which way: delivered at the first attempt, after a retry; to be retried; for good."""

    at_once: int = 0
    later: int = 0
    retrying: int = 0
    failed: int = 0

    @property
    def delivered(self) -> int:
        """Deliveries that got through."""
        return self.at_once + self.later

    @property
    def attempts(self) -> int:
        """All attempts."""
        return self.at_once + self.later + self.retrying + self.failed

    @property
    def error_rate(self) -> float | None:
        """The share of attempts that failed, from 0 to 1; None without any."""
        return (self.retrying + self.failed) / self.attempts if self.attempts else None

    def __add__(self, other: "Outcomes") -> "Outcomes":
        return Outcomes(
            self.at_once + other.at_once,
            self.later + other.later,
            self.retrying + other.retrying,
            self.failed + other.failed,
        )


NOTHING = Outcomes()


def hour_of(instant_us: int) -> int:
    """The hour since 1970, UTC, in which an instant lies."""
    return instant_us // HOUR_US


# -- counting ----------------------------------------------------------------------------------------------------------


def count_on(
    tx: Tx, tried: Iterable[Mapping[str, Any]], running: Mapping[Name, tuple[Any, ...]]
) -> dict[Name, dict[str, object]]:
    """Give the columns that count these attempts too, by endpoint, and put away the hours that are over.

    `tried` are rows of attempts; `running` ends with the hour that an endpoint's row holds and its counts, as they are
    stored, None before its first attempt. An hour never goes back, whatever a clock does: what is stored after it was
    set back counts to the latest hour.
    """
    now = hour_of(tx.now_us)
    over: list[dict[str, object]] = []
    columns: dict[Name, dict[str, object]] = {}
    for name, (at_once, later, retrying, failed) in _added(tried).items():
        hour, counts = running[name][-2:]
        if hour is not None and hour >= now:
            # The hour is left out: what an index holds is written anew even where it stays the same.
            before = counts.split()
            columns[name] = {
                "hour_counts": f"{int(before[0]) + at_once} {int(before[1]) + later} "
                f"{int(before[2]) + retrying} {int(before[3]) + failed}"
            }
            continue
        if hour is not None:
            over.append(_row(name, hour, _read(counts)))
        columns[name] = {"hour": now, "hour_counts": f"{at_once} {later} {retrying} {failed}"}
    execute_many(tx.connection, put_hour(tx.dialect), over)
    return columns


def _added(tried: Iterable[Mapping[str, Any]]) -> dict[Name, list[int]]:
    """Count attempts by endpoint, in the order of the fields of Outcomes."""
    found: dict[Name, list[int]] = {}
    for row in tried:
        name, verdict = (row["account_id"], row["endpoint_id"]), row["verdict"]
        counts = found.get(name)
        if counts is None:
            counts = found[name] = [0, 0, 0, 0]
        if verdict == "delivered":
            counts[0 if row["number"] == 1 else 1] += 1
        else:
            counts[2 if verdict == "retrying" else 3] += 1
    return found


def put_away(tx: Tx, account_id: AccountId, endpoint_id: EndpointId) -> None:
    """Put the running hour of an endpoint away that is about to be deleted: what it was told stays told."""
    row = tx.connection.execute(running_hour(account_id, endpoint_id)).first()
    if row is not None and row.hour is not None:
        execute_many(
            tx.connection, put_hour(tx.dialect), [_row((account_id, endpoint_id), row.hour, _read(row.hour_counts))]
        )


def _row(name: Name, hour: int, counted: Outcomes) -> dict[str, object]:
    account_id, endpoint_id = name
    return {
        "account_id": account_id,
        "hour": hour,
        "endpoint_id": endpoint_id,
        "at_once": counted.at_once,
        "later": counted.later,
        "retrying": counted.retrying,
        "failed": counted.failed,
    }


def _read(counts: str) -> Outcomes:
    return Outcomes(*map(int, counts.split()))


# -- reading -----------------------------------------------------------------------------------------------------------


def read_hours(
    connection: Connection, account_id: AccountId, endpoint_ids: Sequence[str], since: int, until: int
) -> dict[str, dict[int, Outcomes]]:
    """Give what these endpoints did in each of the hours from `since` up to, not including, `until`; empty ones are not
    there. Reads so many rows as there are hours and endpoints.
    """
    found: dict[str, dict[int, Outcomes]] = {endpoint_id: {} for endpoint_id in endpoint_ids}
    if not endpoint_ids or since >= until:
        return found
    for row in connection.execute(hours_of(account_id, endpoint_ids, range(since, until))):
        found[row.endpoint_id][row.hour] = Outcomes(row.at_once, row.later, row.retrying, row.failed)
    for row in connection.execute(running_hours(account_id, endpoint_ids)):
        if row.hour is not None and since <= row.hour < until:
            hours = found[row.endpoint_id]
            hours[row.hour] = hours.get(row.hour, NOTHING) + _read(row.hour_counts)
    return found


class AccountHours:
    """What all endpoints of an account did, by hour. An hour that is over does not change and is added up once.

    Safe in several threads: at worst two of them add up the same.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[AccountId, int], Outcomes] = {}

    def read(self, connection: Connection, account_id: AccountId, since: int, until: int, now: int) -> Outcomes:
        """Give the sum of the hours from `since` up to, not including, `until`; `now` is the hour that runs."""
        settled = now - 1  # an hour is another worker's for as long as clocks may differ
        missing = [hour for hour in range(since, min(until, settled)) if (account_id, hour) not in self._known]
        start = min(missing, default=settled)
        by_hour: dict[int, Outcomes] = {}
        for row in connection.execute(sums_of(account_id, min(start, until), until)):
            by_hour[row.hour] = Outcomes(*(int(value) for value in row[1:]))
        for row in connection.execute(running_since(account_id, min(start, until))):
            if row.hour < until:
                by_hour[row.hour] = by_hour.get(row.hour, NOTHING) + _read(row.hour_counts)
        if len(self._known) > KNOWN_MAX:
            self._known = {}
        total = NOTHING
        for hour in range(since, until):
            if hour < settled and hour >= start:
                self._known[account_id, hour] = by_hour.get(hour, NOTHING)
            total += by_hour.get(hour, NOTHING) if hour >= start else self._known.get((account_id, hour), NOTHING)
        return total


KNOWN_MAX = 200_000  # hours of accounts; a month of hours for some hundred accounts


# -- statements --------------------------------------------------------------------------------------------------------


@cache
def put_hour(dialect: str) -> Insert:
    """An hour of an endpoint that is over; what stands there already is added to. By the primary key."""
    statement = insert_into(dialect, delivery_hours)
    sums = {name: delivery_hours.c[name] + statement.excluded[name] for name in NAMES}
    return statement.on_conflict_do_update(index_elements=["account_id", "hour", "endpoint_id"], set_=sums)


def hours_of(account_id: AccountId, endpoint_ids: Sequence[str], hours: Iterable[int]) -> Select[Any]:
    """These hours of these endpoints. By the primary key, a step for each hour and endpoint."""
    columns = delivery_hours.c
    mine = select(columns.endpoint_id, columns.hour, *(columns[name] for name in NAMES))
    mine = mine.where(columns.account_id == account_id, columns.hour.in_(list(hours)))
    return mine.where(columns.endpoint_id.in_(list(endpoint_ids)))


def sums_of(account_id: AccountId, since: int, until: int) -> Select[Any]:
    """What all endpoints did in each hour from `since` up to `until`. Walks the primary key."""
    columns = delivery_hours.c
    sums = (func.sum(columns[name]) for name in NAMES)
    mine = select(columns.hour, *sums).where(columns.account_id == account_id)
    return mine.where(columns.hour >= since, columns.hour < until).group_by(columns.hour)


def running_hours(account_id: AccountId, endpoint_ids: Sequence[str]) -> Select[Any]:
    """The running hours of these endpoints. By the primary key."""
    columns = endpoints.c
    mine = select(columns.endpoint_id, columns.hour, columns.hour_counts)
    return mine.where(columns.account_id == account_id, columns.endpoint_id.in_(list(endpoint_ids)))


def running_hour(account_id: AccountId, endpoint_id: EndpointId) -> Select[Any]:
    """The running hour of an endpoint. By the primary key."""
    return running_hours(account_id, [endpoint_id])


def running_since(account_id: AccountId, since: int) -> Select[Any]:
    """The running hours of all endpoints that were sent something since then. Walks endpoints_by_hour."""
    columns = endpoints.c
    mine = select(columns.hour, columns.hour_counts).where(columns.account_id == account_id)
    return mine.where(columns.hour >= since)


def old_hours(account_id: AccountId, before: int, limit: int) -> Select[Any]:
    """Hours before that one, the oldest first. Walks the primary key."""
    columns = delivery_hours.c
    mine = select(columns.hour, columns.endpoint_id).where(columns.account_id == account_id, columns.hour < before)
    return mine.order_by(columns.hour, columns.endpoint_id).limit(limit)


@cache
def delete_hour() -> Delete:
    """Drop the hour `:of_hour` of one endpoint. By the primary key."""
    names = {"account_id": "of_account", "hour": "of_hour", "endpoint_id": "of_endpoint"}
    return delete(delivery_hours).where(
        *(delivery_hours.c[column] == bindparam(name) for column, name in names.items())
    )
