"""What the script does for a page: live parts that never jump, keys, tabs, menus, dialogs, a lost connection."""

import re
import urllib.parse
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from dashboard.browser import IN_BROWSER, Browser, look, problems_of

pytestmark = IN_BROWSER

WEBHOOKS = "/settings/integrations/webhooks"


def test_faulty_page_is_refused_by_the_look_at_it(browser: Browser) -> None:
    page = browser.open("/patterns")
    page.evaluate("() => document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=\"/x.png\">')")
    with pytest.raises(AssertionError, match="image-alt"):
        look(page, "faulty", pictures=False)


def test_inline_script_and_style_do_nothing_and_are_reported(browser: Browser) -> None:
    page = browser.open("/patterns")
    page.evaluate("() => document.body.setAttribute('onclick', 'document.title = \"run\"')")
    page.locator("main").click(position={"x": 2, "y": 2})
    assert page.title() != "run"
    assert any("Content Security Policy" in problem for problem in problems_of(page))
    page.context.close()


def test_request_to_another_host_is_reported(browser: Browser) -> None:
    page = browser.open("/patterns")
    page.evaluate("() => fetch('http://127.0.0.1:9/').catch(() => null)")
    assert any(problem.startswith("another host") for problem in problems_of(page)) or any(
        "Content Security Policy" in problem for problem in problems_of(page)
    )
    page.context.close()


def test_time_zone_of_the_viewer_is_known_to_the_next_page(browser: Browser) -> None:
    page = browser.open(WEBHOOKS)
    page.reload()
    expect(page.locator(".side-zone")).to_have_text("Times in Reykjavik, GMT")
    page.context.close()


def test_slash_searches_and_question_mark_lists_the_keys(browser: Browser) -> None:
    page = browser.open(WEBHOOKS)
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("Customer portal")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/webhooks/ep_"))
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.context.close()


def test_single_keys_can_be_switched_off(browser: Browser) -> None:
    page = browser.open(WEBHOOKS)
    page.keyboard.press("?")
    page.get_by_label("Single keys do something in this browser").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.locator("#search")).not_to_be_focused()
    page.reload()
    page.keyboard.press("/")
    expect(page.locator("#search")).not_to_be_focused()
    page.context.close()


def test_j_and_k_move_through_the_rows_and_enter_opens_one(browser: Browser) -> None:
    page = browser.open(WEBHOOKS)
    rows = page.locator("main tr.opens")
    page.keyboard.press("j")
    expect(rows.nth(0).locator("a.name")).to_be_focused()
    page.keyboard.press("j")
    expect(rows.nth(1).locator("a.name")).to_be_focused()
    page.keyboard.press("k")
    expect(rows.nth(0).locator("a.name")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/webhooks/ep_"))
    page.context.close()


def test_skip_link_is_first_and_leads_past_the_sidebar(browser: Browser) -> None:
    page = browser.open(WEBHOOKS)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.context.close()


def test_sidebar_opens_as_a_menu_on_a_phone(browser: Browser) -> None:
    page = browser.open(WEBHOOKS, width=390)
    overview = page.get_by_role("link", name="Overview", exact=True)
    expect(overview).to_be_hidden()
    page.get_by_role("button", name="Menu").click()
    expect(overview).to_be_visible()
    look(page, "menu-phone", pictures=False, close=False)
    page.keyboard.press("Escape")
    page.context.close()


def test_page_in_a_frame_fits_a_phone_in_a_colour_of_its_own(browser: Browser) -> None:
    browser.world.call("PATCH", "/v1/accounts/default", {"portal": {"accent": "#7a1fa2"}})
    link = browser.world.call("POST", "/v1/accounts/default/portal-links", {"user": {"id": "7", "name": "Jonas Tamm"}})
    page = browser.open("/portal/" + link["url"].rpartition("/")[2], signed_in=False)
    accent = page.evaluate("() => getComputedStyle(document.documentElement).getPropertyValue('--accent').trim()")
    assert accent == "#7a1fa2"
    look(page, "portal")


def test_dialog_gives_the_focus_back(browser: Browser) -> None:
    page = browser.open("/patterns")
    button = page.get_by_role("button", name="Delete endpoint…")
    button.click()
    dialog = page.get_by_role("dialog", name="Delete Customer portal?")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    expect(button).to_be_focused()
    page.context.close()


def test_menu_closes_by_escape_and_by_a_click_elsewhere(browser: Browser) -> None:
    page = browser.open("/patterns")
    chip, choice = page.locator("summary", has_text="Carrier"), page.get_by_role("link", name="Norrsund Lines")
    chip.click()
    expect(choice).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(choice).to_be_focused()
    page.keyboard.press("Escape")
    expect(choice).to_be_hidden()
    expect(chip).to_be_focused()
    chip.click()
    page.get_by_role("heading", name="Banners and toast").click()
    expect(choice).to_be_hidden()
    page.context.close()


def test_tabs_show_one_panel_and_move_by_arrows(browser: Browser) -> None:
    page = browser.open("/patterns")
    page.get_by_role("tab", name="Python").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="JavaScript")).to_be_focused()
    expect(page.get_by_role("tabpanel", name="JavaScript")).to_be_visible()
    expect(page.get_by_role("tabpanel", name="Python")).to_be_hidden()
    page.context.close()


def test_copy_button_copies_and_says_so(browser: Browser) -> None:
    page = browser.open("/patterns")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("[data-copy]").first.click()
    expect(page.locator("[data-copy]").first).to_have_text("Copied")
    assert page.evaluate("() => navigator.clipboard.readText()") == "evt_01KC1XQ2R8V3M5TJ9A7EHW4DZN"
    page.context.close()


def test_countdown_counts_down_to_the_second(browser: Browser) -> None:
    page = browser.open("/patterns")
    shown = page.locator(".countdown-words")
    expect(shown).to_have_text(re.compile(r"in 1[45]:\d\d"))
    page.evaluate(
        "() => document.querySelector('[data-countdown]').dataset.countdown"
        " = new Date(Date.now() + 6300500).toISOString()"
    )
    expect(shown).to_have_text("in 1 h 45 min")
    page.evaluate("() => document.querySelector('[data-countdown]').dataset.countdown = '2026-01-01T00:00:00Z'")
    expect(shown).to_have_text("now")
    page.context.close()


def test_what_the_page_before_said_is_shown_once(browser: Browser) -> None:
    page = browser.open(WEBHOOKS)
    said = urllib.parse.quote("14 deliveries are on their way.")
    page.context.add_cookies([{"name": "waypost_said", "value": said, "url": browser.world.url}])
    page.reload()
    expect(page.get_by_role("status").get_by_text("14 deliveries are on their way.")).to_be_visible()
    page.reload()
    expect(page.get_by_text("14 deliveries are on their way.")).to_have_count(0)
    page.context.close()


# ---- live parts ------------------------------------------------------------------------------------------------------


@dataclass
class Live:
    """A page with a live list that the test itself answers: of one row, and one more each time that the log grew."""

    page: Page
    browser: Browser
    rows: int = 1

    @classmethod
    def opened(cls, browser: Browser) -> "Live":
        page = browser.open("/search")
        live = cls(page, browser)
        page.route("**/test-list", lambda route: route.fulfill(body=live._html(), content_type="text/html"))
        # The list is asked for once more as soon as the connection stands: something may have moved before.
        with page.expect_response("**/test-list"):
            page.evaluate(
                """(html) => {
                  document.querySelector('main').insertAdjacentHTML('beforeend', html);
                  prepare(document.getElementById('list'));
                }""",
                live._html(),
            )
        page.mouse.move(1, 1)
        return live

    def grow(self) -> None:
        """Let the account's log grow, and the list with it."""
        self.rows += 1
        self.browser.world.book("SO-live", tags=[f"t{len(list(self.browser.world.service.log()))}"])

    def _html(self) -> str:
        lines = "".join(
            f'<li class="row" data-key="{at}"><a href="/search?{at}">row {at}</a></li>'
            for at in range(self.rows, 0, -1)
        )
        return (
            '<section id="list" data-live="log" hx-get="/test-list">'
            "<span data-live-mark><span data-live-word>Live</span></span>"
            '<button type="button" data-hold><span>Hold still</span></button>'
            f'<button type="button" data-show-new hidden></button><ul>{lines}</ul>'
            "<details><summary>Answer</summary>what it answered</details></section>"
        )


@pytest.fixture
def live(browser: Browser) -> Live:
    """A page with a live list, connected."""
    return Live.opened(browser)


def test_row_appears_when_the_log_grew(live: Live) -> None:
    page = live.page
    rows = page.locator("#list li")
    expect(rows).to_have_count(1)
    live.grow()
    expect(rows).to_have_count(2)
    expect(rows.first).to_have_class(re.compile("is-new"))
    expect(rows.last).not_to_have_class(re.compile("is-new"))
    page.context.close()


def test_rows_under_the_pointer_stay_and_new_ones_are_counted(live: Live) -> None:
    page = live.page
    rows = page.locator("#list li")
    rows.first.hover()
    live.grow()
    expect(page.get_by_role("button", name="1 new")).to_be_visible()
    expect(rows).to_have_count(1)
    page.mouse.move(1, 1)
    expect(rows).to_have_count(2)
    page.context.close()


def test_row_with_the_focus_stays_until_the_new_ones_are_asked_for(live: Live) -> None:
    page = live.page
    rows = page.locator("#list li")
    rows.first.get_by_role("link").focus()
    live.grow()
    new = page.get_by_role("button", name="1 new")
    expect(new).to_be_visible()
    expect(rows).to_have_count(1)
    new.click()
    expect(rows).to_have_count(2)
    page.context.close()


def test_what_was_opened_stays_open_when_a_part_is_fetched_anew(live: Live) -> None:
    page = live.page
    page.locator("#list summary").click()
    page.mouse.move(1, 1)
    live.grow()
    expect(page.locator("#list li")).to_have_count(2)
    expect(page.get_by_text("what it answered")).to_be_visible()
    page.context.close()


def test_hold_still_stops_the_rows_until_it_is_pressed_again(live: Live) -> None:
    page = live.page
    rows = page.locator("#list li")
    page.get_by_role("button", name="Hold still").click()
    expect(page.locator("[data-live-word]")).to_have_text("Held still")
    with page.expect_event("console", lambda message: message.text == "told"):
        page.evaluate("() => connection.source.addEventListener('changed', () => console.info('told'), {once: true})")
        live.grow()
    expect(rows).to_have_count(1)
    page.get_by_role("button", name="Go on").click()
    page.mouse.move(1, 1)
    expect(rows).to_have_count(2)
    page.context.close()


def test_lost_connection_is_shown_and_recovers(live: Live) -> None:
    page = live.page
    page.route("**/live", lambda route: route.abort())
    page.evaluate("() => connection.open()")
    expect(page.locator("[data-lost]")).to_contain_text("No connection. What you see is from")
    page.unroute("**/live")
    expect(page.locator("[data-lost]")).to_be_hidden()
    expect(page.get_by_text("Connected again.")).to_be_visible()
    page.context.close()


def test_list_of_deliveries_grows_by_itself_and_counts_what_it_holds_back(browser: Browser) -> None:
    page = browser.open(f"{WEBHOOKS}/{browser.world.endpoints['ERP production']}")
    rows = page.locator("#deliveries tbody tr")
    first, second = rows.filter(has_text="SO-60001"), rows.filter(has_text="SO-60002")
    page.mouse.move(1, 1)
    browser.world.book("SO-60001")
    expect(first).to_have_count(2)  # it was created, and booked
    expect(first.first).to_have_class(re.compile("is-new"))
    rows.first.hover()
    browser.world.book("SO-60002")
    new = page.get_by_role("button", name=re.compile(r"^[1-9] new$"))
    expect(new).to_be_visible()
    expect(second).to_have_count(0)
    new.click()
    expect(second.first).to_be_visible()
    page.context.close()
