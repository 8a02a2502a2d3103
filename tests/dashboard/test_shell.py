"""The shell of every page: what stands in the sidebar, for whom, and what a frame in a TMS shows instead."""

import re

import pytest

from dashboard.conftest import Site
from dashboard.signing import Who

WEBHOOKS = "/settings/integrations/webhooks"
OWNERS = {f"/settings/account/{part}" for part in ("tokens", "people", "audit", "retention")}


def sidebar(page: bytes) -> list[str]:
    """Where the items of the sidebar lead."""
    found = re.search(r'<nav class="nav".*?</nav>', page.decode(), re.DOTALL)
    assert found is not None
    return re.findall(r'href="([^"]+)"', found.group())


@pytest.mark.parametrize("who", ["owner", "manager", "viewer", "operator"])
async def test_sidebar_leads_only_to_pages_that_open(site: Site, who: Who) -> None:
    visitor = await site.visitor(who)
    places = sidebar((await visitor.get("/search")).body)
    assert len(places) >= 7
    for place in places:
        reply = await visitor.get(place)
        assert reply.status == 200, (place, reply.body)


@pytest.mark.parametrize("who", ["manager", "viewer"])
async def test_what_is_the_owners_is_not_in_the_sidebar_of_others(site: Site, who: Who) -> None:
    places = sidebar((await (await site.visitor(who)).get("/search")).body)
    assert OWNERS.isdisjoint(places)
    assert set(sidebar((await (await site.visitor("owner")).get("/search")).body)) >= OWNERS


async def test_page_in_a_frame_has_no_sidebar_but_a_way_to_the_other_pages(site: Site) -> None:
    page = (await (await site.visitor("portal", "fossvik")).get(WEBHOOKS)).body.decode()
    assert 'class="side"' not in page
    assert re.search(r'<nav class="bar-nav".*href="/shipments"', page, re.DOTALL)


async def test_sidebar_counts_the_endpoints_in_trouble(site: Site) -> None:
    visitor = await site.visitor()
    assert b"nav-count" not in (await visitor.get("/search")).body
    made = (await site.api.call("POST", "/v1/endpoints", {"url": "https://erp.example/hooks"})).json()
    await site.suspend(made["id"])
    page = (await visitor.get("/search")).body.decode()
    assert re.search(r'class="nav-count">.*?\b1\b', page, re.DOTALL)


async def test_account_is_switched_only_where_there_is_another(site: Site) -> None:
    owner = await site.visitor("owner")
    assert b'action="/switch"' not in (await owner.get("/search")).body
    await site.visitor("owner", "fossvik")
    operator = await site.visitor("operator")
    page = (await operator.get("/search")).body
    assert b'action="/switch"' in page
    assert b"Fossvik" in page


async def test_page_that_is_missing_says_so_without_a_session(site: Site) -> None:
    reply = await site.stranger().get("/there/is/none")
    assert reply.status == 404
    assert reply.headers["content-type"].startswith("text/html")
    assert b"There is no page at this address." in reply.body


async def test_fault_of_ours_is_told_by_its_request_id_and_not_by_its_details(site: Site) -> None:
    visitor = await site.visitor()
    made = (await site.api.call("POST", "/v1/endpoints", {"url": "https://erp.example/hooks"})).json()
    site.delivery.fault = RuntimeError("the inner details")
    page = f"{WEBHOOKS}/{made['id']}"
    reply = await visitor.post(page, {"act": "test"}, page=page, x_request_id="req_of_mine")
    assert reply.status == 500
    assert b"req_of_mine" in reply.body
    assert b"inner details" not in reply.body
