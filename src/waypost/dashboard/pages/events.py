"""The log of events: the newest, one with its payload and who got it, and why an endpoint did not."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Response, get

from waypost.dashboard.headlines import headline, route_of
from waypost.dashboard.pages.setup import name_of
from waypost.dashboard.pages.shipments import ENDPOINTS_SHOWN_MAX
from waypost.dashboard.rendering import HEADERS
from waypost.dashboard.visit import Visit
from waypost.errors import BadRequest, NotFound

SHOWN = 50
LOOKED_AT_MAX = 2_000  # positions that one page of a filtered log looks at
CATALOGUE = "/settings/integrations/catalogue"


@get("/events")
async def list_events(visit: Visit, before: int = 0, kind: str = "") -> Response[str]:
    """Show the log, the newest first, by type if one is asked for."""
    end = await visit.log.log_end(visit.account_id)
    place = min(before - 1, end) if before > 0 else end
    found, place = await _backwards(visit, place, kind)
    here = {"kind": kind} if kind else {}
    types = await visit.call("list_event_types")
    return visit.page(
        "events.html",
        active="events",
        events=[_line(visit, event) for event in found],
        kind=kind,
        end=end,
        types=[(one["type"], one["title"]) for one in types["items"]],
        reload=f"/events?{urlencode(here)}" if here else "/events",
        next=f"/events?{urlencode({**here, 'before': place + 1})}" if place > 0 else None,
        is_newest=before <= 0,
    )


async def _backwards(visit: Visit, place: int, kind: str) -> tuple[list[Mapping[str, Any]], int]:
    """Give events up to a position, the newest first, and where to go on; it may come short where few of many fit."""
    found: list[Mapping[str, Any]] = []
    least = max(0, place - LOOKED_AT_MAX)
    while place > least and len(found) < SHOWN:
        after = max(least, place - SHOWN)
        page = await visit.call("list_events", query={"after": after, "limit": place - after})
        found += [one for one in reversed(page["items"]) if one["position"] <= place and kind in ("", one["type"])]
        place = after
    if len(found) > SHOWN:
        place = found[SHOWN]["position"]
        found = found[:SHOWN]
    return found, place


def _line(visit: Visit, event: Mapping[str, Any]) -> dict[str, Any]:
    shipment = event["data"].get("shipment")
    return {**event, "title": headline(event, visit.words), "route": route_of(shipment) if shipment else (None, None)}


@get("/events/{event_id:str}")
async def show_event(visit: Visit, event_id: str) -> Response[str]:
    """Show one event with its payload, and for each endpoint whether it got it, and if not, why."""
    event = await visit.call("get_event", path={"id": event_id})
    listed = await visit.call("list_endpoints", query={"limit": ENDPOINTS_SHOWN_MAX})
    told = [await _standing(visit, endpoint, event_id) for endpoint in listed["items"]]
    return visit.page(
        "event.html", active="events", event=event, title=headline(event, visit.words), told=told,
        more=listed["next"] is not None,
    )  # fmt: skip


async def _standing(visit: Visit, endpoint: Mapping[str, Any], event_id: str) -> dict[str, Any]:
    try:
        delivery = await visit.call("get_delivery", path={"id": endpoint["id"], "event_id": event_id})
    except NotFound:
        delivery = {"state": "skipped", "state_reason": None, "attempts": []}
    return {"id": endpoint["id"], "name": name_of(endpoint), **delivery}


@get(CATALOGUE)
async def show_catalogue(visit: Visit) -> Response[str]:
    """Show every type of event in plain words, under its heading."""
    listed = await visit.call("list_event_types")
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for one in listed["items"]:
        groups.setdefault(one["group"], []).append(one)
    return visit.page("catalogue.html", active="catalogue", groups=groups)


@get(f"{CATALOGUE}/{{event_type:str}}")
async def show_type(visit: Visit, event_type: str) -> Response[str]:
    """Show one type: what it tells, its fields, an example, and a way to be sent one."""
    shown = await visit.call("get_event_type", path={"type": event_type})
    listed = await visit.call("list_endpoints", query={"limit": ENDPOINTS_SHOWN_MAX})
    return visit.page(
        "event_type.html",
        active="catalogue",
        shown=shown,
        fields=fields_of(shown["schema"]),
        endpoints=[(one["id"], name_of(one)) for one in listed["items"]],
        may_change=visit.may("endpoints:write"),
    )


@get(f"{CATALOGUE}/{{event_type:str}}/schema")
async def show_schema(visit: Visit, event_type: str) -> Response[bytes]:
    """Give the JSON Schema of a type, for programs."""
    shown = await visit.call("get_event_type", path={"type": event_type})
    body = msgspec.json.format(msgspec.json.encode(shown["schema"]), indent=2)
    return Response(body, media_type="application/schema+json", headers=HEADERS)


def fields_of(schema: Mapping[str, Any]) -> Sequence[tuple[str, str, str]]:
    """Give the members of the event's `data` as name, type and meaning."""
    data = resolved(schema, schema.get("properties", {}).get("data", {}))
    return [
        (
            name,
            _type_of(resolved(schema, one)),
            str(one.get("description", resolved(schema, one).get("description", ""))),
        )
        for name, one in data.get("properties", {}).items()
    ]


def resolved(schema: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference within a schema."""
    found: Any = part
    while "$ref" in found:
        found = schema
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        part = found
    return found if isinstance(found, Mapping) else {}


def _type_of(part: Mapping[str, Any]) -> str:
    if "anyOf" in part:
        return " or ".join(sorted({_type_of(one) for one in part["anyOf"]}))
    if "$ref" in part:
        return "object"
    given = part.get("type", "any")
    return " or ".join(given) if isinstance(given, list) else str(given)


@get("/events/after/{position:int}")
async def find_position(visit: Visit, position: int) -> Response[Any]:
    """Lead to the event at a position."""
    page = await visit.call("list_events", query={"after": position - 1, "limit": 1})
    if not page["items"]:
        raise BadRequest(visit.words("There is no event at this position."))
    return visit.go(f"/events/{page['items'][0]['id']}")


HANDLERS = [list_events, show_event, show_catalogue, show_type, show_schema, find_position]
