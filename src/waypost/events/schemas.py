"""The JSON Schema (draft 2020-12) of a whole event, made from the structs that write the event.

Each schema stands on its own. It is open: a field that it does not name may come later without a new `api_version`, so
receivers should ignore what they do not know. Every field it does name is always sent, if only as null.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from waypost.events.data import DATA_TYPES
from waypost.events.envelope import API_VERSION, AccountEnvelope, Envelope
from waypost.events.kinds import WEBHOOK_TEST, is_about_shipment
from waypost.events.wording import WORDING
from waypost.shipments import facts

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMA_BASE = f"https://waypost.example/schemas/{API_VERSION}/"

Json = dict[str, Any]  # JSON Schema is data without a fixed shape

_SPARSE = {
    struct.__name__: [name.encode_name for name in msgspec.structs.fields(struct) if name.required]
    for struct in (facts.Actor,)
}


def event_schema(event_type: str) -> Json:
    """Give the schema of the whole event of a type of the catalogue. Raises KeyError for any other type."""
    data_type = DATA_TYPES[event_type]
    envelope: Any = Envelope if is_about_shipment(event_type) or event_type == WEBHOOK_TEST else AccountEnvelope
    (root,), parts = msgspec.json.schema_components([envelope[data_type]], ref_template="#/$defs/{name}")
    body = _take(parts, root)
    body["properties"]["data"] = data = _take(parts, body["properties"]["data"])
    del data["title"]  # it names our struct
    schema: Json = {
        "$schema": DIALECT,
        "$id": f"{SCHEMA_BASE}{event_type}.json",
        **body,
        "title": event_type,
        "description": WORDING[event_type].description,
        "$defs": dict(sorted(parts.items())),
    }
    schema["properties"]["type"] = {"const": event_type}
    schema["properties"]["api_version"]["const"] = API_VERSION
    schema = _published(schema)
    schema["$defs"] |= {name: _sparse(part) for name, part in schema["$defs"].items() if name in _SPARSE}
    return schema


def envelope_schema() -> Json:
    """Give the schema of an event about no shipment, of which `type` and `data` are still open."""
    (root,), parts = msgspec.json.schema_components([AccountEnvelope[Json]], ref_template="#/$defs/{name}")
    body = _take(parts, root)
    assert not parts, parts
    body["properties"]["api_version"]["const"] = API_VERSION
    published: Json = _published(body)
    return published


def _take(parts: Json, reference: Mapping[str, str]) -> Json:
    """Take the part that is referred to out of the parts, to stand where the reference stood."""
    part: Json = parts.pop(reference["$ref"].rpartition("/")[2])
    return part


def _published(node: Any) -> Any:
    """Open every object for fields to come, and require every field that is named: encoding leaves none out."""
    if isinstance(node, list):
        return [_published(item) for item in node]
    if not isinstance(node, dict):
        return node
    given = {key: _published(value) for key, value in node.items()}
    if isinstance(given.get("properties"), dict) and given.get("type") == "object":
        given.pop("additionalProperties", None)
        given["required"] = list(given["properties"])
        given["properties"] = {name: _without_default(part) for name, part in given["properties"].items()}
    return given


def _sparse(part: Json) -> Json:
    """Require only what has no default, in a struct that leaves its defaults out when encoded."""
    return part | {"required": _SPARSE[part["title"]]}


def _without_default(part: Json) -> Json:
    """Drop the default of a field: it says what reading assumes, and a receiver is always sent the value."""
    return {key: value for key, value in part.items() if key != "default"}
