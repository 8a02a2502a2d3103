"""Query values: each is declared once, read strictly, and refused with its name when it is wrong."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any
from urllib.parse import unquote_to_bytes

from waypost.errors import BadRequest, FieldError
from waypost.events.own_types import may_be_own
from waypost.events.patterns import PATTERN_LENGTH_MAX, check_patterns

LIMIT_DEFAULT = 50
LIMIT_MAX = 1000
TEXT_LENGTH_MAX = 500
POSITION_MAX = 2**53 - 1  # what a receiver in JavaScript can count exactly


@dataclass(frozen=True, slots=True, kw_only=True)
class Query(ABC):
    """One query value: its name, what it means, the schema that documents it, and its default."""

    name: str
    description: str
    default: Any = None

    @property
    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the value."""

    @abstractmethod
    def read(self, text: str) -> Any:
        """Give the value of `text`, or raise ValueError with what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeNumber(Query):
    """A whole number from `low` to `high`."""

    low: int
    high: int

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the value."""
        known = {} if self.default is None else {"default": self.default}
        return {"type": "integer", "minimum": self.low, "maximum": self.high, **known}

    def read(self, text: str) -> int:
        """Give the number. Only plain digits count: no sign, no blank, no other script's digits."""
        if text.isascii() and text.isdigit() and len(text) <= 20 and self.low <= int(text) <= self.high:
            return int(text)
        raise ValueError(f"must be a whole number from {self.low} to {self.high}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Query):
    """Any text without control characters."""

    length_max: int = TEXT_LENGTH_MAX

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the value."""
        return {"type": "string", "minLength": 1, "maxLength": self.length_max, "pattern": r"^[^\x00-\x1f\x7f]*$"}

    def read(self, text: str) -> str:
        """Give the text as it is."""
        if not 1 <= len(text) <= self.length_max:
            raise ValueError(f"must have 1 to {self.length_max} characters")
        if any(character < " " or character == "\x7f" for character in text):
            raise ValueError("must not hold control characters")
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOf(Query):
    """One of the words in `words`."""

    words: tuple[str, ...]

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the value."""
        return {"type": "string", "enum": list(self.words)}

    def read(self, text: str) -> str:
        """Give the word."""
        if text in self.words:
            return text
        raise ValueError(f"must be one of {', '.join(self.words)}{_hint(text, self.words)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTypes(Query):
    """A type of event, or a pattern for several, as an endpoint's `events` has them."""

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the value."""
        return {"type": "string", "minLength": 1, "maxLength": PATTERN_LENGTH_MAX}

    def read(self, text: str) -> str:
        """Give the pattern. One that no type fits is a slip of the pen; an account's own types are looked up later."""
        for error in () if may_be_own(text) else check_patterns([text]):
            raise ValueError(error.message)
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant(Query):
    """An RFC 3339 time with its offset."""

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the value."""
        return {"type": "string", "format": "date-time"}

    def read(self, text: str) -> datetime:
        """Give the time in UTC."""
        return read_instant(text)


def read_instant(text: str) -> datetime:
    """Give the UTC time of an RFC 3339 text with an offset; raise ValueError in words for anything else.

    A `+` of an offset that a client left unescaped in a query comes as a blank; it can mean nothing else there.
    """
    text = text.replace(" ", "+") if text.count(" ") == 1 and "T" in text else text
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a time such as 2026-11-23T13:31:00Z") from None
    if instant.tzinfo is None or "T" not in text:
        raise ValueError("must be a time with its zone, such as 2026-11-23T13:31:00Z")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("is outside the years 1 to 9999") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(Query):
    """A span such as `24h`: a whole number of minutes (m), hours (h) or days (d)."""

    longest: timedelta = timedelta(days=30)

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the value."""
        return {"type": "string", "pattern": "^[1-9][0-9]{0,4}[mhd]$", "default": "24h"}

    def read(self, text: str) -> timedelta:
        """Give the span."""
        units = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
        digits, unit = text[:-1], units.get(text[-1:])
        well_formed = digits.isascii() and digits.isdigit() and len(digits) <= 5 and digits[0] != "0"
        if unit is None or not well_formed or unit * int(digits) > self.longest:
            raise ValueError("must be a span such as 30m, 24h or 7d, of at most 30 days")
        return unit * int(digits)


LIMIT = WholeNumber(name="limit", description="How many items at most.", default=LIMIT_DEFAULT, low=1, high=LIMIT_MAX)
CURSOR = Text(name="cursor", description="`next` of the page before.", length_max=2000)
AFTER_POSITION = WholeNumber(
    name="after", description="Only events past this position.", default=0, low=0, high=POSITION_MAX
)
AFTER_SEQUENCE = WholeNumber(
    name="after", description="Only events past this sequence.", default=0, low=0, high=POSITION_MAX
)


def read_queries(declared: Mapping[str, Query], query_string: bytes) -> dict[str, Any]:
    """Give every declared value by its name, defaults filled in; raise BadRequest with all that is wrong."""
    values = {name: query.default for name, query in declared.items()}
    if not query_string:
        return values
    errors: list[FieldError] = []
    seen: set[str] = set()
    for part in query_string.split(b"&"):
        if not part:
            continue
        raw_name, _, raw_value = part.partition(b"=")
        try:
            name, text = _decoded(raw_name), _decoded(raw_value)
        except UnicodeDecodeError:
            raise BadRequest("The query is not UTF-8.") from None
        problem = _take(declared, values, seen, name, text)
        if problem is not None:
            errors.append(FieldError(f"?{name[:100]}", problem))
    if errors:
        first = f"{errors[0].path} {errors[0].message}"
        detail = first if first.endswith("?") else f"{first}."
        raise BadRequest(detail if len(errors) == 1 else f"{len(errors)} query values are wrong.", errors=errors)
    return values


def _take(declared: Mapping[str, Query], values: dict[str, Any], seen: set[str], name: str, text: str) -> str | None:
    """Put one value into `values`, or say what is wrong with it."""
    query = declared.get(name)
    if query is None:
        return f"is not a query value of this operation{_hint(name, tuple(declared))}"
    if name in seen:
        return "is given twice"
    seen.add(name)
    try:
        values[name] = query.read(text)
    except ValueError as error:
        return str(error)
    return None


def _decoded(raw: bytes) -> str:
    return unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8")


def _hint(text: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(text[:100], known, n=1)
    return f'; did you mean "{near[0]}"?' if near else ""
