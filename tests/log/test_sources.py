"""Sources, their messages, and the shipments that carriers speak of."""

import pytest
from sqlalchemy import text

from log.builders import DEFAULT, log_rows, put
from waypost.errors import NotFound
from waypost.ids import AccountId
from waypost.log import Accepted, Database, Log, TakenMessage, units
from waypost.shipments import Actor
from waypost.shipments.reading import read_tracking_events
from waypost.shipments.report import CarrierReport

ACTOR = Actor(kind="source", source="src_1")


def a_scan(
    number: str = "EZ4000", carrier: str = "FedEx", status: str = "in_transit", scan: str = "s-1"
) -> CarrierReport:
    """What FedEx says of its number EZ4000."""
    body = b'{"id": "%s", "status": "%s", "occurred_at": "2026-11-20T08:00:00Z"}' % (scan.encode(), status.encode())
    events = tuple(read_tracking_events(body))
    return CarrierReport(carrier="FedEx", tracking_number="EZ4000", events=events, actor=ACTOR)


async def take(log: Log, *reports: CarrierReport, body: bytes = b"raw") -> TakenMessage:
    return await log.do(units.take_message(DEFAULT, "src_1", body, reports))


async def references(log: Log) -> set[str]:
    return {item.reference for item in (await log.list_shipments(DEFAULT)).items}


async def test_a_source_is_found_by_its_id_alone_with_its_secret(log: Log, database: Database) -> None:
    made = await log.do(units.create_source(DEFAULT, "easypost", "EasyPost", "canary", {}))
    assert await log.find_source(made.source_id) == made
    assert made.secret == "canary"
    with database.readers.connect() as connection:
        assert "canary" not in str(connection.execute(text("SELECT * FROM sources")).all())


async def test_a_source_is_changed_and_deleted(log: Log) -> None:
    made = await log.do(units.create_source(DEFAULT, "easypost", "EasyPost", "secret", {}))
    changed = await log.do(units.change_source(DEFAULT, made.source_id, name="Another"))
    assert (changed.name, changed.secret) == ("Another", "secret")
    await log.do(units.delete_source(DEFAULT, made.source_id))
    assert await log.find_source(made.source_id) is None


async def test_the_source_of_another_account_is_not_found(log: Log) -> None:
    made = await log.do(units.create_source(DEFAULT, "easypost", "EasyPost", "secret", {}))
    other = AccountId("fossvik")
    await log.do(units.create_account(other, "Fossvik"))
    with pytest.raises(NotFound):
        await log.get_source(other, made.source_id)


async def test_a_carriers_message_finds_the_shipment_by_its_number(log: Log) -> None:
    tracking = {"tracking_numbers": [{"value": "EZ4000", "carrier": "fedex"}]}
    await put(log, "SO-1", tracking=tracking)
    (outcome,) = (await take(log, a_scan())).outcomes
    assert isinstance(outcome, Accepted)
    assert (outcome.reference, outcome.created) == ("SO-1", False)


async def test_another_carriers_number_is_another_shipment(log: Log) -> None:
    await put(log, "SO-1", tracking={"tracking_numbers": [{"value": "EZ4000", "carrier": "ups"}]})
    await take(log, a_scan())
    assert await references(log) == {"SO-1", "EZ4000"}


async def test_an_unknown_number_makes_a_shipment_and_the_next_message_finds_it(log: Log) -> None:
    await take(log, a_scan(), a_scan(status="delivered", scan="s-2"))
    await take(log, a_scan(scan="s-3"))
    assert await references(log) == {"EZ4000"}
    assert (await log.get_shipment(DEFAULT, "EZ4000")).version == 3


async def test_a_reference_that_is_taken_gets_the_carrier_before_it(log: Log) -> None:
    await put(log, "EZ4000")
    await take(log, a_scan())
    assert await references(log) == {"EZ4000", "FedEx-EZ4000"}


async def test_a_message_is_kept_as_it_was_received(log: Log) -> None:
    taken = await take(log, a_scan(), body=b'{"raw": true}')
    refused = await log.do(units.refuse_message(DEFAULT, "src_1", b"{", "It is not JSON."))
    last, first = (await log.list_messages(DEFAULT, "src_1")).items
    assert (first.message_id, first.state, first.body) == (taken.message_id, "accepted", b'{"raw": true}')
    assert (last.message_id, last.state, last.reason) == (refused, "refused", "It is not JSON.")


async def test_the_same_message_again_adds_nothing_to_the_log(log: Log) -> None:
    await take(log, a_scan())
    before = await log_rows(log)
    await take(log, a_scan())
    assert await log_rows(log) == before
