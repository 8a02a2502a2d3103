"""Shipments that a carrier speaks of."""

import pytest

from shipments.builders import Freight, a_scan, carrier_scan
from waypost.shipments import SearchKey, carrier_key, search_keys


def test_a_carriers_first_message_makes_a_shipment_and_then_the_same_events_as_later():
    freight = Freight()
    told = freight.carrier(carrier_scan("booked", -3), carrier_scan("collected", -2), carrier_scan("in_transit", -1))
    assert told == [
        "created",
        "recorded",
        "status.booked",
        "recorded",
        "status.collected",
        "recorded",
        "status.in_transit",
    ]
    assert (freight.shown.carrier.name, freight.shown.tracking.tracking_numbers[0].value) == ("FedEx", "7489")


def test_a_first_message_without_scans_is_a_booking():
    assert Freight().carrier() == ["created", "status.booked"]


def test_the_same_message_again_does_nothing():
    freight = Freight()
    freight.carrier(carrier_scan("collected"))
    assert freight.carrier(carrier_scan("collected")) == []
    assert not freight.outcome.changed


def test_a_document_joins_a_shipment_that_a_carrier_made():
    freight = Freight()
    freight.carrier(carrier_scan("collected"))
    assert freight.put({"tags": ["a"]}) == ["updated"]
    assert freight.shown.status == "collected"
    assert freight.put({"carrier": {"id": "fedex"}}) == ["updated"]
    assert freight.shown.tracking.tracking_numbers[0].value == "7489"


def test_an_empty_first_document_changes_nothing_of_it():
    freight = Freight()
    freight.carrier(carrier_scan("collected"))
    assert freight.put({}) == []
    assert freight.shown.version == 1


def test_a_number_that_documents_name_too_is_shown_once():
    freight = Freight()
    freight.carrier()
    freight.put({"tracking": {"tracking_numbers": [{"id": "n", "value": "7489", "carrier": "fedex"}]}})
    assert [number.id for number in freight.shown.tracking.tracking_numbers] == ["n"]


@pytest.mark.parametrize("name", ["FedEx", "fedex", "Fed-Ex", "FED EX"])
def test_a_carrier_is_known_however_its_name_is_written(name):
    assert carrier_key(name) == "fedex"


def test_a_shipment_is_found_by_its_references_and_numbers():
    freight = Freight()
    freight.put(
        {
            "references": [{"type": "bol", "value": "BOL-7"}],
            "carrier": {"id": "norrsund"},
            "tracking": {"tracking_numbers": [{"value": "NRSU-1"}]},
            "handling_units": [{"id": "a", "tracking_number": "P-1"}],
        }
    )
    assert search_keys(freight.state) == [
        SearchKey("so-48213", "reference"),
        SearchKey("bol-7", "reference_value"),
        SearchKey("nrsu-1", "tracking_number", "norrsund"),
        SearchKey("p-1", "tracking_number", "norrsund"),
    ]


def test_scans_of_the_api_and_of_carriers_make_one_history():
    freight = Freight()
    freight.put({})
    freight.carrier(carrier_scan("collected", -2))
    freight.scan(a_scan("in_transit", -1))
    assert [event.source.channel for event in freight.shown.tracking_events] == ["carrier", "api"]
