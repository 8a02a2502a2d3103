"""The signature check: paste a request as it came, and see which part is wrong. Nothing pasted is stored or logged."""

import re
import shlex
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Any

import msgspec
from litestar import Response, get, post

from waypost.dashboard.forms import Typed, typed
from waypost.dashboard.pages.setup import name_of
from waypost.dashboard.snippets import snippets
from waypost.dashboard.visit import PageRequest, Visit
from waypost.errors import CallerError
from waypost.ids import EndpointId
from waypost.receiver import diagnose

PATH = "/settings/integrations/signature-check"
PLACES_MAX = 5
AROUND = 24  # bytes shown on each side of a difference
COMPARED_MAX = 1_000  # characters of the part that differs: the time for it grows with their square
ENDPOINTS_MAX = 200

_HEADER = re.compile(r"\s*([A-Za-z0-9-]+)\s*:\s*(.*?)\s*$")


@get(PATH)
async def signature_check(visit: Visit) -> Response[str]:
    """Show the form."""
    return await _page(visit, Typed())


@post(PATH, status_code=200)
async def check_signature(visit: Visit, request: PageRequest) -> Response[str]:
    """Say of each part whether it is right."""
    form = typed((await request.form()).multi_items())
    headers, body = _pasted(form)
    secrets = [line.strip() for line in form["secret"].splitlines() if line.strip()]
    if form["endpoint"] and visit.may("endpoints:write"):
        record = await visit.log.get_endpoint(visit.account_id, EndpointId(form["endpoint"]))
        secrets += [one.secret if one.public_key is None else one.public_key for one in record.secrets]
    if not secrets:
        return await _page(
            visit, Typed(form.values, {"secret": visit.words("Choose an endpoint, or paste its secret.")}), status=422
        )
    sent = await _sent(visit, headers)
    diagnosis = diagnose(body, headers, secret=secrets, now=visit.now, sent=sent)
    differs = differences(sent, body) if sent is not None and sent != body else []
    return await _page(visit, form, diagnosis=diagnosis, differs=differs, known=sent is not None)


def _pasted(form: Typed) -> tuple[list[tuple[str, str]], bytes]:
    """Give headers and body as they were pasted; a whole curl command may stand in either field."""
    for field in ("headers", "body"):
        if form[field].lstrip().startswith("curl "):
            return read_curl(form[field])
    lines = [_HEADER.match(line) for line in form["headers"].splitlines()]
    return [(line[1], line[2]) for line in lines if line], form["body"].encode()


def read_curl(command: str) -> tuple[list[tuple[str, str]], bytes]:
    """Give headers and body of a curl command. What cannot be read is left out."""
    try:
        words = shlex.split(command.replace("\\\n", " "))
    except ValueError:
        return [], b""
    headers: list[tuple[str, str]] = []
    body = b""
    for flag, value in pairwise(words):
        if flag in ("-H", "--header") and (line := _HEADER.match(value)):
            headers.append((line[1], line[2]))
        elif flag in ("-d", "--data", "--data-raw", "--data-binary"):
            body = value.encode()
    return headers, body


async def _sent(visit: Visit, headers: Sequence[tuple[str, str]]) -> bytes | None:
    """Give the stored bytes of the event, where it is one of this account."""
    event_id = next((value for name, value in headers if name.lower() == "webhook-id"), "")
    if not event_id.startswith("evt_"):
        return None
    try:
        row = await visit.log.get_event(visit.account_id, event_id)
    except CallerError:
        return None
    return row.body


def differences(sent: bytes, got: bytes) -> list[tuple[str, str, str, str]]:
    """Give the first places where two bodies differ: what stands before, ours, theirs, and what follows."""
    ours, theirs = sent.decode("utf-8", "replace"), got.decode("utf-8", "replace")
    same = _common(ours, theirs)
    rest_ours, rest_theirs = ours[same:], theirs[same:]
    tail = _common(rest_ours[::-1], rest_theirs[::-1])
    middle = rest_ours[: len(rest_ours) - tail], rest_theirs[: len(rest_theirs) - tail]
    if max(map(len, middle)) > COMPARED_MAX:  # telling them apart place by place would take long
        return [(ours[max(0, same - AROUND) : same], middle[0][:AROUND] + "…", middle[1][:AROUND] + "…", "")]
    places = []
    for kind, start, end, there, until in SequenceMatcher(None, *middle, autojunk=False).get_opcodes():
        if kind != "equal":
            at, to = same + start, same + end
            places.append((ours[max(0, at - AROUND) : at], ours[at:to], middle[1][there:until], ours[to : to + AROUND]))
    return places[:PLACES_MAX]


def _common(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


async def _page(visit: Visit, form: Typed, *, status: int = 200, **context: Any) -> Response[str]:
    listed = await visit.call("list_endpoints", query={"limit": ENDPOINTS_MAX})
    shown = {"diagnosis": None, "differs": [], "known": False, **context}
    return visit.page(
        "signature.html",
        status=status,
        active="signature",
        form=form,
        endpoints=[(one["id"], name_of(one)) for one in listed["items"]] if visit.may("endpoints:write") else [],
        snippets=snippets(),
        size=len(msgspec.json.encode(form["body"])),
        **shown,
    )


HANDLERS = [signature_check, check_signature]
