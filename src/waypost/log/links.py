"""Links that let somebody in, once: the first owner, who is invited, who forgot a password, a developer, a TMS's user.

Only the hash of what a link holds is stored. A link is used in the transaction of what it is used for, so that of two
who come at once only one gets in. The challenge of a passkey is such a link too, for a program instead of a reader.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Row, Select, delete, insert, select, update

from waypost.clock import from_micros, to_micros
from waypost.errors import Conflict, NotFound
from waypost.ids import AccountId
from waypost.log import auditing, people
from waypost.log.accounts import DEFAULT_ACCOUNT, read_account, token_hash
from waypost.log.auditing import Actor
from waypost.log.people import PersonRole
from waypost.log.random_tokens import new_token
from waypost.log.sessions import Lasting, NewSession, Opened, Role, begin
from waypost.log.tables import links
from waypost.log.transaction import Tx, Unit

LinkKind = Literal["first_owner", "invitation", "password", "setup", "portal", "passkey"]

LASTS: dict[LinkKind, timedelta] = {
    "first_owner": timedelta(hours=24),
    "invitation": timedelta(days=7),
    "password": timedelta(hours=1),
    "setup": timedelta(days=7),
    "portal": timedelta(hours=1),
    "passkey": timedelta(minutes=5),
}
OPEN_SHOWN_MAX = 200
USELESS = "This link does not work any more: a link works once, and for a while. Ask for another one."


@dataclass(frozen=True, slots=True)
class Link:
    """A link, without what it holds."""

    link_id: str
    kind: LinkKind
    account_id: AccountId
    person_id: str | None
    email: str | None
    role: Role | None
    user_id: str | None
    name: str | None
    session_s: int | None
    made_by: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class MadeLink:
    """A link just made, with what it holds: the only time it is seen."""

    link: Link
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLink:
    """What a link is to be. `lasts` is the kind's own when left out."""

    kind: LinkKind
    account_id: AccountId
    made_by: Actor
    lasts: timedelta | None = None
    person_id: str | None = None
    email: str | None = None
    role: Role | None = None
    user_id: str | None = None
    name: str | None = None
    session_s: int | None = None


# -- units -------------------------------------------------------------------------------------------------------------


def make_link(new: NewLink) -> Unit[MadeLink]:
    """Make a link. NotFound when there is no such account.

    One for the first owner replaces those made before, as an invitation those to the same address.
    """

    def work(tx: Tx) -> MadeLink:
        read_account(tx.connection, new.account_id)
        _forget_replaced(tx, new)
        token, link_id = new_token(), tx.ids.new("lnk_", tx.now)
        row = {
            "link_id": link_id,
            "token_hash": token_hash(token),
            "kind": new.kind,
            "account_id": new.account_id,
            "person_id": new.person_id,
            "email": new.email,
            "role": new.role,
            "user_id": new.user_id,
            "name": new.name,
            "session_s": new.session_s,
            "made_by": new.made_by.name,
            "created_at": tx.now_us,
            "expires_at": to_micros(tx.now + (new.lasts or LASTS[new.kind])),
        }
        tx.connection.execute(insert(links), row)
        if new.kind != "passkey":
            auditing.record(
                tx, new.account_id, actor=new.made_by, action=f"link.{new.kind}_made", subject=link_id,
                detail=" ".join(filter(None, (new.email, new.user_id, new.role))),
            )  # fmt: skip
        return MadeLink(_link(tx.connection.execute(link_with(token_hash(token))).one()), token)

    return Unit(new.account_id, work)


def withdraw_link(account_id: AccountId, link_id: str, actor: Actor) -> Unit[None]:
    """Make a link that nobody used useless; NotFound when the account has no such link."""

    def work(tx: Tx) -> None:
        mine = (links.c.link_id == link_id) & (links.c.account_id == account_id) & links.c.used_at.is_(None)
        if "\0" in link_id or not tx.connection.execute(delete(links).where(mine)).rowcount:
            raise NotFound("There is no such link.")
        auditing.record(tx, account_id, actor=actor, action="link.withdrawn", subject=link_id)

    return Unit(account_id, work)


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """Who comes by a link, as they say who they are: somebody new, or `person_id` who has proved to be that person."""

    name: str = ""
    email: str = ""
    password_hash: str | None = field(default=None, repr=False)
    person_id: str | None = None


def join_by_link(
    token: str, newcomer: Newcomer, lasting: Lasting, client: str, before: bytes | None = None
) -> Unit[Opened]:
    """Let somebody in by an invitation, or as the first owner, and begin their session.

    NotFound for a link that does not work any more; Conflict when the address is somebody's who has not proved to be
    that person.
    """

    def work(tx: Tx) -> Opened:
        link = take(tx, token, "first_owner", "invitation")
        email = link.email or newcomer.email
        person_id = newcomer.person_id
        known = people.find_by_email(tx.connection, email)
        if link.email is not None and person_id is not None and (known is None or known.person_id != person_id):
            raise Conflict("The invitation is to somebody else. Sign out, and open the link again.")
        if person_id is None:
            if known is not None:
                raise Conflict("There is somebody with this e-mail address already. Give their password.")
            person_id = people.add_person(tx, email=email, name=newcomer.name, password_hash=newcomer.password_hash)
        role: PersonRole = "owner" if link.kind == "first_owner" else link.role  # type: ignore[assignment]
        people.put_member(tx, link.account_id, person_id, role)
        person = people.find_person(tx.connection, person_id)
        assert person is not None, person_id
        actor = Actor(person.name, person_id)
        auditing.record(
            tx,
            link.account_id,
            actor=actor,
            action="person.joined",
            subject=person_id,
            detail=f"{person.email}: {role}",
        )
        new = NewSession(
            account_id=link.account_id, kind="person", actor=actor, lasting=lasting, client=client, person_id=person_id
        )
        return begin(tx, new, how=link.kind, before=before)

    return Unit(DEFAULT_ACCOUNT, work)


def set_password_by_link(token: str, password_hash: str) -> Unit[None]:
    """Give the person of a link another password, and end all their sessions. NotFound as of `join_by_link`."""

    def work(tx: Tx) -> None:
        link = take(tx, token, "password")
        person = people.find_person(tx.connection, link.person_id or "")
        if person is None:
            raise NotFound(USELESS)
        people.set_password(tx, person.person_id, password_hash)
        actor = Actor(person.name, person.person_id)
        auditing.record(
            tx,
            link.account_id,
            actor=actor,
            action="person.password_changed",
            subject=person.person_id,
            detail="by a link",
        )

    return Unit(DEFAULT_ACCOUNT, work)


def enter_by_link(token: str, kind: Literal["setup", "portal"], client: str, before: bytes | None) -> Unit[Opened]:
    """Begin the session of a developer's or a portal's link. NotFound as of `join_by_link`."""

    def work(tx: Tx) -> Opened:
        link = take(tx, token, kind)
        actor = portal_actor(link) if kind == "portal" else Actor(f"setup link of {link.made_by}", link.link_id)
        left = link.expires_at - tx.now if link.session_s is None else timedelta(seconds=link.session_s)
        new = NewSession(
            account_id=link.account_id,
            kind=kind,
            actor=actor,
            lasting=Lasting(idle=left, life=left),
            client=client,
            role=link.role,
            name=actor.name,
        )
        return begin(tx, new, how=f"{kind} link", before=before)

    return Unit(DEFAULT_ACCOUNT, work)


def portal_actor(link: Link) -> Actor:
    """Who comes by a portal link, for the audit log: the TMS's user by name and id, marked as the TMS's."""
    user_id = link.user_id or link.link_id
    return Actor(f"{link.name or user_id} (portal)", f"portal:{user_id}")


def take(tx: Tx, token: str, *kinds: LinkKind) -> Link:
    """Use a link up inside a unit, and give it; NotFound when it is unknown, used, too old or of another kind."""
    link = find_link(tx.connection, token)
    if link is None or link.kind not in kinds or link.used_at is not None or link.expires_at <= tx.now:
        raise NotFound(USELESS)
    unused = (links.c.link_id == link.link_id) & links.c.used_at.is_(None)
    if not tx.connection.execute(update(links).where(unused).values(used_at=tx.now_us)).rowcount:
        raise NotFound(USELESS)  # somebody on another machine was quicker
    return link


def _forget_replaced(tx: Tx, new: NewLink) -> None:
    tx.connection.execute(delete(links).where(links.c.expires_at <= tx.now_us))
    if new.kind in ("first_owner", "invitation", "password"):
        same = (links.c.account_id == new.account_id) & (links.c.kind == new.kind) & links.c.used_at.is_(None)
        same &= links.c.email.is_(None) if new.email is None else links.c.email == new.email
        same &= links.c.person_id.is_(None) if new.person_id is None else links.c.person_id == new.person_id
        tx.connection.execute(delete(links).where(same))


# -- reading -----------------------------------------------------------------------------------------------------------


def find_link(connection: Connection, token: str) -> Link | None:
    """Give a link by what it holds, also one that was used or is too old; None for an unknown one."""
    row = connection.execute(link_with(token_hash(token))).first()
    return None if row is None else _link(row)


def find_open_link(connection: Connection, token: str, now: datetime, *kinds: LinkKind) -> Link:
    """Give a link that works now, or raise NotFound, with the same words whatever is the matter."""
    link = find_link(connection, token)
    if link is None or link.kind not in kinds or link.used_at is not None or link.expires_at <= now:
        raise NotFound(USELESS)
    return link


def list_open_links(connection: Connection, account_id: AccountId, kind: LinkKind, now: datetime) -> Sequence[Link]:
    """Give an account's links of a kind that still work, the newest first."""
    rows = connection.execute(links_of(account_id, kind)).all()
    return [link for link in map(_link, rows) if link.used_at is None and link.expires_at > now]


def _link(row: Row[Any]) -> Link:
    return Link(
        link_id=row.link_id,
        kind=row.kind,
        account_id=AccountId(row.account_id),
        person_id=row.person_id,
        email=row.email,
        role=row.role,
        user_id=row.user_id,
        name=row.name,
        session_s=row.session_s,
        made_by=row.made_by,
        created_at=from_micros(row.created_at),
        expires_at=from_micros(row.expires_at),
        used_at=None if row.used_at is None else from_micros(row.used_at),
    )


# -- statements --------------------------------------------------------------------------------------------------------


def link_with(digest: bytes) -> Select[Any]:
    """The link with this hash. By links_token_once."""
    return select(*links.c).where(links.c.token_hash == digest)


def links_of(account_id: AccountId, kind: LinkKind) -> Select[Any]:
    """The newest links of a kind of an account. Walks links_by_account."""
    mine = select(*links.c).where(links.c.account_id == account_id, links.c.kind == kind)
    return mine.order_by(links.c.link_id.desc()).limit(OPEN_SHOWN_MAX)
