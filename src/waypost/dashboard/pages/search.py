"""The search of the top bar: straight to the one thing that was meant, else to the shipments that match."""

from typing import Any
from urllib.parse import urlencode

from litestar import Response, get

from waypost.dashboard.pages.setup import WEBHOOKS, name_of
from waypost.dashboard.visit import Visit
from waypost.errors import CallerError

QUERY_LENGTH_MAX = 200
ENDPOINTS_MAX = 1000  # looked through by name


@get("/search")
async def search(visit: Visit, q: str = "") -> Response[Any]:
    """Lead to a shipment, an event or an endpoint, or to the list of shipments; without words, show the field."""
    wanted = q.strip()[:QUERY_LENGTH_MAX]
    if not wanted:
        return visit.page("search.html")
    return visit.go(await _place_of(visit, wanted) or f"/shipments?{urlencode({'q': wanted})}")


async def _place_of(visit: Visit, wanted: str) -> str | None:
    """Give the page of what `wanted` names: an id, a shipment's own reference, or an endpoint's name or address."""
    if wanted.startswith("evt_"):
        event = await _found(visit, "get_event", {"id": wanted})
        return event and f"/events/{event['id']}"
    if wanted.startswith("ep_"):
        endpoint = await _found(visit, "get_endpoint", {"id": wanted})
        return endpoint and f"{WEBHOOKS}/{endpoint['id']}"
    shipment = await _found(visit, "get_shipment", {"reference": wanted})
    if shipment:
        return f"/shipments/{shipment['id']}"
    return await _endpoint_called(visit, wanted)


async def _found(visit: Visit, operation: str, path: dict[str, str]) -> Any:
    """Give what an operation reads, or None for what there is not, or what cannot be one's name."""
    try:
        return await visit.call(operation, path=path)
    except CallerError as error:
        if error.status in (400, 404, 422):
            return None
        raise


async def _endpoint_called(visit: Visit, wanted: str) -> str | None:
    listed = await visit.call("list_endpoints", query={"limit": ENDPOINTS_MAX})
    asked = wanted.casefold()
    for endpoint in listed["items"]:
        if asked in (name_of(endpoint).casefold(), endpoint["url"].casefold()):
            return f"{WEBHOOKS}/{endpoint['id']}"
    return None


HANDLERS = [search]
