"""The pages say what the code says, fit together, and ask nobody for anything."""

import re
import runpy
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from docs.builders import ROOT

GENERATOR = runpy.run_path(str(ROOT / "docs" / "generate.py"))


@pytest.mark.parametrize("name", GENERATOR["PAGES"])
def test_a_generated_page_is_up_to_date(name: str) -> None:
    committed = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert committed == GENERATOR["PAGES"][name](), "run: python docs/generate.py"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages. Building is strict: a broken link or a page outside the navigation fails it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return folder


class _Loads(HTMLParser):
    """Collects what a browser would fetch by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
            self.found.append(given.get("href", ""))
        self.found.extend(given[name] for name in ("src", "srcset", "poster", "data") if name in given)


def test_no_page_asks_another_host_for_anything(site: Path) -> None:
    outside = {}
    for page in site.rglob("*.html"):
        loads = _Loads()
        loads.feed(page.read_text(encoding="utf-8"))
        if wrong := [url for url in loads.found if re.match(r"(https?:)?//", url)]:
            outside[page.name] = wrong
    assert outside == {}


def test_no_stylesheet_asks_another_host_for_anything(site: Path) -> None:
    sheets = [sheet.read_text(encoding="utf-8") for sheet in site.rglob("*.css")]
    assert sheets
    assert [url for sheet in sheets for url in re.findall(r"url\([\"']?(https?:)?//", sheet)] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_the_links_between_the_files_of_the_repository_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text(encoding="utf-8"))
    links += re.findall(r"`(docs/[^`]+\.md)`", (ROOT / page).read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []
