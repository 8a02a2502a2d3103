"""Folds and batches on a real log, against a real receiver, through restarts of the worker."""

import json

import msgspec
import pytest

from delivery.offices import ACCOUNT, GONE, REFUSED, TAKEN, events_at, eventually, working
from delivery.receivers import receiving
from waypost.events.patterns import Wants
from waypost.log import DeliveryFilter, units
from waypost.log.erasure import erase_answer

TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig"
SHIPMENTS = Wants(("shipment.*",), None)
UPDATES = Wants(("shipment.updated",), None)
BATCHES = {"format": "batch", "batch_size": 4, "batch_wait_ms": 200}


def header(head, name):
    return next(line.partition(": ")[2] for line in head.splitlines() if line.startswith(f"{name}:"))


def ids_of_batches(receiver):
    return [[event["id"] for event in json.loads(body)] for body in receiver.bodies]


async def pause(office, endpoint):
    await office.log.do(units.pause_endpoint(ACCOUNT, endpoint.endpoint_id))


async def resume(office, endpoint):
    await office.log.do(units.resume_endpoint(ACCOUNT, endpoint.endpoint_id))


async def three_updates(office, endpoint):
    """Change a shipment three times while its endpoint is paused; gives the events' ids."""
    await office.put("SO-1", "1")
    await office.settled(endpoint)
    await pause(office, endpoint)
    return [(await office.put("SO-1", weight)).events[-1].id for weight in ("2", "3", "4")]


async def test_updates_that_waited_arrive_as_one_that_tells_all_of_them(log):
    async with receiving(TAKEN) as receiver, working(log) as office:
        endpoint = await office.endpoint(receiver.url, UPDATES, coalesce=True)
        first, second, third = await three_updates(office, endpoint)
        await resume(office, endpoint)
        await office.settled(endpoint)
        (event,) = events_at(receiver)
        (change,) = event["data"]["changes"]
        assert (event["id"], change["old"], change["new"]) == (third, "1", "4")
        page = await log.list_deliveries(ACCOUNT, endpoint.endpoint_id, DeliveryFilter(state="skipped"))
        assert [delivery.event_id for delivery in page.items] == [second, first]
        assert all(third in delivery.state_reason for delivery in page.items)
        assert await office.states(endpoint) == ["delivered", "skipped", "skipped"]


async def test_a_fold_comes_again_byte_for_byte_after_a_restart(log):
    async with receiving(GONE, TAKEN) as receiver:
        async with working(log) as office:
            endpoint = await office.endpoint(receiver.url, UPDATES, coalesce=True)
            await three_updates(office, endpoint)
            await resume(office, endpoint)
            await office.until(endpoint, lambda found, waiting: found.state == "suspended")
            assert (await log.waiting(ACCOUNT, endpoint.endpoint_id)).count == 1
        async with working(log, owner="two") as office:
            await resume(office, endpoint)
            await office.settled(endpoint)
        assert len(receiver.bodies) == 2
        assert receiver.bodies[0] == receiver.bodies[1]


async def test_a_folded_event_can_be_sent_by_itself(log):
    async with receiving(TAKEN) as receiver, working(log) as office:
        endpoint = await office.endpoint(receiver.url, UPDATES, coalesce=True)
        first, _, third = await three_updates(office, endpoint)
        await resume(office, endpoint)
        await office.settled(endpoint)
        for event_id in (first, third):
            before = len(receiver.bodies)
            await log.do(units.resend(ACCOUNT, endpoint.endpoint_id, event_id))
            await eventually(lambda before=before: len(receiver.bodies) > before)
        alone, again = events_at(receiver)[1:]
        assert (alone["id"], alone["data"]["changes"][0]["new"]) == (first, "2")
        assert receiver.bodies[2] == receiver.bodies[0]
        assert again["id"] == third


async def test_a_batch_carries_several_events_and_each_has_its_attempt(log):
    async with receiving(REFUSED, TAKEN) as receiver, working(log) as office:
        endpoint = await office.endpoint(receiver.url, SHIPMENTS, **BATCHES)
        ids = [event.id for name in ("SO-1", "SO-2") for event in (await office.put(name)).events]
        assert len(ids) == 4
        await office.settled(endpoint)
        assert ids_of_batches(receiver) == [ids, ids]
        assert receiver.bodies[0] == receiver.bodies[1]
        batch_id = f"bat_{ids[0]}-4"
        assert [header(head, "webhook-id") for head in receiver.heads] == [batch_id, batch_id]
        assert [header(head, "waypost-attempt") for head in receiver.heads] == ["1", "2"]
        answers = []
        for event_id in ids:
            _, attempts, _ = await log.get_delivery(ACCOUNT, endpoint.endpoint_id, event_id)
            assert [(attempt.number, attempt.verdict) for attempt in attempts] == [(1, "retrying"), (2, "delivered")]
            shown = msgspec.json.decode(attempts[0].detail)
            assert shown["batch_id"] == batch_id
            answers.append(shown["response"]["body"])
        assert answers == ["busy", "", "", ""]


async def test_the_same_batch_comes_again_after_a_restart_though_more_has_gathered(log):
    async with receiving(GONE, TAKEN) as receiver:
        async with working(log) as office:
            endpoint = await office.endpoint(receiver.url, SHIPMENTS, **BATCHES)
            ids = [event.id for event in (await office.put("SO-1")).events]
            await office.until(endpoint, lambda found, waiting: found.state == "suspended")
        later = [event.id for event in (await office.put("SO-2")).events]
        async with working(log, owner="two") as office:
            await resume(office, endpoint)
            await office.settled(endpoint)
        assert ids_of_batches(receiver) == [ids, ids, later]


async def test_a_batch_that_is_too_large_is_halved(log):
    async with receiving(TOO_LARGE, TAKEN) as receiver, working(log) as office:
        endpoint = await office.endpoint(receiver.url, SHIPMENTS, **BATCHES, max_in_flight=1)
        ids = [event.id for name in ("SO-1", "SO-2") for event in (await office.put(name)).events]
        endpoint = await office.settled(endpoint)
        assert ids_of_batches(receiver) == [ids, ids[:2], ids[2:]]
        assert header(receiver.heads[2], "webhook-id") == f"bat_{ids[2]}-2"
        assert endpoint.standing.failures_in_a_row == 0


async def test_events_of_a_batch_go_one_by_one_once_the_format_is_another(log):
    async with receiving(GONE, TAKEN) as receiver, working(log) as office:
        endpoint = await office.endpoint(receiver.url, SHIPMENTS, **BATCHES)
        ids = [event.id for event in (await office.put("SO-1")).events]
        await office.until(endpoint, lambda found, waiting: found.state == "suspended")
        settings = msgspec.structs.replace(endpoint.settings, format="waypost")
        await log.do(units.change_endpoint(ACCOUNT, endpoint.endpoint_id, settings, SHIPMENTS))
        await resume(office, endpoint)
        await office.settled(endpoint)
        assert [event["id"] for event in map(json.loads, receiver.bodies[1:])] == ids


@pytest.mark.parametrize("shipment", ["SO-1", "SO-2"])
async def test_the_answer_to_a_batch_is_erased_with_any_of_its_shipments(log, shipment):
    async with receiving(REFUSED, TAKEN) as receiver, working(log) as office:
        endpoint = await office.endpoint(receiver.url, SHIPMENTS, **BATCHES)
        ids = [event.id for name in ("SO-1", "SO-2") for event in (await office.put(name)).events]
        await office.settled(endpoint)
        await office.erase(shipment)
        _, attempts, _ = await log.get_delivery(ACCOUNT, endpoint.endpoint_id, ids[0])
        assert attempts[0].detail == erase_answer(attempts[0].detail)
