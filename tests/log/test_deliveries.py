"""How deliveries stand, and pages of them."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from log.builders import (
    DEFAULT,
    NOON,
    a_pending,
    a_write,
    an_attempt,
    an_endpoint,
    endpoint_name,
    log_rows,
    owned,
    put,
)
from waypost.clock import from_micros
from waypost.errors import BadRequest, NotFound
from waypost.ids import AccountId, EndpointId
from waypost.log import Delivery, DeliveryFilter, EndpointRecord, EventBytes, Log, LogRow, units


async def told(log: Log, endpoint: EndpointRecord, **wanted: Any) -> list[Delivery]:
    """All deliveries that match, by pages of two."""
    found: list[Delivery] = []
    cursor = None
    while True:
        page = await log.list_deliveries(*endpoint_name(endpoint), DeliveryFilter(**wanted), 2, cursor)
        found += page.items
        cursor = page.next
        if cursor is None:
            return found


async def states(log: Log, endpoint: EndpointRecord, **wanted: Any) -> list[tuple[int, str]]:
    """Position and state of all deliveries that match."""
    return [(delivery.position, delivery.state) for delivery in await told(log, endpoint, **wanted)]


@pytest.fixture
async def mixed(log: Log) -> tuple[EndpointRecord, list[LogRow]]:
    """An endpoint with every state: 1 delivered, 2 failed, 3 retrying, 4 waiting behind it, 5 and 6 to come.

    Events 1 and 2 are of SO-0, 3 and 4 of SO-1, 5 and 6 of SO-2.
    """
    endpoint = await owned(log)
    for number in range(3):
        await put(log, f"SO-{number}")
    rows = await log_rows(log)
    attempts = (
        an_attempt(rows[0]),
        an_attempt(rows[1], "retrying", 1),
        an_attempt(rows[1], "failed", 2),
        an_attempt(rows[2], "retrying", 1, status=503),
    )
    put_rows = (a_pending(rows[2]), a_pending(rows[3], "waiting"))
    await log.persist([a_write(endpoint, cursor=4, attempts=attempts, pending_put=put_rows)])
    return endpoint, rows


Mixed = tuple[EndpointRecord, list[LogRow]]


async def test_every_delivery_stands_in_its_state_newest_first(log: Log, mixed: Mixed) -> None:
    assert await states(log, mixed[0]) == [
        (6, "waiting"),
        (5, "waiting"),
        (4, "waiting"),
        (3, "retrying"),
        (2, "failed"),
        (1, "delivered"),
    ]


@pytest.mark.parametrize(
    ("state", "expected"),
    [("delivered", [1]), ("failed", [2]), ("retrying", [3]), ("waiting", [6, 5, 4]), ("skipped", [])],
)
async def test_deliveries_are_listed_by_state(log: Log, mixed: Mixed, state: str, expected: list[int]) -> None:
    assert [position for position, _ in await states(log, mixed[0], state=state)] == expected


async def test_deliveries_are_listed_by_shipment(log: Log, mixed: Mixed) -> None:
    endpoint, rows = mixed
    assert [position for position, _ in await states(log, endpoint, shipment="SO-1")] == [4, 3]
    assert [position for position, _ in await states(log, endpoint, shipment=rows[0].key)] == [2, 1]
    assert await states(log, endpoint, shipment="unknown") == []


async def test_deliveries_are_listed_by_type(log: Log, mixed: Mixed) -> None:
    assert [position for position, _ in await states(log, mixed[0], type="shipment.created")] == [5, 3, 1]
    assert await states(log, mixed[0], type="shipment.created", state="retrying") == [(3, "retrying")]


async def test_deliveries_are_listed_since_their_event_was_recorded(log: Log, mixed: Mixed) -> None:
    endpoint, rows = mixed
    since = from_micros(rows[2].recorded_at)
    expected = [row.position for row in reversed(rows) if row.recorded_at >= rows[2].recorded_at]
    assert [position for position, _ in await states(log, endpoint, since=since)] == expected
    assert await states(log, endpoint, since=since + timedelta(days=1)) == []


async def test_a_delivery_tells_when_it_is_tried_again_and_what_it_waits_for(log: Log, mixed: Mixed) -> None:
    endpoint, rows = mixed
    waiting, retrying = (await told(log, endpoint, shipment="SO-1"))[:2]
    assert (retrying.next_attempt_at, retrying.attempts, retrying.last_status) == (NOON + timedelta(minutes=1), 1, 503)
    assert (waiting.waits_for, waiting.reference) == (rows[2].event_id, "SO-1")


async def test_a_delivery_waits_for_the_one_before_it_and_never_for_a_resend(log: Log, mixed: Mixed) -> None:
    endpoint, _ = mixed
    await put(log, "SO-1")
    rows = await log_rows(log)
    done = (an_attempt(rows[2], number=2), an_attempt(rows[3], "retrying", 1))
    lane = (a_pending(rows[3]), a_pending(rows[6], "waiting"))
    await log.persist([a_write(endpoint, cursor=7, attempts=done, pending_gone=(3,), pending_put=lane)])
    await log.do(units.resend(*endpoint_name(endpoint), rows[2].event_id))
    waiting, *_ = await told(log, endpoint, shipment="SO-1")
    assert (waiting.position, waiting.waits_for) == (7, rows[3].event_id)


async def test_one_delivery_comes_with_its_attempts_in_order_and_the_bytes(log: Log, mixed: Mixed) -> None:
    endpoint, rows = mixed
    delivery, attempts, sent_of = await log.get_delivery(*endpoint_name(endpoint), rows[1].event_id)
    assert (delivery.state, sent_of) == ("failed", EventBytes(rows[1].body))
    assert [(attempt.number, attempt.verdict) for attempt in attempts] == [(1, "retrying"), (2, "failed")]


async def test_a_success_stands_though_a_resend_is_pending(log: Log, mixed: Mixed) -> None:
    endpoint, rows = mixed
    assert (await log.do(units.resend(*endpoint_name(endpoint), rows[0].event_id))).state == "delivered"
    assert (await log.do(units.resend(*endpoint_name(endpoint), rows[1].event_id))).state == "retrying"


async def test_an_event_nobody_asked_for_is_skipped_and_not_listed(log: Log) -> None:
    endpoint = await an_endpoint(log, "shipment.created")
    await put(log)
    rows = await log_rows(log)
    delivery, attempts, _ = await log.get_delivery(*endpoint_name(endpoint), rows[1].event_id)
    assert (delivery.state, delivery.state_reason, attempts) == (
        "skipped",
        "The endpoint did not ask for this event.",
        [],
    )
    assert await states(log, endpoint) == [(1, "waiting")]


async def test_a_delivery_of_a_paused_endpoint_says_so(log: Log, mixed: Mixed) -> None:
    endpoint, rows = mixed
    await log.do(units.pause_endpoint(*endpoint_name(endpoint)))
    delivery, _, _ = await log.get_delivery(*endpoint_name(endpoint), rows[4].event_id)
    assert delivery.state_reason == "The endpoint is paused."


async def test_pages_stay_whole_while_deliveries_move_on(log: Log, mixed: Mixed) -> None:
    endpoint, rows = mixed
    first = await log.list_deliveries(*endpoint_name(endpoint), DeliveryFilter(), 3)
    await put(log, "SO-new")
    await log.persist([a_write(endpoint, cursor=6, attempts=(an_attempt(rows[4]), an_attempt(rows[5])))])
    rest = await log.list_deliveries(*endpoint_name(endpoint), DeliveryFilter(), 50, first.next)
    assert [delivery.position for delivery in first.items + rest.items] == [6, 5, 4, 3, 2, 1]


async def test_a_cursor_of_somebody_else_is_refused(log: Log, mixed: Mixed) -> None:
    for cursor in ("nonsense", "!", "bnVsbA", "LTE"):
        with pytest.raises(BadRequest):
            await log.list_deliveries(*endpoint_name(mixed[0]), DeliveryFilter(), 2, cursor)


async def test_names_with_a_nul_match_nothing(log: Log, mixed: Mixed) -> None:
    name = endpoint_name(mixed[0])
    assert (await log.list_deliveries(*name, DeliveryFilter(type="a\0"))).items == []
    asked: list[Callable[[], Awaitable[object]]] = [
        lambda: log.get_delivery(*name, "evt_\0"),
        lambda: log.get_shipment(DEFAULT, "SO\0"),
        lambda: log.get_event(DEFAULT, "evt_\0"),
        lambda: log.get_endpoint(DEFAULT, EndpointId("ep_\0")),
        lambda: log.get_account(AccountId("\0")),
        lambda: log.get_source(DEFAULT, "src_\0"),
        lambda: log.do(units.resend(*name, "evt_\0")),
        lambda: log.do(units.revoke_token(DEFAULT, "tok_\0")),
    ]
    for ask in asked:
        with pytest.raises(NotFound):
            await ask()


async def test_stats_count_attempts_and_give_quantiles_of_successes(log: Log, mixed: Mixed) -> None:
    endpoint, rows = mixed
    more = tuple(an_attempt(rows[4], number=number, duration_us=number * 1000) for number in range(1, 100))
    await log.persist([a_write(endpoint, attempts=more)])
    stats = await log.stats(*endpoint_name(endpoint), NOON - timedelta(hours=1))
    assert (stats.delivered, stats.retrying, stats.failed) == (100, 2, 1)
    assert stats.by_outcome == {"success": 100, "status": 3}
    assert (stats.p50_us, stats.p99_us) == (50_000, 98_000)


async def test_stats_of_a_window_leave_out_what_came_before(log: Log, mixed: Mixed) -> None:
    stats = await log.stats(*endpoint_name(mixed[0]), NOON + timedelta(seconds=1))
    assert (stats.delivered, stats.failed, stats.p50_us) == (0, 0, None)
