"""The portal in a real browser: the example's TMS shows it, a stranger's page does not."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import expect

from dashboard.browser import IN_BROWSER, PICTURES, Browser
from dashboard.world import World
from service_process import OPERATOR_TOKEN

pytestmark = IN_BROWSER

EXAMPLE = Path(__file__).parents[2] / "examples" / "portal-embed" / "tms.py"


@pytest.fixture(scope="module")
def tms(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The example, running; gives its address."""
    token = tmp_path_factory.mktemp("tms") / "operator-token"
    token.write_text(OPERATOR_TOKEN, encoding="ascii")
    command = [sys.executable, str(EXAMPLE), "--waypost", world.url, "--token-file", str(token), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().rpartition(" ")[2].strip()
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


@pytest.fixture
def stranger(tms: str, world: World, tmp_path: Path) -> Iterator[str]:
    """A page of an origin that the account does not list, with a portal link in a frame."""
    made = world.call("POST", "/v1/accounts/default/portal-links", {"role": "viewer"})
    (tmp_path / "index.html").write_text(f'<title>Elsewhere</title><iframe src="{made["url"]}"></iframe>')
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Say nothing."""


def test_a_tms_shows_its_customer_the_pages_in_its_own_colour(browser: Browser, tms: str) -> None:
    context = browser.chromium.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(tms)
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="Webhooks", level=1)).to_be_visible()
    expect(frame.locator("aside")).to_have_count(0)
    frame.get_by_role("link", name="ERP production").first.click()  # the session goes on inside the frame
    expect(frame.get_by_role("heading", name="ERP production")).to_be_visible()
    accent = "getComputedStyle(document.documentElement).getPropertyValue('--accent')"
    assert page.frames[1].evaluate(accent).strip() == "#7a3e9d"
    (cookie,) = context.cookies(browser.world.url)
    assert (cookie["name"], cookie["httpOnly"], cookie["secure"]) == ("waypost_portal", True, True)
    page.screenshot(path=PICTURES / "portal-embed-light-1440.png")
    page.reload()  # another view asks for another link
    expect(frame.get_by_role("heading", name="Webhooks", level=1)).to_be_visible()
    context.close()


def test_a_page_of_another_origin_holds_nothing_in_its_frame(browser: Browser, stranger: str) -> None:
    context = browser.chromium.new_context()
    page = context.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(stranger)
    page.wait_for_load_state("networkidle")
    assert any("frame-ancestors" in text for text in refused), refused
    assert page.frame_locator("iframe").get_by_role("heading", name="Webhooks").count() == 0
    context.close()
