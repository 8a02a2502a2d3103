"""Everything that must not get through, in one list, tried at every door.

The doors that ask before anything is stored: making an endpoint, changing it, its token endpoint, the other address of
a replay. The doors that connect: the sender, with names that lead where the list says; and a real service whose rules
became strict after the endpoints were made: its test button, its deliveries and its resends.
"""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from api.asgi_client import Client
from api.conftest import QuietDelivery
from delivery.receivers import answer, post, receiving
from hostile import scripted_names
from hostile.refused import (
    ALLOWED,
    GOOD,
    HEADER_NAMES_NOT_SPLIT_AT_BLANKS,
    HEADER_VALUES,
    HEADERS,
    METADATA_ALONE,
    NAMES,
    REFUSED,
    RULES,
)
from service_process import Service, wait_for
from waypost.api.app import create_app
from waypost.api.services import Services
from waypost.clock import SystemClock
from waypost.delivery import lookup
from waypost.delivery.egress import EgressRules
from waypost.delivery.sender import Sender
from waypost.log import Log

pytestmark = pytest.mark.xdist_group("addresses")

RECORDING = Path(__file__).parents[1] / "promises" / "recording"


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """A file: what is refused does not depend on the database."""
    return sqlite_url


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the names of this page lead where it says, for whoever asks."""
    file = tmp_path / "names.json"
    scripted_names.write(file, NAMES)
    monkeypatch.setattr(lookup, "_questions", lookup.Questions(lambda host: scripted_names.resolving(file, host)))


@pytest.fixture
async def api(log: Log, scripted: None) -> Client:
    services = Services(
        log=log, clock=SystemClock(), egress=RULES, delivery=QuietDelivery(),
        registry=CollectorRegistry(), public_url="https://waypost.test",
    )  # fmt: skip
    return Client(create_app(services))


# -- before anything is stored

Door = Callable[[Client, str, str], Awaitable[tuple[int, dict[str, str]]]]


async def made(api: Client) -> str:
    reply = await api.call("POST", "/v1/endpoints", {"url": GOOD[0]})
    assert reply.status == 201
    return f"/v1/endpoints/{reply.json()['id']}"


async def at_creation(api: Client, endpoint: str, url: str) -> tuple[int, dict[str, str]]:
    return _seen(await api.call("POST", "/v1/endpoints", {"url": url}))


async def at_a_change(api: Client, endpoint: str, url: str) -> tuple[int, dict[str, str]]:
    return _seen(await api.call("PATCH", endpoint, {"url": url}))


async def as_token_url(api: Client, endpoint: str, url: str) -> tuple[int, dict[str, str]]:
    return _seen(await api.call("POST", "/v1/endpoints", {"url": GOOD[0], "auth": _grant(url)}))


async def as_token_url_at_a_change(api: Client, endpoint: str, url: str) -> tuple[int, dict[str, str]]:
    return _seen(await api.call("PATCH", endpoint, {"auth": _grant(url)}))


async def as_another_address_of_a_replay(api: Client, endpoint: str, url: str) -> tuple[int, dict[str, str]]:
    return _seen(await api.call("POST", f"{endpoint}/replay", {"which": "all", "to_url": url}))


def _grant(url: str) -> dict[str, str]:
    return {"type": "oauth2_client_credentials", "token_url": url, "client_id": "us", "client_secret": "s"}


def _seen(reply: Any) -> tuple[int, dict[str, str]]:
    return reply.status, reply.places() if reply.status == 422 else {}


DOORS = {
    at_creation: "/url",
    at_a_change: "/url",
    as_token_url: "/auth/token_url",
    as_token_url_at_a_change: "/auth/token_url",
    as_another_address_of_a_replay: "/to_url",
}


@pytest.mark.parametrize(("door", "path"), DOORS.items(), ids=lambda value: getattr(value, "__name__", ""))
async def test_nothing_of_the_list_is_stored(api: Client, door: Door, path: str) -> None:
    endpoint = await made(api)
    through = []
    for what, url in REFUSED:
        status, places = await door(api, endpoint, url)
        if (status, list(places)) not in ((422, [path]), (400, [])):
            through.append((what, url, status, places))
    assert through == []


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
async def test_what_is_good_is_taken(api: Client, door: Door) -> None:
    endpoint = await made(api)
    assert [url for url in GOOD if (await door(api, endpoint, url))[0] not in (200, 201, 202)] == []


async def test_no_header_that_could_open_a_door_is_stored(api: Client) -> None:
    endpoint = await made(api)
    refused = [(name, "a") for names in HEADERS.values() for name in names.split()]
    refused += [(name, "a") for name in HEADER_NAMES_NOT_SPLIT_AT_BLANKS] + [("x-a", value) for value in HEADER_VALUES]
    through = []
    for name, value in refused:
        auth = {"type": "header", "name": name, "value": value}
        for method, target, settings in (
            ("POST", "/v1/endpoints", {"url": GOOD[0], "headers": {name: value}}),
            ("PATCH", endpoint, {"headers": {name: value}}),
            ("POST", "/v1/endpoints", {"url": GOOD[0], "auth": auth}),
            ("PATCH", endpoint, {"auth": auth}),
        ):
            reply = await api.call(method, target, settings)
            if reply.status not in (400, 422):
                through.append((method, settings, reply.status))
    assert through == []


# -- at the connection


class Connections:
    """Every address that this process connects to while it is watched, by the interpreter's own account of it."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.watching = False
        sys.addaudithook(self._note)  # there is no taking it away again, so it is told when to look

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.watching and event in ("socket.connect", "socket.sendto"):
            self.seen.append(arguments[1])


@pytest.fixture(scope="module")
def recorder() -> Connections:
    return Connections()


@pytest.fixture
def connections(recorder: Connections) -> Iterator[list[Any]]:
    recorder.seen, recorder.watching = [], True
    yield recorder.seen
    recorder.watching = False


@pytest.fixture
async def sender(scripted: None) -> AsyncIterator[Sender]:
    sender = Sender(RULES)
    yield sender
    await sender.close()


async def test_nothing_of_the_list_is_connected_to(sender: Sender, connections: list[Any]) -> None:
    through = [
        (what, url, result.outcome)
        for number, (what, url) in enumerate(REFUSED)
        if (result := await post(sender, url, pool_key=f"ep_{number}")).outcome != "address_not_allowed"
    ]
    assert (through, connections) == ([], [])


async def test_the_list_is_not_refused_for_want_of_a_way_out(sender: Sender, connections: list[Any]) -> None:
    """The same sender, the same names: what is allowed is connected to, and the recorder sees it."""
    async with receiving(answer(), host=ALLOWED) as receiver:
        for host in (ALLOWED, "good.test", "good.test."):
            assert (await post(sender, f"http://{host}:{receiver.port}/", pool_key=host)).outcome == "success"
    assert connections == [(ALLOWED, receiver.port)] * 3


async def test_the_address_that_was_looked_at_is_the_one_connected_to(
    sender: Sender, connections: list[Any], tmp_path: Path
) -> None:
    """A name with a time to live of nothing, good for the judge and bad for whoever asks after it."""
    async with receiving(answer("200 OK", b"", "connection: close"), host=ALLOWED) as receiver:
        scripted_names.write(
            tmp_path / "names.json", {"flips.test": [[ALLOWED], ["10.0.0.7"], [ALLOWED], ["127.0.0.1"]]}
        )
        url = f"http://flips.test:{receiver.port}/"
        outcomes = [(await post(sender, url)).outcome for _ in range(4)]
    assert outcomes == ["success", "address_not_allowed", "success", "address_not_allowed"]
    assert connections == [(ALLOWED, receiver.port)] * 2


async def test_a_name_that_was_good_at_creation_is_judged_again_at_the_connection(
    api: Client, sender: Sender, connections: list[Any], tmp_path: Path
) -> None:
    scripted_names.write(tmp_path / "names.json", {"flips.test": [[ALLOWED], ["169.254.169.254"]]})
    assert (await at_creation(api, "", "http://flips.test/"))[0] == 201
    assert (await post(sender, "http://flips.test/")).outcome == "address_not_allowed"
    assert connections == []


async def test_a_connection_that_rests_is_followed_no_longer_than_its_age_allows(
    sender: Sender, connections: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving(answer(), host=ALLOWED) as receiver:
        scripted_names.write(tmp_path / "names.json", {"moves.test": [[ALLOWED], ["10.0.0.7"]]})
        url = f"http://moves.test:{receiver.port}/"
        assert (await post(sender, url)).outcome == "success"
        assert (await post(sender, url)).reused_connection
        monkeypatch.setattr("waypost.delivery.connector.CONNECTION_AGE_S_MAX", 0.0)
        assert (await post(sender, url)).outcome == "address_not_allowed"
    assert connections == [(ALLOWED, receiver.port)]


async def test_a_url_that_changed_takes_no_connection_of_the_old_one_along(sender: Sender) -> None:
    async with receiving(answer(), host=ALLOWED) as old, receiving(answer(), host=ALLOWED) as new:
        await post(sender, f"http://good.test:{old.port}/")
        await post(sender, f"http://good.test:{new.port}/")
    assert (len(old.heads), len(new.heads)) == (1, 1)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]", "localhost", "inside.test"])
async def test_our_own_port_is_refused_at_whatever_name_or_address_of_this_machine(
    scripted: None, connections: list[Any], tmp_path: Path, host: str
) -> None:
    everything = tuple(ip_network(network) for network in ("0.0.0.0/0", "::/0"))
    rules = EgressRules(allow=everything, own=frozenset({("0.0.0.0", 8484), ("db.test", 5432)}))
    scripted_names.write(
        tmp_path / "names.json",
        {"localhost": ["127.0.0.1", "::1"], "inside.test": ["127.0.0.1"], "db.test": ["127.0.0.1", "::1"]},
    )
    sender = Sender(rules)
    assert (await post(sender, f"http://{host}:8484/")).outcome == "address_not_allowed"
    if host != "127.9.9.9":  # the database listens at its name's addresses alone
        assert (await post(sender, f"http://{host}:5432/")).outcome == "address_not_allowed"
    await sender.close()
    assert connections == []


# -- a service whose rules became strict


@pytest.fixture(scope="module")
def stricter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, dict[str, str], Path]]:
    """A service that holds all of the list it could ever store, now under the default rules; and who it connects to."""
    folder = tmp_path_factory.mktemp("stricter")
    scripted_names.write(folder / "names.json", NAMES)
    recorded = folder / "connections"
    environment = {
        "NAMES_FILE": str(folder / "names.json"),
        "PYTHONPATH": str(RECORDING),
        "CONNECTIONS_FILE": str(recorded),
        "WAYPOST_EGRESS_ALLOW": "0.0.0.0/0,::/0," + ",".join(METADATA_ALONE),
    }
    service = Service(folder, environment=environment, patches=["hostile.scripted_names:install"]).start()
    try:
        endpoints = {}
        for _, url in REFUSED:
            status, made = service.call("POST", "/v1/endpoints", {"url": url})
            if status == 201:
                endpoints[url] = f"/v1/endpoints/{made['id']}"
        service.stop()
        recorded.unlink()
        service.environment = environment | {"WAYPOST_EGRESS_ALLOW": ""}
        service.start()
        assert service.call("PUT", "/v1/shipments/SO-1", {})[0] == 201
        yield service, endpoints, recorded
    finally:
        service.kill()


def test_a_stored_address_that_may_not_be_reached_any_more_is_not_reached(
    stricter: tuple[Service, dict[str, str], Path],
) -> None:
    service, endpoints, recorded = stricter
    assert len(endpoints) > 150, "the list could hardly be stored even when everything was allowed"
    pressed = {
        url: service.call("POST", f"{path}/test", {})[1]["attempt"]["outcome"] for url, path in endpoints.items()
    }
    assert {url: outcome for url, outcome in pressed.items() if outcome != "address_not_allowed"} == {}
    first_event = service.call("GET", "/v1/events?limit=1")[1]["items"][0]["id"]
    for path in endpoints.values():
        tried = lambda path=path: len(attempts(service, path, first_event)) >= 1  # noqa: E731
        wait_for(tried, "the first event to be tried")
        assert service.call("POST", f"{path}/deliveries/{first_event}/resend")[0] == 202
    for url, path in endpoints.items():
        wait_for(lambda path=path: len(attempts(service, path, first_event)) >= 2, f"the resend to {url}")
        assert {attempt["outcome"] for attempt in attempts(service, path, first_event)} == {"address_not_allowed"}, url
    foreign = [line for line in recorded.read_text().splitlines() if f"('127.0.0.1', {service.port})" not in line]
    assert [line for line in foreign if line.startswith(("socket.connect", "socket.sendto"))] == []


def attempts(service: Service, path: str, event_id: str) -> list[dict[str, Any]]:
    status, delivery = service.call("GET", f"{path}/deliveries/{event_id}")
    return list(delivery["attempts"]) if status == 200 else []
