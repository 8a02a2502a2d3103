"""Which events an endpoint wants: written anew from the contract, so that no slip of the product's is repeated here.

A pattern is a type, everything below a word (`shipment.*`, at any depth) or everything (`*`). A filter is held against
the shipment in the event; an event about no shipment passes only where there is none. `changed` restricts
`shipment.updated` alone.
"""

from collections.abc import Iterable, Mapping, Sequence

from waypost.simulator.history import Wishes

ABOUT_SHIPMENTS = ("shipment", "tracking", "handling_unit")
Words = Mapping[str, tuple[str, ...]]


def version_at(wishes: Sequence[Wishes], position: int) -> Wishes | None:
    """Give the version that was in force at `position`; None before the first. `wishes` in order of position."""
    found = None
    for version in wishes:
        if version.from_position <= position:
            found = version
    return found


def is_wanted(version: Wishes, event_type: str, words: Words) -> bool:
    """Say whether an endpoint with these wishes wants an event; `words` are what a filter may ask for."""
    if not any(_matches(pattern.split("."), event_type.split(".")) for pattern in version.patterns):
        return False
    if not version.filter:
        return True
    if event_type.split(".", maxsplit=1)[0] not in ABOUT_SHIPMENTS:
        return False
    return all(
        _share(allowed, words.get(asked, ()))
        for asked, allowed in version.filter.items()
        if asked != "changed" or event_type == "shipment.updated"
    )


def _matches(pattern: list[str], event_type: list[str]) -> bool:
    if pattern[-1] != "*":
        return pattern == event_type
    above = pattern[:-1]
    return event_type[: len(above)] == above and len(event_type) > len(above)


def _share(allowed: Iterable[str], said: Iterable[str]) -> bool:
    return not set(allowed).isdisjoint(said)
