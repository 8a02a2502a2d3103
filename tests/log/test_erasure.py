"""Erasing the people of a shipment, and nothing else."""

import asyncio
from pathlib import Path

import msgspec
from sqlalchemy import insert, text

from log.builders import DEFAULT, NOON, a_report, a_write, an_attempt, endpoint_name, log_rows, once, owned, put
from log.test_sources import a_scan, take
from waypost.clock import IdSource, SystemClock, to_micros
from waypost.log import AcceptReport, Database, Log, Request, Vault, erasure, open_database, units
from waypost.log.tables import attempts
from waypost.shipments.report import EraseReport

CANARY = "Baðhús og Gufa"
PEOPLE = {"parties": {"consignee": {"name": CANARY, "contact": {"name": CANARY, "email": "canary@gufa.example"}}}}


async def erase(log: Log, reference: str = "SO-1") -> None:
    await log.do(AcceptReport(DEFAULT, reference, EraseReport()))


def whole_database(database: Database) -> str:
    """Everything that is stored, as text."""
    with database.readers.connect() as connection:
        tables = ("shipments", "shipment_keys", "events", "attempts", "idempotency", "intake_messages")
        rows = [connection.execute(text(f"SELECT * FROM {table}")).all() for table in tables]
    return str([[_shown(value) for value in row] for table in rows for row in table])


def _shown(value: object) -> object:
    return bytes(value).decode("utf-8", "replace") if isinstance(value, bytes | memoryview) else value


async def test_the_people_are_gone_from_everything_stored(log: Log, database: Database) -> None:
    endpoint = await owned(log)
    await put(log, **PEOPLE)
    await log.do_once(a_report(weight=7, **PEOPLE), once())
    answered = msgspec.json.encode({"number": 1, "response": {"headers": {"x": CANARY}, "body": CANARY}})
    row = (await log_rows(log))[0]
    await log.persist([a_write(endpoint, attempts=(an_attempt(row, detail=answered),))])
    assert CANARY in whole_database(database)
    await erase(log)
    stored = whole_database(database)
    assert CANARY not in stored
    assert "canary@gufa.example" not in stored


async def test_ids_sequences_and_times_stay(log: Log) -> None:
    await put(log, **PEOPLE)
    before = await log_rows(log)
    await erase(log)
    after = await log_rows(log)
    for old, new in zip(before, after, strict=False):
        kept = ("id", "type", "timestamp", "recorded_at", "reference", "sequence", "position")
        told_before, told_after = msgspec.json.decode(old.body), msgspec.json.decode(new.body)
        assert {name: told_before[name] for name in kept} == {name: told_after[name] for name in kept}


async def test_the_raw_message_it_was_read_from_is_blanked(log: Log, database: Database) -> None:
    await take(log, a_scan(), body=CANARY.encode())
    await erase(log, "EZ4000")
    (message,) = (await log.list_messages(DEFAULT, "src_1")).items
    assert message.body == b""
    assert message.erased_at is not None


async def test_other_shipments_are_left_alone(log: Log) -> None:
    await put(log, "SO-1", **PEOPLE)
    await put(log, "SO-2", **PEOPLE)
    await erase(log, "SO-1")
    assert CANARY in (await log.get_shipment(DEFAULT, "SO-2")).json.decode()
    assert all(CANARY in row.body.decode() for row in await log.shipment_events(DEFAULT, "SO-2", 0))


async def test_the_answers_of_a_deleted_endpoint_are_erased_too(log: Log, database: Database) -> None:
    endpoint = await owned(log)
    await put(log, **PEOPLE)
    row = (await log_rows(log))[0]
    answered = msgspec.json.encode({"number": 1, "response": {"headers": {}, "body": CANARY}})
    await log.persist([a_write(endpoint, attempts=(an_attempt(row, detail=answered, started_at=NOON),))])
    await log.do(units.delete_endpoint(*endpoint_name(endpoint)))
    await erase(log)
    assert CANARY not in whole_database(database)


async def test_what_was_erased_is_in_no_page_of_the_file(sqlite_url: str, vault: Vault) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    log = Log(open_database(sqlite_url), SystemClock(), IdSource(), vault)
    await log.start()
    await log.ensure_operator("wp_operator_of_this_test")
    for version in range(3):  # each larger than the last, so that pages are freed on the way
        goods = [{"id": f"g_{n}", "description": f"canary {n} " * 40 * (version + 1)} for n in range(50)]
        await put(log, "SO-1", goods=goods)
    assert b"canary" in path.read_bytes() + path.with_name("waypost.db-wal").read_bytes()
    await log.do(AcceptReport(DEFAULT, "SO-1", EraseReport()))
    on_disk = path.read_bytes() + path.with_name("waypost.db-wal").read_bytes()
    await log.close()
    assert b"canary" not in on_disk


def an_answer_with_people() -> bytes:
    return msgspec.json.encode({"number": 1, "response": {"headers": {"x": CANARY}, "body": CANARY}})


async def test_an_answer_that_is_stored_behind_an_erasure_is_stored_blank(log: Log, database: Database) -> None:
    endpoint = await owned(log)
    await put(log, **PEOPLE)
    row = (await log_rows(log))[0]
    sent = an_attempt(row, detail=an_answer_with_people(), started_at=SystemClock().now())
    await erase(log)
    await log.persist([a_write(endpoint, attempts=(sent,))])
    assert CANARY not in whole_database(database)


async def test_an_answer_in_the_same_group_as_an_erasure_is_stored_blank(log: Log, database: Database) -> None:
    endpoint = await owned(log)
    await put(log, **PEOPLE)
    row = (await log_rows(log))[0]
    sent = an_attempt(row, detail=an_answer_with_people(), started_at=SystemClock().now())
    write = units.persist([a_write(endpoint, attempts=(sent,))])
    outcomes = await log.do_all([Request(write), Request(AcceptReport(DEFAULT, "SO-1", EraseReport()))])
    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert CANARY not in whole_database(database)


async def test_answers_to_events_that_were_not_erased_are_kept_behind_an_erasure(log: Log, database: Database) -> None:
    endpoint = await owned(log)
    await put(log, "SO-1", **PEOPLE)
    await put(log, "SO-2")
    row = (await log_rows(log))[-1]
    sent = an_attempt(row, detail=an_answer_with_people(), started_at=SystemClock().now())
    await erase(log, "SO-1")
    await log.persist([a_write(endpoint, attempts=(sent,))])
    assert CANARY in whole_database(database)


async def test_an_erasure_waits_for_attempts_that_another_process_is_storing(pg_url: str, vault: Vault) -> None:
    """The other process looked for erasures before this one commits, so it must be seen by this one."""
    log = Log(open_database(pg_url), SystemClock(), IdSource(), vault)
    await log.start()
    await log.ensure_operator("wp_operator_of_this_test")
    endpoint = await owned(log)
    await put(log, **PEOPLE)
    row = (await log_rows(log))[0]
    other = open_database(pg_url)
    stored = {
        "account_id": DEFAULT, "endpoint_id": endpoint.endpoint_id, "position": row.position, "number": 1,
        "event_id": row.event_id, "started_at": 0, "verdict": "delivered", "outcome": "success", "status": 200,
        "duration_us": 1, "detail": an_answer_with_people(),
    }  # fmt: skip
    with other.writer.connect() as connection:
        connection.execute(insert(attempts), stored)
        erasing = asyncio.create_task(erase(log))
        await until_somebody_waits(other)
        assert not erasing.done()
        connection.commit()
        await erasing
    assert CANARY not in whole_database(other)
    other.close()
    await log.close()


async def until_somebody_waits(database: Database) -> None:
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    while True:
        with database.readers.connect() as connection:
            if connection.execute(waiting).scalar():
                return
        await asyncio.sleep(0.01)


async def test_another_service_can_tell_which_events_were_rewritten(log: Log) -> None:
    await put(log, "SO-1", **PEOPLE)
    await put(log, "SO-2", **PEOPLE)
    before = to_micros(SystemClock().now())
    await erase(log, "SO-1")
    rewritten = await log.look(lambda connection, _: erasure.rewritten_since(connection, before))
    later = await log.look(lambda connection, _: erasure.rewritten_since(connection, before + 3600 * 1_000_000))
    assert (rewritten, later) == ({DEFAULT: [1, 2]}, {})
