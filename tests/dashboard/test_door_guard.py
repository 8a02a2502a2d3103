"""What stands before every page: who may see which, whose things they are, and that only our pages change anything.

The pages are found by themselves: a page that is added is guarded here, or this fails.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from litestar.routes import HTTPRoute
from sqlalchemy import select

from dashboard.conftest import Site
from dashboard.signing import a_person, an_account
from dashboard.visitor import Visitor
from waypost.dashboard.app import create_dashboard
from waypost.log.tables import metadata

# Pages that lead in, or belong to nobody: they show the same to everybody.
OPEN = {
    "/add-endpoint/{token}", "/forgotten", "/join/{token}", "/language/{code}", "/password/{token}", "/patterns",
    "/portal/{token}", "/sign-in", "/sign-in/operator", "/sign-in/passkey", "/sign-in/passkey/begin",
    "/sign-in/provider", "/sign-in/provider/back", "/static/{name}",
}  # fmt: skip
# A stream that does not end by itself has tests of its own.
ENDLESS = {"/live"}
OWNERS = {
    "/settings/account/tokens", "/settings/account/tokens/{token_id}/revoke", "/settings/account/audit",
    "/settings/account/retention", "/settings/account/people/invite", "/settings/account/people/{person_id}/role",
    "/settings/account/people/{person_id}/remove", "/settings/account/people/{person_id}/password-link",
}  # fmt: skip
MANAGERS = {
    "/settings/account/people", "/settings/account/people/setup-link", "/settings/account/people/withdraw",
}  # fmt: skip
# What is one's own, whatever the role.
OWN = {
    "/you", "/you/password", "/you/passkeys", "/you/passkeys/begin", "/you/passkeys/remove", "/you/sessions/end",
    "/sign-out", "/switch",
}  # fmt: skip
SETUP = {
    "/settings/integrations/webhooks/new", "/settings/integrations/webhooks/check",
    "/settings/integrations/webhooks/example", "/theme.css", "/sign-out",
}  # fmt: skip
# Posts that change nothing, and so are a viewer's as well.
LOOKS = {"/settings/integrations/signature-check", "/intake/try", "/intake"}


@pytest.fixture
def pages(site: Site) -> list[tuple[str, str]]:
    """Every page: method and path, with the names of what stands in it."""
    return sorted(_pages(site))


def _pages(site: Site) -> Iterator[tuple[str, str]]:
    dashboard: Any = create_dashboard(site.app.inside)
    for route in dashboard.routes:
        assert isinstance(route, HTTPRoute), route
        path = re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path_format if "{" not in route.path else route.path)
        for method in route.methods - {"OPTIONS", "HEAD"}:
            if path not in ENDLESS:
                yield str(method), path


async def test_who_is_not_signed_in_sees_no_page_and_changes_nothing(site: Site, pages: list[tuple[str, str]]) -> None:
    assert len(pages) > 40
    stranger, before = site.stranger(), await _everything(site)
    for method, path in pages:
        if path not in OPEN:
            reply = await (stranger.get(_at(path)) if method == "GET" else stranger.post(_at(path)))
            assert reply.status == 303, (method, path, reply.status)
            assert reply.headers["location"].partition("?")[0] == "/sign-in", (method, path)
    assert await _everything(site) == before


@pytest.mark.parametrize("who", ["viewer", "manager", "setup"])
async def test_nobody_does_more_than_their_role_allows(site: Site, pages: list[tuple[str, str]], who: Any) -> None:
    visitor = await site.visitor(who)
    await visitor.get("/settings/integrations/webhooks/new" if who == "setup" else "/you")
    for method, path in pages:
        if path in OPEN or path in OWN or not _is_forbidden(who, method, path):
            continue
        before = await _everything(site)
        reply = await (visitor.get(_at(path)) if method == "GET" else visitor.post(_at(path)))
        assert reply.status in (403, 404), (method, path, reply.status)
        assert await _everything(site) == before, (method, path)


def _is_forbidden(who: str, method: str, path: str) -> bool:
    if who == "setup":
        return path not in SETUP
    if path in OWNERS:
        return True
    return who == "viewer" and (path in MANAGERS or (method != "GET" and path not in LOOKS))


async def test_a_portals_user_does_no_more_than_the_role_of_the_link(site: Site, pages: list[tuple[str, str]]) -> None:
    visitor = await site.visitor("portal", role="viewer")
    await visitor.get("/settings/integrations/webhooks")
    before = await _everything(site)
    for method, path in pages:
        changes = method != "GET" and path not in LOOKS and path != "/sign-out"
        if path not in OPEN and (path in OWNERS or path in MANAGERS or path.startswith("/you") or changes):
            reply = await (visitor.get(_at(path)) if method == "GET" else visitor.post(_at(path)))
            assert reply.status in (403, 404), (method, path, reply.status)
    assert await _everything(site) == before


async def test_looking_at_every_page_changes_nothing(site: Site, pages: list[tuple[str, str]]) -> None:
    helga, things = await site.visitor("owner"), await _things(site)
    before = await _everything(site)
    seen = 0
    for method, path in pages:
        if method == "GET":
            for at in {_at(path), _at(path, **things)}:
                reply = await helga.get(at)
                assert reply.status < 500, (at, reply.status, reply.body[-600:])
                seen += reply.status == 200
    assert seen > 15
    assert await _everything(site) == before


async def test_no_page_takes_a_change_from_another_site(site: Site, pages: list[tuple[str, str]]) -> None:
    helga = await site.visitor("owner")
    await helga.get("/you")
    before = await _everything(site)
    for method, path in pages:
        if method == "GET":
            continue
        for headers in (
            {"sec_fetch_site": "cross-site"},
            {"sec_fetch_site": "same-site"},
            {"origin": "https://evil.example"},
            {"origin": "null"},
        ):
            reply = await helga.post(_at(path), **headers)
            assert reply.status == 403, (path, headers, reply.status)
        token, helga.csrf = helga.csrf, "0" * 64
        assert (await helga.post(_at(path))).status == 403, path
        helga.csrf = ""
        assert (await helga.post(_at(path))).status == 403, path
        helga.csrf = token
    assert await _everything(site) == before


async def test_the_token_of_one_session_is_none_in_another(site: Site) -> None:
    helga, jonas = await site.visitor("owner"), await site.visitor("manager")
    await jonas.get("/you")
    helga.csrf = jonas.csrf
    assert (await helga.post("/sign-out")).status == 403


async def test_another_site_signs_nobody_in(site: Site) -> None:
    await a_person(site.log, email="eve@evil.example", password_hash=None)
    visitor = site.stranger()
    await visitor.get("/sign-in")
    form = {"token": "wp_operator"}
    assert (await visitor.post("/sign-in/operator", form, sec_fetch_site="cross-site")).status == 403
    assert (await visitor.post("/sign-in/operator", form, origin="https://evil.example")).status == 403
    other = site.stranger()
    await other.get("/sign-in")
    planted = Visitor(site.app, dict(visitor.cookies), csrf=other.csrf)  # the attacker's form in the victim's browser
    assert (await planted.post("/sign-in/operator", form)).status == 403
    bare = Visitor(site.app, csrf=visitor.csrf)
    assert (await bare.post("/sign-in/operator", form)).status == 403
    assert (await visitor.post("/sign-in/operator", form)).status == 303


async def test_a_method_is_not_put_in_place_of_another(site: Site) -> None:
    helga = await site.visitor("owner")
    before = await _everything(site)
    for path in ("/sign-out?_method=POST", "/settings/account/tokens?name=x&_method=POST"):
        await helga.get(path, x_http_method_override="POST")
    assert await _everything(site) == before


async def test_what_is_of_another_account_is_as_what_does_not_exist(site: Site, pages: list[tuple[str, str]]) -> None:
    theirs = await _things(site, "fossvik")
    unknown = {name: value[:4] + "0" * (len(value) - 4) for name, value in theirs.items()}
    helga = await site.visitor("owner")
    await helga.get("/you")
    asked = 0
    for method, path in pages:
        if "{" not in path or path in OPEN or "{type}" in path or "{position}" in path:
            continue
        answers = []
        for ids in (theirs, unknown):
            at = _at(path, **ids)
            reply = await (helga.get(at) if method == "GET" else helga.post(at))
            body = reply.body
            for name, value in ids.items():
                body = body.replace(value.encode(), name.encode())
            answers.append((reply.status, re.sub(rb"</?time[^>]*>|\d\d:\d\d(:\d\d)?", b"", body)))
        assert answers[0] == answers[1], (method, path)
        assert answers[0][0] in (303, 403, 404, 422), (method, path, answers[0][0])
        asked += 1
    assert asked > 8


async def test_every_page_says_how_it_may_be_used(site: Site, pages: list[tuple[str, str]]) -> None:
    helga = await site.visitor("owner")
    for method, path in pages:
        if method != "GET" or path.startswith("/static"):
            continue
        headers = (await helga.get(_at(path))).headers
        policy = headers["content-security-policy"]
        assert "script-src 'self'; style-src 'self'" in policy, path
        assert "unsafe" not in policy, path
        assert "frame-ancestors 'none'" in policy, path
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["referrer-policy"] == "same-origin", path
        assert headers["cache-control"] in ("no-store", "private, max-age=3600"), path


async def test_a_cookie_is_no_token_of_the_api(site: Site) -> None:
    helga = await site.visitor("owner")
    assert (await helga.get("/v1/endpoints")).status == 401
    assert (await helga.post("/v1/endpoints", page="/you")).status == 401


def _at(path: str, **ids: str) -> str:
    """The path with ids of things in the places of their names."""
    return re.sub(
        r"\{(\w+)\}", lambda found: ids.get(found.group(1), "1" if found.group(1) == "position" else "unknown"), path
    )


async def _things(site: Site, account: str = "default") -> dict[str, str]:
    """Make one of everything in an account; give their ids by the names that paths have for them."""
    await an_account(site.log, account)
    api = site.api
    api.headers["waypost-account"] = account
    endpoint = (await api.call("POST", "/v1/endpoints", {"url": "https://erp.example/hooks", "start": "now"})).json()
    put = (await api.call("PUT", "/v1/shipments/SO-1", {"tags": ["a"]})).json()
    source = await api.call("POST", "/v1/sources", {"kind": "easypost", "name": "EasyPost", "secret": "x" * 24})
    token = (await api.call("POST", f"/v1/accounts/{account}/tokens", {"name": "tms"})).json()
    return {
        "endpoint_id": endpoint["id"],
        "event_id": put["events"][0]["id"],
        "shipment_id": put["shipment"]["id"],
        "source_id": source.json()["id"],
        "token_id": token["id"],
        "person_id": await a_person(site.log, "viewer", account),
        "replay_id": "job_01KC00000000000000000000AA",
        "job_id": "job_01KC00000000000000000000AA",
        "message_id": "msg_01KC00000000000000000000AA",
    }


async def _everything(site: Site) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the database, but for workers' leases."""

    def read(connection: Any, _: object) -> dict[str, list[tuple[Any, ...]]]:
        tables = [table for table in metadata.sorted_tables if table.name not in ("workers", "clock_seen")]
        return {table.name: sorted(map(tuple, connection.execute(select(table))), key=repr) for table in tables}

    return await site.log.look(read)
