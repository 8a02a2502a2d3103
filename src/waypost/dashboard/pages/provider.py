"""Signing in at an identity provider: there, and back."""

import base64
import binascii
from typing import Any

import structlog
from litestar import Response, get

from waypost.dashboard import door
from waypost.dashboard.cookies import PROVIDER
from waypost.dashboard.guest import Guest
from waypost.dashboard.pages.door import begin_person
from waypost.dashboard.provider import Identified, IdentityProvider, ProviderAway
from waypost.dashboard.visit import Frame, PageRequest
from waypost.errors import NotFound, Unauthorized, Unavailable
from waypost.log import people
from waypost.log.auditing import Actor
from waypost.log.people import Person
from waypost.log.random_tokens import new_token

AWAY = "The identity provider does not answer as it should. Try again, or sign in by another way."
STRANGER = "Nobody here has the e-mail address that the identity provider gave. Ask an owner to invite you."
LASTS_S = 600

log = structlog.get_logger(__name__)


@get("/sign-in/provider")
async def go_to_provider(guest: Guest, request: PageRequest) -> Response[Any]:
    """Lead to the provider. What comes back is for this browser alone: a cookie holds what it has to fit to."""
    frame = guest.frame
    door.check_place(frame, request)
    door.count_try(frame, request)
    provider, secret = _provider(frame), new_token()
    try:
        address = await provider.address(secret, guest.now)
    except ProviderAway as error:
        raise _away(error) from error
    target = door.path_of_ours(request.query_params.get("next"))
    return door.redirect(address, [frame.keeper.cookies.make(PROVIDER, f"{secret}.{_packed(target)}", LASTS_S)])


@get("/sign-in/provider/back")
async def come_from_provider(guest: Guest, request: PageRequest) -> Response[Any]:
    """Sign in who comes back from the provider: who is known by it, or by an e-mail address that it has verified."""
    frame = guest.frame
    provider, query = _provider(frame), request.query_params
    secret, _, packed = request.cookies.get(frame.keeper.cookies.name(PROVIDER), "").partition(".")
    try:
        identified = await provider.identify(secret, query.get("state", ""), query.get("code", ""), guest.now)
    except ProviderAway as error:
        raise _away(error) from error
    except Unauthorized as error:
        log.info("sign_in_refused", by="provider")
        return guest.page("problem.html", status=401, problem=Unauthorized(guest.words(error.detail)))
    person = await _person(frame, identified)
    if person is None:
        return guest.page("problem.html", status=403, problem=Unauthorized(guest.words(STRANGER)))
    opened = await begin_person(frame, request, person, stays=False, how="identity provider")
    answer = door.let_in(frame, opened, door.path_of_ours(_unpacked(packed)))
    answer.cookies.append(frame.keeper.cookies.forget(PROVIDER))
    return answer


def _packed(target: str) -> str:
    """A path in the characters that a cookie holds without quotes."""
    return base64.urlsafe_b64encode(target.encode("utf-8", "surrogateescape")).decode().rstrip("=")


def _unpacked(packed: str) -> str:
    try:
        return base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)).decode()
    except (binascii.Error, ValueError):
        return "/"


def _provider(frame: Frame) -> IdentityProvider:
    if frame.keeper.entrance.provider is None:
        raise NotFound("There is no page at this address.")
    return frame.keeper.entrance.provider


def _away(error: ProviderAway) -> Unavailable:
    log.warning("identity_provider_away", reason=str(error))
    return Unavailable(AWAY)


async def _person(frame: Frame, identified: Identified) -> Person | None:
    """Who it is: an address is believed once, and from then on the provider's own name for the person."""
    store = frame.services.log
    known = await store.look(lambda connection, _: people.find_by_identity(connection, identified.identity))
    if known is not None or identified.email is None:
        return known
    email = identified.email
    person = await store.look(lambda connection, _: people.find_by_email(connection, email))
    if person is None or person.identity is not None:
        return None
    mine = await store.look(lambda connection, _: people.memberships_of(connection, person.person_id))
    if not mine:
        return None
    actor = Actor(person.name, person.person_id)
    await store.do(people.bind_identity(mine[0].account_id, person.person_id, actor, identified.identity))
    return person


HANDLERS = [go_to_provider, come_from_provider]
