"""The pages of the account: people, tokens, audit log, retention, and one's own."""

import re

from api.asgi_client import Client
from dashboard.conftest import Site
from dashboard.visitor import fields_of


async def test_each_page_of_the_account_is_shown_to_an_owner(site: Site) -> None:
    helga = await site.visitor("owner")
    for page in ("people", "tokens", "audit", "retention"):
        reply = await helga.get(f"/settings/account/{page}")
        assert reply.status == 200, (page, reply.body)
    assert (await helga.get("/you")).status == 200


async def test_a_token_is_shown_once_and_ends_when_it_is_revoked(site: Site) -> None:
    helga = await site.visitor("owner")
    form = {"name": "tms", "read": "on"}
    made = await helga.post("/settings/account/tokens", form, page="/settings/account/tokens")
    (token,) = set(re.findall(rb"wp_[\w-]{43}", made.body))
    listed = (await helga.get("/settings/account/tokens")).body
    assert token not in listed
    caller = Client(site.app, token.decode())
    assert (await caller.call("GET", "/v1/endpoints")).status == 200
    assert (await caller.call("POST", "/v1/endpoints", {"url": "https://erp.example"})).status == 403
    (token_id,) = set(re.findall(rb"tokens/(tok_\w+)/revoke", listed))
    assert (await helga.post(f"/settings/account/tokens/{token_id.decode()}/revoke")).status == 303
    assert (await caller.call("GET", "/v1/endpoints")).status == 401


async def test_a_token_without_a_name_or_a_scope_is_refused_beside_its_fields(site: Site) -> None:
    helga = await site.visitor("owner")
    reply = await helga.post("/settings/account/tokens", {"name": " "}, page="/settings/account/tokens")
    assert reply.status == 422
    assert b'aria-invalid="true"' in reply.body
    assert b"wp_" not in reply.body


async def test_the_operators_token_is_no_token_of_an_account(site: Site) -> None:
    helga = await site.visitor("owner")
    assert b"tok_operator" not in (await helga.get("/settings/account/tokens")).body
    reply = await helga.post("/settings/account/tokens/tok_operator/revoke", page="/settings/account/tokens")
    assert reply.status == 404
    assert (await site.api.call("GET", "/v1/accounts")).status == 200


async def test_the_settings_of_the_account_are_kept_and_wrong_ones_said_beside_their_fields(site: Site) -> None:
    helga = await site.visitor("owner")
    page = "/settings/account/retention"
    form = fields_of(await helga.get(page))
    wrong = {**form, "alert_email": "nobody", "eta_threshold_minutes": "soon", "portal_accent": "red"}
    reply = await helga.post(page, wrong)
    assert reply.status == 422
    for name in ("alert_email", "eta_threshold_minutes", "portal_accent"):
        assert re.search(rf'id="f-{name}"[^>]*aria-invalid="true"'.encode(), reply.body), name
    assert b'value="soon"' in reply.body
    right = {
        **form, "name": "Fossvik Freight", "alert_email": "ops@fossvik.example", "time_zone": "Europe/Tallinn",
        "stale_after_hours": "48", "portal_origins": "https://tms.example\nhttp://localhost:9000",
    }  # fmt: skip
    assert (await helga.post(page, right)).status == 303
    account = (await site.api.call("GET", "/v1/accounts/default")).json()
    assert (account["name"], account["alert_email"], account["stale_after_hours"]) == (
        "Fossvik Freight", "ops@fossvik.example", 48,
    )  # fmt: skip
    assert account["portal"]["origins"] == ["https://tms.example", "http://localhost:9000"]


async def test_the_audit_log_is_filtered_by_addresses_that_can_be_passed_on(site: Site) -> None:
    helga = await site.visitor("owner")
    for name in ("first", "second"):
        await helga.post("/settings/account/tokens", {"name": name, "read": "on"}, page="/settings/account/tokens")
    everything = (await helga.get("/settings/account/audit")).body.decode()
    entries = re.findall(r'<tr id="(aud_\w+)">', everything)
    assert len(entries) == 3  # a sign-in and two tokens
    made = (await helga.get("/settings/account/audit?action=token.created")).body.decode()
    assert re.findall(r'<tr id="(aud_\w+)">', made) == entries[:2]
    at = (await helga.get(f"/settings/account/audit?at={entries[1]}")).body.decode()
    assert re.findall(r'<tr id="(aud_\w+)">', at) == entries[1:]
    nothing = (await helga.get("/settings/account/audit?subject=ep_unknown")).body
    assert b"Nothing like this was done." in nothing


async def test_what_people_and_tokens_are_called_stays_text(site: Site) -> None:
    hostile = "<img src=x onerror=alert(1)>{{7*7}}"
    helga = await site.visitor("owner")
    await helga.post("/you", {"name": hostile, "language": "", "time_zone": "", "keys": "on"}, page="/you")
    await helga.post("/settings/account/tokens", {"name": hostile, "read": "on"}, page="/settings/account/tokens")
    for page in ("/settings/account/people", "/settings/account/tokens", "/settings/account/audit", "/you"):
        body = (await helga.get(page)).body
        assert b"<img" not in body, page
        assert b"&lt;img src=x onerror=alert(1)&gt;{{7*7}}" in body, page


async def test_a_profile_chooses_the_zone_of_ones_times_and_switches_keys_off(site: Site) -> None:
    helga = await site.visitor("owner")
    form = {"name": "Helga", "language": "", "time_zone": "Asia/Tokyo"}
    assert (await helga.post("/you", form, page="/you")).status == 303
    page = (await helga.get("/you")).body
    assert b"Tokyo" in page
    assert b"data-keys-off" in page
    wrong = await helga.post("/you", {"name": "", "language": "xx", "time_zone": "Mars/Olympus"})
    assert (wrong.status, wrong.body.count(b'aria-invalid="true"')) == (422, 3)
