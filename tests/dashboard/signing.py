"""Sessions for tests, without a sign-in: people of any role, the operator, a portal's user, a developer with a link."""

from datetime import timedelta
from typing import Literal

from waypost.dashboard.cookies import PORTAL, SESSION, Cookies
from waypost.errors import NotFound
from waypost.ids import AccountId
from waypost.log import Log, Tx, Unit, people, units
from waypost.log.auditing import Actor
from waypost.log.people import PersonRole
from waypost.log.sessions import OPERATOR, STAYING, Lasting, NewSession, Opened, Role, SessionKind, open_session

Who = Literal["owner", "manager", "viewer", "operator", "portal", "setup"]
SHORT = Lasting(idle=timedelta(hours=1), life=timedelta(hours=1))


async def an_account(log: Log, account: str) -> AccountId:
    """Give an account, made where it is missing."""
    account_id = AccountId(account)
    try:
        await log.get_account(account_id)
    except NotFound:
        await log.do(units.create_account(account, account.title()))
    return account_id


async def a_person(
    log: Log, role: PersonRole = "owner", account: str = "default", *, email: str | None = None,
    password_hash: str | None = None,
) -> str:  # fmt: skip
    """Make a person of an account, or let one be of it too; give the id."""
    account_id, address = await an_account(log, account), email or f"{role}@{account}.example"

    def work(tx: Tx) -> str:
        known = people.find_by_email(tx.connection, address)
        name = address.partition("@")[0].title()
        person_id = known.person_id if known else people.add_person(
            tx, email=address, name=name, password_hash=password_hash
        )  # fmt: skip
        people.put_member(tx, account_id, person_id, role)
        return person_id

    return await log.do(Unit(account_id, work))


async def a_session(log: Log, who: Who = "owner", account: str = "default", *, role: Role = "manager") -> Opened:
    """Begin a session in an account. `role` is a portal user's."""
    account_id = await an_account(log, account)
    if who == "operator":
        new = NewSession(
            account_id=account_id, kind="operator", actor=OPERATOR, lasting=SHORT, role="owner", name="operator"
        )
    elif who in ("portal", "setup"):
        kind: SessionKind = "portal" if who == "portal" else "setup"
        new = NewSession(
            account_id=account_id, kind=kind, actor=Actor("Jonas Tamm (portal)", f"{who}:7"), lasting=SHORT,
            role=role if who == "portal" else "setup", name="Jonas Tamm (portal)",
        )  # fmt: skip
    else:
        person_id = await a_person(log, who, account)  # type: ignore[arg-type]
        actor = Actor(who.title(), person_id)
        new = NewSession(account_id=account_id, kind="person", actor=actor, lasting=STAYING, person_id=person_id)
    return await log.do(open_session(new, how="test"))


def cookie_of(opened: Opened, public_url: str = "https://waypost.test", *, is_portal: bool = False) -> str:
    """Give the `Cookie` header of a session."""
    return f"{Cookies(public_url).name(PORTAL if is_portal else SESSION)}={opened.token}"
