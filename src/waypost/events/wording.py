"""The catalogue in plain words: what each type is called, what it tells, and under which heading it stands.

The headings are those of the tree in which a person chooses what an endpoint hears about, in the order of the tree.
"""

from collections.abc import Mapping

import msgspec

from waypost.events.kinds import (
    CONDITIONS,
    HANDLING_UNIT_STATUS,
    SHIPMENT_CONDITION,
    SHIPMENT_STATUS,
    SHIPMENT_UPDATED,
    STATUSES,
)

NEW_BOOKINGS = "New bookings"
STATUS_UPDATES = "Status updates"
DETAILS = "Changes to details"
PROBLEMS = "Delays and problems"
ETA = "ETA moved"
DOCUMENTS = "Documents"
SCANS = "Every scan"
UNITS = "Single pallets, parcels and containers"
OPERATIONS = "Webhooks in trouble"
TESTS = "Tests"

GROUPS = (NEW_BOOKINGS, STATUS_UPDATES, DETAILS, PROBLEMS, ETA, DOCUMENTS, SCANS, UNITS, OPERATIONS, TESTS)


class Wording(msgspec.Struct, frozen=True):
    """One type in words: `title` fits a button, `description` is one sentence, `group` is one of GROUPS."""

    title: str
    description: str
    group: str


# What a status says of the goods; "The shipment" or "One unit" goes before it.
_STATUS_WORDS: Mapping[str, tuple[str, str]] = {
    "draft": ("Draft", "is being prepared and is not booked yet"),
    "booked": ("New booking", "is booked with the carrier"),
    "awaiting_collection": ("Awaiting collection", "is ready and waits for the carrier"),
    "collection_failed": ("Collection failed", "was not collected: the carrier came in vain or did not come"),
    "collected": ("Collected", "has left the sender"),
    "in_transit": ("In transit", "is on its way: a leg began or ended"),
    "customs": ("Customs", "is in customs clearance"),
    "out_for_delivery": ("Out for delivery", "is on the last vehicle, on its way to the consignee"),
    "available_for_pickup": ("Available for pickup", "waits for the consignee to fetch it"),
    "delivery_attempted": ("Delivery attempted", "could not be handed over: nobody there, closed or refused"),
    "partially_delivered": ("Partially delivered", "has arrived in part"),
    "delivered": ("Delivered", "has arrived at the consignee"),
    "returning": ("Returning", "is on its way back to the sender"),
    "returned": ("Returned", "is back at the sender"),
    "cancelled": ("Cancelled", "will not be carried: it was cancelled"),
    "lost": ("Lost", "is lost"),
    "unknown": ("Status unknown", "is somewhere the carrier cannot tell"),
}

_CONDITION_WORDS: Mapping[str, tuple[str, str]] = {
    "ok": ("Back to normal", "The trouble is over: the shipment is as it should be."),
    "delayed": ("Delayed", "The shipment moves, but will be late."),
    "on_hold": ("On hold", "The shipment stands still until somebody acts; the event says who."),
    "exception": ("Exception", "Something went wrong with the shipment, for example damage or a wrong address."),
}

_OTHER_WORDS: Mapping[str, Wording] = {
    "shipment.created": Wording("First seen", "A reference was seen for the first time.", NEW_BOOKINGS),
    SHIPMENT_UPDATED: Wording(
        "Details changed", "Something else changed: weight, address, time window, price, parties and so on.", DETAILS
    ),
    "shipment.eta_changed": Wording(
        "ETA moved", "The expected arrival moved by more than the account's threshold (15 minutes).", ETA
    ),
    "shipment.document_added": Wording(
        "Document added", "A label, waybill, proof of delivery or another document is there.", DOCUMENTS
    ),
    "tracking.event_recorded": Wording("Scan", "The carrier reported a scan or a new forecast.", SCANS),
    "tracking.event_corrected": Wording("Scan corrected", "The carrier corrected a scan it had reported.", SCANS),
    "tracking.event_retracted": Wording("Scan taken back", "The carrier took back a scan it had reported.", SCANS),
    "tracking.stale": Wording("No news", "An active shipment has had no scan for a long time.", PROBLEMS),
    "endpoint.failing": Wording(
        "Endpoint failing", "Nothing gets through to an endpoint; its events wait and it is tried again.", OPERATIONS
    ),
    "endpoint.suspended": Wording(
        "Endpoint suspended", "An endpoint gets nothing more until somebody resumes it; its events wait.", OPERATIONS
    ),
    "endpoint.resumed": Wording(
        "Endpoint resumed", "An endpoint takes events again, and what waited goes out in order.", OPERATIONS
    ),
    "delivery.failed": Wording(
        "Delivery failed", "An endpoint refused one event until its retries were used up; others go on.", OPERATIONS
    ),
    "webhook.test": Wording("Test", "Somebody pressed the test button; nothing happened to any shipment.", TESTS),
}


def _status_wording(status: str) -> Wording:
    title, words = _STATUS_WORDS[status]
    group = NEW_BOOKINGS if status in ("draft", "booked") else STATUS_UPDATES
    return Wording(title, f"The shipment {words}.", group)


def _unit_wording(status: str) -> Wording:
    title, words = _STATUS_WORDS[status]
    title = "Booked" if status == "booked" else title
    return Wording(f"One unit: {title[0].lower()}{title[1:]}", f"One unit of several {words}.", UNITS)


WORDING: Mapping[str, Wording] = {
    **_OTHER_WORDS,
    **{f"{SHIPMENT_STATUS}{status}": _status_wording(status) for status in STATUSES},
    **{f"{SHIPMENT_CONDITION}{name}": Wording(*_CONDITION_WORDS[name], PROBLEMS) for name in CONDITIONS},
    **{f"{HANDLING_UNIT_STATUS}{status}": _unit_wording(status) for status in STATUSES},
}
