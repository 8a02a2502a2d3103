"""The ids of items that came without one."""

import json

import pytest

from waypost.shipments import read_document


def ids(field, *items):
    read = read_document(json.dumps({field: items}).encode())
    return [item.id for item in getattr(read, field)]


@pytest.mark.parametrize(
    ("field", "item", "item_id"),
    [
        ("references", {"type": "bol", "value": "7"}, "bol:7"),
        ("handling_units", {"sscc": "347401230000187314", "tracking_number": "T1"}, "347401230000187314"),
        ("handling_units", {"tracking_number": "T1"}, "T1"),
        ("documents", {"kind": "pod", "url": "https://x.example/1"}, "pod:https://x.example/1"),
        ("stops", {"kind": "pickup"}, "pickup"),
        ("goods", {"description": "x"}, "g_1"),
        ("prices", {"kind": "booked"}, "p_1"),
        ("references", {"value": "7"}, "ref_1"),
        ("dangerous_goods", {"class": "3"}, "dg_1"),
    ],
)
def test_an_item_without_id_gets_one_from_its_natural_key_or_place(field, item, item_id):
    assert ids(field, item) == [item_id]


def test_a_number_is_named_by_value_and_carrier():
    read = read_document(b'{"tracking": {"tracking_numbers": [{"value": "1", "carrier": "x"}, {"value": "2"}]}}')
    assert [number.id for number in read.tracking.tracking_numbers] == ["1:x", "2"]


def test_a_kind_that_several_stops_have_names_none_of_them():
    assert ids("stops", {"kind": "delivery"}, {"kind": "delivery"}, {"kind": "pickup"}) == [
        "stop_1",
        "stop_2",
        "pickup",
    ]


def test_a_given_id_is_never_given_to_another_item():
    assert ids("goods", {"id": "g_2"}, {}) == ["g_2", "g_2_"]
    assert ids("stops", {"id": "pickup", "kind": "x"}, {"kind": "pickup"}) == ["pickup", "stop_2"]


def test_charges_of_a_price_have_ids_too():
    read = read_document(b'{"prices": [{"charges": [{"amount": "1"}, {"amount": "2"}]}]}')
    assert [charge.id for charge in read.prices[0].charges] == ["c_1", "c_2"]
