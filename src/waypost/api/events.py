"""The account's log: poll it, read one event, or follow it."""

from collections.abc import AsyncGenerator

from waypost.api.call import Call
from waypost.api.event_ids import event_id_of
from waypost.api.listing import raw_page
from waypost.api.operations import Access, Answer, Table
from waypost.api.queries import AFTER_POSITION, LIMIT, POSITION_MAX, WholeNumber
from waypost.api.reply import Reply, StreamReply
from waypost.api.shapes import Event, Page
from waypost.api.tails import KEEP_ALIVE
from waypost.errors import BadRequest
from waypost.log import LogRow

TABLE = Table("Events")

EVENT_STREAM = b"text/event-stream"


@TABLE.add(
    "GET",
    "/v1/events",
    access=Access.READ,
    summary="Poll the log",
    queries=[AFTER_POSITION, LIMIT],
    answers=Answer(status=200, type=Page[Event], description="Whole events; `next` is the last `position`."),
)
async def list_events(call: Call) -> Reply:
    """Give the account's events in order, past the position `after`."""
    limit = call.query("limit")
    rows = await call.services.log.events_after(call.account_id, call.query("after"), limit + 1)
    page = rows[:limit]
    return raw_page((row.body for row in page), page[-1].position if len(rows) > limit else None)


@TABLE.add(
    "GET",
    "/v1/events/stream",
    access=Access.READ,
    summary="Follow the log",
    queries=[
        WholeNumber(
            name="after",
            description="Begin past this position. Default: with what comes now.",
            low=0,
            high=POSITION_MAX,
        )
    ],
    answers=Answer(status=200, type=str, description="Server-sent events, for ever.", media_type="text/event-stream"),
    problems=[429],
)
async def stream_events(call: Call) -> StreamReply:
    """Give events as they happen, as server-sent events: `id` is the position, `event` the type, `data` the event.

    A client that reconnects sends `Last-Event-ID` by itself and goes on where it was; it wins over `after`. A line
    that begins with a colon says that the connection is alive.
    """
    after = _last_event_id(call)
    if after is None:
        after = call.query("after")
    if after is None:
        after = await call.services.log.log_end(call.account_id)
    call.shared.tails.check_room(call.account_id)
    return StreamReply(
        _server_sent(call.shared.tails.follow(call.account_id, after)),
        EVENT_STREAM,
        headers=((b"x-accel-buffering", b"no"),),  # nginx would hold events back
        watch_disconnect=True,
    )


async def _server_sent(rows: AsyncGenerator[LogRow | None, None]) -> AsyncGenerator[bytes, None]:
    try:
        yield KEEP_ALIVE  # so that the client knows at once that the stream stands
        async for row in rows:
            yield (
                KEEP_ALIVE
                if row is None
                else b"id: %d\nevent: %b\ndata: %b\n\n"
                % (
                    row.position,
                    row.type.encode(),
                    row.body,
                )
            )
    finally:
        await rows.aclose()


def _last_event_id(call: Call) -> int | None:
    text = call.header(b"last-event-id")
    if text is None or text == "":
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= POSITION_MAX):
        raise BadRequest("Last-Event-ID is a position: the id of the last event that you took.")
    return int(text)


@TABLE.add(
    "GET",
    "/v1/events/{id}",
    access=Access.READ,
    summary="Read an event",
    answers=Answer(status=200, type=Event, description="The event, as it is sent."),
)
async def get_event(call: Call) -> Reply:
    """Give one event, byte for byte as it is signed and sent."""
    row = await call.services.log.get_event(call.account_id, event_id_of(call))
    return Reply(200, row.body)
