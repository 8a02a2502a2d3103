"""What may be said of an endpoint: for each field the check of its shape and range."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from waypost.api.auth_fields import check_auth
from waypost.api.checks import Check, boolean, nullable, number, one_of, pointer_part, text, whole_number
from waypost.api.queries import POSITION_MAX, read_instant
from waypost.delivery.egress import parse_url
from waypost.delivery.headers import check_headers
from waypost.errors import CallerError, FieldError
from waypost.events.filters import check_filter
from waypost.events.patterns import check_patterns

DESCRIPTION_LENGTH_MAX = 1000
METADATA_ENTRIES_MAX = 50
METADATA_BYTES_MAX = 16 * 1024
BATCH_SIZE_MAX, BATCH_WAIT_MS_MAX = 500, 60_000
RATE_PER_SECOND_MIN, RATE_PER_SECOND_MAX = 0.001, 10_000
RETRIES_MAX = 30
RETRY_DELAY_S_MIN, RETRY_DELAY_S_MAX = 0.1, 604_800


def _url(value: Any, path: str) -> list[FieldError]:
    if not isinstance(value, str):
        return [FieldError(path, "must be a text such as https://erp.example/hooks/waypost")]
    try:
        parse_url(value, path=path)
    except CallerError as error:
        return list(error.errors) or [FieldError(path, error.detail)]
    return []


def _metadata(value: Any, path: str) -> list[FieldError]:
    if not isinstance(value, dict):
        return [FieldError(path, "must be an object")]
    if len(value) > METADATA_ENTRIES_MAX:
        return [FieldError(path, f"has {len(value)} entries; at most {METADATA_ENTRIES_MAX} are allowed")]
    if len(msgspec.json.encode(value)) > METADATA_BYTES_MAX:
        return [FieldError(path, f"is larger than {METADATA_BYTES_MAX // 1024} KiB")]
    return []


def _headers(value: Any, path: str) -> list[FieldError]:
    if not isinstance(value, dict):
        return [FieldError(path, "must be an object of names and values")]
    wrong = [name for name, content in value.items() if not isinstance(content, str)]
    if wrong:
        return [FieldError(f"{path}/{pointer_part(name)}", "must be a text") for name in wrong]
    try:
        check_headers(value, path=path)
    except CallerError as error:
        return list(error.errors) or [FieldError(path, error.detail)]
    return []


def _signature(value: Any, path: str) -> list[FieldError]:
    if not isinstance(value, list) or not value:
        return [FieldError(path, 'must be a list with "v1", "v1a" or both')]
    errors = [error for place, scheme in enumerate(value) for error in one_of("v1", "v1a")(scheme, f"{path}/{place}")]
    if not errors and len(set(value)) < len(value):
        return [FieldError(path, "names a scheme twice")]
    return errors


def _retry_schedule(value: Any, path: str) -> list[FieldError]:
    if not isinstance(value, list) or not 1 <= len(value) <= RETRIES_MAX:
        return [FieldError(path, f"must be a list of 1 to {RETRIES_MAX} numbers of seconds")]
    delay = number(RETRY_DELAY_S_MIN, RETRY_DELAY_S_MAX, " (seconds)")
    return [error for place, delay_s in enumerate(value) for error in delay(delay_s, f"{path}/{place}")]


def _start(value: Any, path: str) -> list[FieldError]:
    if type(value) is int:
        return whole_number(0, POSITION_MAX)(value, path)
    if isinstance(value, str) and value not in ("now", "beginning"):
        try:
            read_instant(value)
        except ValueError as error:
            return [FieldError(path, f'{error}; or "now", "beginning" or a position')]
    if not isinstance(value, str):
        return [FieldError(path, 'must be "now", "beginning", a position or a time')]
    return []


FIELDS: Mapping[str, Check] = {
    "url": _url,
    "description": nullable(text(DESCRIPTION_LENGTH_MAX)),
    "metadata": _metadata,
    "events": lambda value, path: check_patterns(value, path=path),
    "filter": lambda value, path: check_filter(value, path=path),
    "payload": one_of("full", "changes", "reference"),
    "personal_data": boolean,
    "format": one_of("waypost", "cloudevents", "batch"),
    "batch_size": whole_number(1, BATCH_SIZE_MAX),
    "batch_wait_ms": whole_number(0, BATCH_WAIT_MS_MAX),
    "ordering": one_of("shipment", "none"),
    "auth": check_auth,
    "headers": _headers,
    "signature": _signature,
    "timeout_seconds": number(1, 60),
    "max_in_flight": whole_number(1, 256),
    "rate_per_second": nullable(number(RATE_PER_SECOND_MIN, RATE_PER_SECOND_MAX)),
    "retry_schedule": _retry_schedule,
    "coalesce": boolean,
    "start": _start,
}


def fields_with(own_types: Collection[str]) -> Mapping[str, Check]:
    """Give the checks of an endpoint whose account has registered these types beside those of the catalogue."""
    return {**FIELDS, "events": lambda value, path: check_patterns(value, path=path, own_types=own_types)}
