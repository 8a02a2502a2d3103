"""The tree in which a person chooses what an endpoint hears about, and the same choice as patterns and in words.

A leaf is a type of event, or for changes to details a group of changed fields (`changed:address`). The tree and the
patterns say the same: what is ticked becomes the fewest patterns, and patterns tick every leaf that they match.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from waypost.dashboard.words import Words
from waypost.events.kinds import CHANGE_GROUPS, EVENT_TYPES, SHIPMENT_UPDATED
from waypost.events.wording import DETAILS, GROUPS, NEW_BOOKINGS, TESTS, WORDING

CHANGED = "changed:"
OWN = "Your own events"
NAMED_MAX = 3  # choices of one branch that are named one by one; more are counted

# Whole words of the catalogue, the widest first: ticking all below one says it shorter, and holds what comes later.
_WIDE = ("shipment.*", "shipment.status.*", "shipment.condition.*", "tracking.*", "handling_unit.*", "endpoint.*")

CHANGED_WORDS: Mapping[str, tuple[str, str]] = {
    "address": ("Address", "of a stop or a party"),
    "schedule": ("Schedule", "time windows and stops"),
    "items": ("Items", "weight, measures, goods"),
    "price": ("Price", "cost and value of the goods"),
    "references": ("References", "order and tracking numbers"),
    "service": ("Carrier and service", "carrier, terms, services"),
    "parties": ("Parties", "names and contacts"),
    "documents": ("Documents", "taken out or altered"),
    "other": ("Anything else", "tags, notes, own fields"),
}


@dataclass(frozen=True, slots=True)
class Leaf:
    """One line that can be ticked. `example` is the type whose example shows what arrives."""

    value: str
    title: str
    hint: str
    example: str


@dataclass(frozen=True, slots=True)
class Branch:
    """A heading with its lines."""

    name: str
    title: str
    leaves: tuple[Leaf, ...]


def tree(own_types: Iterable[Mapping[str, Any]] = ()) -> list[Branch]:
    """Give the tree in English; `own_types` are the account's own, as the API lists them. Tests are in no tree."""
    branches = [Branch(_slug(group), group, tuple(_leaves(group))) for group in GROUPS if group != TESTS]
    own = tuple(Leaf(one["type"], one["title"], one["description"], one["type"]) for one in own_types)
    return [*branches, Branch(_slug(OWN), OWN, own)] if own else branches


def _leaves(group: str) -> Iterable[Leaf]:
    if group == DETAILS:
        for name in CHANGE_GROUPS:
            yield Leaf(CHANGED + name, *CHANGED_WORDS[name], SHIPMENT_UPDATED)
        return
    for event_type in EVENT_TYPES:
        wording = WORDING[event_type]
        if wording.group == group:
            yield Leaf(event_type, wording.title, wording.description, event_type)


def _slug(title: str) -> str:
    return "".join(character if character.isalnum() else "-" for character in title.lower())


def wants_of(ticked: Collection[str]) -> tuple[list[str], list[str] | None]:
    """Give what is ticked as patterns, the fewest, and as the groups of `changed`, None when all of them are wanted."""
    changed = [name for name in CHANGE_GROUPS if CHANGED + name in ticked]
    types = {value for value in ticked if not value.startswith(CHANGED)}
    if changed:
        types.add(SHIPMENT_UPDATED)
    patterns: list[str] = []
    for wide in _WIDE:
        below = {event_type for event_type in EVENT_TYPES if event_type.startswith(wide.removesuffix("*"))}
        if below <= types:
            patterns.append(wide)
            types -= below
    in_order = [event_type for event_type in EVENT_TYPES if event_type in types]
    own = sorted(types.difference(EVENT_TYPES))
    return [*patterns, *in_order, *own], changed if 0 < len(changed) < len(CHANGE_GROUPS) else None


def ticked_by(patterns: Sequence[str], changed: Sequence[str] | None, branches: Iterable[Branch]) -> frozenset[str]:
    """Give the leaves that patterns and groups of `changed` tick."""
    ticked = set()
    for branch in branches:
        for leaf in branch.leaves:
            group = leaf.value.removeprefix(CHANGED) if leaf.value.startswith(CHANGED) else None
            if matches(patterns, leaf.example) and (group is None or not changed or group in changed):
                ticked.add(leaf.value)
    return frozenset(ticked)


def matches(patterns: Iterable[str], event_type: str) -> bool:
    """Whether any of the patterns takes a type."""
    return any(
        pattern in ("*", event_type) or (pattern.endswith(".*") and event_type.startswith(pattern[:-1]))
        for pattern in patterns
    )


def in_words(patterns: Sequence[str], changed: Sequence[str] | None, branches: Sequence[Branch], words: Words) -> str:
    """Say in a few words what an endpoint gets: "New bookings, collected, delivered, ETA moved"."""
    if "*" in patterns:
        return words("Everything")
    ticked = ticked_by(patterns, changed, branches)
    about_shipments = [name for name in EVENT_TYPES if name.startswith("shipment.")]
    if not changed and all(matches(patterns, name) for name in about_shipments):
        rest = [branch for branch in branches if not any(leaf.value.startswith("shipment.") for leaf in branch.leaves)]
        rest = [branch for branch in rest if not any(leaf.value.startswith(CHANGED) for leaf in branch.leaves)]
        parts = [words("Everything about shipments"), *_parts(rest, ticked, words)]
    else:
        parts = _parts(branches, ticked, words)
    first, *others = parts or [words("Nothing")]
    return ", ".join([first, *(part[:1].lower() + part[1:] if part[1:2].islower() else part for part in others)])


def _parts(branches: Iterable[Branch], ticked: Collection[str], words: Words) -> list[str]:
    parts: list[str] = []
    for branch in branches:
        on = [leaf for leaf in branch.leaves if leaf.value in ticked]
        if len(on) == len(branch.leaves):
            parts.append(words(branch.title))
        elif branch.title == DETAILS and on:
            listed = ", ".join(words(leaf.title).lower() for leaf in on)
            parts.append(words("Changes (%(listed)s)", listed=listed))
        elif len(on) <= NAMED_MAX or branch.title == NEW_BOOKINGS:
            parts += [words(leaf.title) for leaf in on]
        else:
            parts.append(
                words("%(title)s (%(n)s of %(all)s)", title=words(branch.title), n=len(on), all=len(branch.leaves))
            )
    return parts
