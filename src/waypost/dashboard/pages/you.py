"""One's own page: name, language, time zone, password, passkeys, and where one is signed in."""

from typing import Any

from litestar import Response, get, post

from waypost.dashboard import door
from waypost.dashboard.forms import Typed, typed
from waypost.dashboard.passwords import weakness
from waypost.dashboard.visit import PageRequest, Visit
from waypost.dashboard.words import LANGUAGES
from waypost.errors import Forbidden
from waypost.log import people, sessions
from waypost.log.people import Person
from waypost.shipments.codes import time_zones

YOU = "/you"
NAME_LENGTH_MAX = 200


@get(YOU)
async def you_page(visit: Visit) -> Response[str]:
    """Show what is known of who is signed in."""
    person = await _person(visit)
    return await _page(visit, person, _profile(person), Typed())


@post(YOU, status_code=200)
async def change_profile(visit: Visit, request: PageRequest) -> Response[Any]:
    """Change name, language, time zone and keys."""
    person = await _me(visit)
    form = typed((await request.form()).multi_items())
    errors = {}
    name, language, zone = form["name"].strip(), form["language"] or None, form["time_zone"] or None
    if not 1 <= len(name) <= NAME_LENGTH_MAX:
        errors["name"] = visit.words("Say your name: it stands beside what you do.")
    if language is not None and language not in LANGUAGES:
        errors["language"] = visit.words("Choose one of the languages.")
    if zone is not None and zone not in time_zones():
        errors["time_zone"] = visit.words("Choose one of the time zones.")
    if errors:
        return await _page(visit, person, Typed(form.values, errors), Typed(), status=422)
    unit = people.change_profile(
        visit.account_id,
        person.person_id,
        visit.session.actor,
        name=name,
        language=language,
        time_zone=zone,
        keys_off=not form.on("keys"),
    )
    await visit.log.do(unit)
    return visit.go(YOU, said=visit.words("Your profile is kept."))


@post(f"{YOU}/password", status_code=200)
async def change_password(visit: Visit, request: PageRequest) -> Response[Any]:
    """Change the password, with the present one, and end every other session."""
    person = await _me(visit)
    form = typed((await request.form()).multi_items())
    door.count_try(visit.frame, request)
    passwords, errors = visit.frame.keeper.passwords, {}
    if person.password_hash is not None and not await passwords.verify(person.password_hash, form["present"]):
        errors["present"] = visit.words("This is not your password.")
    elif (weak := weakness(form["password"], person.name, person.email)) is not None:
        errors["password"] = visit.words(weak)
    if errors:
        return await _page(visit, person, _profile(person), Typed({"present": "", "password": ""}, errors), status=422)
    hashed = await passwords.hash(form["password"])
    unit = people.change_password(
        visit.account_id, person.person_id, visit.session.actor, hashed, but=visit.session.session_id
    )
    await visit.log.do(unit)
    opened = await visit.log.do(sessions.renew_session(visit.session))
    return door.let_in(visit.frame, opened, YOU)


@post(f"{YOU}/sessions/end", status_code=200)
async def end_session(visit: Visit, request: PageRequest) -> Response[Any]:
    """End another of one's sessions."""
    if visit.session.kind not in ("person", "operator"):
        raise Forbidden(visit.words("Only people have sessions to end."))
    session_id = str((await request.form()).get("session_id", ""))[:64]
    await visit.log.do(sessions.end_session(visit.session, session_id))
    return visit.go(YOU, said=visit.words("The session is ended."))


async def _person(visit: Visit) -> Person | None:
    """Who is signed in, None for the operator. Others have no page of their own."""
    if visit.session.kind not in ("person", "operator"):
        raise Forbidden(visit.words("Only people have a page of their own."))
    person_id = visit.session.person_id
    if person_id is None:
        return None
    return await visit.log.look(lambda connection, _: people.find_person(connection, person_id))


async def _me(visit: Visit) -> Person:
    person = await _person(visit)
    if person is None:
        raise Forbidden(visit.words("The operator has no profile."))
    return person


def _profile(person: Person | None) -> Typed:
    if person is None:
        return Typed()
    keys = {} if person.keys_off else {"keys": "on"}
    return Typed({"name": person.name, "language": person.language or "", "time_zone": person.time_zone or "", **keys})


async def _page(
    visit: Visit, person: Person | None, form: Typed, password_form: Typed, *, status: int = 200
) -> Response[str]:
    session, now = visit.session, visit.now
    person_id = session.person_id
    return visit.page(
        "you.html",
        status=status,
        person=person,
        form=form,
        password_form=password_form,
        passkeys=[]
        if person_id is None
        else await visit.log.look(lambda connection, _: people.list_passkeys(connection, person_id)),
        sessions=await visit.log.look(lambda connection, _: sessions.list_sessions(connection, session.actor_id, now)),
        zone_pairs=[(zone, zone.replace("_", " ")) for zone in sorted(time_zones())],
    )


HANDLERS = [you_page, change_profile, change_password, end_session]
