"""Who was told of an event: how it stands at each endpoint, for the pages of a shipment and of an event."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, select

from waypost.events.patterns import Wants
from waypost.ids import AccountId
from waypost.log.deliveries import deliveries_at
from waypost.log.endpoints import list_endpoints, versions_of
from waypost.log.events import read_events_at
from waypost.log.owed import Judge
from waypost.log.records import Delivery, EndpointRecord, EndpointVersion
from waypost.log.tables import attempts, endpoints, folded, pending
from waypost.log.vault import Vault

NAMED_MAX = 50  # endpoints that a page tells of by name
COUNTED_MAX = 200  # endpoints that are counted; beyond, nobody reads "told 3 of 9,871" off a list
POSITIONS_MAX = 200


@dataclass(frozen=True, slots=True)
class Told:
    """How some events stand at the endpoints: each endpoint with one delivery for each event, in log order.

    A delivery that was not asked for is `skipped`. `more` says that there are endpoints beyond those named.
    """

    endpoints: tuple[tuple[EndpointRecord, tuple[Delivery, ...]], ...]
    more: bool

    def of(self, position: int) -> list[tuple[EndpointRecord, Delivery]]:
        """How one event stands at each endpoint."""
        return [
            (endpoint, delivery)
            for endpoint, made in self.endpoints
            for delivery in made
            if delivery.position == position
        ]


@dataclass(frozen=True, slots=True)
class ToldCount:
    """At how many endpoints an event got through, was given up, and how many want it."""

    told: int
    failed: int
    wanted: int

    @property
    def is_settled(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.told + self.failed >= self.wanted


def read_told(connection: Connection, vault: Vault, account_id: AccountId, positions: Sequence[int]) -> Told:
    """Give how the events at these positions stand at each endpoint; the first POSITIONS_MAX and NAMED_MAX of them."""
    page = list_endpoints(connection, vault, account_id, NAMED_MAX, None)
    asked = sorted(set(positions))[:POSITIONS_MAX]
    made = tuple((endpoint, tuple(deliveries_at(connection, endpoint, asked))) for endpoint in page.items)
    return Told(made, page.next is not None)


def count_told(connection: Connection, account_id: AccountId, positions: Iterable[int]) -> dict[int, ToldCount] | None:
    """Count at how many endpoints each event got through, of how many that want it; None where there are too many."""
    asked = sorted(set(positions))[:POSITIONS_MAX]
    ids = connection.execute(endpoint_ids(account_id, COUNTED_MAX + 1)).scalars().all()
    if len(ids) > COUNTED_MAX:
        return None
    if not ids or not asked:
        return {position: ToldCount(0, 0, 0) for position in asked}
    delivered, failed = set[tuple[str, int]](), set[tuple[str, int]]()
    for row in connection.execute(settled_at(account_id, ids, asked)):
        (delivered if row.verdict == "delivered" else failed).add((row.endpoint_id, row.position))
    together = {(row.endpoint_id, row.position) for row in connection.execute(folded_at(account_id, ids, asked))}
    open_still = {(row.endpoint_id, row.position) for row in connection.execute(pending_at(account_id, ids, asked))}
    failed -= delivered | open_still
    wanted = _wanted(connection, account_id, ids, asked)
    counts: dict[int, ToldCount] = {}
    for position in asked:
        here = {(endpoint_id, position) for endpoint_id in ids}
        wants = (wanted[position] | (delivered & here) | (failed & here)) - (together - delivered)
        counts[position] = ToldCount(len(delivered & here), len(failed & here), len(wants))
    return counts


def _wanted(
    connection: Connection, account_id: AccountId, ids: Sequence[str], positions: Sequence[int]
) -> Mapping[int, set[tuple[str, int]]]:
    """Which endpoints want the events at these positions, each judged by the wishes of its time."""
    versions: dict[str, list[EndpointVersion]] = {endpoint_id: [] for endpoint_id in ids}
    for row in connection.execute(versions_of(account_id, ids)):
        wants = msgspec.json.decode(row.wants, type=Wants)
        versions[row.endpoint_id].append(EndpointVersion(row.from_position, wants))
    judges = {endpoint_id: Judge(found) for endpoint_id, found in versions.items()}
    wanted: dict[int, set[tuple[str, int]]] = {position: set() for position in positions}
    for event in read_events_at(connection, account_id, positions):
        wanted[event.position] = {(name, event.position) for name, judge in judges.items() if judge.wants(event)}
    return wanted


# -- statements --------------------------------------------------------------------------------------------------------


def endpoint_ids(account_id: AccountId, limit: int) -> Select[Any]:
    """The ids of the account's endpoints, without those of replays, at most `limit`. Walks the primary key."""
    columns = endpoints.c
    mine = select(columns.endpoint_id).where(columns.account_id == account_id, columns.replay_of.is_(None))
    return mine.order_by(columns.endpoint_id).limit(limit)


def settled_at(account_id: AccountId, ids: Sequence[str], positions: Sequence[int]) -> Select[Any]:
    """Which of these endpoints had a last word at these positions. By attempts_by_verdict."""
    columns = attempts.c
    mine = select(columns.endpoint_id, columns.position, columns.verdict).where(columns.account_id == account_id)
    mine = mine.where(columns.endpoint_id.in_(list(ids)), columns.verdict.in_(("delivered", "failed")))
    return mine.where(columns.position.in_(list(positions)))


def folded_at(account_id: AccountId, ids: Sequence[str], positions: Sequence[int]) -> Select[Any]:
    """Where these positions were folded into newer ones. By the primary key."""
    columns = folded.c
    mine = select(columns.endpoint_id, columns.position).where(columns.account_id == account_id)
    return mine.where(columns.endpoint_id.in_(list(ids)), columns.position.in_(list(positions)))


def pending_at(account_id: AccountId, ids: Sequence[str], positions: Sequence[int]) -> Select[Any]:
    """Where these positions are tried again. By the primary key."""
    columns = pending.c
    mine = select(columns.endpoint_id, columns.position).where(columns.account_id == account_id)
    return mine.where(columns.endpoint_id.in_(list(ids)), columns.position.in_(list(positions)))
