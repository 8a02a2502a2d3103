"""A service that is killed at each named point of accepting and delivering, and what the promises say afterwards."""

from contextlib import suppress
from http.client import HTTPException

import pytest

from crash.conftest import restart
from crash.points import (
    A_REPORT,
    AFTER_COMMIT,
    AFTER_SEND,
    ATTEMPTS,
    BEFORE_COMMIT,
    BEFORE_SEND,
    HALF_DEAD,
    arm,
    disarm,
)
from crash.promises import Acknowledged, check_all, check_log, put, wait_until_settled
from service_process import Receiver, Service

pytestmark = pytest.mark.xdist_group("crash at points")

IN_FLIGHT_MAX = 16  # the default of an endpoint
POINTS = (
    f"{BEFORE_COMMIT} {A_REPORT}",
    f"{AFTER_COMMIT} {A_REPORT}",
    BEFORE_SEND,
    AFTER_SEND,
    f"{BEFORE_COMMIT} {ATTEMPTS}",
    f"{AFTER_COMMIT} {ATTEMPTS}",
)


def put_until_it_dies(service: Service, acknowledged: Acknowledged, name: str) -> str:
    """Report five shipments in turn; give the reference of the one that was not answered."""
    for number in range(500):
        reference = f"{name} {number % 5}"
        try:
            status, answer = put(service, reference, number + 1)
        except (OSError, HTTPException):
            return reference
        assert status in {200, 201}, answer
        acknowledged.add(answer)
    raise AssertionError("the point was never reached")


@pytest.mark.parametrize("point", POINTS)
def test_the_promises_hold_over_a_crash_under_way(
    service: Service, receiver: Receiver, endpoint: str, acknowledged: Acknowledged, point: str
) -> None:
    arm(service.folder, point, after=7)
    unanswered = put_until_it_dies(service, acknowledged, point)
    restart(service)
    status, answer = put(service, unanswered, 10_000)  # whoever got no answer asks again
    assert status in {200, 201}
    acknowledged.add(answer)
    acknowledged.repeats_max += IN_FLIGHT_MAX
    wait_until_settled(service, endpoint)
    check_all(service, receiver, acknowledged)


def settled(service: Service, endpoint: str, acknowledged: Acknowledged, reference: str) -> None:
    """Report a new shipment, and let its first two events be delivered."""
    status, answer = put(service, reference)
    assert status == 201
    acknowledged.add(answer)
    wait_until_settled(service, endpoint)


def test_a_report_that_was_not_committed_left_nothing(
    service: Service, receiver: Receiver, endpoint: str, acknowledged: Acknowledged
) -> None:
    settled(service, endpoint, acknowledged, "not committed")
    arm(service.folder, f"{BEFORE_COMMIT} {A_REPORT}")
    with pytest.raises((OSError, HTTPException)):
        put(service, "not committed", 2)
    restart(service)
    assert service.call("GET", "/v1/shipments/not%20committed")[1]["version"] == 1
    check_all(service, receiver, acknowledged)


def test_a_report_whose_answer_was_lost_is_stored_and_adds_nothing_when_it_is_repeated(
    service: Service, receiver: Receiver, endpoint: str, acknowledged: Acknowledged
) -> None:
    settled(service, endpoint, acknowledged, "answer lost")
    arm(service.folder, f"{AFTER_COMMIT} {A_REPORT}")
    with pytest.raises((OSError, HTTPException)):
        put(service, "answer lost", 2)
    restart(service)
    status, answer = put(service, "answer lost", 2)
    assert (status, answer["events"], answer["shipment"]["version"]) == (200, [], 2)
    wait_until_settled(service, endpoint)
    check_all(service, receiver, acknowledged)


def test_a_key_whose_answer_was_lost_answers_as_it_would_have(
    service: Service, receiver: Receiver, endpoint: str, acknowledged: Acknowledged
) -> None:
    settled(service, endpoint, acknowledged, "key")
    scan = {"status": "collected", "occurred_at": "2026-11-20T08:00:00Z"}
    call = ("POST", "/v1/shipments/key/tracking-events", scan)
    arm(service.folder, f"{AFTER_COMMIT} {A_REPORT}")
    with pytest.raises((OSError, HTTPException)):
        service.call(*call, headers={"idempotency-key": "scan-1"})
    restart(service)
    first = service.call(*call, headers={"idempotency-key": "scan-1"})
    assert first == service.call(*call, headers={"idempotency-key": "scan-1"})
    assert [event["type"] for event in first[1]["events"]] == ["tracking.event_recorded", "shipment.status.collected"]
    acknowledged.add(first[1])
    wait_until_settled(service, endpoint)
    check_log(list(service.log()), acknowledged)


@pytest.mark.parametrize(
    ("point", "attempts"),
    [
        (BEFORE_SEND, [1]),
        (AFTER_SEND, [1, 1]),
        (f"{BEFORE_COMMIT} {ATTEMPTS}", [1, 1]),
        (f"{AFTER_COMMIT} {ATTEMPTS}", [1]),
    ],
)
def test_only_what_was_sent_and_not_stored_is_sent_once_more(
    service: Service, receiver: Receiver, endpoint: str, acknowledged: Acknowledged, point: str, attempts: list[int]
) -> None:
    reference = f"once more {point}"
    settled(service, endpoint, acknowledged, reference)
    arm(service.folder, point)
    with suppress(OSError, HTTPException):  # it may die of its delivery before it has answered
        acknowledged.add(put(service, reference, 2)[1])
    acknowledged.repeats_max += len(attempts) - 1
    restart(service)
    wait_until_settled(service, endpoint)
    last = list(service.log())[-1]
    assert (last["reference"], last["sequence"]) == (reference, 3)
    third = [arrival for arrival in receiver.arrivals() if arrival["id"] == last["id"]]
    assert [arrival["attempt"] for arrival in third] == attempts
    check_all(service, receiver, acknowledged)


def test_a_service_whose_delivery_died_alone_does_not_go_on_as_if_nothing_were(
    service: Service, receiver: Receiver, endpoint: str, acknowledged: Acknowledged
) -> None:
    arm(service.folder, HALF_DEAD)
    with suppress(OSError, HTTPException):  # it may end before it has answered
        acknowledged.add(put(service, "half dead")[1])
    acknowledged.repeats_max += IN_FLIGHT_MAX
    assert service.process
    service.process.wait(timeout=60)  # whatever watches over it starts it again
    restart_ended(service)
    wait_until_settled(service, endpoint)
    check_all(service, receiver, acknowledged)


def restart_ended(service: Service) -> None:
    disarm(service.folder)
    service.start()
