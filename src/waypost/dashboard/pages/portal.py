"""The portal: a customer's user comes from their TMS by a link, into the pages of their own account."""

from typing import Any

from litestar import MediaType, Response, get, post

from waypost.dashboard import door
from waypost.dashboard.accent import accent_css
from waypost.dashboard.cookies import PORTAL
from waypost.dashboard.framing import headers_for
from waypost.dashboard.guest import Guest
from waypost.dashboard.rendering import HEADERS
from waypost.dashboard.visit import PageRequest, Visit
from waypost.errors import NotFound
from waypost.log import links, sessions
from waypost.log.links import Link
from waypost.log.sessions import PortalLook

START = "/settings/integrations/webhooks"
SETUP_START = f"{START}/new"


@get("/portal/{token:str}")
async def enter_portal(guest: Guest, request: PageRequest, token: str) -> Response[Any]:
    """Let in who comes by a portal link, at once: a frame has nobody who would press a button first.

    Who is signed in otherwise in the same browser is asked before, so that no link puts anybody into another account
    than they believe to be in.
    """
    frame = guest.frame
    door.check_place(frame, request)
    link = await frame.services.log.look(lambda connection, _: links.find_link(connection, token[:128]))
    if link is None or link.kind != "portal":
        door.count_try(frame, request)
        raise NotFound(links.USELESS)
    look = sessions.portal_look((await frame.services.log.get_account(link.account_id)).settings)
    if link.used_at is not None or link.expires_at <= guest.now:
        return _useless(guest, look)
    signed = await door.session_of(frame, request)
    if signed is not None and signed.session.kind != "portal":
        account = await frame.services.log.get_account(link.account_id)
        return guest.page(
            "portal_ask.html",
            token=token,
            account=account.name,
            mine=signed.session.account_name,
            me=signed.session.name,
        )
    return await _enter(guest, request, link, token, look)


@post("/portal/{token:str}", status_code=200)
async def enter_portal_knowingly(guest: Guest, request: PageRequest, token: str) -> Response[Any]:
    """Let in who was asked before."""
    frame = guest.frame
    door.count_try(frame, request)
    link = await frame.services.log.look(lambda connection, _: links.find_link(connection, token[:128]))
    if link is None or link.kind != "portal":
        raise NotFound(links.USELESS)
    look = sessions.portal_look((await frame.services.log.get_account(link.account_id)).settings)
    return await _enter(guest, request, link, token, look)


async def _enter(guest: Guest, request: PageRequest, link: Link, token: str, look: PortalLook) -> Response[Any]:
    frame = guest.frame
    before = door.session_before(frame, request, PORTAL)
    try:
        opened = await frame.services.log.do(
            links.enter_by_link(token, "portal", door.client_of(frame, request), before)
        )
    except NotFound:
        return _useless(guest, look)
    return door.let_in(frame, opened, SETUP_START if link.role == "setup" else START, is_portal=True)


def _useless(guest: Guest, look: PortalLook) -> Response[Any]:
    """Say that the link is used up, in the frame that it was opened in."""
    page = guest.page("problem.html", status=404, problem=NotFound(guest.words(links.USELESS)))
    page.headers.update(headers_for(look))
    return page


@get("/theme.css", media_type=MediaType.CSS)
async def theme(visit: Visit) -> Response[str]:
    """Give the accent of a portal's session as a style sheet."""
    look = visit.session.portal
    css = accent_css(look.accent) if look is not None and look.accent is not None else ""
    return Response(css, media_type=MediaType.CSS, headers={**HEADERS, "cache-control": "private, max-age=3600"})


HANDLERS = [enter_portal, enter_portal_knowingly, theme]
