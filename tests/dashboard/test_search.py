"""The search of the top bar: straight to the one thing that was meant, else to the list."""

import pytest

from dashboard.conftest import Site

WEBHOOKS = "/settings/integrations/webhooks"


async def found(site: Site, wanted: str) -> str:
    """Where a search leads."""
    visitor = await site.visitor("viewer")
    reply = await visitor.get(f"/search?q={wanted}")
    assert reply.status == 303
    return reply.headers["location"]


async def test_reference_leads_to_its_shipment(site: Site) -> None:
    made = (await site.api.call("PUT", "/v1/shipments/PO%2F4500", {})).json()["shipment"]
    assert await found(site, "PO%2F4500") == f"/shipments/{made['id']}"
    assert await found(site, made["id"]) == f"/shipments/{made['id']}"


async def test_id_of_an_event_leads_to_the_event(site: Site) -> None:
    await site.api.call("PUT", "/v1/shipments/SO-1", {})
    event = (await site.api.call("GET", "/v1/events")).json()["items"][0]
    assert await found(site, event["id"]) == f"/events/{event['id']}"


@pytest.mark.parametrize("wanted", ["erp%20PRODUCTION", "https%3A%2F%2Ferp.example%2Fhooks"])
async def test_name_or_address_leads_to_the_endpoint(site: Site, wanted: str) -> None:
    settings = {"url": "https://erp.example/hooks", "description": "ERP production"}
    made = (await site.api.call("POST", "/v1/endpoints", settings)).json()
    assert await found(site, wanted) == f"{WEBHOOKS}/{made['id']}"
    assert await found(site, made["id"]) == f"{WEBHOOKS}/{made['id']}"


@pytest.mark.parametrize(
    "wanted", ["reykj", "evt_nobody", "ep_nobody", "shp_nobody", "%00", "a%20b%26c%3Dd", "%F0%9F%9A%9A"]
)
async def test_anything_else_leads_to_the_shipments_that_match(site: Site, wanted: str) -> None:
    assert (await found(site, wanted)).startswith("/shipments?q=")


async def test_thing_of_another_account_is_not_found(site: Site) -> None:
    await site.visitor("owner", "neighbour")
    there = {"waypost-account": "neighbour"}
    await site.api.call("PUT", "/v1/shipments/SO-9", {}, headers=there)
    assert await found(site, "SO-9") == "/shipments?q=SO-9"


async def test_search_without_words_shows_the_field(site: Site) -> None:
    reply = await (await site.visitor()).get("/search?q=%20")
    assert reply.status == 200
    assert b'name="q"' in reply.body
