"""The JSON Schemas that senders register for events of their own, and data held against them. Pure.

A schema comes from outside and is run on each event, so what it may cost is bounded before it is taken: its size and
depth, its patterns (they run on an engine that is linear in the text), how often it can make a validator look at one
value, and how deep it goes into itself meanwhile. It refers to itself alone: nothing is ever fetched.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from typing import Any

import msgspec
from jsonschema_rs import Draft202012Validator, RegexOptions, ValidationError

from waypost.errors import FieldError
from waypost.events.schemas import DIALECT

SCHEMA_BYTES_MAX = 64 * 1024
DEPTH_MAX = 32  # levels of nesting of the schema itself
PATTERNS_MAX = 50
PATTERN_BYTES_MAX = 256 * 1024  # of one pattern, compiled
VISITS_MAX = 1_000  # subschemas that may look at one and the same value
CHAIN_MAX = (
    32  # subschemas one within the other on one value; with the depth of data, how deep a validator calls itself
)
UNEVALUATED_COST = 4  # how often what lies on the value is gone through again, to know what was left out
OPTION_COST = 8  # of comparing a value with an object or a list, in looks
CHECKS_MAX = 1_000_000  # values of the data times visits to each: about a tenth of a second
ERRORS_MAX = 50  # named at once
NAMED_CHECKS_MAX = 10_000  # up to which every error is named: a validator makes them all, however few are asked for
NAMED_BYTES_MAX = 4 * 1024 * 1024  # and each error copies the value that it is about
DIGITS_MAX = 100  # of a number in the data: what is held against a multiple takes time that grows with their square
MESSAGE_LENGTH_MAX = 300
DATA_BYTES_MAX = 256 * 1024
DATA_DEPTH_MAX = 64  # of any body
VALIDATORS_KEPT_MAX = 16  # one whose patterns are as large as they may be takes some megabytes

Schema = Mapping[str, Any] | bool

_REGEX = RegexOptions(size_limit=PATTERN_BYTES_MAX, dfa_size_limit=PATTERN_BYTES_MAX)

# Where a schema holds others: on the same value, or on a part of it.
_ON_THE_VALUE = ("not", "if", "then", "else")
_ON_THE_VALUE_LISTS = ("allOf", "anyOf", "oneOf")
_ON_THE_VALUE_MAPS = ("dependentSchemas", "dependencies")
_ON_A_PART = (
    "items", "contains", "additionalProperties", "propertyNames", "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
_ON_A_PART_LISTS = ("prefixItems",)
_ON_A_PART_MAPS = ("properties", "patternProperties")
_SHELVES = ("$defs", "definitions")

# A validator decodes what is escaped in a reference; written plainly, it reads as we do.
_REFERENCE = re.compile(r"#(?:/[A-Za-z0-9._$~-]*)*")
_LONG_NUMBER = re.compile(rb"[0-9.]{%d}" % (DIGITS_MAX + 1))

_NOT_TAKEN = ("$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveAnchor", "$recursiveRef", "$vocabulary")


def check_schema(schema: object, *, path: str = "/schema") -> list[FieldError]:
    """List what is wrong with a schema that a sender registers for the `data` of a type; empty when it is fine.

    `schema` is decoded JSON, `path` the pointer to it in the body.
    """
    if not isinstance(schema, dict | bool):
        return [FieldError(path, "must be a JSON Schema: an object, or true to take everything")]
    if len(msgspec.json.encode(schema)) > SCHEMA_BYTES_MAX:
        return [FieldError(path, f"is larger than {SCHEMA_BYTES_MAX // 1024} KiB")]
    if _is_deeper_than(schema, DEPTH_MAX):
        return [FieldError(path, f"is nested more than {DEPTH_MAX} levels deep")]
    if isinstance(schema, bool):
        return []
    if str(schema.get("$schema", DIALECT)).rstrip("#") != DIALECT:
        return [FieldError(f"{path}/$schema", f"must be {DIALECT}, or be left out")]
    # The cost comes first: a validator that is made of a schema goes as deep into it as one that runs.
    return _check_keywords(schema, path) or _check_cost(schema, path) or _check_by_validator(schema, path)


def data_errors(schema_json: str, data: bytes, *, path: str = "/data") -> list[FieldError]:
    """List where `data`, which is JSON, does not fit the schema, at most so many places; empty when it fits.

    `schema_json` was found right by `check_schema` when it was registered. Of large data one place is named.
    """
    held = _compiled(schema_json)
    values = 1 + data.count(b",") + data.count(b":")
    if values * held.visits > CHECKS_MAX:
        words = f"is too much for its schema: up to {values} values, each looked at up to {held.visits} times"
        return [FieldError(path, f"{words}; at most {CHECKS_MAX} looks are taken")]
    decoded = _decode_exactly(data)
    if _LONG_NUMBER.search(data) and _has_long_number(decoded):
        return [FieldError(path, f"holds a number of more than {DIGITS_MAX} digits")]
    first = _first_error(held.validator, decoded)
    if first is None:
        return []
    errors = [first]
    if values * held.complaints <= NAMED_CHECKS_MAX and len(data) * held.complaints <= NAMED_BYTES_MAX:
        errors = list(islice(held.validator.iter_errors(decoded), ERRORS_MAX))
    return [FieldError(path + _pointer(error), _words(error)) for error in errors]


_decode_exactly = msgspec.json.Decoder(float_hook=Decimal).decode  # 19.99 is a multiple of 0.01; as a float it is not


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A schema that is ready to run, and how often it may look at one value, or complain of it, at most."""

    validator: Draft202012Validator
    visits: int
    complaints: int


@lru_cache(maxsize=VALIDATORS_KEPT_MAX)
def _compiled(schema_json: str) -> _Compiled:
    schema = msgspec.json.decode(schema_json)
    visits, complaints = (_most_on_a_value(schema, own, CHECKS_MAX) for own in (_looks, _complaints))
    return _Compiled(_validator(schema), visits, complaints)


def _first_error(validator: Draft202012Validator, decoded: Any) -> ValidationError | None:
    try:
        validator.validate(decoded)
    except ValidationError as error:
        return error
    return None


def _has_long_number(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_has_long_number, value.values() if isinstance(value, dict) else value))
    if isinstance(value, Decimal):
        return len(value.as_tuple().digits) > DIGITS_MAX
    return isinstance(value, int) and abs(value) >= 10**DIGITS_MAX


def _validator(schema: Any) -> Draft202012Validator:
    return Draft202012Validator(schema, offline=True, pattern_options=_REGEX, validate_formats=True)


def _pointer(error: ValidationError) -> str:
    return "".join(f"/{str(part)[:200].replace('~', '~0').replace('/', '~1')}" for part in error.instance_path)


def _words(error: ValidationError) -> str:
    message = error.message
    return message if len(message) <= MESSAGE_LENGTH_MAX else f"{message[:MESSAGE_LENGTH_MAX]}…"


def _is_deeper_than(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    if levels == 0:
        return True
    return any(_is_deeper_than(part, levels - 1) for part in (value.values() if isinstance(value, dict) else value))


# -- what a schema may say ---------------------------------------------------------------------------------------------


def _check_keywords(root: dict[str, Any], path: str) -> list[FieldError]:
    """Refuse what points out of the schema, or what would make following its references a matter of taste."""
    errors: list[FieldError] = []
    patterns = 0
    for pointer, schema in _schemas(root, path):
        patterns += ("pattern" in schema) + len(_mapping(schema, "patternProperties"))
        errors += [FieldError(f"{pointer}/{name}", "is not taken here") for name in _NOT_TAKEN if name in schema]
        if "$id" in schema and schema is not root:
            errors.append(FieldError(f"{pointer}/$id", "is taken at the top of a schema alone"))
        reference = schema.get("$ref")
        if reference is not None and _target(root, reference) is None:
            words = "must point into this schema by plain names, as #/$defs/money does; nothing is fetched"
            errors.append(FieldError(f"{pointer}/$ref", words))
        if len(errors) >= ERRORS_MAX:
            return errors
    if patterns > PATTERNS_MAX:
        errors.append(FieldError(path, f"has {patterns} patterns; at most {PATTERNS_MAX} are allowed"))
    return errors


def _check_by_validator(schema: dict[str, Any], path: str) -> list[FieldError]:
    try:
        _validator(schema)
    except ValidationError as error:
        return [FieldError(path + _pointer(error), _words(error))]
    return []


def _check_cost(schema: dict[str, Any], path: str) -> list[FieldError]:
    try:
        visits = _most_on_a_value(schema, _looks, VISITS_MAX)
    except _RoundAndRoundError:
        return [FieldError(path, "refers to itself for one and the same value, without end")]
    except _TooLongChainError:
        words = f"leads through more than {CHAIN_MAX} schemas, one within the other, for one and the same value"
        return [FieldError(path, words)]
    if visits > VISITS_MAX:
        words = f"could make a validator look at one value {VISITS_MAX} times and more"
        return [FieldError(path, f"{words}; let fewer alternatives name each other")]
    return []


def _schemas(root: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema inside a schema, itself first, each once, with the pointer to it."""
    to_see: list[tuple[str, Any]] = [(path, root)]
    seen: set[int] = set()
    while to_see:
        pointer, schema = to_see.pop()
        if not isinstance(schema, dict) or id(schema) in seen:
            continue
        seen.add(id(schema))
        yield pointer, schema
        to_see += [(f"{pointer}/{name}", part) for name, part in _held(schema)]
        target = _target(root, schema.get("$ref"))
        if target is not None:
            to_see.append((f"{pointer}/$ref", target))


def _held(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in (*_ON_THE_VALUE, *_ON_A_PART):
        if name in schema:
            yield name, schema[name]
    for name in (*_ON_THE_VALUE_LISTS, *_ON_A_PART_LISTS):
        yield from ((f"{name}/{place}", part) for place, part in enumerate(_listed(schema, name)))
    for name in (*_ON_THE_VALUE_MAPS, *_ON_A_PART_MAPS, *_SHELVES):
        yield from ((f"{name}/{key}", part) for key, part in _mapping(schema, name).items())


def _target(root: Any, reference: object) -> Any:
    """What a `$ref` within the schema points to; None when it points elsewhere, or to nothing that is a schema."""
    if not isinstance(reference, str) or not _REFERENCE.fullmatch(reference):
        return None
    place = root
    for part in reference[2:].split("/") if len(reference) > 1 else ():
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(place, dict) and name in place:
            place = place[name]
        elif isinstance(place, list) and name.isdecimal() and int(name) < len(place):
            place = place[int(name)]
        else:
            return None
    return place if isinstance(place, dict | bool) else None


def _listed(schema: dict[str, Any], name: str) -> list[Any]:
    value = schema.get(name)
    return value if isinstance(value, list) else []


def _mapping(schema: dict[str, Any], name: str) -> dict[str, Any]:
    value = schema.get(name)
    return value if isinstance(value, dict) else {}


# -- what a schema may cost --------------------------------------------------------------------------------------------


class _RoundAndRoundError(Exception):
    """A schema applies itself to the value that it is looking at."""


class _TooLongChainError(Exception):
    """Looking at one value leads from schema to schema so often that a validator may run out of stack."""


def _looks(schema: dict[str, Any]) -> int:
    """How many looks a schema takes at a value by itself: one, and what is dear is counted as more."""
    options = schema.get("enum", ())
    dear = sum(isinstance(option, dict | list) for option in options) if isinstance(options, list) else 0
    names = sum(len(_mapping(schema, name)) for name in (*_ON_THE_VALUE_MAPS, "dependentRequired"))
    return 1 + OPTION_COST * dear + names


def _complaints(schema: dict[str, Any]) -> int:
    """How many errors a schema can make of one value by itself: one for each name that is missing, or in all."""
    needed = [_listed(schema, "required"), *_mapping(schema, "dependentRequired").values()]
    return len(schema) + sum(len(names) for names in needed if isinstance(names, list))


def _most_on_a_value(root: Schema, own: Callable[[dict[str, Any]], int], most_counted: int) -> int:
    """What all schemas that may look at one value come to at most, `own` of each, however the data is made.

    Two alternatives that both refer to a third double it, and it to a fourth again: a small schema can ask for more
    looks than there is time. Counted level by level of the data: those on the value, and those that each of them
    sends to one and the same part of it. It counts rather too many than too few, and no further than `most_counted`.
    Raises _RoundAndRoundError and _TooLongChainError.
    """
    if isinstance(root, bool):
        return 1
    nodes = {id(schema): schema for _, schema in _schemas(dict(root) if not isinstance(root, dict) else root, "")}
    same = {name: [id(one) for one in _on_the_value(root, schema)] for name, schema in nodes.items()}
    again = {
        name: UNEVALUATED_COST if {"unevaluatedProperties", "unevaluatedItems"} & schema.keys() else 1
        for name, schema in nodes.items()
    }
    order = _inner_first(same)
    _check_chains(order, same)
    level = dict.fromkeys(nodes, 0)
    most = 0
    for depth in range(DATA_DEPTH_MAX + 1):
        below, level = level, {}
        for name in order:
            here = own(nodes[name]) if depth == 0 else _to_a_part(nodes[name], below)
            level[name] = here + again[name] * sum(level[one] for one in same[name])
            if level[name] > most_counted and name == id(root):
                return level[name]
            level[name] = min(level[name], most_counted + 1)
        most = max(most, level[id(root)])
        if depth and level == below:
            break
    return most


def _check_chains(order: list[int], same: Mapping[int, list[int]]) -> None:
    length: dict[int, int] = {}
    for name in order:
        length[name] = 1 + max((length[one] for one in same[name]), default=0)
        if length[name] > CHAIN_MAX:
            raise _TooLongChainError


def _on_the_value(root: Any, schema: dict[str, Any]) -> list[dict[str, Any]]:
    found = [schema.get(name) for name in _ON_THE_VALUE]
    found += [part for name in _ON_THE_VALUE_LISTS for part in _listed(schema, name)]
    found += [part for name in _ON_THE_VALUE_MAPS for part in _mapping(schema, name).values()]
    found.append(_target(root, schema.get("$ref")))
    return [part for part in found if isinstance(part, dict)]


def _to_a_part(schema: dict[str, Any], below: Mapping[int, int]) -> int:
    """How many looks `schema` sends to one part of its value at most: a member, a name, or an item."""

    def cost(part: Any) -> int:
        return below[id(part)] if isinstance(part, dict) else 0

    by_pattern = sum(map(cost, _mapping(schema, "patternProperties").values()))
    named = max(map(cost, _mapping(schema, "properties").values()), default=0)
    member = by_pattern + max(named, cost(schema.get("additionalProperties")))
    member += cost(schema.get("unevaluatedProperties")) + cost(schema.get("propertyNames"))
    item = max([cost(schema.get("items")), *map(cost, _listed(schema, "prefixItems"))])
    item += cost(schema.get("contains")) + cost(schema.get("unevaluatedItems"))
    return max(member, item)


def _inner_first(same: Mapping[int, list[int]]) -> list[int]:
    """The schemas in an order in which each comes after those it applies to the same value."""
    order: list[int] = []
    done: set[int] = set()
    open_ones: set[int] = set()
    for first in same:
        stack = [(first, False)]
        while stack:
            name, seen_inner = stack.pop()
            if seen_inner:
                open_ones.discard(name)
                done.add(name)
                order.append(name)
            elif name in open_ones:
                raise _RoundAndRoundError
            elif name not in done:
                open_ones.add(name)
                stack.append((name, True))
                stack += [(inner, False) for inner in same[name] if inner not in done]
    return order
