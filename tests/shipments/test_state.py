"""What is stored and what is shown."""

import json

from shipments.builders import Freight, a_scan, document
from waypost.shipments import decode_state, encode_state, shipment_json


def test_a_state_survives_being_stored():
    freight = Freight()
    freight.put(document())
    freight.scan(a_scan("collected", eta={"date": "2026-12-09"}), a_scan("in_transit", handling_unit_id="hu_1"))
    assert decode_state(encode_state(freight.state)) == freight.state


def test_the_shipment_is_shown_with_every_field_in_order():
    freight = Freight()
    freight.put(document())
    shown = json.loads(shipment_json(freight.state))
    assert list(shown)[:11] == [
        "id",
        "reference",
        "version",
        "status",
        "condition",
        "reason",
        "action_required_by",
        "status_since",
        "created_at",
        "updated_at",
        "revision",
    ]
    given = [name for name in document() if name not in ("revision", "status", "status_at")]
    assert [name for name in shown if name in given] == given
    assert list(shown)[-2:] == ["tracking_events", "erased_at"]


def test_everything_that_was_put_is_shown_as_it_was_put():
    freight = Freight()
    freight.put(document())
    shown = json.loads(shipment_json(freight.state))
    for name, value in document().items():
        if name not in ("status_at", "eta"):
            assert includes(shown[name], value), name
    assert includes(shown["eta"], document()["eta"])


def test_events_carry_the_newest_scans_and_the_shipment_all():
    freight = Freight()
    freight.put({})
    freight.scan(*[a_scan("in_transit", hours=-n, id=f"s{n}") for n in range(1, 31)])
    assert len(json.loads(shipment_json(freight.state))["tracking_events"]) == 30
    newest = json.loads(shipment_json(freight.state, 20))["tracking_events"]
    assert [event["id"] for event in newest] == [f"s{n}" for n in range(20, 0, -1)]


def includes(shown, given):
    """Whether all that was given is shown."""
    if isinstance(given, dict):
        return all(includes(shown[name], value) for name, value in given.items())
    if isinstance(given, list):
        return len(shown) == len(given) and all(map(includes, shown, given))
    return shown == given
