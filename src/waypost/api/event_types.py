"""The catalogue of event types: what can happen, its schema, an example."""

from waypost.api.call import Call
from waypost.api.listing import page
from waypost.api.operations import Access, Answer, Table
from waypost.api.queries import CURSOR, LIMIT_MAX, WholeNumber
from waypost.api.reply import Reply, json_reply
from waypost.api.shapes import ListedType, Page
from waypost.errors import BadRequest, NotFound
from waypost.events.catalogue import CATALOGUE
from waypost.events.own_types import OwnEventType, show_own_type, type_problem
from waypost.events.pages import EventType
from waypost.log.own_events import TYPES_MAX

TABLE = Table("Event types")

# They are few and whoever asks for them wants all: a page would hide the last types.
LIMIT = WholeNumber(name="limit", description="How many items at most. Default: all.", low=1, high=LIMIT_MAX)


@TABLE.add(
    "GET",
    "/v1/event-types",
    access=Access.READ,
    summary="List event types",
    queries=[LIMIT, CURSOR],
    answers=Answer(status=200, type=Page[ListedType], description="All types, or with `limit` a page of them."),
)
async def list_event_types(call: Call) -> Reply:
    """Give every type of event, in plain words, with its JSON Schema and an example; your own types come last.

    One of your own has `own` true, and `data_schema` and `data_example` as they were registered.
    """
    cursor = call.query("cursor")
    if cursor is not None and cursor not in CATALOGUE and type_problem(cursor) is not None:
        raise BadRequest("The cursor is not one that was given out here.", path="?cursor")
    limit = call.query("limit") or len(CATALOGUE) + TYPES_MAX
    names = _catalogue_after(cursor)[: limit + 1]
    own = []
    if len(names) <= limit:
        after = "" if cursor is None or cursor in CATALOGUE else cursor
        own = await call.services.log.own_types_after(call.account_id, after, limit + 1 - len(names))
    shown: list[EventType | OwnEventType] = [CATALOGUE[name] for name in names]
    shown += [show_own_type(one, call.account_id) for one in own]
    return page(shown[:limit], shown[limit - 1].type if len(shown) > limit else None)


def _catalogue_after(cursor: str | None) -> list[str]:
    """The types of the catalogue past `cursor`; none, when that is one of the account's own, which come after."""
    names = list(CATALOGUE)
    if cursor is None:
        return names
    return names[names.index(cursor) + 1 :] if cursor in CATALOGUE else []


@TABLE.add(
    "GET",
    "/v1/event-types/{type}",
    access=Access.READ,
    summary="Read an event type",
    answers=Answer(status=200, type=ListedType, description="The type."),
)
async def get_event_type(call: Call) -> Reply:
    """Give one type of event, of the catalogue or of your own."""
    name = call.path_text("type")
    if name in CATALOGUE:
        return json_reply(CATALOGUE[name])
    own = await call.services.log.find_own_type(call.account_id, name)
    if own is None:
        raise NotFound("There is no event type of this name. GET /v1/event-types lists them all.")
    return json_reply(show_own_type(own, call.account_id))
