"""Registering types of one's own, sending events of them, and finding them everywhere that events are."""

from typing import Any

import jsonschema
import pytest

from api.asgi_client import Client, Reply
from api.conftest import QuietDelivery, TokenMaker, on_both_databases
from waypost.api.examples import EVENT_TYPE, OWN_EVENT

LEFT_OUT = object()
INVOICE = "/v1/event-types/invoice.created"


async def register(api: Client, path: str = INVOICE, **given: Any) -> Reply:
    reply = await api.call("PUT", path, EVENT_TYPE | given)
    assert reply.status in (200, 201), reply.body
    return reply


async def post(api: Client, headers: dict[str, str] | None = None, **given: Any) -> Reply:
    event = {name: value for name, value in (OWN_EVENT | given).items() if value is not LEFT_OUT}
    return await api.call("POST", "/v1/events", event, headers=headers)


def body_with_data(value: str) -> bytes:
    return f'{{"type":"invoice.created","key":"R-1","id":"r-1","data":{{"a":{value}}}}}'.encode()


@on_both_databases
async def test_a_type_is_registered_and_an_event_of_it_sent(api: Client) -> None:
    assert (await register(api)).status == 201
    reply = await post(api)
    event = reply.json()
    assert (reply.status, event["id"], event["key"], event["sequence"]) == (201, OWN_EVENT["id"], OWN_EVENT["key"], 1)
    assert (event["timestamp"], event["data"]) == ("2026-11-27T13:05:00Z", OWN_EVENT["data"])
    assert (await api.call("GET", f"/v1/events/{OWN_EVENT['id']}")).body == reply.body
    assert (await api.call("GET", "/v1/events")).json()["items"] == [event]


async def test_registering_again_changes_the_type(api: Client) -> None:
    made = (await register(api)).json()
    reply = await register(api, title="Invoice")
    assert (reply.status, reply.json()["title"], reply.json()["created_at"]) == (200, "Invoice", made["created_at"])
    assert (await api.call("GET", INVOICE)).json() == reply.json()


async def test_own_types_stand_beside_those_of_the_catalogue(api: Client) -> None:
    await register(api)
    items = (await api.call("GET", "/v1/event-types")).json()["items"]
    assert [item["type"] for item in items if item["own"]] == ["invoice.created"]
    assert items[-1]["data_schema"] == EVENT_TYPE["schema"]
    assert {"type", "title", "group", "description", "schema", "example"} <= set(items[0]) & set(items[-1])


async def test_pages_of_types_lead_through_both(api: Client) -> None:
    for name in ("invoice.created", "invoice.paid", "claim.opened"):
        await register(api, f"/v1/event-types/{name}")
    names, cursor = list[str](), ""
    while True:
        page = (await api.call("GET", f"/v1/event-types?limit=7{cursor}")).json()
        names += [item["type"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert names[-3:] == ["claim.opened", "invoice.created", "invoice.paid"]
    assert names == [item["type"] for item in (await api.call("GET", "/v1/event-types")).json()["items"]]


async def test_an_event_fits_the_schema_that_its_type_shows(api: Client) -> None:
    shown = (await register(api)).json()
    validator = jsonschema.Draft202012Validator(shown["schema"])
    validator.validate((await post(api)).json())
    validator.validate(shown["example"])


@pytest.mark.parametrize(
    "name", ["invoice", "Invoice.made", "shipment.made", "tracking.x", "delivery.late", "webhook.y", "a.b.%2A"]
)
async def test_a_name_that_cannot_be_a_type_is_refused(api: Client, name: str) -> None:
    assert (await api.call("PUT", f"/v1/event-types/{name}", EVENT_TYPE)).status == 422


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"schema": {"$ref": "https://elsewhere.example/x"}}, "/schema/$ref"),
        ({"schema": 5}, "/schema"),
        ({"example": {"number": 5, "total": {}}}, "/example/number"),
        ({"example": []}, "/example"),
        ({"title": "x" * 201}, "/title"),
        ({"colour": "red"}, "/colour"),
        ({"created_at": "2026-11-27T14:05:00Z"}, "/created_at"),
    ],
)
async def test_a_wrong_type_names_the_place(api: Client, given: dict[str, Any], path: str) -> None:
    reply = await api.call("PUT", INVOICE, EVENT_TYPE | given)
    assert (reply.status, path in reply.places()) == (422, True)
    assert (await api.call("GET", INVOICE)).status == 404


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"type": "invoice.paid"}, "/type"),
        ({"type": "shipment.created"}, "/type"),
        ({"key": "shp_1"}, "/key"),
        ({"key": ""}, "/key"),
        ({"key": LEFT_OUT}, "/key"),
        ({"id": "evt_1"}, "/id"),
        ({"id": "stream"}, "/id"),
        ({"id": ".."}, "/id"),
        ({"occurred_at": "yesterday"}, "/occurred_at"),
        ({"data": []}, "/data"),
        ({"data": {"number": "R-1", "total": {"amount": "6", "currency": "EUR"}}}, "/data/total/amount"),
        ({"data": {"number": "x" * 300_000, "total": {}}}, "/data"),
        ({"sequence": 3}, "/sequence"),
    ],
)
async def test_a_wrong_event_names_the_place(api: Client, given: dict[str, Any], path: str) -> None:
    await register(api)
    reply = await post(api, **given)
    assert (reply.status, path in reply.places()) == (422, True), reply.body
    assert (await api.call("GET", "/v1/events")).json()["items"] == []


async def test_a_number_beyond_all_bounds_is_400(api: Client) -> None:
    await register(api)
    body = b'{"type":"invoice.created","key":"R-1","data":{"number":1e999}}'
    reply = await api.call("POST", "/v1/events", body=body, headers={"Content-Type": "application/json"})
    assert reply.status == 400


async def test_data_goes_into_the_event_as_it_was_written_on_one_line(api: Client) -> None:
    await register(api, schema=True, example=None)
    body = b'{"type":"invoice.created","key":"R-1","data":{"total" :\n 1.50, "big": 12345678901234567890123}}'
    reply = await api.call("POST", "/v1/events", body=body, headers={"Content-Type": "application/json"})
    assert b'"data":{"total":1.50,"big":12345678901234567890123}' in reply.body
    assert b"\n" not in reply.body


async def test_the_same_event_again_answers_the_first_also_under_another_schema(api: Client) -> None:
    await register(api)
    first = await post(api)
    await register(api, schema=False, example=None)
    again = await post(api)
    assert (again.status, again.body) == (200, first.body)
    assert (await post(api, key="R-9")).status == 409
    assert (await post(api, id="another")).status == 422


@pytest.mark.parametrize(("before", "after"), [("true", "1"), ("0.1", '"0.1"'), ("0.1", "0.10000000000000000001")])
async def test_data_that_only_looks_the_same_is_other_content(api: Client, before: str, after: str) -> None:
    await register(api, schema=True, example=None)
    json = {"Content-Type": "application/json"}
    bodies = [body_with_data(value) for value in (before, before, after)]
    answers = [await api.call("POST", "/v1/events", body=body, headers=json) for body in bodies]
    assert [reply.status for reply in answers] == [201, 200, 409]


async def test_an_idempotency_key_works(api: Client) -> None:
    await register(api)
    replies = [await post(api, {"Idempotency-Key": "k"}, id=None) for _ in range(2)]
    assert [reply.status for reply in replies] == [201, 201]
    assert replies[0].body == replies[1].body
    assert (await post(api, {"Idempotency-Key": "k"}, id=None, key="R-2")).status == 422


async def test_endpoints_may_name_own_types_and_patterns_of_them(api: Client) -> None:
    hook = {"url": "https://192.0.2.1/hook", "events": ["invoice.*", "invoice.created"]}
    assert (await api.call("POST", "/v1/endpoints", hook)).places().keys() == {"/events/0", "/events/1"}
    await register(api)
    endpoint = (await api.call("POST", "/v1/endpoints", hook)).json()
    path = f"/v1/endpoints/{endpoint['id']}"
    assert (await api.call("PATCH", path, {"events": ["invoice.created", "shipment.*"]})).status == 200
    assert (await api.call("PATCH", path, {"events": ["invoice.sent"]})).status == 422


async def test_an_endpoint_can_be_changed_although_its_type_is_gone(api: Client) -> None:
    await register(api)
    hook = {"url": "https://192.0.2.1/hook", "events": ["invoice.*"]}
    endpoint = (await api.call("POST", "/v1/endpoints", hook)).json()
    assert (await api.call("DELETE", INVOICE)).status == 204
    changed = await api.call("PATCH", f"/v1/endpoints/{endpoint['id']}", {"description": "Ledger"})
    assert (changed.status, changed.json()["events"]) == (200, ["invoice.*"])


async def test_own_events_are_owed_listed_and_resent_like_others_but_never_through_a_filter(api: Client) -> None:
    await register(api)
    hook = {"url": "https://192.0.2.1/hook", "events": ["invoice.*"]}
    ledger = (await api.call("POST", "/v1/endpoints", hook)).json()["id"]
    filtered = (await api.call("POST", "/v1/endpoints", hook | {"filter": {"countries": ["IS"]}})).json()["id"]
    event = (await post(api)).json()
    assert (await api.call("GET", f"/v1/endpoints/{ledger}/events")).json()["items"] == [event]
    assert (await api.call("GET", f"/v1/endpoints/{filtered}/events")).json()["items"] == []
    listed = (await api.call("GET", f"/v1/endpoints/{ledger}/deliveries?type=invoice.*")).json()["items"]
    assert [(item["event_id"], item["state"], item["reference"]) for item in listed] == [(event["id"], "waiting", None)]
    assert (await api.call("GET", f"/v1/endpoints/{ledger}/deliveries/{event['id']}")).status == 200
    assert (await api.call("POST", f"/v1/endpoints/{ledger}/deliveries/{event['id']}/resend")).status == 202
    assert (await api.call("GET", f"/v1/endpoints/{ledger}/deliveries?type=invoice.sent")).status == 400


async def test_a_test_may_send_the_example_of_an_own_type(api: Client, delivery: QuietDelivery) -> None:
    await register(api)
    await register(api, "/v1/event-types/claim.opened", example=None)
    endpoint = (await api.call("POST", "/v1/endpoints", {"url": "https://192.0.2.1/hook"})).json()["id"]
    path = f"/v1/endpoints/{endpoint}/test"
    assert (await api.call("POST", path, {"type": "invoice.created"})).status == 200
    assert [name for _, _, name in delivery.tests] == ["invoice.created"]
    assert "no example" in (await api.call("POST", path, {"type": "claim.opened"})).places()["/type"]
    assert "did you mean" in (await api.call("POST", path, {"type": "invoice.creatd"})).places()["/type"]


async def test_a_type_with_events_is_not_deleted(api: Client) -> None:
    await register(api)
    await post(api)
    assert (await api.call("DELETE", INVOICE)).status == 409
    assert (await api.call("DELETE", "/v1/event-types/shipment.created")).status == 404


@on_both_databases
async def test_accounts_see_nothing_of_each_others_types_and_events(api: Client, caller: TokenMaker) -> None:
    fossvik = await caller("shipments:write", "endpoints:write", "read", account="fossvik")
    await register(fossvik)
    event = (await post(fossvik)).json()
    for path in (INVOICE, f"/v1/events/{event['id']}"):
        assert (await api.call("GET", path)).status == 404
    assert (await api.call("DELETE", INVOICE)).status == 404
    assert (await post(api)).places().keys() == {"/type"}
    assert not any(item["own"] for item in (await api.call("GET", "/v1/event-types")).json()["items"])
    await register(api)
    assert (await post(api)).status == 201
