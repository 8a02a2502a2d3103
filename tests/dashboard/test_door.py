"""Getting in and out: what a sign-in takes, whom it lets in, and what is left of a session that ended."""

import pytest
from argon2 import PasswordHasher

from api.conftest import ManualClock, QuietDelivery, clock, delivery, services  # noqa: F401 - fixtures
from dashboard.signing import a_person
from dashboard.visitor import Visitor
from waypost.api.app import Application, create_app
from waypost.api.services import Services
from waypost.dashboard.app import create_dashboard
from waypost.log import Log

PASSWORD = "seven geese cross the fjord"
HASHED = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
SESSION = "__Host-waypost_session"


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """A file: what differs between databases is tested with the log."""
    return sqlite_url


@pytest.fixture
def app(services: Services) -> Application:  # noqa: F811
    """The application with its pages."""
    app = create_app(services)
    app.show_pages(create_dashboard(app.inside))
    return app


@pytest.fixture
def visitor(app: Application) -> Visitor:
    """Somebody who is not signed in."""
    return Visitor(app)


async def test_a_person_signs_in_by_e_mail_and_password(visitor: Visitor, log: Log) -> None:
    await a_person(log, email="helga@fossvik.example", password_hash=HASHED)
    form = {"email": "Helga@Fossvik.example ", "password": PASSWORD}
    reply = await visitor.post("/sign-in", form, page="/sign-in")
    assert (reply.status, reply.headers["location"]) == (303, "/")
    assert SESSION in visitor.cookies


async def test_the_operator_signs_in_by_the_token(visitor: Visitor) -> None:
    reply = await visitor.post("/sign-in/operator", {"token": "wp_operator"}, page="/sign-in?with=operator")
    assert reply.status == 303
    assert (await visitor.get("/patterns")).status == 200
