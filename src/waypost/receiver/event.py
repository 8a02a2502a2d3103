"""One event as a receiver sees it."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any


class Event(Mapping[str, Any]):
    """One event: a mapping of its fields as they were sent, with attributes for those that every event has.

    `event["data"]["shipment"]` reads as in the JSON; `event.timestamp` is an aware datetime.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, Any]) -> None:
        """`fields` is the decoded JSON object."""
        self._fields = fields

    def __getitem__(self, name: str) -> Any:
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        # Never the data: events hold names and addresses, and this ends up in logs.
        return f"Event({self.get('type')!r}, {self.get('id')!r}, sequence={self.get('sequence')!r})"

    @property
    def id(self) -> str:
        """Give the id: the same for every attempt and every replay."""
        return str(self._fields["id"])

    @property
    def type(self) -> str:
        """Give the type, as `shipment.status.delivered`."""
        return str(self._fields["type"])

    @property
    def timestamp(self) -> datetime:
        """Say when the fact happened."""
        return datetime.fromisoformat(self._fields["timestamp"])

    @property
    def recorded_at(self) -> datetime:
        """Say when Waypost recorded it."""
        return datetime.fromisoformat(self._fields["recorded_at"])

    @property
    def account_id(self) -> str:
        """Give the account whose log holds the event."""
        return str(self._fields.get("account_id", ""))

    @property
    def shipment_id(self) -> str | None:
        """Give the shipment's id, None for an event about no shipment."""
        return self._fields.get("shipment_id")

    @property
    def reference(self) -> str | None:
        """Give the sender's reference of the shipment, None for an event about no shipment."""
        return self._fields.get("reference")

    @property
    def key(self) -> str:
        """Give what `sequence` counts: the shipment, or the key of an event about none."""
        return str(self._fields.get("key") or self._fields.get("shipment_id") or "")

    @property
    def sequence(self) -> int:
        """Give the place among the events of its key, from 1. 0 in a test."""
        return int(self._fields.get("sequence") or 0)

    @property
    def position(self) -> int:
        """Give the place in the account's log, from 1. 0 in a test."""
        return int(self._fields.get("position") or 0)

    @property
    def test(self) -> bool:
        """Whether it is only a test, which must have no effect."""
        return bool(self._fields.get("test"))

    @property
    def data(self) -> Mapping[str, Any]:
        """Give what the event says."""
        data: Mapping[str, Any] = self._fields["data"]
        return data
