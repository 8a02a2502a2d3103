"""The catalogue of event types: what can happen, its schema, an example."""

from waypost.api.call import Call
from waypost.api.listing import page
from waypost.api.operations import Access, Answer, Table
from waypost.api.queries import CURSOR, LIMIT_MAX, WholeNumber
from waypost.api.reply import Reply, json_reply
from waypost.api.shapes import Page
from waypost.errors import BadRequest, NotFound
from waypost.events.catalogue import CATALOGUE
from waypost.events.pages import EventType

TABLE = Table("Event types")

# The catalogue is small and whoever asks for it wants all of it: a page of it would hide the last types.
LIMIT = WholeNumber(name="limit", description="How many items at most. Default: all.", low=1, high=LIMIT_MAX)


@TABLE.add(
    "GET",
    "/v1/event-types",
    access=Access.READ,
    summary="List event types",
    queries=[LIMIT, CURSOR],
    answers=Answer(status=200, type=Page[EventType], description="The catalogue, or with `limit` a page of it."),
)
async def list_event_types(call: Call) -> Reply:
    """Give every type of event, in plain words, with its JSON Schema and an example."""
    names, cursor, limit = list(CATALOGUE), call.query("cursor"), call.query("limit") or len(CATALOGUE)
    if cursor is not None and cursor not in CATALOGUE:
        raise BadRequest("The cursor is not one that was given out here.", path="?cursor")
    start = 0 if cursor is None else names.index(cursor) + 1
    shown = names[start : start + limit]
    return page((CATALOGUE[name] for name in shown), shown[-1] if start + limit < len(names) else None)


@TABLE.add(
    "GET",
    "/v1/event-types/{type}",
    access=Access.READ,
    summary="Read an event type",
    answers=Answer(status=200, type=EventType, description="The type."),
)
async def get_event_type(call: Call) -> Reply:
    """Give one type of event."""
    name = call.path_text("type")
    if name not in CATALOGUE:
        raise NotFound("There is no event type of this name. GET /v1/event-types lists them all.")
    return json_reply(CATALOGUE[name])
