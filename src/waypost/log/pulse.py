"""Whether anything moved in an account: what pages that are open ask again and again, so it reads little."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Select, func, select

from waypost.ids import AccountId, EndpointId
from waypost.log.tables import accounts, endpoints

TROUBLES = ("failing", "suspended")


@dataclass(frozen=True, slots=True)
class Pulse:
    """Where the log of an account ends, and for each endpoint what changes with each of its attempts."""

    position: int = 0
    endpoints: Mapping[EndpointId, tuple[object, ...]] = field(default_factory=dict)

    def changed_since(self, before: "Pulse") -> frozenset[EndpointId]:
        """Give the endpoints that came, went, or moved since."""
        names = self.endpoints.keys() | before.endpoints.keys()
        return frozenset(name for name in names if self.endpoints.get(name) != before.endpoints.get(name))


def take_pulse(connection: Connection, account_id: AccountId) -> Pulse:
    """Give how an account stands now. An account that is gone stands still."""
    position: int | None = connection.execute(position_of(account_id)).scalar()
    rows = connection.execute(moves_of(account_id))
    return Pulse(position or 0, {EndpointId(row.endpoint_id): tuple(row)[1:] for row in rows})


def position_of(account_id: AccountId) -> Select[Any]:
    """Where an account's log ends. Reads one row by its key."""
    return select(accounts.c.position).where(accounts.c.account_id == account_id)


def moves_of(account_id: AccountId) -> Select[Any]:
    """What changes of an account's endpoints when an attempt ends or somebody changes them. Walks the primary key."""
    moving = (
        endpoints.c.cursor,
        endpoints.c.health,
        endpoints.c.failures_in_a_row,
        endpoints.c.last_success_at,
        endpoints.c.held_until,
        endpoints.c.paused_at,
        endpoints.c.updated_at,
    )
    statement = select(endpoints.c.endpoint_id, *moving).where(endpoints.c.account_id == account_id)
    return statement.order_by(endpoints.c.endpoint_id)


def count_troubles(connection: Connection, account_id: AccountId) -> int:
    """Give how many endpoints are failing or suspended, those of replays left out."""
    return int(connection.execute(troubles_of(account_id)).scalar_one())


def troubles_of(account_id: AccountId) -> Select[Any]:
    """How many of an account's endpoints are in trouble. Walks the primary key of the account's endpoints."""
    statement = select(func.count()).where(endpoints.c.account_id == account_id, endpoints.c.health.in_(TROUBLES))
    return statement.where(endpoints.c.replay_of.is_(None))
