"""What a schema of a sender's own may say and cost, and data held against it."""

from typing import Any

import msgspec
import pytest

from waypost.events.own_schemas import CHECKS_MAX, ERRORS_MAX, check_schema, data_errors

MONEY = {"type": "object", "properties": {"amount": {"type": "string"}}, "required": ["amount"]}
INVOICE = {"type": "object", "properties": {"total": {"$ref": "#/$defs/money"}}, "$defs": {"money": MONEY}}


def places(schema: object) -> dict[str, str]:
    return {error.path: error.message for error in check_schema(schema)}


def doubling(levels: int) -> dict[str, Any]:
    """A schema whose first part names the second twice, that the third twice, and so on."""
    parts: dict[str, Any] = {
        f"d{level}": {"allOf": [{"$ref": f"#/$defs/d{level + 1}"}, {"$ref": f"#/$defs/d{level + 1}"}]}
        for level in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": parts | {f"d{levels}": {"type": "string"}}}


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {},
        INVOICE,
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://tms.example/invoice"},
        {"properties": {"children": {"items": {"$ref": "#"}}, "name": {"type": "string"}}},
        {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}},
        {"const": {"$ref": "https://elsewhere.example/is-only-data"}},
        doubling(3),
    ],
)
def test_a_schema_that_means_itself_alone_is_taken(schema: object) -> None:
    assert check_schema(schema) == []


@pytest.mark.parametrize(
    ("schema", "path", "words"),
    [
        (5, "/schema", "must be a JSON Schema"),
        ({"type": "strin"}, "/schema/type", "strin"),
        ({"properties": {"a": {"minimum": "1"}}}, "/schema/properties/a/minimum", "not of type"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "/schema/$schema", "2020-12"),
        ({"$ref": "https://elsewhere.example/a.json"}, "/schema/$ref", "nothing is fetched"),
        ({"items": {"$ref": "file:///etc/passwd"}}, "/schema/items/$ref", "nothing is fetched"),
        ({"$ref": "#/$defs/missing"}, "/schema/$ref", "must point into this schema"),
        ({"$defs": {"a": {"$id": "https://tms.example/a"}}}, "/schema/$defs/a/$id", "at the top"),
        ({"$dynamicRef": "#node"}, "/schema/$dynamicRef", "is not taken"),
        ({"pattern": "(?=a)b"}, "/schema/pattern", "regex"),
        ({"pattern": "("}, "/schema/pattern", "regex"),
        ({"pattern": "((a{200}){200}){200}"}, "/schema/pattern", "regex"),
        ({"allOf": [{"pattern": "a"}] * 51}, "/schema", "patterns"),
        ({"enum": ["x" * 70_000]}, "/schema", "larger than 64 KiB"),
    ],
)
def test_another_schema_is_refused_with_its_place(schema: object, path: str, words: str) -> None:
    schema = msgspec.json.decode(msgspec.json.encode(schema))
    assert words in places(schema)[path]


def test_a_schema_that_nests_too_deep_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(40):
        schema = {"not": schema}
    assert "nested" in places(schema)["/schema"]


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}},
    ],
)
def test_a_schema_that_goes_round_on_one_value_is_refused(schema: object) -> None:
    assert "without end" in places(schema)["/schema"]


def closing(levels: int, word: str = "allOf") -> dict[str, Any]:
    """A schema that asks what another one left out, which asks the same of a third, and so on."""
    schema: dict[str, Any] = {"properties": {"a": True}}
    for _ in range(levels):
        schema = {word: [schema], "unevaluatedProperties": False}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        doubling(14),
        {"properties": {"x": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}},
        closing(6),
        {"items": closing(6, "anyOf")},
        {"anyOf": [{"properties": {"a": {"$ref": "#"}}}], "unevaluatedProperties": False},
        {"items": {"enum": [{"a": number} for number in range(200)]}},
    ],
)
def test_a_small_schema_cannot_ask_for_more_looks_than_there_is_time(schema: object) -> None:
    assert "1000 times" in places(schema)["/schema"]


def test_a_schema_that_closes_what_it_is_composed_of_is_taken() -> None:
    assert check_schema({"allOf": [MONEY, {"properties": {"number": True}}], "unevaluatedProperties": False}) == []


def chain(links: int) -> dict[str, Any]:
    """A schema that leads through so many others before it comes to a member, which it holds against itself."""
    parts: dict[str, Any] = {f"d{link}": {"$ref": f"#/$defs/d{link + 1}"} for link in range(links)}
    return {"$ref": "#/$defs/d0", "$defs": parts | {f"d{links}": {"properties": {"a": {"$ref": "#"}}}}}


def test_a_validator_cannot_be_led_so_deep_that_it_runs_out_of_stack() -> None:
    assert check_schema(chain(20)) == []
    data: dict[str, Any] = {}
    for _ in range(62):
        data = {"a": data}
    assert errors(chain(20), data) == []
    assert "one within the other" in places(chain(40))["/schema"]
    assert "one within the other" in places(chain(1500))["/schema"]


def test_a_reference_means_the_same_here_as_to_the_validator() -> None:
    twice = doubling(12)["$defs"] | {"%64%30": True}
    assert "plain names" in places({"$ref": "#/$defs/%64%30", "$defs": twice})["/schema/$ref"]


def errors(schema: object, data: object) -> list[tuple[str, str]]:
    found = data_errors(msgspec.json.encode(schema).decode(), msgspec.json.encode(data))
    return [(error.path, error.message) for error in found]


def test_data_that_fits_has_no_errors() -> None:
    assert errors(INVOICE, {"total": {"amount": "612.00"}}) == []


def test_every_place_that_does_not_fit_is_named() -> None:
    schema = INVOICE | {"required": ["number"], "properties": {"a/b": {"type": "integer"}, "n": {"maximum": 3}}}
    assert dict(errors(schema, {"a/b": "x", "n": 4})) == {
        "/data": '"number" is a required property',
        "/data/a~1b": '"x" is not of type "integer"',
        "/data/n": "4 is greater than the maximum of 3",
    }


def test_cents_are_multiples_of_a_cent() -> None:
    assert data_errors('{"properties":{"a":{"multipleOf":0.01}}}', b'{"a":19.99}') == []
    assert data_errors('{"properties":{"a":{"multipleOf":0.01}}}', b'{"a":19.999}') != []


def test_formats_are_held_to() -> None:
    assert errors({"properties": {"at": {"format": "date-time"}}}, {"at": "yesterday"}) != []


def test_only_so_many_places_are_named_and_each_in_few_words() -> None:
    found = errors({"items": {"type": "integer"}}, ["x" * 5000] * 200)
    assert len(found) == ERRORS_MAX
    assert max(len(message) for _, message in found) < 400


def test_of_large_data_the_first_place_alone_is_named() -> None:
    """A validator makes every error with a copy of its value: nine hundred of a large one fill the memory."""
    schema = {"required": [f"y{number}" for number in range(900)]}
    assert errors(schema, {"large": list(range(40_000))}) == [("/data", '"y0" is a required property')]


def test_a_number_of_very_many_digits_is_refused() -> None:
    """Held against a multiple, a thousand of them take minutes."""
    for number in ("9" * 101, "0." + "1" * 101, "-" + "9" * 4000):
        ((place, words),) = {
            one.path: one.message for one in data_errors("true", f'{{"a":[{number}]}}'.encode())
        }.items()
        assert (place, "100 digits" in words) == ("/data", True)
    assert data_errors("true", b'{"a":[' + b"9" * 100 + b',"' + b"9" * 4000 + b'"]}') == []


def test_a_pattern_that_would_backtrack_elsewhere_takes_a_pass_over_the_text() -> None:
    assert errors({"pattern": "^(a|a)*$"}, "a" * 200_000 + "!") != []


def test_data_that_would_take_too_many_looks_is_refused_beforehand() -> None:
    schema = doubling(7)
    data = ["x"] * (CHECKS_MAX // 100)
    ((path, message),) = errors({"items": schema, "$defs": schema["$defs"]}, data)
    assert (path, "too much for its schema" in message) == ("/data", True)
