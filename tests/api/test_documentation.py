"""The OpenAPI document and the page that is made of it."""

import re
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.asgi_client import Client
from waypost.api.app import OPERATIONS
from waypost.api.openapi import openapi_document

# As it is served: through JSON, in which there are no tuples.
DOCUMENT = msgspec.json.decode(msgspec.json.encode(openapi_document(OPERATIONS, "https://waypost.test")))


def examples() -> list[Any]:
    found = []
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            for media in operation.get("requestBody", {}).get("content", {}).values():
                for title, example in media.get("examples", {}).items():
                    found.append(pytest.param(media["schema"], example["value"], id=f"{method} {path} {title}"))
    return found


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]})


@pytest.mark.parametrize(("schema", "value"), examples())
def test_every_example_fits_its_schema(schema: dict[str, Any], value: Any) -> None:
    assert [error.message for error in validator(schema).iter_errors(value)] == []


def test_the_document_is_what_openapi_3_1_asks_for() -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


def test_every_operation_has_a_name_a_summary_and_a_description() -> None:
    names = [operation.name for operation in OPERATIONS]
    assert len(set(names)) == len(names)
    assert all(operation.summary and operation.description.endswith(".") for operation in OPERATIONS)


def test_every_failure_that_is_documented_is_a_problem() -> None:
    for methods in DOCUMENT["paths"].values():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400 and operation["operationId"] != "get_readiness":
                    assert list(answer["content"]) == ["application/problem+json"], (operation["operationId"], status)


async def test_the_document_is_served_and_describes_itself(api: Client) -> None:
    reply = await api.call("GET", "/schema/openapi.json")
    document = reply.json()
    assert (reply.headers["content-type"], document["openapi"]) == ("application/json", "3.1.0")
    assert "/schema/openapi.json" in document["paths"]


async def test_answers_fit_the_schemas_that_are_documented(api: Client) -> None:
    await api.call("PUT", "/v1/shipments/SO-1", {"tags": ["a"], "handling_units": [{"kind": "EUR", "quantity": 1}]})
    endpoint = (await api.call("POST", "/v1/endpoints", {"url": "https://192.0.2.1/"})).json()
    for path, target in (
        ("/v1/shipments/{reference}", "/v1/shipments/SO-1"),
        ("/v1/shipments", "/v1/shipments"),
        ("/v1/events", "/v1/events"),
        ("/v1/endpoints/{id}", f"/v1/endpoints/{endpoint['id']}"),
        ("/v1/endpoints/{id}/stats", f"/v1/endpoints/{endpoint['id']}/stats"),
        ("/v1/event-types", "/v1/event-types"),
        ("/v1/accounts", "/v1/accounts"),
    ):
        schema = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        value = (await api.call("GET", target)).json()
        assert [error.message for error in validator(schema).iter_errors(value)] == [], path


class Links(HTMLParser):
    """Collects what a page loads, and the anchors it has and leads to."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.leads_to: set[str] = set()
        self.anchors: set[str] = set()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note the tag's links."""
        given = dict(attributes)
        self.tags.add(tag)
        if given.get("id"):
            self.anchors.add(str(given["id"]))
        if tag == "a":
            self.leads_to.add(str(given["href"]))
        else:
            self.loads += [str(value) for name, value in attributes if name in ("src", "href", "action")]
        assert "style" not in given


async def page(api: Client) -> tuple[str, Links, dict[str, str]]:
    reply = await api.call("GET", "/docs")
    links = Links()
    links.feed(reply.body.decode())
    return reply.body.decode(), links, reply.headers


async def test_the_page_loads_nothing_from_another_host_and_runs_no_script(api: Client) -> None:
    html, links, headers = await page(api)
    assert links.loads == ["/docs/docs.css"]
    assert "script" not in links.tags
    assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    css = (await api.call("GET", "/docs/docs.css")).body.decode()
    assert not re.search(r"url\(|@import", css)
    assert len(html) < 300_000


async def test_every_link_of_the_page_leads_somewhere(api: Client) -> None:
    _, links, _ = await page(api)
    inside = {link.removeprefix("#") for link in links.leads_to if link.startswith("#")}
    assert inside <= links.anchors
    assert links.leads_to - {f"#{anchor}" for anchor in inside} == {"/schema/openapi.json"}


async def test_every_operation_and_shape_is_on_the_page(api: Client) -> None:
    _, links, _ = await page(api)
    assert {operation.name for operation in OPERATIONS} <= links.anchors
    assert len([anchor for anchor in links.anchors if anchor.startswith("shape-")]) > 50


async def test_the_document_is_the_same_each_time(api: Client) -> None:
    assert msgspec.json.encode(openapi_document(OPERATIONS, "x")) == msgspec.json.encode(
        openapi_document(OPERATIONS, "x")
    )
