"""One endpoint: how it fares, its settings, its deliveries, and what can be done about it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.params import QueryParameter

from waypost.dashboard.activity import read_activity
from waypost.dashboard.choices import in_words, tree
from waypost.dashboard.endpoint_form import in_units
from waypost.dashboard.forms import Typed, typed
from waypost.dashboard.pages.setup import WEBHOOKS, WRITE, name_of
from waypost.dashboard.visit import PageRequest, Visit
from waypost.errors import CallerError
from waypost.events.wording import WORDING
from waypost.log.people import find_person

SHOWN = 25
STATES = ("waiting", "retrying", "delivered", "failed", "skipped")
OVERLAPS_S = (3600, 86_400, 7 * 86_400)


@get(f"{WEBHOOKS}/{{endpoint_id:str}}")
async def show_endpoint(
    visit: Visit,
    endpoint_id: str,
    in_state: Annotated[str, QueryParameter(name="state")] = "",
    of_type: Annotated[str, QueryParameter(name="type")] = "",
    shipment: str = "",
    cursor: str = "",
    span: str = "day",
) -> Response[str]:
    """Show an endpoint with its deliveries; every filter is in the address."""
    endpoint = await visit.call("get_endpoint", path={"id": endpoint_id})
    wanted = {"state": in_state if in_state in STATES else None, "type": of_type or None, "shipment": shipment or None}
    problem: str | None = None
    listed: Mapping[str, Any] = {"items": [], "next": None}
    try:
        listed = await visit.call(
            "list_deliveries", path={"id": endpoint_id}, query={**wanted, "limit": SHOWN, "cursor": cursor or None}
        )
    except CallerError as error:
        problem = error.errors[0].message if error.errors else error.detail
    here = {name: value for name, value in wanted.items() if value}
    context = {
        "active": "webhooks",
        "endpoint": endpoint,
        "name": name_of(endpoint),
        "deliveries": [{**one, "title": title_of(visit, one["type"])} for one in listed["items"]],
        "problem": problem,
        "wanted": wanted,
        "here": here,
        "address": f"{WEBHOOKS}/{endpoint_id}",
        "next": f"?{urlencode({**here, 'cursor': listed['next']})}" if listed["next"] else None,
        "tabs_of": [(name, f"?{urlencode({**here, 'state': name})}") for name in STATES],
        "all_of": f"?{urlencode({name: value for name, value in here.items() if name != 'state'})}",
        "may_change": visit.may(WRITE),
    }
    if visit.is_fragment:
        return visit.page("endpoint_deliveries.html", **context)
    types = await visit.call("list_event_types")
    branches = tree(one for one in types["items"] if one["own"])
    failed = await visit.call("list_deliveries", path={"id": endpoint_id}, query={"state": "failed", "limit": 1})
    seen = await read_activity(visit, endpoint_id, span)
    return visit.page(
        "endpoint.html",
        **context,
        figures=seen["numbers"],
        activity=seen["activity"],
        span=seen["span"],
        gets=in_words(endpoint["events"], (endpoint["filter"] or {}).get("changed"), branches, visit.words),
        settings=_settings(visit, endpoint),
        last_wrong=await _last_wrong(visit, endpoint) if endpoint["state"] in ("failing", "suspended") else None,
        has_failed=bool(failed["items"]),
        replays=(await visit.call("list_replays", path={"id": endpoint_id}, query={"limit": 3}))["items"],
        overlaps=[(str(seconds), in_units(seconds)) for seconds in OVERLAPS_S],
    )


def title_of(visit: Visit, event_type: str) -> str:
    """Give a type in words; one of the account's own by its name."""
    return visit.words(WORDING[event_type].title) if event_type in WORDING else event_type


def _settings(visit: Visit, endpoint: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """The settings in words, as label and value."""
    words, wanted = visit.words, endpoint["filter"] or {}
    payloads = {
        "full": words("Whole shipment"), "changes": words("Only what changed"),
        "reference": words("Only reference and ids"),
    }  # fmt: skip
    logins = {
        "none": words("None"), "basic": words("User name and password"), "bearer": words("Bearer token"),
        "header": words("Own header"), "oauth2_client_credentials": "OAuth 2", "mtls": words("Client certificate"),
    }  # fmt: skip
    formats = {"waypost": words("One event"), "cloudevents": "CloudEvents", "batch": words("Batches")}
    said = [
        (
            words("Payload"),
            payloads[endpoint["payload"]] + ("" if endpoint["personal_data"] else ", " + words("without contacts")),
        ),
        (words("Form"), formats[endpoint["format"]]),
        (words("Login"), logins[endpoint["auth"]["type"]]),
        (
            words("Signature"),
            ", ".join({"v1": "v1, HMAC-SHA256", "v1a": "v1a, Ed25519"}[one] for one in endpoint["signature"]),
        ),
        (words("Order"), words("For each shipment") if endpoint["ordering"] == "shipment" else words("None")),
        (words("Limits"), words("%(s)s s, %(n)s at once", s=endpoint["timeout_seconds"], n=endpoint["max_in_flight"])),
        (words("Retries"), words("%(n)s attempts", n=len(endpoint["retry_schedule"]) + 1)),
        (words("Version"), endpoint["api_version"]),
    ]
    only = [
        f"{words(name.capitalize())} {', '.join(values)}"
        for name, values in wanted.items()
        if values and name != "changed"
    ]
    return [
        *([(words("Only for"), "; ".join(only))] if only else []),
        *said,
    ]


async def _last_wrong(visit: Visit, endpoint: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The newest delivery that is being tried, which says why nothing gets through."""
    listed = await visit.call("list_deliveries", path={"id": endpoint["id"]}, query={"state": "retrying", "limit": 1})
    first: Mapping[str, Any] | None = next(iter(listed["items"]), None)
    return first


@post(f"{WEBHOOKS}/{{endpoint_id:str}}", status_code=200)
async def act_on_endpoint(visit: Visit, request: PageRequest, endpoint_id: str) -> Response[Any]:
    """Pause, resume, test, rotate, resend what failed, replay or delete: as the button says that was pressed."""
    visit.require(WRITE)
    form = typed((await request.form()).multi_items())
    act, there, path = form["act"], f"{WEBHOOKS}/{endpoint_id}", {"id": endpoint_id}
    words = visit.words
    try:
        if act == "pause":
            await visit.call("pause_endpoint", path=path)
            return visit.go(there, said=words("Paused. What happens from now on waits, in order."))
        if act == "resume":
            await visit.call("resume_endpoint", path=path)
            return visit.go(there, said=words("It goes on where it stopped, in order."))
        if act == "test":
            result = await visit.call("test_endpoint", path=path, body={"type": form["type"]} if form["type"] else None)
            return visit.page(
                "endpoint_test.html", active="webhooks", result=result, there=there, endpoint_id=endpoint_id
            )
        if act == "rotate":
            overlap_s = int(form["overlap_s"]) if form["overlap_s"].isdigit() else OVERLAPS_S[1]
            rotated = await visit.call("rotate_endpoint_secret", path=path, body={"overlap_seconds": overlap_s})
            return visit.page(
                "endpoint_secret.html", active="webhooks", shown=rotated, there=there, rotated=True,
                ends_at=visit.now + timedelta(seconds=overlap_s),
            )  # fmt: skip
        if act == "count":
            body = _replay(form)
            counted = await visit.call("replay", path=path, body={**body, "dry_run": True})
            return visit.page(
                "endpoint_replay.html", active="webhooks", matched=counted["matched"], form=form, there=there
            )
        if act == "replay":
            job = await visit.call("replay", path=path, body=_replay(form))
            return visit.go(there, said=words("%(n)s deliveries are on their way.", n=f"{job['matched']:,}"))
        if act == "delete":
            await visit.call("delete_endpoint", path=path)
            return visit.go(
                WEBHOOKS, said=words("Deleted. The record of what was sent stays for as long as it is kept.")
            )
    except CallerError as error:
        return visit.go(there, said=error.errors[0].message if error.errors else error.detail)
    return visit.go(there)


def _replay(form: Any) -> dict[str, Any]:
    """What a replay is to send, as the API takes it."""
    given = {name: form[name].strip() or None for name in ("since", "until", "to_url")}
    return {"which": form["which"] or "failed", **{name: value for name, value in given.items() if value}}


@get(f"{WEBHOOKS}/{{endpoint_id:str}}/secret")
async def ask_for_secret(visit: Visit, endpoint_id: str) -> Response[str]:
    """Ask who wants to see the secret for their password once more: a page left open shows nothing."""
    visit.require(WRITE)
    await visit.call("get_endpoint", path={"id": endpoint_id})
    return _ask(visit, endpoint_id, Typed())


@post(f"{WEBHOOKS}/{{endpoint_id:str}}/secret", status_code=200)
async def show_secret(visit: Visit, request: PageRequest, endpoint_id: str) -> Response[Any]:
    """Show the secret. Who saw it stands in the audit log."""
    visit.require(WRITE)
    form = typed((await request.form()).multi_items())
    if not await _is_the_person(visit, form["password"]):
        wrong = {"password": visit.words("This is not your password.")}
        return _ask(visit, endpoint_id, Typed({}, wrong), status=422)
    shown = await visit.call("get_endpoint_secret", path={"id": endpoint_id})
    there = f"{WEBHOOKS}/{endpoint_id}"
    return visit.page("endpoint_secret.html", active="webhooks", shown=shown, there=there, rotated=False)


def _ask(visit: Visit, endpoint_id: str, form: Typed, *, status: int = 200) -> Response[str]:
    return visit.page(
        "endpoint_secret_ask.html",
        status=status,
        active="webhooks",
        form=form,
        there=f"{WEBHOOKS}/{endpoint_id}",
        asks_password=visit.session.kind == "person",
    )


async def _is_the_person(visit: Visit, password: str) -> bool:
    """Whether it is the password of who is signed in; others than people have none to ask for."""
    person_id = visit.session.person_id
    if visit.session.kind != "person" or person_id is None:
        return True
    visit.frame.keeper.tries.take(("secret", person_id))
    person = await visit.log.look(lambda connection, _: find_person(connection, person_id))
    if person is None:
        return False
    if person.password_hash is None:
        return True  # who signs in by a passkey or elsewhere
    return await visit.frame.keeper.passwords.verify(person.password_hash, password)


HANDLERS = [show_endpoint, act_on_endpoint, ask_for_secret, show_secret]
