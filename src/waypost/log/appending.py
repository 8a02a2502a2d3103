"""Events about no shipment, put at the end of the log: of endpoints, and of the senders' own types."""

from datetime import datetime

from sqlalchemy import insert, select

from waypost.events.envelope import encode_account_event
from waypost.ids import AccountId, EventId
from waypost.log.database import insert_into
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
    tx.connection.execute(insert(events), row)
    head.position = position
    return LogRow(position, event_id, type_name, key, sequence, tx.now_us, body)


def _next_sequence(tx: Tx, account_id: AccountId, key: str) -> int:
    """Count one more event of a key that is no shipment. Under the account's lock."""
    mine = event_keys.c.account_id == account_id, event_keys.c.key == key
    last = tx.connection.execute(select(event_keys.c.sequence).where(*mine)).scalar() or 0
    statement = insert_into(tx.dialect, event_keys)
    statement = statement.on_conflict_do_update(
        index_elements=["account_id", "key"], set_={"sequence": statement.excluded.sequence}
    )
    tx.connection.execute(statement, {"account_id": account_id, "key": key, "sequence": last + 1})
    return last + 1
