"""The people of an account: who may do what, invitations, and the link with which a developer adds an endpoint."""

from typing import Any, cast

import structlog
from litestar import Response, get, post

from waypost.dashboard.forms import Typed, typed
from waypost.dashboard.keeper import MailNotSent
from waypost.dashboard.visit import PageRequest, Visit
from waypost.errors import Conflict, Forbidden, NotFound
from waypost.log import links, people
from waypost.log.links import MadeLink, NewLink
from waypost.log.people import PERSON_ROLES, Member, PersonRole
from waypost.mail_server import is_address

PEOPLE = "/settings/account/people"
WRITE = "endpoints:write"

log = structlog.get_logger(__name__)


@get(PEOPLE)
async def people_page(visit: Visit) -> Response[str]:
    """Show who may do what in the account."""
    _check(visit)
    return await _page(visit, Typed({"role": "manager"}))


@post(f"{PEOPLE}/invite", status_code=200)
async def invite(visit: Visit, request: PageRequest) -> Response[Any]:
    """Make an invitation, mail it where mail is set up, and show its link this once."""
    visit.require("owner")
    form = typed((await request.form()).multi_items())
    email, role = form["email"].strip(), form["role"]
    errors = {}
    if not is_address(email):
        errors["email"] = visit.words("This is no e-mail address.")
    elif any(people.email_key(member.email) == people.email_key(email) for member in await _members(visit)):
        errors["email"] = visit.words("This person is here already.")
    if role not in PERSON_ROLES:
        errors["role"] = visit.words("Choose one of the roles.")
    if errors:
        return await _page(visit, Typed(form.values, errors), status=422)
    new = NewLink(
        kind="invitation",
        account_id=visit.account_id,
        made_by=visit.session.actor,
        email=email,
        role=cast(PersonRole, role),
    )
    made = await visit.log.do(links.make_link(new))
    url = _url(visit, "join", made)
    text = visit.words(
        "%(name)s invites you to %(account)s at Waypost. Open this link within 7 days; it works once:\n\n%(url)s",
        name=visit.session.name,
        account=visit.session.account_name,
        url=url,
    )
    subject = visit.words("Invitation to %(account)s", account=visit.session.account_name)
    mailed = await _mail(visit, email, subject, text)
    return _shown(visit, visit.words("Invitation for %(email)s", email=email), url, made, mailed=mailed)


@post(f"{PEOPLE}/withdraw", status_code=200)
async def withdraw(visit: Visit, request: PageRequest) -> Response[Any]:
    """Make an invitation, or a developer's link, useless."""
    _check(visit)
    link_id = str((await request.form()).get("link_id", ""))[:64]
    kinds = ("invitation", "setup") if visit.may("owner") else ("setup",)
    for kind in kinds:
        if link_id in [link.link_id for link in await _open_links(visit, cast(links.LinkKind, kind))]:
            await visit.log.do(links.withdraw_link(visit.account_id, link_id, visit.session.actor))
            return visit.go(PEOPLE, said=visit.words("The link does not work any more."))
    raise NotFound(visit.words("There is no such link."))


@post(f"{PEOPLE}/{{person_id:str}}/role", status_code=200)
async def change_role(visit: Visit, request: PageRequest, person_id: str) -> Response[Any]:
    """Give a person another role. They sign in anew."""
    visit.require("owner")
    role = str((await request.form()).get("role", ""))
    if role not in PERSON_ROLES:
        raise NotFound(visit.words("There is no such role."))
    unit = people.change_role(visit.account_id, person_id, role, visit.session.actor)
    try:
        await visit.log.do(unit)
    except Conflict as error:
        return await _page(visit, Typed({"role": "manager"}, {}, visit.words(error.detail)), status=error.status)
    return visit.go(PEOPLE, said=visit.words("The role is changed. It counts from the next sign-in."))


@post(f"{PEOPLE}/{{person_id:str}}/remove", status_code=200)
async def remove(visit: Visit, person_id: str) -> Response[Any]:
    """Take a person out of the account, and end their sessions in it."""
    visit.require("owner")
    try:
        await visit.log.do(people.remove_member(visit.account_id, person_id, visit.session.actor))
    except Conflict as error:
        return await _page(visit, Typed({"role": "manager"}, {}, visit.words(error.detail)), status=error.status)
    return visit.go(PEOPLE, said=visit.words("The person is removed."))


@post(f"{PEOPLE}/{{person_id:str}}/password-link", status_code=200)
async def password_link(visit: Visit, person_id: str) -> Response[Any]:
    """Let a person choose another password, by mail where there is mail.

    Shown here, the link would let an owner be that person. Where the person belongs to other accounts too, it is not.
    """
    visit.require("owner")
    member = next((one for one in await _members(visit) if one.person_id == person_id), None)
    if member is None:
        raise NotFound(visit.words("There is no such person here."))
    has_mail = visit.frame.keeper.entrance.send_mail is not None
    accounts = await visit.log.look(lambda connection, _: people.memberships_of(connection, person_id))
    if not has_mail and len(accounts) > 1 and visit.session.kind != "operator":
        refusal = visit.words(
            "This person belongs to other accounts too, and this server sends no mail. Ask who runs the server."
        )
        raise Forbidden(refusal)
    new = NewLink(kind="password", account_id=visit.account_id, made_by=visit.session.actor, person_id=member.person_id)
    made = await visit.log.do(links.make_link(new))
    url = _url(visit, "password", made)
    title = visit.words("Another password for %(name)s", name=member.name)
    if not has_mail:
        return _shown(visit, title, url, made, mailed=False)
    text = visit.words("Choose another password at Waypost within an hour:\n\n%(url)s", url=url)
    if not await _mail(visit, member.email, visit.words("Your password at Waypost"), text):
        problem = visit.words("The mail server did not take the mail. Try again later.")
        return await _page(visit, Typed({"role": "manager"}, {}, problem), status=503)
    return visit.go(PEOPLE, said=visit.words("A link is on its way to %(email)s.", email=member.email))


@post(f"{PEOPLE}/setup-link", status_code=200)
async def setup_link(visit: Visit) -> Response[Any]:
    """Make the link with which a developer adds an endpoint, and can do nothing else, and show it this once."""
    _check(visit)
    new = NewLink(kind="setup", account_id=visit.account_id, made_by=visit.session.actor, role="setup")
    made = await visit.log.do(links.make_link(new))
    title = visit.words("Link for your developer")
    return _shown(visit, title, _url(visit, "add-endpoint", made), made, mailed=False)


def _check(visit: Visit) -> None:
    if visit.session.role not in ("owner", "manager"):
        visit.require("owner")


async def _members(visit: Visit) -> list[Member]:
    return list(await visit.log.look(lambda connection, _: people.list_members(connection, visit.account_id)))


async def _open_links(visit: Visit, kind: links.LinkKind) -> list[links.Link]:
    now = visit.now
    return list(
        await visit.log.look(lambda connection, _: links.list_open_links(connection, visit.account_id, kind, now))
    )


async def _page(visit: Visit, form: Typed, *, status: int = 200) -> Response[str]:
    return visit.page(
        "people.html",
        status=status,
        active="people",
        form=form,
        members=await _members(visit),
        invitations=await _open_links(visit, "invitation"),
        setup_links=await _open_links(visit, "setup"),
        roles=PERSON_ROLES,
        has_mail=visit.frame.keeper.entrance.send_mail is not None,
    )


def _shown(visit: Visit, title: str, url: str, made: MadeLink, *, mailed: bool) -> Response[str]:
    return visit.page("link_made.html", active="people", title=title, url=url, link=made.link, mailed=mailed)


def _url(visit: Visit, place: str, made: MadeLink) -> str:
    return f"{visit.frame.services.public_url}/{place}/{made.token}"


async def _mail(visit: Visit, recipient: str, subject: str, text: str) -> bool:
    send = visit.frame.keeper.entrance.send_mail
    if send is None:
        return False
    try:
        await send(recipient, subject, text)
    except MailNotSent as error:
        log.warning("mail_not_sent", reason=str(error))
        return False
    return True


HANDLERS = [people_page, invite, withdraw, change_role, remove, password_link, setup_link]
