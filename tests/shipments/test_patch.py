"""Merge patches: items by id or natural key, the result validated whole."""

import pytest

from shipments.builders import Freight, document
from waypost.errors import InvalidDocument
from waypost.shipments import DetailsChanged, Document


@pytest.fixture
def freight():
    freight = Freight()
    freight.put(document())
    return freight


def wrong(freight, patch):
    with pytest.raises(InvalidDocument) as caught:
        freight.patch(patch)
    return [error.path for error in caught.value.errors]


def test_what_a_patch_does_not_name_stays(freight):
    assert freight.patch({"parties": {"shipper": {"contact": {"phone": "+3725550101"}}}}) == ["updated"]
    contact = freight.shown.parties.shipper.contact
    assert (contact.name, contact.phone) == ("Mari Kask", "+3725550101")


def test_an_empty_patch_changes_nothing(freight):
    assert freight.patch({}) == []
    assert not freight.outcome.changed


def test_null_makes_unknown(freight):
    freight.patch({"terms": {"incoterm": None}, "prices": None})
    assert (freight.shown.terms.incoterm, freight.shown.prices) == (None, ())
    assert freight.shown.terms.services == ("tail_lift",)


def test_an_item_is_merged_by_its_id(freight):
    freight.patch({"handling_units": [{"id": "hu_1", "gross_weight_kg": "410"}]})
    (unit,) = freight.shown.handling_units
    assert (unit.gross_weight_kg, unit.sscc) == ("410", "347401230000187314")


@pytest.mark.parametrize(
    "item",
    [
        {"references": [{"type": "purchase_order", "value": "45001873", "issuer": "Gufa"}]},
        {"handling_units": [{"sscc": "347401230000187314", "marks": "fragile"}]},
        {"tracking": {"tracking_numbers": [{"value": "NRSU-772041", "primary": True}]}},
        {"tracking": {"tracking_numbers": [{"value": "NRSU-772041", "carrier": "norrsund", "primary": True}]}},
        {"documents": [{"kind": "label", "url": "https://tms.example/labels/1", "mime": "application/pdf"}]},
        {"stops": [{"kind": "delivery", "window": {"from": "09:00"}}]},
    ],
)
def test_an_item_without_id_is_matched_by_its_natural_key(freight, item):
    assert freight.patch(item) == ["updated"]
    (change,) = freight.fact(DetailsChanged).changes
    assert change.path.count("/") >= 3  # something inside an item, and no item more


def test_an_item_that_is_not_known_is_added(freight):
    freight.patch({"goods": [{"description": "Stones"}]})
    assert [goods.id for goods in freight.shown.goods] == ["g_1", "g_2"]


def test_an_item_is_taken_out_by_its_id_or_key(freight):
    freight.patch({"references": [{"id": "po", "$remove": True}], "stops": [{"kind": "pickup", "$remove": True}]})
    assert [reference.id for reference in freight.shown.references] == ["cmr"]
    assert [stop.id for stop in freight.shown.stops] == ["delivery"]


def test_taking_out_what_is_not_there_does_nothing(freight):
    assert freight.patch({"references": [{"id": "nobody", "$remove": True}]}) == []


def test_remove_is_true_or_wrong(freight):
    assert wrong(freight, {"references": [{"id": "po", "$remove": False}]}) == ["/references/0/$remove"]


def test_lists_of_texts_are_replaced_whole(freight):
    freight.patch({"tags": ["cold"], "terms": {"services": []}})
    assert (freight.shown.tags, freight.shown.terms.services) == (("cold",), ())


def test_errors_name_the_place_in_the_patch(freight):
    patch = {"references": [{"id": "po", "$remove": True}, {"id": "new", "type": "boo"}], "status": "boked"}
    assert sorted(wrong(freight, patch)) == ["/references/1/type", "/status"]


def test_unknown_and_read_only_fields_are_errors_even_when_null(freight):
    patch = {"colour": None, "version": None, "handling_units": [{"id": "hu_1", "status": None}]}
    assert sorted(wrong(freight, patch)) == ["/colour", "/handling_units/0/status", "/version"]


def test_two_items_with_one_id_are_refused(freight):
    assert wrong(freight, {"goods": [{"id": "g_1"}, {"id": "g_1"}]}) == ["/goods/1/id"]


@pytest.mark.parametrize("value", [3, "x", []])
def test_what_is_no_object_is_refused(freight, value):
    assert wrong(freight, {"parties": value, "goods": [value]}) == ["/parties", "/goods/1"]


def test_a_refused_patch_leaves_everything_as_it_was(freight):
    wrong(freight, {"tags": ["a"], "status": "boked"})
    assert freight.shown.tags == ("priority",)


def test_a_patch_may_state_a_status(freight):
    assert freight.patch({"status": "collected"}) == ["status.collected"]
    assert freight.patch({"tags": []}) == ["updated"]
    assert freight.patch({"status": "collected"}) == []


def test_a_patch_with_a_lower_revision_is_stale(freight):
    assert freight.patch({"revision": 3, "tags": []}) == []
    assert freight.outcome.stale


def test_a_paper_that_a_carrier_added_can_be_added_to(freight):
    freight.carrier(documents=(Document(id="pod-1", kind="pod", url="https://carrier.example/pod/1"),))
    assert freight.patch({"documents": [{"id": "pod-1", "mime": "image/png"}]}) == ["updated"]
    paper = freight.shown.documents[-1]
    assert (paper.kind, paper.mime, paper.url) == ("pod", "image/png", "https://carrier.example/pod/1")


def test_a_patch_of_very_many_items_is_merged_in_time_linear_in_them(freight):
    many = [{"id": f"g{n}", "quantity": "1"} for n in range(5000)]
    freight.put({"goods": many})
    assert freight.patch({"goods": [item | {"quantity": "2"} for item in reversed(many)]}) == ["updated"]
    assert {goods.quantity for goods in freight.shown.goods} == {"2"}
