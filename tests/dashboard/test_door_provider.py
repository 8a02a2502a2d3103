"""Signing in at an identity provider: a real one over HTTP, which can be told to lie."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from threading import Thread
from time import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from dashboard.signing import a_person
from dashboard.visitor import Visitor
from waypost.api.app import Application, create_app
from waypost.api.services import Services
from waypost.dashboard.app import create_dashboard
from waypost.dashboard.keeper import Entrance
from waypost.dashboard.provider import IdentityProvider
from waypost.delivery.egress import EgressRules
from waypost.delivery.sender import Sender
from waypost.entering import PROVIDER_PATH, Fetching
from waypost.log import Log, people

HELGA = "helga@fossvik.example"
SESSION = "__Host-waypost_session"
KEY, OTHER_KEY = (RSAKey.generate_key(2048, {"kid": "1"}) for _ in range(2))


@dataclass
class Provider:
    """The provider: what it says of who signs in, and what it was asked."""

    issuer: str
    claims: dict[str, Any] = field(default_factory=dict)
    key: RSAKey = field(default_factory=lambda: KEY)
    algorithm: str = "RS256"
    nonce: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    described: dict[str, str] = field(default_factory=dict)

    def description(self) -> dict[str, str]:
        """What it says of itself."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            **self.described,
        }

    def token(self) -> str:
        """The ID token of Helga, changed as told."""
        now = int(time())
        claims = {
            "iss": self.issuer, "aud": "waypost", "sub": "17", "iat": now, "exp": now + 300, "nonce": self.nonce,
            "email": HELGA, "email_verified": True,
        }  # fmt: skip
        return jwt.encode({"alg": self.algorithm, "kid": "1"}, {**claims, **self.claims}, self.key)


@pytest.fixture
def provider() -> Iterator[Provider]:
    """The provider, answering."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    provider = Provider(f"http://127.0.0.1:{server.server_address[1]}")

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(KEY_SET if self.path == "/keys" else provider.description())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            provider.asked.append({**form, "authorization": self.headers["authorization"] or ""})
            self._answer({"id_token": provider.token(), "access_token": "x", "token_type": "Bearer"})

        def _answer(self, value: object) -> None:
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server.RequestHandlerClass = Answers
    Thread(target=server.serve_forever, daemon=True).start()
    yield provider
    server.shutdown()
    server.server_close()


KEY_SET = {"keys": [KEY.as_dict(private=False)]}


@pytest.fixture
async def app(services: Services, provider: Provider) -> AsyncIterator[Application]:
    """The application, which knows the provider."""
    sender = Sender(EgressRules(allow=(ip_network("127.0.0.0/8"),)))
    known = IdentityProvider(
        issuer=provider.issuer,
        client_id="waypost",
        client_secret="canary-of-a-client",
        redirect_url=f"https://waypost.test{PROVIDER_PATH}",
        fetch=Fetching(sender).fetch,
    )
    app = create_app(services)
    app.show_pages(create_dashboard(app.inside, Entrance(provider=known)))
    yield app
    await sender.close()


async def goes_there(visitor: Visitor, provider: Provider) -> dict[str, str]:
    """Go to the provider; give what the browser brings there."""
    reply = await visitor.get("/sign-in/provider?next=/you")
    assert reply.status == 303, reply.body
    brought = {name: values[0] for name, values in parse_qs(urlsplit(reply.headers["location"]).query).items()}
    provider.nonce = brought["nonce"]
    return brought


async def comes_back(visitor: Visitor, brought: dict[str, str]) -> int:
    """Come back with the code; give the status."""
    return (await visitor.get(f"{PROVIDER_PATH}?state={brought['state']}&code=c-1", sec_fetch_site="cross-site")).status


async def test_who_is_known_by_a_verified_address_signs_in(app: Application, log: Log, provider: Provider) -> None:
    person_id = await a_person(log, email=HELGA)
    visitor = Visitor(app)
    brought = await goes_there(visitor, provider)
    assert (brought["redirect_uri"], brought["code_challenge_method"]) == (
        f"https://waypost.test{PROVIDER_PATH}",
        "S256",
    )
    reply = await visitor.get(f"{PROVIDER_PATH}?state={brought['state']}&code=c-1", sec_fetch_site="cross-site")
    assert (reply.status, reply.headers["location"]) == (303, "/you")
    assert (await visitor.get("/you")).status == 200
    assert provider.asked[0]["code_verifier"]
    known = await log.look(lambda connection, _: people.find_person(connection, person_id))
    assert known is not None
    assert known.identity == f"{provider.issuer} 17"


async def test_a_person_is_known_by_the_providers_name_for_them_whatever_the_address(
    app: Application, log: Log, provider: Provider
) -> None:
    await a_person(log, email=HELGA)
    first, second = Visitor(app), Visitor(app)
    assert await comes_back(first, await goes_there(first, provider)) == 303
    provider.claims = {"email": "another@fossvik.example", "email_verified": False}
    assert await comes_back(second, await goes_there(second, provider)) == 303
    assert SESSION in second.cookies


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": False},
        {"email_verified": "true"},
        {"email": "stranger@fossvik.example"},
        {"email": None},
    ],
)
async def test_whose_address_is_not_verified_or_not_here_stays_out(
    app: Application, log: Log, provider: Provider, claims: dict[str, Any]
) -> None:
    await a_person(log, email=HELGA)
    provider.claims = claims
    visitor = Visitor(app)
    assert await comes_back(visitor, await goes_there(visitor, provider)) == 403
    assert SESSION not in visitor.cookies


async def test_another_account_of_the_provider_does_not_take_a_person_over(
    app: Application, log: Log, provider: Provider
) -> None:
    await a_person(log, email=HELGA)
    first, second = Visitor(app), Visitor(app)
    assert await comes_back(first, await goes_there(first, provider)) == 303
    provider.claims = {"sub": "666"}  # with Helga's address
    assert await comes_back(second, await goes_there(second, provider)) == 403


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"aud": "another"},
        {"aud": ["another", "third"]},
        {"exp": 1_700_000_000},
        {"nonce": "of another sign-in"},
        {"nonce": None},
        {"sub": None},
        {"azp": "another"},
    ],
    ids=str,
)
async def test_a_token_that_does_not_hold_signs_nobody_in(
    app: Application, log: Log, provider: Provider, claims: dict[str, Any]
) -> None:
    await a_person(log, email=HELGA)
    provider.claims = claims
    visitor = Visitor(app)
    assert await comes_back(visitor, await goes_there(visitor, provider)) == 401
    assert SESSION not in visitor.cookies


async def test_a_token_by_another_key_signs_nobody_in(app: Application, log: Log, provider: Provider) -> None:
    await a_person(log, email=HELGA)
    provider.key = OTHER_KEY
    visitor = Visitor(app)
    assert await comes_back(visitor, await goes_there(visitor, provider)) == 401


async def test_an_answer_that_another_browser_asked_for_signs_nobody_in(
    app: Application, log: Log, provider: Provider
) -> None:
    await a_person(log, email=HELGA)
    attacker, victim = Visitor(app), Visitor(app)
    brought = await goes_there(attacker, provider)
    assert await comes_back(victim, brought) == 401
    await goes_there(victim, provider)
    assert await comes_back(victim, brought) == 401
    assert not provider.asked


async def test_a_provider_that_is_not_who_it_should_be_is_told_to_the_operator(
    app: Application, provider: Provider
) -> None:
    provider.described = {"issuer": "https://evil.example"}
    visitor = Visitor(app)
    reply = await visitor.get("/sign-in/provider")
    assert (reply.status, b"evil" in reply.body) == (503, False)


async def test_without_a_provider_there_is_no_such_page(services: Services) -> None:
    app = create_app(services)
    app.show_pages(create_dashboard(app.inside))
    assert (await Visitor(app).get("/sign-in/provider")).status == 404
    assert b"Continue with" not in (await Visitor(app).get("/sign-in")).body
