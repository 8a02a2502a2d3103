"""A clock that is set back or forth: timeouts do not notice, and nothing is early, late or forgotten because of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crash.points import set_clock
from crash.promises import Acknowledged, check_all, put, wait_until_settled
from service_process import Receiver, Service, free_port, wait_for

pytestmark = pytest.mark.xdist_group("clock")

HOUR, TEN_YEARS = timedelta(hours=1), timedelta(days=3652)
_NOW = datetime.now(UTC)
TO_NEW_YEARS_EVE = datetime(_NOW.year + 1, 1, 1, tzinfo=UTC) - timedelta(milliseconds=100) - _NOW
JUMPS = {
    "an hour back": -HOUR,
    "an hour forth": HOUR,
    "ten years back": -TEN_YEARS,
    "ten years forth": TEN_YEARS,
    "to the last moment of a year": TO_NEW_YEARS_EVE,
    "to where it was": timedelta(),
}


@pytest.mark.parametrize("jump", JUMPS)
def test_reports_and_deliveries_go_on_whatever_the_clock_says(
    service: Service, receiver: Receiver, endpoint: str, acknowledged: Acknowledged, jump: str
) -> None:
    set_clock(service.folder, JUMPS[jump])
    for weight in range(1, 11):
        for reference in ("one", "two"):
            status, answer = put(service, f"{jump} {reference}", weight)
            assert status in {200, 201}, answer
            acknowledged.add(answer)
    wait_until_settled(service, endpoint)
    check_all(service, receiver, acknowledged)
    wait_for(lambda: service.call("GET", "/readyz")[0] == 200, "the service to be ready")


class Retried:
    """A new event at an endpoint where nobody listens, tried again after 2 s and then after `second_wait_s`."""

    def __init__(self, service: Service, reference: str, *, second_wait_s: int) -> None:
        self.service = service
        settings = {"url": f"http://127.0.0.1:{free_port()}/", "retry_schedule": [2, second_wait_s]}
        status, made = service.call("POST", "/v1/endpoints", settings)
        assert status == 201, made
        status, answer = put(service, reference)
        assert status == 201
        self.path = f"/v1/endpoints/{made['id']}/deliveries/{answer['events'][0]['id']}"

    def delivery(self) -> Any:
        status, delivery = self.service.call("GET", self.path)
        return delivery if status == 200 else {"attempts": []}

    def wait_for_attempts(self, count: int) -> None:
        wait_for(lambda: len(self.delivery()["attempts"]) == count, f"attempt {count}")


@pytest.mark.parametrize("ahead", [-TEN_YEARS, TEN_YEARS], ids=["back", "forth"])
def test_a_retry_is_neither_forgotten_nor_early_when_the_clock_jumps(
    service: Service, endpoint: str, ahead: timedelta
) -> None:
    set_clock(service.folder, timedelta())
    began = datetime.now(UTC)
    retried = Retried(service, f"retried {ahead}", second_wait_s=600)
    retried.wait_for_attempts(1)
    set_clock(service.folder, ahead)
    retried.wait_for_attempts(2)
    due = datetime.fromisoformat(retried.delivery()["next_attempt_at"])
    assert began + timedelta(seconds=540) <= due <= datetime.now(UTC) + timedelta(seconds=660)


def test_a_retry_waits_no_longer_than_its_schedule_says_though_a_restart_finds_the_clock_ten_years_back(
    service: Service, endpoint: str
) -> None:
    set_clock(service.folder, timedelta())
    retried = Retried(service, "retried after a restart", second_wait_s=3)
    retried.wait_for_attempts(1)
    service.kill()
    set_clock(service.folder, -TEN_YEARS)
    service.start()
    retried.wait_for_attempts(2)
