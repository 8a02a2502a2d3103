"""The shape of each part, read from model.py once at import: what a field holds and which form it must keep.

Reading, comparing and patching all walk along these plans, so that a new field in model.py is validated, compared and
patched without another line of code.
"""

import datetime as dt
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from waypost.shipments.forms import FORMS, Form, Look, quick_look

DECIMAL_FORMS = ("decimal", "measure")
SETS = ("tags", "services")  # lists of plain texts whose order and repeats mean nothing

Holds = Literal[
    "text", "decimal", "whole", "number", "flag", "instant", "local", "date", "choice", "part", "parts", "set", "texts"
]


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """One field: its name in Python and in JSON, what it holds, the form of its value, the plan of a part inside."""

    attribute: str
    name: str
    holds: Holds
    form: Form | None = None
    quick_look: Look | None = None
    choices: tuple[str, ...] = ()
    part: "PartPlan | None" = None


@dataclass(frozen=True, slots=True)
class PartPlan:
    """One part with its fields in order. `empty` is one of which nothing is known; None when it must say something."""

    type: type[msgspec.Struct]
    fields: tuple[FieldPlan, ...]
    by_name: dict[str, FieldPlan]
    sorted_fields: tuple[FieldPlan, ...]
    empty: msgspec.Struct | None


@cache
def plan_of(part: type[msgspec.Struct]) -> PartPlan:
    """Give the plan of a part's type."""
    fields = tuple(_fields(part))
    return PartPlan(
        type=part,
        fields=fields,
        by_name={field.name: field for field in fields},
        sorted_fields=tuple(sorted(fields, key=lambda field: field.name)),
        empty=_empty(part),
    )


def _empty(part: type[msgspec.Struct]) -> msgspec.Struct | None:
    required = any(field.required for field in msgspec.structs.fields(part))
    return None if required else part()


def _fields(part: type[msgspec.Struct]) -> Iterator[FieldPlan]:
    hints = get_type_hints(part, include_extras=True)
    for attribute, name in zip(part.__struct_fields__, part.__struct_encode_fields__, strict=True):
        kind, extra = _unwrap(hints[attribute])
        if get_origin(kind) is tuple:
            item, item_extra = _unwrap(get_args(kind)[0])
            if issubclass(item, msgspec.Struct):
                yield FieldPlan(attribute, name, "parts", part=plan_of(item))
            else:
                yield _formed(attribute, name, "set" if name in SETS else "texts", item_extra)
        elif get_origin(kind) is Literal:
            yield FieldPlan(attribute, name, "choice", choices=get_args(kind))
        elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            yield FieldPlan(attribute, name, "part", part=plan_of(kind))
        else:
            yield _formed(attribute, name, _scalar(kind, extra), extra)


def _formed(attribute: str, name: str, holds: Holds, extra: dict[str, Any]) -> FieldPlan:
    form = extra.get("form")
    if not form:
        return FieldPlan(attribute, name, holds)
    return FieldPlan(attribute, name, holds, form=FORMS[form], quick_look=quick_look(form))


def _scalar(kind: Any, extra: dict[str, Any]) -> Holds:
    if extra.get("form") in DECIMAL_FORMS:
        return "decimal"
    if kind is dt.datetime:
        return "instant" if extra.get("tz", True) else "local"
    holds: dict[Any, Holds] = {str: "text", int: "whole", float: "number", bool: "flag", dt.date: "date"}
    return holds[getattr(kind, "__supertype__", kind)]


def _unwrap(hint: Any) -> tuple[Any, dict[str, Any]]:
    """Take `| None` and `Annotated` off a type hint; give what is left and what the annotations said."""
    extra: dict[str, Any] = {}
    while True:
        if get_origin(hint) is Annotated:
            hint, *metas = get_args(hint)
            for meta in metas:
                extra |= (meta.extra or {}) | ({} if meta.tz is None else {"tz": meta.tz})
        elif get_origin(hint) in (Union, types.UnionType):
            (hint,) = (arg for arg in get_args(hint) if arg is not type(None))
        else:
            return hint, extra
