"""Chromium for tests: pages are opened in it, looked at in both themes and two widths, and checked on the way.

What is wrong with a page shows by itself: a violation of its Content-Security-Policy, an error in the console, a
request to another host, and more than 200 KB of it all fail the test that opened it.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, Request, Response, expect, sync_playwright

from dashboard.world import World
from service_process import OPERATOR_TOKEN

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "build" / "screenshots"
WIDTHS = (1440, 390)
SCHEMES: Sequence[Literal["light", "dark"]] = ("light", "dark")
JUDGED = ((1440, "light"), (390, "dark"))  # by axe: each theme's colours and each width's layout once
PAGE_BYTES_MAX = 200_000
SLOW_MS = 60_000  # what a page may take on a busy machine: no test asks how fast it is

expect.set_options(timeout=SLOW_MS)

# Tests of one browser stay on one worker, so that there is one chromium.
IN_BROWSER = pytest.mark.xdist_group("browser")


@contextmanager
def chromium_runs() -> Iterator[Chromium]:
    """Run Debian's chromium, or the one that WAYPOST_TEST_CHROMIUM names."""
    path = os.environ.get("WAYPOST_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "These tests need chromium; on Debian: apt-get install chromium"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@dataclass
class Watched:
    """What happened on a page beside what it shows."""

    host: str
    errors: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)

    def watch(self, page: Page) -> None:
        """Listen to all that goes wrong on a page."""
        page.on("console", lambda message: self._said(message.type, message.text))
        page.on("pageerror", lambda error: self.errors.append(f"script: {error}"))
        page.on("request", self._asked)
        page.on("response", self._answered)

    def _said(self, kind: str, text: str) -> None:
        # The browser itself reports each answer of 400 and more, which forms with wrong input have.
        if kind in ("error", "warning") and "the server responded with a status of 4" not in text:
            self.errors.append(f"console: {text}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self.host}/", "data:", "blob:")):
            self.errors.append(f"another host: {request.url}")

    def _answered(self, response: Response) -> None:
        if response.request.is_navigation_request():
            self.sizes.clear()
        length = response.headers.get("content-length")
        if length:
            self.sizes[response.url] = int(length)


@dataclass
class Browser:
    """A chromium beside a service. Every page that it opens is watched."""

    chromium: Chromium
    world: World
    _signed_in: Any = None

    def open(
        self, path: str, *, width: int = 1440, scheme: Literal["light", "dark"] = "light", javascript: bool = True,
        signed_in: bool = True,
    ) -> Page:  # fmt: skip
        """Open a page in a window of its own, as the operator, unless told otherwise."""
        state = self._state() if signed_in else None
        context = self._context(storage_state=state, java_script_enabled=javascript, color_scheme=scheme)
        context.set_default_timeout(SLOW_MS)
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": 900})
        watched = Watched(self.world.url)
        watched.watch(page)
        _WATCHED[page] = watched
        answer = page.goto(path)
        assert answer is not None, path
        return page

    def _context(self, **options: Any) -> BrowserContext:
        return self.chromium.new_context(
            base_url=self.world.url, locale="en-GB", timezone_id="Atlantic/Reykjavik", **options
        )

    def _state(self) -> Any:
        """The cookies of the operator, who signs in once a module."""
        if self._signed_in is None:
            context = self._context()
            page = context.new_page()
            page.goto("/sign-in?with=operator")
            page.get_by_label("Operator token").fill(OPERATOR_TOKEN)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url(lambda url: "/sign-in" not in url)
            self._signed_in = context.storage_state()
            context.close()
        return self._signed_in


_WATCHED: dict[Page, Watched] = {}


def problems_of(page: Page) -> list[str]:
    """Give what went wrong on a page up to now."""
    return _WATCHED[page].errors


def look(page: Page, name: str, *, pictures: bool = True, close: bool = True, weighs: bool = True) -> None:
    """Look at a page as it is now: pictures in both themes and widths, and everything that must hold of each page.

    The pictures are `build/screenshots/NAME-THEME-WIDTH.png`. Fails for what axe finds, for what went wrong since the
    page was opened, for more than 200 KB, and for a page that scrolls sideways.
    """
    page.wait_for_load_state("load")
    page.evaluate("() => document.fonts.ready")
    found: list[str] = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            if (width, scheme) in JUDGED:
                found += [f"{name} {scheme} {width}: {problem}" for problem in _axe(page)]
            if pictures:
                PICTURES.mkdir(parents=True, exist_ok=True)
                page.screenshot(path=PICTURES / f"{name}-{scheme}-{width}.png", full_page=True)
        wide = page.evaluate("() => document.documentElement.scrollWidth")
        if wide > width:
            found.append(f"{name} {width}: is {wide} wide")
    found += problems_of(page)
    weight = page_weight(page)
    if weighs and weight > PAGE_BYTES_MAX:  # a page that was worked on has fetched parts anew
        found.append(f"{name}: {weight:,} bytes: {_WATCHED[page].sizes}")
    if close:
        page.context.close()
    assert not found, "\n".join(found)


def page_weight(page: Page) -> int:
    """Give the bytes that came for a page: itself, stylesheets, scripts, icons."""
    return sum(_WATCHED[page].sizes.values())


def _axe(page: Page) -> list[str]:
    """What axe finds wrong, a line for each rule."""
    page.evaluate(_axe_source())
    report = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {one['help']}: " + " | ".join(str(node["target"]) for node in one["nodes"][:4])
        for one in report["violations"]
    ]


@cache
def _axe_source() -> str:
    """axe-core as package-lock.json pins it, fetched at the first use."""
    file = ROOT / "node_modules" / "axe-core" / "axe.min.js"
    if not file.exists():
        npm = shutil.which("npm")
        assert npm, "These tests need npm, for axe-core; on Debian: apt-get install npm"
        subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=ROOT, check=True)
    return file.read_text(encoding="utf-8")
