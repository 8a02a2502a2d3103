"""Passkeys in a real browser, with an authenticator that the browser plays."""

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from dashboard.browser import IN_BROWSER, Browser

pytestmark = IN_BROWSER

PASSWORD = "seven geese cross the fjord"


@pytest.fixture
def window(browser: Browser) -> BrowserContext:
    """A window at localhost: passkeys are bound to a name, and an address is none."""
    url = browser.world.url.replace("127.0.0.1", "localhost")
    return browser.chromium.new_context(base_url=url, locale="en-GB")


def with_authenticator(page: Page, *, verifies: bool = True) -> None:
    """Give the page a device that makes passkeys; `verifies`: it asks for a finger, and gets one."""
    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": verifies,
        "isUserVerified": verifies,
        "automaticPresenceSimulation": True,
    }
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def test_a_passkey_is_added_and_signs_in(browser: Browser, window: BrowserContext) -> None:
    link = browser.world.call("POST", "/v1/accounts/default/sign-in-links", {})["url"]
    page = window.new_page()
    with_authenticator(page)
    page.goto(link.partition(str(browser.world.service.port))[2])
    page.get_by_label("E-mail").fill("passkey@fossvik.example")
    page.get_by_label("Your name").fill("Pála Kristjánsdóttir")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    page.wait_for_url("**/")
    page.goto("/you")
    page.get_by_label("Name of the device").fill("Laptop")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_text("Laptop")).to_be_visible()
    page.evaluate("document.querySelector('form[action=\"/sign-out\"]').submit()")
    page.wait_for_url("**/sign-in")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/")
    page.goto("/you")
    expect(page.get_by_role("heading", name="Pála Kristjánsdóttir")).to_be_visible()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("Laptop")).to_have_count(0)
    window.close()


def test_a_passkey_that_nobody_knows_signs_nobody_in(browser: Browser, window: BrowserContext) -> None:
    page = window.new_page()
    with_authenticator(page)
    page.goto("/sign-in")
    made = """async () => { const key = new Uint8Array(32);
        await navigator.credentials.create({ publicKey: { challenge: key, rp: { name: "Waypost", id: "localhost" },
          user: { id: key, name: "eve", displayName: "Eve" }, pubKeyCredParams: [{ type: "public-key", alg: -7 }],
          authenticatorSelection: { residentKey: "required", userVerification: "required" } } }); }"""
    page.evaluate(made)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_text("The passkey was not taken.")).to_be_visible()
    assert page.url.endswith("/sign-in")
    window.close()
