"""Links that let people in, as operators make them, and the record of who did what."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from api.asgi_client import Client
from api.conftest import TokenMaker
from waypost.log import Log, links, sessions, units
from waypost.log.accounts import DEFAULT_ACCOUNT
from waypost.log.sessions import OF_THE_OPERATOR, OPERATOR, NewSession

PORTAL = "/v1/accounts/fossvik/portal-links"


@pytest.fixture(autouse=True)
async def fossvik(log: Log) -> None:
    """An account of a customer."""
    await log.do(units.create_account("fossvik", "Fossvik Freight"))


async def test_a_portal_link_says_where_it_leads_and_until_when(api: Client, log: Log) -> None:
    before = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    body = {"role": "viewer", "expires_in_seconds": 600, "user": {"id": "u-7", "name": "Jonas Tamm"}}
    reply = await api.call("POST", PORTAL, body)
    made = reply.json()
    assert (reply.status, set(made)) == (201, {"url", "expires_at"})
    assert made["url"].startswith("https://waypost.test/portal/")
    token = made["url"].rpartition("/")[2]
    link = await log.look(lambda connection, _: links.find_link(connection, token))
    assert link is not None
    assert (link.account_id, link.role, link.user_id, link.session_s) == ("fossvik", "viewer", "u-7", 600)
    assert link.expires_at - link.created_at == timedelta(seconds=600)
    assert datetime.fromisoformat(made["expires_at"]) == link.expires_at > before


async def test_what_a_portal_link_holds_is_stored_nowhere(api: Client, database_url: str) -> None:
    made = (await api.call("POST", PORTAL, {"role": "manager"})).json()
    token = made["url"].rpartition("/")[2].encode()
    file = Path(database_url.removeprefix("sqlite:///"))
    stored = file.read_bytes() + file.with_name(f"{file.name}-wal").read_bytes()
    assert b"lnk_" in stored
    assert token not in stored


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({"role": "king"}, {"/role"}),
        ({"expires_in_seconds": 0}, {"/expires_in_seconds"}),
        ({"expires_in_seconds": 10**9}, {"/expires_in_seconds"}),
        ({"user": {"id": ""}}, {"/user/id", "/user/name"}),
        ({"user": "u-7"}, {"/user"}),
        ({"rol": "viewer"}, {"/rol"}),
    ],
)
async def test_what_is_wrong_with_a_portal_link_is_named(
    api: Client, body: dict[str, object], places: set[str]
) -> None:
    reply = await api.call("POST", PORTAL, body)
    assert (reply.status, set(reply.places())) == (422, places)


async def test_only_operators_make_links_and_read_the_record(caller: TokenMaker) -> None:
    fossvik = await caller("read", "endpoints:write", "shipments:write", account="fossvik")
    assert (await fossvik.call("POST", PORTAL, {})).status == 403
    assert (await fossvik.call("POST", "/v1/accounts/fossvik/sign-in-links", {})).status == 403
    assert (await fossvik.call("GET", "/v1/accounts/fossvik/audit")).status == 403


async def test_an_unknown_account_has_no_links(api: Client) -> None:
    for path in ("portal-links", "sign-in-links"):
        assert (await api.call("POST", f"/v1/accounts/nobody/{path}", {})).status == 404
    assert (await api.call("GET", "/v1/accounts/nobody/audit")).status == 404


async def test_a_sign_in_link_for_a_stranger_is_refused(api: Client) -> None:
    reply = await api.call("POST", "/v1/accounts/fossvik/sign-in-links", {"email": "nobody@fossvik.example"})
    assert reply.places() == {"/email": "Nobody in this account has this e-mail address."}


async def test_every_change_by_a_token_stands_in_the_record_under_its_name(api: Client, caller: TokenMaker) -> None:
    tms = await caller("read", "endpoints:write", account="fossvik")
    made = (await tms.call("POST", "/v1/endpoints", {"url": "https://erp.example/hooks"})).json()
    at = f"/v1/endpoints/{made['id']}"
    await tms.call("PATCH", at, {"description": "ERP"})
    await tms.call("GET", f"{at}/secret")
    await tms.call("POST", f"{at}/secret/rotate", {})
    await tms.call("POST", f"{at}/pause", {})
    await tms.call("POST", f"{at}/resume", {})
    await tms.call("DELETE", at)
    listed = (await api.call("GET", f"/v1/accounts/fossvik/audit?subject={made['id']}")).json()["items"]
    assert [entry["action"] for entry in reversed(listed)] == [
        "endpoint.created",
        "endpoint.changed",
        "endpoint.secret_revealed",
        "endpoint.secret_rotated",
        "endpoint.paused",
        "endpoint.resumed",
        "endpoint.deleted",
    ]
    assert {entry["actor"] for entry in listed} == {"tms"}
    assert all(entry["actor_id"].startswith("tok_") for entry in listed)
    assert made["secret"] not in str(listed)


async def test_a_change_that_is_refused_stands_in_no_record(api: Client) -> None:
    made = (await api.call("POST", "/v1/endpoints", {"url": "https://erp.example/hooks"})).json()
    assert (await api.call("PATCH", f"/v1/endpoints/{made['id']}", {"timeout_seconds": 999})).status == 422
    listed = (await api.call("GET", f"/v1/accounts/default/audit?subject={made['id']}")).json()["items"]
    assert [entry["action"] for entry in listed] == ["endpoint.created"]


async def test_the_record_is_read_in_pages_and_by_actor_and_action(api: Client, log: Log) -> None:
    for name in ("a", "b", "c"):
        await api.call("POST", "/v1/accounts/fossvik/tokens", {"name": name})
    first = (await api.call("GET", "/v1/accounts/fossvik/audit?limit=2&action=token.created")).json()
    rest = (
        await api.call("GET", f"/v1/accounts/fossvik/audit?limit=2&action=token.created&cursor={first['next']}")
    ).json()
    assert [entry["detail"] for entry in first["items"] + rest["items"]] == ["c", "b", "a"]
    assert rest["next"] is None
    mine = await api.call("GET", "/v1/accounts/fossvik/audit?actor=tok_operator")
    assert len(mine.json()["items"]) == 3
    assert (await api.call("GET", "/v1/accounts/fossvik/audit?actor=tok_nobody")).json()["items"] == []


async def test_another_operator_token_signs_the_operator_out(log: Log) -> None:
    new = NewSession(
        account_id=DEFAULT_ACCOUNT,
        kind="operator",
        actor=OPERATOR,
        lasting=OF_THE_OPERATOR,
        role="owner",
        name="operator",
    )
    opened = await log.do(sessions.open_session(new, how="test"))
    now = opened.expires_at - OF_THE_OPERATOR.life
    await log.ensure_operator("wp_operator")
    assert await log.look(lambda connection, _: sessions.find_session(connection, opened.token, now)) is not None
    await log.ensure_operator("wp_another_one")
    assert await log.look(lambda connection, _: sessions.find_session(connection, opened.token, now)) is None


async def test_an_erasure_stands_in_the_record_and_one_of_nothing_does_not(api: Client) -> None:
    put = (await api.call("PUT", "/v1/shipments/SO-1", {"tags": ["a"]})).json()
    assert (await api.call("DELETE", "/v1/shipments/SO-1")).status == 204
    assert (await api.call("DELETE", "/v1/shipments/SO-2")).status == 404
    listed = (await api.call("GET", "/v1/accounts/default/audit?action=shipment.erased")).json()["items"]
    assert [entry["subject"] for entry in listed] == [put["shipment"]["id"]]
