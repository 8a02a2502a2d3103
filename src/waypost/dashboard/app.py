"""The pages as one ASGI application, which answers whatever is no operation of the API."""

import warnings
from collections.abc import Iterator, Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, cast
from urllib.parse import quote
from zoneinfo import ZoneInfo

import structlog
from litestar import Litestar, Response
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException, LitestarDeprecationWarning
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from waypost.api.app import Pages
from waypost.api.inside import Inside
from waypost.api.problems import internal_error
from waypost.dashboard import pages as page_modules
from waypost.dashboard.door import accounts_of, check_csrf, path_of_ours, session_of
from waypost.dashboard.framing import headers_for
from waypost.dashboard.guest import Guest, make_guest
from waypost.dashboard.keeper import Entrance, Keeper
from waypost.dashboard.pulses import Pulses
from waypost.dashboard.rendering import HEADERS, Renderer
from waypost.dashboard.visit import SETUP_PATHS, Frame, PageRequest, Visit
from waypost.dashboard.words import Words, choose_language, words_of
from waypost.errors import CallerError, Forbidden, NotFound, Unauthorized
from waypost.log.pulse import count_troubles
from waypost.log.sessions import Session
from waypost.shipments.codes import time_zones

LANGUAGE_COOKIE, ZONE_COOKIE = "waypost_language", "waypost_zone"

log = structlog.get_logger(__name__)


def create_dashboard(inside: Inside, entrance: Entrance | None = None) -> Pages:
    """Give the ASGI application that serves the pages with the operations of `inside`."""
    services = inside.shared.services
    keeper = Keeper(entrance or Entrance(), services.public_url, services.clock.monotonic)
    with warnings.catch_warnings():
        # Dependencies and parameters are known by their names, which the next major version asks to be marked.
        warnings.filterwarnings("ignore", ".*[Ii]nferred (dependency|style)", LitestarDeprecationWarning)
        app = _litestar(inside, keeper)
    return cast(Pages, app)


def _litestar(inside: Inside, keeper: Keeper) -> Any:  # an ASGI application, if in types of its own
    pulses = Pulses(inside.shared.services.log, inside.shared.services.clock)
    inside.shared.tails.close_too(pulses.close)
    return Litestar(
        route_handlers=list(_handlers()),
        dependencies={"visit": Provide(visit_of), "guest": Provide(guest_of)},
        exception_handlers={CallerError: _problem, HTTPException: _no_page, Exception: _broken},
        state=State({"frame": Frame(inside, Renderer(), keeper, pulses)}),
        openapi_config=None,
        logging_config=None,
    )


def _handlers() -> Iterator[ControllerRouterHandler]:
    """All handlers of the modules below `pages`."""
    for module in iter_modules(page_modules.__path__):
        handlers: Sequence[ControllerRouterHandler] = import_module(f"{page_modules.__name__}.{module.name}").HANDLERS
        yield from handlers


def frame_of(request: PageRequest) -> Frame:
    """Give what all pages stand on."""
    frame: Frame = request.app.state.frame
    return frame


async def visit_of(request: PageRequest) -> Visit:
    """Give the visit that a request is part of.

    Raises Unauthorized for who is not signed in, and Forbidden for a change that came from elsewhere.
    """
    frame = frame_of(request)
    signed = await session_of(frame, request)
    if signed is None:
        raise Unauthorized("Sign in first.")
    session = signed.session
    request.scope["waypost.portal"] = session.portal  # type: ignore[typeddict-unknown-key]
    await check_csrf(request, signed.csrf)
    if session.role == "setup" and request.url.path not in SETUP_PATHS:
        raise Forbidden("This link can only add an endpoint.")
    return Visit(
        frame=frame,
        request=request,
        session=session,
        words=words_for(request, session.language),
        zone=zone_for(request, session.time_zone),
        now=frame.services.clock.now(),
        csrf=signed.csrf,
        accounts=await accounts_of(frame, session),
        troubles=await _troubles(frame, session) if request.method == "GET" else 0,
        has_accent=session.portal is not None and session.portal.accent is not None,
    )


async def _troubles(frame: Frame, session: Session) -> int:
    """How many endpoints of the account are in trouble, for the sidebar."""
    return await frame.services.log.look(lambda connection, _: count_troubles(connection, session.account_id))


async def guest_of(request: PageRequest) -> Guest:
    """Give the guest that a request comes from, on the pages that lead in."""
    return await make_guest(frame_of(request), request, words_for(request), zone_for(request))


def words_for(request: PageRequest, chosen: str | None = None) -> Words:
    """Give the language of a request: chosen by the person, by the page before, or by the browser."""
    asked = chosen or request.cookies.get(LANGUAGE_COOKIE)
    return words_of(choose_language(asked, request.headers.get("accept-language", "")))


def zone_for(request: PageRequest, chosen: str | None = None) -> ZoneInfo:
    """Give the viewer's time zone: chosen, or as the browser told it, else UTC."""
    name = chosen or request.cookies.get(ZONE_COOKIE, "")
    return ZoneInfo(name if name in time_zones() else "UTC")


def _problem(request: PageRequest, error: CallerError) -> Response[Any]:
    """Answer what a person may not or cannot do: by a page in plain words, or by the way to the sign-in."""
    if isinstance(error, Unauthorized):
        there = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        is_plain = request.method != "GET" or path_of_ours(there) == "/"
        target = "/sign-in" if is_plain else f"/sign-in?next={quote(there, safe='')}"
        if request.headers.get("hx-request") == "true":
            return Response("", status_code=200, headers={**HEADERS, "hx-redirect": "/sign-in"})
        return Redirect(target, status_code=303, headers=HEADERS)
    page = frame_of(request).renderer.page(
        "problem.html",
        words_for(request),
        zone_for(request),
        status=error.status,
        problem=error,
        request_id=request.scope.get("waypost.request_id"),
    )
    page.headers.update({**headers_for(request.scope.get("waypost.portal")), **error.headers})  # type: ignore[arg-type]
    return page


def _no_page(request: PageRequest, error: HTTPException) -> Response[Any]:
    """Answer what the router refused."""
    if error.status_code >= 500:
        return _broken(request, error)
    refusal = NotFound("There is no page at this address.")
    return _problem(request, refusal)


def _broken(request: PageRequest, error: Exception) -> Response[Any]:
    """Answer a fault of ours without its details, which go to the log."""
    log.error("page_failed", path=request.url.path, request_id=request.scope.get("waypost.request_id"), exc_info=error)
    return _problem(request, internal_error())
