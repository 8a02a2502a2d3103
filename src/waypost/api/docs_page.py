"""The API reference as one page, made from the OpenAPI document alone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup, escape

from waypost.api.openapi import PROBLEM_WORDS

Schema = Mapping[str, Any]

_SHAPE = "#/components/schemas/"
_environment = Environment(
    loader=PackageLoader("waypost.api", "pages"),
    autoescape=select_autoescape(default=True, default_for_string=True),
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Field:
    """One line of a table: a member of a shape, or a parameter."""

    name: str
    type: "tuple[Word, ...]"
    notes: str
    required: bool


@dataclass(frozen=True, slots=True)
class Word:
    """A part of a type in words; `shape` names the shape that it leads to."""

    text: str
    shape: str | None = None


def docs_page(document: Schema) -> str:
    """Give the page of an OpenAPI document made by `openapi_document`."""
    operations = [
        {"method": method.upper(), "path": path, **operation}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    groups = {tag["name"]: [o for o in operations if o["tags"] == [tag["name"]]] for tag in document["tags"]}
    shapes = document["components"]["schemas"]
    return _environment.get_template("docs.html").render(
        info=document["info"],
        server=document["servers"][0]["url"],
        groups=groups,
        shapes={name: shape_fields(shape) for name, shape in shapes.items()},
        titles={name: shape.get("title", name) for name, shape in shapes.items()},
        descriptions={name: shape.get("description", "") for name, shape in shapes.items()},
        problems=PROBLEM_WORDS,
        parameter_fields=parameter_fields,
        type_words=type_words,
        pretty=pretty,
        anchor=anchor,
    )


def prose(text: str) -> Markup:
    """Give a sentence for the page: what stands between backticks is code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped just before


_environment.filters["prose"] = prose


def parameter_fields(parameters: list[Schema]) -> list[Field]:
    """Give the parameters of an operation as lines of a table."""
    return [
        Field(
            parameter["name"],
            type_words(parameter["schema"]),
            " ".join(filter(None, (parameter.get("description", ""), limits(parameter["schema"])))),
            parameter.get("required", False),
        )
        for parameter in parameters
    ]


def shape_fields(shape: Schema) -> list[Field]:
    """Give the members of an object as lines of a table; a shape that is no object has none."""
    required = shape.get("required", ())
    return [
        Field(name, type_words(member), " ".join(filter(None, (described(member), limits(member)))), name in required)
        for name, member in shape.get("properties", {}).items()
    ]


def type_words(schema: Schema) -> tuple[Word, ...]:
    """Say in words what a schema takes, with the shapes it leads to."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_SHAPE)
        return (Word(name, name),)
    if "anyOf" in schema:
        return _joined([type_words(option) for option in schema["anyOf"]])
    if "enum" in schema:
        return (Word(" | ".join(str(value) for value in schema["enum"])),)
    if "const" in schema:
        return (Word(str(schema["const"])),)
    kind = schema.get("type", "any value")
    if isinstance(kind, list):
        return (Word(" or ".join(kind)),)
    if kind == "array":
        return (Word("list of "), *type_words(schema.get("items", {})))
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return (Word("object of "), *type_words(schema["additionalProperties"]))
    return (Word(f"{kind} ({schema['format']})" if "format" in schema else kind),)


def described(schema: Schema) -> str:
    """Give the description of a member, also where it is that of one of its kinds."""
    options = [schema, *schema.get("anyOf", ())]
    return next((option["description"] for option in options if "description" in option), "")


def limits(schema: Schema) -> str:
    """Say the bounds and the default of a schema in a few words."""
    words = []
    if "minimum" in schema and "maximum" in schema:
        words.append(f"{schema['minimum']} to {schema['maximum']}.")
    if "pattern" in schema and "format" not in schema:
        words.append(f"Form: {schema['pattern']}")
    if schema.get("default") not in (None, [], {}):
        words.append(f"Default: {msgspec.json.encode(schema['default']).decode()}.")
    return " ".join(words)


def pretty(value: object) -> str:
    """Give a value as JSON for a reader; lines of JSON as they are."""
    if isinstance(value, str):
        return value
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def anchor(name: str) -> str:
    """Give the page's own link to a shape."""
    return "shape-" + "".join(character if character.isalnum() else "-" for character in name)


def _joined(options: list[tuple[Word, ...]]) -> tuple[Word, ...]:
    words: list[Word] = []
    for place, option in enumerate(options):
        words += [Word(" or ")] if place else []
        words += option
    return tuple(words)
