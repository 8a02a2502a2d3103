"""Pages in the other languages, in a real browser: longer words fit too."""

import pytest

from dashboard.browser import IN_BROWSER, Browser, look
from waypost.dashboard.words import words_of

pytestmark = IN_BROWSER

WEBHOOKS = "/settings/integrations/webhooks"
# Each with a text that stands on it.
PAGES = {
    "overview": ("/", "Overview"),
    "endpoint": (WEBHOOKS + "/{endpoints[Customer portal]}", "Attempts that failed"),
    "delivery": (WEBHOOKS + "/{endpoints[ERP production]}/deliveries/{events[shipment.status.collected]}", "Attempts"),
    "add-endpoint": (f"{WEBHOOKS}/new", "Where should updates go?"),
    "shipment": ("/shipments/{shipments[SO-48213]}", "Journey"),
}


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("language", ["is", "et"])
def test_page_fits_a_phone_in_each_language(browser: Browser, language: str, name: str) -> None:
    path, text = PAGES[name]
    page = browser.open("/sign-in", signed_in=True)
    page.context.add_cookies([{"name": "waypost_language", "value": language, "url": browser.world.url}])
    page.goto(path.format_map(vars(browser.world)))
    page.locator("main h1").first.wait_for(state="attached")
    assert page.locator("html").get_attribute("lang") == language
    assert words_of(language)(text) in (page.locator("body").text_content() or "")
    look(page, f"{name}-{language}", weighs=False)
