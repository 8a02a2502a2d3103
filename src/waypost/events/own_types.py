"""Types of event that senders name themselves, such as `invoice.created`: their names, and how they are shown. Pure."""

import re
from datetime import datetime
from typing import Any

import msgspec

from waypost.events.envelope import API_VERSION, AccountEnvelope, encode_account_event, instant
from waypost.events.kinds import EVENT_TYPES, RESERVED_WORDS
from waypost.events.patterns import PATTERN_LENGTH_MAX, quoted
from waypost.events.schemas import DIALECT, SCHEMA_BASE, envelope_schema
from waypost.ids import AccountId, EventId

GROUP = "Your own"
KEY_LENGTH_MAX = 255
ID_LENGTH_MAX = 128

# A key of a shipment or of an endpoint counts the events of that thing, and an id of ours is made by nobody else.
RESERVED_KEYS = ("shp_", "ep_")
RESERVED_IDS = ("evt_", "bat_", "job_")
# An event is read under its id: these mean another place there, `/v1/events/stream` or one that clients tidy away.
UNREADABLE_IDS = ("stream", ".", "..")

_TYPE = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+")
_ID = re.compile(r"[A-Za-z0-9._:-]+")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

_EXAMPLE_ID = EventId("evt_01KEXAMPLE0000000000000000")


class OwnType(msgspec.Struct, frozen=True, kw_only=True):
    """A type of event that an account has registered.

    `schema` is the JSON text of the JSON Schema (2020-12) of `data`; `example` that of an example of `data`, None where
    there is none. `revision` counts the changes of the type from 1.
    """

    type: str
    title: str
    description: str
    schema: str
    example: str | None
    revision: int
    created_at: datetime
    updated_at: datetime


class OwnEventType(msgspec.Struct, frozen=True, kw_only=True):
    """A type of event of an account's own, in the shape of the catalogue's.

    `schema` is that of the whole event and `example` a whole event, null where no example was given; `data_schema` and
    `data_example` are what was registered.
    """

    type: str
    title: str
    group: str
    description: str
    schema: dict[str, Any]
    example: msgspec.Raw
    own: bool
    data_schema: msgspec.Raw
    data_example: msgspec.Raw
    created_at: datetime
    updated_at: datetime


def type_problem(name: str) -> str | None:
    """Say what is wrong with the name of a type of a sender's own, or None."""
    if len(name) > PATTERN_LENGTH_MAX:
        return f"is longer than {PATTERN_LENGTH_MAX} characters"
    if not _TYPE.fullmatch(name):
        return f"{quoted(name)} is no name for a type: write small words with dots between, as invoice.created"
    first = name.partition(".")[0]
    if first in RESERVED_WORDS or name in EVENT_TYPES:
        return f'"{first}" is reserved for the types of the catalogue; begin with another word'
    return None


def may_be_own(pattern: str) -> bool:
    """Say whether a type, or a pattern such as `invoice.*`, may be of a sender's own: its form and its first word."""
    return type_problem(pattern.removesuffix("*") + "x" if pattern.endswith(".*") else pattern) is None


def key_problem(key: str) -> str | None:
    """Say what is wrong with a key that orders events, or None: it is made as a shipment's reference is."""
    if not 1 <= len(key) <= KEY_LENGTH_MAX:
        return f"must have 1 to {KEY_LENGTH_MAX} characters"
    if _UNPRINTABLE.search(key):
        return "must not hold control characters"
    if key != key.strip():
        return "must not begin or end with a blank"
    if key.startswith(RESERVED_KEYS):
        return f'must not begin with "{key.partition("_")[0]}_", which names a thing of Waypost\'s own'
    return None


def id_problem(event_id: str) -> str | None:
    """Say what is wrong with an id that a sender gives an event, or None."""
    if not 1 <= len(event_id) <= ID_LENGTH_MAX or not _ID.fullmatch(event_id):
        return f"must have 1 to {ID_LENGTH_MAX} characters out of A-Z a-z 0-9 . _ : -"
    if event_id in UNREADABLE_IDS:
        return f'must not be "{event_id}", under which no event could be read'
    if event_id.startswith(RESERVED_IDS):
        return f'must not begin with "{event_id.partition("_")[0]}_", which marks ids that Waypost makes'
    return None


def show_own_type(own: OwnType, account_id: AccountId) -> OwnEventType:
    """Give a type as the API shows it, beside those of the catalogue."""
    example = b"null" if own.example is None else _example(own, account_id)
    return OwnEventType(
        type=own.type,
        title=own.title,
        group=GROUP,
        description=own.description,
        schema=_whole_schema(own, account_id),
        example=msgspec.Raw(example),
        own=True,
        data_schema=msgspec.Raw(own.schema.encode()),
        data_example=msgspec.Raw(b"null" if own.example is None else own.example.encode()),
        created_at=own.created_at,
        updated_at=own.updated_at,
    )


def own_test_event(own: OwnType, *, account_id: AccountId, endpoint_id: str, event_id: EventId, now: datetime) -> bytes:
    """Give the bytes of a test of a type of the account's own: its example, marked as a test. It needs one."""
    assert own.example is not None, own.type
    at = instant(now)
    return msgspec.json.encode(
        AccountEnvelope(
            id=event_id,
            type=own.type,
            timestamp=at,
            api_version=API_VERSION,
            recorded_at=at,
            account_id=account_id,
            shipment_id=None,
            reference=None,
            key=endpoint_id,
            sequence=0,
            position=0,
            test=True,
            data=msgspec.Raw(own.example.encode()),
        )
    )


def _example(own: OwnType, account_id: AccountId) -> bytes:
    assert own.example is not None, own.type
    return encode_account_event(
        own.type,
        own.example.encode(),
        key="EXAMPLE-1",
        event_id=_EXAMPLE_ID,
        account_id=account_id,
        sequence=1,
        position=1,
        occurred_at=own.updated_at,
        recorded_at=own.updated_at,
    )


def _whole_schema(own: OwnType, account_id: AccountId) -> dict[str, Any]:
    """The schema of the whole event. That of `data` keeps its own `$id`, so that its references stay its own."""
    base = f"{SCHEMA_BASE}own/{account_id}/{own.type}"
    registered = msgspec.json.decode(own.schema)
    inner = registered if isinstance(registered, bool) else {"$id": f"{base}/data.json"} | registered
    schema = envelope_schema()
    schema["properties"]["type"] = {"const": own.type}
    schema["properties"]["data"] = inner
    return {"$schema": DIALECT, "$id": f"{base}.json", **schema, "title": own.type, "description": own.description}
