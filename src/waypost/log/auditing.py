"""The audit log: who did what that a person may later ask about.

A row is written in the transaction of what it tells of: there is no change without its row, and no row without its
change. What happens to shipments is not in it, since their events tell it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, insert, select

from waypost.clock import from_micros
from waypost.ids import AccountId
from waypost.log.cursors import page_of, read_name_cursor
from waypost.log.records import Page
from waypost.log.tables import audit
from waypost.log.transaction import Tx, Unit

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something: the name as it is now, and the id of the token, the person or the portal's user."""

    name: str
    actor_id: str


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One thing that somebody did. `subject` is the id of what it was done to, `detail` more in words, or empty."""

    audit_id: str
    recorded_at: datetime
    actor: Actor
    action: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which rows are wanted; None leaves a field open. Ids and actions are compared whole."""

    actor_id: str | None = None
    action: str | None = None
    subject: str | None = None


def record(tx: Tx, account_id: AccountId, *, actor: Actor, action: str, subject: str, detail: str = "") -> None:
    """Write down, with the rest of the transaction, that `actor` did `action` to `subject`."""
    row = {
        "account_id": account_id,
        "audit_id": tx.ids.new("aud_", tx.now),
        "recorded_at": tx.now_us,
        "actor": actor.name,
        "actor_id": actor.actor_id,
        "action": action,
        "subject": subject,
        "detail": detail,
    }
    tx.connection.execute(insert(audit), row)


def audited(
    unit: Unit[T],
    actor: Actor,
    action: str,
    subject: str | Callable[[T], str],
    detail: str | Callable[[T], str] = "",
    *,
    account_of: Callable[[T], AccountId] | None = None,
) -> Unit[T]:
    """Give the unit with a row of the audit log in its transaction; subject and detail may follow from its value.

    `account_of` gives the account whose log it is, where that is another than the unit's.
    """

    def work(tx: Tx) -> T:
        done = unit.work(tx)
        record(
            tx,
            unit.account_id if account_of is None else account_of(done),
            actor=actor,
            action=action,
            subject=subject if isinstance(subject, str) else subject(done),
            detail=detail if isinstance(detail, str) else detail(done),
        )
        return done

    return replace(unit, work=work)


def read_audit(
    connection: Connection, account_id: AccountId, wanted: AuditFilter, limit: int, cursor: str | None
) -> Page[AuditRow]:
    """Give a page of an account's audit log, the newest first."""
    statement = audit_before(account_id, wanted, read_name_cursor(cursor), limit + 1)
    rows = [
        AuditRow(
            row.audit_id,
            from_micros(row.recorded_at),
            Actor(row.actor, row.actor_id),
            row.action,
            row.subject,
            row.detail,
        )
        for row in connection.execute(statement)
    ]
    return page_of(rows, limit, lambda row: row.audit_id)


def audit_before(account_id: AccountId, wanted: AuditFilter, audit_id: str, limit: int) -> Select[Any]:
    """The rows before `audit_id` (all when it is empty), the newest first. By the primary key or a filter's index."""
    columns = audit.c
    mine = select(
        columns.audit_id, columns.recorded_at, columns.actor, columns.actor_id, columns.action, columns.subject,
        columns.detail,
    ).where(columns.account_id == account_id)  # fmt: skip
    for column, value in ((columns.actor_id, wanted.actor_id), (columns.action, wanted.action)):
        if value is not None:
            mine = mine.where(column == value)
    if wanted.subject is not None:
        mine = mine.where(columns.subject == wanted.subject)
    if audit_id:
        mine = mine.where(columns.audit_id < audit_id)
    return mine.order_by(columns.audit_id.desc()).limit(limit)
