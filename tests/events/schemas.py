"""Checks events against the published schemas, more strictly than a receiver should."""

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from waypost.events.schemas import event_schema


def closed(node: Any) -> Any:
    """The same schema with every object closed, so that a field it does not name is an error."""
    if isinstance(node, list):
        return [closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    schema = {key: closed(value) for key, value in node.items()}
    return (
        schema | {"additionalProperties": False}
        if schema.get("type") == "object" and "properties" in schema
        else schema
    )


@cache
def validator(event_type: str) -> Draft202012Validator:
    return Draft202012Validator(closed(event_schema(event_type)), format_checker=Draft202012Validator.FORMAT_CHECKER)


def problems(event: dict[str, Any]) -> list[str]:
    """What the closed schema of its type has against an event."""
    return [f"{error.json_path}: {error.message}" for error in validator(event["type"]).iter_errors(event)]
