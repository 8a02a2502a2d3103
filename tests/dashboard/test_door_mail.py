"""Invitations and links for another password, handed in at a real mail server."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from argon2 import PasswordHasher

from dashboard.signing import a_person, a_session
from dashboard.visitor import Visitor
from upkeep.mail_receiver import MailBox, a_mail_server
from waypost.api.app import Application, create_app
from waypost.api.services import Services
from waypost.dashboard.app import create_dashboard
from waypost.dashboard.keeper import Entrance, Keeper
from waypost.log import Log
from waypost.mail_server import read_mail_server
from waypost.upkeep.alerting import SmtpPost
from waypost.upkeep.letters import Letters

HELGA = "helga@fossvik.example"
PEOPLE = "/settings/account/people"
HASHED = PasswordHasher(time_cost=1, memory_cost=16, parallelism=1).hash("seven geese cross the fjord")


@pytest.fixture
async def box() -> AsyncIterator[MailBox]:
    """What was handed in."""
    async with a_mail_server() as box:
        yield box


@pytest.fixture
def mailing(services: Services, box: MailBox) -> tuple[Application, Keeper]:
    """The application, which sends mail, and who keeps its door."""
    app = create_app(services)
    server = read_mail_server(f"smtp://127.0.0.1:{box.port}?from=waypost@tms.example")
    dashboard: Any = create_dashboard(
        app.inside, Entrance(send_mail=Letters(SmtpPost(server), sender=server.sender).send)
    )
    app.show_pages(dashboard)
    return app, dashboard.state["frame"].keeper


@pytest.fixture
def app(mailing: tuple[Application, Keeper]) -> Application:
    """The application, which sends mail."""
    return mailing[0]


def link_in(text: str) -> str:
    """The path of the link in a mail."""
    (path,) = re.findall(r"https://waypost\.test(/\S+)", text)
    return str(path)


async def test_an_invitation_comes_by_mail_and_lets_in(app: Application, log: Log, box: MailBox) -> None:
    owner = Visitor.with_session(app, await a_session(log, "owner"))
    reply = await owner.post(f"{PEOPLE}/invite", {"email": HELGA, "role": "viewer"}, page=PEOPLE)
    assert reply.status == 200
    assert box.recipients == [[HELGA]]
    assert box.subjects == ["Invitation to Default"]
    helga, path = Visitor(app), link_in(box.texts[0])
    form = {"name": "Helga", "password": "seven geese cross the fjord"}
    assert (await helga.post(path, form, page=path)).status == 303
    assert b"Helga" in (await owner.get(PEOPLE)).body


async def test_a_name_cannot_write_into_the_head_of_a_mail(app: Application, log: Log, box: MailBox) -> None:
    owner = Visitor.with_session(app, await a_session(log, "owner"))
    form = {"name": "Eve\r\nBcc: all@evil.example", "keys": "on", "language": "", "time_zone": ""}
    await owner.post("/you", form, page="/you")
    await owner.post(f"{PEOPLE}/invite", {"email": HELGA, "role": "viewer"}, page=PEOPLE)
    (mail,) = box.mails
    assert (mail["Bcc"], box.recipients) == (None, [[HELGA]])


async def test_who_forgot_a_password_gets_a_link_and_nobody_else_does(
    mailing: tuple[Application, Keeper], log: Log, box: MailBox
) -> None:
    app, keeper = mailing
    await a_person(log, email=HELGA, password_hash=HASHED)
    answers = []
    for email in ("nobody@fossvik.example", HELGA):
        reply = await Visitor(app).post("/forgotten", {"email": email}, page="/forgotten")
        answers.append((reply.status, re.sub(rb'value="[0-9a-f]{64}"', b"", reply.body)))
    assert answers[0] == answers[1]
    await keeper.finish()
    assert box.recipients == [[HELGA]]
    path, helga = link_in(box.texts[0]), Visitor(app)
    assert (await helga.post(path, {"password": "nine herons watch the harbour"}, page=path)).status == 303
    form = {"email": HELGA, "password": "nine herons watch the harbour"}
    assert (await helga.post("/sign-in", form, page="/sign-in")).status == 303


async def test_a_password_link_that_is_mailed_is_not_shown_to_who_asked_for_it(
    app: Application, log: Log, box: MailBox
) -> None:
    owner = Visitor.with_session(app, await a_session(log, "owner"))
    person_id = await a_person(log, "viewer", email=HELGA)
    await a_person(log, "owner", "fossvik", email=HELGA)
    reply = await owner.post(f"{PEOPLE}/{person_id}/password-link", page=PEOPLE)
    assert (reply.status, b"/password/" in reply.body) == (303, False)
    assert box.recipients == [[HELGA]]


async def test_a_mail_server_that_refuses_is_told(app: Application, log: Log, box: MailBox) -> None:
    owner = Visitor.with_session(app, await a_session(log, "owner"))
    person_id = await a_person(log, "viewer", email=HELGA)
    box.refusing = True
    reply = await owner.post(f"{PEOPLE}/{person_id}/password-link", page=PEOPLE)
    assert (reply.status, b"The mail server did not take the mail." in reply.body) == (503, True)
    invited = await owner.post(f"{PEOPLE}/invite", {"email": "jonas@fossvik.example", "role": "viewer"})
    assert (invited.status, b"It was sent by mail as well." in invited.body) == (200, False)
    assert b"https://waypost.test/join/" in invited.body
