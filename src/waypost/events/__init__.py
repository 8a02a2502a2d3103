"""Events: their types, their bytes, their schemas, and which endpoint wants which. Pure."""

from waypost.events.catalogue import CATALOGUE, catalogue_markdown, groups, test_event
from waypost.events.envelope import API_VERSION, encode_account_event, encode_event, instant
from waypost.events.filters import Filter, read_filter
from waypost.events.kinds import EVENT_TYPES, event_type, is_about_shipment
from waypost.events.operations import DeliveryFailedData, EndpointStateData, EventBrief, LastAttempt, endpoint_brief
from waypost.events.pages import EventType
from waypost.events.patterns import DEFAULT_PATTERNS, Matcher, Wants, matches, read_patterns

__all__ = [
    "API_VERSION",
    "CATALOGUE",
    "DEFAULT_PATTERNS",
    "EVENT_TYPES",
    "DeliveryFailedData",
    "EndpointStateData",
    "EventBrief",
    "EventType",
    "Filter",
    "LastAttempt",
    "Matcher",
    "Wants",
    "catalogue_markdown",
    "encode_account_event",
    "encode_event",
    "endpoint_brief",
    "event_type",
    "groups",
    "instant",
    "is_about_shipment",
    "matches",
    "read_filter",
    "read_patterns",
    "test_event",
]
