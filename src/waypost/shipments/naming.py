"""The `id` of list items: the sender's, else the item's natural key, else its place.

An id must be the same from one document to the next, since changes name items by it. The natural key of a reference
is its type and value, of a unit its SSCC or tracking number, of a number its value and carrier, of a paper its kind
and URL, of a stop its kind when no other stop has it.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

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


def natural_key(part: type[msgspec.Struct], get: Callable[[str], Any]) -> str | None:
    """Give the natural key of an item, or None when it has none. `get` gives the item's fields by name."""
    if part is HandlingUnit:
        key = get("sscc") or get("tracking_number")
    elif part is TrackingNumber:
        key = get("value") and ":".join(filter(None, (get("value"), get("carrier"))))
    else:
        values = [get(name) for name in NATURAL_KEYS.get(part, ())]
        key = ":".join(values) if values and all(values) else None
    return key if isinstance(key, str) and 0 < len(key) <= KEY_CHARACTERS_MAX else None


def ids_for(part: type[msgspec.Struct], items: Sequence[Any]) -> list[str]:
    """Give the ids of a list's items, in order: those that have one keep it."""
    keys = [natural_key(part, partial(getattr, item)) for item in items]
    counts = Counter(keys)
    taken = {item.id for item in items if item.id}
    ids = []
    for place, (item, key) in enumerate(zip(items, keys, strict=True), start=1):
        item_id = item.id
        if not item_id and key and counts[key] == 1 and key not in taken:
            item_id = key
        if not item_id:
            item_id = _free_place(f"{PLACE_PREFIXES.get(part, 'item')}_{place}", taken)
        taken.add(item_id)
        ids.append(item_id)
    return ids


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
