"""The open transaction that a unit of work is handed, and the numbers it may give out.

Positions are given out under the account's row lock. A head is read when it is locked and written back once at the end
of the group, so a hundred reports of one account cost one update of its row.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import Connection, Select, Update, bindparam, select

from waypost.clock import IdSource, to_micros
from waypost.errors import CallerError, NotFound
from waypost.ids import AccountId, EndpointId
from waypost.log.database import execute_many
from waypost.log.records import AccountSettings, Answer
from waypost.log.tables import accounts
from waypost.log.vault import Vault

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


@dataclass(slots=True)
class AccountHead:
    """The locked row of an account: the last position given out, and what accepting needs of its settings."""

    position: int
    stored_position: int
    settings: AccountSettings


@dataclass(slots=True)
class Tx:
    """One open transaction of the writer. `now` is read once the accounts are locked, so commit order is time order."""

    connection: Connection
    clock: Callable[[], datetime]
    ids: IdSource
    vault: Vault
    now: datetime
    now_us: int = 0
    heads: dict[AccountId, AccountHead] = field(default_factory=dict)
    changed_endpoints: set[tuple[AccountId, EndpointId]] = field(default_factory=set)
    tokens_changed: bool = False
    replays_asked: bool = False
    erased: dict[AccountId, list[int]] = field(default_factory=dict)

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.connection.dialect.name

    def lock(self, account_ids: Iterable[AccountId]) -> None:
        """Lock the rows of these accounts, in one order for every process, and read the clock after.

        An account that does not exist is left out: `head` raises for it.
        """
        missing = sorted({account_id for account_id in account_ids if account_id not in self.heads})
        if missing:
            rows = self.connection.execute(locked_accounts(), {"account_ids": missing}).all()
            for account_id, position, settings in rows:
                self.heads[account_id] = AccountHead(position, position, _read_settings(settings))
        self.now = self.clock()
        self.now_us = to_micros(self.now)

    def head(self, account_id: AccountId) -> AccountHead:
        """The locked head of an account, or NotFound."""
        if account_id not in self.heads:
            self.lock((account_id,))
        try:
            return self.heads[account_id]
        except KeyError:
            raise NotFound(f'There is no account "{account_id}".') from None

    def positions(self) -> dict[AccountId, int]:
        """The positions given out so far, to give back what a unit took before it failed."""
        return {account_id: head.position for account_id, head in self.heads.items()}

    def give_back(self, positions: dict[AccountId, int]) -> None:
        """Set every head back to `positions`; one that was locked since goes back to what is stored."""
        for account_id, head in self.heads.items():
            head.position = positions.get(account_id, head.stored_position)

    def store_heads(self) -> dict[AccountId, int]:
        """Write the positions that moved and give the accounts whose log grew, with its new end."""
        moved = {account_id: head for account_id, head in self.heads.items() if head.position != head.stored_position}
        if moved:
            rows = [{"of_account": account_id, "position": head.position} for account_id, head in moved.items()]
            execute_many(self.connection, move_account_position(), rows)
        return {account_id: head.position for account_id, head in moved.items()}


@cache
def locked_accounts() -> Select[Any]:
    """The heads of the accounts `:account_ids`, locked in order of id. Walks the primary key.

    SQLite has no row locks and needs none: its transaction began as the only writing one.
    """
    mine = select(accounts.c.account_id, accounts.c.position, accounts.c.settings)
    mine = mine.where(accounts.c.account_id.in_(bindparam("account_ids", expanding=True)))
    return mine.order_by(accounts.c.account_id).with_for_update()


@cache
def move_account_position() -> Update:
    """Set the last position given out of `:of_account`. By the primary key."""
    return accounts.update().where(accounts.c.account_id == bindparam("of_account"))


_read_settings = msgspec.json.Decoder(AccountSettings).decode


# -- units of work -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unit(Generic[T]):
    """Something to do in one transaction: all of it, or nothing.

    `work` may raise a CallerError to refuse; it runs again when its group had to be undone, so it changes nothing but
    the database. `locks` says that it gives out positions of its account, or depends on where the account's log ends;
    `others` are further accounts to lock.
    """

    account_id: AccountId
    work: Callable[[Tx], T]
    locks: bool = False
    others: tuple[AccountId, ...] = ()


@dataclass(frozen=True, slots=True)
class Once(Generic[T_contra]):
    """A request that is done once for its Idempotency-Key, and how its answer is written.

    `body_sha256` tells a repeated request from another one. `secret`: the answer holds a secret and is kept encrypted.
    """

    key: str
    method: str
    path: str
    body_sha256: bytes
    render: Callable[[T_contra], Answer]
    render_error: Callable[[CallerError], Answer]
    secret: bool = False


def refusal(account_id: AccountId, error: CallerError) -> Unit[object]:
    """A unit that only refuses, so that the answer to a request that could not be read is kept as well."""

    def refuse(_tx: Tx) -> object:
        raise error

    return Unit(account_id, refuse)
