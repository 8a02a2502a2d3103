"""Getting in and out: sign-in, the links that lead in, a forgotten password, another account."""

from typing import Any

import structlog
from litestar import Response, get, post

from waypost.dashboard import door
from waypost.dashboard.cookies import make_language_cookie
from waypost.dashboard.forms import Typed, typed
from waypost.dashboard.guest import Guest
from waypost.dashboard.keeper import MailNotSent
from waypost.dashboard.passwords import weakness
from waypost.dashboard.visit import SETUP_PATHS, Frame, PageRequest, Visit
from waypost.dashboard.words import LANGUAGES
from waypost.errors import CallerError, Conflict, NotFound, TooManyRequests, Unauthorized
from waypost.ids import AccountId
from waypost.log import links, people, sessions
from waypost.log.accounts import OPERATOR_TOKEN_ID
from waypost.log.auditing import Actor
from waypost.log.links import Link, Newcomer, NewLink
from waypost.log.people import Person
from waypost.log.sessions import A_DAY, OF_THE_OPERATOR, OPERATOR, STAYING, NewSession, Opened
from waypost.mail_server import is_address

WRONG = "The e-mail or the password is not right."
WRONG_TOKEN = "This is not the operator token of this server."  # noqa: S105 - a sentence
NAME_LENGTH_MAX = 200
SETUP_START = "/settings/integrations/webhooks/new"

assert SETUP_START in SETUP_PATHS

log = structlog.get_logger(__name__)


# -- sign-in -----------------------------------------------------------------------------------------------------------


@get("/sign-in")
async def sign_in_page(guest: Guest, request: PageRequest) -> Response[Any]:
    """Show the form, or go on for who is signed in."""
    target = door.path_of_ours(request.query_params.get("next"))
    if await door.session_of(guest.frame, request) is not None:
        return door.redirect(target)
    with_token = request.query_params.get("with") == "operator"
    return await _sign_in(guest, Typed({"next": target}), with_token=with_token)


@post("/sign-in", status_code=200)
async def sign_in(guest: Guest, request: PageRequest) -> Response[Any]:
    """Sign a person in by e-mail and password. Wrong data is told by one sentence that does not say which."""
    form = typed((await request.form()).multi_items())
    frame = guest.frame
    try:
        door.count_try(frame, request)
        person = await verified(frame, form["email"], form["password"])
        opened = await begin_person(frame, request, person, stays=form.on("stay"), how="password")
    except (TooManyRequests, Unauthorized) as error:
        return await _refuse(guest, form, error)
    return door.let_in(frame, opened, door.path_of_ours(form["next"]))


@post("/sign-in/operator", status_code=200)
async def sign_in_as_operator(guest: Guest, request: PageRequest) -> Response[Any]:
    """Sign the operator in by the token of this server."""
    form = typed((await request.form()).multi_items())
    frame = guest.frame
    try:
        door.count_try(frame, request)
        if not await is_operator_token(frame, form["token"]):
            raise Unauthorized(WRONG_TOKEN)
    except (TooManyRequests, Unauthorized) as error:
        return await _refuse(guest, form, error, with_token=True)
    new = NewSession(
        account_id=AccountId("default"),
        kind="operator",
        actor=OPERATOR,
        lasting=OF_THE_OPERATOR,
        client=door.client_of(frame, request),
        role="owner",
        name=OPERATOR.name,
    )
    before = door.session_before(frame, request)
    opened = await frame.services.log.do(sessions.open_session(new, how="operator token", before=before))
    return door.let_in(frame, opened, door.path_of_ours(form["next"]))


@post("/sign-out", status_code=200)
async def sign_out(visit: Visit) -> Response[Any]:
    """End the session here and on the server."""
    await visit.log.do(sessions.sign_out(visit.session))
    return door.let_out(visit.frame, visit.session)


@post("/switch", status_code=200)
async def switch_account(visit: Visit, request: PageRequest) -> Response[Any]:
    """Go to another account of the same person, or as the operator to any; under another session id."""
    account_id = AccountId(str((await request.form()).get("account_id", ""))[:64])
    opened = await visit.log.do(sessions.renew_session(visit.session, account_id))
    return door.let_in(visit.frame, opened, "/")


@get("/language/{code:str}")
async def choose_language(request: PageRequest, guest: Guest, code: str) -> Response[Any]:
    """Keep a language in this browser."""
    target = door.path_of_ours(request.query_params.get("next") or "/sign-in")
    cookies = [make_language_cookie(code)] if code in LANGUAGES else []
    return door.redirect(target, cookies)


async def verified(frame: Frame, email: str, password: str) -> Person:
    """Give the person whose e-mail and password these are, or raise Unauthorized after as long a time."""
    found = await frame.services.log.look(lambda connection, _: people.find_by_email(connection, email[:320]))
    stored = found.password_hash if found is not None else None
    passwords = frame.keeper.passwords
    if not await passwords.verify(stored, password) or found is None or stored is None:
        log.info("sign_in_refused")
        raise Unauthorized(WRONG)
    if passwords.is_outdated(stored):
        newer = await passwords.hash(password)
        await frame.services.log.do(people.rehash_password(found.person_id, stored, newer))
    return found


async def is_operator_token(frame: Frame, token: str) -> bool:
    """Whether this is the token of who runs the server."""
    if not 1 <= len(token) <= 512 or not token.isascii():
        return False
    principal = await frame.services.log.authenticate(token.strip())
    return principal is not None and principal.operator and principal.token_id == OPERATOR_TOKEN_ID


async def begin_person(frame: Frame, request: PageRequest, person: Person, *, stays: bool, how: str) -> Opened:
    """Begin the session of a person, in the first of their accounts; Unauthorized when they are of none."""
    mine = await frame.services.log.look(lambda connection, _: people.memberships_of(connection, person.person_id))
    if not mine:
        raise Unauthorized(WRONG)
    new = NewSession(
        account_id=mine[0].account_id,
        kind="person",
        actor=Actor(person.name, person.person_id),
        lasting=STAYING if stays else A_DAY,
        client=door.client_of(frame, request),
        person_id=person.person_id,
    )
    before = door.session_before(frame, request)
    return await frame.services.log.do(sessions.open_session(new, how=how, before=before))


async def _sign_in(guest: Guest, form: Typed, *, status: int = 200, with_token: bool = False) -> Response[Any]:
    keeper = guest.frame.keeper
    return guest.page(
        "sign_in.html",
        status=status,
        form=form,
        with_token=with_token,
        is_safe=keeper.cookies.are_safe_at(guest.request.headers.get("host", "")),
        has_people=await guest.frame.services.log.look(lambda connection, _: people.has_people(connection)),
        provider=keeper.entrance.provider.name if keeper.entrance.provider else None,
    )


async def _refuse(guest: Guest, form: Typed, error: CallerError, *, with_token: bool = False) -> Response[Any]:
    said = Typed({**form.values, "password": "", "token": ""}, {}, guest.words(error.detail))
    page = await _sign_in(guest, said, status=error.status, with_token=with_token)
    page.headers.update(error.headers)
    return page


# -- links that lead in ------------------------------------------------------------------------------------------------


@get("/join/{token:str}")
async def join_page(guest: Guest, request: PageRequest, token: str) -> Response[Any]:
    """Show who is invited what to fill in. Looking does not use the link up."""
    link = await _open_link(guest, token, "first_owner", "invitation")
    known = await _known(guest.frame, link.email)
    return await _join(guest, token, link, Typed({"email": link.email or ""}), is_known=known is not None)


@post("/join/{token:str}", status_code=200)
async def join(guest: Guest, request: PageRequest, token: str) -> Response[Any]:
    """Let the first owner or who is invited in; who is known already, by their password."""
    frame, form = guest.frame, typed((await request.form()).multi_items())
    door.count_try(frame, request)
    link = await _open_link(guest, token, "first_owner", "invitation")
    email = link.email or form["email"].strip()
    known = await _known(frame, email)
    try:
        newcomer = await _newcomer(guest, form, email, known)
        unit = links.join_by_link(
            token,
            newcomer,
            STAYING if form.on("stay") else A_DAY,
            door.client_of(frame, request),
            door.session_before(frame, request),
        )
        opened = await frame.services.log.do(unit)
    except _Wrong as wrong:
        return await _join(guest, token, link, wrong.form, is_known=known is not None, status=422)
    except Conflict as conflict:
        form = Typed(form.values, {}, guest.words(conflict.detail))
        return await _join(guest, token, link, form, is_known=True, status=conflict.status)
    return door.let_in(frame, opened, "/")


class _Wrong(Exception):
    """What was typed is not enough."""

    def __init__(self, form: Typed) -> None:
        super().__init__("wrong input")
        self.form = form


async def _newcomer(guest: Guest, form: Typed, email: str, known: Person | None) -> Newcomer:
    words, passwords = guest.words, guest.frame.keeper.passwords
    if known is not None:
        try:
            person = await verified(guest.frame, email, form["password"])
        except Unauthorized:
            wrong = words("This is not the password of %(email)s.", email=email)
            raise _Wrong(Typed(form.values, {"password": wrong})) from None
        return Newcomer(person_id=person.person_id)
    errors: dict[str, str] = {}
    if not 1 <= len(form["name"].strip()) <= NAME_LENGTH_MAX:
        errors["name"] = words("Say your name: it stands beside what you do.")
    if not is_address(email):
        errors["email"] = words("This is no e-mail address.")
    if (weak := weakness(form["password"], form["name"], email)) is not None:
        errors["password"] = words(weak)
    if errors:
        raise _Wrong(Typed(form.values, errors))
    hashed = await passwords.hash(form["password"])
    return Newcomer(name=form["name"].strip(), email=email, password_hash=hashed)


async def _join(
    guest: Guest, token: str, link: Link, form: Typed, *, is_known: bool, status: int = 200
) -> Response[Any]:
    account = await guest.frame.services.log.get_account(link.account_id)
    return guest.page(
        "join.html", status=status, form=form, token=token, link=link, account=account.name, is_known=is_known
    )


async def _known(frame: Frame, email: str | None) -> Person | None:
    if not email:
        return None
    return await frame.services.log.look(lambda connection, _: people.find_by_email(connection, email))


async def _open_link(guest: Guest, token: str, *kinds: links.LinkKind) -> Link:
    now = guest.now
    return await guest.frame.services.log.look(
        lambda connection, _: links.find_open_link(connection, token[:128], now, *kinds)
    )


@get("/add-endpoint/{token:str}")
async def setup_link_page(guest: Guest, token: str) -> Response[Any]:
    """Show what the link of a developer is for. Looking does not use it up."""
    link = await _open_link(guest, token, "setup")
    account = await guest.frame.services.log.get_account(link.account_id)
    return guest.page("setup_link.html", link=link, account=account.name, token=token)


@post("/add-endpoint/{token:str}", status_code=200)
async def enter_setup(guest: Guest, request: PageRequest, token: str) -> Response[Any]:
    """Let a developer in, to add an endpoint."""
    frame = guest.frame
    door.count_try(frame, request)
    unit = links.enter_by_link(token, "setup", door.client_of(frame, request), door.session_before(frame, request))
    return door.let_in(frame, await frame.services.log.do(unit), SETUP_START)


# -- a forgotten password ----------------------------------------------------------------------------------------------


@get("/forgotten")
async def forgotten_page(guest: Guest) -> Response[Any]:
    """Say what to do."""
    has_mail = guest.frame.keeper.entrance.send_mail is not None
    return guest.page("forgotten.html", form=Typed(), has_mail=has_mail, sent=False)


@post("/forgotten", status_code=200)
async def send_password_link(guest: Guest, request: PageRequest) -> Response[Any]:
    """Mail a link to who has this address; the answer is the same when nobody has."""
    frame, form = guest.frame, typed((await request.form()).multi_items())
    door.count_try(frame, request)
    send = frame.keeper.entrance.send_mail
    if send is None:
        raise NotFound("This server sends no mail.")
    person = await _known(frame, form["email"].strip()[:320])
    if person is not None:
        # Mailing takes its time, by which the answer would tell who is known.
        frame.keeper.in_background(_mail_password_link(guest, person))
    return guest.page("forgotten.html", form=form, has_mail=True, sent=True)


async def _mail_password_link(guest: Guest, person: Person) -> None:
    frame = guest.frame
    mine = await frame.services.log.look(lambda connection, _: people.memberships_of(connection, person.person_id))
    send = frame.keeper.entrance.send_mail
    if not mine or send is None:
        return
    actor = Actor(person.name, person.person_id)
    new = NewLink(kind="password", account_id=mine[0].account_id, made_by=actor, person_id=person.person_id)
    made = await frame.services.log.do(links.make_link(new))
    text = guest.words(
        "Somebody asked for another password for you at Waypost. Choose it here within an hour:\n\n%(url)s\n\n"
        "If it was not you, nothing needs to be done.",
        url=f"{frame.services.public_url}/password/{made.token}",
    )
    try:
        await send(person.email, guest.words("Your password at Waypost"), text)
    except MailNotSent as error:
        log.warning("password_mail_not_sent", person_id=person.person_id, reason=str(error))


@get("/password/{token:str}")
async def password_page(guest: Guest, token: str) -> Response[Any]:
    """Show the form for another password. Looking does not use the link up."""
    await _open_link(guest, token, "password")
    return guest.page("new_password.html", form=Typed(), token=token)


@post("/password/{token:str}", status_code=200)
async def set_password(guest: Guest, request: PageRequest, token: str) -> Response[Any]:
    """Set another password, and end every session of the person."""
    frame, form = guest.frame, typed((await request.form()).multi_items())
    door.count_try(frame, request)
    link = await _open_link(guest, token, "password")
    person = await frame.services.log.look(lambda connection, _: people.find_person(connection, link.person_id or ""))
    if person is None:
        raise NotFound(links.USELESS)
    if (weak := weakness(form["password"], person.name, person.email)) is not None:
        said = Typed({}, {"password": guest.words(weak)})
        return guest.page("new_password.html", status=422, form=said, token=token)
    hashed = await frame.keeper.passwords.hash(form["password"])
    await frame.services.log.do(links.set_password_by_link(token, hashed))
    return door.redirect("/sign-in")


HANDLERS = [
    sign_in_page,
    sign_in,
    sign_in_as_operator,
    sign_out,
    switch_account,
    choose_language,
    join_page,
    join,
    setup_link_page,
    enter_setup,
    forgotten_page,
    send_password_link,
    password_page,
    set_password,
]
