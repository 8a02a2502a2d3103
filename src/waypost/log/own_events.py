"""Events of the senders' own: the types that accounts register, and what they send of them.

An event is held against its type's schema before its unit runs, since that may take a moment and the writer has none
to give; the unit then sees that the type is still the one it was held against.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, bindparam, delete, func, insert, select, update

from waypost.clock import from_micros
from waypost.errors import Conflict, InvalidDocument, NotFound
from waypost.events.envelope import instant
from waypost.events.own_types import OwnType
from waypost.ids import AccountId, EventId
from waypost.log.appending import append_event
from waypost.log.cursors import without_nul
from waypost.log.events import event_by_id
from waypost.log.tables import event_types, events
from waypost.log.transaction import Tx, Unit

TYPES_MAX = 200  # of one account


class TypeChangedError(Exception):
    """Never shown: the type is another one than the event was held against, so it is held against it anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewType:
    """What is said of a type. `schema` and `example` are JSON texts, and were found right."""

    type: str
    title: str
    description: str
    schema: str
    example: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnEvent:
    """An event on its way in. `event_id` None: one is made; `occurred_at` None: when it is stored. `data` is JSON."""

    type: str
    key: str
    data: bytes
    occurred_at: datetime | None = None
    event_id: EventId | None = None


@dataclass(frozen=True, slots=True)
class Posted:
    """An event as it stands in the log; `added` is False when it stood there before."""

    body: bytes
    added: bool


class _Stored(msgspec.Struct):
    """What of a stored event came from its sender, or tells that nothing did."""

    type: str
    timestamp: str
    recorded_at: str
    key: str | None = None
    data: Any = None


# Numbers stay as they were written: what was rounded could look the same.
_decode_stored = msgspec.json.Decoder(_Stored, float_hook=Decimal).decode
_decode_data = msgspec.json.Decoder(float_hook=Decimal).decode


# -- units -------------------------------------------------------------------------------------------------------------


def put_type(account_id: AccountId, given: NewType) -> Unit[tuple[OwnType, bool]]:
    """Register a type, or change it for the events to come; gives it and whether it is new. Conflict at the limit."""

    def work(tx: Tx) -> tuple[OwnType, bool]:
        known = find_type(tx.connection, account_id, given.type)
        said = {
            "title": given.title, "description": given.description, "schema": given.schema, "example": given.example,
            "updated_at": tx.now_us,
        }  # fmt: skip
        if known is None:
            _check_room(tx.connection, account_id)
            row = {"account_id": account_id, "type": given.type, "revision": 1, "created_at": tx.now_us}
            tx.connection.execute(insert(event_types), row | said)
        else:
            changed = update(event_types).where(_one(account_id, given.type))
            tx.connection.execute(changed.values(**said, revision=known.revision + 1))
        return read_type(tx.connection, account_id, given.type), known is None

    return Unit(account_id, work, locks=True)


def _check_room(connection: Connection, account_id: AccountId) -> None:
    counted = select(func.count()).select_from(event_types).where(event_types.c.account_id == account_id)
    if connection.execute(counted).scalar_one() >= TYPES_MAX:
        raise Conflict(f"The account has {TYPES_MAX} types of its own, which is the limit. Delete one first.")


def delete_type(account_id: AccountId, name: str) -> Unit[None]:
    """Forget a type that no event in the log has. NotFound when there is none, Conflict while there are events."""

    def work(tx: Tx) -> None:
        read_type(tx.connection, account_id, name)
        mine = select(events.c.position).where(events.c.account_id == account_id, events.c.type == name).limit(1)
        if tx.connection.execute(mine).first() is not None:
            raise Conflict(f"The log holds events of {name}. A type can be deleted when none of them is kept any more.")
        tx.connection.execute(delete(event_types).where(_one(account_id, name)))

    return Unit(account_id, work, locks=True)


def post_event(account_id: AccountId, event: OwnEvent, revision: int) -> Unit[Posted]:
    """Put an event into the log, unless its id stands there with the same content.

    `revision` is that of the type whose schema the data fits; TypeChangedError when it is another by now. Conflict when
    the id stands in the log with other content.
    """

    def work(tx: Tx) -> Posted:
        tx.head(account_id)
        if event.event_id is not None:
            before = posted_before(tx.connection, account_id, event)
            if before is not None:
                return before
        of_type = {"account_id": account_id, "type": event.type}
        known = tx.connection.execute(revision_of_type(), of_type).scalar()
        if known is None:
            raise no_such_type(event.type)
        if known != revision:
            raise TypeChangedError
        row = append_event(
            tx,
            account_id,
            event.type,
            event.data,
            key=event.key,
            event_id=event.event_id or tx.ids.event_id(tx.now),
            occurred_at=event.occurred_at or tx.now,
        )
        return Posted(row.body, added=True)

    return Unit(account_id, work, locks=True)


# -- reading -----------------------------------------------------------------------------------------------------------


def posted_before(connection: Connection, account_id: AccountId, event: OwnEvent) -> Posted | None:
    """Give the event that stands in the log under this id; None when there is none.

    Conflict when it says something else: another type, key, data or time.
    """
    assert event.event_id is not None, event
    row = connection.execute(event_by_id(account_id, event.event_id)).first()
    if row is None:
        return None
    body = bytes(row.body)
    stored = _decode_stored(body)
    time = stored.recorded_at if event.occurred_at is None else instant(event.occurred_at)
    same_data = _alike(stored.data, _decode_data(event.data))
    if (stored.type, stored.key, stored.timestamp) == (event.type, event.key, time) and same_data:
        return Posted(body, added=False)
    raise Conflict(f'The id "{event.event_id}" stands in the log with other content. Use a new id for a new event.')


def _alike(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same: numbers by value, and `true` is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(part, other[name]) for name, part in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def find_type(connection: Connection, account_id: AccountId, name: str) -> OwnType | None:
    """Give a type of the account's own, or None."""
    row = None if "\0" in name else connection.execute(one_type(account_id, name)).first()
    return None if row is None else _own_type(row)


def read_type(connection: Connection, account_id: AccountId, name: str) -> OwnType:
    """Give a type of the account's own, or raise NotFound."""
    found = find_type(connection, account_id, name)
    if found is None:
        raise NotFound("There is no event type of this name. GET /v1/event-types lists them all.")
    return found


def types_after(connection: Connection, account_id: AccountId, name: str, limit: int) -> list[OwnType]:
    """Give the types of the account past `name`, by name, at most `limit`."""
    mine = _columns().where(event_types.c.account_id == account_id, event_types.c.type > without_nul(name))
    return [_own_type(row) for row in connection.execute(mine.order_by(event_types.c.type).limit(limit))]


def type_names(connection: Connection, account_id: AccountId) -> frozenset[str]:
    """Give the names of the account's own types. Walks the primary key."""
    mine = select(event_types.c.type).where(event_types.c.account_id == account_id)
    return frozenset(connection.execute(mine).scalars())


def no_such_type(name: str) -> InvalidDocument:
    """The refusal of an event whose type the account has not registered."""
    return InvalidDocument(
        f'"{name}" is no type of this account; register it: PUT /v1/event-types/{name}', path="/type"
    )


def _own_type(row: Row[Any]) -> OwnType:
    return OwnType(
        type=row.type,
        title=row.title,
        description=row.description,
        schema=row.schema,
        example=row.example,
        revision=row.revision,
        created_at=from_micros(row.created_at),
        updated_at=from_micros(row.updated_at),
    )


# -- statements --------------------------------------------------------------------------------------------------------


def _one(account_id: AccountId, name: str) -> Any:
    return (event_types.c.account_id == account_id) & (event_types.c.type == name)


def _columns() -> Select[Any]:
    columns = event_types.c
    return select(
        columns.type, columns.title, columns.description, columns.schema, columns.example, columns.revision,
        columns.created_at, columns.updated_at,
    )  # fmt: skip


@cache
def revision_of_type() -> Select[Any]:
    """How often `:type` of `:account_id` was said. By the primary key."""
    mine = event_types.c.account_id == bindparam("account_id"), event_types.c.type == bindparam("type")
    return select(event_types.c.revision).where(*mine)


def one_type(account_id: AccountId, name: str) -> Select[Any]:
    """One type of an account's own. By the primary key."""
    return _columns().where(_one(account_id, name))
