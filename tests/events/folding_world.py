"""Events of one shipment, as the log would hold them."""

from typing import Any

import msgspec

from shipments.builders import Freight
from waypost.events.envelope import encode_event
from waypost.ids import AccountId, EventId, ShipmentId
from waypost.shipments.facts import Fact
from waypost.shipments.state import TRACKING_EVENTS_IN_EVENTS, shipment_json


class Told:
    """One shipment that takes reports, and the bytes of every event that followed, oldest first."""

    def __init__(self, document: dict[str, Any] | None = None) -> None:
        self.freight = Freight()
        self.bodies: list[bytes] = []
        self.put(document or {})

    def put(self, document: dict[str, Any]) -> None:
        self.freight.put(document)
        self._tell()

    def patch(self, patch: dict[str, Any]) -> None:
        self.freight.patch(patch)
        self._tell()

    def of_type(self, wanted: str) -> list[bytes]:
        return [body for body in self.bodies if decoded(body)["type"] == wanted]

    def _tell(self) -> None:
        assert self.freight.state is not None
        shipment = shipment_json(self.freight.state, TRACKING_EVENTS_IN_EVENTS)
        self.bodies += [self._event(fact, shipment) for fact in self.freight.facts]

    def _event(self, fact: Fact, shipment: bytes) -> bytes:
        number = len(self.bodies) + 1
        return encode_event(
            fact, shipment=shipment, event_id=EventId(f"evt_{number}"), account_id=AccountId("default"),
            shipment_id=ShipmentId("shp_1"), reference="SO-48213", sequence=number, position=100 + number,
            recorded_at=self.freight.now,
        )  # fmt: skip


def decoded(body: bytes) -> dict[str, Any]:
    return msgspec.json.decode(body)
