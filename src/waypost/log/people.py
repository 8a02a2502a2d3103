"""People, their roles in accounts, and their passkeys. A person is one in all accounts, with one e-mail address."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from waypost.clock import from_micros
from waypost.errors import Conflict, NotFound
from waypost.ids import AccountId
from waypost.log import auditing
from waypost.log.auditing import Actor
from waypost.log.tables import accounts, memberships, passkeys, people, sessions
from waypost.log.transaction import Tx, Unit

PersonRole = Literal["owner", "manager", "viewer"]
PERSON_ROLES: tuple[PersonRole, ...] = ("owner", "manager", "viewer")
PEOPLE_SHOWN_MAX = 1_000
ACCOUNTS_SHOWN_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who may sign in."""

    person_id: str
    email: str
    name: str
    password_hash: str | None = field(repr=False)
    identity: str | None
    language: str | None
    time_zone: str | None
    keys_off: bool
    created_at: datetime
    signed_in_at: datetime | None


@dataclass(frozen=True, slots=True)
class Member:
    """A person in an account, as its list of people shows them."""

    person_id: str
    name: str
    email: str
    role: PersonRole
    signed_in_at: datetime | None


@dataclass(frozen=True, slots=True)
class Membership:
    """An account that a person belongs to."""

    account_id: AccountId
    account_name: str
    role: PersonRole


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey of a person: `credential_id` in base64url, `public_key` in COSE."""

    credential_id: str
    person_id: str
    public_key: bytes
    sign_count: int
    name: str
    created_at: datetime
    used_at: datetime | None


def email_key(email: str) -> str:
    """Give what two spellings of one address have in common."""
    return email.strip().casefold()


# -- inside units ------------------------------------------------------------------------------------------------------


def add_person(tx: Tx, *, email: str, name: str, password_hash: str | None, identity: str | None = None) -> str:
    """Make a person whose address nobody has yet; give the id."""
    person_id = tx.ids.new("per_", tx.now)
    row = {
        "person_id": person_id,
        "email": email.strip(),
        "email_key": email_key(email),
        "name": name,
        "password_hash": password_hash,
        "identity": identity,
        "keys_off": False,
        "created_at": tx.now_us,
    }
    tx.connection.execute(insert(people), row)
    return person_id


def put_member(tx: Tx, account_id: AccountId, person_id: str, role: PersonRole) -> None:
    """Let a person be of an account with a role; one who is of it already keeps the role that lets them do more."""
    mine = (memberships.c.account_id == account_id) & (memberships.c.person_id == person_id)
    before = tx.connection.execute(select(memberships.c.role).where(mine)).scalar()
    if before is None:
        row = {"account_id": account_id, "person_id": person_id, "role": role, "created_at": tx.now_us}
        tx.connection.execute(insert(memberships), row)
    elif PERSON_ROLES.index(role) < PERSON_ROLES.index(before):
        tx.connection.execute(update(memberships).where(mine).values(role=role))


# -- units -------------------------------------------------------------------------------------------------------------


def change_role(account_id: AccountId, person_id: str, role: PersonRole, actor: Actor) -> Unit[None]:
    """Give a person of an account another role; NotFound for nobody of it, Conflict for the last owner.

    The person's sessions in the account end: the next one begins with the new role.
    """

    def work(tx: Tx) -> None:
        member = _member(tx.connection, account_id, person_id)
        if member.role == role:
            return
        if member.role == "owner":
            _check_another_owner(tx.connection, account_id, person_id)
        mine = (memberships.c.account_id == account_id) & (memberships.c.person_id == person_id)
        tx.connection.execute(update(memberships).where(mine).values(role=role))
        _end_sessions(tx, account_id, person_id)
        auditing.record(
            tx, account_id, actor=actor, action="person.role_changed", subject=person_id,
            detail=f"{member.email}: {member.role} → {role}",
        )  # fmt: skip

    return Unit(account_id, work, locks=True)


def remove_member(account_id: AccountId, person_id: str, actor: Actor) -> Unit[None]:
    """Take a person out of an account; who is of no account any more is forgotten. Errors as of `change_role`."""

    def work(tx: Tx) -> None:
        member = _member(tx.connection, account_id, person_id)
        if member.role == "owner":
            _check_another_owner(tx.connection, account_id, person_id)
        mine = (memberships.c.account_id == account_id) & (memberships.c.person_id == person_id)
        tx.connection.execute(delete(memberships).where(mine))
        _end_sessions(tx, account_id, person_id)
        if not memberships_of(tx.connection, person_id):
            tx.connection.execute(delete(people).where(people.c.person_id == person_id))
        auditing.record(tx, account_id, actor=actor, action="person.removed", subject=person_id, detail=member.email)

    return Unit(account_id, work, locks=True)


def change_profile(
    account_id: AccountId,
    person_id: str,
    actor: Actor,
    *,
    name: str,
    language: str | None,
    time_zone: str | None,
    keys_off: bool,
) -> Unit[None]:
    """Change what a person says of themselves."""

    def work(tx: Tx) -> None:
        values = {"name": name, "language": language, "time_zone": time_zone, "keys_off": keys_off}
        tx.connection.execute(update(people).where(people.c.person_id == person_id).values(values))
        auditing.record(tx, account_id, actor=actor, action="person.changed", subject=person_id)

    return Unit(account_id, work)


def change_password(
    account_id: AccountId, person_id: str, actor: Actor, password_hash: str, *, but: str | None = None
) -> Unit[None]:
    """Set a person's password, and end their sessions but for the one named `but`."""

    def work(tx: Tx) -> None:
        set_password(tx, person_id, password_hash, but=but)
        auditing.record(tx, account_id, actor=actor, action="person.password_changed", subject=person_id)

    return Unit(account_id, work)


def set_password(tx: Tx, person_id: str, password_hash: str, *, but: str | None = None) -> None:
    """Set a person's password inside a unit, and end their sessions but for the one named `but`."""
    mine = people.c.person_id == person_id
    tx.connection.execute(update(people).where(mine).values(password_hash=password_hash))
    theirs = delete(sessions).where(sessions.c.person_id == person_id)
    tx.connection.execute(theirs if but is None else theirs.where(sessions.c.session_id != but))


def rehash_password(person_id: str, before: str, after: str) -> Unit[None]:
    """Keep the same password under today's parameters, unless it was changed meanwhile."""

    def work(tx: Tx) -> None:
        unchanged = (people.c.person_id == person_id) & (people.c.password_hash == before)
        tx.connection.execute(update(people).where(unchanged).values(password_hash=after))

    return Unit(AccountId("default"), work)


def bind_identity(account_id: AccountId, person_id: str, actor: Actor, identity: str) -> Unit[None]:
    """Know a person from now on by the identity provider's own name for them."""

    def work(tx: Tx) -> None:
        mine = (people.c.person_id == person_id) & people.c.identity.is_(None)
        if not tx.connection.execute(update(people).where(mine).values(identity=identity)).rowcount:
            raise Conflict("This person is known by another identity already.")
        auditing.record(tx, account_id, actor=actor, action="person.identity_bound", subject=person_id)

    return Unit(account_id, work)


def add_passkey(
    account_id: AccountId, actor: Actor, *, person_id: str, credential_id: str, public_key: bytes, sign_count: int,
    name: str,
) -> Unit[None]:  # fmt: skip
    """Let a person sign in with a passkey. Conflict for one that is known already."""

    def work(tx: Tx) -> None:
        if find_passkey(tx.connection, credential_id) is not None:
            raise Conflict("This passkey is known already.")
        row = {
            "credential_id": credential_id,
            "person_id": person_id,
            "public_key": public_key,
            "sign_count": sign_count,
            "name": name,
            "created_at": tx.now_us,
        }
        tx.connection.execute(insert(passkeys), row)
        auditing.record(tx, account_id, actor=actor, action="person.passkey_added", subject=person_id, detail=name)

    return Unit(account_id, work)


def remove_passkey(account_id: AccountId, actor: Actor, person_id: str, credential_id: str) -> Unit[None]:
    """Forget a passkey of a person; NotFound when it is none of theirs."""

    def work(tx: Tx) -> None:
        found = None if "\0" in credential_id else find_passkey(tx.connection, credential_id)
        if found is None or found.person_id != person_id:
            raise NotFound("There is no such passkey.")
        tx.connection.execute(delete(passkeys).where(passkeys.c.credential_id == credential_id))
        auditing.record(
            tx, account_id, actor=actor, action="person.passkey_removed", subject=person_id, detail=found.name
        )

    return Unit(account_id, work)


def note_passkey_used(tx: Tx, credential_id: str, sign_count: int) -> None:
    """Keep the counter of a passkey that was just used, inside a unit."""
    mine = passkeys.c.credential_id == credential_id
    tx.connection.execute(update(passkeys).where(mine).values(sign_count=sign_count, used_at=tx.now_us))


def _end_sessions(tx: Tx, account_id: AccountId, person_id: str) -> None:
    theirs = (sessions.c.person_id == person_id) & (sessions.c.account_id == account_id)
    tx.connection.execute(delete(sessions).where(theirs))


def _check_another_owner(connection: Connection, account_id: AccountId, person_id: str) -> None:
    others = select(func.count()).select_from(memberships)
    others = others.where(
        memberships.c.account_id == account_id, memberships.c.role == "owner", memberships.c.person_id != person_id
    )
    if not connection.execute(others).scalar_one():
        raise Conflict("An account needs an owner. Make somebody else an owner first.")


def _member(connection: Connection, account_id: AccountId, person_id: str) -> Member:
    for member in list_members(connection, account_id):
        if member.person_id == person_id:
            return member
    raise NotFound("There is no such person here.")


# -- reading -----------------------------------------------------------------------------------------------------------


def has_people(connection: Connection) -> bool:
    """Whether anybody may sign in at all."""
    return connection.execute(select(people.c.person_id).limit(1)).first() is not None


def find_person(connection: Connection, person_id: str) -> Person | None:
    """Give a person by id, or None."""
    return _person(connection.execute(_people().where(people.c.person_id == person_id)).first())


def find_by_email(connection: Connection, email: str) -> Person | None:
    """Give a person by their address, however it is spelt, or None."""
    if "\0" in email:
        return None
    return _person(connection.execute(_people().where(people.c.email_key == email_key(email))).first())


def find_by_identity(connection: Connection, identity: str) -> Person | None:
    """Give a person by the identity provider's name for them, or None."""
    return _person(connection.execute(_people().where(people.c.identity == identity)).first())


def list_members(connection: Connection, account_id: AccountId) -> Sequence[Member]:
    """Give the people of an account, by name."""
    rows = connection.execute(members_of(account_id)).all()
    members = [Member(row.person_id, row.name, row.email, row.role, _instant(row.signed_in_at)) for row in rows]
    return sorted(members, key=lambda member: (member.name.casefold(), member.person_id))


def memberships_of(connection: Connection, person_id: str) -> Sequence[Membership]:
    """Give the accounts of a person, by id."""
    rows = connection.execute(accounts_of(person_id)).all()
    return [Membership(AccountId(row.account_id), row.name, row.role) for row in rows]


def find_passkey(connection: Connection, credential_id: str) -> Passkey | None:
    """Give a passkey by the id that a browser tells, or None."""
    row = connection.execute(_passkeys().where(passkeys.c.credential_id == credential_id)).first()
    return None if row is None else _passkey(row)


def list_passkeys(connection: Connection, person_id: str) -> Sequence[Passkey]:
    """Give the passkeys of a person, the oldest first."""
    rows = connection.execute(passkeys_of(person_id)).all()
    return sorted(map(_passkey, rows), key=lambda passkey: (passkey.created_at, passkey.credential_id))


def _person(row: Row[Any] | None) -> Person | None:
    if row is None:
        return None
    return Person(
        person_id=row.person_id,
        email=row.email,
        name=row.name,
        password_hash=row.password_hash,
        identity=row.identity,
        language=row.language,
        time_zone=row.time_zone,
        keys_off=bool(row.keys_off),
        created_at=from_micros(row.created_at),
        signed_in_at=_instant(row.signed_in_at),
    )


def _passkey(row: Row[Any]) -> Passkey:
    return Passkey(
        row.credential_id, row.person_id, row.public_key, row.sign_count, row.name, from_micros(row.created_at),
        _instant(row.used_at),
    )  # fmt: skip


def _instant(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


# -- statements --------------------------------------------------------------------------------------------------------


def _people() -> Select[Any]:
    return select(*people.c)


def _passkeys() -> Select[Any]:
    return select(*passkeys.c)


def passkeys_of(person_id: str) -> Select[Any]:
    """The passkeys of a person. By passkeys_by_person."""
    return _passkeys().where(passkeys.c.person_id == person_id)


def members_of(account_id: AccountId) -> Select[Any]:
    """The people of an account. Walks the memberships' primary key."""
    found = select(people.c.person_id, people.c.name, people.c.email, people.c.signed_in_at, memberships.c.role)
    found = found.select_from(memberships.join(people, people.c.person_id == memberships.c.person_id))
    return found.where(memberships.c.account_id == account_id).limit(PEOPLE_SHOWN_MAX)


def accounts_of(person_id: str) -> Select[Any]:
    """The accounts of a person. Walks memberships_by_person."""
    found = select(memberships.c.account_id, memberships.c.role, accounts.c.name)
    found = found.select_from(memberships.join(accounts, accounts.c.account_id == memberships.c.account_id))
    found = found.where(memberships.c.person_id == person_id).order_by(memberships.c.account_id)
    return found.limit(ACCOUNTS_SHOWN_MAX)
