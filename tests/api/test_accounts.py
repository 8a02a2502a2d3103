from typing import Any

import pytest

from api.asgi_client import Client
from api.conftest import on_both_databases
from waypost.api.app import Application


@on_both_databases
async def test_an_account_is_made_once(api: Client) -> None:
    made = await api.call("POST", "/v1/accounts", {"id": "fossvik", "name": "Fossvik Freight"})
    again = await api.call("POST", "/v1/accounts", {"id": "fossvik", "name": "Another"})
    assert (made.status, again.status) == (201, 409)
    assert made.json() == (await api.call("GET", "/v1/accounts/fossvik")).json()
    assert made.json()["name"] == "Fossvik Freight"


async def test_an_id_is_made_up_when_left_out(api: Client) -> None:
    made = (await api.call("POST", "/v1/accounts", {"name": "Fossvik"})).json()
    assert (await api.call("GET", f"/v1/accounts/{made['id']}")).status == 200


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": "x", "id": "Fossvik"}, "/id"),
        ({"name": "x", "id": "-a"}, "/id"),
        ({"name": "x", "id": 7}, "/id"),
        ({"name": "x", "alert_email": "nobody"}, "/alert_email"),
        ({"name": "x", "alert_email": "a@x.example,b@x.example"}, "/alert_email"),
        ({"name": "x", "alert_email": "a@x.example\r\nBcc: b@x.example"}, "/alert_email"),
        ({"name": "x", "alert_email": "jüri@x.example"}, "/alert_email"),
        ({"name": "x", "alert_email": "a..b@x.example"}, "/alert_email"),
        ({"name": "x", "time_zone": "Mars/Base"}, "/time_zone"),
        ({"name": "x", "eta_threshold_minutes": -1}, "/eta_threshold_minutes"),
        ({"name": "x", "stale_after_hours": 0}, "/stale_after_hours"),
        ({"name": "x", "stale_after_hours": 8761}, "/stale_after_hours"),
        ({"name": "x", "portal": {"origins": ["https://tms.example/path"]}}, "/portal/origins/0"),
        ({"name": "x", "portal": {"accent": "red"}}, "/portal/accent"),
        ({"name": "x", "portal": {"logo_url": "javascript:alert(1)"}}, "/portal/logo_url"),
        ({"name": "x", "created_at": "2026-11-23T00:00:00Z"}, "/created_at"),
    ],
)
async def test_a_wrong_account_is_refused(api: Client, body: dict[str, Any], path: str) -> None:
    reply = await api.call("POST", "/v1/accounts", body)
    assert (reply.status, list(reply.places())) == (422, [path])
    assert [item["id"] for item in (await api.call("GET", "/v1/accounts")).json()["items"]] == ["default"]


async def test_settings_are_changed_in_part_and_reset_by_null(api: Client) -> None:
    await api.call("POST", "/v1/accounts", {"id": "fossvik", "name": "Fossvik", "alert_email": "ops@fossvik.example"})
    patch = {"eta_threshold_minutes": 30, "portal": {"origins": ["https://tms.example"], "accent": "#155e8a"}}
    changed = (await api.call("PATCH", "/v1/accounts/fossvik", patch)).json()
    assert (changed["name"], changed["alert_email"]) == ("Fossvik", "ops@fossvik.example")
    assert changed["portal"] == {"origins": ["https://tms.example"], "accent": "#155e8a", "logo_url": None}
    reset = (await api.call("PATCH", "/v1/accounts/fossvik", {"alert_email": None, "portal": None})).json()
    assert (reset["alert_email"], reset["eta_threshold_minutes"], reset["portal"]["origins"]) == (None, 30, [])


async def test_silence_is_told_after_as_many_hours_as_the_account_sets(api: Client) -> None:
    assert (await api.call("GET", "/v1/accounts/default")).json()["stale_after_hours"] is None
    changed = await api.call("PATCH", "/v1/accounts/default", {"stale_after_hours": 48})
    assert changed.json()["stale_after_hours"] == 48
    assert (await api.call("GET", "/v1/accounts/default")).json()["stale_after_hours"] == 48
    off = await api.call("PATCH", "/v1/accounts/default", {"stale_after_hours": None})
    assert off.json()["stale_after_hours"] is None


@pytest.mark.parametrize("patch", [{"name": None}, {"id": "other"}, {"nme": "x"}, {"time_zone": 7}])
async def test_a_wrong_change_is_refused(api: Client, patch: dict[str, Any]) -> None:
    reply = await api.call("PATCH", "/v1/accounts/default", patch)
    assert (reply.status, list(reply.places())) == (422, [f"/{next(iter(patch))}"])


@pytest.mark.parametrize(
    "path", ["/v1/accounts/nobody", "/v1/accounts/%00", "/v1/accounts/%C3%BC", "/v1/accounts/nobody/tokens"]
)
async def test_an_unknown_account_is_not_found(api: Client, path: str) -> None:
    assert (await api.call("GET", path)).status == 404


@on_both_databases
async def test_a_token_is_shown_once_and_opens_what_its_scopes_say(app: Application, api: Client) -> None:
    made = (await api.call("POST", "/v1/accounts/default/tokens", {"name": "tms", "scopes": ["read"]})).json()
    assert list(made) == ["id", "name", "scopes", "created_at", "revoked_at", "token"]
    listed = await api.call("GET", "/v1/accounts/default/tokens")
    assert made["token"].encode() not in listed.body
    assert {name: value for name, value in made.items() if name != "token"} in listed.json()["items"]
    holder = Client(app, made["token"])
    assert (await holder.call("GET", "/v1/shipments")).status == 200
    assert (await holder.call("PUT", "/v1/shipments/SO-1", {})).status == 403


async def test_a_token_has_every_scope_unless_told(api: Client) -> None:
    made = (await api.call("POST", "/v1/accounts/default/tokens", {"name": "tms"})).json()
    assert made["scopes"] == ["shipments:write", "endpoints:write", "read"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"scopes": ["read"]}, "/name"),
        ({"name": "x", "scopes": []}, "/scopes"),
        ({"name": "x", "scopes": ["write"]}, "/scopes/0"),
        ({"name": "x", "scopes": ["operator"]}, "/scopes/0"),
        ({"name": "x", "token": "wp_mine"}, "/token"),
    ],
)
async def test_a_wrong_token_is_refused(api: Client, body: dict[str, Any], path: str) -> None:
    reply = await api.call("POST", "/v1/accounts/default/tokens", body)
    assert (reply.status, list(reply.places())) == (422, [path])


async def test_an_unknown_token_cannot_be_revoked(api: Client) -> None:
    assert (await api.call("DELETE", "/v1/accounts/default/tokens/tok_9")).status == 404
    assert (await api.call("DELETE", "/v1/accounts/default/tokens/nonsense")).status == 404
