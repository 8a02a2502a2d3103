"""Which events an endpoint wants: type patterns and, if it has one, a filter on the shipment in the event.

A pattern is a type (`shipment.created`), everything below a word (`shipment.*`, at any depth) or everything (`*`).
`shipment.*` therefore leaves out `tracking.*`, `handling_unit.*` and the operations; `*` holds them all.

A matcher is asked for every event of the account's log, so it remembers its verdict on each type and opens the body
only when a filter has to see the shipment.
"""

import re
from collections.abc import Callable, Collection, Sequence
from difflib import get_close_matches
from enum import Enum
from functools import cache, lru_cache

import msgspec

from waypost.errors import FieldError, InvalidDocument
from waypost.events.filters import Conditions, Facets, Filter, fields_wrong, read_facets
from waypost.events.kinds import EVENT_TYPES, SHIPMENT_UPDATED, is_about_shipment

DEFAULT_PATTERNS = ("shipment.*",)
PATTERNS_MAX = 100  # every type of the catalogue written out still fits
PATTERN_LENGTH_MAX = 100
SUGGESTIONS_MAX = 10  # looking for the near name is the slow part, and ten of them teach enough
MATCHERS_KEPT_MAX = 4096
VERDICTS_KEPT_MAX = 4096  # an account may name types of its own; they must not fill the memory

_ANYTHING = "*"
_FORM = re.compile(r"\*|[a-z0-9_]+(?:\.[a-z0-9_]+)*(?:\.\*)?")


class Wants(msgspec.Struct, frozen=True):
    """What an endpoint wants: `patterns` as `read_patterns` gives them, `filter` as `read_filter` does."""

    patterns: tuple[str, ...] = DEFAULT_PATTERNS
    filter: Filter | None = None


class _Verdict(Enum):
    NEVER = "no shipment could make this event wanted"
    ALWAYS = "every event of this type is wanted"
    BY_BODY = "the filter has to see the shipment"


# Looked up once: a member reached through its class costs as much as the rest of a match.
_ALWAYS, _BY_BODY = _Verdict.ALWAYS, _Verdict.BY_BODY


class Matcher:
    """Says of one event after another whether an endpoint wants it. Made by `compile`."""

    __slots__ = ("_conditions", "_filter", "_patterns", "_verdicts")

    def __init__(self, wants: Wants) -> None:
        self._patterns = wants.patterns
        self._filter = wants.filter
        self._conditions = Conditions(wants.filter or Filter())
        self._verdicts: dict[str, _Verdict] = {}

    def __call__(self, event_type: str, body: bytes) -> bool:
        """Say whether the event is wanted. `body` is the whole event as stored; it is opened only for a filter."""
        try:
            verdict = self._verdicts[event_type]
        except KeyError:
            verdict = self._judge(event_type)
        if verdict is not _BY_BODY:
            return verdict is _ALWAYS
        return self._admits(event_type, read_facets(body))

    def needs_body(self, event_type: str) -> bool:
        """Say whether the body of such an event has to be seen; when not, any bytes may stand for it."""
        return (self._verdicts.get(event_type) or self._judge(event_type)) is _BY_BODY

    def wants(self, event_type: str, facets: Callable[[], Facets]) -> bool:
        """Say the same for a caller that asks many matchers about one event and reads its facets once.

        `facets` is called only when a filter has to see them; let it remember what `read_facets` gave.
        """
        try:
            verdict = self._verdicts[event_type]
        except KeyError:
            verdict = self._judge(event_type)
        if verdict is not _BY_BODY:
            return verdict is _ALWAYS
        return self._admits(event_type, facets())

    def _admits(self, event_type: str, facets: Facets) -> bool:
        return self._conditions.admit(facets, updated=event_type == SHIPMENT_UPDATED)

    def _judge(self, event_type: str) -> _Verdict:
        if len(self._verdicts) >= VERDICTS_KEPT_MAX:
            self._verdicts.clear()
        verdict = self._verdicts[event_type] = _verdict(self._patterns, self._filter, event_type)
        return verdict


def _verdict(patterns: Sequence[str], wanted: Filter | None, event_type: str) -> _Verdict:
    if not matches(patterns, event_type):
        return _Verdict.NEVER
    if wanted is None:
        return _Verdict.ALWAYS
    if not is_about_shipment(event_type):
        return _Verdict.NEVER  # a filter asks something of a shipment, and there is none
    if wanted.looks_at_changes_alone and event_type != SHIPMENT_UPDATED:
        return _Verdict.ALWAYS  # `changed` restricts shipment.updated alone
    return _Verdict.BY_BODY


def compile(wants: Wants) -> Matcher:  # noqa: A001 - as re.compile: called as patterns.compile
    """Make the matcher of `wants`. Keep it while the wants stand: it remembers what it has judged."""
    return Matcher(wants)


@lru_cache(maxsize=MATCHERS_KEPT_MAX)
def matcher_of(wants: Wants) -> Matcher:
    """Give a matcher of `wants`. Equal wishes share one, and what it has judged; it is for one thread."""
    return Matcher(wants)


def matches(patterns: Sequence[str], event_type: str) -> bool:
    """Say whether one of the `patterns` holds `event_type`; filters are not asked."""
    return any(_holds(pattern, event_type) for pattern in patterns)


def _holds(pattern: str, event_type: str) -> bool:
    if pattern.endswith(".*"):
        return event_type.startswith(pattern[:-1])
    return pattern in (_ANYTHING, event_type)


def check_patterns(value: object, *, path: str = "/events", own_types: Collection[str] = ()) -> list[FieldError]:
    """List what is wrong with the patterns an endpoint is given; an empty list means they are fine.

    `value` is decoded JSON, `path` the pointer to it in the body. `own_types` are the types that the account has
    registered beside those of the catalogue. A pattern that can match no known type is wrong, since it is a slip of
    the pen whose only effect would be silence.
    """
    if not isinstance(value, list | tuple):
        return [FieldError(path, f'is not a list of event types; write ["{DEFAULT_PATTERNS[0]}"]')]
    if not value:
        return [FieldError(path, f'is empty; name an event type, or leave it out for "{DEFAULT_PATTERNS[0]}"')]
    if len(value) > PATTERNS_MAX:
        return [FieldError(path, f"has {len(value)} patterns, at most {PATTERNS_MAX} are allowed")]
    known = _known_patterns(frozenset(own_types))
    errors: list[FieldError] = []
    for place, pattern in enumerate(value):
        problem = _problem(pattern, known, suggest=len(errors) < SUGGESTIONS_MAX)
        if problem is not None:
            errors.append(FieldError(f"{path}/{place}", problem))
    return errors


def read_patterns(value: object, *, path: str = "/events", own_types: Collection[str] = ()) -> tuple[str, ...]:
    """Give the patterns in `value` as they were written, or raise InvalidDocument with every wrong place."""
    errors = check_patterns(value, path=path, own_types=own_types)
    if errors:
        raise InvalidDocument(fields_wrong(errors), errors=errors)
    assert isinstance(value, list | tuple)
    return tuple(value)


def _problem(pattern: object, known: frozenset[str], *, suggest: bool) -> str | None:
    if not isinstance(pattern, str):
        return "is not a text"
    if pattern in known:
        return None
    if len(pattern) > PATTERN_LENGTH_MAX:
        return f"is longer than {PATTERN_LENGTH_MAX} characters, and no event type is"
    near = nearest(pattern, known) if suggest else None
    hint = f'; did you mean "{near}"?' if near else ""
    if "*" in pattern and not _FORM.fullmatch(pattern):
        return f"{quoted(pattern)} is not a pattern: a star stands alone or at the end, after a dot{hint}"
    return f"{quoted(pattern)} matches no event type{hint}"


@cache
def _catalogue_patterns() -> frozenset[str]:
    return _patterns_of(EVENT_TYPES)


def _known_patterns(own_types: frozenset[str]) -> frozenset[str]:
    return _catalogue_patterns() | _patterns_of(own_types) if own_types else _catalogue_patterns()


def _patterns_of(event_types: Collection[str]) -> frozenset[str]:
    """Every pattern that matches at least one of the types."""
    words = [event_type.split(".") for event_type in event_types]
    below = {".".join(parts[:depth]) + ".*" for parts in words for depth in range(1, len(parts))}
    return frozenset({_ANYTHING, *event_types, *below})


def nearest(name: str, known: Collection[str]) -> str | None:
    """Give the known pattern that `name` was probably meant to be, or None."""
    name = name.strip().lower()
    if name in known:
        return name
    if f"{name.rstrip('.*')}.*" in known:
        return f"{name.rstrip('.*')}.*"
    last_word = name.rpartition(".")[2]
    guesses = [f"{group}.{last_word}" for group in ("shipment.status", "shipment.condition", "shipment", "tracking")]
    for guess in guesses:  # `shipment.delivered`, as other senders name it
        if guess in known:
            return guess
    return next(iter(get_close_matches(name, sorted(known), n=1, cutoff=0.7)), None)


def quoted(name: str) -> str:
    """Write what a caller gave in quotes, escaped as in JSON and cut to a length that fits a sentence."""
    return msgspec.json.encode(name[:PATTERN_LENGTH_MAX].encode("utf-8", "replace").decode()).decode()
