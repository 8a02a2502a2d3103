"""The form of an endpoint: from what was typed to the document that the API takes, and back, errors included.

Nothing is judged here that the API judges: a form turns texts into the values of its document, and puts the API's
errors beside the fields they are about. What was typed is kept as it was typed.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from waypost.api.endpoint_settings import settings_tag
from waypost.dashboard.choices import Branch, ticked_by, wants_of
from waypost.errors import FieldError

FILTERS = ("carriers", "countries", "references", "tags")
AUTH_FIELDS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "basic": ("username", "password"),
    "bearer": ("token",),
    "header": ("name", "value"),
    "oauth2_client_credentials": ("token_url", "client_id", "client_secret", "scope"),
    "mtls": ("certificate", "private_key", "ca"),
}
# Never written back into a page: left empty in a change, they stay as they are.
SECRET_FIELDS = frozenset({"password", "token", "value", "client_secret", "private_key"})
SCHEMES = ("v1", "v1a")

_UNITS_S = {"": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "day": 86_400, "days": 86_400}
_DELAY = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Form:
    """What stands in the form: texts by field, the ticked leaves of the tree, and sentences beside wrong fields."""

    values: Mapping[str, str]
    ticked: frozenset[str]
    errors: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None
    """What is wrong with none of the fields."""

    def __getitem__(self, name: str) -> str:
        """Give what stands in a field; empty where nothing does."""
        return self.values.get(name, "")

    def on(self, name: str) -> bool:
        """Whether a check box is ticked."""
        return bool(self.values.get(name))


def empty_form(branches: Iterable[Branch]) -> Form:
    """Give the form of a new endpoint, with what the API takes where nothing is said."""
    return Form(_settings_as_typed(_DEFAULTS) | {"start": "now"}, ticked_by(("shipment.*",), None, branches))


def form_of(endpoint: Mapping[str, Any], branches: Iterable[Branch]) -> Form:
    """Give the form of an endpoint as the API shows it. Secrets are left out."""
    wanted = endpoint["filter"] or {}
    values = _settings_as_typed(endpoint)
    values["version"] = settings_tag(endpoint)
    return Form(values, ticked_by(endpoint["events"], wanted.get("changed"), branches))


def typed_form(pairs: Iterable[tuple[str, Any]]) -> Form:
    """Give the form as it was sent."""
    values: dict[str, str] = {}
    ticked = set()
    for name, value in pairs:
        if not isinstance(value, str):
            continue
        if name == "events":
            ticked.add(value)
        else:
            values[name] = value.replace("\r\n", "\n")
    return Form(values, frozenset(ticked))


def document_of(form: Form, before: Mapping[str, Any] | None, branches: Sequence[Branch]) -> dict[str, Any]:
    """Give what the API takes: a whole endpoint, or with `before`, the endpoint as it was, a merge patch."""
    document: dict[str, Any] = {
        "url": form["url"].strip(),
        "description": form["description"].strip() or None,
        **_wanted(form, before, branches),
        "payload": form["payload"] or "full",
        "personal_data": not form.on("without_contacts"),
        "format": form["format"] or "waypost",
        "ordering": "none" if form.on("unordered") else "shipment",
        "coalesce": form.on("coalesce"),
        "auth": _auth(form, before),
        "headers": _headers(form, before),
        "signature": [scheme for scheme in SCHEMES if form.on(f"signature_{scheme}")],
        "timeout_seconds": _number(form["timeout_seconds"]),
        "max_in_flight": _number(form["max_in_flight"]),
        "rate_per_second": _number(form["rate_per_second"]),
        "retry_schedule": _schedule(form["retry_schedule"]),
    }
    if document["format"] == "batch":
        document["batch_size"] = _number(form["batch_size"])
        document["batch_wait_ms"] = _number(form["batch_wait_ms"])
    if before is None:
        document["start"] = start_of(form)
    return document


def start_of(form: Form) -> str | int | float | None:
    """Give where a new endpoint starts, as the API takes it."""
    if form["start"] == "position":
        return _number(form["start_position"])
    if form["start"] == "time":
        return form["start_time"].strip()
    return form["start"] or "now"


def with_errors(form: Form, errors: Sequence[FieldError], detail: str) -> Form:
    """Give the form with the API's errors beside the fields they are about; what is about none stands above."""
    placed: dict[str, str] = {}
    for error in errors:
        placed.setdefault(_field_of(error.path), error.message)
    elsewhere = placed.pop("", None)
    return Form(form.values, form.ticked, placed, elsewhere if errors else detail)


def _field_of(path: str) -> str:
    """The field that a JSON Pointer leads to: `/auth/token` is auth_token, `/filter/tags/0` filter_tags."""
    first, *rest = path.removeprefix("/").split("/")
    if first in ("auth", "filter") and rest and rest[0] != "changed":
        return f"{first}_{rest[0]}"
    if first == "start":
        return "start"
    if first == "signature":
        return "signature"
    return "events" if first == "filter" else first


def _wanted(form: Form, before: Mapping[str, Any] | None, branches: Sequence[Branch]) -> dict[str, Any]:
    patterns, changed = wants_of(form.ticked)
    wanted: dict[str, Any] = {name: _listed(form[f"filter_{name}"]) or None for name in FILTERS}
    wanted["changed"] = changed
    if before is not None:
        was = before["filter"] or {}
        if form.ticked == ticked_by(before["events"], was.get("changed"), branches):
            patterns = list(before["events"])  # `*` holds more than the tree shows
        wanted["statuses"] = was.get("statuses")
    given = {name: value for name, value in wanted.items() if value is not None}
    if before is None:
        return {"events": patterns, "filter": given or None}
    return {"events": patterns, "filter": wanted if given else None}


def _auth(form: Form, before: Mapping[str, Any] | None) -> dict[str, str | None]:
    kind = form["auth_type"] or "none"
    same = before is not None and before["auth"]["type"] == kind
    auth: dict[str, str | None] = {"type": kind}
    for name in AUTH_FIELDS.get(kind, ()):
        typed = form[f"auth_{name}"]
        typed = typed if name in SECRET_FIELDS else typed.strip()
        if typed:
            auth[name] = typed
        elif name in ("scope", "ca"):
            auth[name] = None
        elif not (same and name in SECRET_FIELDS):
            auth[name] = ""
    return auth


def _headers(form: Form, before: Mapping[str, Any] | None) -> dict[str, str | None]:
    headers: dict[str, str | None] = dict.fromkeys(before["headers"]) if before is not None else {}
    for line in form["headers"].split("\n"):
        if line.strip():
            name, _, value = line.partition(":")
            headers[name.strip()] = value.strip()
    return headers


def _listed(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"[,\n]", text) if part.strip()]


def _number(text: str) -> int | float | str | None:
    """The number that was typed; what is none goes to the API as it is, which says what is wrong with it."""
    text = text.strip().replace("\u00a0", "").replace(",", ".")
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def _schedule(text: str) -> list[int | float | str] | None:
    """Seconds between attempts, typed as "5 s, 5 min, 2 h"."""
    delays: list[int | float | str] = []
    for part in _listed(text):
        found = _DELAY.fullmatch(part)
        unit = _UNITS_S.get(found[2].lower()) if found else None
        if found is None or unit is None:
            delays.append(part)
            continue
        seconds = float(found[1]) * unit
        delays.append(int(seconds) if seconds == int(seconds) else seconds)
    return delays or None


def in_units(seconds: float) -> str:
    """Write a delay as a person would: 300 is "5 min"."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds // length:g} {unit}"
    return f"{seconds:g} s"


_DEFAULTS: Mapping[str, Any] = {
    "url": "",
    "description": None,
    "filter": None,
    "payload": "full",
    "personal_data": True,
    "format": "waypost",
    "ordering": "shipment",
    "coalesce": False,
    "auth": {"type": "none"},
    "headers": {},
    "signature": ["v1"],
    "timeout_seconds": 15,
    "max_in_flight": 16,
    "rate_per_second": None,
    "retry_schedule": [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400],
}


def _settings_as_typed(settings: Mapping[str, Any]) -> dict[str, str]:
    wanted = settings["filter"] or {}
    auth: Mapping[str, str] = settings["auth"]
    return {
        "url": settings["url"],
        "description": settings["description"] or "",
        **{f"filter_{name}": ", ".join(wanted.get(name) or ()) for name in FILTERS},
        "payload": settings["payload"],
        "without_contacts": "" if settings["personal_data"] else "on",
        "format": settings["format"],
        "batch_size": str(settings.get("batch_size", 100)),
        "batch_wait_ms": str(settings.get("batch_wait_ms", 1000)),
        "unordered": "on" if settings["ordering"] == "none" else "",
        "coalesce": "on" if settings["coalesce"] else "",
        "auth_type": auth["type"],
        **{f"auth_{name}": value for name, value in auth.items() if name != "type" and name not in SECRET_FIELDS},
        "headers": "\n".join(f"{name}: {value}" for name, value in settings["headers"].items()),
        **{f"signature_{scheme}": "on" for scheme in settings["signature"]},
        "timeout_seconds": f"{settings['timeout_seconds']:g}",
        "max_in_flight": str(settings["max_in_flight"]),
        "rate_per_second": "" if settings["rate_per_second"] is None else f"{settings['rate_per_second']:g}",
        "retry_schedule": ", ".join(in_units(seconds) for seconds in settings["retry_schedule"]),
    }


def kinds_of_auth() -> Collection[str]:
    """Give the kinds of authentication, in the order of the form."""
    return AUTH_FIELDS.keys()
