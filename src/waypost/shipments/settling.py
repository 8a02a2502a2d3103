"""Looking a freshly decoded part over closely, and bringing it into its stored form.

Stored form: every list item has an id, instants are in UTC, sets have no repeats, an object of which nothing is known
is None. A part that breaks a form or a rule is only called unsound here; checking.py says what is wrong.
"""

import datetime as dt
from collections.abc import Callable
from functools import cache, partial
from operator import attrgetter
from typing import Any

import msgspec
from msgspec.structs import force_setattr

from waypost.shipments.forms import Form, Look
from waypost.shipments.naming import name_items
from waypost.shipments.plans import FieldPlan, plan_of
from waypost.shipments.rules import RULES

Settler = Callable[[Any], bool]
Step = tuple[Look, Form]  # the quick look, and what decides when it doubts


def settle(part: msgspec.Struct) -> bool:
    """Bring `part` into its stored form; False when it is not sound.

    The part is written to, so it must be one that was decoded a moment ago and that nobody else has seen.
    """
    return _settler(type(part))(part)


@cache
def _settler(part: type[msgspec.Struct], *, must_say_something: bool = False) -> Settler:
    """Build the function that settles a part of this type. Built once, since documents come thousands a second.

    `must_say_something` calls a part unsound of which nothing is known: it stands for None.
    """
    plan = plan_of(part)
    empty = plan.empty if must_say_something else None
    steps = [(field.attribute, *step) for field in plan.fields if (step := _step(field))]
    instants = tuple(field.attribute for field in plan.fields if field.holds == "instant")
    sets = tuple(field.attribute for field in plan.fields if field.holds == "set")
    rule = RULES.get(part)
    if empty is not None and not (steps or instants or sets or rule):
        return empty.__ne__
    # One call of C fetches all values to look at; most of them are None. It needs at least two names.
    values_of = attrgetter(*[name for name, _, _ in steps], *["__class__"] * max(0, 2 - len(steps)))
    looks = tuple((look, form) for _, look, form in steps)

    def settle_part(value: Any) -> bool:
        for inner, (look, form) in zip(values_of(value), looks, strict=False):
            if inner and not look(inner) and form(inner) is not None:
                return False
        for name in instants:
            instant = getattr(value, name)
            if instant is not None and instant.tzinfo is not dt.UTC and not _to_utc(value, name, instant):
                return False
        for name in sets:
            texts = getattr(value, name)
            if len(texts) > 1:
                force_setattr(value, name, tuple(dict.fromkeys(texts)))
        if rule is not None and next(rule(value), None) is not None:
            return False
        return empty is None or value != empty

    return settle_part


def _step(field: FieldPlan) -> Step | None:
    if field.holds == "part" and field.part is not None:
        return _settler(field.part.type, must_say_something=True), _unsound
    if field.holds == "parts" and field.part is not None:
        return partial(_settle_items, _settler(field.part.type)), _unsound
    if field.quick_look is None or field.form is None:
        return None
    if field.holds in ("set", "texts"):
        return partial(_form_of_all, field.form), _unsound
    return field.quick_look, field.form


def _unsound(_: object) -> str:
    return "is not sound"


def _settle_items(settler: Settler, items: tuple[Any, ...]) -> bool:
    for item in items:
        if not settler(item):
            return False
    return name_items(items)


def _form_of_all(form: Form, texts: tuple[str, ...]) -> bool:
    return all(form(text) is None for text in texts)


def _to_utc(part: msgspec.Struct, name: str, instant: dt.datetime) -> bool:
    try:
        force_setattr(part, name, instant.astimezone(dt.UTC))
    except OverflowError:
        return False
    return True
