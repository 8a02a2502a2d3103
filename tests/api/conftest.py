"""The application over a real log, with a delivery side that only notes what it is asked for."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from prometheus_client import CollectorRegistry

from api.asgi_client import Client
from waypost.api.app import Application, create_app
from waypost.api.services import Found, Services
from waypost.api.shapes import Attempt, ReceivedAnswer, SentRequest, TestResult, Timings
from waypost.clock import SystemClock
from waypost.delivery.egress import EgressRules
from waypost.errors import NotFound
from waypost.ids import AccountId, EndpointId
from waypost.log import Log, units


class QuietDelivery:
    """Answers every test as delivered, and remembers it."""

    def __init__(self) -> None:
        self.tests: list[tuple[AccountId, EndpointId, str | None]] = []
        self.is_ready = True
        self.fault: Exception | None = None

    async def send_test(self, account_id: AccountId, endpoint_id: EndpointId, event_type: str | None) -> TestResult:
        """Note the test, or fail as told."""
        if self.fault is not None:
            raise self.fault
        self.tests.append((account_id, endpoint_id, event_type))
        timings = Timings(dns=1.0, connect=2.0, tls=None, first_byte=3.0, body=0.5, total=6.5)
        attempt = Attempt(
            number=1,
            started_at=datetime(2026, 11, 23, tzinfo=UTC),
            outcome="success",
            status=200,
            address="203.0.113.24",
            reused_connection=False,
            timings_ms=timings,
            request=SentRequest(method="POST", url="https://erp.example/hooks", headers={}, body="{}"),
            response=ReceivedAnswer(headers={}, body="", truncated=False),
        )
        return TestResult(
            verdict="delivered", explanation="Your server answered 200 in 6 ms.", event_id="evt_test_1", attempt=attempt
        )

    async def look_at(self, url: str) -> Found:
        """Find everything well."""
        return Found(
            is_allowed=True, address="203.0.113.24", duration_ms=83, certificate_ends_at=None, explanation=None
        )

    def ready(self) -> bool:
        """As the test wishes."""
        return self.is_ready


class ManualClock(SystemClock):
    """The clocks of this machine, which a test can move: the monotonic one, and the wall clock."""

    def __init__(self) -> None:
        self.ahead_s = 0.0
        self.ahead_wall_s = 0.0

    def now(self) -> datetime:
        """Give the time, with the seconds that the test added."""
        return super().now() + timedelta(seconds=self.ahead_wall_s)

    def monotonic(self) -> float:
        """Give the seconds, with those that the test added."""
        return super().monotonic() + self.ahead_s


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """A file, unless a test asks for another kind: see `on_both_databases`."""
    kind = getattr(request, "param", "sqlite")
    return str(request.getfixturevalue("sqlite_url" if kind == "sqlite" else "pg_url"))


on_both_databases = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def delivery() -> QuietDelivery:
    """The delivery side."""
    return QuietDelivery()


@pytest.fixture
def clock() -> ManualClock:
    """The clock that rate limits are judged by."""
    return ManualClock()


@pytest.fixture
def services(log: Log, delivery: QuietDelivery, clock: ManualClock) -> Services:
    """What the application stands on."""
    return Services(
        log=log,
        clock=clock,
        egress=EgressRules(allow=(ip_network("192.0.2.0/24"),)),
        delivery=delivery,
        registry=CollectorRegistry(),
        public_url="https://waypost.test",
    )


@pytest.fixture
def app(services: Services) -> Application:
    """The application."""
    return create_app(services)


@pytest.fixture
def api(app: Application) -> Client:
    """A caller with the operator's token, on the account `default`."""
    return Client(app)


TokenMaker = Callable[..., Awaitable[Client]]


@pytest.fixture
def caller(app: Application, log: Log) -> TokenMaker:
    """Makes callers with tokens of their own: `await caller("read", account="fossvik")`."""

    async def make(*scopes: str, account: str = "default") -> Client:
        account_id = AccountId(account)
        try:
            await log.get_account(account_id)
        except NotFound:
            await log.do(units.create_account(account, account.title()))
        made = await log.do(units.create_token(account_id, "tms", scopes))
        return Client(app, made.token)

    return make
