"""Looking a freshly decoded part over, quickly, and bringing it into its stored form.

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
from waypost.shipments.naming import ids_for
from waypost.shipments.plans import FieldPlan, PartPlan, plan_of
from waypost.shipments.rules import RULES

Settler = Callable[[Any], bool]
Step = tuple[Look, Form]  # the quick look, and what decides when it doubts


def settle(part: msgspec.Struct) -> bool:
    """Bring `part` into its stored form; False when it is not sound.

    The part is written to, so it must be one that was decoded a moment ago and that nobody else has seen.
    """
    return _settler(type(part))(part)


@cache
def _settler(part: type[msgspec.Struct]) -> Settler:
    """Build the function that settles a part of this type. Built once, since documents come thousands a second."""
    plan = plan_of(part)
    steps = [(field.attribute, *step) for field in plan.fields if (step := _step(field))]
    # One call of C fetches all values to look at; most of them are None. It needs at least two names.
    values_of = attrgetter(*[name for name, _, _ in steps], "__class__", "__class__")
    looks = [(look, form) for _, look, form in steps]
    instants = tuple(field.attribute for field in plan.fields if field.holds == "instant")
    sets = tuple(field.attribute for field in plan.fields if field.holds == "set")
    rule = RULES.get(part)

    def settle_part(value: Any) -> bool:
        for inner, (look, form) in zip(values_of(value), looks, strict=False):
            if inner and not look(inner) and form(inner) is not None:
                return False
        for name in instants:
            if not _settle_instant(value, name):
                return False
        for name in sets:
            _settle_set(value, name)
        return rule is None or next(rule(value), None) is None

    return settle_part


def _step(field: FieldPlan) -> Step | None:
    if field.holds == "part" and field.part is not None:
        return partial(_settle_inner, _settler(field.part.type), field.part.empty), _unsound
    if field.holds == "parts" and field.part is not None:
        return partial(_settle_items, _settler(field.part.type), field.part), _unsound
    if field.quick_look is None or field.form is None:
        return None
    if field.holds in ("set", "texts"):
        return partial(_form_of_all, field.form), _unsound
    return field.quick_look, field.form


def _unsound(_: object) -> str:
    return "is not sound"


def _settle_inner(settler: Settler, empty: msgspec.Struct | None, part: msgspec.Struct) -> bool:
    return settler(part) and part != empty


def _settle_items(settler: Settler, plan: PartPlan, items: tuple[Any, ...]) -> bool:
    for item in items:
        if not settler(item):
            return False
    ids = {item.id for item in items}
    if len(ids) == len(items) and "" not in ids:
        return True
    given = [item.id for item in items if item.id]
    if len(given) != len(set(given)):
        return False
    for item, item_id in zip(items, ids_for(plan.type, items), strict=True):
        force_setattr(item, "id", item_id)
    return True


def _form_of_all(form: Form, texts: tuple[str, ...]) -> bool:
    return all(form(text) is None for text in texts)


def _settle_instant(part: msgspec.Struct, name: str) -> bool:
    instant = getattr(part, name)
    if instant is None or instant.tzinfo is dt.UTC:
        return True
    try:
        force_setattr(part, name, instant.astimezone(dt.UTC))
    except OverflowError:
        return False
    return True


def _settle_set(part: msgspec.Struct, name: str) -> None:
    texts = getattr(part, name)
    if len(texts) > 1:
        force_setattr(part, name, tuple(dict.fromkeys(texts)))
