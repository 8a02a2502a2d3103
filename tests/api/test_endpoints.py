from typing import Any

import pytest

from api.asgi_client import Client, Reply
from api.conftest import ManualClock, QuietDelivery, TokenMaker, on_both_databases
from waypost.api.checks import READ_ONLY

URL = "https://192.0.2.1/hooks/waypost"


async def make(api: Client, **fields: Any) -> dict[str, Any]:
    reply = await api.call("POST", "/v1/endpoints", {"url": URL, **fields})
    assert reply.status == 201, reply.body
    made: dict[str, Any] = reply.json()
    return made


async def book(api: Client, *references: str) -> None:
    for reference in references:
        assert (await api.call("PUT", f"/v1/shipments/{reference}", {})).status == 201


async def test_a_new_endpoint_is_answered_with_every_field_and_its_secret_once(api: Client) -> None:
    made = await make(api, description="ERP", events=["shipment.status.*"], filter={"countries": ["IS"]})
    assert list(made) == [
        "id", "url", "description", "metadata", "events", "filter", "payload", "personal_data", "format", "ordering",
        "auth", "headers", "signature", "timeout_seconds", "max_in_flight", "rate_per_second", "retry_schedule",
        "coalesce", "start", "api_version", "state", "state_reason", "state_since", "waiting", "waiting_more",
        "created_at", "updated_at", "secret",
    ]  # fmt: skip
    assert made["secret"].startswith("whsec_")
    assert (made["timeout_seconds"], made["retry_schedule"][0], made["state"]) == (15, 5, "active")
    read = (await api.call("GET", f"/v1/endpoints/{made['id']}")).json()
    assert read == {name: value for name, value in made.items() if name != "secret"}


async def test_what_is_left_out_has_its_default(api: Client) -> None:
    made = await make(api)
    assert (made["events"], made["filter"], made["description"]) == (["shipment.*"], None, None)
    assert (made["payload"], made["auth"], made["signature"]) == ("full", {"type": "none"}, ["v1"])
    assert made["retry_schedule"] == [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]


async def test_null_is_the_default_of_every_field_that_has_one(api: Client) -> None:
    plain = await make(api)
    own = {"id", "secret", "state_since", "created_at", "updated_at"}
    for nulls in (dict.fromkeys(plain.keys() - own - {"url"}), {"batch_size": None, "batch_wait_ms": None}):
        fields = {name: value for name, value in nulls.items() if name not in READ_ONLY}
        made = await make(api, **fields)
        assert {name: made[name] for name in made.keys() - own} == {name: plain[name] for name in plain.keys() - own}


async def test_an_endpoint_may_be_given_a_rate_and_freed_of_it(api: Client) -> None:
    made = await make(api, rate_per_second=0.5)
    path = f"/v1/endpoints/{made['id']}"
    faster = (await api.call("PATCH", path, {"rate_per_second": 20})).json()
    free = (await api.call("PATCH", path, {"rate_per_second": None})).json()
    assert [shown["rate_per_second"] for shown in (made, faster, free)] == [0.5, 20, None]


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"url": None}, "/url", "text"),
    ({"url": "ftp://erp.example/"}, "/url", "http"),
    ({"url": "https://user:pass@erp.example/"}, "/url", "auth"),
    ({"description": 7}, "/description", "text"),
    ({"description": "x" * 1001}, "/description", "1000"),
    ({"metadata": []}, "/metadata", "object"),
    ({"metadata": {str(number): 1 for number in range(51)}}, "/metadata", "50"),
    ({"metadata": {"a": "x" * 17_000}}, "/metadata", "16 KiB"),
    ({"events": []}, "/events", "empty"),
    ({"events": ["shipment.stat*"]}, "/events/0", "star"),
    ({"filter": {"country": ["IS"]}}, "/filter/country", 'did you mean "countries"?'),
    ({"filter": {"countries": ["is"]}}, "/filter/countries/0", 'did you mean "IS"?'),
    ({"payload": "all"}, "/payload", "full, changes, reference"),
    ({"personal_data": "no"}, "/personal_data", "true or false"),
    ({"format": "cloudevent"}, "/format", 'did you mean "cloudevents"?'),
    ({"batch_size": 501}, "/batch_size", "1 to 500"),
    ({"batch_wait_ms": -1}, "/batch_wait_ms", "0 to 60000"),
    ({"ordering": "strict"}, "/ordering", "shipment, none"),
    ({"auth": {"type": "digest"}}, "/auth/type", "basic"),
    ({"auth": {"type": "basic", "username": "u"}}, "/auth/password", "missing"),
    ({"auth": {"type": "bearer", "token": "t", "tokn": "u"}}, "/auth/tokn", 'did you mean "token"?'),
    ({"headers": {"Host": "internal"}}, "/headers/Host", "host"),
    ({"headers": {"X A": "1"}}, "/headers/X A", "letters"),
    ({"headers": {"X-A": "a\r\nb"}}, "/headers/X-A", "ASCII"),
    ({"headers": {"X-A": 1}}, "/headers/X-A", "text"),
    ({"headers": {"webhook-id": "1"}}, "/headers/webhook-id", "Waypost"),
    ({"signature": []}, "/signature", "v1"),
    ({"signature": ["v2"]}, "/signature/0", "v1, v1a"),
    ({"timeout_seconds": 0.5}, "/timeout_seconds", "1 to 60"),
    ({"timeout_seconds": True}, "/timeout_seconds", "1 to 60"),
    ({"max_in_flight": 257}, "/max_in_flight", "1 to 256"),
    ({"max_in_flight": 1.5}, "/max_in_flight", "whole number"),
    ({"rate_per_second": 0}, "/rate_per_second", "0.001"),
    ({"rate_per_second": 10_001}, "/rate_per_second", "10000"),
    ({"rate_per_second": "5"}, "/rate_per_second", "number"),
    ({"retry_schedule": []}, "/retry_schedule", "1 to 30"),
    ({"retry_schedule": [5, 0.05]}, "/retry_schedule/1", "0.1 to 604800"),
    ({"retry_schedule": [1] * 31}, "/retry_schedule", "1 to 30"),
    ({"coalesce": 1}, "/coalesce", "true or false"),
    ({"start": "yesterday"}, "/start", "time"),
    ({"start": "2026-11-23T13:31:00"}, "/start", "zone"),
    ({"start": -1}, "/start", "0 to"),
    ({"start": 5}, "/start", "position 0"),
    ({"timeout_second": 5}, "/timeout_second", 'did you mean "timeout_seconds"?'),
    ({"state": "paused"}, "/state", "read-only"),
    ({"secret": "whsec_x"}, "/secret", "read-only"),
]


@pytest.mark.parametrize(("fields", "path", "words"), WRONG, ids=[f"{path} {words}" for _, path, words in WRONG])
async def test_a_wrong_field_is_named_and_nothing_is_made(
    api: Client, fields: dict[str, Any], path: str, words: str
) -> None:
    reply = await api.call("POST", "/v1/endpoints", {"url": URL, **fields})
    assert reply.status == 422, reply.body
    assert words in reply.places()[path]
    assert (await api.call("GET", "/v1/endpoints")).json()["items"] == []


async def test_an_endpoint_may_ask_to_be_told_less_while_it_is_behind(api: Client) -> None:
    endpoint = await make(api, coalesce=True)
    assert endpoint["coalesce"] is True
    changed = await api.call("PATCH", f"/v1/endpoints/{endpoint['id']}", {"coalesce": False})
    assert changed.json()["coalesce"] is False


async def test_all_wrong_fields_are_named_at_once(api: Client) -> None:
    reply = await api.call("POST", "/v1/endpoints", {"evnts": [], "timeout_seconds": 99})
    assert set(reply.places()) == {"/url", "/evnts", "/timeout_seconds"}


@pytest.mark.parametrize(
    ("path", "status", "allow"),
    [
        ("/v1/events", 405, "GET, HEAD, POST"),
        ("/v1/endpoints", 405, "GET, HEAD, POST"),
        ("/v1/event-types", 405, "GET, HEAD"),
        ("/v1/accounts/default/portal-links", 405, "POST"),
    ],
)
async def test_the_methods_that_are_named_are_those_that_do_something(
    api: Client, path: str, status: int, allow: str | None
) -> None:
    reply = await api.call("DELETE", path)
    assert (reply.status, reply.headers.get("allow")) == (status, allow)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://[::1]/", "http://169.254.169.254/latest", "http://0x7f.1/"]
)
async def test_an_address_that_is_not_allowed_is_refused_at_creation_and_at_change(api: Client, url: str) -> None:
    assert (await api.call("POST", "/v1/endpoints", {"url": url})).places().keys() == {"/url"}
    endpoint = await make(api)
    assert (await api.call("PATCH", f"/v1/endpoints/{endpoint['id']}", {"url": url})).status == 422
    assert (await api.call("GET", f"/v1/endpoints/{endpoint['id']}")).json()["url"] == URL


async def test_a_change_leaves_the_rest_as_it_was(api: Client) -> None:
    endpoint = await make(
        api, description="ERP", metadata={"team": "logistics", "tier": 1}, headers={"X-Key": "s3cret"}
    )
    patch = {"timeout_seconds": 2.5, "metadata": {"tier": None, "shift": "night"}, "events": ["*"]}
    changed = (await api.call("PATCH", f"/v1/endpoints/{endpoint['id']}", patch)).json()
    assert (changed["timeout_seconds"], changed["events"], changed["description"]) == (2.5, ["*"], "ERP")
    assert changed["metadata"] == {"team": "logistics", "shift": "night"}
    assert changed["headers"] == {"X-Key": "s3cret"}


async def test_null_brings_a_field_back_to_its_default(api: Client) -> None:
    endpoint = await make(api, filter={"countries": ["IS"]}, timeout_seconds=5, description="ERP")
    patch = {"filter": None, "timeout_seconds": None, "description": None}
    changed = (await api.call("PATCH", f"/v1/endpoints/{endpoint['id']}", patch)).json()
    assert (changed["filter"], changed["timeout_seconds"], changed["description"]) == (None, 15, None)


@pytest.mark.parametrize(
    ("patch", "path"),
    [({"url": None}, "/url"), ({"start": "beginning"}, "/start"), ({"id": None}, "/id"), ({"evnts": None}, "/evnts")],
)
async def test_a_change_that_cannot_be_is_named(api: Client, patch: dict[str, Any], path: str) -> None:
    endpoint = await make(api)
    reply = await api.call("PATCH", f"/v1/endpoints/{endpoint['id']}", patch)
    assert (reply.status, list(reply.places())) == (422, [path])


async def test_start_may_be_a_position_or_a_time(api: Client) -> None:
    await book(api, "SO-1")
    for start in (1, "beginning", "2026-11-23T13:31:00+02:00"):
        endpoint = await make(api, start=start)
        assert endpoint["start"] in (1, "beginning", "2026-11-23T11:31:00Z")
    assert (await api.call("GET", f"/v1/endpoints/{endpoint['id']}")).json()["waiting"] == 2


@on_both_databases
@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k1"}])
@pytest.mark.parametrize(
    ("fields", "waiting"),
    [
        ({}, 0),
        ({"start": "beginning"}, 4),
        ({"start": 1}, 3),
        ({"start": "2020-01-01T00:00:00Z", "events": ["shipment.created"]}, 2),
        ({"start": "beginning", "filter": {"references": ["SO-2"]}}, 2),
        ({"start": "beginning", "events": ["webhook.*"]}, 0),
    ],
)
async def test_a_new_endpoint_says_how_much_of_the_history_waits(
    api: Client, fields: dict[str, Any], waiting: int, headers: dict[str, str]
) -> None:
    await book(api, "SO-1", "SO-2")
    made = (await api.call("POST", "/v1/endpoints", {"url": URL, **fields}, headers=headers)).json()
    read = (await api.call("GET", f"/v1/endpoints/{made['id']}")).json()
    assert (made["waiting"], made["waiting_more"]) == (read["waiting"], read["waiting_more"]) == (waiting, False)


@on_both_databases
async def test_events_of_an_endpoint_are_what_it_is_owed(api: Client) -> None:
    endpoint = await make(api, events=["shipment.status.*"], start="beginning")
    await book(api, "SO-1", "SO-2")
    listed = (await api.call("GET", f"/v1/endpoints/{endpoint['id']}/events?limit=1")).json()
    rest = (await api.call("GET", f"/v1/endpoints/{endpoint['id']}/events?after={listed['next']}")).json()
    events = listed["items"] + rest["items"]
    assert [(event["type"], event["position"]) for event in events] == [
        ("shipment.status.booked", 2),
        ("shipment.status.booked", 4),
    ]
    assert rest["next"] is None


@on_both_databases
async def test_pause_and_resume_answer_the_endpoint(api: Client) -> None:
    endpoint = await make(api)
    path = f"/v1/endpoints/{endpoint['id']}"
    paused = await api.call("POST", f"{path}/pause")
    again = await api.call("POST", f"{path}/pause")
    assert (paused.status, paused.json()["state"], again.json()["state"]) == (200, "paused", "paused")
    await book(api, "SO-1")
    assert (await api.call("GET", path)).json()["waiting"] == 2
    resumed = await api.call("POST", f"{path}/resume")
    assert (resumed.status, resumed.json()["state"], resumed.json()["waiting"]) == (200, "active", 2)


async def test_resuming_an_active_endpoint_is_fine_and_says_so(api: Client) -> None:
    endpoint = await make(api)
    reply = await api.call("POST", f"/v1/endpoints/{endpoint['id']}/resume")
    assert (reply.status, reply.json()["state"]) == (200, "active")
    assert "already" in reply.json()["state_reason"]
    assert (await api.call("GET", f"/v1/endpoints/{endpoint['id']}")).json()["state_reason"] is None


async def test_a_rotation_gives_a_new_secret_and_the_end_of_the_old_one(api: Client) -> None:
    endpoint = await make(api)
    path = f"/v1/endpoints/{endpoint['id']}/secret"
    assert (await api.call("GET", path)).json() == {"secret": endpoint["secret"], "previous_expires_at": None}
    rotated = (await api.call("POST", f"{path}/rotate", {"overlap_seconds": 60})).json()
    assert rotated["secret"] != endpoint["secret"]
    assert rotated["previous_expires_at"] is not None
    assert (await api.call("GET", path)).json() == rotated
    at_once = (await api.call("POST", f"{path}/rotate", {"overlap_seconds": 0})).json()
    assert at_once["previous_expires_at"] is None


async def test_the_overlap_is_a_day_unless_told(api: Client) -> None:
    endpoint = await make(api)
    assert (await api.call("POST", f"/v1/endpoints/{endpoint['id']}/secret/rotate")).json()["previous_expires_at"]
    reply = await api.call("POST", f"/v1/endpoints/{endpoint['id']}/secret/rotate", {"overlap_seconds": -1})
    assert reply.places().keys() == {"/overlap_seconds"}


async def test_values_of_headers_are_hidden_from_tokens_that_may_not_change_them(
    api: Client, caller: TokenMaker
) -> None:
    endpoint = await make(api, headers={"X-Key": "s3cret"})
    reader = await caller("read")
    path = f"/v1/endpoints/{endpoint['id']}"
    assert (await reader.call("GET", path)).json()["headers"] == {"X-Key": "(hidden)"}
    assert b"s3cret" not in (await reader.call("GET", "/v1/endpoints")).body
    assert (await api.call("GET", path)).json()["headers"] == {"X-Key": "s3cret"}


async def test_a_deleted_endpoint_is_gone(api: Client) -> None:
    endpoint = await make(api)
    assert (await api.call("DELETE", f"/v1/endpoints/{endpoint['id']}")).status == 204
    assert (await api.call("DELETE", f"/v1/endpoints/{endpoint['id']}")).status == 404
    assert (await api.call("GET", f"/v1/endpoints/{endpoint['id']}")).status == 404


async def test_pages_of_endpoints(api: Client) -> None:
    made = [(await make(api))["id"] for _ in range(3)]
    first = (await api.call("GET", "/v1/endpoints?limit=2")).json()
    second = (await api.call("GET", f"/v1/endpoints?limit=2&cursor={first['next']}")).json()
    assert [item["id"] for item in first["items"] + second["items"]] == made
    assert second["next"] is None


async def test_the_test_button_sends_the_chosen_type(api: Client, delivery: QuietDelivery) -> None:
    endpoint = await make(api)
    path = f"/v1/endpoints/{endpoint['id']}/test"
    chosen = await api.call("POST", path, {"type": "shipment.status.delivered"})
    await api.call("POST", path)
    assert (chosen.status, list(chosen.json())) == (200, ["verdict", "explanation", "event_id", "attempt"])
    assert list(chosen.json()["attempt"]) == [
        "number", "started_at", "outcome", "status", "address", "reused_connection", "timings_ms",
        "request", "response",
    ]  # fmt: skip
    assert [kind for _, _, kind in delivery.tests] == ["shipment.status.delivered", None]


async def test_a_type_that_does_not_exist_cannot_be_tested(api: Client, delivery: QuietDelivery) -> None:
    endpoint = await make(api)
    reply = await api.call("POST", f"/v1/endpoints/{endpoint['id']}/test", {"type": "shipment.status.deliverd"})
    assert 'did you mean "shipment.status.delivered"?' in reply.places()["/type"]
    assert delivery.tests == []


async def test_an_endpoint_is_tested_20_times_at_once_and_60_times_a_minute(api: Client, clock: ManualClock) -> None:
    endpoint, other = await make(api), await make(api)

    async def press(one: dict[str, Any]) -> Reply:
        return await api.call("POST", f"/v1/endpoints/{one['id']}/test")

    assert [(await press(endpoint)).status for _ in range(21)] == [200] * 20 + [429]
    assert (await press(endpoint)).headers["retry-after"] == "1"
    assert (await press(other)).status == 200
    clock.ahead_s += 1.01
    assert [(await press(endpoint)).status for _ in range(2)] == [200, 429]


async def test_deliveries_of_a_quiet_endpoint(api: Client) -> None:
    endpoint = await make(api, events=["shipment.created"], start="beginning")
    await book(api, "SO-1")
    path = f"/v1/endpoints/{endpoint['id']}/deliveries"
    (listed,) = (await api.call("GET", path)).json()["items"]
    assert (listed["type"], listed["reference"], listed["state"]) == ("shipment.created", "SO-1", "waiting")
    one = (await api.call("GET", f"{path}/{listed['event_id']}")).json()
    assert list(one) == [
        "event_id", "type", "reference", "state", "state_reason", "next_attempt_at", "waits_for", "attempts",
    ]  # fmt: skip
    resent = await api.call("POST", f"{path}/{listed['event_id']}/resend")
    assert (resent.status, resent.json()["state"]) == (202, "waiting")


@pytest.mark.parametrize(
    ("query", "references"),
    [
        ("type=shipment.created", ["SO-2", "SO-1"]),
        ("type=shipment.*", ["SO-2", "SO-2", "SO-1", "SO-1"]),
        ("type=*", ["SO-2", "SO-2", "SO-1", "SO-1"]),
        ("type=tracking.*", []),
        ("shipment=SO-1", ["SO-1", "SO-1"]),
        ("shipment=SO-1&type=shipment.status.*", ["SO-1"]),
        ("shipment=SO-1&type=webhook.test", []),
        ("state=waiting&type=shipment.status.*", ["SO-2", "SO-1"]),
        ("state=skipped", []),
    ],
)
async def test_deliveries_are_listed_by_state_type_and_shipment(api: Client, query: str, references: list[str]) -> None:
    endpoint = await make(api, start="beginning")
    await book(api, "SO-1", "SO-2")
    listed = (await api.call("GET", f"/v1/endpoints/{endpoint['id']}/deliveries?{query}")).json()["items"]
    assert [delivery["reference"] for delivery in listed] == references


async def test_a_type_of_deliveries_that_does_not_exist_is_answered_with_the_near_one(api: Client) -> None:
    endpoint = await make(api)
    reply = await api.call("GET", f"/v1/endpoints/{endpoint['id']}/deliveries?type=shipment.status.deliverd")
    assert (reply.status, list(reply.places())) == (400, ["?type"])
    assert reply.json()["detail"].endswith('did you mean "shipment.status.delivered"?')


@pytest.mark.parametrize("query", ["state=lost", "since=today", "shipment=", "cursor=%21%21", "type=shipment.stat*"])
async def test_a_wrong_filter_of_deliveries_is_400(api: Client, query: str) -> None:
    endpoint = await make(api)
    assert (await api.call("GET", f"/v1/endpoints/{endpoint['id']}/deliveries?{query}")).status == 400


async def test_stats_of_an_endpoint_that_was_never_tried(api: Client) -> None:
    endpoint = await make(api)
    stats = (await api.call("GET", f"/v1/endpoints/{endpoint['id']}/stats?window=7d")).json()
    assert stats["attempts"] == {"delivered": 0, "retrying": 0, "failed": 0}
    assert (stats["latency_ms"], stats["state"]) == ({"p50": None, "p99": None}, "active")


@on_both_databases
async def test_the_start_of_an_endpoint_that_was_never_active_can_be_moved(api: Client) -> None:
    await book(api, "SO-1", "SO-2")
    draft = await make(api, paused=True, events=["shipment.created"])
    assert (draft["state"], draft["waiting"]) == ("paused", 0)
    path = f"/v1/endpoints/{draft['id']}"
    await api.call("PATCH", path, {"start": "beginning", "events": ["shipment.*"]})
    moved = (await api.call("GET", path)).json()
    assert (moved["start"], moved["waiting"]) == ("beginning", 4)
    await api.call("PATCH", path, {"start": "now"})
    assert (await api.call("GET", path)).json()["waiting"] == 0
    await book(api, "SO-3")
    await api.call("PATCH", path, {"start": "now"})  # this moment, not that of the change before
    assert (await api.call("GET", path)).json()["waiting"] == 0
    await api.call("POST", f"{path}/resume")
    for _ in range(2):  # also when it is paused again
        reply = await api.call("PATCH", path, {"start": "beginning"})
        assert (reply.status, list(reply.places())) == (422, ["/start"])
        await api.call("POST", f"{path}/pause")


async def test_paused_is_a_truth_value(api: Client) -> None:
    reply = await api.call("POST", "/v1/endpoints", {"url": URL, "paused": "yes"})
    assert (reply.status, list(reply.places())) == (422, ["/paused"])


async def test_a_change_that_was_meant_for_other_settings_is_not_made(api: Client) -> None:
    endpoint = await make(api)
    path = f"/v1/endpoints/{endpoint['id']}"
    tag = dict((await api.call("GET", path)).headers)["etag"]
    await api.call("POST", f"{path}/pause")  # how it stands is none of its settings
    mine = await api.call("PATCH", path, {"timeout_seconds": 20}, headers={"If-Match": tag})
    theirs = await api.call("PATCH", path, {"timeout_seconds": 30}, headers={"If-Match": tag})
    assert (mine.status, theirs.status) == (200, 412)
    assert (await api.call("GET", path)).json()["timeout_seconds"] == 20
    assert (await api.call("PATCH", path, {"timeout_seconds": 30}, headers={"If-Match": "*"})).status == 200
