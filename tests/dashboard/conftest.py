"""Pages for tests, in two ways.

`site`: the application in this process over a real log, for tests that read the HTML (async tests):

    async def test_…(site: Site) -> None:
        helga = await site.visitor("owner")          # or manager viewer operator portal setup; account="fossvik"
        reply = await helga.get("/shipments")        # .status .headers .body
        reply = await helga.post("/…", {"name": "…"}, page="/the/page/with/the/form")
    site.log, site.app, site.delivery (notes tests that are sent), site.api (a Client with the operator's token)

`browser`: chromium with a service of its own process and a little world in it (plain tests, not async; one service and
one chromium a module; say `pytestmark = IN_BROWSER`):

    from dashboard.browser import IN_BROWSER, Browser, look
    def test_…(browser: Browser) -> None:
        page = browser.open("/shipments")            # signed in as the operator; javascript=False reads without script
        look(page, "shipments")                      # pictures and checks: see dashboard.browser.look

`browser.world` holds what is in the log: see dashboard.world. Pages that should be looked at in every test run are
listed in dashboard.pages_seen: add yours there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from api.asgi_client import Client
from api.conftest import ManualClock, QuietDelivery, clock, delivery, services  # noqa: F401 - fixtures
from dashboard.browser import Browser, chromium_runs
from dashboard.signing import Who, a_session
from dashboard.visitor import Visitor
from dashboard.world import World, make_world
from service_process import Receiver, Service
from waypost.api.app import Application, create_app
from waypost.api.services import Services
from waypost.dashboard.app import create_dashboard
from waypost.dashboard.keeper import Entrance
from waypost.dashboard.passwords import Passwords
from waypost.ids import AccountId, EndpointId
from waypost.log import EndpointWrite, Log, Standing
from waypost.log.sessions import Role


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """A file, unless a test asks for another kind: what differs between databases is tested with the log."""
    return str(request.getfixturevalue("pg_url" if getattr(request, "param", "") == "postgresql" else "sqlite_url"))


@dataclass
class Site:
    """The application with its pages, and who visits them."""

    app: Application
    log: Log
    delivery: QuietDelivery
    clock: ManualClock

    @property
    def api(self) -> Client:
        """A caller of the API with the operator's token, on the account `default`."""
        return Client(self.app)

    async def visitor(self, who: Who = "owner", account: str = "default", *, role: Role = "manager") -> Visitor:
        """Give the browser of somebody who is signed in. `role` is a portal user's."""
        opened = await a_session(self.log, who, account, role=role)
        return Visitor.with_session(self.app, opened, is_portal=who == "portal")

    async def suspend(self, endpoint_id: str, account: str = "default") -> None:
        """Let an endpoint be suspended, as its owner does after days of failures."""
        account_id, name = AccountId(account), EndpointId(endpoint_id)
        await self.log.take_leases("w1", 60, 100)
        write = EndpointWrite(account_id=account_id, endpoint_id=name, epoch=1, standing=Standing(health="suspended"))
        assert not await self.log.persist([write])  # none was refused

    def stranger(self) -> Visitor:
        """Give the browser of somebody who is not signed in."""
        return Visitor(self.app)


@pytest.fixture
def site(services: Services, log: Log, delivery: QuietDelivery, clock: ManualClock) -> Site:  # noqa: F811
    """The application with its pages, over a log with the account `default`."""
    app = create_app(services)
    quick = Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    app.show_pages(create_dashboard(app.inside, Entrance(passwords=quick)))
    return Site(app, log, delivery, clock)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A service of its own process with shipments and endpoints, and a receiver."""
    folder: Path = tmp_path_factory.mktemp("pages")
    receiver = Receiver(folder / "arrivals.jsonl").start()
    service = Service(folder)
    try:
        service.start()
        yield make_world(service, receiver)
    finally:
        if service.process:
            service.kill()
        receiver.stop()


@pytest.fixture(scope="module")
def browser(world: World) -> Iterator[Browser]:
    """A chromium that is signed in at the service of `world`."""
    with chromium_runs() as chromium:
        yield Browser(chromium, world)
