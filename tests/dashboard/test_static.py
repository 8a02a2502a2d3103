"""The files that pages are made with: kept by browsers for good, each there that a page names, none that is not."""

import gzip
import json
import re
from pathlib import Path

import pytest

from dashboard.conftest import Site
from waypost.dashboard.assets import asset_url, assets
from waypost.dashboard.rendering import HEADERS

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "src" / "waypost" / "dashboard"
TEMPLATES = sorted((DASHBOARD / "templates").glob("*.html"))


async def test_file_asked_for_by_its_version_is_kept_for_good(site: Site) -> None:
    reply = await site.stranger().get(asset_url("waypost.css"))
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/css; charset=utf-8"
    assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert reply.body == (DASHBOARD / "static" / "waypost.css").read_bytes()


async def test_file_of_another_version_is_asked_for_anew(site: Site) -> None:
    reply = await site.stranger().get("/static/waypost.css?v=000000000000")
    assert (reply.status, reply.headers["cache-control"]) == (200, "no-cache")
    again = await site.stranger().get("/static/waypost.css", if_none_match=reply.headers["etag"])
    assert (again.status, again.body) == (304, b"")


async def test_file_comes_packed_to_a_browser_that_unpacks(site: Site) -> None:
    reply = await site.stranger().get("/static/waypost.js", accept_encoding="gzip, br")
    assert reply.headers["content-encoding"] == "gzip"
    assert gzip.decompress(reply.body) == assets()["waypost.js"].content


@pytest.mark.parametrize("path", ["no-such.css", "../app.py", "..%2Fapp.py", "%2e%2e/app.py", "vendor/.made-of", ""])
async def test_nothing_else_is_given(site: Site, path: str) -> None:
    reply = await site.stranger().get(f"/static/{path}")
    assert reply.status == 404


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_page_names_only_files_and_icons_that_there_are(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    for name in re.findall(r"asset_url\(\"([^\"]+)\"\)", text):
        assert name in assets(), name
    drawn = assets()["icons.svg"].content.decode()
    # In parts.html the name is an argument, which the pages that use it give.
    for name in re.findall(r"(?:\bicon=|\bicon\(|icon_button\()\"([a-z]+)\"", text):
        assert f'id="i-{name}"' in drawn, name


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_page_holds_no_script_no_style_and_no_address_of_others(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|\shx-on", text)
    assert not re.search(r"(?:src|href|action)=\"https?://", text)


def test_policy_of_pages_allows_nothing_inline() -> None:
    policy = HEADERS["content-security-policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'")


def test_scripts_of_others_are_those_of_the_lock_file() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    version = lock["packages"]["node_modules/htmx.org"]["version"]
    assert f'version:"{version}"' in assets()["vendor/htmx.min.js"].content.decode()
    assert f"htmx.org {version}, 0BSD" in assets()["vendor/LICENSES.txt"].content.decode()
