"""Bodies for the OpenAPI document: what a reader copies first. A test checks each against its schema."""

from typing import Any

SHIPMENT: dict[str, Any] = {
    "revision": 3,
    "status": "booked",
    "status_at": "2026-11-23T13:31:00Z",
    "tags": ["priority"],
    "references": [{"id": "po", "type": "purchase_order", "value": "45001873"}],
    "parties": {
        "shipper": {
            "name": "Lindholm Möbler AB",
            "address": {"lines": ["Hamngatan 12"], "postcode": "652 25", "city": "Karlstad", "country": "SE"},
        },
        "consignee": {
            "name": "Furuborg AS",
            "address": {"lines": ["Sjøgata 3"], "postcode": "8006", "city": "Bodø", "country": "NO"},
        },
    },
    "stops": [
        {
            "id": "delivery",
            "kind": "delivery",
            "window": {"date": "2026-11-27", "from": "09:00", "to": "12:00", "time_zone": "Europe/Oslo"},
        }
    ],
    "handling_units": [
        {"id": "hu_1", "kind": "EUR", "quantity": 1, "gross_weight_kg": "356", "length_cm": "120", "width_cm": "80"}
    ],
    "carrier": {"id": "nordfrakt", "name": "Nordfrakt", "mode": "road"},
    "eta": {"at": "2026-11-27T10:00:00Z", "precision": "minute", "source": "carrier"},
}

SHIPMENT_PATCH: dict[str, Any] = {
    "handling_units": [{"id": "hu_1", "gross_weight_kg": "402"}, {"id": "hu_9", "$remove": True}],
    "temperature": None,
}

TRACKING_EVENT: dict[str, Any] = {
    "id": "scan-9",
    "status": "in_transit",
    "condition": "delayed",
    "reason": "weather",
    "occurred_at": "2026-11-26T06:10:00+01:00",
    "location": {"name": "Östersund", "country": "SE"},
    "carrier_code": "W12",
    "carrier_text": "Delayed by snow",
}

BULK_LINES = (
    '{"reference": "SO-1001", "carrier": {"id": "nordfrakt"}}\n'
    '{"reference": "SO-1002", "eta": {"at": "2026-11-27T10:00:00Z"}}\n'
)

ENDPOINT: dict[str, Any] = {
    "url": "https://erp.example/hooks/waypost",
    "description": "ERP",
    "events": ["shipment.status.*", "shipment.updated"],
    "filter": {"carriers": ["nordfrakt"], "countries": ["NO"]},
}

ENDPOINT_PATCH: dict[str, Any] = {"events": ["shipment.*"], "filter": None}

REPLAY: dict[str, Any] = {"which": "failed", "since": "2026-11-26T08:00:00Z", "dry_run": True}

EVENT_TYPE: dict[str, Any] = {
    "title": "Invoice made",
    "description": "An invoice was made for one shipment or several.",
    "schema": {
        "type": "object",
        "properties": {
            "number": {"type": "string"},
            "shipments": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "total": {"$ref": "#/$defs/money"},
        },
        "required": ["number", "total"],
        "$defs": {
            "money": {
                "type": "object",
                "properties": {
                    "amount": {"type": "string", "pattern": "^[0-9]+[.][0-9]{2}$"},
                    "currency": {"type": "string"},
                },
                "required": ["amount", "currency"],
            }
        },
    },
    "example": {"number": "R-2201", "shipments": ["SO-1001"], "total": {"amount": "612.00", "currency": "EUR"}},
}

OWN_EVENT: dict[str, Any] = {
    "type": "invoice.created",
    "key": "R-2201",
    "id": "tms-invoice-2201-created",
    "occurred_at": "2026-11-27T14:05:00+01:00",
    "data": {"number": "R-2201", "shipments": ["SO-1001"], "total": {"amount": "612.00", "currency": "EUR"}},
}

PORTAL_LINK = {"role": "manager", "expires_in_seconds": 3600, "user": {"id": "u-17", "name": "Jonas Tamm"}}

TOKEN: dict[str, Any] = {"name": "tms", "scopes": ["shipments:write", "endpoints:write", "read"]}

ACCOUNT: dict[str, Any] = {"id": "nordfrakt", "name": "Nordfrakt"}

SOURCE: dict[str, Any] = {"kind": "easypost", "name": "EasyPost", "secret": "a secret shared with EasyPost"}
