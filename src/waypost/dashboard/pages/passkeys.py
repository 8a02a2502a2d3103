"""Passkeys: adding one to oneself, and signing in with one.

The challenge is a link that works once, for five minutes: an answer that was seen by somebody cannot be given again.
"""

import re
from typing import Any

import msgspec
import structlog
from litestar import MediaType, Response, post
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from waypost.dashboard import door
from waypost.dashboard.cookies import is_loopback
from waypost.dashboard.guest import Guest
from waypost.dashboard.pages.door import begin_person
from waypost.dashboard.rendering import HEADERS
from waypost.dashboard.visit import Frame, PageRequest, Visit
from waypost.errors import BadRequest, Forbidden, Unauthorized
from waypost.log import links, people
from waypost.log.accounts import DEFAULT_ACCOUNT
from waypost.log.auditing import Actor
from waypost.log.links import NewLink
from waypost.log.people import Passkey, Person
from waypost.log.transaction import Tx, Unit

REFUSED = "The passkey was not taken. Try again, or use your password."
NAME_LENGTH_MAX = 60
_CREDENTIAL_ID = re.compile(r"[A-Za-z0-9_-]{1,1400}")

log = structlog.get_logger(__name__)


class _Sent(msgspec.Struct):
    """What the script sends: the browser's credential as JSON, and what goes with it."""

    credential: dict[str, Any]
    name: str = ""
    stay: bool = False
    next: str = "/"


@post("/you/passkeys/begin", status_code=200)
async def begin_adding(visit: Visit) -> Response[Any]:
    """Give the browser what it makes a passkey with."""
    person = await _me(visit)
    challenge = await _new_challenge(visit.frame, person.person_id)
    known = await visit.log.look(lambda connection, _: people.list_passkeys(connection, person.person_id))
    options = generate_registration_options(
        rp_id=_host(visit.frame, visit.request),
        rp_name="Waypost",
        user_id=person.person_id.encode(),
        user_name=person.email,
        user_display_name=person.name,
        challenge=base64url_to_bytes(challenge),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=[
            PublicKeyCredentialDescriptor(id=base64url_to_bytes(passkey.credential_id)) for passkey in known
        ],
    )
    return _json(options_to_json(options).encode())


@post("/you/passkeys", status_code=200)
async def add_passkey(visit: Visit, request: PageRequest) -> Response[Any]:
    """Keep the passkey that the browser made."""
    person, sent = await _me(visit), await _sent(request)
    challenge = _challenge_of(sent)
    await visit.log.do(_take(challenge, person.person_id))
    try:
        verified = verify_registration_response(
            credential=sent.credential,
            expected_challenge=base64url_to_bytes(challenge),
            expected_rp_id=_host(visit.frame, request),
            expected_origin=_origin(visit.frame, request),
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:
        raise BadRequest(visit.words(REFUSED)) from error
    unit = people.add_passkey(
        visit.account_id,
        visit.session.actor,
        person_id=person.person_id,
        credential_id=bytes_to_base64url(verified.credential_id),
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
        name=sent.name.strip()[:NAME_LENGTH_MAX] or visit.words("Passkey"),
    )
    await visit.log.do(unit)
    return _json(b'{"next":"/you"}')


@post("/you/passkeys/remove", status_code=200)
async def remove_passkey(visit: Visit, request: PageRequest) -> Response[Any]:
    """Forget a passkey of one's own."""
    person = await _me(visit)
    credential_id = str((await request.form()).get("credential_id", ""))[:1400]
    unit = people.remove_passkey(visit.account_id, visit.session.actor, person.person_id, credential_id)
    await visit.log.do(unit)
    return visit.go("/you", said=visit.words("The passkey is removed."))


@post("/sign-in/passkey/begin", status_code=200)
async def begin_sign_in(guest: Guest, request: PageRequest) -> Response[Any]:
    """Give the browser a challenge. It is the same for everybody, and names no passkey."""
    door.count_try(guest.frame, request)
    challenge = await _new_challenge(guest.frame, None)
    options = generate_authentication_options(
        rp_id=_host(guest.frame, request),
        challenge=base64url_to_bytes(challenge),
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return _json(options_to_json(options).encode())


@post("/sign-in/passkey", status_code=200)
async def sign_in_with_passkey(guest: Guest, request: PageRequest) -> Response[Any]:
    """Sign in who holds the passkey."""
    frame, sent = guest.frame, await _sent(request)
    door.count_try(frame, request)
    challenge = _challenge_of(sent)
    credential_id = sent.credential.get("id")
    if not isinstance(credential_id, str) or not _CREDENTIAL_ID.fullmatch(credential_id):
        raise Forbidden(guest.words(REFUSED))
    await frame.services.log.do(_take(challenge, None))
    passkey = await frame.services.log.look(lambda connection, _: people.find_passkey(connection, credential_id))
    try:
        person = await _verified(frame, request, sent, challenge, passkey)
        opened = await begin_person(frame, request, person, stays=sent.stay, how="passkey")
    except Unauthorized as error:
        log.info("sign_in_refused", by="passkey")
        raise Forbidden(guest.words(REFUSED)) from error
    answer = door.let_in(frame, opened, "/")
    shown = _json(msgspec.json.encode({"next": door.path_of_ours(sent.next)}))
    shown.cookies.extend(answer.cookies)
    return shown


async def _verified(frame: Frame, request: PageRequest, sent: _Sent, challenge: str, passkey: Passkey | None) -> Person:
    if passkey is None:
        raise Unauthorized(REFUSED)
    try:
        verified = verify_authentication_response(
            credential=sent.credential,
            expected_challenge=base64url_to_bytes(challenge),
            expected_rp_id=_host(frame, request),
            expected_origin=_origin(frame, request),
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:
        raise Unauthorized(REFUSED) from error

    def used(tx: Tx) -> None:
        people.note_passkey_used(tx, passkey.credential_id, verified.new_sign_count)

    await frame.services.log.do(Unit(DEFAULT_ACCOUNT, used))
    person = await frame.services.log.look(lambda connection, _: people.find_person(connection, passkey.person_id))
    if person is None:
        raise Unauthorized(REFUSED)
    return person


async def _me(visit: Visit) -> Person:
    person_id = visit.session.person_id
    found = None
    if person_id is not None:
        found = await visit.log.look(lambda connection, _: people.find_person(connection, person_id))
    if found is None:
        raise Forbidden(visit.words("Only people have passkeys."))
    return found


async def _new_challenge(frame: Frame, person_id: str | None) -> str:
    new = NewLink(kind="passkey", account_id=DEFAULT_ACCOUNT, made_by=Actor("passkey", "passkey"), person_id=person_id)
    return (await frame.services.log.do(links.make_link(new))).token


def _take(challenge: str, person_id: str | None) -> Unit[None]:
    """Use a challenge up; it must have been made for the same person, or for a sign-in."""

    def work(tx: Tx) -> None:
        link = links.take(tx, challenge, "passkey")
        if link.person_id != person_id:
            raise Forbidden(REFUSED)

    return Unit(DEFAULT_ACCOUNT, work)


def _challenge_of(sent: _Sent) -> str:
    """The challenge that the browser says it answers; whether that is true, its signature tells."""
    try:
        data = msgspec.json.decode(base64url_to_bytes(sent.credential["response"]["clientDataJSON"]))
        challenge = data["challenge"]
    except (KeyError, TypeError, ValueError, msgspec.MsgspecError) as error:
        raise BadRequest(REFUSED) from error
    if not isinstance(challenge, str) or not _CREDENTIAL_ID.fullmatch(challenge) or len(challenge) > 128:
        raise BadRequest(REFUSED)
    return challenge


async def _sent(request: PageRequest) -> _Sent:
    try:
        return msgspec.json.decode(await request.body(), type=_Sent)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(REFUSED) from error


def _host(frame: Frame, request: PageRequest) -> str:
    """The name that passkeys are bound to: the public one, or localhost while trying it out there."""
    origin = _origin(frame, request)
    return origin.partition("://")[2].rpartition(":")[0] if origin.count(":") == 2 else origin.partition("://")[2]


def _origin(frame: Frame, request: PageRequest) -> str:
    scheme, _, rest = frame.services.public_url.partition("://")
    host = request.headers.get("host", "")
    if scheme == "http" and is_loopback(host):
        return f"http://{host}"
    return f"{scheme}://{rest.partition('/')[0]}"


def _json(body: bytes) -> Response[Any]:
    return Response(body, media_type=MediaType.JSON, headers=HEADERS)


HANDLERS = [begin_adding, add_passkey, remove_passkey, begin_sign_in, sign_in_with_passkey]
