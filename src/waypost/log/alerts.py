"""How far an account's alerts by e-mail have come: a cursor of its own in the log, for each account with an address.

Whoever sends a mail first moves `due_at` on, so that of several services one does; if it dies before the mail is noted
as sent, another sends it again when that time is over. So a mail may come twice and is never lost.
"""

from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, and_, exists, or_, select, update

from waypost.clock import from_micros
from waypost.events.operations import EndpointBrief, endpoint_brief
from waypost.ids import AccountId, EndpointId
from waypost.log.accounts import read_account
from waypost.log.events import read_events_at
from waypost.log.keeping import DAY_US
from waypost.log.records import Account, EndpointSettings, LogRow
from waypost.log.tables import alerts, endpoints, events, expiry_notices
from waypost.log.transaction import Tx, Unit

OPERATIONS = ("delivery.failed", "endpoint.failing", "endpoint.resumed", "endpoint.suspended")
EVENTS_MAX = 5000  # told of in one mail; what comes of one outage is told in few


@dataclass(frozen=True, slots=True)
class DueAlert:
    """An account with something to tell. `due_at` in Unix microseconds; `failures` of the mail server in a row."""

    account_id: AccountId
    position: int
    due_at: int
    failures: int


@dataclass(frozen=True, slots=True)
class Notice:
    """An endpoint whose owed events reach their limit: in `days_left` days, or, with 0, `events` were given up."""

    endpoint: EndpointBrief
    days_left: int
    expires_at: datetime
    events: int


@dataclass(frozen=True, slots=True)
class Alerts:
    """What an account is to be told: operational events in log order, the last of them at `position`, and notices."""

    account: Account
    events: tuple[LogRow, ...]
    notices: tuple[Notice, ...]
    position: int


# -- reading -----------------------------------------------------------------------------------------------------------


def read_due(connection: Connection, now_us: int, limit: int) -> list[DueAlert]:
    """Give accounts that have something to tell and may be told of it now, those who wait longest first."""
    return [DueAlert(AccountId(row[0]), *row[1:]) for row in connection.execute(due_alerts(now_us, limit))]


def read_alerts(connection: Connection, due: DueAlert, now_us: int) -> Alerts:
    """Give what an account is to be told; NotFound when there is no such account any more."""
    account_id = due.account_id
    places = [positions_of_type(account_id, name, due.position, EVENTS_MAX) for name in OPERATIONS]
    found = merge(*(connection.execute(place).scalars().all() for place in places))
    positions = list(found)[:EVENTS_MAX]
    rows = tuple(read_events_at(connection, account_id, positions))
    notices = tuple(_notice(row) for row in connection.execute(due_notices(account_id, now_us)))
    return Alerts(read_account(connection, account_id), rows, notices, positions[-1] if positions else due.position)


def _notice(row: Any) -> Notice:
    settings = msgspec.json.decode(row.settings, type=EndpointSettings)
    brief = endpoint_brief(row.endpoint_id, settings.description, settings.url)
    return Notice(brief, row.days_left, from_micros(row.expires_at), row.events)


# -- units -------------------------------------------------------------------------------------------------------------


def claim(due: DueAlert, for_us: int) -> Unit[bool]:
    """Say that we send this account's mail, for `for_us` microseconds. False when another does, or did."""

    def work(tx: Tx) -> bool:
        mine = alerts.c.account_id == due.account_id, alerts.c.due_at == due.due_at, alerts.c.position == due.position
        return tx.connection.execute(update(alerts).where(*mine).values(due_at=tx.now_us + for_us)).rowcount == 1

    return Unit(due.account_id, work)


def mailed(due: DueAlert, told: Alerts, pause_us: int) -> Unit[None]:
    """Note that an account was told, and that its next mail is due in `pause_us` microseconds at the earliest."""
    account_id = due.account_id

    def work(tx: Tx) -> None:
        done = {"position": told.position, "due_at": tx.now_us + pause_us, "failures": 0}
        # An address that was taken away meanwhile and given anew is told of what comes after, and of nothing before.
        mine = alerts.c.account_id == account_id, alerts.c.position == due.position
        tx.connection.execute(update(alerts).where(*mine).values(**done))
        for notice in told.notices:
            # The endpoint's next news of this kind is told a day later at the earliest.
            noted: dict[str, object] = {"mailed": True}
            if not notice.days_left:
                noted = {"events": expiry_notices.c.events - notice.events, "expires_at": tx.now_us + DAY_US}
            notice_row = _notice_of(account_id, EndpointId(notice.endpoint.id), notice.days_left)
            tx.connection.execute(update(expiry_notices).where(notice_row).values(**noted))

    return Unit(account_id, work)


def postpone(due: DueAlert, pause_us: int) -> Unit[None]:
    """Note that the mail server did not take the account's mail, which is tried again in `pause_us` microseconds."""

    def work(tx: Tx) -> None:
        later = {"due_at": tx.now_us + pause_us, "failures": due.failures + 1}
        tx.connection.execute(update(alerts).where(alerts.c.account_id == due.account_id).values(**later))

    return Unit(due.account_id, work)


# -- statements --------------------------------------------------------------------------------------------------------


def _notice_of(account_id: AccountId, endpoint_id: EndpointId, days_left: int) -> Any:
    columns = expiry_notices.c
    return and_(columns.account_id == account_id, columns.endpoint_id == endpoint_id, columns.days_left == days_left)


def _to_tell(now_us: int) -> Any:
    """A notice that was not told yet; of what was given up, once a day at the most."""
    columns = expiry_notices.c
    warning = and_(columns.days_left > 0, columns.mailed.is_(False))
    return or_(warning, and_(columns.days_left == 0, columns.events > 0, columns.expires_at <= now_us))


def due_alerts(now_us: int, limit: int) -> Select[Any]:
    """The accounts that are due and have something to tell, across accounts. Walks alerts_by_due.

    For each it takes a step through events_by_type for each type, and one through the notices' primary key.
    """
    columns = alerts.c
    mine = events.c.account_id == columns.account_id, events.c.position > columns.position
    happened = [exists().where(*mine, events.c.type == name) for name in OPERATIONS]
    noticed = exists().where(expiry_notices.c.account_id == columns.account_id, _to_tell(now_us))
    due = select(columns.account_id, columns.position, columns.due_at, columns.failures)
    due = due.where(columns.due_at <= now_us, or_(*happened, noticed))
    return due.order_by(columns.due_at).limit(limit)


def positions_of_type(account_id: AccountId, type_name: str, after: int, limit: int) -> Select[Any]:
    """The positions past `after` of one type, in log order. Walks events_by_type."""
    columns = events.c
    mine = select(columns.position).where(columns.account_id == account_id, columns.type == type_name)
    return mine.where(columns.position > after).order_by(columns.position).limit(limit)


def due_notices(account_id: AccountId, now_us: int) -> Select[Any]:
    """The notices of an account that are to be told, with their endpoints' settings. Walks the primary keys."""
    columns = expiry_notices.c
    same = and_(endpoints.c.account_id == columns.account_id, endpoints.c.endpoint_id == columns.endpoint_id)
    mine = select(columns.endpoint_id, columns.days_left, columns.expires_at, columns.events, endpoints.c.settings)
    mine = mine.join(endpoints, same).where(columns.account_id == account_id, _to_tell(now_us))
    return mine.order_by(columns.endpoint_id, columns.days_left)
