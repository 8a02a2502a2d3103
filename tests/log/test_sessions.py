"""People, sessions and links in the database: what works once works once, and what ended is gone."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from log.builders import DEFAULT
from log.test_indexes import plan_of
from waypost.errors import Conflict, NotFound
from waypost.ids import AccountId
from waypost.log import Database, Log, Tx, Unit, auditing, links, people, sessions, units
from waypost.log.auditing import Actor, AuditFilter, read_audit
from waypost.log.links import Newcomer, NewLink
from waypost.log.sessions import A_DAY, OPERATOR, STAYING, NewSession, Opened, Session
from waypost.log.tables import links as link_rows
from waypost.log.tables import sessions as session_rows

HELGA = "helga@fossvik.example"


async def a_person(log: Log, role: Any = "owner", email: str = HELGA) -> str:
    """Make a person of the account `default`; give the id."""

    def work(tx: Tx) -> str:
        person_id = people.add_person(tx, email=email, name="Helga", password_hash=None)
        people.put_member(tx, DEFAULT, person_id, role)
        return person_id

    return await log.do(Unit(DEFAULT, work))


async def signed_in(log: Log, person_id: str, before: bytes | None = None) -> Opened:
    """Begin a session of a person."""
    new = NewSession(
        account_id=DEFAULT, kind="person", actor=Actor("Helga", person_id), lasting=STAYING, person_id=person_id
    )
    return await log.do(sessions.open_session(new, how="test", before=before))


async def run(log: Log, statement: str) -> None:
    """Change the database behind the back of everything."""

    def work(tx: Tx) -> None:
        tx.connection.execute(text(statement))

    await log.do(Unit(DEFAULT, work))


async def found(log: Log, opened: Opened, at: datetime | None = None) -> Session | None:
    """The session that the cookie of `opened` leads to now, or at another time."""
    now = at or opened.expires_at - STAYING.life
    return await log.look(lambda connection, _: sessions.find_session(connection, opened.token, now))


async def a_link(log: Log, **wanted: Any) -> str:
    """Give what a link holds."""
    return (await log.do(links.make_link(NewLink(account_id=DEFAULT, made_by=OPERATOR, **wanted)))).token


# -- sessions ----------------------------------------------------------------------------------------------------------


async def test_a_session_knows_its_person_and_their_role(log: Log) -> None:
    person_id = await a_person(log, "manager")
    session = await found(log, await signed_in(log, person_id))
    assert session is not None
    assert (session.person_id, session.role, session.name) == (person_id, "manager", "Helga")
    assert session.account_name == "Default"
    assert (session.portal, session.may_switch) == (None, False)


async def test_what_a_cookie_holds_is_not_stored(log: Log, database: Database) -> None:
    opened = await signed_in(log, await a_person(log))
    with database.readers.connect() as connection:
        rows = repr(connection.execute(select(session_rows)).all())
    assert opened.session_id in rows
    assert opened.token not in rows


async def test_the_role_is_the_memberships_at_each_look(log: Log) -> None:
    opened = await signed_in(log, await a_person(log, "owner"))
    await run(log, "UPDATE memberships SET role = 'viewer'")
    session = await found(log, opened)
    assert session is not None
    assert session.role == "viewer"


async def test_who_is_of_the_account_no_more_has_no_session(log: Log) -> None:
    opened = await signed_in(log, await a_person(log))
    await run(log, "DELETE FROM memberships")
    assert await found(log, opened) is None


async def test_a_renewed_session_has_another_id_and_the_old_one_is_nobodys(log: Log) -> None:
    opened = await signed_in(log, await a_person(log))
    session = await found(log, opened)
    assert session is not None
    renewed = await log.do(sessions.renew_session(session))
    assert renewed.session_id != opened.session_id
    assert await found(log, opened) is None
    assert await found(log, renewed) is not None
    with pytest.raises(NotFound):
        await log.do(sessions.renew_session(session))


async def test_signing_in_ends_the_session_that_the_browser_had(log: Log) -> None:
    person_id = await a_person(log)
    first = await signed_in(log, person_id)
    second = await signed_in(log, person_id, before=sessions.token_hash(first.token))
    assert await found(log, first) is None
    assert await found(log, second) is not None


async def test_sessions_that_are_over_are_swept_out_by_the_next_sign_in(log: Log, database: Database) -> None:
    person_id = await a_person(log)
    old = await signed_in(log, person_id)
    await run(log, "UPDATE sessions SET expires_at = 1")
    await signed_in(log, person_id)
    with database.readers.connect() as connection:
        kept = connection.execute(select(session_rows.c.session_id)).scalars().all()
    assert len(kept) == 1
    assert old.session_id not in kept


async def test_a_session_of_a_person_who_is_nobody_is_refused_by_the_database(log: Log) -> None:
    new = NewSession(account_id=DEFAULT, kind="portal", actor=Actor("x", "portal:1"), lasting=A_DAY)
    with pytest.raises(IntegrityError):
        await log.do(sessions.open_session(new, how="test"))


async def test_only_ones_own_sessions_are_listed_and_ended(log: Log) -> None:
    mine, theirs = await a_person(log), await a_person(log, email="jonas@fossvik.example")
    first, second, other = await signed_in(log, mine), await signed_in(log, mine), await signed_in(log, theirs)
    session = await found(log, first)
    assert session is not None
    now = datetime.now(UTC)
    listed = await log.look(lambda connection, _: sessions.list_sessions(connection, mine, now))
    assert {one.session_id for one in listed} == {first.session_id, second.session_id}
    with pytest.raises(NotFound):
        await log.do(sessions.end_session(session, other.session_id))
    await log.do(sessions.end_session(session, second.session_id))
    assert await found(log, second) is None
    assert await found(log, other) is not None


# -- links -------------------------------------------------------------------------------------------------------------


async def test_of_fifty_who_come_by_one_link_at_once_one_gets_in(log: Log, database: Database) -> None:
    token = await a_link(log, kind="portal", role="viewer", session_s=60)
    outcomes = await asyncio.gather(
        *(log.do(links.enter_by_link(token, "portal", "", None)) for _ in range(50)), return_exceptions=True
    )
    assert sum(isinstance(outcome, Opened) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, NotFound) for outcome in outcomes) == 49
    with database.readers.connect() as connection:
        assert len(connection.execute(select(session_rows)).all()) == 1


async def test_a_link_is_of_its_kind_alone(log: Log) -> None:
    token = await a_link(log, kind="setup", role="setup")
    with pytest.raises(NotFound):
        await log.do(links.enter_by_link(token, "portal", "", None))
    with pytest.raises(NotFound):
        await log.do(links.join_by_link(token, Newcomer(name="E", email="e@e.example"), A_DAY, ""))
    await log.do(links.enter_by_link(token, "setup", "", None))


async def test_another_link_for_the_first_owner_makes_the_one_before_useless(log: Log) -> None:
    first = await a_link(log, kind="first_owner", role="owner")
    second = await a_link(log, kind="first_owner", role="owner")
    newcomer = Newcomer(name="Helga", email=HELGA, password_hash="$argon2id$…")
    with pytest.raises(NotFound):
        await log.do(links.join_by_link(first, newcomer, A_DAY, ""))
    await log.do(links.join_by_link(second, newcomer, A_DAY, ""))


async def test_a_join_that_is_refused_does_not_use_the_link_up(log: Log) -> None:
    await a_person(log)
    token = await a_link(log, kind="invitation", email=HELGA, role="viewer")
    with pytest.raises(Conflict):
        await log.do(links.join_by_link(token, Newcomer(name="Eve", password_hash="x"), A_DAY, ""))
    link = await log.look(lambda connection, _: links.find_link(connection, token))
    assert link is not None
    assert link.used_at is None


async def test_an_invitation_never_takes_a_role_away(log: Log) -> None:
    person_id = await a_person(log, "owner")
    token = await a_link(log, kind="invitation", email=HELGA, role="viewer")
    await log.do(links.join_by_link(token, Newcomer(person_id=person_id), A_DAY, ""))
    (member,) = await log.look(lambda connection, _: people.list_members(connection, DEFAULT))
    assert member.role == "owner"


async def test_what_a_link_holds_is_not_stored(log: Log, database: Database) -> None:
    token = await a_link(log, kind="portal", role="viewer", session_s=60)
    with database.readers.connect() as connection:
        assert token not in repr(connection.execute(select(link_rows)).all())


async def test_a_withdrawn_link_lets_nobody_in(log: Log) -> None:
    made = await log.do(links.make_link(NewLink(kind="setup", account_id=DEFAULT, made_by=OPERATOR, role="setup")))
    await log.do(links.withdraw_link(DEFAULT, made.link.link_id, OPERATOR))
    with pytest.raises(NotFound):
        await log.do(links.enter_by_link(made.token, "setup", "", None))
    with pytest.raises(NotFound):
        await log.do(links.withdraw_link(DEFAULT, made.link.link_id, OPERATOR))


# -- people ------------------------------------------------------------------------------------------------------------


async def test_an_account_keeps_an_owner(log: Log) -> None:
    first = await a_person(log)
    for unit in (
        people.change_role(DEFAULT, first, "viewer", OPERATOR),
        people.remove_member(DEFAULT, first, OPERATOR),
    ):
        with pytest.raises(Conflict):
            await log.do(unit)
    second = await a_person(log, email="jonas@fossvik.example")
    await log.do(people.change_role(DEFAULT, first, "viewer", OPERATOR))
    with pytest.raises(Conflict):
        await log.do(people.remove_member(DEFAULT, second, OPERATOR))


async def test_of_two_owners_who_remove_each_other_at_once_one_stays(log: Log) -> None:
    first, second = await a_person(log), await a_person(log, email="jonas@fossvik.example")
    outcomes = await asyncio.gather(
        *(log.do(people.remove_member(DEFAULT, one, OPERATOR)) for one in (first, second)), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "NoneType"]


async def test_who_is_of_no_account_any_more_is_forgotten(log: Log) -> None:
    await a_person(log)
    person_id = await a_person(log, "viewer", "jonas@fossvik.example")
    await log.do(people.remove_member(DEFAULT, person_id, OPERATOR))
    assert await log.look(lambda connection, _: people.find_person(connection, person_id)) is None


async def test_an_address_is_one_persons_however_it_is_spelt(log: Log) -> None:
    await a_person(log)
    with pytest.raises(IntegrityError):
        await a_person(log, email="HELGA@fossvik.Example")


# -- the audit log -----------------------------------------------------------------------------------------------------


async def test_the_audit_log_is_of_one_account(log: Log) -> None:
    await log.do(units.create_account("fossvik", "Fossvik"))
    await a_link(log, kind="setup", role="setup")
    fossvik = AccountId("fossvik")
    theirs = await log.look(lambda connection, _: read_audit(connection, fossvik, AuditFilter(), 10, None))
    assert theirs.items == []


STATEMENTS = {
    "session": sessions.session_with(b""),
    "sessions of": sessions.sessions_of("per_1"),
    "link": links.link_with(b""),
    "links of": links.links_of(DEFAULT, "setup"),
    "members": people.members_of(DEFAULT),
    "accounts of": people.accounts_of("per_1"),
    "passkeys of": people.passkeys_of("per_1"),
    "audit": auditing.audit_before(DEFAULT, AuditFilter(), "", 50),
    "audit by actor": auditing.audit_before(DEFAULT, AuditFilter(actor_id="per_1"), "aud_1", 50),
    "audit by action": auditing.audit_before(DEFAULT, AuditFilter(action="token.created"), "aud_1", 50),
    "audit by subject": auditing.audit_before(DEFAULT, AuditFilter(subject="ep_1"), "aud_1", 50),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_look_at_the_door_reads_a_whole_table(database: Database, name: str) -> None:
    if not database.is_sqlite:
        pytest.skip("how SQLite goes about it; PostgreSQL scans a table as small as this whatever its indexes")
    plan = plan_of(database, STATEMENTS[name])
    assert plan
    assert not [step for step in plan if step.startswith("SCAN") or "TEMP B-TREE" in step], plan
