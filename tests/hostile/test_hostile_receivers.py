"""One service, besieged by every hostile receiver at once, and what its healthy neighbours notice of it: nothing.

Each receiver is an endpoint of an account that has a healthy endpoint too; another account has one as well.
"""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hostile.receivers import HOSTILE, Besiegers, Hostile, says_without_milliseconds
from service_process import Receiver, Service, wait_for

pytestmark = pytest.mark.xdist_group("siege")  # the siege is laid once, by one process of the test run

ATTACKED, NEIGHBOUR = "attacked", "neighbour"
SHIPMENTS = 24  # half of them before the siege, whose events the hostile endpoints get as history
EVENTS = 2 * SHIPMENTS
# 41 to 57 when measured, with up to 16 attempts out at each of 61, of which several pour 100 MB into each they can.
GROWTH_MIB_MAX = 100
PASSWORD = "canary-3f1c9a"


@dataclass
class Siege:
    """How it went: what was asked of the service once the neighbours had everything."""

    service: Service
    besiegers: Besiegers
    endpoints: dict[str, str]  # the path of each, by the receiver's name
    arrivals: dict[str, list[dict[str, Any]]]  # at the healthy endpoint of each account
    waiting: dict[str, int]  # at each hostile endpoint, when the healthy ones had everything
    memory_mib: tuple[float, float]  # the most that was in use: before, and since

    def first_attempt(self, name: str) -> dict[str, Any]:
        """The first attempt at an endpoint: that of the account's first event, on a connection of its own."""
        first_event = of(self.service, "/v1/events?limit=1")["items"][0]["id"]
        return of(self.service, f"{self.endpoints[name]}/deliveries/{first_event}")["attempts"][0]

    def delivered(self, name: str) -> int:
        """How many attempts at an endpoint were successes."""
        return of(self.service, self.endpoints[name] + "/stats")["attempts"]["delivered"]


@pytest.fixture(scope="module")
def siege(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    folder = tmp_path_factory.mktemp("siege")
    authority = folder / "authority.pem"
    with ExitStack() as stack:
        besiegers = Besiegers(folder).start()
        stack.callback(besiegers.stop)
        authority.write_text(besiegers.authority.pem)
        receivers = {account: Receiver(folder / f"{account}.jsonl").start() for account in (ATTACKED, NEIGHBOUR)}
        for receiver in receivers.values():
            stack.callback(receiver.stop)
        service = Service(folder, environment={"SSL_CERT_FILE": str(authority)}).start()
        stack.callback(service.kill)
        yield lay_siege(service, besiegers, receivers)


def lay_siege(service: Service, besiegers: Besiegers, receivers: dict[str, Receiver]) -> Siege:
    healthy = {}
    for account, receiver in receivers.items():
        assert service.call("POST", "/v1/accounts", {"id": account, "name": account})[0] == 201
        healthy[account] = add_endpoint(service, account, receiver.url)
        put_shipments(service, account, "before")
    wait_until_settled(service, healthy)
    before = peak_mib(service, forget=True)
    headers = {"x-api-key": PASSWORD}
    endpoints = {
        hostile.name: add_endpoint(
            service, ATTACKED, besiegers.urls[hostile.name], headers=headers, start="beginning",
            timeout_seconds=1 if hostile.outcome == "timeout" else 60,
        )
        for hostile in HOSTILE
    }  # fmt: skip
    for account in receivers:
        put_shipments(service, account, "during")
    wait_until_settled(service, healthy)
    waiting = {name: of(service, path)["waiting"] for name, path in endpoints.items()}
    arrivals = {account: receiver.arrivals() for account, receiver in receivers.items()}
    for hostile in HOSTILE:
        path = endpoints[hostile.name]
        enough = partial(is_through if hostile.outcome == "success" else is_tried, service, path)
        wait_for(enough, f"{hostile.name} to be dealt with")
    return Siege(service, besiegers, endpoints, arrivals, waiting, (before, peak_mib(service)))


def add_endpoint(service: Service, account: str, url: str, **settings: Any) -> str:
    status, made = service.call("POST", "/v1/endpoints", {"url": url, **settings}, account=account)
    assert status == 201, made
    return f"/v1/endpoints/{made['id']}"


def put_shipments(service: Service, account: str, when: str) -> None:
    for number in range(SHIPMENTS // 2):
        status, problem = service.call("PUT", f"/v1/shipments/{when}-{number}", {}, account=account)
        assert status == 201, problem


def of(service: Service, path: str, account: str = ATTACKED) -> Any:
    status, answer = service.call("GET", path, account=account)
    assert status == 200, answer
    return answer


def is_tried(service: Service, path: str) -> bool:
    return of(service, path + "/stats")["attempts"]["retrying"] > 0


def is_through(service: Service, path: str) -> bool:
    return of(service, path)["waiting"] == 0


def wait_until_settled(service: Service, endpoints: dict[str, str]) -> None:
    for account, path in endpoints.items():
        is_settled = partial(lambda account, path: of(service, path, account)["waiting"] == 0, account, path)
        wait_for(is_settled, f"the healthy endpoint of {account} to have everything")


def peak_mib(service: Service, *, forget: bool = False) -> float:
    """The most memory that the service had in use, since the last call with `forget`."""
    assert service.process
    process = Path(f"/proc/{service.process.pid}")
    peak = re.search(r"VmHWM:\s+(\d+) kB", (process / "status").read_text())
    assert peak
    if forget:
        (process / "clear_refs").write_text("5")
    return int(peak[1]) / 1024


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_the_delivery_log_says_in_a_sentence_what_a_receiver_did(siege: Siege, hostile: Hostile) -> None:
    first = siege.first_attempt(hostile.name)
    assert says_without_milliseconds(first["explanation"]) == hostile.says
    assert (first["outcome"], first["status"]) == (hostile.outcome, hostile.status)


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_what_counts_as_delivered_was_answered_with_a_success(siege: Siege, hostile: Hostile) -> None:
    assert siege.delivered(hostile.name) == (EVENTS if hostile.outcome == "success" else 0)


@pytest.mark.parametrize("account", [ATTACKED, NEIGHBOUR])
def test_a_healthy_endpoint_beside_them_gets_each_event_once_and_in_order(siege: Siege, account: str) -> None:
    arrivals = siege.arrivals[account]
    assert Counter(arrival["attempt"] for arrival in arrivals) == {1: EVENTS}
    assert len({arrival["id"] for arrival in arrivals}) == EVENTS
    for reference in {arrival["reference"] for arrival in arrivals}:
        assert [arrival["sequence"] for arrival in arrivals if arrival["reference"] == reference] == [1, 2]


def test_the_healthy_endpoints_did_not_wait_for_those_that_make_trouble(siege: Siege) -> None:
    """When they had everything, no hostile receiver had let go of what it held up."""
    for hostile in HOSTILE:
        if hostile.outcome != "success":
            assert siege.waiting[hostile.name] == EVENTS


def test_memory_does_not_follow_what_they_pour(siege: Siege) -> None:
    before, since = siege.memory_mib
    assert since - before < GROWTH_MIB_MAX


def test_nobody_is_led_into_the_trap(siege: Siege) -> None:
    assert siege.besiegers.trap.port
    assert siege.besiegers.trap.connections == 0


def test_the_log_of_the_service_holds_neither_tracebacks_nor_passwords(siege: Siege) -> None:
    """One of the receivers sends back what we sent it."""
    log = (siege.service.folder / "service.log").read_text()
    assert "attempt_failed" in log
    assert "Traceback" not in log
    assert PASSWORD not in log


def test_what_a_receiver_sends_back_is_not_quoted_in_the_sentence(siege: Siege) -> None:
    first = siege.first_attempt("our own request")
    assert PASSWORD not in str(first)
    assert "webhook-signature" not in first["explanation"]
