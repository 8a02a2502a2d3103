"""What an event about Waypost itself carries: how an endpoint fares, and a delivery that was given up."""

from typing import Literal
from urllib.parse import urlsplit

import msgspec

from waypost.shipments.model import Instant


class EndpointBrief(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoint that is spoken of. `url` is without its query, which may hold a secret."""

    id: str
    description: str | None
    url: str


class EndpointStateData(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint's state changed."""

    endpoint: EndpointBrief
    state: Literal["active", "failing", "suspended"]
    state_reason: str | None
    state_since: Instant
    last_success_at: Instant | None


class EventBrief(msgspec.Struct, frozen=True, kw_only=True):
    """The event that is spoken of; `shipment_id` and `reference` are null where it was about no shipment."""

    id: str
    type: str
    shipment_id: str | None
    reference: str | None
    sequence: int
    position: int


class LastAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """How the last attempt ended: `outcome` as in the delivery log, `status` of the answer if there was one."""

    number: int
    started_at: Instant
    outcome: str
    status: int | None


class DeliveryFailedData(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint refused one event until its retries were used up. It can be sent again by hand."""

    endpoint: EndpointBrief
    event: EventBrief
    last_attempt: LastAttempt
    explanation: str


def endpoint_brief(endpoint_id: str, description: str | None, url: str) -> EndpointBrief:
    """Name an endpoint in an event that goes to other endpoints: without login and query, which may be secret."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return EndpointBrief(id=endpoint_id, description=description, url=f"{parts.scheme}://{host}{parts.path}")
