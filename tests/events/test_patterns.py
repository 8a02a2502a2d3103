import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.errors import FieldError, InvalidDocument
from waypost.events import patterns
from waypost.events.filters import Filter, read_facets
from waypost.events.kinds import EVENT_TYPES
from waypost.events.patterns import Wants, check_patterns, matches, read_patterns

NOT_READ = b"not JSON: a matcher that opens this fails"


def an_event(event_type: str = "shipment.created", changed: tuple[str, ...] = (), **shipment: object) -> bytes:
    """The bytes of an event with as much of a shipment as filters look at."""
    known = {"reference": "SO-1", "status": "booked", "tags": [], "references": [], "parties": {}, "stops": []}
    return msgspec.json.encode({"type": event_type, "data": {"shipment": known | shipment, "changed": changed}})


def at(country: str) -> dict[str, object]:
    return {"address": {"lines": [], "country": country}}


def wanted(wanted_filter: Filter, body: bytes, event_type: str = "shipment.created") -> bool:
    return patterns.compile(Wants(("*",), wanted_filter))(event_type, body)


def test_an_exact_pattern_matches_its_type_alone():
    assert [name for name in EVENT_TYPES if matches(("shipment.updated",), name)] == ["shipment.updated"]


def test_shipment_star_leaves_out_scans_units_and_operations():
    assert {name.split(".")[0] for name in EVENT_TYPES if matches(("shipment.*",), name)} == {"shipment"}


def test_shipment_star_matches_at_every_depth():
    assert matches(("shipment.*",), "shipment.created")
    assert matches(("shipment.*",), "shipment.status.delivered")


def test_a_pattern_does_not_match_the_word_it_stands_below():
    assert not matches(("shipment.status.*",), "shipment.status")
    assert not matches(("shipment.status.*",), "shipment.status_page")


def test_a_star_matches_everything_operations_and_own_types_included():
    assert all(matches(("*",), name) for name in (*EVENT_TYPES, "invoice.created"))


def test_without_a_filter_the_body_is_never_opened():
    wants = patterns.compile(Wants(("shipment.status.*", "endpoint.*")))
    assert wants("shipment.status.delivered", NOT_READ)
    assert wants("endpoint.failing", NOT_READ)
    assert not wants("shipment.updated", NOT_READ)


def test_with_a_filter_the_body_of_an_unwanted_type_is_not_opened():
    assert not patterns.compile(Wants(("shipment.created",), Filter(tags=("x",))))("shipment.updated", NOT_READ)


@pytest.mark.parametrize("event_type", ["endpoint.failing", "delivery.failed", "invoice.created", "webhook.test"])
def test_an_event_about_no_shipment_passes_only_where_there_is_no_filter(event_type):
    assert patterns.compile(Wants(("*",)))(event_type, NOT_READ)
    assert not wanted(Filter(changed=("price",)), NOT_READ, event_type)


def test_every_condition_of_a_filter_must_match():
    both = Filter(tags=("priority",), statuses=("booked",))
    assert wanted(both, an_event(tags=["priority"]))
    assert not wanted(both, an_event(tags=["priority"], status="delivered"))
    assert not wanted(both, an_event(tags=["slow"]))


@pytest.mark.parametrize(("carrier", "passes"), [("norrsund", True), ("Norrsund Lines", True), ("other", False)])
def test_carriers_match_by_id_or_by_name(carrier, passes):
    body = an_event(carrier={"id": "norrsund", "name": "Norrsund Lines", "scac": None})
    assert wanted(Filter(carriers=(carrier,)), body) is passes


def test_countries_match_any_party_or_stop():
    body = an_event(parties={"consignee": at("IS"), "notify": None, "shipper": {"name": "A"}}, stops=[at("EE"), {}])
    assert [wanted(Filter(countries=(code,)), body) for code in ("IS", "EE", "NO")] == [True, True, False]


def test_references_match_a_value_or_the_reference_of_the_shipment():
    body = an_event(references=[{"type": "purchase_order", "value": "45001873"}])
    assert [wanted(Filter(references=(value,)), body) for value in ("45001873", "SO-1", "SO")] == [True, True, False]


def test_changed_restricts_shipment_updated_alone():
    price = Filter(changed=("price",))
    assert wanted(price, NOT_READ, "shipment.created")
    assert wanted(price, an_event("shipment.updated", ("items", "price")), "shipment.updated")
    assert not wanted(price, an_event("shipment.updated", ("items",)), "shipment.updated")


def test_a_shipment_of_which_nothing_is_known_passes_no_filter_on_its_parts():
    body = an_event(parties=None, carrier=None)
    assert not wanted(Filter(carriers=("norrsund",)), body)
    assert not wanted(Filter(countries=("IS",)), body)


def test_many_matchers_share_one_reading_of_the_body():
    reads = []
    facets = read_facets(an_event(tags=["priority"]))
    matcher = patterns.compile(Wants(("shipment.*",), Filter(tags=("priority",))))
    assert matcher.wants("shipment.created", lambda: reads.append(1) or facets)
    assert not matcher.wants("tracking.stale", lambda: reads.append(2) or facets)
    assert reads == [1]
    assert matcher.needs_body("shipment.created")
    assert not matcher.needs_body("tracking.stale")


@given(name=st.sampled_from(EVENT_TYPES), depth=st.integers(1, 3))
def test_everything_below_a_known_word_is_a_valid_pattern_that_matches(name, depth):
    word = ".".join(name.split(".")[:depth])
    pattern = name if word == name else f"{word}.*"
    assert check_patterns([pattern]) == []
    assert matches((pattern,), name)


@given(st.lists(st.one_of(st.text(max_size=120), st.integers(), st.none()), max_size=5))
def test_whatever_is_given_as_patterns_is_answered_and_never_raises_another_error(value):
    errors = check_patterns(value)
    assert all(error.path.startswith("/events") and error.message for error in errors)
    msgspec.json.encode(errors)


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("shipment.statsu.*", "shipment.status.*"),
        ("shipment.status.collectd", "shipment.status.collected"),
        ("shipment.delivered", "shipment.status.delivered"),
        ("shipment.delayed", "shipment.condition.delayed"),
        ("shipment", "shipment.*"),
        ("shipment.status", "shipment.status.*"),
        ("Shipment.Created", "shipment.created"),
        ("shipment*", "shipment.*"),
    ],
)
def test_a_bad_pattern_is_answered_with_the_near_one(pattern, meant):
    (error,) = check_patterns([pattern])
    assert error.path == "/events/0"
    assert error.message.endswith(f'; did you mean "{meant}"?')


def test_every_bad_pattern_is_named_with_its_place():
    with pytest.raises(InvalidDocument) as caught:
        read_patterns(["shipment.*", "nothing.like.it", 7])
    assert caught.value.errors == (
        FieldError("/events/1", '"nothing.like.it" matches no event type'),
        FieldError("/events/2", "is not a text"),
    )


@pytest.mark.parametrize("value", ["shipment.*", None, {}, [], ["*"] * 101])
def test_patterns_that_are_no_list_of_a_sensible_length_are_refused(value):
    (error,) = check_patterns(value, path="/settings/events")
    assert error.path == "/settings/events"


@pytest.mark.parametrize("pattern", ["ship*", "*.created", "shipment.**", "shipment.*.delivered", ".*", ""])
def test_a_star_stands_alone_or_at_the_end_after_a_dot(pattern):
    assert len(check_patterns([pattern])) == 1


def test_types_of_the_account_itself_are_known_when_given():
    assert check_patterns(["invoice.created", "invoice.*"]) != []
    assert read_patterns(["invoice.created", "invoice.*"], own_types={"invoice.created"}) == (
        "invoice.created",
        "invoice.*",
    )


def test_a_list_of_hostile_patterns_is_refused_quickly():
    started_at = time.perf_counter()
    errors = check_patterns(["s" * 99 + str(n) for n in range(50)] + ["a" * 100_000] * 50)
    assert len(errors) == 100
    assert time.perf_counter() - started_at < 1
