"""The portal: a link that works once, a session of its own, and a frame that only the account's own TMS may hold."""

import pytest

from dashboard.conftest import Site
from dashboard.signing import a_session, an_account
from dashboard.visitor import Visitor
from waypost.dashboard.accent import DARK_GROUNDS, LIGHT_GROUNDS, contrast, dark, light
from waypost.dashboard.framing import policy_for
from waypost.log.sessions import PortalLook

PORTAL = "__Host-waypost_portal"
START = "/settings/integrations/webhooks"
LOOK = {
    "origins": ["https://tms.example", "http://localhost:9000"],
    "accent": "#ffee00",
    "logo_url": "https://cdn.tms.example/logo.png",
}


async def a_portal_link(site: Site, **wanted: object) -> str:
    """Give the path of a portal link of the account fossvik."""
    await an_account(site.log, "fossvik")
    body = {"role": "manager", "user": {"id": "u-7", "name": "Jonas Tamm"}, **wanted}
    made = (await site.api.call("POST", "/v1/accounts/fossvik/portal-links", body)).json()
    return str(made["url"].removeprefix("https://waypost.test"))


async def let_in(site: Site, **wanted: object) -> Visitor:
    """Give the browser of a portal's user."""
    visitor = site.stranger()
    assert (await visitor.get(await a_portal_link(site, **wanted), sec_fetch_site="cross-site")).status == 303
    return visitor


async def test_a_portal_link_leads_into_the_pages_of_its_account(site: Site) -> None:
    visitor, path = site.stranger(), await a_portal_link(site)
    reply = await visitor.get(path, sec_fetch_site="cross-site", sec_fetch_dest="iframe")
    assert (reply.status, reply.headers["location"]) == (303, START)
    page = await visitor.get(START)
    assert page.status == 200
    assert b"<aside" not in page.body  # the embedded pages have no sidebar


async def test_the_portals_cookie_is_kept_apart_for_each_site_that_embeds_it(site: Site) -> None:
    visitor = await let_in(site, expires_in_seconds=600)
    (line,) = [line for line in visitor.said if line.startswith(f"{PORTAL}=")]
    parts = {part.strip().lower() for part in line.split(";")[1:]}
    assert {"secure", "httponly", "samesite=none", "partitioned", "path=/"} <= parts
    (age,) = [int(part.partition("=")[2]) for part in parts if part.startswith("max-age")]
    assert 590 <= age <= 600
    assert "__Host-waypost_session" not in visitor.cookies


async def test_a_portal_link_works_once_whoever_else_has_it(site: Site) -> None:
    path = await a_portal_link(site)
    first, second = site.stranger(), site.stranger()
    assert (await first.get(path)).status == 303
    for visitor in (first, second):
        assert (await visitor.get(path)).status == 404
    assert PORTAL not in second.cookies
    assert (await first.get(START)).status == 200


async def test_a_portal_link_that_is_too_old_is_as_an_unknown_one(site: Site) -> None:
    path = await a_portal_link(site, expires_in_seconds=1)
    site.clock.ahead_wall_s = 2
    visitor = site.stranger()
    old, unknown = await visitor.get(path), await visitor.get("/portal/unknown")
    assert (old.status, old.body) == (404, unknown.body)


async def test_the_session_of_a_portal_ends_when_the_link_said(site: Site) -> None:
    visitor = await let_in(site, expires_in_seconds=600)
    site.clock.ahead_wall_s = 599
    assert (await visitor.get(START)).status == 200
    site.clock.ahead_wall_s = 601
    assert (await visitor.get(START)).status == 303


async def test_the_portals_user_stands_in_the_record_by_the_name_of_the_tms(site: Site) -> None:
    visitor = await let_in(site)
    await visitor.post("/sign-out", page=START)
    listed = (await site.api.call("GET", "/v1/accounts/fossvik/audit?actor=portal:u-7")).json()["items"]
    assert [(entry["actor"], entry["action"]) for entry in listed] == [
        ("Jonas Tamm (portal)", "session.signed_out"),
        ("Jonas Tamm (portal)", "session.signed_in"),
    ]


async def test_entering_again_ends_the_session_before(site: Site) -> None:
    visitor = await let_in(site)
    before = visitor.cookies[PORTAL]
    assert (await visitor.get(await a_portal_link(site))).status == 303
    assert visitor.cookies[PORTAL] != before
    assert (await Visitor(site.app, {PORTAL: before}).get(START)).status == 303


async def test_who_is_signed_in_already_is_asked_before_another_account_opens(site: Site) -> None:
    helga, path = await site.visitor("owner"), await a_portal_link(site)
    page = await helga.get(path, sec_fetch_site="cross-site")
    assert (page.status, PORTAL in helga.cookies) == (200, False)
    assert (await helga.post(path, sec_fetch_site="cross-site")).status == 403
    assert (await helga.post(path)).status == 303
    assert b"Fossvik" not in (await helga.get("/you")).body  # a portal's user has no page of their own


async def test_a_portals_session_as_anothers_cookie_opens_nothing(site: Site) -> None:
    visitor = await let_in(site)
    opened = await a_session(site.log, "owner")
    assert (await Visitor(site.app, {"__Host-waypost_session": visitor.cookies[PORTAL]}).get(START)).status == 303
    assert (await Visitor(site.app, {PORTAL: opened.token}).get(START)).status == 303


async def test_only_the_listed_origins_may_hold_the_portals_pages_in_a_frame(site: Site) -> None:
    await an_account(site.log, "fossvik")
    await site.api.call("PATCH", "/v1/accounts/fossvik", {"portal": LOOK})
    visitor = await let_in(site)
    for path in (START, f"{START}/ep_unknown"):
        policy = (await visitor.get(path)).headers["content-security-policy"]
        assert "frame-ancestors https://tms.example http://localhost:9000" in policy
        assert "img-src 'self' data: https://cdn.tms.example;" in policy
    helga = await site.visitor("owner", "fossvik")
    for path in (START, "/sign-in", "/there/is/nothing"):
        policy = (await helga.get(path)).headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "tms.example" not in policy


async def test_without_listed_origins_nobody_holds_the_portal_in_a_frame(site: Site) -> None:
    visitor = await let_in(site)
    assert "frame-ancestors 'none'" in (await visitor.get(START)).headers["content-security-policy"]


async def test_a_used_link_is_told_in_the_frame_it_was_opened_in(site: Site) -> None:
    path = await a_portal_link(site)
    await site.api.call("PATCH", "/v1/accounts/fossvik", {"portal": LOOK})
    await site.stranger().get(path)
    reply = await site.stranger().get(path)
    assert reply.status == 404
    assert "frame-ancestors https://tms.example" in reply.headers["content-security-policy"]


@pytest.mark.parametrize(
    "logo",
    [
        "https://evil.example;script-src *",
        "https://a b/",
        "https://[::1",
        "https://*",
        "https://'self'/",
    ],
)
def test_no_stored_address_changes_the_rest_of_the_policy(logo: str) -> None:
    look = PortalLook(("https://tms.example; script-src *", "*", "https://*.example", "data:"), None, logo)
    policy = policy_for(look)
    assert policy == policy_for(PortalLook((), None, None))


async def test_the_accent_comes_as_a_style_sheet_of_our_own_in_the_portal_alone(site: Site) -> None:
    await an_account(site.log, "fossvik")
    await site.api.call("PATCH", "/v1/accounts/fossvik", {"portal": LOOK})
    visitor = await let_in(site)
    assert b'href="/theme.css' in (await visitor.get(START)).body
    sheet = await visitor.get("/theme.css")
    assert sheet.headers["content-type"].startswith("text/css")
    assert b"--accent:" in sheet.body
    assert b"style=" not in (await visitor.get(START)).body
    helga = await site.visitor("owner", "fossvik")
    assert b"/theme.css" not in (await helga.get(START)).body


@pytest.mark.parametrize(
    "colour", ["#ffee00", "#000000", "#ffffff", "#155e8a", "#ff6600", "#808080", "#00ff00", "#0000ff"]
)
def test_any_accent_can_be_read_on_our_grounds_and_words_on_it(colour: str) -> None:
    for accent, grounds in ((light(colour), LIGHT_GROUNDS), (dark(colour), DARK_GROUNDS)):
        assert min(contrast(accent.accent, ground) for ground in (*grounds, accent.soft)) >= 4.5
        assert contrast(accent.on_accent, accent.accent) >= 4.5


async def test_a_portals_setup_role_can_only_add_an_endpoint(site: Site) -> None:
    visitor, path = site.stranger(), await a_portal_link(site, role="setup")
    assert (await visitor.get(path)).headers["location"] == f"{START}/new"
    assert (await visitor.get(f"{START}/new")).status == 200
    assert (await visitor.get(START)).status == 403
