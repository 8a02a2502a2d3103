"""A browser without a screen: it keeps cookies, posts forms as pages carry them, and follows nothing by itself."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

from api.asgi_client import Client, Reply
from dashboard.signing import cookie_of
from waypost.api.app import Application
from waypost.log.sessions import Opened


@dataclass
class Visitor:
    """Somebody with a browser. `cookies` are by name; `headers` go with every request."""

    app: Application
    cookies: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    """Every Set-Cookie that came."""
    csrf: str = ""

    @classmethod
    def with_session(cls, app: Application, opened: Opened, *, is_portal: bool = False) -> "Visitor":
        """Give a browser that holds this session."""
        name, _, value = cookie_of(opened, is_portal=is_portal).partition("=")
        return cls(app, {name: value})

    async def get(self, target: str, **headers: str) -> Reply:
        """Look at a page."""
        return await self._call("GET", target, None, headers)

    async def post(
        self, target: str, form: dict[str, Any] | None = None, *, page: str | None = None, **headers: str
    ) -> Reply:
        """Send a form with the token of the page looked at last, or of `page`, which is looked at before."""
        if page is not None:
            await self.get(page)
        body = urlencode({"csrf": self.csrf, **(form or {})}, doseq=True).encode()
        return await self._call("POST", target, body, headers)

    async def _call(self, method: str, target: str, body: bytes | None, headers: dict[str, str]) -> Reply:
        given = {"sec-fetch-site": "same-origin", **self.headers}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            given["content-type"] = "application/x-www-form-urlencoded"
            given["content-length"] = str(len(body))
        if self.cookies:
            given["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        client = Client(self.app, None)
        async with client.stream(method, target, body=body, headers=given) as (status, answer, chunks):
            content = b"".join([chunk async for chunk in chunks])
        for line in answer.pop("set-cookie", "").split("\n"):
            if line:
                self._keep(line)
        reply = Reply(status, answer, content)
        if (found := re.search(rb'(?:name="csrf" value="|x-csrf-token": ")([0-9a-f]+)"', content)) is not None:
            self.csrf = found.group(1).decode()
        return reply

    def _keep(self, line: str) -> None:
        self.said.append(line)
        name, _, value = line.partition(";")[0].partition("=")
        if "max-age=0" in line.lower().replace(" ", ""):
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = value.strip('"')


class _Fields(HTMLParser):
    """What a browser would send of a page's forms if nobody changed anything."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, list[str]] = {}
        self._select = ""
        self._text: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name, value = given.get("name") or "", given.get("value") or ""
        if tag == "input" and name:
            ticks = given.get("type") in ("checkbox", "radio")
            if not ticks or "checked" in given:
                self.found.setdefault(name, []).append(value)
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and ("selected" in given or self._select not in self.found):
            self.found[self._select] = [value]
        elif tag == "textarea" and name:
            self._text = name
            self.found[name] = [""]

    def handle_endtag(self, tag: str) -> None:
        self._select = "" if tag == "select" else self._select
        self._text = None if tag == "textarea" else self._text

    def handle_data(self, data: str) -> None:
        if self._text:
            self.found[self._text][0] += data.removeprefix("\n")


def fields_of(reply: Reply) -> dict[str, list[str]]:
    """Give the fields of a page's forms as they stand, without the token."""
    parser = _Fields()
    parser.feed(reply.body.decode())
    parser.found.pop("csrf", None)
    return parser.found
