"""The API's own description: the OpenAPI document, and the same as a page to read."""

from collections.abc import Iterable
from functools import cached_property
from importlib.resources import files
from typing import Any

from waypost.api.call import Call
from waypost.api.docs_page import docs_page
from waypost.api.openapi import openapi_document
from waypost.api.operations import Access, Answer, Operation, Table
from waypost.api.reply import Headers, Reply, encode_json

HTML = b"text/html; charset=utf-8"
CSS = b"text/css; charset=utf-8"
# The page holds one style sheet of ours and nothing else, and no other page may frame it.
CONTENT_SECURITY_POLICY: Headers = (
    (b"content-security-policy", b"default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)


class Documentation:
    """Describes `operations` and itself. Both documents are made when they are first asked for, and kept."""

    def __init__(self, operations: Iterable[Operation], public_url: str) -> None:
        self._described = tuple(operations)
        self._public_url = public_url
        self.table = table = Table("About this API")
        table.add(
            "GET",
            "/schema/openapi.json",
            access=Access.PUBLIC,
            summary="This document, for tools",
            answers=Answer(status=200, type=dict[str, Any], description="An OpenAPI 3.1 document."),
        )(self.get_openapi)
        table.add(
            "GET",
            "/docs",
            access=Access.PUBLIC,
            summary="This document, to read",
            answers=Answer(status=200, description="A page.", media_type="text/html"),
        )(self.get_docs)
        table.add(
            "GET",
            "/docs/docs.css",
            access=Access.PUBLIC,
            summary="The looks of the page",
            answers=Answer(status=200, description="A style sheet.", media_type="text/css"),
        )(self.get_docs_css)

    async def get_openapi(self, call: Call) -> Reply:
        """The whole API as OpenAPI 3.1."""
        return Reply(200, self._openapi_json)

    async def get_docs(self, call: Call) -> Reply:
        """The whole API as one page. It needs no script and loads nothing from another host."""
        return Reply(200, self._html, CONTENT_SECURITY_POLICY, HTML)

    async def get_docs_css(self, call: Call) -> Reply:
        """The style sheet of the page."""
        return Reply(200, self._css, content_type=CSS)

    @cached_property
    def document(self) -> dict[str, Any]:
        """The OpenAPI document as plain data."""
        return openapi_document((*self._described, *self.table.operations), self._public_url)

    @cached_property
    def _openapi_json(self) -> bytes:
        return encode_json(self.document)

    @cached_property
    def _html(self) -> bytes:
        return docs_page(self.document).encode()

    @cached_property
    def _css(self) -> bytes:
        return (files("waypost.api") / "pages" / "docs.css").read_bytes()
