"""What the log's tests are made of: reports, endpoints, attempts, and what a database holds afterwards."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import select

from waypost.clock import to_micros
from waypost.events.patterns import Wants
from waypost.ids import AccountId, EndpointId
from waypost.log import (
    Accepted,
    AcceptReport,
    Answer,
    AttemptRow,
    Database,
    EndpointRecord,
    EndpointSettings,
    EndpointWrite,
    Log,
    LogRow,
    Once,
    PendingRow,
    units,
)
from waypost.log.tables import events
from waypost.shipments import Actor
from waypost.shipments.reading import read_document
from waypost.shipments.report import DocumentReport

DEFAULT = AccountId("default")
NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
ACTOR = Actor(kind="api", token="tms")

_weights = count(1)


def a_document(weight: int | str = 402, **fields: Any) -> DocumentReport:
    """A report of a shipment with one pallet of `weight` kg; `fields` are the document's own."""
    document = {"handling_units": [{"id": "hu_1", "gross_weight_kg": str(weight)}], **fields}
    return DocumentReport(document=read_document(_json(document)), actor=ACTOR)


def a_report(reference: str = "SO-1", account: AccountId = DEFAULT, **given: Any) -> AcceptReport:
    """A document for `reference`, on its way into the log."""
    if_match = given.pop("if_match", None)
    return AcceptReport(account, reference, a_document(**given), if_match)


async def put(log: Log, reference: str = "SO-1", account: AccountId = DEFAULT, **given: Any) -> Accepted:
    """Put a document and give what became of it. Each has a weight of its own unless it is given one."""
    given.setdefault("weight", next(_weights))
    return await log.do(a_report(reference, account, **given))


def once(key: str = "key-1", body: bytes = b"body", **given: Any) -> Once[Any]:
    """A request with an Idempotency-Key whose answer says what came of it."""
    return Once(
        key=key,
        method="POST",
        path=given.pop("path", "/v1/shipments/SO-1/tracking-events"),
        body_sha256=body,
        render=lambda outcome: Answer(200, {"etag": '"1"'}, str(outcome).encode()),
        render_error=lambda error: Answer(error.status, {}, error.detail.encode()),
        **given,
    )


async def an_endpoint(log: Log, *patterns: str, account: AccountId = DEFAULT, **given: Any) -> EndpointRecord:
    """Make an endpoint that wants `patterns` (all, when there are none)."""
    settings = EndpointSettings(url=given.pop("url", "https://erp.example/hooks"))
    wants = Wants(tuple(patterns) or ("*",), given.pop("filter", None))
    return await log.do(units.create_endpoint(account, settings, wants, secret=SECRET, **given))


def an_attempt(row: LogRow, verdict: str = "delivered", number: int = 1, **given: Any) -> AttemptRow:
    """An attempt at the event in `row`."""
    status = given.pop("status", 200 if verdict == "delivered" else 500)
    return AttemptRow(
        position=row.position,
        number=number,
        event_id=row.event_id,
        started_at=to_micros(given.pop("started_at", NOON)),
        verdict=verdict,
        outcome="success" if verdict == "delivered" else "status",
        status=status,
        duration_us=given.pop("duration_us", 96_000),
        detail=given.pop("detail", b'{"number":1}'),
    )


def a_pending(row: LogRow, state: str = "retrying", **given: Any) -> PendingRow:
    """A pending row for the event in `row`, due a minute after noon."""
    due_at = None if state == "waiting" else to_micros(NOON + timedelta(minutes=1))
    return PendingRow(row.position, row.key, row.event_id, state, due_at, type=row.type, **given)


def a_write(endpoint: EndpointRecord, epoch: int = 1, **given: Any) -> EndpointWrite:
    """What the owner with `epoch` stores of an endpoint."""
    return EndpointWrite(account_id=endpoint.account_id, endpoint_id=endpoint.endpoint_id, epoch=epoch, **given)


async def owned(log: Log, *patterns: str, **given: Any) -> EndpointRecord:
    """Make an endpoint and take it for the worker `w1`, which has epoch 1 of it then."""
    endpoint = await an_endpoint(log, *patterns, **given)
    await log.take_leases("w1", 60, 100)
    return endpoint


async def log_rows(log: Log, account: AccountId = DEFAULT) -> list[LogRow]:
    """The account's whole log."""
    return await log.events_after(account, 0, 100_000)


def positions(database: Database, account: AccountId = DEFAULT) -> list[int]:
    """The positions in the account's log, as they stand in the table."""
    with database.readers.connect() as connection:
        mine = select(events.c.position).where(events.c.account_id == account)
        return list(connection.execute(mine.order_by(events.c.position)).scalars())


def assert_no_gaps(rows: list[LogRow]) -> None:
    """Positions count from 1, and so do the sequences of each key."""
    assert [row.position for row in rows] == list(range(1, len(rows) + 1))
    for key in {row.key for row in rows}:
        sequences = [row.sequence for row in rows if row.key == key]
        assert sequences == list(range(1, len(sequences) + 1))


def endpoint_name(endpoint: EndpointRecord) -> tuple[AccountId, EndpointId]:
    """An endpoint's account and id."""
    return endpoint.account_id, endpoint.endpoint_id


def _json(value: object) -> bytes:
    import msgspec

    return msgspec.json.encode(value)
