"""Pages of lists, `{"items": […], "next": …}`."""

from collections.abc import Iterable

from waypost.api.reply import Reply, encode_json


def raw_page(items: Iterable[bytes], following: str | int | None) -> Reply:
    """Answer a page whose items are JSON already: they are copied in as they are."""
    return Reply(200, b'{"items":[%b],"next":%b}' % (b",".join(items), encode_json(following)))


def page(items: Iterable[object], following: str | int | None) -> Reply:
    """Answer a page of structs."""
    return raw_page(map(encode_json, items), following)
