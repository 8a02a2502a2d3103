"""Asking for a delivery again.

It is a pending row like any other, made by somebody else than the owner; the owner is told and reads it.
"""

from typing import Any

from sqlalchemy import Select, func, select

from waypost.errors import NotFound
from waypost.ids import AccountId, EndpointId, EventId
from waypost.log.database import execute_many
from waypost.log.deliveries import delivery_at
from waypost.log.endpoints import read_endpoint
from waypost.log.leases import pending_of, pending_row, put_pending
from waypost.log.owed import settled_past_cursor
from waypost.log.records import Delivery, PendingRow
from waypost.log.tables import attempts, events, pending
from waypost.log.transaction import Tx, Unit


def resend(account_id: AccountId, endpoint_id: EndpointId, event_id: str) -> Unit[Delivery]:
    """Ask for an event to be sent again, or now if it waits for a retry; gives how it stands then.

    Asking twice is as once. One that the cursor has not reached is on its way already. NotFound when there is no such
    endpoint or event.
    """

    def work(tx: Tx) -> Delivery:
        endpoint = read_endpoint(tx.connection, tx.vault, account_id, endpoint_id)
        event = None if "\0" in event_id else tx.connection.execute(event_to_resend(account_id, event_id)).first()
        if event is None:
            raise NotFound(f'There is no event "{event_id}".')
        mine = pending_of(account_id, endpoint_id).where(pending.c.position == event.position)
        row = tx.connection.execute(mine).first()
        settled = settled_past_cursor(tx.connection, account_id, endpoint_id, endpoint.cursor)
        if row is not None or event.position <= endpoint.cursor or event.position in settled:
            asked = _asked_again(tx, endpoint_id, event, None if row is None else PendingRow(*row))
            execute_many(tx.connection, put_pending(tx.dialect), [pending_row(account_id, endpoint_id, asked)])
            tx.changed_endpoints.add((account_id, endpoint_id))
        return delivery_at(tx.connection, endpoint, event.position)

    # Under the account's lock, or the event could leave by age meanwhile.
    return Unit(account_id, work, locks=True)


def _asked_again(tx: Tx, endpoint_id: EndpointId, event: Any, row: PendingRow | None) -> PendingRow:
    if row is not None:
        return PendingRow(
            row.position, row.key, row.event_id, row.state, tx.now_us, row.failures, row.attempts,
            row.first_attempt_at, row.last_attempt_at, row.type, row.batch_id, row.replay_id,
        )  # fmt: skip
    number = func.max(attempts.c.number)
    mine = attempts.c.account_id == event.account_id, attempts.c.endpoint_id == endpoint_id
    made = tx.connection.execute(select(number).where(*mine, attempts.c.position == event.position)).scalar()
    # When it was first tried is left out: it is judged by what the endpoint takes from now on.
    return PendingRow(
        event.position, event.key, EventId(event.event_id), "resend", tx.now_us, 0, made or 0, type=event.type
    )


def event_to_resend(account_id: AccountId, event_id: str) -> Select[Any]:
    """Where an event stands in the log. By events_id_once."""
    columns = events.c
    mine = select(columns.account_id, columns.position, columns.key, columns.event_id, columns.type)
    return mine.where(columns.account_id == account_id, columns.event_id == event_id)
