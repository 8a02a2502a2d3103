"""From the bytes of a body to plain JSON values, with everything refused that two readers could read differently.

Refused with BadRequest: bytes that are not UTF-8, what is not JSON, nesting deeper than 64 levels, a name given twice
in one object (parsers disagree about which counts), half a surrogate pair and U+0000 (PostgreSQL cannot store it).
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Never

import msgspec

from waypost.errors import BadRequest

NESTING_MAX = 64

_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
_MALFORMED = re.compile(r"JSON is malformed: (?P<what>.+) \(byte (?P<place>[0-9]+)\)\Z")
_TOO_LONG = "The body holds a number that is too long."
_HALF_A_PAIR = r"The body holds half of a surrogate pair, as \ud800, which is no character."


class JsonNumber(str):
    """A number with a fraction or exponent, as it stood in the body: a float would round it."""

    __slots__ = ()


_decode = msgspec.json.Decoder(float_hook=JsonNumber).decode
_decode_roughly = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(enc_hook=str).encode  # of a JsonNumber, its text


def parse(body: bytes) -> Any:
    """Read `body` as JSON: objects as dicts, numbers that are not whole as JsonNumber.

    Raises BadRequest when the body cannot be read as one clear JSON value.
    """
    check_nesting(body)
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not UTF-8: byte {error.start} fits nowhere.") from error
    if not body.strip():
        raise BadRequest("The body is empty.")
    try:
        value = _decode(body)
    except msgspec.DecodeError as error:
        raise BadRequest(_in_plain_words(str(error), body)) from error
    except (ValueError, RecursionError) as error:
        raise BadRequest(_TOO_LONG) from error
    if not (_has_no_hidden_signs(body) and _names_stand_once(body, value)):
        _refuse_what_is_ambiguous(body)
    return value


def _in_plain_words(problem: str, body: bytes) -> str:
    """Say what the decoder found in words about the body; its own name places of a program."""
    if "out of range" in problem:
        return _TOO_LONG
    if "truncated" in problem:
        return _HALF_A_PAIR if _is_read_elsewhere(body) else "The body is not JSON: it ends too early."
    found = _MALFORMED.match(problem)
    if found is None:
        return "The body is not JSON."
    return f"The body is not JSON: {found['what']} at byte {found['place']}."


def _is_read_elsewhere(body: bytes) -> bool:
    """Tell whether a reader that lets half a surrogate pair pass can read a body that ours cannot."""
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def read_quickly(body: bytes) -> Any:
    r"""Read a body that holds nothing unusual, as JSON values with floats for numbers that are not whole.

    None when anything needs a closer look: what cannot be read, a name given twice, U+0000, and `""`, which stands for
    unknown and has to be put right. May be a false alarm.
    """
    if b'""' in body or not _has_no_hidden_signs(body):
        return None
    try:
        value = _decode_roughly(body)
        return value if _names_stand_once(body, value) else None
    except (ValueError, RecursionError):
        return None


def _has_no_hidden_signs(body: bytes) -> bool:
    r"""Tell whether no text hides U+0000, or a digit or colon, behind an escape as `\u003a`."""
    return b"\\u00" not in body or not (b"\\u0000" in body or b"\\u003" in body)


def _names_stand_once(body: bytes, value: Any) -> bool:
    """Tell whether no object of `body`, which was read as `value`, has a name twice.

    Written anew, an object with a repeated name loses a colon.
    """
    return body.count(b":") == _encode(value).count(b":")


def check_nesting(body: bytes) -> None:
    """Raise BadRequest when lists and objects lie more than 64 deep in each other."""
    if body.count(b"[") + body.count(b"{") <= NESTING_MAX:
        return
    depth = 0
    for match in _BRACKETS.finditer(body):
        bracket = match[0]
        if bracket in (b"[", b"{"):
            depth += 1
            if depth > NESTING_MAX:
                raise BadRequest(f"The body is nested more than {NESTING_MAX} levels deep.")
        elif bracket in (b"]", b"}"):
            depth -= 1


def _refuse_what_is_ambiguous(body: bytes) -> None:
    for pair in _names_and_texts(json.loads(body, object_pairs_hook=_without_repeats)):
        if "\x00" in pair:
            raise BadRequest("The body holds the character U+0000, which no text here may have.")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                _refuse_repeat(name)
            seen.add(name)
    return names


def _refuse_repeat(name: str) -> Never:
    raise BadRequest(f"The name {name[:100]!r} stands twice in one object.")


def _names_and_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _names_and_texts(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from _names_and_texts(item)
