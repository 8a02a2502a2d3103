"""Every way in which a request can be wrong is a 4xx that names the place, and stores nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import msgspec
import psycopg
import pytest
from structlog.testing import capture_logs

from api.asgi_client import Client, Reply
from api.conftest import QuietDelivery, on_both_databases
from waypost.errors import PROBLEM_BASE

JSON = {"Content-Type": "application/json"}


async def put_bytes(api: Client, body: bytes, headers: dict[str, str] | None = None) -> Reply:
    return await api.call("PUT", "/v1/shipments/SO-1", body=body, headers=headers or JSON)


async def assert_nothing_is_stored(api: Client) -> None:
    assert (await api.call("GET", "/v1/shipments/SO-1")).status == 404
    assert (await api.call("GET", "/v1/events")).json() == {"items": [], "next": None}


def assert_problem(reply: Reply, status: int, kind: str) -> None:
    problem = reply.json()
    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json")
    assert list(problem) == ["type", "title", "status", "detail", "request_id", "errors"]
    assert (problem["type"], problem["status"]) == (PROBLEM_BASE + kind, status)
    assert problem["request_id"] == reply.headers["x-request-id"]


@pytest.mark.parametrize(
    ("document", "path", "words"),
    [
        ({"parties": {"consigne": {}}}, "/parties/consigne", 'did you mean "consignee"?'),
        ({"tags": "priority"}, "/tags", "list"),
        ({"handling_units": [{"sscc": "347401230000187311"}]}, "/handling_units/0/sscc", "check digit"),
        ({"stops": [{"window": {"date": "2026-02-30"}}]}, "/stops/0/window/date", "date"),
        ({"eta": {"at": "2026-11-30T15:00:00"}}, "/eta/at", "zone"),
        ({"version": 3}, "/version", "read-only"),
    ],
)
async def test_a_wrong_document_is_refused_with_the_place(
    api: Client, document: dict[str, Any], path: str, words: str
) -> None:
    reply = await api.call("PUT", "/v1/shipments/SO-1", document)
    assert_problem(reply, 422, "invalid-document")
    assert words in reply.places()[path]
    await assert_nothing_is_stored(api)


async def test_all_wrong_places_are_named_at_once(api: Client) -> None:
    document = {"parties": {"consigne": {}}, "eta": {"at": "yesterday"}, "is_return": "no"}
    reply = await api.call("PUT", "/v1/shipments/SO-1", document)
    assert set(reply.places()) == {"/parties/consigne", "/eta/at", "/is_return"}
    assert "3" in reply.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nul",
        b'{"tags": []} {}',
        b'{"tags": ["\xff"]}',
        b'{"tags": ["\xed\xa0\x80"]}',
        b'{"tags": ["a\\u0000b"]}',
        b'{"tags": ["\\ud800"]}',
        b'{"tags": [], "tags": ["x"]}',
        b"[" * 65 + b"]" * 65,
        b'{"a":' * 100_000,
        b'{"revision": ' + b"9" * 100_000 + b"}",
    ],
)
async def test_a_body_that_cannot_be_read_is_400(api: Client, body: bytes) -> None:
    reply = await put_bytes(api, body)
    assert_problem(reply, 400, "bad-request")
    await assert_nothing_is_stored(api)


@pytest.mark.parametrize("target", ["/v1/endpoints", "/v1/accounts", "/v1/sources", "/v1/accounts/default/tokens"])
@pytest.mark.parametrize("body", [b"", b"{", b'{"\xff": 1}', b'{"a":' * 65 + b"1" + b"}" * 65, b'{"a": 1, "a": 2}'])
async def test_the_other_bodies_are_read_as_strictly(api: Client, target: str, body: bytes) -> None:
    assert_problem(await api.call("POST", target, body=body, headers=JSON), 400, "bad-request")


@pytest.mark.parametrize("body", ["[]", "1", '"x"', "null"])
async def test_a_body_that_is_no_object_is_422(api: Client, body: str) -> None:
    reply = await put_bytes(api, body.encode())
    assert_problem(reply, 422, "invalid-document")
    assert list(reply.places()) == [""]


@pytest.mark.parametrize("pieces", [1, 7])
async def test_a_body_over_1_mib_is_413_however_it_comes(api: Client, pieces: int) -> None:
    size = (1024 * 1024 + 8) // pieces
    reply = await api.call("PUT", "/v1/shipments/SO-1", body=[b" " * size] * pieces + [b"{}" + b" " * 20], headers=JSON)
    assert_problem(reply, 413, "too-large")
    await assert_nothing_is_stored(api)


async def test_a_body_of_exactly_1_mib_is_read(api: Client) -> None:
    reply = await put_bytes(api, b"{}" + b" " * (1024 * 1024 - 2))
    assert reply.status == 201


async def test_a_body_that_says_it_is_too_large_is_refused(api: Client) -> None:
    headers = {**JSON, "Content-Length": str(1024 * 1024 + 1)}
    assert_problem(await put_bytes(api, b"{}", headers), 413, "too-large")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": ""},
        {"Content-Type": "application/json; charset=iso-8859-1"},
        {"Content-Type": "application/merge-patch+json"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_another_media_type_charset_or_packing_is_415(api: Client, headers: dict[str, str]) -> None:
    assert_problem(await put_bytes(api, b"{}", headers), 415, "unsupported-media-type")
    await assert_nothing_is_stored(api)


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/json"}])
async def test_an_empty_body_is_called_empty_and_not_of_the_wrong_type(api: Client, headers: dict[str, str]) -> None:
    reply = await api.call("PUT", "/v1/shipments/SO-1", headers=headers)
    assert (reply.status, reply.json()["detail"]) == (400, "The body is empty. Send application/json.")


@pytest.mark.parametrize(
    ("given", "words"),
    [("", "it came without one."), ("text/plain", "it came as text/plain."), ("\x80", "it came without one.")],
)
async def test_a_body_of_another_type_hears_what_it_came_as(api: Client, given: str, words: str) -> None:
    reply = await api.call("PUT", "/v1/shipments/SO-1", body=b"{}", headers={"Content-Type": given})
    assert (reply.status, reply.json()["detail"].partition("; ")[2]) == (415, words)


async def test_no_content_type_is_415(api: Client) -> None:
    assert_problem(await put_bytes(api, b"{}", {"Accept": "*/*"}), 415, "unsupported-media-type")


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", 'Application/JSON; Charset="UTF-8"'])
async def test_utf_8_may_be_named(api: Client, media_type: str) -> None:
    assert (await put_bytes(api, b"{}", {"Content-Type": media_type})).status == 201


async def test_a_simple_form_post_from_another_site_is_415(api: Client) -> None:
    headers = {"Content-Type": "text/plain", "Origin": "https://evil.example"}
    reply = await api.call("POST", "/v1/endpoints", body=b'{"url": "https://erp.example/"}', headers=headers)
    assert reply.status == 415


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
async def test_the_method_cannot_be_overridden(api: Client, method: str) -> None:
    reply = await api.call("GET", "/v1/shipments/SO-1", headers={"X-HTTP-Method-Override": method})
    assert reply.status == 404
    await assert_nothing_is_stored(api)


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/shipment", "/v2/shipments", "/v1/shipments/a/b", "/schema", "/favicon.ico"]
)
async def test_an_unknown_path_is_a_problem(api: Client, path: str) -> None:
    assert_problem(await api.call("GET", path), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", "/v1/shipments"), ("PATCH", "/v1/events"), ("TRACE", "/healthz")]
)
async def test_an_unknown_method_is_a_problem_that_names_the_others(api: Client, method: str, path: str) -> None:
    reply = await api.call(method, path)
    assert_problem(reply, 405, "method-not-allowed")
    assert "GET" in reply.headers["allow"]


@on_both_databases
async def test_a_bad_cursor_and_a_bad_query_value_are_400(api: Client) -> None:
    for query in ("cursor=%21", "cursor=bm90IG91cnM", "limit=0", "status=gone", "nonsense=1"):
        reply = await api.call("GET", f"/v1/shipments?{query}")
        assert_problem(reply, 400, "bad-request")
        assert list(reply.places()) == [f"?{query.split('=')[0]}"]


async def test_a_private_url_and_a_bad_pattern_are_named(api: Client) -> None:
    private = await api.call("POST", "/v1/endpoints", {"url": "http://10.0.0.7/hook"})
    assert_problem(private, 422, "address-not-allowed")
    assert "private" in private.places()["/url"]
    pattern = await api.call("POST", "/v1/endpoints", {"url": "https://192.0.2.1/", "events": ["shipment.deliverd"]})
    assert_problem(pattern, 422, "invalid-document")
    assert "/events/0" in pattern.places()
    assert (await api.call("GET", "/v1/endpoints")).json()["items"] == []


@pytest.mark.parametrize("given", ["a\r\nb", "", "x" * 200, "a b", "ü"])
async def test_a_request_id_that_could_forge_a_log_line_is_made_anew(api: Client, given: str) -> None:
    reply = await api.call("GET", "/healthz", headers={"X-Request-Id": given})
    assert reply.headers["x-request-id"].startswith("req_")


async def test_a_sound_request_id_is_echoed_also_in_problems(api: Client) -> None:
    reply = await api.call("GET", "/v1/nowhere", headers={"X-Request-Id": "tms-2026:11/7"})
    assert reply.headers["x-request-id"] == reply.json()["request_id"] == "tms-2026:11/7"


async def test_a_million_members_are_refused_quickly(api: Client) -> None:
    body = msgspec.json.encode({f"k{number}": 1 for number in range(70_000)})
    reply = await put_bytes(api, body)
    assert reply.status == 422
    assert len(reply.body) < 64 * 1024


async def test_a_fault_of_ours_is_logged_whole_and_answered_without_details(
    api: Client, delivery: QuietDelivery
) -> None:
    endpoint = (await api.call("POST", "/v1/endpoints", {"url": "https://192.0.2.1/"})).json()
    delivery.fault = ZeroDivisionError("canary")
    with capture_logs() as logged:
        reply = await api.call("POST", f"/v1/endpoints/{endpoint['id']}/test")
    assert_problem(reply, 500, "internal-error")
    assert b"canary" not in reply.body
    assert b"Traceback" not in reply.body
    assert [(entry["event"], entry["request_id"]) for entry in logged] == [
        ("request_failed", reply.json()["request_id"])
    ]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_database_that_is_away_is_503_and_says_when_to_come_back(
    api: Client, pg_server: str, database_url: str
) -> None:
    await api.call("PUT", "/v1/shipments/SO-1", {})
    with nobody_let_in(pg_server, database_url):
        for method, body in (("PUT", {"tags": ["a"]}), ("GET", None)):
            reply = await api.call(method, "/v1/shipments/SO-1", body)
            assert_problem(reply, 503, "unavailable")
            assert int(reply.headers["retry-after"]) >= 1
        assert (await api.call("GET", "/readyz")).json()["database"] is False
    assert (await api.call("GET", "/v1/shipments/SO-1")).status == 200


@contextmanager
def nobody_let_in(server: str, database_url: str) -> Iterator[None]:
    """End every connection to a database and refuse new ones, for a while."""
    name = urlsplit(database_url).path.removeprefix("/")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        try:
            yield
        finally:
            connection.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")
