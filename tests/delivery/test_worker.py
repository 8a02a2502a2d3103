"""The worker on a real log, against a real receiver: what is accepted arrives, and is written down."""

import asyncio
import json

import msgspec
import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from delivery.offices import (
    ACCOUNT,
    EVERYTHING,
    GONE,
    PATIENCE_S,
    REFUSED,
    TAKEN,
    events_at,
    working,
)
from delivery.receivers import accepting, read_request, receiving
from waypost.events.patterns import Wants
from waypost.log import AcceptReport, Unit, units
from waypost.log.tables import endpoints
from waypost.shipments.facts import Actor
from waypost.shipments.reading import read_document
from waypost.shipments.report import DocumentReport, EraseReport


@pytest.fixture
async def office(log):
    async with working(log) as office:
        yield office


async def test_what_is_accepted_arrives_signed_and_is_written_down(office):
    async with receiving(TAKEN) as receiver:
        endpoint = await office.endpoint(receiver.url)
        accepted = await office.put("SO-1")
        endpoint = await office.settled(endpoint)
        assert [event["id"] for event in events_at(receiver)] == [event.id for event in accepted.events]
        assert "webhook-signature: v1," in receiver.heads[0]
        delivery, attempts, sent_of = await office.log.get_delivery(
            ACCOUNT, endpoint.endpoint_id, accepted.events[0].id
        )
        assert (delivery.state, attempts[0].outcome, attempts[0].status) == ("delivered", "success", 204)
        assert sent_of.body == receiver.bodies[0]


async def test_an_attempt_shows_its_request_and_answer_but_no_password(office):
    async with receiving(TAKEN) as receiver:
        endpoint = await office.endpoint(receiver.url, headers={"X-Key": "hush"})
        accepted = await office.put("SO-1")
        endpoint = await office.settled(endpoint)
        assert "hush" in receiver.heads[0]
        _, attempts, _ = await office.log.get_delivery(ACCOUNT, endpoint.endpoint_id, accepted.events[0].id)
        detail = msgspec.json.decode(attempts[0].detail)
        assert detail["request"]["headers"]["webhook-id"] == accepted.events[0].id
        assert b"hush" not in attempts[0].detail
        assert detail["timings_ms"]["total"] > 0


async def test_a_refused_event_is_tried_again_and_keeps_its_place(office):
    async with receiving(REFUSED, TAKEN) as receiver:
        endpoint = await office.endpoint(receiver.url)
        await office.put("SO-1")
        await office.settled(endpoint)
        assert [event["sequence"] for event in events_at(receiver)] == [1, 1, 2]
        assert "waypost-attempt: 2" in receiver.heads[1]


async def test_an_endpoint_is_owed_only_what_it_wants(office):
    async with receiving(TAKEN) as receiver:
        endpoint = await office.endpoint(receiver.url, Wants(("shipment.updated",), None))
        await office.put("SO-1", "1")
        await office.put("SO-1", "2")
        await office.settled(endpoint)
        assert [event["type"] for event in events_at(receiver)] == ["shipment.updated"]


async def test_a_paused_endpoint_holds_everything_and_resumes_in_order(office):
    async with receiving(TAKEN) as receiver:
        endpoint = await office.endpoint(receiver.url)
        await office.log.do(units.pause_endpoint(ACCOUNT, endpoint.endpoint_id))
        for weight in ("1", "2", "3"):
            await office.put("SO-1", weight)
        found = await office.until(endpoint, lambda found, waiting: waiting == 4)
        assert (found.state, receiver.bodies) == ("paused", [])
        await office.log.do(units.resume_endpoint(ACCOUNT, endpoint.endpoint_id))
        await office.settled(endpoint)
        assert [event["sequence"] for event in events_at(receiver)] == [1, 2, 3, 4]


async def test_410_suspends_and_resume_delivers_what_was_held(office):
    async with receiving(GONE, TAKEN) as receiver:
        endpoint = await office.endpoint(receiver.url, Wants(("shipment.*",), None))
        await office.put("SO-1")
        found = await office.until(endpoint, lambda found, waiting: found.state == "suspended")
        assert "410" in found.state_reason
        await office.log.do(units.resume_endpoint(ACCOUNT, endpoint.endpoint_id))
        found = await office.settled(endpoint)
        assert found.state == "active"
        assert [event["sequence"] for event in events_at(receiver)] == [1, 1, 2]


async def test_a_delivered_event_is_sent_again_on_request(office):
    async with receiving(TAKEN) as receiver:
        endpoint = await office.endpoint(receiver.url)
        accepted = await office.put("SO-1")
        await office.settled(endpoint)
        await office.log.do(units.resend(ACCOUNT, endpoint.endpoint_id, accepted.events[0].id))
        await office.settled(endpoint)
        async with asyncio.timeout(PATIENCE_S):
            while len(receiver.bodies) < 3:  # noqa: ASYNC110 - a real receiver
                await asyncio.sleep(0.01)
        assert receiver.bodies[2] == receiver.bodies[0]
        assert "waypost-attempt: 2" in receiver.heads[2]


async def test_a_changed_url_takes_the_events_that_wait(office):
    async with receiving(REFUSED) as old, receiving(TAKEN) as new:
        endpoint = await office.endpoint(old.url, retry_schedule=(0.1,) * 30)
        await office.put("SO-1")
        await office.until(endpoint, lambda found, waiting: len(old.bodies) > 1)

        moved = msgspec.structs.replace(endpoint.settings, url=new.url)
        await office.log.do(units.change_endpoint(ACCOUNT, endpoint.endpoint_id, moved, EVERYTHING))
        await office.settled(endpoint)
        assert [event["sequence"] for event in events_at(new)] == [1, 2]


async def test_a_worker_that_takes_over_sends_nothing_again(log):
    async with receiving(TAKEN) as receiver:
        async with working(log, owner="one") as office:
            endpoint = await office.endpoint(receiver.url)
            await office.put("SO-1")
            await office.settled(endpoint)
        await office.put("SO-2")
        async with working(log, owner="two") as office:
            await office.settled(endpoint)
        assert [event["reference"] for event in events_at(receiver)] == ["SO-1", "SO-1", "SO-2", "SO-2"]


async def test_a_worker_whose_endpoint_was_taken_stores_nothing_more(office):
    async with receiving(TAKEN) as receiver:
        endpoint = await office.endpoint(receiver.url)
        await office.put("SO-1")
        before = await office.settled(endpoint)
        taken = update(endpoints).values(epoch=endpoints.c.epoch + 1, owner="another")
        await office.log.do(Unit(ACCOUNT, lambda tx: tx.connection.execute(taken) and None))
        with capture_logs() as logged:
            accepted = await office.put("SO-2")
            async with asyncio.timeout(PATIENCE_S):
                while not any(line["event"] == "lease_lost" for line in logged):  # noqa: ASYNC110 - a real database
                    await asyncio.sleep(0.01)
        delivery, attempts, _ = await office.log.get_delivery(ACCOUNT, before.endpoint_id, accepted.events[0].id)
        assert (delivery.state, attempts) == ("waiting", [])


async def test_two_hundred_shipments_arrive_each_in_order(office):
    async with receiving(TAKEN) as receiver:
        endpoint = await office.endpoint(receiver.url)
        await asyncio.gather(*[office.put(f"SO-{number}", weight) for weight in "12" for number in range(200)])
        await office.settled(endpoint)
        seen = {}
        for event in events_at(receiver):
            assert event["sequence"] == seen.get(event["reference"], 0) + 1
            seen[event["reference"]] = event["sequence"]
        assert len(seen) == 200


async def test_the_log_tells_of_an_endpoint_in_trouble_and_of_its_return(office):
    async with receiving(GONE, TAKEN) as receiver, receiving(TAKEN) as watcher:
        endpoint = await office.endpoint(receiver.url, Wants(("shipment.*",), None))
        watching = await office.endpoint(watcher.url, Wants(("endpoint.*",), None))
        await office.put("SO-1")
        await office.until(endpoint, lambda found, waiting: found.state == "suspended")
        await office.log.do(units.resume_endpoint(ACCOUNT, endpoint.endpoint_id))
        await office.settled(endpoint)
        await office.settled(watching)
        told = events_at(watcher)
        assert [event["type"] for event in told] == ["endpoint.suspended", "endpoint.resumed"]
        assert {event["data"]["endpoint"]["id"] for event in told} == {endpoint.endpoint_id}
        assert "410" in told[0]["data"]["state_reason"]


async def test_an_event_that_is_refused_for_good_is_told_and_its_lane_goes_on(office):
    async def refuse_the_bad(reader, writer):
        while await read_request(receiver, reader):
            event = json.loads(receiver.bodies[-1])
            bad = event["reference"] == "SO-bad" and event["sequence"] == 1
            writer.write(REFUSED if bad else TAKEN)
            await writer.drain()

    async with accepting(refuse_the_bad) as receiver, receiving(TAKEN) as watcher:
        endpoint = await office.endpoint(receiver.url, Wants(("shipment.*",), None))
        watching = await office.endpoint(watcher.url, Wants(("delivery.failed",), None))
        bad = await office.put("SO-bad")
        async with asyncio.timeout(PATIENCE_S):
            while not watcher.bodies:
                await office.put("SO-good", weight=str(len(receiver.bodies)))
                await asyncio.sleep(0.01)
        await office.settled(endpoint)
        await office.settled(watching)
        (told,) = events_at(watcher)
        assert told["data"]["event"]["id"] == bad.events[0].id
        assert told["data"]["last_attempt"]["status"] == 500
        assert {event["sequence"] for event in events_at(receiver) if event["reference"] == "SO-bad"} == {1, 2}


async def test_what_was_erased_while_it_was_held_goes_out_without_personal_data(office):
    async with receiving(TAKEN) as receiver:
        endpoint = await office.endpoint(receiver.url)
        await office.log.do(units.pause_endpoint(ACCOUNT, endpoint.endpoint_id))
        body = json.dumps({"parties": {"consignee": {"name": "Mari Kask"}}}).encode()
        report = DocumentReport(document=read_document(body), actor=Actor(kind="api", token="test"))
        await office.log.do(AcceptReport(ACCOUNT, "SO-1", report))
        await office.worker.read_log(ACCOUNT, 0, 10)  # it is remembered as it was
        await office.log.do(AcceptReport(ACCOUNT, "SO-1", EraseReport()))
        await office.log.do(units.resume_endpoint(ACCOUNT, endpoint.endpoint_id))
        await office.settled(endpoint)
        assert len(receiver.bodies) == 2
        assert b"Mari" not in b"".join(receiver.bodies)
