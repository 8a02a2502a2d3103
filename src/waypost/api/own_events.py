"""Events of the sender's own: registering a type with the schema of its data, and sending what happened."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from waypost.api import examples
from waypost.api.bodies import check_object, read_object, refuse
from waypost.api.call import Call
from waypost.api.checks import Check, nullable, text
from waypost.api.once import answer_once
from waypost.api.operations import Access, Answer, Body, Table
from waypost.api.queries import read_instant
from waypost.api.reply import NO_CONTENT, Reply, json_reply
from waypost.api.shapes import Event, ListedType, NewEventType, OwnEvent
from waypost.errors import FieldError, InvalidDocument
from waypost.events.own_schemas import DATA_BYTES_MAX, check_schema, data_errors
from waypost.events.own_types import id_problem, key_problem, show_own_type, type_problem
from waypost.events.patterns import nearest
from waypost.ids import EventId
from waypost.log import NewType, Posted, TypeChangedError, units
from waypost.log import OwnEvent as GivenEvent
from waypost.log.auditing import audited
from waypost.log.own_events import no_such_type

TABLE = Table("Events of your own")

TITLE_LENGTH_MAX = 200
DESCRIPTION_LENGTH_MAX = 1000
EXAMPLE_BYTES_MAX = 64 * 1024


class _RawType(msgspec.Struct):
    schema: msgspec.Raw = msgspec.Raw(b"true")
    example: msgspec.Raw = msgspec.Raw(b"null")


class _RawEvent(msgspec.Struct):
    data: msgspec.Raw


@TABLE.add(
    "PUT",
    "/v1/event-types/{type}",
    access=Access.SHIPMENTS,
    summary="Register an event type of your own",
    body=Body(type=NewEventType, examples={"An invoice": examples.EVENT_TYPE}),
    answers=(
        Answer(status=201, type=ListedType, description="The type, which is new."),
        Answer(status=200, type=ListedType, description="The type, changed for the events to come."),
    ),
    problems=[409],
)
async def put_event_type(call: Call) -> Reply:
    """Say what the events of a type carry: `schema` is a JSON Schema (2020-12) that the `data` of each must fit.

    Endpoints can ask for the type by its name and by patterns such as `invoice.*`, and the catalogue shows it. The
    name is made of small words with dots between; its first word is not one of the catalogue's. A schema refers to
    itself alone: nothing is fetched. Its patterns know no look-around and no back-references, and are matched in time
    that grows with the text and no faster. At most 200 types an account.
    """
    name = call.path_text("type")
    problem = type_problem(name)
    if problem is not None:
        raise InvalidDocument(f"The type {problem}.")
    body = await call.body()
    given = read_object(body)
    check_object(given, _TYPE_FIELDS, required=("schema",))
    work = units.put_type(call.account_id, _new_type(name, given, msgspec.json.decode(body, type=_RawType)))
    own, is_new = await call.services.log.do(audited(work, call.actor, "event_type.put", name))
    return json_reply(show_own_type(own, call.account_id), 201 if is_new else 200)


@TABLE.add(
    "DELETE",
    "/v1/event-types/{type}",
    access=Access.SHIPMENTS,
    summary="Delete an event type of your own",
    answers=Answer(status=204, description="Deleted."),
    problems=[409],
)
async def delete_event_type(call: Call) -> Reply:
    """Forget a type that no event in the log has, for example one that was registered under a wrong name.

    While the log holds events of the type, it is 409: they would be of a type that nobody can look up.
    """
    name = call.path_text("type")
    work = units.delete_type(call.account_id, name)
    await call.services.log.do(audited(work, call.actor, "event_type.deleted", name))
    return NO_CONTENT


@TABLE.add(
    "POST",
    "/v1/events",
    access=Access.SHIPMENTS,
    summary="Send an event of your own",
    body=Body(type=OwnEvent, examples={"An invoice": examples.OWN_EVENT}),
    answers=(
        Answer(status=201, type=Event, description="The whole event, as it is sent to the endpoints."),
        Answer(status=200, type=Event, description="The event that stands in the log under this `id`; none was added."),
    ),
    problems=[409],
)
async def post_event(call: Call) -> Reply:
    """Put an event of a registered type into the log, from where it goes to the endpoints that want it.

    `key` orders events as a shipment orders its own: those with the same key reach each endpoint one after the other,
    and `sequence` counts them. With an `id` of your own, sending the same event again adds nothing and answers the
    first; the same `id` with other content is 409. `data` holds at most 256 KiB.
    """
    body = await call.body()
    given = read_object(body)
    check_object(given, _EVENT_FIELDS, required=("type", "key", "data"))
    data = msgspec.json.format(msgspec.json.decode(body, type=_RawEvent).data, indent=-1)
    if len(data) > DATA_BYTES_MAX:
        refuse([FieldError("/data", f"is larger than {DATA_BYTES_MAX // 1024} KiB")])
    event = GivenEvent(
        type=given["type"], key=given["key"], data=data, occurred_at=_occurred_at(given.get("occurred_at")),
        event_id=EventId(given["id"]) if given.get("id") is not None else None,
    )  # fmt: skip
    return await _post(call, event)


async def _post(call: Call, event: GivenEvent) -> Reply:
    """Hold the event against its type and put it into the log; once more, if the type was changed between the two."""
    while True:
        revision = await _checked(call, event)
        try:
            return await answer_once(call, units.post_event(call.account_id, event, revision), _posted)
        except TypeChangedError:
            continue


async def _checked(call: Call, event: GivenEvent) -> int:
    """Refuse data that does not fit; give the revision of the type that it fits.

    One that stands in the log already is not held against a schema that may have changed since.
    """
    log = call.services.log
    if event.event_id is not None and await log.is_posted(call.account_id, event):
        return 0
    own = await log.find_own_type(call.account_id, event.type)
    if own is None:
        raise await _unknown_type(call, event.type)
    refuse(data_errors(own.schema, event.data))
    return own.revision


async def _unknown_type(call: Call, name: str) -> InvalidDocument:
    near = nearest(name, await call.services.log.own_type_names(call.account_id))
    refusal = no_such_type(name)
    return InvalidDocument(f'{refusal.detail}; did you mean "{near}"?', path="/type") if near else refusal


def _posted(posted: Posted) -> Reply:
    return Reply(201 if posted.added else 200, posted.body)


def _new_type(name: str, given: Mapping[str, Any], raw: _RawType) -> NewType:
    schema = msgspec.json.format(raw.schema, indent=-1).decode()
    example = None if given.get("example") is None else msgspec.json.format(raw.example, indent=-1)
    if example is not None:
        refuse(data_errors(schema, example, path="/example"))
    return NewType(
        type=name,
        title=given.get("title") or name,
        description=given.get("description") or "",
        schema=schema,
        example=None if example is None else example.decode(),
    )


def _occurred_at(value: str | None) -> datetime | None:
    return None if value is None else read_instant(value)


# -- what may be given -------------------------------------------------------------------------------------------------


def _object(bytes_max: int) -> Check:
    def check(value: Any, path: str) -> list[FieldError]:
        if not isinstance(value, dict):
            return [FieldError(path, "must be an object")]
        if len(msgspec.json.encode(value)) > bytes_max:
            return [FieldError(path, f"is larger than {bytes_max // 1024} KiB")]
        return []

    return check


def _named(problem_of: Any) -> Check:
    def check(value: Any, path: str) -> list[FieldError]:
        if not isinstance(value, str):
            return [FieldError(path, "must be a text")]
        problem = problem_of(value)
        return [] if problem is None else [FieldError(path, problem)]

    return check


def _instant(value: Any, path: str) -> list[FieldError]:
    if not isinstance(value, str):
        return [FieldError(path, "must be a time such as 2026-11-23T13:31:00Z")]
    try:
        read_instant(value)
    except ValueError as error:
        return [FieldError(path, str(error))]
    return []


_TYPE_FIELDS: Mapping[str, Check] = {
    "title": nullable(text(TITLE_LENGTH_MAX)),
    "description": nullable(text(DESCRIPTION_LENGTH_MAX)),
    "schema": lambda value, path: check_schema(value, path=path),
    "example": nullable(_object(EXAMPLE_BYTES_MAX)),
}
_EVENT_FIELDS: Mapping[str, Check] = {
    "type": _named(type_problem),
    "key": _named(key_problem),
    "data": _object(2 * DATA_BYTES_MAX),  # counted to the byte once it is written as it is stored
    "occurred_at": nullable(_instant),
    "id": nullable(_named(id_problem)),
}
