"""The `id` of list items: the sender's, else the item's natural key, else its place.

An id must be the same from one document to the next, since changes name items by it. The natural key of a reference
is its type and value, of a unit its SSCC or tracking number, of a number its value and carrier, of a paper its kind
and URL, of a stop its kind when no other stop has it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import force_setattr

from waypost.shipments.forms import KEY_CHARACTERS_MAX
from waypost.shipments.model import (
    Charge,
    DangerousGoods,
    Document,
    Goods,
    HandlingUnit,
    Price,
    Reference,
    Stop,
    TrackingNumber,
)

PLACE_PREFIXES: Mapping[type[msgspec.Struct], str] = {
    Reference: "ref",
    Stop: "stop",
    HandlingUnit: "hu",
    Goods: "g",
    DangerousGoods: "dg",
    TrackingNumber: "n",
    Document: "d",
    Price: "p",
    Charge: "c",
}


NATURAL_KEYS: Mapping[type[msgspec.Struct], tuple[str, ...]] = {
    Reference: ("type", "value"),
    Document: ("kind", "url"),
    Stop: ("kind",),
}


def natural_key(item: Any) -> str | None:
    """Give the natural key of an item, or None when it has none."""
    if isinstance(item, HandlingUnit):
        key = item.sscc or item.tracking_number
    elif isinstance(item, TrackingNumber):
        key = f"{item.value}:{item.carrier}" if item.value and item.carrier else item.value
    else:
        values = [getattr(item, name) for name in NATURAL_KEYS.get(type(item), ())]
        key = ":".join(values) if values and all(values) else None
    return key if key and len(key) <= KEY_CHARACTERS_MAX else None


def name_items(items: Sequence[Any]) -> bool:
    """Give the items without an id theirs; False when two have been given the same.

    The items are written to, so nobody else may have seen them.
    """
    if len(items) == 1:
        if not items[0].id:
            force_setattr(items[0], "id", ids_for(items)[0])
        return True
    ids = {item.id for item in items}
    if len(ids) == len(items) and "" not in ids:
        return True
    given = [item.id for item in items if item.id]
    if len(given) != len(set(given)):
        return False
    for item, item_id in zip(items, ids_for(items), strict=True):
        force_setattr(item, "id", item_id)
    return True


def ids_for(items: Sequence[Any]) -> list[str]:
    """Give the ids of a list's items, in order: those that have one keep it."""
    keys = [natural_key(item) for item in items]
    taken = {item.id for item in items if item.id}
    repeated = _repeated(keys)
    ids = []
    for place, (item, key) in enumerate(zip(items, keys, strict=True), start=1):
        item_id = item.id
        if not item_id and key and key not in repeated and key not in taken:
            item_id = key
        if not item_id:
            item_id = _free_place(f"{PLACE_PREFIXES[type(item)]}_{place}", taken)
        taken.add(item_id)
        ids.append(item_id)
    return ids


def _repeated(keys: Sequence[str | None]) -> set[str | None]:
    return {key for key, count in Counter(keys).items() if count > 1} if len(keys) > len(set(keys)) else set()


def names_of(part: type[msgspec.Struct], item: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """List the names by which an item without id may mean this one: any of a unit's numbers, all of another's key.

    A tracking number is also meant when its carrier is left out.
    """
    keys: list[tuple[str, ...]]
    if part is HandlingUnit:
        keys = [("sscc",), ("tracking_number",)]
    elif part is TrackingNumber:
        keys = [("value", "carrier"), ("value",)]
    else:
        keys = [NATURAL_KEYS.get(part, ())]
    return [name for key in keys if key and (name := _name_by(key, item))]


def name_meant(part: type[msgspec.Struct], given: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """List the names by which an item given without id looks for the one it means."""
    names = names_of(part, given)
    return names[:1] if part is TrackingNumber else names


def _name_by(key: tuple[str, ...], item: Mapping[str, Any]) -> tuple[str, ...] | None:
    values = [item.get(field) for field in key]
    if not all(isinstance(value, str) and value for value in values):
        return None
    return (*key, *map(str, values))


def _free_place(wanted: str, taken: set[str]) -> str:
    while wanted in taken:
        wanted += "_"
    return wanted
