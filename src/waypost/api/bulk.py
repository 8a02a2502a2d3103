"""Many shipments in one request: a line in, a line out, while both are under way."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Iterator
from itertools import islice

import structlog

from waypost.api import examples
from waypost.api.call import Call
from waypost.api.lines import Line, LineCutter
from waypost.api.once import idempotency_key
from waypost.api.operations import BULK_BYTES_MAX, JSON_BYTES_MAX, Access, Answer, Body, Table
from waypost.api.problems import internal_error
from waypost.api.reply import NDJSON, StreamReply, encode_json
from waypost.api.shapes import BulkAccepted, BulkRefused
from waypost.api.shipments import actor_of
from waypost.errors import CallerError, FieldError, TooLarge
from waypost.log import Accepted, AcceptReport, Once, Request
from waypost.log import Answer as KeptAnswer
from waypost.shipments.facts import Actor
from waypost.shipments.reading import bulk_reference, read_bulk_line
from waypost.shipments.report import DocumentReport

TABLE = Table("Bulk")

# Lines are read in small batches, so that others get their turn between them; a few batches are under way at once, so
# that the next is read while the disk works. No more of the body than that is taken in.
BATCH_LINES = 32
BATCHES_UNDER_WAY_MAX = 8

logger = structlog.get_logger()

Batches = asyncio.Queue["asyncio.Task[bytes] | Exception | None"]


@TABLE.add(
    "POST",
    "/v1/bulk/shipments",
    access=Access.SHIPMENTS,
    summary="Put many shipments",
    body=Body(
        type=str,
        examples={"Two shipments": examples.BULK_LINES},
        media_types=("application/x-ndjson",),
        bytes_max=BULK_BYTES_MAX,
    ),
    answers=Answer(
        status=200,
        type=(BulkAccepted, BulkRefused),
        description="One result a line, in order.",
        media_type="application/x-ndjson",
    ),
)
async def put_shipments_in_bulk(call: Call) -> StreamReply:
    """Send one shipment document a line, each with its `reference`; each is put as `PUT` would put it.

    Results come while you still send, one JSON object a line, in order: that of a line never waits for the next one.
    (With curl, use `-T .`; with `-T -` it is curl that waits.) A line that is refused says so on its line; the others
    stand. With an `Idempotency-Key` each line is done once.
    """
    call.check_media_type()
    call.check_size_announced()
    idempotency_key(call)
    return StreamReply(_results(call), NDJSON)


async def _results(call: Call) -> AsyncGenerator[bytes, None]:
    batches: Batches = asyncio.Queue(BATCHES_UNDER_WAY_MAX)
    reading = asyncio.create_task(_read(call, batches))
    try:
        while (batch := await batches.get()) is not None:
            if isinstance(batch, Exception):
                raise batch
            yield await batch
    finally:
        reading.cancel()
        await asyncio.gather(reading, *_left_in(batches), return_exceptions=True)


async def _read(call: Call, batches: Batches) -> None:
    """Cut the body into batches and start each; the last thing put is None, or what went wrong."""
    end: Exception | None = None
    try:
        await _start_batches(call, batches)
    except Exception as error:  # noqa: BLE001 - raised again where the answer is written
        end = error
    await batches.put(end)


async def _start_batches(call: Call, batches: Batches) -> None:
    # Tasks begin in the order in which they are made, and each hands its lines to the log before it first waits: so
    # lines about one shipment are taken in the order of the body.
    cutter = LineCutter(JSON_BYTES_MAX)
    try:
        async for piece in call.chunks():
            for lines in _batched(cutter.feed(piece)):
                await batches.put(asyncio.create_task(_put_lines(call, lines)))
                await asyncio.sleep(0)
        for lines in _batched(cutter.finish()):
            await batches.put(asyncio.create_task(_put_lines(call, lines)))
    except TooLarge as error:
        await batches.put(asyncio.create_task(_refuse_rest(cutter.number + 1, error)))


def _batched(lines: Iterator[Line]) -> Iterator[list[Line]]:
    while batch := list(islice(lines, BATCH_LINES)):
        yield batch


async def _put_lines(call: Call, lines: list[Line]) -> bytes:
    """Put the shipments of a batch and give its results."""
    actor, key = actor_of(call), idempotency_key(call)
    results: dict[int, bytes] = {}
    requests: dict[int, Request] = {}
    for line in lines:
        try:
            requests[line.number] = _request(call, line, actor, key)
        except CallerError as error:
            results[line.number] = _refused(line.number, _reference_in(line), error)
    outcomes = await call.services.log.do_all(list(requests.values()))
    for number, outcome in zip(requests, outcomes, strict=True):
        results[number] = _result(call, number, requests[number], outcome)
    return b"".join(results[line.number] for line in lines)


def _request(call: Call, line: Line, actor: Actor, key: str | None) -> Request:
    if line.text is None:
        raise TooLarge(f"The line is longer than {JSON_BYTES_MAX // (1024 * 1024)} MiB.")
    reference, document = read_bulk_line(line.text)
    report = DocumentReport(document=document, actor=actor)
    work = AcceptReport(call.account_id, reference, report, whole=False)
    return Request(work, None if key is None else _once(call, line.number, line.text, reference, key))


def _once(call: Call, number: int, text: bytes, reference: str, key: str) -> Once[Accepted]:
    return Once(
        key=f"{key} line {number}",
        method=call.operation.method,
        path=call.operation.path,
        body_sha256=hashlib.sha256(text).digest(),
        render=lambda accepted: KeptAnswer(200, {}, _accepted(number, accepted)),
        render_error=lambda error: KeptAnswer(error.status, {}, _refused(number, reference, error)),
    )


def _result(call: Call, number: int, request: Request, outcome: object) -> bytes:
    if isinstance(outcome, KeptAnswer):
        return outcome.body
    if isinstance(outcome, Accepted):
        return _accepted(number, outcome)
    assert isinstance(request.work, AcceptReport)
    if not isinstance(outcome, CallerError):
        logger.error("bulk_line_failed", request_id=call.request_id, line=number, exc_info=outcome)
        outcome = internal_error()
    return _refused(number, request.work.find, outcome)


def _accepted(number: int, accepted: Accepted) -> bytes:
    result = BulkAccepted(
        line=number,
        status=201 if accepted.created else 200,
        reference=accepted.reference,
        version=accepted.version,
        events=accepted.events,
        stale=accepted.stale,
    )
    return encode_json(result) + b"\n"


def _refused(number: int, reference: str | None, error: CallerError) -> bytes:
    errors = error.errors or (FieldError("", error.detail),)
    return encode_json(BulkRefused(line=number, status=error.status, reference=reference, errors=errors)) + b"\n"


def _reference_in(line: Line) -> str | None:
    return None if line.text is None else bulk_reference(line.text)


async def _refuse_rest(number: int, error: TooLarge) -> bytes:
    return _refused(number, None, error)


def _left_in(batches: Batches) -> list["asyncio.Task[bytes]"]:
    """The batches whose results nobody reads any more; what they put stands."""
    left = [batches.get_nowait() for _ in range(batches.qsize())]
    return [batch for batch in left if isinstance(batch, asyncio.Task)]
