"""Setting an endpoint up: its address, what it hears about, a test, and the secret, on one page; and changing one.

The first test makes the endpoint, paused from the start: so its secret exists and nothing else is sent. What the page
knows between two posts stands in its form.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from litestar import Response, get, post

from waypost.api.services import Found
from waypost.dashboard.choices import Branch, in_words, tree
from waypost.dashboard.endpoint_form import (
    SECRET_FIELDS,
    Form,
    document_of,
    empty_form,
    form_of,
    start_of,
    typed_form,
    with_errors,
)
from waypost.dashboard.explanations import in_language
from waypost.dashboard.snippets import snippets
from waypost.dashboard.visit import PageRequest, Visit
from waypost.errors import CallerError, InvalidDocument, NotFound, PreconditionFailed
from waypost.events.catalogue import CATALOGUE

WEBHOOKS = "/settings/integrations/webhooks"
WRITE = "endpoints:write"
TEST_TYPE_DEFAULT = "shipment.status.collected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What exists of an endpoint that is being set up."""

    endpoint_id: str = ""
    secret: str = ""
    public_key: str = ""


@get(f"{WEBHOOKS}/new")
async def new_endpoint(visit: Visit) -> Response[str]:
    """Show the form of a new endpoint."""
    visit.require(WRITE)
    branches = await _branches(visit)
    return _page(visit, empty_form(branches), branches, Draft())


@post(f"{WEBHOOKS}/new", status_code=200)
async def set_endpoint_up(visit: Visit, request: PageRequest) -> Response[Any]:
    """Test it, let it begin, keep it paused, or give it up: as the button says that was pressed."""
    visit.require(WRITE)
    branches = await _branches(visit)
    form = typed_form((await request.form()).multi_items())
    draft = Draft(endpoint_id=form["endpoint_id"], secret=form["secret"], public_key=form["public_key"])
    act = form["act"]
    if act == "cancel":
        if draft.endpoint_id:
            await visit.call("delete_endpoint", path={"id": draft.endpoint_id})
        return visit.go(WEBHOOKS)
    result: Mapping[str, Any] | None = None
    try:
        draft = await _save(visit, form, branches, draft, moves_start=act == "start")
        if act == "test":
            body = {"type": form["test_type"] or TEST_TYPE_DEFAULT}
            result = await visit.call("test_endpoint", path={"id": draft.endpoint_id}, body=body)
        elif act == "start":
            await visit.call("resume_endpoint", path={"id": draft.endpoint_id})
    except CallerError as error:
        return _page(visit, with_errors(form, error.errors, error.detail), branches, draft, status=error.status)
    if act == "test":
        return _page(visit, form, branches, draft, result=result)
    if visit.session.role == "setup":
        return visit.page("setup_done.html", active="webhooks", draft=draft, started=act == "start", form=form)
    return visit.go(f"{WEBHOOKS}/{draft.endpoint_id}")


@get(f"{WEBHOOKS}/check")
async def check_address(visit: Visit, url: str = "", endpoint_id: str = "") -> Response[str]:
    """Say what is at an address, while it is being typed; nothing is sent there."""
    visit.require(WRITE)
    return visit.page("setup_found.html", lines=await _found(visit, url, endpoint_id))


@get(f"{WEBHOOKS}/example")
async def show_example(visit: Visit, event_type: str = TEST_TYPE_DEFAULT) -> Response[str]:
    """Show what arrives for a type of event, beside the line that is in focus."""
    try:
        return visit.page("setup_example.html", shown=await visit.call("get_event_type", path={"type": event_type}))
    except NotFound:
        return visit.page("setup_example.html", shown=await visit.call("get_event_type", path={"type": "webhook.test"}))


@get(f"{WEBHOOKS}/{{endpoint_id:str}}/edit")
async def edit_endpoint(visit: Visit, endpoint_id: str) -> Response[str]:
    """Show the settings of an endpoint as a form."""
    visit.require(WRITE)
    endpoint = await visit.call("get_endpoint", path={"id": endpoint_id})
    branches = await _branches(visit)
    return _edit_page(visit, form_of(endpoint, branches), branches, endpoint)


@post(f"{WEBHOOKS}/{{endpoint_id:str}}/edit", status_code=200)
async def change_endpoint(visit: Visit, request: PageRequest, endpoint_id: str) -> Response[Any]:
    """Change the settings, unless somebody else changed them since the form was opened."""
    visit.require(WRITE)
    branches = await _branches(visit)
    before = await visit.call("get_endpoint", path={"id": endpoint_id})
    form = typed_form((await request.form()).multi_items())
    try:
        document = document_of(form, before, branches)
        headers = {"if-match": form["version"]} if form["version"] else None
        await visit.call("patch_endpoint", path={"id": endpoint_id}, body=document, headers=headers)
    except PreconditionFailed:
        theirs = form_of(before, branches)
        form = replace(form, values={**form.values, "version": theirs["version"]})
        return _edit_page(visit, form, branches, before, status=412, differences=_differences(visit, form, theirs))
    except CallerError as error:
        form = with_errors(form, error.errors, error.detail)
        return _edit_page(visit, form, branches, before, status=error.status)
    return visit.go(f"{WEBHOOKS}/{endpoint_id}")


async def _branches(visit: Visit) -> list[Branch]:
    listed = await visit.call("list_event_types")
    return tree(one for one in listed["items"] if one["own"])


async def _save(visit: Visit, form: Form, branches: Sequence[Branch], draft: Draft, *, moves_start: bool) -> Draft:
    """Make the endpoint, paused, or bring the one that the page made up to what is typed now."""
    if draft.endpoint_id:
        before = await visit.call("get_endpoint", path={"id": draft.endpoint_id})
        patch = document_of(form, before, branches)
        if moves_start:
            patch["start"] = start_of(form)
        await visit.call("patch_endpoint", path={"id": draft.endpoint_id}, body=patch)
        return draft
    made = await visit.call("create_endpoint", body={**document_of(form, None, branches), "paused": True})
    return Draft(endpoint_id=made["id"], secret=made["secret"], public_key=made.get("public_key", ""))


def _page(
    visit: Visit,
    form: Form,
    branches: Sequence[Branch],
    draft: Draft,
    *,
    result: Mapping[str, Any] | None = None,
    status: int = 200,
) -> Response[str]:
    test_type = form["test_type"] or TEST_TYPE_DEFAULT
    patterns_said = _said(visit, form, branches)
    return visit.page(
        "setup.html",
        status=status,
        active="webhooks",
        form=form,
        branches=branches,
        draft=draft,
        result=result,
        test_type=test_type,
        test_types=_test_types(visit, branches),
        secret_hint=None,
        example=CATALOGUE.get(test_type) or CATALOGUE["webhook.test"],
        gets=patterns_said,
        name=name_of({"description": form["description"] or None, "url": form["url"]}),
        snippets=snippets(),
    )


def _edit_page(
    visit: Visit,
    form: Form,
    branches: Sequence[Branch],
    endpoint: Mapping[str, Any],
    *,
    status: int = 200,
    differences: Sequence[str] | None = None,
) -> Response[str]:
    return visit.page(
        "endpoint_edit.html",
        status=status,
        active="webhooks",
        form=form,
        branches=branches,
        endpoint=endpoint,
        name=name_of(endpoint),
        differences=differences,
        secret_hint=visit.words("unchanged"),
        example=CATALOGUE[TEST_TYPE_DEFAULT],
    )


def _said(visit: Visit, form: Form, branches: Sequence[Branch]) -> str:
    document = document_of(form, None, branches)
    changed = (document["filter"] or {}).get("changed")
    return in_words(document["events"], changed, branches, visit.words)


def name_of(endpoint: Mapping[str, Any]) -> str:
    """Give what an endpoint is called: its description, else the host of its URL."""
    name: str = endpoint["description"] or urlsplit(endpoint["url"]).hostname or endpoint["url"]
    return name


def _test_types(visit: Visit, branches: Sequence[Branch]) -> list[tuple[str, str]]:
    """The types that a test can send, in words, in the order of the tree."""
    found = {leaf.example: leaf.title for branch in branches for leaf in branch.leaves if leaf.value == leaf.example}
    return [(event_type, visit.words(title)) for event_type, title in found.items()]


def _differences(visit: Visit, mine: Form, theirs: Form) -> list[str]:
    """The fields that stand otherwise in the form than somebody else has stored them meanwhile."""
    names = {
        name.partition("_")[0] if name.startswith("auth_") else name
        for name in {*theirs.values, *mine.values}
        if name not in ("version", "csrf", "endpoint_id") and name.removeprefix("auth_") not in SECRET_FIELDS
        if theirs[name] != mine[name]
    }
    if mine.ticked != theirs.ticked:
        names.add("events")
    return sorted(names)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of what was found at an address."""

    kind: str
    """`ok`, `warn` or `bad`."""
    word: str
    rest: str


async def _found(visit: Visit, url: str, own_id: str) -> list[Line]:
    """Say of an address whether it is encrypted, allowed, reachable and new, as far as it is known."""
    words, url = visit.words, url.strip()
    if not url:
        return []
    try:
        await visit.frame.services.egress.check_endpoint_url(url)
    except InvalidDocument as error:
        why = error.errors[0].message if error.errors else error.detail
        return [Line("bad", words("Not usable"), in_language(why, words))]
    found = await visit.frame.services.delivery.look_at(url)
    lines = [_encrypted(visit, url, found)]
    if found.is_allowed:
        lines.append(Line("ok", words("Allowed"), found.address or ""))
    if found.explanation is None:
        lines.append(
            Line("ok", words("Reachable"), words("answered in %(ms)s ms from here", ms=f"{found.duration_ms:.0f}"))
        )
    else:
        kind = "warn" if found.is_allowed else "bad"
        lines.append(Line(kind, words("Not reachable"), in_language(found.explanation, words)))
    lines.append(await _is_new(visit, url, own_id))
    return lines


def _encrypted(visit: Visit, url: str, found: Found) -> Line:
    words = visit.words
    if not url.lower().startswith("https://"):
        return Line("warn", words("Not encrypted"), words("anyone on the way can read what is sent; use https://"))
    if found.certificate_ends_at is None:
        return Line("ok", words("Encrypted"), "")
    return Line("ok", words("Encrypted"), words("certificate valid until %(day)s", day=_day(found.certificate_ends_at)))


async def _is_new(visit: Visit, url: str, own_id: str) -> Line:
    listed = await visit.call("list_endpoints", query={"limit": 1000})
    others = [endpoint for endpoint in listed["items"] if endpoint["url"] == url and endpoint["id"] != own_id]
    if not others:
        return Line("ok", visit.words("New"), visit.words("no other endpoint uses it"))
    return Line("warn", visit.words("Used already"), visit.words("by %(name)s", name=name_of(others[0])))


def _day(at: datetime) -> str:
    return f"{at.day} {at:%b %Y}"


HANDLERS = [new_endpoint, set_endpoint_up, check_address, show_example, edit_endpoint, change_endpoint]
