"""Erasing what the log holds of a shipment's people: the one rewrite of what was written once.

Positions, sequences, ids, statuses and times stay. Blanked are the bodies of its events, the answers that receivers
gave to them (they may quote what we sent), kept answers of the API, and the raw messages it was read from.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, bindparam, func, select, text, update

from waypost.ids import AccountId, ShipmentId
from waypost.log import auditing
from waypost.log.auditing import Actor
from waypost.log.idempotency import forget_answers_of_shipment
from waypost.log.shipments import read_shipment
from waypost.log.tables import accounts, attempts, events, intake_messages, intake_shipments
from waypost.log.transaction import Tx, Unit
from waypost.shipments.erase import blank_event

REMEMBERED_US = 60_000_000  # another service may send for some seconds what it read before, and its clock may differ

BATCH_PREFIX = "bat_"  # before the first event's id, a dash and the number of events

Name = tuple[AccountId, str, int]


class _Attempt(msgspec.Struct):
    batch_id: str | None = None


_read_batch = msgspec.json.Decoder(_Attempt).decode


def record_erasure(account_id: AccountId, find: str, actor: Actor) -> Unit[None]:
    """Write down that `actor` erased a shipment. For the group of the erasure, which is done before; else NotFound."""

    def work(tx: Tx) -> None:
        shipment = read_shipment(tx.connection, account_id, find)
        auditing.record(tx, account_id, actor=actor, action="shipment.erased", subject=shipment.shipment_id)

    return Unit(account_id, work)


def erase_history(tx: Tx, account_id: AccountId, shipment_id: ShipmentId) -> None:
    """Blank everything stored about the people of a shipment but its own state, which the report blanked.

    Attempts that are being stored at this moment are waited for, and those that come later find the events marked.
    """
    _wait_for_attempts(tx)
    positions = _erase_events(tx, account_id, shipment_id)
    erased = update(accounts).where(accounts.c.account_id == account_id)
    tx.connection.execute(erased.values(erased_at=tx.now_us))
    tx.erased.setdefault(account_id, []).extend(positions)
    _erase_attempts(tx, account_id, positions)
    _erase_messages(tx, account_id, shipment_id)
    forget_answers_of_shipment(tx.connection, account_id, shipment_id)


def _wait_for_attempts(tx: Tx) -> None:
    """Let other processes finish the attempts that they are storing, and none begin until we are done.

    SQLite has one writer as it is.
    """
    if tx.dialect == "postgresql":
        tx.connection.execute(text("LOCK TABLE attempts IN SHARE MODE"))


def _erase_events(tx: Tx, account_id: AccountId, shipment_id: ShipmentId) -> list[int]:
    rows = tx.connection.execute(events_of_shipment(account_id, shipment_id)).all()
    blank = [
        {
            "of_account": account_id,
            "of_position": row.position,
            "body": blank_event(bytes(row.body)),
            "erased_at": tx.now_us,
        }
        for row in rows
    ]
    if blank:
        mine = events.c.account_id == bindparam("of_account"), events.c.position == bindparam("of_position")
        tx.connection.execute(update(events).where(*mine), blank)
    return [row.position for row in rows]


def blank_late_answers(tx: Tx, stored: Iterable[Name], since_us: int) -> None:
    """Blank answers just stored that were given to events before they were erased.

    `stored` names the attempts by account, endpoint and position; `since_us` is when the first of them began. It costs
    one look at the accounts, unless one of them had an erasure since then.
    """
    attempted: dict[AccountId, dict[str, set[int]]] = {}
    for account_id, endpoint_id, position in stored:
        attempted.setdefault(account_id, {}).setdefault(endpoint_id, set()).add(position)
    parameters = {"account_ids": sorted(attempted), "since": since_us - REMEMBERED_US}
    for account_id in tx.connection.execute(erased_accounts(), parameters).scalars().all():
        for endpoint_id, positions in attempted[account_id].items():
            marked = tx.connection.execute(erased_positions(account_id, sorted(positions))).scalars().all()
            _blank_attempts(tx, account_id, [endpoint_id], list(marked))


def rewritten_since(connection: Connection, since_us: int) -> dict[AccountId, list[int]]:
    """Give the events of all accounts that were erased at or after an instant (Unix microseconds), by position."""
    found: dict[AccountId, list[int]] = {}
    for account_id in connection.execute(accounts_erased_since(since_us)).scalars().all():
        found[account_id] = list(connection.execute(positions_erased_since(account_id, since_us)).scalars())
    return found


def _erase_attempts(tx: Tx, account_id: AccountId, positions: list[int]) -> None:
    """Blank the answers kept of these events, those of endpoints that were deleted since included."""
    _blank_attempts(tx, account_id, _tried_endpoints(tx, account_id), positions)


def blank_attempts(tx: Tx, account_id: AccountId, endpoint_id: str, positions: list[int]) -> None:
    """Blank the answers kept of attempts at these positions of one endpoint; those of batches where they are kept."""
    _blank_attempts(tx, account_id, [endpoint_id], positions)


def _blank_attempts(tx: Tx, account_id: AccountId, endpoint_ids: Iterable[str], positions: list[int]) -> None:
    blank = [
        {
            "of_account": account_id,
            "of_endpoint": endpoint_id,
            "of_position": row.position,
            "of_number": row.number,
            "detail": detail,
        }
        for endpoint_id in endpoint_ids
        for row in _attempts_with_answers(tx, account_id, endpoint_id, positions)
        if (detail := erase_answer(bytes(row.detail))) != bytes(row.detail)
    ]
    if blank:
        names = {
            "account_id": "of_account",
            "endpoint_id": "of_endpoint",
            "position": "of_position",
            "number": "of_number",
        }
        mine = [attempts.c[column] == bindparam(name) for column, name in names.items()]
        tx.connection.execute(update(attempts).where(*mine), blank)


def _attempts_with_answers(tx: Tx, account_id: AccountId, endpoint_id: str, positions: list[int]) -> Iterator[Row[Any]]:
    """The attempts at these positions, and those that the answers to their batches are kept with."""
    batches: set[tuple[str, int]] = set()
    for row in tx.connection.execute(attempts_at(account_id, endpoint_id, positions)).all():
        yield row
        batch_id = _read_batch(bytes(row.detail)).batch_id
        if batch_id is not None:
            batches.add((first_of_batch(batch_id), row.number))
    for event_id, number in sorted(batches):
        first = tx.connection.execute(position_of(account_id, event_id)).scalar()
        if first is not None and first not in positions:
            made = tx.connection.execute(attempts_at(account_id, endpoint_id, [first])).all()
            yield from (row for row in made if row.number == number)


def first_of_batch(batch_id: str) -> str:
    """Give the id of the first event of a batch: its name holds that."""
    return batch_id.removeprefix(BATCH_PREFIX).rpartition("-")[0]


def _tried_endpoints(tx: Tx, account_id: AccountId) -> list[str]:
    """The endpoints that anything was ever sent to, with one step through the attempts' primary key for each."""
    found: list[str] = []
    columns = attempts.c
    while True:
        following = select(func.min(columns.endpoint_id)).where(columns.account_id == account_id)
        endpoint_id = tx.connection.execute(
            following.where(columns.endpoint_id > (found[-1] if found else ""))
        ).scalar()
        if endpoint_id is None:
            return found
        found.append(endpoint_id)


def erase_answer(detail: bytes) -> bytes:
    """Give an attempt's JSON without what the receiver answered: it may quote the people it was told of."""
    attempt = msgspec.json.decode(detail)
    if isinstance(attempt.get("response"), dict):
        attempt["response"] |= {"headers": {}, "body": ""}
    return msgspec.json.encode(attempt)


def _erase_messages(tx: Tx, account_id: AccountId, shipment_id: ShipmentId) -> None:
    mine = intake_shipments.c.account_id == account_id, intake_shipments.c.shipment_id == shipment_id
    read_from = select(intake_shipments.c.message_id).where(*mine)
    columns = intake_messages.c
    blank = update(intake_messages).where(columns.account_id == account_id, columns.message_id.in_(read_from))
    tx.connection.execute(blank.values(body=b"", erased_at=tx.now_us))


def position_of(account_id: AccountId, event_id: str) -> Select[Any]:
    """Where an event stands in the log. By events_id_once."""
    columns = events.c
    return select(columns.position).where(columns.account_id == account_id, columns.event_id == event_id)


def events_of_shipment(account_id: AccountId, shipment_id: ShipmentId) -> Select[Any]:
    """The events of a shipment, in order. Walks events_sequence_once."""
    columns = events.c
    mine = select(columns.position, columns.body).where(columns.account_id == account_id, columns.key == shipment_id)
    return mine.order_by(columns.sequence)


def attempts_at(account_id: AccountId, endpoint_id: str, positions: list[int]) -> Select[Any]:
    """The attempts of an endpoint at these positions. By the primary key."""
    columns = attempts.c
    mine = select(columns.position, columns.number, columns.detail)
    mine = mine.where(columns.account_id == account_id, columns.endpoint_id == endpoint_id)
    return mine.where(columns.position.in_(positions))


@cache
def erased_accounts() -> Select[Any]:
    """Which of the accounts `:account_ids` had an erasure at or after `:since`. By the primary key."""
    columns = accounts.c
    mine = select(columns.account_id).where(columns.account_id.in_(bindparam("account_ids", expanding=True)))
    return mine.where(columns.erased_at >= bindparam("since"))


def erased_positions(account_id: AccountId, positions: list[int]) -> Select[Any]:
    """Which of these positions hold an erased event. By the primary key."""
    columns = events.c
    mine = select(columns.position).where(columns.account_id == account_id, columns.position.in_(positions))
    return mine.where(columns.erased_at.is_not(None))


def accounts_erased_since(since_us: int) -> Select[Any]:
    """The accounts with an erasure at or after an instant. Walks accounts_erased."""
    columns = accounts.c
    return select(columns.account_id).where(columns.erased_at >= since_us, text("erased_at IS NOT NULL"))


def positions_erased_since(account_id: AccountId, since_us: int) -> Select[Any]:
    """The positions of an account erased at or after an instant. Walks events_erased."""
    columns = events.c
    mine = select(columns.position).where(columns.account_id == account_id, columns.erased_at >= since_us)
    return mine.where(text("erased_at IS NOT NULL")).order_by(columns.erased_at)
