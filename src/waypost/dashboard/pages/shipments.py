"""Shipments: the list with its search, and one shipment's journey with who was told of it."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

from litestar import Response, get
from litestar.params import QueryParameter

from waypost.dashboard.headlines import headline, label_of, place_of, plain, route_of, value_of
from waypost.dashboard.pages.setup import name_of
from waypost.dashboard.rendering import HEADERS
from waypost.dashboard.visit import Visit
from waypost.errors import CallerError
from waypost.events.kinds import CONDITIONS, SHIPMENT_CONDITION, SHIPMENT_STATUS, STATUSES

SHOWN = 50
EXPORTED_MAX = 5_000
EVENTS_SHOWN_MAX = 1_000
ENDPOINTS_SHOWN_MAX = 20
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet would begin to compute


@get("/shipments")
async def list_shipments(
    visit: Visit,
    q: str = "",
    status: str = "",
    condition: str = "",
    carrier: str = "",
    cursor: str = "",
) -> Response[str]:
    """Show the shipments that fit; every filter is in the address."""
    here = _filters(q, status, condition, carrier)
    problem, listed = None, _nothing()
    try:
        listed = await visit.call("list_shipments", query={**here, "limit": SHOWN, "cursor": cursor or None})
    except CallerError as error:
        problem = error.errors[0].message if error.errors else error.detail
    return visit.page(
        "shipments.html",
        active="shipments",
        shipments=[{**one, "route": route_of(one), "last": _last_scan(one)} for one in listed["items"]],
        problem=problem,
        here={name: here.get(name, "") for name in ("q", "status", "condition", "carrier")},
        is_filtered=bool(here),
        reload=_address(here),
        without={name: _address({k: v for k, v in here.items() if k != name}) for name in here},
        with_status=[(one, _address({**here, "status": one})) for one in STATUSES],
        with_condition=[(one, _address({**here, "condition": one})) for one in CONDITIONS],
        next=_address({**here, "cursor": listed["next"]}) if listed["next"] else None,
        export=f"/shipments/export.csv?{urlencode(here)}",
        plain=plain,
    )


def _nothing() -> Mapping[str, Any]:
    return {"items": [], "next": None}


def _filters(q: str, status: str, condition: str, carrier: str) -> dict[str, str]:
    given = {"q": q.strip(), "status": status, "condition": condition, "carrier": carrier.strip()}
    return {name: value for name, value in given.items() if value}


def _address(query: Mapping[str, str]) -> str:
    return f"/shipments?{urlencode(query)}" if query else "/shipments"


def _last_scan(shipment: Mapping[str, Any]) -> Mapping[str, Any] | None:
    scans = [one for one in shipment["tracking_events"] if one["occurred_at"] and not one.get("retracted")]
    return max(scans, key=lambda one: one["occurred_at"], default=None)


@get("/shipments/export.csv")
async def export_shipments(
    visit: Visit, q: str = "", status: str = "", condition: str = "", carrier: str = ""
) -> Response[str]:
    """Give the filtered list as a file for a spreadsheet, which takes none of it for a formula."""
    here = _filters(q, status, condition, carrier)
    written = io.StringIO()
    table = csv.writer(written, quoting=csv.QUOTE_ALL)
    table.writerow(["reference", "id", "status", "condition", "from", "to", "carrier", "eta", "updated_at"])
    cursor, rows = None, 0
    while rows < EXPORTED_MAX:
        listed = await visit.call("list_shipments", query={**here, "limit": 500, "cursor": cursor})
        for one in listed["items"]:
            start, end = route_of(one)
            carrier_name = (one["carrier"] or {}).get("name")
            eta = one["eta"] or {}
            cells = [
                one["reference"], one["id"], one["status"], one["condition"], start, end, carrier_name,
                eta.get("at") or eta.get("date"), one["updated_at"],
            ]  # fmt: skip
            table.writerow([inert(cell) for cell in cells])
        rows, cursor = rows + len(listed["items"]), listed["next"]
        if cursor is None:
            break
    headers = {**HEADERS, "content-disposition": 'attachment; filename="shipments.csv"'}
    return Response(written.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def inert(cell: str | None) -> str:
    """Give a cell that no spreadsheet takes for a formula."""
    text = cell or ""
    return f"'{text}" if text.startswith(FORMULA) else text


@get("/shipments/{shipment_id:str}")
async def show_shipment(
    visit: Visit, shipment_id: str, view: Annotated[str, QueryParameter(name="view")] = ""
) -> Response[str]:
    """Show the journey of a shipment: what happened, what changed, the events made of it, and who was told."""
    path = {"reference": shipment_id}
    shipment = await visit.call("get_shipment", path=path)
    listed = await visit.call("list_shipment_events", path=path, query={"limit": EVENTS_SHOWN_MAX})
    told = await _told(visit, shipment["id"])
    moments = _journey(visit, shipment["status"], listed["items"], told)
    if view == "status":
        moments = [moment for moment in moments if moment["kind"] in ("moved", "now", "trouble")]
    return visit.page(
        "shipment.html",
        active="shipments",
        shipment=shipment,
        route=route_of(shipment),
        moments=moments,
        told=told,
        endpoints_left=max(0, (await _endpoints(visit))[1]),
        view=view,
        here=f"/shipments/{shipment['id']}",
        plain=plain,
        value_of=value_of,
    )


async def _endpoints(visit: Visit) -> tuple[Sequence[Mapping[str, Any]], int]:
    listed = await visit.call("list_endpoints", query={"limit": ENDPOINTS_SHOWN_MAX + 1})
    items = listed["items"]
    return items[:ENDPOINTS_SHOWN_MAX], len(items) - ENDPOINTS_SHOWN_MAX


async def _told(visit: Visit, shipment_id: str) -> list[dict[str, Any]]:
    """Give for each endpoint how the shipment's events stand there, by event."""
    told = []
    for endpoint in (await _endpoints(visit))[0]:
        listed = await visit.call(
            "list_deliveries", path={"id": endpoint["id"]}, query={"shipment": shipment_id, "limit": EVENTS_SHOWN_MAX}
        )
        by_event = {one["event_id"]: one for one in listed["items"]}
        owed = [one for one in by_event.values() if one["state"] != "skipped"]
        done = sum(one["state"] == "delivered" for one in owed)
        worst = next((one for one in owed if one["state"] in ("failed", "retrying", "waiting")), None)
        told.append({
            "id": endpoint["id"], "name": name_of(endpoint), "state": endpoint["state"], "by_event": by_event,
            "owed": len(owed), "done": done, "worst": worst,
        })  # fmt: skip
    return told


def _journey(
    visit: Visit, status: str, events: Sequence[Mapping[str, Any]], told: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Give the moments of a journey, the newest first: the events of one report stand together."""
    groups: list[list[Mapping[str, Any]]] = []
    for event in events:
        if groups and _is_one_report(groups[-1], event):
            groups[-1].append(event)
        else:
            groups.append([event])
    moments = [_moment(visit, group, told) for group in groups]
    moments.sort(key=lambda moment: moment["at"], reverse=True)
    here = SHIPMENT_STATUS + status
    newest = next((one for one in moments if any(kind == here for _, kind, _ in one["events"])), None)
    if newest is not None:
        newest["kind"] = "now"
    return moments


def _is_one_report(group: Sequence[Mapping[str, Any]], event: Mapping[str, Any]) -> bool:
    """Whether an event was made by the same report, and of the same scan if both are of one."""
    scans = {one["data"]["tracking_event"]["id"] for one in (*group, event) if one["data"].get("tracking_event")}
    return group[0]["recorded_at"] == event["recorded_at"] and len(scans) <= 1


def _moment(visit: Visit, group: Sequence[Mapping[str, Any]], told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    weight = {SHIPMENT_STATUS: 4, SHIPMENT_CONDITION: 3, "shipment.eta_changed": 2, "shipment.created": 1}

    def rank(event: Mapping[str, Any]) -> int:
        return next((value for prefix, value in weight.items() if event["type"].startswith(prefix)), 0)

    main = max(group, key=rank)
    scan = next((event["data"]["tracking_event"] for event in group if event["data"].get("tracking_event")), None)
    kind = "same"
    if rank(main) == 4:
        kind = "moved"
    elif rank(main) == 3 and main["type"] != SHIPMENT_CONDITION + "ok":
        kind = "trouble"
    return {
        "kind": kind,
        "at": (scan or {}).get("occurred_at") or main["timestamp"],
        "title": headline(main, visit.words),
        "place": place_of(scan) if scan else None,
        "text": (scan or {}).get("carrier_text"),
        "late": any(event["data"].get("late") for event in group),
        "changes": [change for event in group for change in _changes(event)],
        "events": [(event["sequence"], event["type"], event["id"]) for event in group],
        "told": _told_of(group, told),
    }  # fmt: skip


def _changes(event: Mapping[str, Any]) -> list[tuple[str, str | None, str | None]]:
    data = event["data"]
    if event["type"] == "shipment.updated":
        return [
            (
                label_of(change["path"]),
                None if change["op"] == "added" else value_of(change["old"]),
                None if change["op"] == "removed" else value_of(change["new"]),
            )
            for change in data["changes"]
        ]
    if event["type"] == "shipment.eta_changed":
        return [("ETA", _eta(data["previous"]), _eta(data["eta"]))]
    if event["type"].startswith(SHIPMENT_CONDITION):
        return [
            ("Condition", plain(data["previous"]["condition"]), plain(event["type"].removeprefix(SHIPMENT_CONDITION)))
        ]
    return []


def _eta(eta: Mapping[str, Any] | None) -> str | None:
    if eta is None:
        return None
    return str(eta["at"] or eta["date"] or value_of(eta["window"])).replace("T", " ")[:16]


def _told_of(group: Sequence[Mapping[str, Any]], told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Who was told of the events of a moment: a line for each endpoint that asked, and how many did not."""
    lines, silent = [], 0
    for endpoint in told:
        here = [endpoint["by_event"][event["id"]] for event in group if event["id"] in endpoint["by_event"]]
        owed = [one for one in here if one["state"] != "skipped"]
        if not owed:
            silent += 1
            continue
        worst = min(owed, key=lambda one: ("failed", "retrying", "waiting", "sending", "delivered").index(one["state"]))
        lines.append({"name": endpoint["name"], "endpoint_id": endpoint["id"], "delivery": worst})
    return {"lines": lines, "silent": silent}


HANDLERS = [list_shipments, export_shipments, show_shipment]
