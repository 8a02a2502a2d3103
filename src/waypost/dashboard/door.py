"""Who is at the door: the session of a request, the token that its forms carry, and how somebody is let in or out."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from litestar import Response
from litestar.datastructures import Cookie
from litestar.response import Redirect

from waypost.dashboard.cookies import FORM, PORTAL, SESSION
from waypost.dashboard.rendering import HEADERS
from waypost.dashboard.visit import Frame, PageRequest
from waypost.errors import Forbidden
from waypost.ids import AccountId
from waypost.log import sessions
from waypost.log.accounts import token_hash
from waypost.log.people import memberships_of
from waypost.log.random_tokens import new_token
from waypost.log.sessions import SEEN_EVERY, Opened, Session

CSRF_FIELD, CSRF_HEADER = "csrf", "x-csrf-token"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
TOKEN_LENGTH_MAX = 128
NEXT_LENGTH_MAX = 2000
ACCOUNTS_SHOWN_MAX = 100
USER_AGENT_LENGTH_MAX = 200

# Each names itself after those that came before it, so the order decides.
_BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iOS"),
    ("iPad", "iOS"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)
_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")


@dataclass(frozen=True, slots=True)
class Signed:
    """A session with the token that its forms carry."""

    session: Session
    csrf: str


async def session_of(frame: Frame, request: PageRequest, *, marks_seen: bool = True) -> Signed | None:
    """Give the session whose cookie came with a request, or None. A portal's goes before, where both came."""
    now = frame.services.clock.now()
    for plain in (PORTAL, SESSION):
        token = request.cookies.get(frame.keeper.cookies.name(plain), "")
        if not 1 <= len(token) <= TOKEN_LENGTH_MAX:
            continue
        session = await frame.services.log.look(
            lambda connection, _, token=token: sessions.find_session(connection, token, now)  # type: ignore[misc]
        )
        if session is not None and (session.kind == "portal") == (plain == PORTAL):
            if marks_seen and now - session.seen_at >= SEEN_EVERY:
                await frame.services.log.do(sessions.mark_seen(session.session_id))
            return Signed(session, csrf_token(token))
    return None


async def accounts_of(frame: Frame, session: Session) -> Sequence[tuple[AccountId, str]]:
    """Give the accounts that a session may switch to, its own included; only this one where there is no other."""
    if not session.may_switch:
        return ((session.account_id, session.account_name),)
    if session.kind == "operator":
        listed = await frame.services.log.list_accounts(ACCOUNTS_SHOWN_MAX)
        return [(account.account_id, account.name) for account in listed.items]
    person_id = session.person_id or ""
    mine = await frame.services.log.look(lambda connection, _: memberships_of(connection, person_id))
    return [(membership.account_id, membership.account_name) for membership in mine]


# -- forms -------------------------------------------------------------------------------------------------------------


def csrf_token(secret: str) -> str:
    """Give what the forms of a session carry. It follows from the session's secret and does not tell it."""
    return hmac.new(secret.encode("utf-8", "surrogateescape"), b"csrf", hashlib.sha256).hexdigest()


async def check_csrf(request: PageRequest, token: str) -> None:
    """Refuse a change that no page of ours asked for: from elsewhere, or without the session's token."""
    if request.method in SAFE_METHODS:
        return
    check_origin(request)
    given = request.headers.get(CSRF_HEADER) or (await request.form()).get(CSRF_FIELD, "")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), token.encode()):
        raise Forbidden("The page was too old. Open it anew, and try again.")


def check_origin(request: PageRequest) -> None:
    """Refuse what a browser says came from another site. A browser says so by itself; no page can make it silent."""
    elsewhere = Forbidden("This came from another site, and was not done.")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise elsewhere
    origin = request.headers.get("origin")
    if origin is None:
        return
    own = urlsplit(request.app.state.frame.services.public_url)
    if origin != f"{own.scheme}://{own.netloc}" and urlsplit(origin).netloc != request.headers.get("host"):
        raise elsewhere


def form_secret(frame: Frame, request: PageRequest) -> str | None:
    """Give the secret of the forms of who is not signed in, where the browser has one."""
    secret = request.cookies.get(frame.keeper.cookies.name(FORM), "")
    return secret if 20 <= len(secret) <= TOKEN_LENGTH_MAX else None


def new_form_secret() -> str:
    """Give a secret for the forms of who is not signed in."""
    return new_token()


async def check_form(frame: Frame, request: PageRequest) -> None:
    """Refuse a form of who is not signed in that no page of ours in this browser asked for: nobody is signed in so."""
    secret = form_secret(frame, request)
    if secret is None:
        raise Forbidden(
            "Your browser sent no cookie. Allow cookies for this address, open the page anew, and try again."
        )
    await check_csrf(request, csrf_token(secret))


# -- in and out --------------------------------------------------------------------------------------------------------


def check_place(frame: Frame, request: PageRequest) -> None:
    """Refuse to sign anybody in where their cookie could be read on the way."""
    if not frame.keeper.cookies.are_safe_at(request.headers.get("host", "")):
        raise Forbidden(
            "Signing in needs https, or this machine itself. Put a proxy with a certificate before Waypost, and set "
            "WAYPOST_PUBLIC_URL to its https address."
        )


def count_try(frame: Frame, request: PageRequest) -> None:
    """Count a try to get in by the address it came from; TooManyRequests for too many."""
    frame.keeper.tries.take(frame.keeper.key_of(address_of(frame, request)))


def address_of(frame: Frame, request: PageRequest) -> str:
    """Give the address that a request came from."""
    peer = request.client.host if request.client else ""
    return frame.keeper.address_of(peer, request.headers.get("x-forwarded-for", ""))


def client_of(frame: Frame, request: PageRequest) -> str:
    """Say which browser a session is of, for the list of one's sessions."""
    return f"{browser_of(request.headers.get('user-agent', ''))} · {address_of(frame, request)}"


def browser_of(agent: str) -> str:
    """Give a browser and its system in words, such as "Firefox on Windows"; what is unknown stays as it is."""
    name = next((words for mark, words in _BROWSERS if mark in agent), None)
    system = next((words for mark, words in _SYSTEMS if mark in agent), None)
    if name is not None and system is not None:
        return f"{name} on {system}"
    return "".join(character for character in agent if character.isprintable())[:USER_AGENT_LENGTH_MAX]


def session_before(frame: Frame, request: PageRequest, plain: str = SESSION) -> bytes | None:
    """Give the hash of the session that this browser had, which ends when it begins another."""
    token = request.cookies.get(frame.keeper.cookies.name(plain), "")
    return token_hash(token) if 1 <= len(token) <= TOKEN_LENGTH_MAX else None


def path_of_ours(text: str | None) -> str:
    """Give where to go after a sign-in: a path of ours, and nothing that leads elsewhere."""
    if not text or len(text) > NEXT_LENGTH_MAX or not _PATH.fullmatch(text):
        return "/"
    return text


def let_in(frame: Frame, opened: Opened, target: str, *, is_portal: bool = False) -> Response[Any]:
    """Answer with the cookie of a session that has just begun, and lead to `target`."""
    cookies, max_age_s = frame.keeper.cookies, None
    if opened.stays or is_portal:
        max_age_s = int((opened.expires_at - frame.services.clock.now()).total_seconds())
    given = [cookies.make(PORTAL if is_portal else SESSION, opened.token, max_age_s)]
    if not is_portal:  # whoever signs in is not the portal's user any more
        given += [cookies.forget(PORTAL), cookies.forget(FORM)]
    return redirect(target, given)


def let_out(frame: Frame, session: Session) -> Response[Any]:
    """Answer with the cookie of an ended session taken away."""
    plain = PORTAL if session.kind == "portal" else SESSION
    return redirect("/sign-in", [frame.keeper.cookies.forget(plain)], clear=plain == SESSION)


def redirect(target: str, cookies: Sequence[Cookie] = (), *, clear: bool = False) -> Response[Any]:
    """Lead to `target`, and set cookies. `clear` lets the browser forget the pages that it kept."""
    headers = {**HEADERS, "clear-site-data": '"cache"'} if clear else HEADERS
    return Redirect(target, status_code=303, headers=headers, cookies=list(cookies))
