"""Who is signed in: people with a role in an account, the operator, and a TMS's users who came by a portal link.

The cookie holds 256 random bits, of which only the hash is stored. A session is a row: deleting it signs out, at once
and everywhere. A person's role is read with each request from the membership, so that a session never knows more than
the account's owners want now.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Select, and_, delete, func, insert, select, update

from waypost.clock import from_micros, to_micros
from waypost.errors import NotFound
from waypost.ids import AccountId
from waypost.log import accounts as account_rows
from waypost.log import auditing
from waypost.log.accounts import DEFAULT_ACCOUNT, token_hash
from waypost.log.auditing import Actor
from waypost.log.people import memberships_of
from waypost.log.random_tokens import new_token
from waypost.log.records import AccountSettings
from waypost.log.tables import accounts, memberships, people, sessions
from waypost.log.transaction import Tx, Unit

Role = Literal["owner", "manager", "viewer", "setup"]
SessionKind = Literal["person", "operator", "portal", "setup"]

OPERATOR = Actor("operator", "operator")
SEEN_EVERY = timedelta(minutes=5)  # how exactly it is kept when a session was used: each time would be a write a page
SESSIONS_SHOWN_MAX = 200


@dataclass(frozen=True, slots=True)
class Lasting:
    """How long a session lasts: until it was not used for `idle`, and never longer than `life`."""

    idle: timedelta
    life: timedelta

    @property
    def stays(self) -> bool:
        """Whether the browser is to keep it when it is closed."""
        return self.idle >= timedelta(days=1)


A_DAY = Lasting(idle=timedelta(hours=8), life=timedelta(hours=24))
STAYING = Lasting(idle=timedelta(days=14), life=timedelta(days=30))
OF_THE_OPERATOR = Lasting(idle=timedelta(hours=1), life=timedelta(hours=12))


@dataclass(frozen=True, slots=True)
class PortalLook:
    """How the account's pages look in its TMS: origins that may hold them in a frame, accent colour, logo."""

    origins: tuple[str, ...]
    accent: str | None
    logo_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session that is alive. `name` stands in the audit log for what is done in it.

    `may_switch`: there is another account to go to. `portal` is there only in a session that began with a portal link.
    `made` names the endpoints that were made in a session that may do nothing else.
    """

    session_id: str
    account_id: AccountId
    account_name: str
    kind: SessionKind
    role: Role
    name: str
    actor_id: str
    person_id: str | None
    language: str | None
    time_zone: str | None
    keys_off: bool
    may_switch: bool
    portal: PortalLook | None
    made: tuple[str, ...]
    created_at: datetime
    seen_at: datetime
    expires_at: datetime

    @property
    def actor(self) -> Actor:
        """Who stands in the audit log."""
        return Actor(self.name, self.actor_id)


@dataclass(frozen=True, slots=True)
class Opened:
    """A session just made or renewed, with what its cookie holds: the only time it is seen."""

    session_id: str
    token: str = field(repr=False)
    expires_at: datetime
    stays: bool
    """Whether the browser is to keep it when it is closed."""


@dataclass(frozen=True, slots=True)
class SeenSession:
    """A session as its owner sees it in a list. `client` is the browser and the address."""

    session_id: str
    client: str
    created_at: datetime
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """What a session is made of. `role` and `name` are of who is no person; `actor` stands in the audit log."""

    account_id: AccountId
    kind: SessionKind
    actor: Actor
    lasting: Lasting
    client: str = ""
    person_id: str | None = None
    role: Role | None = None
    name: str | None = None


# -- units -------------------------------------------------------------------------------------------------------------


def open_session(new: NewSession, *, how: str, before: bytes | None = None) -> Unit[Opened]:
    """Begin a session, and end the one of the same browser whose token has the hash `before`.

    `how` is told in the audit log: by password, by passkey … NotFound when a person is of no such account.
    """
    return Unit(new.account_id, lambda tx: begin(tx, new, how=how, before=before))


def begin(tx: Tx, new: NewSession, *, how: str, before: bytes | None = None) -> Opened:
    """Begin a session inside a unit: see `open_session`."""
    if new.person_id is not None:
        if new.account_id not in {membership.account_id for membership in memberships_of(tx.connection, new.person_id)}:
            raise NotFound("This person is of no such account.")
        tx.connection.execute(update(people).where(people.c.person_id == new.person_id).values(signed_in_at=tx.now_us))
    if before is not None:
        tx.connection.execute(delete(sessions).where(sessions.c.token_hash == before))
    tx.connection.execute(delete(sessions).where(sessions.c.expires_at <= tx.now_us))
    token, session_id = new_token(), tx.ids.new("ses_", tx.now)
    expires_at = tx.now + new.lasting.life
    row = {
        "session_id": session_id,
        "token_hash": token_hash(token),
        "kind": new.kind,
        "account_id": new.account_id,
        "person_id": new.person_id,
        "role": new.role,
        "name": new.name,
        "actor_id": new.actor.actor_id,
        "made": "",
        "client": new.client,
        "idle_s": int(new.lasting.idle.total_seconds()),
        "created_at": tx.now_us,
        "seen_at": tx.now_us,
        "expires_at": to_micros(expires_at),
    }
    tx.connection.execute(insert(sessions), row)
    auditing.record(
        tx, new.account_id, actor=new.actor, action="session.signed_in", subject=new.actor.actor_id, detail=how
    )
    return Opened(session_id, token, expires_at, new.lasting.stays)


def renew_session(session: Session, account_id: AccountId | None = None) -> Unit[Opened]:
    """Give a session another id and token, so that whoever knew the old one knows nothing; NotFound when it ended.

    With `account_id` its pages are about that account from now on: a person's own, or any for the operator.
    """

    def work(tx: Tx) -> Opened:
        target = account_id or session.account_id
        if account_id is not None and account_id not in _reachable(tx.connection, session, account_id):
            raise NotFound(f'There is no account "{account_id}".')
        token, session_id = new_token(), tx.ids.new("ses_", tx.now)
        mine = sessions.c.session_id == session.session_id
        row = tx.connection.execute(select(sessions.c.idle_s, sessions.c.expires_at).where(mine)).first()
        if row is None:
            raise NotFound("This session has ended.")
        values = {"session_id": session_id, "token_hash": token_hash(token), "account_id": target}
        tx.connection.execute(update(sessions).where(mine).values(values))
        if target != session.account_id:
            auditing.record(
                tx, target, actor=session.actor, action="session.signed_in", subject=session.actor_id,
                detail=f"from {session.account_name}",
            )  # fmt: skip
        return Opened(
            session_id, token, from_micros(row.expires_at), Lasting(timedelta(seconds=row.idle_s), timedelta()).stays
        )

    return Unit(session.account_id, work)


def mark_seen(session_id: str) -> Unit[None]:
    """Keep that a session was used just now."""

    def work(tx: Tx) -> None:
        tx.connection.execute(update(sessions).where(sessions.c.session_id == session_id).values(seen_at=tx.now_us))

    return Unit(DEFAULT_ACCOUNT, work)


def note_made(session_id: str, endpoint_id: str) -> Unit[None]:
    """Let a setup session go on with the endpoint that it made."""

    def work(tx: Tx) -> None:
        mine = sessions.c.session_id == session_id
        made = tx.connection.execute(select(sessions.c.made).where(mine)).scalar_one()
        tx.connection.execute(update(sessions).where(mine).values(made=f"{made} {endpoint_id}".strip()))

    return Unit(DEFAULT_ACCOUNT, work)


def sign_out(session: Session) -> Unit[None]:
    """End a session."""

    def work(tx: Tx) -> None:
        tx.connection.execute(delete(sessions).where(sessions.c.session_id == session.session_id))
        auditing.record(
            tx, session.account_id, actor=session.actor, action="session.signed_out", subject=session.actor_id
        )

    return Unit(session.account_id, work)


def end_session(session: Session, session_id: str) -> Unit[None]:
    """End another session of the same person, from the list of them; NotFound when it is none of theirs."""

    def work(tx: Tx) -> None:
        theirs = and_(sessions.c.session_id == session_id, sessions.c.actor_id == session.actor_id)
        if "\0" in session_id or not tx.connection.execute(delete(sessions).where(theirs)).rowcount:
            raise NotFound("There is no such session.")
        auditing.record(tx, session.account_id, actor=session.actor, action="session.ended", subject=session.actor_id)

    return Unit(session.account_id, work)


def end_all(tx: Tx, actor_id: str, *, but: str | None = None) -> None:
    """End every session of a person, the operator or a portal's user, inside a unit, but for the one named."""
    theirs = delete(sessions).where(sessions.c.actor_id == actor_id)
    tx.connection.execute(theirs if but is None else theirs.where(sessions.c.session_id != but))


def end_in_account(tx: Tx, account_id: AccountId, person_id: str) -> None:
    """End the sessions of a person whose pages are about this account, inside a unit."""
    theirs = and_(sessions.c.person_id == person_id, sessions.c.account_id == account_id)
    tx.connection.execute(delete(sessions).where(theirs))


def _reachable(connection: Connection, session: Session, account_id: AccountId) -> set[AccountId]:
    """Those of `account_id` that the session may go to."""
    if session.kind == "operator":
        return {account_id} if account_rows.account_exists(connection, account_id) else set()
    if session.person_id is None:
        return set()
    return {membership.account_id for membership in memberships_of(connection, session.person_id)}


# -- reading -----------------------------------------------------------------------------------------------------------


def find_session(connection: Connection, token: str, now: datetime) -> Session | None:
    """Give the session whose cookie holds `token`, or None for one that is unknown, ended, or not used for too long."""
    row = connection.execute(session_with(token_hash(token))).first()
    now_us = to_micros(now)
    if row is None or row.expires_at <= now_us or row.seen_at + row.idle_s * 1_000_000 <= now_us:
        return None
    role: Role | None = row.role or row.member_role
    if role is None:  # the person is of this account no more
        return None
    return Session(
        session_id=row.session_id,
        account_id=AccountId(row.account_id),
        account_name=row.account_name,
        kind=row.kind,
        role=role,
        name=row.name or row.person_name,
        actor_id=row.actor_id,
        person_id=row.person_id,
        language=row.language,
        time_zone=row.time_zone,
        keys_off=bool(row.keys_off),
        may_switch=row.kind == "operator" or row.accounts > 1,
        portal=_look(row.settings) if row.kind == "portal" else None,
        made=tuple(row.made.split()),
        created_at=from_micros(row.created_at),
        seen_at=from_micros(row.seen_at),
        expires_at=from_micros(row.expires_at),
    )


def list_sessions(connection: Connection, actor_id: str, now: datetime) -> Sequence[SeenSession]:
    """Give the sessions of one actor that are alive, the one that was used last first."""
    now_us = to_micros(now)
    rows = connection.execute(sessions_of(actor_id)).all()
    alive = [row for row in rows if row.expires_at > now_us and row.seen_at + row.idle_s * 1_000_000 > now_us]
    alive.sort(key=lambda row: (row.seen_at, row.session_id), reverse=True)
    return [
        SeenSession(row.session_id, row.client, from_micros(row.created_at), from_micros(row.seen_at)) for row in alive
    ]


def portal_look(settings: AccountSettings) -> PortalLook:
    """Give the look of an account's pages in its TMS out of the account's settings."""
    said = msgspec.json.decode(msgspec.json.encode(settings.portal), type=_Portal)
    return PortalLook(said.origins, said.accent, said.logo_url)


class _Portal(msgspec.Struct, frozen=True):
    origins: tuple[str, ...] = ()
    accent: str | None = None
    logo_url: str | None = None


def _look(settings: str) -> PortalLook:
    return portal_look(msgspec.json.decode(settings, type=AccountSettings))


# -- statements --------------------------------------------------------------------------------------------------------


def session_with(digest: bytes) -> Select[Any]:
    """The session with this hash, with its account, and its person and their role there. By sessions_token_once."""
    columns = sessions.c
    theirs = memberships.alias("theirs")
    of_person = select(func.count()).select_from(theirs).where(theirs.c.person_id == columns.person_id)
    found = select(
        columns.session_id, columns.kind, columns.account_id, columns.person_id, columns.role, columns.name,
        columns.actor_id, columns.made, columns.idle_s, columns.created_at, columns.seen_at, columns.expires_at,
        accounts.c.name.label("account_name"), accounts.c.settings, people.c.name.label("person_name"),
        people.c.language, people.c.time_zone, people.c.keys_off, memberships.c.role.label("member_role"),
        of_person.scalar_subquery().label("accounts"),
    )  # fmt: skip
    there = and_(memberships.c.account_id == columns.account_id, memberships.c.person_id == columns.person_id)
    tables = sessions.join(accounts, accounts.c.account_id == columns.account_id)
    tables = tables.outerjoin(people, people.c.person_id == columns.person_id).outerjoin(memberships, there)
    return found.select_from(tables).where(columns.token_hash == digest)


def sessions_of(actor_id: str) -> Select[Any]:
    """The newest sessions of one actor. By sessions_by_actor."""
    columns = sessions.c
    theirs = select(
        columns.session_id, columns.client, columns.created_at, columns.seen_at, columns.idle_s, columns.expires_at
    )
    theirs = theirs.where(columns.actor_id == actor_id).order_by(columns.session_id.desc())
    return theirs.limit(SESSIONS_SHOWN_MAX)
