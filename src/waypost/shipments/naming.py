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


def same_natural_key(part: type[msgspec.Struct], given: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    """Tell whether an item given without id means `item`, both as JSON values.

    A unit is known by either of its numbers, a tracking number also when the carrier is left out.
    """
    if part is HandlingUnit:
        return any(given.get(name) and given[name] == item.get(name) for name in ("sscc", "tracking_number"))
    if part is TrackingNumber:
        names: tuple[str, ...] = ("value", "carrier") if given.get("carrier") else ("value",)
    else:
        names = NATURAL_KEYS.get(part, ())
    return bool(names) and all(given.get(name) and given[name] == item.get(name) for name in names)


def _free_place(wanted: str, taken: set[str]) -> str:
    while wanted in taken:
        wanted += "_"
    return wanted
