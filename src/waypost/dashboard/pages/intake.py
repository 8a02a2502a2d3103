"""Intake: where messages come from, what they sent, and what was refused and why."""

from typing import Any

from litestar import Response, get, post

from waypost.dashboard.forms import Typed, refused, typed
from waypost.dashboard.visit import PageRequest, Visit
from waypost.errors import CallerError

MESSAGES_SHOWN = 25
SOURCES_SHOWN = 50
BODY_SHOWN_MAX = 20_000


@get("/intake")
async def show_intake(visit: Visit) -> Response[str]:
    """Show the sources, each with its newest messages."""
    return await _page(visit, Typed({"kind": "easypost"}))


@post("/intake", status_code=200)
async def act_on_intake(visit: Visit, request: PageRequest) -> Response[Any]:
    """Add a source, or take one away."""
    visit.require("endpoints:write")
    form = typed((await request.form()).multi_items())
    try:
        if form["act"] == "delete":
            await visit.call("delete_source", path={"id": form["source_id"]})
            return visit.go("/intake", said=visit.words("The source is gone. What it sent stays."))
        body = {"kind": form["kind"], "name": form["name"].strip(), "secret": form["secret"]}
        await visit.call("create_source", body=body)
    except CallerError as error:
        return await _page(visit, refused(form, error), status=error.status)
    return visit.go("/intake", said=visit.words("Give the carrier the address that stands beside it."))


@get("/intake/{source_id:str}")
async def show_source(visit: Visit, source_id: str, cursor: str = "") -> Response[str]:
    """Show what a source sent, the newest first."""
    source = await visit.call("get_source", path={"id": source_id})
    listed = await visit.log.list_messages(visit.account_id, source_id, MESSAGES_SHOWN, cursor or None)
    messages = [
        {
            "id": one.message_id,
            "received_at": one.received_at,
            "state": one.state,
            "reason": one.reason,
            "body": one.body.decode("utf-8", "replace")[:BODY_SHOWN_MAX],
            "size": len(one.body),
        }
        for one in listed.items
    ]
    return visit.page("intake_source.html", active="intake", source=source, messages=messages, next=listed.next)


async def _page(visit: Visit, form: Typed, *, status: int = 200) -> Response[str]:
    listed = await visit.call("list_sources", query={"limit": SOURCES_SHOWN})
    sources = []
    for source in listed["items"]:
        newest = await visit.log.list_messages(visit.account_id, source["id"], MESSAGES_SHOWN, None)
        refused_ones = [one for one in newest.items if one.state == "refused"]
        sources.append(
            {**source, "last_at": newest.items[0].received_at if newest.items else None, "refused": len(refused_ones)}
        )
    return visit.page(
        "intake.html",
        status=status,
        active="intake",
        form=form,
        sources=sources,
        may_change=visit.may("endpoints:write"),
    )


HANDLERS = [show_intake, act_on_intake, show_source]
