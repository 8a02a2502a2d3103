"""The filter of an endpoint: conditions on the shipment as it stands in the event.

Every list that is given must match, and a list matches when any of its entries does. `changed` restricts
`shipment.updated` alone. Whether an event is about a shipment at all is decided before (patterns.py).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from operator import attrgetter

import msgspec

from waypost.errors import FieldError, InvalidDocument
from waypost.events.kinds import CHANGE_GROUPS, STATUSES
from waypost.shipments.codes import COUNTRIES

ENTRIES_MAX = 1000
ENTRY_LENGTH_MAX = 255  # as long as a reference may be

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class Filter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Conditions on the shipment in the event; a condition that is None lets every event pass."""

    carriers: tuple[str, ...] | None = None
    """`carrier.id` or `carrier.name`."""
    countries: tuple[str, ...] | None = None
    """The country of any party or stop."""
    references: tuple[str, ...] | None = None
    """The shipment's own reference, or the value of any of its references."""
    tags: tuple[str, ...] | None = None
    """Any of the shipment's tags."""
    statuses: tuple[str, ...] | None = None
    """The shipment's status after the event."""
    changed: tuple[str, ...] | None = None
    """The groups of a `shipment.updated`; other types are not asked."""

    @property
    def looks_at_changes_alone(self) -> bool:
        """Say that only `changed` is given, so that the shipment itself need not be read."""
        return all(getattr(self, name) is None for name in self.__struct_fields__ if name != "changed")


class Facets(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All that a filter can ask of an event about a shipment. `changed` is empty in all but `shipment.updated`."""

    status: str
    carriers: frozenset[str]
    countries: frozenset[str]
    references: frozenset[str]
    tags: frozenset[str]
    changed: frozenset[str]


# Only what a filter asks for is decoded, and the rest of the body is stepped over: a tenth of the time of reading it.


class _Address(msgspec.Struct, gc=False):
    country: str | None = None


class _Place(msgspec.Struct, gc=False):
    address: _Address | None = None


class _Reference(msgspec.Struct, gc=False):
    value: str | None = None


class _Carrier(msgspec.Struct, gc=False):
    id: str | None = None
    name: str | None = None


class _Shipment(msgspec.Struct):
    reference: str
    status: str
    tags: list[str] = []
    references: list[_Reference] = []
    parties: dict[str, _Place | None] | None = None
    stops: list[_Place] = []
    carrier: _Carrier | None = None


class _Data(msgspec.Struct):
    shipment: _Shipment
    changed: list[str] = []


class _Event(msgspec.Struct):
    data: _Data


_decode = msgspec.json.Decoder(_Event).decode


def read_facets(body: bytes) -> Facets:
    """Read what filters ask for out of the bytes of an event about a shipment."""
    data = _decode(body).data
    shipment = data.shipment
    carrier = shipment.carrier or _Carrier()
    places = [*shipment.stops, *(shipment.parties or {}).values()]
    return Facets(
        status=shipment.status,
        carriers=_given(carrier.id, carrier.name),
        countries=_given(*(place.address.country for place in places if place and place.address)),
        references=_given(shipment.reference, *(reference.value for reference in shipment.references)),
        tags=frozenset(shipment.tags),
        changed=frozenset(data.changed),
    )


def _given(*values: str | None) -> frozenset[str]:
    return frozenset(value for value in values if value is not None)


class Conditions:
    """A filter made ready to be asked often."""

    __slots__ = ("_groups", "_sets", "_statuses")

    def __init__(self, wanted: Filter) -> None:
        self._statuses = None if wanted.statuses is None else frozenset(wanted.statuses)
        self._groups = None if wanted.changed is None else frozenset(wanted.changed)
        names = ("carriers", "countries", "references", "tags")
        given = [(attrgetter(name), getattr(wanted, name)) for name in names]
        self._sets = [(facet, frozenset(entries)) for facet, entries in given if entries is not None]

    def admit(self, facets: Facets, *, updated: bool) -> bool:
        """Say whether the shipment in an event fulfils every condition; `updated` says it is a `shipment.updated`."""
        if self._statuses is not None and facets.status not in self._statuses:
            return False
        if updated and self._groups is not None and facets.changed.isdisjoint(self._groups):
            return False
        return not any(facet(facets).isdisjoint(entries) for facet, entries in self._sets)


def check_filter(value: object, *, path: str = "/filter") -> list[FieldError]:
    """List what is wrong with the filter an endpoint is given; an empty list means it is fine.

    `value` is decoded JSON (None means no filter), `path` the pointer to it in the body.
    """
    if value is None:
        return []
    if not isinstance(value, Mapping):
        return [FieldError(path, 'is not an object; write for example {"countries": ["IS"]}')]
    errors: list[FieldError] = []
    for name, entries in value.items():
        if name in _ENTRY_PROBLEMS:
            errors += _check_entries(entries, f"{path}/{name}", _ENTRY_PROBLEMS[name])
        else:
            errors.append(FieldError(f"{path}/{_pointer_part(name)}", "unknown field" + _hint(name, _ENTRY_PROBLEMS)))
    return errors


def read_filter(value: object, *, path: str = "/filter") -> Filter | None:
    """Give the filter in `value`, None where it has no condition, or raise InvalidDocument with every wrong place."""
    errors = check_filter(value, path=path)
    if errors:
        raise InvalidDocument(fields_wrong(errors), errors=errors)
    return msgspec.convert(value, Filter) if value else None


def fields_wrong(errors: Sequence[FieldError]) -> str:
    """Sum up what is wrong, for the detail of the problem."""
    return "1 field is wrong." if len(errors) == 1 else f"{len(errors)} fields are wrong."


def _check_entries(entries: object, path: str, problem_of: Callable[[str], str | None]) -> list[FieldError]:
    if not isinstance(entries, list | tuple):
        return [FieldError(path, "is not a list")]
    if not entries:
        return [FieldError(path, "is empty and would match nothing; leave it out to match everything")]
    if len(entries) > ENTRIES_MAX:
        return [FieldError(path, f"has {len(entries)} entries, at most {ENTRIES_MAX} are allowed")]
    problems = [(place, _entry_problem(entry, problem_of)) for place, entry in enumerate(entries)]
    return [FieldError(f"{path}/{place}", problem) for place, problem in problems if problem is not None]


def _entry_problem(entry: object, problem_of: Callable[[str], str | None]) -> str | None:
    if not isinstance(entry, str):
        return "is not a text"
    if not entry or len(entry) > ENTRY_LENGTH_MAX:
        return f"has {len(entry)} characters; 1 to {ENTRY_LENGTH_MAX} are allowed"
    if _UNPRINTABLE.search(entry):
        return "holds a control character"
    return problem_of(entry)


def _any_text(entry: str) -> str | None:
    return None


def _country_problem(entry: str) -> str | None:
    if entry in COUNTRIES:
        return None
    hint = f'; did you mean "{entry.upper()}"?' if entry.upper() in COUNTRIES else ""
    return f'"{entry}" is not a country code of two letters (ISO 3166-1){hint}'


def _status_problem(entry: str) -> str | None:
    return None if entry in STATUSES else f'"{entry}" is not a status{_hint(entry, STATUSES)}'


def _group_problem(entry: str) -> str | None:
    if entry in CHANGE_GROUPS:
        return None
    return (
        f'"{entry}" is not a group of changes{_hint(entry, CHANGE_GROUPS)}; the groups are {", ".join(CHANGE_GROUPS)}'
    )


_ENTRY_PROBLEMS: Mapping[str, Callable[[str], str | None]] = {
    "carriers": _any_text,
    "countries": _country_problem,
    "references": _any_text,
    "tags": _any_text,
    "statuses": _status_problem,
    "changed": _group_problem,
}


def _hint(name: object, known: object) -> str:
    near = get_close_matches(str(name)[:ENTRY_LENGTH_MAX].lower(), list(known), n=1)  # type: ignore[call-overload]
    return f'; did you mean "{near[0]}"?' if near else ""


def _pointer_part(name: object) -> str:
    """Escape a member's name for a JSON Pointer (RFC 6901)."""
    return str(name)[:ENTRY_LENGTH_MAX].replace("~", "~0").replace("/", "~1")
