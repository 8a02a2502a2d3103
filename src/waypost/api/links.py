"""Links that let people in to the pages of an account, made by operators, and the record of who did what."""

from datetime import timedelta
from typing import Any

from waypost.api import examples
from waypost.api.admission import read_account_id
from waypost.api.bodies import check_object, read_object
from waypost.api.call import Call
from waypost.api.checks import check_fields, nullable, one_of, text, whole_number
from waypost.api.listing import page
from waypost.api.once import answer_once
from waypost.api.operations import Access, Answer, Body, Table
from waypost.api.queries import CURSOR, LIMIT, Text
from waypost.api.reply import Reply, json_reply
from waypost.api.shapes import AuditEntry, NewPortalLink, NewSignInLink, Page, SignInLink
from waypost.errors import FieldError, InvalidDocument
from waypost.ids import AccountId
from waypost.log import auditing, links, people
from waypost.log.auditing import AuditFilter, AuditRow
from waypost.log.links import MadeLink, NewLink
from waypost.log.tables import ROLES
from waypost.mail_server import is_address

TABLE = Table("Getting in")

PORTAL_S_DEFAULT, PORTAL_S_MAX = 3600, 7 * 24 * 3600
USER_LENGTH_MAX = 200

_said = text(USER_LENGTH_MAX, length_min=1)


def _user(value: Any, path: str) -> list[FieldError]:
    if not isinstance(value, dict):
        return [FieldError(path, "must be an object with id and name")]
    missing = [FieldError(f"{path}/{name}", "is required") for name in ("id", "name") if name not in value]
    return missing + check_fields(value, {"id": _said, "name": _said}, path)


@TABLE.add(
    "POST",
    "/v1/accounts/{id}/portal-links",
    access=Access.OPERATOR,
    summary="Make a portal link",
    body=Body(type=NewPortalLink, examples={"For an hour": examples.PORTAL_LINK}),
    answers=Answer(status=201, type=SignInLink, description="The link, shown this once."),
)
async def create_portal_link(call: Call) -> Reply:
    """Sign a customer's user in to the pages of their account, for a frame in your TMS.

    The link works once, within `expires_in_seconds`; the session that it begins lasts as long. `user` stands in the
    audit log beside what is done. The frame may be held by the account's `portal.origins` alone.
    """
    account_id = read_account_id(call.path_text("id"))
    given = read_object(await call.body())
    checks = {
        "role": one_of(*ROLES),
        "expires_in_seconds": whole_number(1, PORTAL_S_MAX),
        "user": nullable(_user),
    }
    check_object(given, checks)
    session_s = given.get("expires_in_seconds", PORTAL_S_DEFAULT)
    user = given.get("user") or {}
    new = NewLink(
        kind="portal",
        account_id=account_id,
        made_by=call.actor,
        lasts=timedelta(seconds=session_s),
        role=given.get("role", "manager"),
        user_id=user.get("id"),
        name=user.get("name"),
        session_s=session_s,
    )
    return await answer_once(call, links.make_link(new), lambda made: _shown(call, "portal", made), secret=True)


@TABLE.add(
    "POST",
    "/v1/accounts/{id}/sign-in-links",
    access=Access.OPERATOR,
    summary="Make a sign-in link",
    body=Body(type=NewSignInLink, examples={"The first owner": {}}, required=False),
    answers=Answer(status=201, type=SignInLink, description="The link, shown this once."),
)
async def create_sign_in_link(call: Call) -> Reply:
    """Let the first owner of an account in, who then gives name, e-mail and password. The link works once.

    With the `email` of somebody of the account it lets them choose another password.
    """
    account_id = read_account_id(call.path_text("id"))
    given = read_object(await call.body() or b"{}")
    check_object(given, {"email": nullable(text(320, length_min=1))})
    email = given.get("email")
    if email is None:
        new = NewLink(kind="first_owner", account_id=account_id, made_by=call.actor, role="owner")
        return await answer_once(call, links.make_link(new), lambda made: _shown(call, "join", made), secret=True)
    person_id = await _member(call, account_id, email)
    new = NewLink(kind="password", account_id=account_id, made_by=call.actor, person_id=person_id)
    return await answer_once(call, links.make_link(new), lambda made: _shown(call, "password", made), secret=True)


@TABLE.add(
    "GET",
    "/v1/accounts/{id}/audit",
    access=Access.OPERATOR,
    summary="Read the audit log",
    queries=[
        Text(name="actor", description="Only what this `actor_id` did.", length_max=200),
        Text(name="action", description="Only this action, such as `endpoint.created`.", length_max=100),
        Text(name="subject", description="Only what was done to the thing with this id.", length_max=200),
        LIMIT,
        CURSOR,
    ],
    answers=Answer(status=200, type=Page[AuditEntry], description="A page, the newest first."),
)
async def list_audit(call: Call) -> Reply:
    """Give who did what in an account: every change, every sign-in, and every reveal of a secret."""
    account = await call.services.log.get_account(read_account_id(call.path_text("id")))
    wanted = AuditFilter(call.query("actor"), call.query("action"), call.query("subject"))
    limit, cursor = call.query("limit"), call.query("cursor")
    listed = await call.services.log.look(
        lambda connection, _: auditing.read_audit(connection, account.account_id, wanted, limit, cursor)
    )
    return page(map(_entry, listed.items), listed.next)


async def _member(call: Call, account_id: AccountId, email: str) -> str:
    await call.services.log.get_account(account_id)
    key = people.email_key(email)
    members = await call.services.log.look(lambda connection, _: people.list_members(connection, account_id))
    for member in members:
        if people.email_key(member.email) == key and is_address(email.strip()):
            return member.person_id
    raise InvalidDocument("Nobody in this account has this e-mail address.", path="/email")


def _shown(call: Call, place: str, made: MadeLink) -> Reply:
    url = f"{call.services.public_url}/{place}/{made.token}"
    return json_reply(SignInLink(url=url, expires_at=made.link.expires_at), 201)


def _entry(row: AuditRow) -> AuditEntry:
    return AuditEntry(
        id=row.audit_id,
        recorded_at=row.recorded_at,
        actor=row.actor.name,
        actor_id=row.actor.actor_id,
        action=row.action,
        subject=row.subject,
        detail=row.detail,
    )
