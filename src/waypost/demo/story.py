"""The story of the demo, as data: twelve shipments, from booking to what became of them.

`story` gives the steps in the order they are told. Playing it again with another round gives other references and
numbers, so that every round is new to the log. Nothing here does anything; `player.py` does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from waypost.demo.orders import ORDERS, Document, document

DAYS = 7  # the story spans so many days, and its last instant lies before the day it is played on


@dataclass(frozen=True, slots=True)
class Book:
    """The transport system puts a new shipment."""

    reference: str
    document: Document
    says: str


@dataclass(frozen=True, slots=True)
class Change:
    """The transport system changes some details of a shipment."""

    reference: str
    patch: Document
    says: str


@dataclass(frozen=True, slots=True)
class Scan:
    """The carrier reports a scan or a milestone."""

    reference: str
    tracking_event: Document
    says: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """The transport system cancels a shipment."""

    reference: str
    reason: str
    says: str


@dataclass(frozen=True, slots=True)
class CarrierMessage:
    """EasyPost posts a `tracker.updated` message, signed."""

    message: Document
    says: str


@dataclass(frozen=True, slots=True)
class ShopGoesDown:
    """The shop's program dies in the middle of its work."""

    says: str


@dataclass(frozen=True, slots=True)
class ShopComesBack:
    """The shop's program is started again."""

    says: str


Report = Book | Change | Scan | Cancel | CarrierMessage
Step = Report | ShopGoesDown | ShopComesBack

# What became of each order: the end that the shop must have seen.
ENDS: Mapping[int, str] = {
    1: "delivered",
    2: "delivered",
    3: "delivered",
    4: "delivered",
    5: "delivered",
    6: "delivered",
    7: "returned",
    8: "delivered",
    9: "cancelled",
    10: "delivered",
    11: "delivered",
    12: "in_transit",
}


def reference(number: int, round_number: int = 1) -> str:
    """The reference of an order in a round: SO-1001 to SO-1012, then SO-2001 and on."""
    return f"SO-{round_number * 1000 + number}"


def story(played_at: datetime, round_number: int = 1) -> tuple[Step, ...]:
    """The steps, told so that everything has happened in the days before `played_at` (aware, UTC)."""
    teller = _Teller(played_at, round_number)
    return (
        *(teller.booking(order.number) for order in ORDERS),
        *_before_collection(teller),
        *_collection(teller),
        ShopGoesDown("the shop's program dies"),
        *_while_the_shop_is_down(teller),
        ShopComesBack("the shop's program is started again"),
        *_on_the_way(teller),
        *_at_the_door(teller),
        *_the_end(teller),
    )


def _before_collection(tell: "_Teller") -> tuple[Step, ...]:
    return (
        tell.change(
            2, "weighs more than booked: 27.4 kg", {"handling_units": [{"id": "hu_1", "gross_weight_kg": "27.4"}]}
        ),
        tell.change(
            11,
            "the street was wrong: Norra vägen 8",
            {"parties": {"consignee": {"address": {"lines": ["Norra vägen 8"]}}}},
        ),
        tell.change(
            4, "two services more: tail lift, call before", {"terms": {"services": ["tail_lift", "prenotification"]}}
        ),
        Cancel(tell.reference(9), "ordered twice by mistake", "cancelled: ordered twice by mistake"),
    )


def _collection(tell: "_Teller") -> tuple[Step, ...]:
    collected = (
        tell.scan(number, "collected", tell.at(1, 9, number), "collected in Tallinn", place="Tallinn")
        for number in (1, 2, 3, 4, 5, 6, 7, 10, 11)
    )
    return (
        *collected,
        tell.message(8, "in_transit", [("picked_up", 1, "Picked up", "Tallinn", "EE")]),
        tell.coded(12, "dcsa", "GTIN", tell.at(1, 15), "gate in at Muuga harbour"),
        tell.scan(1, "in_transit", tell.at(1, 20), "left the hub", place="Tallinn"),
        tell.scan(2, "in_transit", tell.at(1, 20, 5), "left the hub", place="Tallinn"),
        tell.scan(3, "in_transit", tell.at(2, 7), "arrived in Rīga", place="Rīga"),
    )


def _while_the_shop_is_down(tell: "_Teller") -> tuple[Step, ...]:
    return (
        tell.scan(3, "in_transit", tell.at(1, 22), "a late scan: left Tallinn the evening before", place="Tallinn"),
        tell.scan(4, "in_transit", tell.at(2, 8), "on the ferry", place="Baltic Sea"),
        tell.trouble(4, "delayed", "weather", tell.at(2, 11), "the ferry waits for the storm"),
        tell.change(4, "new ETA, 26 hours later", {"eta": tell.eta(5, 12)}),
        tell.change(
            2,
            "price corrected for the weight: 71.50 EUR",
            {"prices": [{"id": "p_2", "kind": "corrected", "amount": "71.50", "currency": "EUR", "charges": []}]},
        ),
        tell.scan(5, "in_transit", tell.at(2, 9), "left the hub", place="Helsinki"),
        tell.scan(6, "in_transit", tell.at(2, 9, 30), "left the hub", place="Pärnu"),
        tell.scan(7, "in_transit", tell.at(2, 13), "left the hub", place="Warszawa"),
        tell.scan(10, "in_transit", tell.at(2, 14), "left the hub", place="Stockholm"),
        tell.scan(10, "customs", tell.at(3, 6), "at the customs", place="Svinesund"),
        tell.trouble(10, "on_hold", "documents_missing", tell.at(3, 6, 20), "customs asks for the invoice"),
        tell.scan(11, "in_transit", tell.at(2, 16), "left the hub", place="Göteborg"),
    )


def _on_the_way(tell: "_Teller") -> tuple[Step, ...]:
    picked_up = ("picked_up", 1, "Picked up", "Tallinn", "EE")
    departed = ("departed_facility", 2, "Departed from facility", "Louisville", "US")
    return (
        tell.change(
            10,
            "the customs invoice is there",
            {"documents": [tell.paper(10, "d_customs", "customs", "invoice")]},
        ),
        tell.trouble(10, "ok", None, tell.at(3, 9), "customs lets it go"),
        tell.scan(10, "in_transit", tell.at(3, 10), "left the customs", place="Svinesund"),
        tell.message(8, "in_transit", [picked_up, departed]),
        tell.coded(12, "dcsa", "LOAD", tell.at(2, 18), "loaded on board"),
        tell.coded(12, "dcsa", "DEPA", tell.at(2, 23), "the vessel departed"),
        tell.change(12, "new ETA: eleven days later", {"eta": tell.eta(15, 8)}),
        # To the letter the scan of SO-1005 above: the carrier sends it again, and nobody is told again.
        tell.scan(5, "in_transit", tell.at(2, 9), "left the hub", place="Helsinki"),
        tell.trouble(4, "ok", None, tell.at(3, 4), "the ferry sails"),
    )


def _at_the_door(tell: "_Teller") -> tuple[Step, ...]:
    return (
        *(
            tell.scan(number, "out_for_delivery", tell.at(3, 8, number), "out for delivery")
            for number in (1, 2, 3, 5, 6, 7, 11)
        ),
        tell.scan(1, "delivered", tell.at(3, 10, 12), "delivered"),
        tell.change(1, "proof of delivery", {"documents": [tell.paper(1, "d_pod", "pod", "signature")]}),
        tell.missed(5, "consignee_absent", tell.at(3, 11), "nobody at home"),
        tell.scan(6, "delivered", tell.at(3, 11, 30), "the first of two pallets delivered", unit="hu_1"),
        tell.missed(7, "refused", tell.at(3, 12), "refused at the door"),
        tell.scan(3, "delivered", tell.at(3, 13, 40), "delivered"),
        tell.scan(2, "delivered", tell.at(3, 15), "delivered"),
        tell.scan(11, "delivered", tell.at(3, 16), "delivered"),
    )


def _the_end(tell: "_Teller") -> tuple[Step, ...]:
    picked_up = ("picked_up", 1, "Picked up", "Tallinn", "EE")
    departed = ("departed_facility", 2, "Departed from facility", "Louisville", "US")
    out = ("out_for_delivery", 4, "Out for delivery", "Portland", "US")
    handed_over = ("arrived_at_destination", 4, "Delivered, front door", "Portland", "US")
    return (
        tell.missed(5, "consignee_absent", tell.at(4, 11), "nobody at home, again"),
        tell.scan(7, "returning", tell.at(4, 8), "on its way back", place="Łódź"),
        tell.scan(6, "delivered", tell.at(4, 9), "the second pallet delivered", unit="hu_2"),
        tell.scan(5, "available_for_pickup", tell.at(4, 17), "waits at the parcel shop", place="Helsinki"),
        tell.message(8, "out_for_delivery", [picked_up, departed, out]),
        tell.message(8, "delivered", [picked_up, departed, out, handed_over]),
        tell.scan(10, "out_for_delivery", tell.at(4, 8), "out for delivery"),
        tell.scan(10, "delivered", tell.at(4, 12), "delivered"),
        tell.scan(4, "out_for_delivery", tell.at(5, 8), "out for delivery"),
        tell.scan(4, "delivered", tell.at(5, 11), "delivered"),
        tell.change(4, "proof of delivery", {"documents": [tell.paper(4, "d_pod", "pod", "signature")]}),
        tell.scan(5, "delivered", tell.at(5, 18), "picked up by the customer", place="Helsinki"),
        tell.scan(7, "returned", tell.at(6, 10), "back in the warehouse", place="Tallinn"),
    )


class _Teller:
    """Makes steps: knows the round's references and numbers and the story's calendar."""

    def __init__(self, played_at: datetime, round_number: int) -> None:
        self.round_number = round_number
        self.first_day = datetime.combine((played_at - timedelta(days=DAYS)).date(), time(), played_at.tzinfo)

    def at(self, day: int, hour: int, minute: int = 0) -> datetime:
        """An instant of the story."""
        return self.first_day + timedelta(days=day, hours=hour, minutes=minute)

    def reference(self, number: int) -> str:
        return reference(number, self.round_number)

    def tracking_number(self, number: int) -> str:
        return f"{self.round_number:04}77{number:06}"

    def booking(self, number: int) -> Book:
        order = ORDERS[number - 1]
        booked = document(order, self.at(0, 8, number), self.tracking_number(number))
        return Book(self.reference(number), booked, f"booked: {order.quantity} × {order.article} to {order.city}")

    def change(self, number: int, says: str, patch: Document) -> Change:
        return Change(self.reference(number), patch, says)

    def scan(
        self,
        number: int,
        status: str,
        occurred_at: datetime,
        says: str,
        *,
        place: str | None = None,
        unit: str | None = None,
    ) -> Scan:
        event: dict[str, object] = {"status": status, "occurred_at": occurred_at.isoformat(), "carrier_text": says}
        if place is not None:
            event["location"] = {"name": place}
        if unit is not None:
            event["handling_unit_id"] = unit
        return Scan(self.reference(number), event, says)

    def missed(self, number: int, reason: str, occurred_at: datetime, says: str) -> Scan:
        scan = self.scan(number, "delivery_attempted", occurred_at, says)
        return Scan(scan.reference, {**scan.tracking_event, "condition": "exception", "reason": reason}, says)

    def trouble(self, number: int, condition: str, reason: str | None, occurred_at: datetime, says: str) -> Scan:
        event: dict[str, object] = {
            "condition": condition,
            "occurred_at": occurred_at.isoformat(),
            "carrier_text": says,
        }
        if reason is not None:
            event["reason"] = reason
        return Scan(self.reference(number), event, says)

    def coded(self, number: int, code_list: str, code: str, occurred_at: datetime, says: str) -> Scan:
        event = {"code_list": code_list, "code": code, "occurred_at": occurred_at.isoformat(), "carrier_text": says}
        return Scan(self.reference(number), event, says)

    def eta(self, day: int, hour: int) -> Document:
        return {"at": self.at(day, hour).isoformat(), "precision": "hour", "source": "carrier"}

    def paper(self, number: int, paper_id: str, kind: str, name: str) -> Document:
        url = f"https://papers.tuulik.example/{self.reference(number)}/{name}.pdf"
        return {"id": paper_id, "kind": kind, "mime": "application/pdf", "url": url}

    def message(self, number: int, status: str, scans: list[tuple[str, int, str, str, str]]) -> CarrierMessage:
        """An EasyPost message with the scans so far: (status detail, day, words, city, country)."""
        number_text, carrier = self.tracking_number(number), ORDERS[number - 1].carrier
        details = [self._detail(carrier, place, *scan) for place, scan in enumerate(scans)]
        last = details[-1]
        result = {
            "id": f"trk_{number_text}",
            "object": "Tracker",
            "mode": "test",
            "tracking_code": number_text,
            "status": status,
            "status_detail": last["status_detail"],
            "carrier": carrier,
            "updated_at": last["datetime"],
            "tracking_details": details,
        }
        message = {
            "id": f"evt_{number_text}_{len(scans)}",
            "object": "Event",
            "mode": "test",
            "description": "tracker.updated",
            "previous_attributes": {},
            "created_at": last["datetime"],
            "updated_at": last["datetime"],
            "status": "pending",
            "pending_urls": [],
            "completed_urls": [],
            "result": result,
        }
        return CarrierMessage(message, f"{self.reference(number)} by EasyPost: {scans[-1][2]}")

    def _detail(
        self, carrier: str, place: int, detail: str, day: int, words: str, city: str, country: str
    ) -> dict[str, object]:
        status = {"out_for_delivery": "out_for_delivery", "arrived_at_destination": "delivered"}.get(
            detail, "in_transit"
        )
        return {
            "object": "TrackingDetail",
            "message": words,
            "description": words,
            "status": status,
            "status_detail": detail,
            "datetime": self.at(day, 10 + 2 * place).isoformat().replace("+00:00", "Z"),
            "source": carrier,
            "tracking_location": {"object": "TrackingLocation", "city": city, "country": country},
        }
