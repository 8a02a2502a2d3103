"""Reports in, events out, in one transaction."""

import asyncio

import pytest

from log.builders import DEFAULT, a_report, assert_no_gaps, log_rows, put
from waypost.errors import InvalidDocument, NotFound, PreconditionFailed
from waypost.ids import AccountId
from waypost.log import ANY_VERSION, Accepted, AcceptReport, Log, Request, units


async def test_first_document_makes_the_shipment_and_its_events(log: Log) -> None:
    accepted = await put(log)
    assert accepted.created
    assert accepted.version == 1
    assert [(event.type, event.sequence, event.position) for event in accepted.events] == [
        ("shipment.created", 1, 1),
        ("shipment.status.booked", 2, 2),
    ]


async def test_what_was_accepted_can_be_read_back(log: Log) -> None:
    accepted = await put(log)
    stored = await log.get_shipment(DEFAULT, "SO-1")
    assert (stored.shipment_id, stored.version, stored.json) == (accepted.shipment_id, 1, accepted.shipment)
    assert await log.get_shipment(DEFAULT, accepted.shipment_id) == stored


async def test_the_same_document_again_changes_nothing(log: Log) -> None:
    await put(log, weight="402")
    again = await put(log, weight="402.0")
    assert (again.version, again.created, again.events) == (1, False, ())
    assert len(await log_rows(log)) == 2


async def test_a_shipment_told_of_twice_in_one_group_counts_on(log: Log) -> None:
    outcomes = await log.do_all([Request(a_report(weight=weight)) for weight in (1, 2, 3)])
    assert [outcome.version for outcome in outcomes if isinstance(outcome, Accepted)] == [1, 2, 3]
    assert_no_gaps(await log_rows(log))


async def test_a_bad_report_among_fifty_leaves_no_gap(log: Log) -> None:
    reports = [a_report(f"SO-{number}") for number in range(50)]
    reports[17] = a_report("shp_unknown")
    outcomes = await asyncio.gather(*(log.do(report) for report in reports), return_exceptions=True)
    assert [index for index, outcome in enumerate(outcomes) if not isinstance(outcome, Accepted)] == [17]
    rows = await log_rows(log)
    assert_no_gaps(rows)
    assert len(rows) == 49 * 2


async def test_a_report_that_meets_a_bug_fails_alone(log: Log) -> None:
    broken = AcceptReport(DEFAULT, "SO-2", object())  # type: ignore[arg-type]
    outcomes = await log.do_all([Request(a_report("SO-1")), Request(broken), Request(a_report("SO-3"))])
    assert [isinstance(outcome, Accepted) for outcome in outcomes] == [True, False, True]
    assert_no_gaps(await log_rows(log))


async def test_if_match_refuses_a_shipment_that_moved_on(log: Log) -> None:
    await put(log)
    await put(log, if_match=[1])
    with pytest.raises(PreconditionFailed, match="at version 2, not 1 or 3"):
        await put(log, if_match=[3, 1])
    assert (await put(log, if_match=[1, 2])).version == 3


async def test_if_match_of_any_version_refuses_a_shipment_that_does_not_exist(log: Log) -> None:
    with pytest.raises(PreconditionFailed):
        await put(log, if_match=[ANY_VERSION])
    await put(log)
    assert (await put(log, if_match=[ANY_VERSION])).version == 2


async def test_an_unknown_shipment_id_is_not_found(log: Log) -> None:
    with pytest.raises(NotFound):
        await put(log, "shp_01KA")


async def test_an_unknown_account_is_not_found(log: Log) -> None:
    with pytest.raises(NotFound):
        await put(log, account=AccountId("nobody"))


async def test_two_accounts_have_the_same_reference_and_positions_of_their_own(log: Log) -> None:
    other = AccountId("fossvik")
    await log.do(units.create_account(other, "Fossvik"))
    mine, theirs = await asyncio.gather(put(log), put(log, account=other))
    assert mine.shipment_id != theirs.shipment_id
    assert [event.position for event in theirs.events] == [1, 2]
    with pytest.raises(NotFound):
        await log.get_shipment(other, mine.shipment_id)


async def test_listeners_hear_where_the_log_ends_before_the_answer_comes(log: Log) -> None:
    heard = []
    log.on_commit(heard.append)
    await put(log)
    assert [dict(committed.accounts) for committed in heard] == [{DEFAULT: 2}]


async def test_an_account_id_is_checked_where_it_is_made(log: Log) -> None:
    with pytest.raises(InvalidDocument):
        await log.do(units.create_account("Fossvik!", "Fossvik"))


async def test_a_shipment_found_by_its_id_and_its_reference_in_one_group_is_one(log: Log) -> None:
    shipment_id = (await put(log, weight=1)).shipment_id
    outcomes = await log.do_all([Request(a_report(weight=2)), Request(a_report(shipment_id, weight=3))])
    assert [outcome.version for outcome in outcomes if isinstance(outcome, Accepted)] == [2, 3]


async def test_a_key_that_comes_and_goes_within_a_group_leaves_no_trace(log: Log) -> None:
    named = {"references": [{"type": "invoice", "value": "INV-7"}]}
    await log.do_all([Request(a_report(weight=1, **fields)) for fields in ({}, named, {}, named, {})])
    assert (await log.list_shipments(DEFAULT, q="inv-7")).items == []
    await log.do_all([Request(a_report(weight=1, **fields)) for fields in (named, {}, named)])
    assert len((await log.list_shipments(DEFAULT, q="inv-7")).items) == 1
