"""The catalogue as a page of documentation, in Markdown."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from waypost.events.kinds import is_about_shipment
from waypost.events.wording import DETAILS, NEW_BOOKINGS, OPERATIONS, STATUS_UPDATES, TESTS, UNITS

Json = Mapping[str, Any]


class EventType(msgspec.Struct, frozen=True, kw_only=True):
    """One type of event.

    `group` is the heading under which people choose it, `schema` the JSON Schema (2020-12) of the whole event,
    `example` a whole event.
    """

    type: str
    title: str
    group: str
    description: str
    schema: dict[str, Any]
    example: dict[str, Any]
    own: bool = False


_OPENING = """\
# Event catalogue

Every event that Waypost sends, in plain words. An endpoint names the types it wants; `shipment.*` stands for all that
begin with `shipment.`, at any depth, and `*` for everything. The JSON Schema and an example of a whole event of each
type are at `GET /v1/event-types/{type}`.

Later versions may add fields without notice, so a receiver should ignore what it does not know. What would break a
receiver gets a new `api_version`, and an endpoint keeps the version it was made with.
"""

_GROUP_NOTES: Mapping[str, str] = {
    NEW_BOOKINGS: "`shipment.created` comes once for each reference, whatever its status. "
    "`shipment.status.booked` is a new booking.",
    STATUS_UPDATES: "All of them have the same shape. They come when the status of the whole shipment changes, and "
    "`delivery_attempted` at every attempt.",
    DETAILS: "One event for each report, with every place that differs.",
    UNITS: "They come when the carrier scans one unit by itself; a scan of the whole shipment makes none.",
    OPERATIONS: "They are about an endpoint, not a shipment: `shipment_id` and `reference` are null, `key` is the "
    "endpoint's id. `shipment.*` leaves them out; an endpoint with a filter never gets them.",
    TESTS: "A test is sent at once and once, and stands in no log. The test of any other type is that type's example "
    "with `test` true.",
}

_OF_EACH_TYPE: Mapping[str, Json] = {
    "type": {"type": "string", "description": "What happened: one of the types above."},
    "data": {"type": "object", "description": "The shipment and what the type adds to it, as below."},
}


def catalogue_page(groups: Mapping[str, Sequence[EventType]]) -> str:
    """Give the whole page. `groups` holds the types under their headings, in the order of the page."""
    kinds = [kind for group in groups.values() for kind in group]
    return "\n\n".join(part.strip() for part in _parts(groups, kinds)) + "\n"


def _parts(groups: Mapping[str, Sequence[EventType]], kinds: Sequence[EventType]) -> Iterator[str]:
    yield _OPENING
    yield "## All types"
    yield _table(("type", "in words", "what happened"), [(f"`{k.type}`", k.title, k.description) for k in kinds])
    yield "## Around every event"
    around = next(kind.schema for kind in kinds if is_about_shipment(kind.type))["properties"]
    yield _fields(around | _OF_EACH_TYPE)
    for group, members in groups.items():
        yield f"## {group}"
        yield from _group(group, members)
    yield "## The parts of a shipment"
    yield "A field is always there, if only as `null` or an empty list."
    parts: dict[str, Json] = {}
    for kind in kinds:
        parts |= kind.schema.get("$defs", {})
    for name, part in sorted(parts.items()):
        yield f"### {name}"
        yield part.get("description", "")
        yield _fields(part["properties"])


def _group(group: str, members: Sequence[EventType]) -> Iterator[str]:
    yield _GROUP_NOTES.get(group, "")
    shapes: dict[str, list[EventType]] = {}
    for kind in members:
        shapes.setdefault(json.dumps(kind.schema["properties"]["data"]), []).append(kind)
    for kinds in shapes.values():
        yield ", ".join(f"`{kind.type}`" for kind in kinds)
        yield "In `data`:"
        yield _fields(kinds[0].schema["properties"]["data"]["properties"])
        yield _example(next((kind for kind in kinds if kind.type.endswith(".collected")), kinds[0]))


def _example(kind: EventType) -> str:
    body = json.dumps(kind.example, indent=2, ensure_ascii=False)
    indented = "\n".join(f"    {line}" if line else "" for line in f"```json\n{body}\n```".splitlines())
    return f'??? example "A whole `{kind.type}`"\n\n{indented}'


def _fields(properties: Json) -> str:
    rows = [(f"`{name}`", _type_words(part), _note(part)) for name, part in properties.items()]
    return _table(("field", "type", "meaning"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _note(part: Json) -> str:
    notes = [part.get("description"), *(choice.get("description") for choice in part.get("anyOf", ()))]
    return next((str(note) for note in notes if note), "")


def _type_words(part: Json) -> str:
    if "$ref" in part:
        name = str(part["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in part:
        return " or ".join(_type_words(choice) for choice in part["anyOf"])
    if "const" in part:
        return f"`{json.dumps(part['const'])}`"
    if "enum" in part:
        return ", ".join(f"`{value}`" for value in part["enum"])
    if part.get("type") == "array":
        return f"list of {_type_words(part['items'])}"
    return str(part.get("format") or part.get("type") or "anything")
