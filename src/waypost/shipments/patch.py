"""JSON merge patch (RFC 7396) with one difference: lists of items are merged item by item.

An item is found by its `id`, or without one by its natural key; an item given is merged or added, items not given
stay, and `"$remove": true` takes one out. Lists of plain texts are replaced whole, and null makes unknown.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from waypost.errors import FieldError, InvalidDocument
from waypost.shipments.checking import escape, invalid
from waypost.shipments.model import ShipmentDocument
from waypost.shipments.naming import name_meant, names_of
from waypost.shipments.plans import PartPlan, plan_of
from waypost.shipments.reading import read_document_value

REMOVE = "$remove"


def patched(document: ShipmentDocument, patch: Mapping[str, Any]) -> ShipmentDocument:
    """Merge `patch`, as read from a body, into `document`, and validate the result whole.

    Raises InvalidDocument with every wrong place; a place that the patch named has its path in the patch.
    """
    merge = _Merge()
    base = msgspec.json.decode(msgspec.json.encode(document))
    merged = merge.part(base, patch, plan_of(ShipmentDocument), "")
    errors = list(merge.errors)
    try:
        result = read_document_value(merged)
    except InvalidDocument as error:
        errors += [FieldError(merge.path_in_patch(merged, found.path), found.message) for found in error.errors]
    if errors:
        raise invalid(errors)
    return result


class _Merge:
    """One merge: what is wrong with the patch, and which of its items each item of the result came from."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []
        self._numbers: dict[int, int] = {}

    def path_in_patch(self, merged: Any, path: str) -> str:
        """Turn a path in the merged document into the path of the same place in the patch."""
        steps = path.split("/")
        value = merged
        for depth, step in enumerate(steps[1:], start=1):
            if isinstance(value, list):
                value = value[int(step)]
                steps[depth] = str(self._numbers.get(id(value), step))
            elif isinstance(value, Mapping):
                value = value.get(step.replace("~1", "/").replace("~0", "~"))
        return "/".join(steps)

    def part(self, base: Any, patch: Any, plan: PartPlan, path: str) -> Any:
        """Merge a patch into an object. What is no object is left to validation."""
        if not isinstance(patch, Mapping):
            return patch
        merged = dict(base) if isinstance(base, Mapping) else {}
        for name, value in patch.items():
            field = plan.by_name.get(name)
            if value is None or field is None or field.part is None:
                # Not taken out but set to null: so an unknown name is still seen by validation.
                merged[name] = value
            elif field.holds == "part":
                merged[name] = self.part(merged.get(name), value, field.part, f"{path}/{escape(name)}")
            elif isinstance(value, list):
                merged[name] = self._items(merged.get(name) or [], value, field.part, f"{path}/{escape(name)}")
            else:
                merged[name] = value
        return merged

    def _items(self, base: list[Any], patch: list[Any], plan: PartPlan, path: str) -> list[Any]:
        known = _Items(base, plan)
        named: set[str] = set()
        for number, given in enumerate(patch):
            if not isinstance(given, Mapping):
                known.add(given)
                continue
            self._check_named_once(given, named, f"{path}/{number}")
            place = known.place_of(given)
            if REMOVE in given:
                if given[REMOVE] is not True:
                    self.errors.append(FieldError(f"{path}/{number}/{REMOVE}", "should be true"))
                elif place is not None:
                    known.remove(place)
                continue
            kept = {} if place is None else known.items[place]
            merged = self.part(kept, given, plan, f"{path}/{number}")
            if kept.get("id"):
                merged["id"] = kept["id"]
            self._numbers[id(merged)] = number
            known.add(merged, place)
        return known.left()

    def _check_named_once(self, item: Mapping[str, Any], named: set[str], path: str) -> None:
        item_id = item.get("id")
        if isinstance(item_id, str) and item_id:
            if item_id in named:
                self.errors.append(FieldError(f"{path}/id", f'the id "{item_id}" is given twice'))
            named.add(item_id)


class _Items:
    """The items of a list while it is patched, found by id or natural key without a search through all of them."""

    def __init__(self, base: list[Any], plan: PartPlan) -> None:
        self.items: list[Any] = []
        self._plan = plan
        self._gone: set[int] = set()
        self._by_id: dict[str, int] = {}
        self._by_name: dict[tuple[str, ...], set[int]] = {}
        for item in base:
            self.add(item)

    def add(self, item: Any, place: int | None = None) -> None:
        """Put an item in, in place of the one at `place` or at the end."""
        if place is None:
            place = len(self.items)
            self.items.append(item)
        else:
            self.items[place] = item
        if isinstance(item, Mapping):
            if isinstance(item.get("id"), str):
                self._by_id[item["id"]] = place
            for name in names_of(self._plan.type, item):
                self._by_name.setdefault(name, set()).add(place)

    def remove(self, place: int) -> None:
        """Take an item out; the places of the others stay as they are."""
        self._gone.add(place)

    def place_of(self, given: Mapping[str, Any]) -> int | None:
        """Find the item that `given` means: by its id, or without one by its natural key when only one has it."""
        if item_id := given.get("id"):
            place = self._by_id.get(item_id) if isinstance(item_id, str) else None
            return None if place in self._gone else place
        alike: set[int] = set()
        for name in name_meant(self._plan.type, given):
            alike |= self._by_name.get(name, set()) - self._gone
        return alike.pop() if len(alike) == 1 else None

    def left(self) -> list[Any]:
        """Give the items that were not taken out."""
        return [item for place, item in enumerate(self.items) if place not in self._gone]
