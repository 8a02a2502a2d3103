"""Every page in a real browser: readable in both themes and on a phone, light, and asking nobody else for anything."""

import pytest

from dashboard.browser import IN_BROWSER, Browser, look
from dashboard.pages_seen import PAGES, Seen

pytestmark = IN_BROWSER


@pytest.mark.parametrize("seen", PAGES, ids=lambda seen: seen.name)
def test_page_has_no_violation_and_fits_a_phone(browser: Browser, seen: Seen) -> None:
    path = seen.path.format_map(vars(browser.world))
    page = browser.open(path, signed_in=seen.signed_in)
    assert page.evaluate("() => performance.getEntriesByType('navigation')[0].responseStatus") == seen.status
    page.locator(seen.ready).first.wait_for(state="attached")
    look(page, seen.name)


def test_page_is_read_without_script(browser: Browser) -> None:
    page = browser.open("/patterns", javascript=False)
    assert page.locator("[data-copy]").first.is_hidden()  # it would do nothing
    assert page.get_by_text("const event = verify").is_visible()  # both tabs stand below each other
    assert page.locator(".countdown-words").first.inner_text().startswith("at ")
