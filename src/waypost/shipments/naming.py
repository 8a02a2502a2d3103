"""The `id` of list items: the sender's, else the item's natural key, else its place.

An id must be the same from one document to the next, since changes name items by it. The natural key of a reference
is its type and value, of a unit its SSCC or tracking number, of a number its value and carrier, of a paper its kind
and URL, of a stop its kind when no other stop has it.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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

Get = Callable[[str], Any]

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


def natural_key(part: type[msgspec.Struct], get: Get) -> str | None:
    """Give the natural key of an item, or None when it has none. `get` gives the item's fields by name."""
    if part is Reference:
        key = _joined(get("type"), get("value"))
    elif part is HandlingUnit:
        key = get("sscc") or get("tracking_number")
    elif part is TrackingNumber:
        value, carrier = get("value"), get("carrier")
        key = f"{value}:{carrier}" if value and carrier else value
    elif part is Document:
        key = _joined(get("kind"), get("url"))
    elif part is Stop:
        key = get("kind")
    else:
        key = None
    return key if isinstance(key, str) and 0 < len(key) <= KEY_CHARACTERS_MAX else None


def ids_for(part: type[msgspec.Struct], items: Sequence[Any]) -> list[str]:
    """Give the ids of a list's items, in order: those that have one keep it."""
    keys = [natural_key(part, item_getter(item)) for item in items]
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


def item_getter(item: msgspec.Struct) -> Get:
    """Give the fields of an item by name."""
    return lambda name: getattr(item, name)


def _joined(first: Any, second: Any) -> str | None:
    return f"{first}:{second}" if first and second else None


def _free_place(wanted: str, taken: set[str]) -> str:
    while wanted in taken:
        wanted += "_"
    return wanted
