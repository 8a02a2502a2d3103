"""The catalogue: every type of event in plain words, with its schema and a real example."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from msgspec.structs import replace

from waypost.errors import InvalidDocument
from waypost.events.envelope import AccountEnvelope, Envelope, instant
from waypost.events.examples import example_event
from waypost.events.kinds import EVENT_TYPES, WEBHOOK_TEST, is_about_shipment
from waypost.events.pages import EventType, catalogue_page
from waypost.events.patterns import nearest, quoted
from waypost.events.schemas import event_schema
from waypost.events.wording import GROUPS, WORDING
from waypost.ids import AccountId, EndpointId, EventId


class _Catalogue(Mapping[str, EventType]):
    """The types by name, in the order of the catalogue; each is worked out when it is first asked for."""

    def __getitem__(self, event_type: str) -> EventType:
        if event_type not in WORDING:
            raise KeyError(event_type)
        return _described(event_type)

    def __iter__(self) -> Iterator[str]:
        return iter(EVENT_TYPES)

    def __len__(self) -> int:
        return len(EVENT_TYPES)


CATALOGUE: Mapping[str, EventType] = _Catalogue()
"""Every type of event that Waypost itself sends."""


@cache
def _described(event_type: str) -> EventType:
    wording = WORDING[event_type]
    return EventType(
        type=event_type,
        title=wording.title,
        group=wording.group,
        description=wording.description,
        schema=event_schema(event_type),
        example=msgspec.json.decode(example_event(event_type)),
    )


def groups() -> dict[str, list[EventType]]:
    """Give the types under their headings, in the order in which people should meet them."""
    return {group: [kind for kind in CATALOGUE.values() if kind.group == group] for group in GROUPS}


def catalogue_markdown() -> str:
    """Give the catalogue as a page of documentation, in Markdown."""
    return catalogue_page(groups())


def test_event(
    event_type: str | None,
    *,
    account_id: AccountId,
    endpoint_id: EndpointId,
    event_id: EventId,
    now: datetime,
) -> bytes:
    """Give the bytes of a test: the example of `event_type` (None: `webhook.test`), marked as a test.

    It stands in no log, so its position and sequence are 0. `now` is in UTC. Raises InvalidDocument for a type that is
    not in the catalogue.
    """
    event_type = event_type or WEBHOOK_TEST
    if event_type not in CATALOGUE:
        near = nearest(event_type, EVENT_TYPES)
        hint = f'; did you mean "{near}"?' if near else ""
        raise InvalidDocument(f"{quoted(event_type)} is not an event type{hint}", path="/type")
    at = instant(now)
    marks: dict[str, Any] = {"id": event_id, "account_id": account_id, "timestamp": at, "recorded_at": at}
    marks |= {"sequence": 0, "position": 0, "test": True}
    example = example_event(event_type)
    if is_about_shipment(event_type) or event_type == WEBHOOK_TEST:
        return msgspec.json.encode(replace(_shipment_event(example), **marks))
    return msgspec.json.encode(replace(_account_event(example), key=endpoint_id, **marks))


_shipment_event = msgspec.json.Decoder(Envelope[msgspec.Raw]).decode
_account_event = msgspec.json.Decoder(AccountEnvelope[msgspec.Raw]).decode

# pytest takes what begins with `test_` for a test of its own.
test_event.__test__ = False  # type: ignore[attr-defined]
