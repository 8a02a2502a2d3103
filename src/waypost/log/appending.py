"""Events about no shipment, put at the end of the log: of endpoints, and of the senders' own types."""

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Insert, Select, bindparam, insert, select

from waypost.events.envelope import encode_account_event
from waypost.ids import AccountId, EventId
from waypost.log.database import execute_many, insert_into
from waypost.log.records import LogRow
from waypost.log.tables import event_keys, events
from waypost.log.transaction import Tx


def append_event(
    tx: Tx, account_id: AccountId, type_name: str, data: bytes, *, key: str, event_id: EventId, occurred_at: datetime
) -> LogRow:
    """Put an event at the end of the account's log, with the next number of its key, and give it. Takes the lock.

    `data` is JSON. Nobody may have used the id.
    """
    head = tx.head(account_id)
    sequence, position = _next_sequence(tx, account_id, key), head.position + 1
    body = encode_account_event(
        type_name,
        data,
        key=key,
        event_id=event_id,
        account_id=account_id,
        sequence=sequence,
        position=position,
        occurred_at=occurred_at,
        recorded_at=tx.now,
    )
    row = {
        "account_id": account_id,
        "position": position,
        "event_id": event_id,
        "type": type_name,
        "key": key,
        "sequence": sequence,
        "recorded_at": tx.now_us,
        "body": body,
    }
    execute_many(tx.connection, insert_event(), [row])
    head.position = position
    return LogRow(position, event_id, type_name, key, sequence, tx.now_us, body)


def _next_sequence(tx: Tx, account_id: AccountId, key: str) -> int:
    """Count one more event of a key that is no shipment. Under the account's lock."""
    of_key = {"account_id": account_id, "key": key}
    last = tx.connection.execute(last_sequence(), of_key).scalar() or 0
    execute_many(tx.connection, put_sequence(tx.dialect), [{**of_key, "sequence": last + 1}])
    return last + 1


# -- statements --------------------------------------------------------------------------------------------------------


@cache
def insert_event() -> Insert:
    """An event at the end of the log."""
    return insert(events)


@cache
def last_sequence() -> Select[Any]:
    """The last number of `:key`. By the primary key."""
    columns = event_keys.c
    mine = columns.account_id == bindparam("account_id"), columns.key == bindparam("key")
    return select(columns.sequence).where(*mine)


@cache
def put_sequence(dialect: str) -> Insert:
    """The last number of a key, in the place of the one before."""
    statement = insert_into(dialect, event_keys)
    return statement.on_conflict_do_update(
        index_elements=["account_id", "key"], set_={"sequence": statement.excluded.sequence}
    )
