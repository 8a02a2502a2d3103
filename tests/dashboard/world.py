"""A little world for the browser: a service with shipments that moved, and endpoints that fare differently."""

from dataclasses import dataclass, field
from typing import Any

from service_process import Receiver, Service, free_port, wait_for

PARTIES = {
    "shipper": {"name": "Saarepuu Sauna OÜ", "address": {"city": "Pärnu", "country": "EE"}},
    "consignee": {"name": "Baðhús og Gufa ehf.", "address": {"city": "Reykjavík", "country": "IS"}},
}


@dataclass
class World:
    """What the service holds. Endpoints and shipments are by their names and references; values are ids."""

    service: Service
    receiver: Receiver
    endpoints: dict[str, str] = field(default_factory=dict)
    """`ERP production` gets everything, `Customer portal` does not answer, `Dispatch board` is paused."""
    shipments: dict[str, str] = field(default_factory=dict)
    """`SO-48213` was collected, is delayed and out for delivery; `SO-48198` is in transit; `SO-48260` is booked."""
    events: dict[str, str] = field(default_factory=dict)
    """The newest event of each type."""

    @property
    def url(self) -> str:
        """Where the pages are."""
        return f"http://127.0.0.1:{self.service.port}"

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Do something through the API as the operator; it must work."""
        status, answer = self.service.call(method, path, body)
        assert status < 300, (method, path, status, answer)
        return answer

    def book(self, reference: str, **document: Any) -> str:
        """Make or change a shipment; give its id."""
        made = self.call("PUT", f"/v1/shipments/{reference}", document)
        self.shipments[reference] = made["shipment"]["id"] if "shipment" in made else made["id"]
        return self.shipments[reference]

    def scan(self, reference: str, status: str, occurred_at: str, **more: Any) -> None:
        """Record what a carrier saw."""
        scan = {"status": status, "occurred_at": occurred_at, **more}
        self.call("POST", f"/v1/shipments/{reference}/tracking-events", scan)

    def delivered(self, endpoint: str, at_least: int) -> bool:
        """Whether so many deliveries to an endpoint arrived."""
        path = f"/v1/endpoints/{self.endpoints[endpoint]}/deliveries?state=delivered&limit=100"
        return len(self.call("GET", path)["items"]) >= at_least


def make_world(service: Service, receiver: Receiver) -> World:
    """Fill a service that has just started, and wait until what can be delivered is."""
    world = World(service, receiver)
    retries = {"retry_schedule": [1800, 3600, 7200]}
    dead = f"http://127.0.0.1:{free_port()}/api/v2/webhooks"
    for name, settings in (
        ("ERP production", {"url": receiver.url, "events": ["*"]}),
        ("Customer portal", {"url": dead, "events": ["shipment.status.*"], **retries}),
        ("Dispatch board", {"url": receiver.url, "events": ["shipment.status.collected"], "paused": True}),
    ):
        made = world.call("POST", "/v1/endpoints", {"description": name, **settings})
        world.endpoints[name] = made["id"]
    world.book("SO-48213", parties=PARTIES, references=[{"type": "purchase_order", "value": "PO 45001873"}])
    world.book("SO-48198", parties=PARTIES)
    world.book("SO-48260", parties=PARTIES)
    world.scan("SO-48213", "collected", "2026-11-24T08:05:00Z", location={"name": "Pärnu", "country": "EE"})
    world.scan("SO-48198", "in_transit", "2026-11-24T09:00:00Z")
    north_sea = {"condition": "delayed", "reason": "weather", "location": {"name": "North Sea"}}
    world.scan("SO-48213", "in_transit", "2026-11-24T11:10:00Z", **north_sea)
    world.scan("SO-48213", "out_for_delivery", "2026-11-24T14:12:00Z", location={"name": "Reykjavík", "country": "IS"})
    world.events = {event["type"]: event["id"] for event in service.log()}
    wait_for(lambda: world.delivered("ERP production", 6), "the world's events to arrive")
    return world
