"""EasyPost messages about invented parcels of invented carriers."""

import json
from typing import Any

CARRIER = "HavenPost"
NUMBER = "HP-5520-118"
PLACES = {
    "Narva": {"city": "Narva", "state": None, "country": "EE", "zip": "20308"},
    "Tartu": {"city": "Tartu", "state": "Tartumaa", "country": "EE", "zip": "50090"},
    "Norway": {"city": None, "state": None, "country": "NO", "zip": None},
    "nowhere": {"city": None, "state": None, "country": None, "zip": None},
}


def a_scan(
    status: str | None,
    at: str = "2026-11-25T07:40:00Z",
    *,
    detail: str | None = None,
    code: str | None = None,
    words: str | None = "Parcel moved",
    place: str | None = "Narva",
    **others: Any,
) -> dict[str, Any]:
    """One of a tracker's scans."""
    location = {"object": "TrackingLocation", **PLACES[place]} if place else None
    return {
        "object": "TrackingDetail",
        "status": status,
        "status_detail": detail,
        "datetime": at,
        "message": words,
        "carrier_code": code,
        "tracking_location": location,
        **others,
    }


def a_tracker(*scans: dict[str, Any], **others: Any) -> dict[str, Any]:
    """A tracker with these scans; its own status is that of the last one."""
    return {
        "object": "Tracker",
        "tracking_code": NUMBER,
        "carrier": CARRIER,
        "status": scans[-1]["status"] if scans else "unknown",
        "updated_at": "2026-11-26T10:00:00Z",
        "weight": 11.5,
        "signed_by": None,
        "est_delivery_date": None,
        "carrier_detail": None,
        "tracking_details": list(scans),
        **others,
    }


def a_message(*scans: dict[str, Any], description: str = "tracker.updated", **tracker: Any) -> bytes:
    """A webhook message about a tracker with these scans, as bytes."""
    message = {
        "object": "Event",
        "id": "evt_havenpost_1",
        "description": description,
        "mode": "production",
        "previous_attributes": {"status": "unknown"},
        "result": a_tracker(*scans, **tracker),
    }
    return json.dumps(message, ensure_ascii=False).encode()
