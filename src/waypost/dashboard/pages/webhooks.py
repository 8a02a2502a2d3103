"""The list of endpoints: where updates go, what each gets, how it fares."""

from typing import Annotated, Any
from urllib.parse import urlsplit

from litestar import Response, get, post
from litestar.params import QueryParameter

from waypost.dashboard.choices import in_words, tree
from waypost.dashboard.explanations import in_language
from waypost.dashboard.pages.setup import WEBHOOKS, WRITE, name_of
from waypost.dashboard.visit import Visit

STATES = ("active", "failing", "paused", "suspended")
ORDER = {"suspended": 0, "failing": 1, "paused": 2, "active": 3}
SHOWN_MAX = 50  # a page stays light


@get(WEBHOOKS)
async def list_webhooks(
    visit: Visit, in_state: Annotated[str, QueryParameter(name="state")] = "", cursor: str = ""
) -> Response[str]:
    """Show the endpoints, the worst first."""
    listed = await visit.call("list_endpoints", query={"limit": SHOWN_MAX, "cursor": cursor or None})
    types = await visit.call("list_event_types")
    branches = tree(one for one in types["items"] if one["own"])
    endpoints = [
        {
            **endpoint,
            "name": name_of(endpoint),
            "place": place_of(endpoint["url"]),
            "gets": in_words(endpoint["events"], (endpoint["filter"] or {}).get("changed"), branches, visit.words),
        }
        for endpoint in listed["items"]
    ]
    counts = {name: sum(endpoint["state"] == name for endpoint in endpoints) for name in STATES}
    endpoints.sort(key=lambda endpoint: (ORDER[endpoint["state"]], endpoint["name"].casefold()))
    worst = next((endpoint for endpoint in endpoints if endpoint["state"] == "suspended"), None)
    shown = [endpoint for endpoint in endpoints if in_state in ("", endpoint["state"])]
    days = await visit.log.days_of(visit.account_id, [one["id"] for one in shown], visit.now, medians=False)
    return visit.page(
        "webhooks.html",
        active="webhooks",
        endpoints=[endpoint for endpoint in shown if endpoint["id"] in days],
        all=len(endpoints),
        counts=counts,
        state=in_state if in_state in STATES else "",
        worst=worst,
        lately=days,
        next=listed["next"],
        may_change=visit.may(WRITE),
    )


def place_of(url: str) -> str:
    """Give an address as a list shows it: without the scheme and what may be secret in its query."""
    parts = urlsplit(url)
    return f"{parts.netloc}{parts.path if parts.path != '/' else ''}"


@post(f"{WEBHOOKS}/{{endpoint_id:str}}/test-and-resume", status_code=200)
async def test_and_resume_endpoint(visit: Visit, endpoint_id: str) -> Response[Any]:
    """Send one test, and go on where it stopped only if that is taken."""
    visit.require(WRITE)
    result = await visit.call("test_endpoint", path={"id": endpoint_id})
    if result["verdict"] != "delivered":
        said = visit.words(
            "The test did not arrive, so it stays as it is. %(why)s",
            why=in_language(result["explanation"], visit.words),
        )
        return visit.go(f"{WEBHOOKS}/{endpoint_id}", said=said)
    await visit.call("resume_endpoint", path={"id": endpoint_id})
    return visit.go(
        f"{WEBHOOKS}/{endpoint_id}", said=visit.words("The test arrived. What waited goes out now, in order.")
    )


HANDLERS = [list_webhooks, test_and_resume_endpoint]
