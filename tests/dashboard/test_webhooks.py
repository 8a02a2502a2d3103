"""The pages of endpoints and deliveries: what they show, what their forms do, and what they refuse."""

from typing import Any

import pytest

from dashboard.conftest import Site

WEBHOOKS = "/settings/integrations/webhooks"
URL = "https://192.0.2.10/hooks"
HOSTILE = '"><img src=x onerror=alert(1)>{{7*7}}'
SAVED = {
    "url": URL, "description": "ERP", "events": ["shipment.created", "shipment.status.delivered"], "payload": "full",
    "signature_v1": "on", "timeout_seconds": "15", "max_in_flight": "16", "retry_schedule": "5 s, 5 min",
    "format": "waypost", "auth_type": "none",
}  # fmt: skip


async def an_endpoint(site: Site, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = (await site.api.call("POST", "/v1/endpoints", {"url": URL, **fields})).json()
    return made


async def test_where_nobody_is_told_yet_the_list_says_how_to_begin(site: Site) -> None:
    helga = await site.visitor("owner")
    reply = await helga.get(WEBHOOKS)
    assert (reply.status, b"Nobody is told yet" in reply.body) == (200, True)


async def test_a_test_makes_the_endpoint_paused_and_starting_lets_it_begin(site: Site) -> None:
    helga = await site.visitor("manager")
    reply = await helga.post(f"{WEBHOOKS}/new", {**SAVED, "act": "test"}, page=f"{WEBHOOKS}/new")
    assert (reply.status, b"whsec_" in reply.body) == (200, True)
    (made,) = (await site.api.call("GET", "/v1/endpoints")).json()["items"]
    assert (made["state"], made["events"]) == ("paused", ["shipment.created", "shipment.status.delivered"])
    assert site.delivery.tests == [("default", made["id"], "shipment.status.collected")]
    going = {**SAVED, "act": "start", "endpoint_id": made["id"], "secret": "whsec_x", "start": "now"}
    reply = await helga.post(f"{WEBHOOKS}/new", going)
    assert (reply.status, reply.headers["location"]) == (303, f"{WEBHOOKS}/{made['id']}")
    assert (await site.api.call("GET", f"/v1/endpoints/{made['id']}")).json()["state"] == "active"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("url", "http://10.0.4.7/in", b"private address"),
        ("timeout_seconds", "soon", b"must be a number"),
        ("retry_schedule", "5 moons", b"must be a number"),
        ("filter_countries", "Iceland", b"is not a country code"),
        ("headers", "Host: elsewhere.example", b"is set by Waypost"),
    ],
)
async def test_what_is_wrong_is_said_beside_its_field_and_all_that_was_typed_is_kept(
    site: Site, field: str, value: str, words: bytes
) -> None:
    helga = await site.visitor("manager")
    typed = {**SAVED, "description": "Yard Pärnu", field: value, "act": "test"}
    reply = await helga.post(f"{WEBHOOKS}/new", typed, page=f"{WEBHOOKS}/new")
    assert reply.status == 422
    _, _, rest = reply.body.partition(f'id="f-{field}-error">'.encode())
    assert words in rest[:900], rest[:900]
    assert ("Yard Pärnu".encode() in reply.body, value.encode() in reply.body) == (True, True)
    assert (await site.api.call("GET", "/v1/endpoints")).json()["items"] == []


async def test_two_who_edit_one_endpoint_are_told_and_nothing_is_overwritten(site: Site) -> None:
    made = await an_endpoint(site)
    path = f"{WEBHOOKS}/{made['id']}/edit"
    helga = await site.visitor("manager")
    page = (await helga.get(path)).body.decode()
    version = page.partition('name="version" value="')[2].partition('"')[0]
    await site.api.call("PATCH", f"/v1/endpoints/{made['id']}", {"timeout_seconds": 30})
    reply = await helga.post(path, {**SAVED, "timeout_seconds": "20", "version": version.replace("&#34;", '"')})
    assert (reply.status, b"Somebody else changed this endpoint meanwhile" in reply.body) == (412, True)
    assert b"timeout_seconds" in reply.body
    assert (await site.api.call("GET", f"/v1/endpoints/{made['id']}")).json()["timeout_seconds"] == 30


async def test_a_secret_of_the_login_is_never_written_into_a_page_and_stays_when_it_is_left_empty(site: Site) -> None:
    made = await an_endpoint(site, auth={"type": "bearer", "token": "canary-5f2e"})
    path = f"{WEBHOOKS}/{made['id']}/edit"
    helga = await site.visitor("manager")
    assert b"canary" not in (await helga.get(path)).body
    assert b"canary" not in (await helga.get(f"{WEBHOOKS}/{made['id']}")).body
    reply = await helga.post(path, {**SAVED, "auth_type": "bearer", "auth_token": "", "timeout_seconds": "20"})
    assert reply.status == 303
    after = (await site.api.call("GET", f"/v1/endpoints/{made['id']}")).json()
    assert (after["auth"], after["timeout_seconds"]) == ({"type": "bearer", "token": "canary-5f2e"}, 20)


async def test_everything_stays_text(site: Site) -> None:
    made = await an_endpoint(site, description=HOSTILE, events=["*"], start="beginning", headers={"x-a": HOSTILE[:20]})
    await site.api.call(
        "PUT", "/v1/shipments/SO-1", {"tags": [HOSTILE], "references": [{"type": "other", "value": HOSTILE}]}
    )
    event = (await site.api.call("GET", "/v1/events?after=0&limit=1")).json()["items"][0]
    helga = await site.visitor("manager")
    for path in (
        WEBHOOKS,
        f"{WEBHOOKS}/{made['id']}",
        f"{WEBHOOKS}/{made['id']}/edit",
        f"{WEBHOOKS}/{made['id']}/deliveries/{event['id']}",
        f"{WEBHOOKS}/{made['id']}?shipment=%22%3E%3Cimg%20src%3Dx%3E",
        "/shipments",
        f"/shipments/{event['shipment_id']}",
        "/shipments?q=%22%3E%3Cimg%20src%3Dx%3E",
        "/events",
        f"/events/{event['id']}",
    ):
        reply = await helga.get(path)
        assert reply.status == 200, path
        assert b"<img src=x" not in reply.body, path
        assert b">49" not in reply.body, path


async def test_a_viewer_sees_endpoints_and_changes_none(site: Site) -> None:
    made = await an_endpoint(site)
    viewer = await site.visitor("viewer")
    page = await viewer.get(f"{WEBHOOKS}/{made['id']}")
    assert (page.status, b">Pause" in page.body, b"/edit" in page.body) == (200, False, False)
    for path in (f"{WEBHOOKS}/new", f"{WEBHOOKS}/{made['id']}/edit", f"{WEBHOOKS}/{made['id']}/secret"):
        assert (await viewer.get(path)).status == 403, path
    for act in ("pause", "test", "rotate", "delete", "replay"):
        assert (await viewer.post(f"{WEBHOOKS}/{made['id']}", {"act": act})).status == 403, act
    assert (await site.api.call("GET", f"/v1/endpoints/{made['id']}")).json()["state"] == "active"


async def test_a_secret_is_shown_to_who_asks_for_it_and_that_is_written_down(site: Site) -> None:
    made = await an_endpoint(site)
    path = f"{WEBHOOKS}/{made['id']}/secret"
    helga = await site.visitor("owner")
    asked = await helga.get(path)
    assert (asked.status, made["secret"].encode() in asked.body) == (200, False)
    shown = await helga.post(path)
    assert (shown.status, made["secret"].encode() in shown.body) == (200, True)
    assert b"endpoint.secret_revealed" in (await helga.get("/settings/account/audit")).body


async def test_an_act_asks_with_a_number_before_it_sends_again(site: Site) -> None:
    made = await an_endpoint(site)
    helga = await site.visitor("manager")
    reply = await helga.post(
        f"{WEBHOOKS}/{made['id']}", {"act": "count", "which": "failed"}, page=f"{WEBHOOKS}/{made['id']}"
    )
    assert (reply.status, b"Resend 0 deliveries?" in reply.body) == (200, True)


async def test_an_endpoint_of_another_account_is_none(site: Site) -> None:
    made = await an_endpoint(site)
    await site.api.call("POST", "/v1/accounts", {"id": "fossvik", "name": "Fossvik Freight"})
    other = await site.visitor("owner", account="fossvik")
    for path in (f"{WEBHOOKS}/{made['id']}", f"{WEBHOOKS}/{made['id']}/edit"):
        assert (await other.get(path)).status == 404, path


async def test_a_list_for_a_spreadsheet_holds_no_formula(site: Site) -> None:
    await site.api.call("PUT", "/v1/shipments/%3DSUM(A1)", {"carrier": {"name": "@cmd"}})
    helga = await site.visitor("viewer")
    reply = await helga.get("/shipments/export.csv")
    assert (reply.status, b'"\'=SUM(A1)"' in reply.body, b'"\'@cmd"' in reply.body) == (200, True, True)
