"""The twelve orders of the story, as the shop's transport system first puts them. Companies and people are invented."""

import csv
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

Document = Mapping[str, object]

WAREHOUSE: Document = {
    "name": "Tuulik & Co",
    "address": {"lines": ["Lootsi 12"], "postcode": "10151", "city": "Tallinn", "country": "EE"},
    "contact": {"name": "Warehouse", "phone": "+3725550142", "email": "warehouse@tuulik.example"},
}


class Order(msgspec.Struct, frozen=True):
    """A row of orders.csv: who gets how many of which article, by which carrier, in how many handling units.

    Weight in kg and price in EUR are of one piece, freight is in EUR.
    """

    number: int
    customer: str
    street: str
    postcode: str
    city: str
    country: str
    article: str
    quantity: int
    piece_kg: str
    piece_price: str
    carrier: str
    carrier_name: str
    mode: str
    freight: str
    kind: str
    units: int


def _read_orders() -> tuple[Order, ...]:
    text = Path(__file__).with_name("orders.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(msgspec.convert(row, Order, strict=False) for row in rows)


ORDERS = _read_orders()


def document(order: Order, booked_at: datetime, tracking_number: str) -> Document:
    """The shipment document of an order that is booked at that instant."""
    return {
        "status": "booked",
        "status_at": booked_at.isoformat(),
        "references": [{"type": "customer_order", "value": f"WEB-{order.number:04}"}],
        "parties": {"shipper": WAREHOUSE, "consignee": _consignee(order)},
        "stops": _stops(order, booked_at),
        "handling_units": _units(order),
        "goods": [
            {
                "id": "g_1",
                "description": order.article,
                "quantity": str(order.quantity),
                "origin_country": "EE",
                "value": {"amount": order.piece_price, "currency": "EUR"},
            }
        ],
        "carrier": {"id": order.carrier, "name": order.carrier_name, "mode": order.mode},
        "tracking": {"tracking_numbers": [{"value": tracking_number, "carrier": order.carrier, "primary": True}]},
        "prices": [{"id": "p_1", "kind": "booked", "amount": order.freight, "currency": "EUR", "charges": []}],
        "eta": {
            "at": (booked_at + timedelta(days=4)).isoformat(),
            "precision": "hour",
            "source": "carrier",
        },
    }


def _consignee(order: Order) -> Document:
    return {"name": order.customer, "address": _address(order)}


def _address(order: Order) -> Document:
    return {
        "lines": [order.street],
        "postcode": order.postcode,
        "city": order.city,
        "country": order.country,
    }


def _stops(order: Order, booked_at: datetime) -> list[Document]:
    collected_on = (booked_at + timedelta(days=1)).date().isoformat()
    window = {"date": collected_on, "from": "09:00", "to": "12:00", "time_zone": "Europe/Tallinn"}
    return [
        {"id": "pickup", "kind": "pickup", "address": WAREHOUSE["address"], "window": window},
        {"id": "delivery", "kind": "delivery", "address": _address(order)},
    ]


def _units(order: Order) -> list[Document]:
    weight_kg = float(order.piece_kg) * order.quantity / order.units
    return [
        {"id": f"hu_{number}", "kind": order.kind, "quantity": 1, "gross_weight_kg": f"{weight_kg:.1f}"}
        for number in range(1, order.units + 1)
    ]
