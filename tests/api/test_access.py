"""Who may do what: every operation of the OpenAPI document, with every kind of token."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from api.asgi_client import Client, Reply
from api.conftest import TokenMaker
from waypost.api.app import OPERATIONS, Application
from waypost.api.openapi import openapi_document
from waypost.log import Log, units
from waypost.log.accounts import MadeToken

SCOPES = ("shipments:write", "endpoints:write", "read")
DOCUMENT = openapi_document(OPERATIONS, "https://waypost.test")


@dataclass(frozen=True)
class Row:
    """One operation, with a request that is sound but for the token and for ids that do not exist."""

    method: str
    path: str
    needs: str | None
    document: dict[str, Any]

    async def call(self, api: Client, **ids: str) -> Reply:
        names = {
            "reference": "SO-9",
            "id": "ep_9",
            "event_id": "evt_9",
            "type": "x",
            "token_id": "tok_9",
            "job_id": "job_9",
        } | ids
        target = self.path.format_map(names)
        body = self.document.get("requestBody")
        if body is None:
            return await api.call(self.method, target)
        (media_type, media), *_ = body["content"].items()
        example = next(iter(media.get("examples", {"": {"value": {}}}).values()))["value"]
        raw = example.encode() if isinstance(example, str) else msgspec.json.encode(example)
        return await api.call(self.method, target, body=raw, headers={"Content-Type": media_type})


def rows() -> Iterator[Row]:
    for path, methods in DOCUMENT["paths"].items():
        for method, document in methods.items():
            needs = document["security"][0]["token"][0] if document["security"] else None
            yield Row(method.upper(), path, needs, document)


PROTECTED = [row for row in rows() if row.needs is not None]
SCOPED = [row for row in PROTECTED if row.needs in SCOPES]
# Operations that name something of an account. Putting a shipment makes one of the caller's own instead.
NAMING = [
    row
    for row in SCOPED
    if "{" in row.path and "{type}" not in row.path and (row.method, row.path) != ("PUT", "/v1/shipments/{reference}")
]


def each(rows: list[Row]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=lambda row: f"{row.method} {row.path}")


def assert_refused(reply: Reply, status: int, words: str) -> None:
    assert reply.status == status, reply.body
    assert reply.headers["content-type"] == "application/problem+json"
    assert words in reply.json()["detail"]


@each(PROTECTED)
async def test_without_a_token_nothing_opens(app: Application, row: Row) -> None:
    reply = await row.call(Client(app, token=None))
    assert_refused(reply, 401, "Authorization: Bearer")
    assert reply.headers["www-authenticate"].startswith("Bearer")


@each(PROTECTED)
async def test_an_unknown_token_opens_nothing(app: Application, row: Row) -> None:
    assert_refused(await row.call(Client(app, token="wp_" + "x" * 43)), 401, "unknown")


@each(PROTECTED)
async def test_a_token_without_the_scope_is_told_which(caller: TokenMaker, row: Row) -> None:
    api = await caller(*(scope for scope in SCOPES if scope != row.needs))
    assert_refused(await row.call(api), 403, row.needs if row.needs in SCOPES else "operator")


@each(SCOPED)
async def test_a_token_may_not_name_another_account(caller: TokenMaker, row: Row) -> None:
    await caller("read", account="fossvik")
    api = await caller(*SCOPES)
    api.headers["waypost-account"] = "fossvik"
    assert_refused(await row.call(api), 403, "another account")


@each(NAMING)
async def test_a_foreign_id_answers_as_an_unknown_one(caller: TokenMaker, row: Row) -> None:
    ids = await things_of(await caller(*SCOPES, account="fossvik"), row)
    stranger = await caller(*SCOPES)
    unknown = {name: value[:-4] + "0000" for name, value in ids.items()}
    foreign_reply, unknown_reply = await row.call(stranger, **ids), await row.call(stranger, **unknown)
    assert (foreign_reply.status, unknown_reply.status) == (404, 404)
    assert masked(foreign_reply, ids) == masked(unknown_reply, unknown)


async def things_of(api: Client, row: Row) -> dict[str, str]:
    """One of everything that the row's path may name, in the account of `api`."""
    shipment = (await api.call("PUT", "/v1/shipments/SO-9999", {})).json()
    endpoint = (await api.call("POST", "/v1/endpoints", {"url": "https://192.0.2.1/hook"})).json()
    source = (await api.call("POST", "/v1/sources", {"kind": "easypost", "name": "x", "secret": "y"})).json()
    event_id = shipment["events"][0]["id"]
    ids = {"endpoints": endpoint["id"], "sources": source["id"], "events": event_id}
    resource = row.path.split("/")[2]
    replay = (await api.call("POST", f"/v1/endpoints/{endpoint['id']}/replay", {"which": "all"})).json()
    return {
        "reference": shipment["shipment"]["id"], "id": ids.get(resource, "none"), "event_id": event_id,
        "job_id": replay["id"],
    }  # fmt: skip


def masked(reply: Reply, ids: dict[str, str]) -> dict[str, Any]:
    text = reply.body.decode()
    for name, value in ids.items():
        text = text.replace(value, name)
    problem: dict[str, Any] = msgspec.json.decode(text)
    return problem | {"request_id": ""}


async def test_a_revoked_token_fails_on_the_next_request(app: Application, log: Log, caller: TokenMaker) -> None:
    await caller("read")
    made: MadeToken = await log.do(units.create_token((await log.get_account("default")).account_id, "tms", ["read"]))
    api = Client(app, made.token)
    assert (await api.call("GET", "/v1/events")).status == 200
    revoked = await Client(app).call("DELETE", f"/v1/accounts/default/tokens/{made.record.token_id}")
    assert revoked.status == 204
    assert (await api.call("GET", "/v1/events")).status == 401


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic d3A6eA==", "wp_operator", "Bearer wp_operatör", "Bearer " + "x" * 9999]
)
async def test_a_malformed_authorization_is_401(app: Application, header: str) -> None:
    reply = await Client(app, token=None).call("GET", "/v1/events", headers={"Authorization": header})
    assert reply.status == 401


async def test_an_operator_acts_on_the_account_it_names(api: Client, caller: TokenMaker) -> None:
    fossvik = await caller(*SCOPES, account="fossvik")
    reply = await api.call("PUT", "/v1/shipments/SO-1", {}, headers={"Waypost-Account": "fossvik"})
    assert reply.status == 201
    assert (await fossvik.call("GET", "/v1/shipments/SO-1")).status == 200
    assert (await api.call("GET", "/v1/shipments/SO-1")).status == 404


@pytest.mark.parametrize("name", ["nobody", "", "x" * 100, "ü"])
async def test_an_operator_who_names_no_account_is_told(api: Client, name: str) -> None:
    reply = await api.call("GET", "/v1/events", headers={"Waypost-Account": name})
    assert reply.status == 404


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/docs/docs.css", "/schema/openapi.json"])
async def test_what_is_public_needs_no_token(app: Application, path: str) -> None:
    assert (await Client(app, token=None).call("GET", path)).status == 200


async def test_the_document_names_every_path_that_is_served(app: Application) -> None:
    documented = set(app.documentation.document["paths"])
    served = {operation.path for operation in app.operations}
    assert served == documented
