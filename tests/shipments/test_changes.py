"""The list of changes, and what applying it gives."""

import pytest

from shipments.builders import Freight, document, shown_as_json, told_by_changes
from waypost.shipments import Change, apply_changes, diff, groups


def changes_between(before, after):
    """The changes between two documents, and whether applying them gives the newer one."""
    freight = Freight()
    freight.put(before)
    old = freight.shown
    freight.put(after)
    changes = diff(old, freight.shown)
    applied = apply_changes(shown_as_json(old), changes)
    assert told_by_changes(applied) == told_by_changes(shown_as_json(freight.shown))
    return [(change.path, change.op, change.old, change.new) for change in changes]


def test_a_value_that_was_unknown_is_added_and_one_that_becomes_unknown_removed():
    before = {"stops": [{"id": "a", "kind": "pickup"}]}
    after = {"stops": [{"id": "a", "kind": "pickup", "planned": "2026-12-02T09:00:00Z"}]}
    ((path, op, old, _),) = changes_between(before, after)
    assert (path, op, old) == ("/stops/a/planned", "added", None)
    assert [op for _, op, _, _ in changes_between(after, before)] == ["removed"]


def test_an_object_that_appears_is_one_change():
    ((path, op, old, new),) = changes_between({}, {"temperature": {"min_c": "2", "max_c": "8"}})
    assert (path, op, old, new.min_c) == ("/temperature", "added", None, "2")


def test_an_item_that_comes_or_goes_is_one_change_with_the_whole_item():
    one, two = {"id": "a", "type": "bol", "value": "1"}, {"id": "b", "type": "bol", "value": "2"}
    ((path, op, _, new),) = changes_between({"references": [one]}, {"references": [two, one]})
    assert (path, op, new.value) == ("/references/b", "added", "2")
    ((path, op, old, new),) = changes_between({"references": [one, two]}, {"references": [two]})
    assert (path, op, old.value, new) == ("/references/a", "removed", "1", None)


def test_the_path_of_a_set_ends_with_the_value():
    before, after = {"tags": ["a", "b/c"]}, {"tags": ["d", "a"]}
    assert changes_between(before, after) == [("/tags/b~1c", "removed", "b/c", None), ("/tags/d", "added", None, "d")]


def test_the_lines_of_an_address_are_one_value():
    before = {"stops": [{"id": "a", "address": {"lines": ["Tehase 4"], "city": "Pärnu"}}]}
    after = {"stops": [{"id": "a", "address": {"lines": ["Tehase 4", "Hoov"], "city": "Pärnu"}}]}
    assert changes_between(before, after) == [
        ("/stops/a/address/lines", "changed", ("Tehase 4",), ("Tehase 4", "Hoov"))
    ]


def test_numbers_compare_by_value():
    before, after = document(), document()
    after["prices"][0]["amount"] = 612
    after["handling_units"][0]["gross_weight_kg"] = "0402.000"
    assert changes_between(before, after) == []


def test_the_changes_come_in_the_order_of_their_paths():
    after = document(tags=["x"], carrier=None)
    after["stops"][0]["window"]["to"] = "13:00"
    after["handling_units"][0]["length_cm"] = "120"
    paths = [path for path, *_ in changes_between(document(), after)]
    assert paths == [
        "/carrier",
        "/handling_units/hu_1/length_cm",
        "/stops/pickup/window/to",
        "/tags/priority",
        "/tags/x",
    ]


def test_status_eta_and_added_papers_are_told_elsewhere():
    papers = [*document()["documents"], {"kind": "cmr", "url": "https://x.example"}]
    after = document(status="collected", eta={"date": "2026-12-20"}, documents=papers, revision=8)
    assert changes_between(document(), after) == []


@pytest.mark.parametrize(
    ("path", "group"),
    [
        ("/parties/shipper/address/city", "address"),
        ("/parties/shipper/address", "address"),
        ("/stops/address/address/lines", "address"),
        ("/stops/address/kind", "schedule"),
        ("/parties/shipper/contact/phone", "parties"),
        ("/parties/shipper", "parties"),
        ("/stops/pickup/window/from", "schedule"),
        ("/stops/pickup", "schedule"),
        ("/handling_units/hu_1/gross_weight_kg", "items"),
        ("/goods/g_1", "items"),
        ("/dangerous_goods/dg_1", "items"),
        ("/temperature/min_c", "items"),
        ("/prices/p_1/amount", "price"),
        ("/terms/goods_value/amount", "price"),
        ("/terms/goods_value", "price"),
        ("/terms/services/cod", "service"),
        ("/terms", "service"),
        ("/carrier/service/id", "service"),
        ("/references/po", "references"),
        ("/tracking/tracking_url", "references"),
        ("/documents/d_1/url", "documents"),
        ("/tags/priority", "other"),
        ("/is_return", "other"),
    ],
)
def test_each_path_belongs_to_a_group(path, group):
    assert groups([Change(path, "changed")]) == (group,)


def test_groups_are_named_once_in_alphabetical_order():
    paths = ["/stops/a", "/goods/g", "/goods/h", "/carrier/name"]
    assert groups([Change(path, "changed") for path in paths]) == ("items", "schedule", "service")


def test_the_newer_version_keeps_the_older_order_and_spelling():
    freight = Freight()
    freight.put({"tags": ["a", "b"], "prices": [{"id": "p", "amount": "10.0"}, {"id": "q", "amount": "1"}]})
    freight.put({"tags": ["c", "b", "a"], "prices": [{"id": "q", "amount": "2"}, {"id": "p", "amount": "10"}]})
    assert freight.shown.tags == ("a", "b", "c")
    assert [(price.id, price.amount) for price in freight.shown.prices] == [("p", "10.0"), ("q", "2")]
