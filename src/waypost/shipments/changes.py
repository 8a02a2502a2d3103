"""What differs between two versions of a shipment.

`reconcile` first writes the newer version the way the older one was written, wherever both mean the same: `402.0` for
`402`, list items and sets in the old order. After that, different means different, and applying the changes to the
older version gives the newer one exactly.
"""

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, TypeVar

import msgspec
from msgspec.structs import astuple

from waypost.shipments.checking import escape
from waypost.shipments.decimals import same_number
from waypost.shipments.facts import Change, ChangeGroup
from waypost.shipments.model import Shipment, ShipmentDocument
from waypost.shipments.plans import SETS, FieldPlan, plan_of

S = TypeVar("S", bound=msgspec.Struct)

# Told by events of their own, or by none: status, ETA, scans, versions and times.
UNTOLD = frozenset({"revision", "status", "status_at", "eta"})
DETAILS = tuple(field for field in plan_of(ShipmentDocument).sorted_fields if field.name not in UNTOLD)
_details = attrgetter(*[field.attribute for field in DETAILS])


def reconcile(before: S, after: S) -> S:
    """Give `after` in the spelling and order of `before`, and `before` itself when both mean the same."""
    if before == after:
        return before
    differing = {}
    for field, old, new in zip(plan_of(type(after)).fields, astuple(before), astuple(after), strict=True):
        if old is not new:
            differing[field.attribute] = old if old == new else _reconcile_value(old, new, field)
    result = msgspec.structs.replace(after, **differing) if differing else after
    return before if result == before else result


def diff(before: Shipment, after: Shipment) -> list[Change]:
    """List what changed between two versions of one shipment; none means that nothing did.

    Left out is what other events tell, or none: status, condition, ETA, added papers, tracking events, the units'
    status, version, revision and times. Paths are JSON Pointers with ids in place of list positions
    (`/handling_units/hu_2/gross_weight_kg`); numbers compare by value, sets and lists of items without their order.
    `tags` and `services` end with the value; `old` and `new` of an item that came or went are the whole item. Changes
    come in the order of their paths, but items and set values that were added stand last in their list, in its order.

    Source: RFC 6901 for the pointers.
    """
    changes: list[Change] = []
    for field, old, new in zip(DETAILS, _details(before), _details(after), strict=True):
        if old is not new and old != new:
            changes += _value_changes(f"/{field.name}", old, new, field)
    added = {f"/documents/{escape(document.id)}" for document in after.documents}
    return [change for change in changes if change.op != "added" or change.path not in added]


def apply_changes(document: Mapping[str, Any], changes: Sequence[Change]) -> dict[str, Any]:
    """Give the JSON of the newer version, from the JSON of the older one and its changes.

    `document` is not touched. `status`, `condition`, `eta`, added papers, `tracking_events`, versions and times stay
    as they were, since no change names them.
    """
    result: dict[str, Any] = _plain(document)
    for change in changes:
        steps = [step.replace("~1", "/").replace("~0", "~") for step in change.path.split("/")[1:]]
        _apply(result, steps, change)
    return result


def take_back(document: Mapping[str, Any], changes: Sequence[Change]) -> dict[str, Any]:
    """Give the JSON of the older version, from the JSON of the newer one and the changes that led to it.

    `document` is not touched. Items that were removed come back at the end of their list. A change of a place that is
    not there any more (somebody changed it since) is passed over.
    """
    result: dict[str, Any] = _plain(document)
    for change in reversed(changes):
        steps = [step.replace("~1", "/").replace("~0", "~") for step in change.path.split("/")[1:]]
        _take_back(result, steps, change)
    return result


def groups(changes: Sequence[Change]) -> tuple[ChangeGroup, ...]:
    """Name the groups that the changes belong to, each once, in alphabetical order.

    An object that came or went is one change, and belongs to the groups of everything in it as well.
    """
    named: set[ChangeGroup] = set()
    for change in changes:
        for value in (change.old, change.new):
            named.update(_groups_in(change.path, value))
    return tuple(sorted(named))


def _reconcile_value(old: Any, new: Any, field: FieldPlan) -> Any:
    if not old or not new:
        return new
    if field.holds == "decimal":
        return old if same_number(old, new) else new
    if field.holds == "part":
        return reconcile(old, new)
    if field.holds == "set":
        return _in_old_order(old, dict(zip(new, new, strict=True)))
    if field.holds == "parts":
        olds = {item.id: item for item in old}
        news = {item.id: reconcile(olds[item.id], item) if item.id in olds else item for item in new}
        return _in_old_order([item.id for item in old], news)
    return new


def _in_old_order(old: Sequence[str], new: Mapping[str, Any]) -> tuple[Any, ...]:
    first = [new[key] for key in old if key in new]
    known = set(old)
    return tuple(first + [item for key, item in new.items() if key not in known])


def _value_changes(path: str, old: Any, new: Any, field: FieldPlan) -> Iterator[Change]:
    if field.holds == "set":
        yield from _set_changes(path, old, new)
    elif field.holds == "parts":
        yield from _item_changes(path, old, new)
    elif old is None or new is None:
        yield Change(path, "added" if old is None else "removed", old, new)
    elif field.holds == "part":
        yield from _part_changes(path, old, new)
    elif field.holds != "decimal" or not same_number(old, new):
        yield Change(path, "changed", old, new)


def _part_changes(path: str, old: msgspec.Struct, new: msgspec.Struct) -> Iterator[Change]:
    for field in plan_of(type(new)).sorted_fields:
        one, other = getattr(old, field.attribute), getattr(new, field.attribute)
        if one is not other and one != other and not (field.name == "status" and path.startswith("/handling_units/")):
            yield from _value_changes(f"{path}/{field.name}", one, other, field)


def _item_changes(path: str, old: Sequence[Any], new: Sequence[Any]) -> Iterator[Change]:
    olds, news = {item.id: item for item in old}, {item.id: item for item in new}
    for item_id, item in sorted(olds.items()):
        place = f"{path}/{escape(item_id)}"
        if item_id not in news:
            yield Change(place, "removed", item, None)
        elif item != news[item_id]:
            yield from _part_changes(place, item, news[item_id])
    for item_id, item in news.items():
        if item_id not in olds:
            yield Change(f"{path}/{escape(item_id)}", "added", None, item)


def _set_changes(path: str, old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
    before, after = set(old), set(new)
    for text in sorted(before - after):
        yield Change(f"{path}/{escape(text)}", "removed", text, None)
    for text in new:
        if text not in before:
            yield Change(f"{path}/{escape(text)}", "added", None, text)


def _groups_in(path: str, value: Any) -> Iterator[ChangeGroup]:
    yield _group(path)
    if isinstance(value, msgspec.Struct):
        for field in plan_of(type(value)).fields:
            inner = getattr(value, field.attribute)
            if inner not in (None, ()):
                yield from _groups_in(f"{path}/{field.name}", inner)


def _group(path: str) -> ChangeGroup:
    steps = path.split("/")[1:]
    top = steps[0]
    if top in ("parties", "stops"):
        if len(steps) > 2 and steps[2] == "address":
            return "address"
        return "parties" if top == "parties" else "schedule"
    if top == "terms":
        return "price" if steps[1:2] == ["goods_value"] else "service"
    return _GROUP_OF.get(top, "other")


_GROUP_OF: Mapping[str, ChangeGroup] = {
    "handling_units": "items",
    "goods": "items",
    "dangerous_goods": "items",
    "temperature": "items",
    "prices": "price",
    "references": "references",
    "tracking": "references",
    "carrier": "service",
    "documents": "documents",
}


def _apply(target: Any, steps: Sequence[str], change: Change) -> None:
    step, rest = steps[0], steps[1:]
    if isinstance(target, list):
        position = next((place for place, item in enumerate(target) if item["id"] == step), len(target))
        if rest:
            _apply(target[position], rest, change)
        else:
            # An item that comes goes to the end, where `reconcile` put it too.
            target[position : position + 1] = [] if change.op == "removed" else [_plain(change.new)]
    elif not rest:
        target[step] = _plain(change.new)
    elif step in SETS:
        if change.op == "removed":
            target[step].remove(rest[0])
        else:
            target[step].append(rest[0])
    else:
        _apply(target[step], rest, change)


def _take_back(target: Any, steps: Sequence[str], change: Change) -> None:
    step, rest = steps[0], steps[1:]
    if isinstance(target, list):
        position = next((place for place, item in enumerate(target) if item["id"] == step), len(target))
        if not rest:
            target[position : position + 1] = [] if change.op == "added" else [_plain(change.old)]
        elif position < len(target):
            _take_back(target[position], rest, change)
    elif not rest:
        target[step] = _plain(change.old)
    elif step in SETS:
        others = [text for text in target[step] if text != rest[0]]
        target[step] = others if change.op == "added" else [*others, rest[0]]
    elif target.get(step) is not None:
        _take_back(target[step], rest, change)


def _plain(value: Any) -> Any:
    """Give JSON values of our own, so that nobody's document is shared."""
    return msgspec.json.decode(msgspec.json.encode(value))
