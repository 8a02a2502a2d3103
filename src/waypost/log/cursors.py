"""Cursors of pages: where the next page begins, in a form that callers hand back without reading it.

Lists that go by a number use the number itself; the others use base64 of JSON, so that a name with any character in it
survives a query string.
"""

import base64
import binascii
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from waypost.errors import BadRequest
from waypost.log.records import Page

POSITION_MAX = 2**63 - 1

Item = TypeVar("Item")
C = TypeVar("C")


def page_of(items: list[Item], limit: int, cursor_of: Callable[[Item], Any]) -> Page[Item]:
    """Make a page of `items`, which were read one more than `limit` to know whether another follows."""
    if len(items) <= limit:
        return Page(items, None)
    return Page(items[:limit], write_cursor(cursor_of(items[limit - 1])))


def write_cursor(value: object) -> str:
    """Give the cursor that stands for `value`."""
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).decode().rstrip("=")


def read_cursor(cursor: str, kind: type[C]) -> C:
    """Give the value of a cursor that we gave out, or raise BadRequest."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=kind)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise bad_cursor() from error


def read_name_cursor(cursor: str | None) -> str:
    """Give the name a page goes on after; the empty name stands before all."""
    if cursor is None:
        return ""
    return without_nul(read_cursor(cursor, str))


def read_position_cursor(cursor: str | None) -> int | None:
    """Give the position a page goes on from, or None for the first page."""
    if cursor is None:
        return None
    position = read_cursor(cursor, int)
    if not 0 <= position <= POSITION_MAX:
        raise bad_cursor()
    return position


def without_nul(text: str) -> str:
    """Give `text` back, or raise BadRequest: PostgreSQL refuses NUL, and nothing stored holds one."""
    if "\0" in text:
        raise bad_cursor()
    return text


def bad_cursor() -> BadRequest:
    """The refusal of a cursor that we did not give out."""
    return BadRequest("This cursor is not one we gave out. Begin again without it.", path="?cursor")
