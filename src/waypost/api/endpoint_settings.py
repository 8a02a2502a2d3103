"""From what a caller says of an endpoint to its settings, and back to what the API shows.

A new endpoint is what was given over the defaults. A change is a JSON merge patch (RFC 7396) over what was given
before, checked whole again. Null means the default in both.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec

from waypost.api.auth_fields import check_with_auth
from waypost.api.checks import check_fields
from waypost.api.endpoint_fields import FIELDS, fields_with
from waypost.api.queries import read_instant
from waypost.api.shapes import Endpoint
from waypost.delivery.attempt import HIDDEN
from waypost.errors import FieldError, InvalidDocument
from waypost.events.filters import read_filter
from waypost.events.patterns import Wants
from waypost.log.records import EndpointRecord, EndpointSettings, Waiting

BATCH = "batch"
BATCH_FIELDS = ("batch_size", "batch_wait_ms")

_WITH_DEFAULT = FIELDS.keys() - {"url"}


def read_new_endpoint(given: Mapping[str, Any], own_types: Collection[str] = ()) -> tuple[EndpointSettings, Wants]:
    """Give the settings and wants of a new endpoint. Raises InvalidDocument with every wrong place.

    `own_types` are the types that the account has registered.
    """
    given = {name: value for name, value in given.items() if value is not None or name not in _WITH_DEFAULT}
    return _read(given, check_fields(given, fields_with(own_types)))


def read_changed_endpoint(
    current: EndpointRecord, patch: Mapping[str, Any], own_types: Collection[str] = ()
) -> tuple[EndpointSettings, Wants]:
    """Give the settings and wants of `current` after the merge patch. Raises InvalidDocument with every wrong place.

    `own_types` are the types that the account has registered.
    """
    checks = {**fields_with(own_types)}
    if "events" not in patch:
        del checks["events"]  # they passed when they were given; a type of its own may be gone since
    merged = _merged(current, patch)
    errors = check_fields({name: merged[name] for name in merged if name in checks}, checks)
    errors += check_fields({name: value for name, value in patch.items() if name not in FIELDS}, FIELDS)
    if "start" in patch and not current.is_untouched and patch["start"] != current.settings.start:
        message = "is fixed once the endpoint was active; make another endpoint, or one with `paused`"
        errors.append(FieldError("/start", message))
    return _read(merged, errors)


def _read(given: Mapping[str, Any], errors: list[FieldError]) -> tuple[EndpointSettings, Wants]:
    if "url" not in given:
        errors = [FieldError("/url", "is missing"), *errors]
    errors = errors or check_with_auth(given) + _check_batch(given)
    if errors:
        detail = "1 field is wrong." if len(errors) == 1 else f"{len(errors)} fields are wrong."
        raise InvalidDocument(detail, errors=errors)
    return _settings(given), _wants(given)


def _merged(current: EndpointRecord, patch: Mapping[str, Any]) -> dict[str, Any]:
    """Give the fields of `current` after the merge patch; what belongs to another kind or format goes with it."""
    before = _as_given(current)
    merged = merge_patch(before, patch)
    auth, given = merged.get("auth"), patch.get("auth")
    if isinstance(auth, dict) and isinstance(given, dict) and auth.get("type") != before["auth"]["type"]:
        merged["auth"] = merge_patch({}, given)
    if merged.get("format") != BATCH:
        merged = {name: value for name, value in merged.items() if name not in BATCH_FIELDS or name in patch}
    return merged


def _check_batch(given: Mapping[str, Any]) -> list[FieldError]:
    if given.get("format") == BATCH:
        return []
    return [FieldError(f"/{name}", 'is only for the format "batch"') for name in BATCH_FIELDS if name in given]


def start_of(settings: EndpointSettings) -> str | int | datetime:
    """Give where a new endpoint starts: `now`, `beginning`, a position, or a time."""
    start = settings.start
    return read_instant(start) if isinstance(start, str) and start not in ("now", "beginning") else start


def show_endpoint(record: EndpointRecord, waiting: Waiting, *, reveal: bool) -> Endpoint:
    """Give an endpoint as the API shows it. Values of its own headers may be passwords: shown only with `reveal`."""
    settings, wants = record.settings, record.wants
    return Endpoint(
        id=record.endpoint_id,
        url=settings.url,
        description=settings.description,
        metadata=settings.metadata,
        events=list(wants.patterns),
        filter=msgspec.to_builtins(wants.filter),
        payload=settings.payload,
        personal_data=settings.personal_data,
        format=settings.format,
        batch_size=settings.batch_size if settings.format == BATCH else msgspec.UNSET,
        batch_wait_ms=settings.batch_wait_ms if settings.format == BATCH else msgspec.UNSET,
        ordering=settings.ordering,
        auth=settings.auth if reveal else {"type": settings.auth["type"]},
        headers=settings.headers if reveal else dict.fromkeys(settings.headers, HIDDEN),
        signature=list(settings.signature),
        timeout_seconds=_plain(settings.timeout_seconds),
        max_in_flight=settings.max_in_flight,
        rate_per_second=None if settings.rate_per_second is None else _plain(settings.rate_per_second),
        retry_schedule=[_plain(delay_s) for delay_s in settings.retry_schedule],
        coalesce=settings.coalesce,
        start=settings.start,
        api_version=settings.api_version,
        state=record.state,
        state_reason=record.state_reason,
        state_since=record.state_since,
        waiting=waiting.count,
        waiting_more=waiting.more,
        created_at=record.created_at,
        updated_at=record.updated_at,
    )


def settings_tag(shown: Mapping[str, Any]) -> str:
    """Give the ETag of an endpoint as the API shows it to who may change it: that of its settings, not of its state."""
    settings = {name: shown[name] for name in FIELDS if name in shown}
    return f'"{sha256(msgspec.json.encode(settings, order="sorted")).hexdigest()[:16]}"'


def merge_patch(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Apply a JSON merge patch. Source: RFC 7396, section 2."""
    merged = dict(target)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            before = merged.get(name)
            merged[name] = merge_patch(before if isinstance(before, dict) else {}, value)
        else:
            merged[name] = value
    return merged


def _as_given(record: EndpointRecord) -> dict[str, Any]:
    """The endpoint as its owner could have given it."""
    given: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(record.settings))
    given = {name: value for name, value in given.items() if name in FIELDS}
    given["events"] = list(record.wants.patterns)
    given["filter"] = msgspec.to_builtins(record.wants.filter)
    return given


def _settings(given: Mapping[str, Any]) -> EndpointSettings:
    values = {name: value for name, value in given.items() if name not in ("events", "filter")}
    if "auth" in values:
        values["auth"] = {name: value for name, value in values["auth"].items() if value is not None}
    start = values.get("start")
    if isinstance(start, str) and start not in ("now", "beginning"):
        values["start"] = _instant_text(read_instant(start))
    return msgspec.json.decode(msgspec.json.encode(values), type=EndpointSettings)


def _wants(given: Mapping[str, Any]) -> Wants:
    patterns = tuple(given["events"]) if "events" in given else Wants().patterns
    return Wants(patterns, read_filter(given.get("filter")))


def _instant_text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _plain(value: float) -> int | float:
    """15 for 15.0: a number as a person writes it."""
    return int(value) if value == int(value) else value
