from urllib.parse import quote

import msgspec
import pytest

from api.asgi_client import Client
from api.conftest import TokenMaker, on_both_databases


async def put(api: Client, reference: str, **document: object) -> str:
    reply = await api.call("PUT", f"/v1/shipments/{reference}", document)
    assert reply.status in (200, 201), reply.body
    return str(reply.json()["shipment"]["id"])


async def test_a_new_reference_is_created_with_its_events(api: Client) -> None:
    reply = await api.call("PUT", "/v1/shipments/SO-1", {"tags": ["priority"]})
    assert reply.status == 201
    assert reply.headers["etag"] == '"1"'
    assert list(reply.json()) == ["shipment", "events", "stale"]
    assert reply.json()["shipment"]["reference"] == "SO-1"
    assert [event["type"] for event in reply.json()["events"]] == ["shipment.created", "shipment.status.booked"]
    assert list(reply.json()["events"][0]) == ["id", "type", "sequence", "position"]


async def test_the_same_document_again_makes_nothing(api: Client) -> None:
    await put(api, "SO-1", tags=["priority"])
    reply = await api.call("PUT", "/v1/shipments/SO-1", {"tags": ["priority"]})
    assert (reply.status, reply.headers["etag"], reply.json()["events"]) == (200, '"1"', [])


async def test_a_lower_revision_is_stale_and_changes_nothing(api: Client) -> None:
    await put(api, "SO-1", revision=7)
    reply = await api.call("PUT", "/v1/shipments/SO-1", {"revision": 6, "tags": ["late"]})
    assert (reply.status, reply.json()["stale"], reply.json()["events"]) == (200, True, [])
    assert reply.json()["shipment"]["tags"] == []


async def test_get_answers_the_shipment_itself_by_reference_and_by_id(api: Client) -> None:
    shipment_id = await put(api, "SO-1")
    by_reference = await api.call("GET", "/v1/shipments/SO-1")
    by_id = await api.call("GET", f"/v1/shipments/{shipment_id}")
    assert by_reference.body == by_id.body
    assert by_reference.headers["etag"] == '"1"'
    assert by_reference.json()["reference"] == "SO-1"


@on_both_databases
@pytest.mark.parametrize("reference", ["A/B 7", "Þorlákur&Co", "50%", "a+b", "x?y#z", "..a", "日本"])
async def test_a_reference_may_hold_any_character_percent_encoded(api: Client, reference: str) -> None:
    encoded = quote(reference, safe="")
    await put(api, encoded)
    reply = await api.call("GET", f"/v1/shipments/{encoded}/events")
    assert {event["reference"] for event in reply.json()["items"]} == {reference}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/shipments/%FF", 400),
        ("/v1/shipments/%C3", 400),
        ("/v1/shipments/a%00b", 422),
        ("/v1/shipments/%20a", 422),
        ("/v1/shipments/shp_1", 422),
        ("/v1/shipments/" + "x" * 256, 422),
        ("/v1/shipments//SO-1", 404),
        ("/v1/shipments/a/b", 404),
    ],
)
async def test_a_reference_that_cannot_be_one_is_refused(api: Client, path: str, status: int) -> None:
    reply = await api.call("PUT", path, {})
    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json")


async def test_a_reference_of_255_characters_works(api: Client) -> None:
    await put(api, "x" * 255)


async def test_if_match_lets_the_right_version_through_and_refuses_another(api: Client) -> None:
    await put(api, "SO-1")
    change = {"tags": ["a"]}
    refused = await api.call("PUT", "/v1/shipments/SO-1", change, headers={"If-Match": '"2"'})
    taken = await api.call("PUT", "/v1/shipments/SO-1", change, headers={"If-Match": '"1"'})
    assert (refused.status, taken.status, taken.headers["etag"]) == (412, 200, '"2"')


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ('"2", "1"', 200),
        ('"7,1",, W/"2" , "1",', 200),
        ("*", 200),
        ('"2", "3"', 412),
        ('W/"1"', 412),
        ('"01"', 412),
        ('"1,2"', 412),
        ('""', 412),
        ("1", 400),
        ('"1" "2"', 400),
        ('"1", *', 400),
        ('w/"1"', 400),
        ('"1', 400),
        (",", 400),
        ('"1"' + ", " * 5000 + "x", 400),
    ],
)
async def test_if_match_takes_a_list_of_which_one_strong_tag_must_fit(api: Client, given: str, status: int) -> None:
    await put(api, "SO-1")
    reply = await api.call("PATCH", "/v1/shipments/SO-1", {"tags": ["a"]}, headers={"If-Match": given})
    assert reply.status == status


@pytest.mark.parametrize(("given", "status"), [("*", 412), ('"1"', 412), ('"abc"', 412), ("1", 400), ('W/"1"', 412)])
async def test_if_match_on_a_shipment_that_does_not_exist(api: Client, given: str, status: int) -> None:
    reply = await api.call("PUT", "/v1/shipments/SO-1", {}, headers={"If-Match": given})
    assert reply.status == status
    assert (await api.call("GET", "/v1/shipments/SO-1")).status == 404


async def test_patch_takes_json_and_merge_patch(api: Client) -> None:
    await put(api, "SO-1", tags=["a"])
    for media_type, tags in (("application/json", ["b"]), ("application/merge-patch+json", ["c"])):
        body = msgspec.json.encode({"tags": tags})
        reply = await api.call("PATCH", "/v1/shipments/SO-1", body=body, headers={"Content-Type": media_type})
        assert (reply.status, reply.json()["shipment"]["tags"]) == (200, tags)


async def test_tracking_events_answer_what_followed(api: Client) -> None:
    await put(api, "SO-1")
    scan = {"id": "scan-1", "status": "collected", "occurred_at": "2026-11-23T08:00:00Z"}
    reply = await api.call("POST", "/v1/shipments/SO-1/tracking-events", scan)
    types = [event["type"] for event in reply.json()["events"]]
    assert (reply.status, types) == (200, ["tracking.event_recorded", "shipment.status.collected"])


async def test_cancel_needs_no_body_and_cancelling_again_does_nothing(api: Client) -> None:
    await put(api, "SO-1")
    first = await api.call("POST", "/v1/shipments/SO-1/cancel")
    again = await api.call("POST", "/v1/shipments/SO-1/cancel", {"reason": "twice"})
    assert [event["type"] for event in first.json()["events"]] == ["shipment.status.cancelled"]
    assert (again.status, again.json()["events"]) == (200, [])


async def test_a_delivered_shipment_cannot_be_cancelled(api: Client) -> None:
    await put(api, "SO-1", status="delivered")
    reply = await api.call("POST", "/v1/shipments/SO-1/cancel")
    assert (reply.status, reply.json()["type"]) == (409, "https://waypost.example/problems/conflict")


async def test_delete_erases_personal_data_and_says_when(api: Client) -> None:
    await put(api, "SO-1", parties={"consignee": {"name": "Eva Lind", "address": {"country": "SE"}}})
    assert (await api.call("DELETE", "/v1/shipments/SO-1")).status == 204
    shipment = await api.call("GET", "/v1/shipments/SO-1")
    events = await api.call("GET", "/v1/shipments/SO-1/events")
    assert shipment.json()["erased_at"] is not None
    assert b"Eva Lind" not in shipment.body + events.body


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"tags": []}),
        ("POST", "/tracking-events", {"status": "collected", "occurred_at": "2026-11-23T08:00:00Z"}),
        ("POST", "/cancel", None),
        ("DELETE", "", None),
        ("GET", "/events", None),
    ],
)
@pytest.mark.parametrize("name", ["SO-9", "shp_01KA0000000000000000000000"])
async def test_an_unknown_shipment_is_not_found(api: Client, method: str, path: str, body: object, name: str) -> None:
    reply = await api.call(method, f"/v1/shipments/{name}{path}", body)
    assert (reply.status, reply.json()["status"]) == (404, 404)


@on_both_databases
async def test_pages_hold_every_shipment_once(api: Client) -> None:
    names = {f"SO-{number}" for number in range(7)}
    for name in names:
        await put(api, name)
    seen: list[str] = []
    target = "/v1/shipments?limit=3"
    while target:
        page = (await api.call("GET", target)).json()
        seen += [item["reference"] for item in page["items"]]
        target = page["next"] and f"/v1/shipments?limit=3&cursor={page['next']}"
    assert sorted(seen) == sorted(names)


@on_both_databases
async def test_filters_are_handed_on(api: Client) -> None:
    await put(api, "SO-1", status="draft", carrier={"id": "norrsund"})
    await put(api, "SO-2", carrier={"id": "norrsund"})
    await put(api, "XX-3")
    for query, found in (
        ("status=draft", ["SO-1"]),
        ("carrier=norrsund&status=booked", ["SO-2"]),
        ("q=xx", ["XX-3"]),
        ("condition=delayed", []),
        ("updated_since=2100-01-01T00:00:00Z", []),
    ):
        page = (await api.call("GET", f"/v1/shipments?{query}")).json()
        assert [item["reference"] for item in page["items"]] == found, query


async def test_a_shipments_events_go_on_after_a_sequence(api: Client) -> None:
    await put(api, "SO-1")
    first = (await api.call("GET", "/v1/shipments/SO-1/events?limit=1")).json()
    second = (await api.call("GET", f"/v1/shipments/SO-1/events?after={first['next']}")).json()
    assert [event["sequence"] for event in first["items"] + second["items"]] == [1, 2]
    assert (first["next"], second["next"]) == (1, None)


async def test_the_actor_is_the_token_by_its_name(caller: TokenMaker) -> None:
    api = await caller("shipments:write", "read")
    await put(api, "SO-1")
    await put(api, "SO-1", tags=["a"])
    events = (await api.call("GET", "/v1/shipments/SO-1/events")).json()["items"]
    assert events[-1]["data"]["actor"] == {"kind": "api", "token": "tms"}
