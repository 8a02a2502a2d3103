"""The way of a logistics manager, in a browser: from the first endpoint to everything having arrived."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import expect

from dashboard.browser import IN_BROWSER, Browser, look
from service_process import wait_for

pytestmark = IN_BROWSER

NEW = "/settings/integrations/webhooks/new"


class Shop:
    """A receiver that takes everything until it is broken."""

    def __init__(self) -> None:
        self.status = 200
        self.ids: list[str] = []
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                if shop.status == 200:
                    shop.ids.append(self.headers["webhook-id"])
                self.send_response(shop.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as its class has it
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/in/shipments"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.server.shutdown()
    shop.server.server_close()


def test_from_the_first_endpoint_to_everything_having_arrived(browser: Browser, shop: Shop) -> None:
    world = browser.world
    page = browser.open(NEW)

    # The address is checked as it is typed.
    page.get_by_label("Address (URL)").fill(shop.url)
    expect(page.locator("#found")).to_contain_text("Reachable")
    expect(page.locator("#found")).to_contain_text("Not encrypted")
    page.get_by_label("Name", exact=False).first.fill("Yard Pärnu")

    page.get_by_text("Login, extra headers, time limit, batches").click()
    page.get_by_label("Waits between attempts").fill("1 h, 2 h")  # nothing is tried again before it is asked for

    # Only collections and deliveries, of the many things that could be told.
    for branch in ("New bookings", "Changes to details", "Delays and problems", "ETA moved", "Documents"):
        page.get_by_label(f"All of {branch}").uncheck()
    page.get_by_label("All of Status updates").uncheck()
    page.locator("summary", has_text="Status updates").click()
    page.locator("input[value='shipment.status.collected']").check()
    page.locator("input[value='shipment.status.delivered']").check()
    expect(page.locator("#example")).to_contain_text("shipment.status.delivered")

    # A test, and the secret with it.
    page.get_by_role("button", name="Send test").click()
    expect(page.locator(".result")).to_contain_text("Your server answered 200")
    expect(page.get_by_label("Signing secret")).to_have_value(re.compile("^whsec_"))
    assert [one.startswith("evt_test_") for one in shop.ids] == [True]
    expect(page.locator("#found")).to_contain_text("New")  # it is not taken for another that has this address
    look(page, "path-1-tested", close=False, weighs=False)
    page.get_by_role("button", name="Start sending").click()
    expect(page.locator("h1")).to_have_text("Yard Pärnu")
    expect(page.locator(".badges")).to_contain_text("Active")
    endpoint = page.url.rpartition("/")[2]
    world.endpoints["Yard Pärnu"] = endpoint

    # A shipment moves, and its delivery appears without a reload.
    world.book("SO-50001")
    world.scan("SO-50001", "collected", "2026-11-24T08:05:00Z")
    expect(page.locator("#deliveries")).to_contain_text("SO-50001")
    expect(page.locator("#deliveries tbody tr")).to_have_count(1)
    expect(page.locator("#deliveries tbody tr").first).to_contain_text("Delivered")

    # The receiver breaks: the delivery says why, and when it is tried again.
    shop.status = 401
    world.scan("SO-50001", "delivered", "2026-11-24T16:05:00Z")
    retried = page.locator("#deliveries tbody tr", has_text="Retrying")
    retried.get_by_role("link").first.click()
    expect(page.locator("h1")).to_have_text(
        "Your server answered 401: it refuses our request. Check its authentication."
    )
    expect(page.locator(".verdict")).to_contain_text("Attempt 2")
    look(page, "path-2-refused", close=False)

    # Nothing is lost while it is paused, and it goes out in order afterwards.
    page.goto(f"/settings/integrations/webhooks/{endpoint}")
    page.get_by_role("button", name="Pause").click()
    page.locator("dialog[open]").get_by_role("button", name="Pause").click()
    expect(page.locator(".badges")).to_contain_text("Paused")
    world.book("SO-50002")
    world.scan("SO-50002", "collected", "2026-11-24T09:05:00Z")
    page.reload()
    expect(page.locator(".banner")).to_contain_text("2 events wait")
    shop.status = 200
    page.locator(".page-head").get_by_role("button", name="Resume").click()
    expect(page.locator(".badges")).to_contain_text("Active")
    retried = page.locator("#deliveries tbody tr", has_text="Retrying")
    retried.get_by_role("link").first.click()
    page.get_by_role("button", name="Try now").click()
    expect(page.locator(".verdict")).to_contain_text("It was delivered at attempt 2.")

    wait_for(lambda: len([one for one in shop.ids if not one.startswith("evt_test_")]) == 3, "everything to arrive")
    assert world.call("GET", f"/v1/endpoints/{endpoint}")["waiting"] == 0
    look(page, "path-3-arrived")


def test_given_up_set_up_leaves_no_endpoint(browser: Browser, shop: Shop) -> None:
    page = browser.open(NEW)
    page.get_by_label("Address (URL)").fill(shop.url)
    page.get_by_role("button", name="Send test").click()
    expect(page.locator(".result")).to_contain_text("Your server answered 200")
    made = {one["url"]: one["state"] for one in browser.world.call("GET", "/v1/endpoints")["items"]}
    assert made[shop.url] == "paused"
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("h1")).to_have_text("Webhooks")
    assert shop.url not in {one["url"] for one in browser.world.call("GET", "/v1/endpoints")["items"]}
    page.context.close()
