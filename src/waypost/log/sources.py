"""Sources of carriers' messages, and the messages as they came.

A message is stored with what follows from it, in one transaction: refused ones too, so that they can be looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, and_, delete, insert, select, update

from waypost.clock import from_micros
from waypost.errors import NotFound
from waypost.ids import AccountId
from waypost.log.accept import AcceptReport, accept_all
from waypost.log.cursors import page_of, read_name_cursor
from waypost.log.records import Accepted, IntakeMessage, Page, Source
from waypost.log.tables import intake_messages, sources
from waypost.log.transaction import Tx, Unit
from waypost.log.vault import Vault, place
from waypost.shipments.report import Report

MESSAGE_AGE_MAX = "\U0010ffff"  # above every id: where a list that goes backwards begins


@dataclass(frozen=True, slots=True)
class TakenMessage:
    """A message that is on disk, and what became of each of its reports: Accepted, or the refusal."""

    message_id: str
    outcomes: tuple[Accepted | Exception, ...]


# -- units -------------------------------------------------------------------------------------------------------------


def create_source(
    account_id: AccountId, kind: str, name: str, secret: str, settings: Mapping[str, object]
) -> Unit[Source]:
    """Make a source. Its id is all that the carrier is given, and the secret proves that it is the carrier."""

    def work(tx: Tx) -> Source:
        source_id = tx.ids.new("src_", tx.now)
        row = {
            "account_id": account_id,
            "source_id": source_id,
            "kind": kind,
            "name": name,
            "settings": msgspec.json.encode(settings).decode(),
            "secret": _seal(tx.vault, account_id, source_id, secret),
            "created_at": tx.now_us,
            "updated_at": tx.now_us,
        }
        tx.connection.execute(insert(sources), row)
        return read_source(tx.connection, tx.vault, account_id, source_id)

    return Unit(account_id, work)


def change_source(
    account_id: AccountId,
    source_id: str,
    *,
    name: str | None = None,
    secret: str | None = None,
    settings: Mapping[str, object] | None = None,
) -> Unit[Source]:
    """Change a source's name, secret or settings; None leaves each as it is. NotFound when there is no such source."""

    def work(tx: Tx) -> Source:
        read_source(tx.connection, tx.vault, account_id, source_id)
        changed: dict[str, object] = {"updated_at": tx.now_us}
        if name is not None:
            changed["name"] = name
        if secret is not None:
            changed["secret"] = _seal(tx.vault, account_id, source_id, secret)
        if settings is not None:
            changed["settings"] = msgspec.json.encode(settings).decode()
        tx.connection.execute(update(sources).where(_one(account_id, source_id)).values(**changed))
        return read_source(tx.connection, tx.vault, account_id, source_id)

    return Unit(account_id, work)


def delete_source(account_id: AccountId, source_id: str) -> Unit[None]:
    """Forget a source; its messages stay until their time is over. NotFound when there is no such source."""

    def work(tx: Tx) -> None:
        read_source(tx.connection, tx.vault, account_id, source_id)
        tx.connection.execute(delete(sources).where(_one(account_id, source_id)))

    return Unit(account_id, work)


def take_message(account_id: AccountId, source_id: str, body: bytes, reports: Sequence[Report]) -> Unit[TakenMessage]:
    """Store a message and take the reports that were read from it. Each report stands or falls alone."""

    def work(tx: Tx) -> TakenMessage:
        message_id = tx.ids.new("msg_", tx.now)
        _insert_message(tx, account_id, source_id, message_id, body, None)
        taken = [AcceptReport(account_id, None, report, message_id=message_id, whole=False) for report in reports]
        return TakenMessage(message_id, tuple(accept_all(tx, taken)))

    return Unit(account_id, work, locks=True)


def refuse_message(account_id: AccountId, source_id: str, body: bytes, reason: str) -> Unit[str]:
    """Store a message that could not be read, with the reason. Only for one whose signature was right."""

    def work(tx: Tx) -> str:
        message_id = tx.ids.new("msg_", tx.now)
        _insert_message(tx, account_id, source_id, message_id, body, reason)
        return message_id

    return Unit(account_id, work)


def _insert_message(
    tx: Tx, account_id: AccountId, source_id: str, message_id: str, body: bytes, reason: str | None
) -> None:
    row = {
        "account_id": account_id,
        "message_id": message_id,
        "source_id": source_id,
        "received_at": tx.now_us,
        "state": "accepted" if reason is None else "refused",
        "reason": reason,
        "body": body,
    }
    tx.connection.execute(insert(intake_messages), row)


def _seal(vault: Vault, account_id: AccountId, source_id: str, secret: str) -> bytes:
    return vault.seal(secret.encode(), place("sources", account_id, source_id))


# -- reading -----------------------------------------------------------------------------------------------------------


def find_source(connection: Connection, vault: Vault, source_id: str) -> Source | None:
    """Give the source that a message claims to come from, or None: nothing else says whose it is yet."""
    row = None if "\0" in source_id else connection.execute(source_by_id(source_id)).first()
    return None if row is None else _source(vault, row)


def read_source(connection: Connection, vault: Vault, account_id: AccountId, source_id: str) -> Source:
    """Give a source of an account, or raise NotFound."""
    row = None if "\0" in source_id else connection.execute(source_row(account_id, source_id)).first()
    if row is None:
        raise _no_source(source_id)
    return _source(vault, row)


def list_sources(
    connection: Connection, vault: Vault, account_id: AccountId, limit: int, cursor: str | None
) -> Page[Source]:
    """Give a page of an account's sources, the oldest first."""
    rows = connection.execute(sources_after(account_id, read_name_cursor(cursor), limit + 1)).all()
    return page_of([_source(vault, row) for row in rows], limit, lambda source: source.source_id)


def list_messages(
    connection: Connection, account_id: AccountId, source_id: str, limit: int, cursor: str | None
) -> Page[IntakeMessage]:
    """Give a page of a source's messages, the newest first."""
    before = read_name_cursor(cursor) or MESSAGE_AGE_MAX
    rows = connection.execute(messages_before(account_id, source_id, before, limit + 1)).all()
    return page_of([_message(row) for row in rows], limit, lambda message: message.message_id)


def _source(vault: Vault, row: Row[Any]) -> Source:
    account_id = AccountId(row.account_id)
    return Source(
        account_id=account_id,
        source_id=row.source_id,
        kind=row.kind,
        name=row.name,
        settings=msgspec.json.decode(row.settings, type=dict[str, object]),
        secret=vault.open(row.secret, place("sources", account_id, row.source_id)).decode(),
        created_at=from_micros(row.created_at),
        updated_at=from_micros(row.updated_at),
    )


def _message(row: Row[Any]) -> IntakeMessage:
    return IntakeMessage(
        message_id=row.message_id,
        source_id=row.source_id,
        received_at=from_micros(row.received_at),
        state=row.state,
        reason=row.reason,
        body=bytes(row.body),
        erased_at=None if row.erased_at is None else from_micros(row.erased_at),
    )


def _no_source(source_id: str) -> NotFound:
    return NotFound(f'There is no source "{source_id}".')


# -- statements --------------------------------------------------------------------------------------------------------


def _one(account_id: AccountId, source_id: str) -> Any:
    return and_(sources.c.account_id == account_id, sources.c.source_id == source_id)


def source_row(account_id: AccountId, source_id: str) -> Select[Any]:
    """One source. By the primary key."""
    return select(*sources.c).where(_one(account_id, source_id))


def source_by_id(source_id: str) -> Select[Any]:
    """One source of whichever account. By sources_id_once."""
    return select(*sources.c).where(sources.c.source_id == source_id)


def sources_after(account_id: AccountId, source_id: str, limit: int) -> Select[Any]:
    """The sources of an account past `source_id`, at most `limit`. Walks the primary key."""
    mine = select(*sources.c).where(sources.c.account_id == account_id, sources.c.source_id > source_id)
    return mine.order_by(sources.c.source_id).limit(limit)


def messages_before(account_id: AccountId, source_id: str, message_id: str, limit: int) -> Select[Any]:
    """The messages of a source before `message_id`, newest first. Walks intake_messages_by_source backwards."""
    columns = intake_messages.c
    mine = select(*columns).where(columns.account_id == account_id, columns.source_id == source_id)
    return mine.where(columns.message_id < message_id).order_by(columns.message_id.desc()).limit(limit)
