import msgspec
import pytest

from waypost.errors import FieldError, InvalidDocument
from waypost.events.filters import Filter, check_filter, read_filter


def only_error(value: object) -> FieldError:
    (error,) = check_filter(value)
    return error


def test_a_filter_is_read_and_shown_as_it_was_given():
    given = {"carriers": ["norrsund"], "countries": ["IS"]}
    assert msgspec.to_builtins(read_filter(given)) == {"carriers": ("norrsund",), "countries": ("IS",)}


@pytest.mark.parametrize("value", [None, {}])
def test_a_filter_without_conditions_is_no_filter(value):
    assert read_filter(value) is None


@pytest.mark.parametrize("value", ["EE", ["EE"], 7, True])
def test_a_filter_that_is_no_object_is_refused(value):
    assert only_error(value).path == "/filter"


def test_an_unknown_condition_is_answered_with_the_near_one():
    assert only_error({"country": ["IS"]}) == FieldError("/filter/country", 'unknown field; did you mean "countries"?')


def test_the_name_of_an_unknown_condition_is_escaped_in_its_pointer():
    assert only_error({"a/b~c": []}).path == "/filter/a~1b~0c"


def test_a_condition_without_entries_is_refused_since_it_would_match_nothing():
    assert "leave it out" in only_error({"tags": []}).message


@pytest.mark.parametrize(
    ("value", "path", "part"),
    [
        ({"countries": ["is"]}, "/filter/countries/0", 'did you mean "IS"?'),
        ({"countries": ["IS", "XX"]}, "/filter/countries/1", "not a country code"),
        ({"statuses": ["delivred"]}, "/filter/statuses/0", 'did you mean "delivered"?'),
        ({"changed": ["prices"]}, "/filter/changed/0", 'did you mean "price"?'),
        ({"tags": [""]}, "/filter/tags/0", "1 to 255"),
        ({"tags": ["x" * 256]}, "/filter/tags/0", "1 to 255"),
        ({"references": ["a\x00b"]}, "/filter/references/0", "control character"),
        ({"references": ["a\ud800"]}, "/filter/references/0", "control character"),
        ({"carriers": [7]}, "/filter/carriers/0", "not a text"),
        ({"carriers": "norrsund"}, "/filter/carriers", "not a list"),
        ({"carriers": ["n"] * 1001}, "/filter/carriers", "at most 1000"),
    ],
)
def test_a_wrong_entry_is_named_with_its_place_and_the_remedy(value, path, part):
    error = only_error(value)
    assert error.path == path
    assert part in error.message


def test_all_wrong_places_are_named_at_once():
    with pytest.raises(InvalidDocument) as caught:
        read_filter({"countries": ["Iceland"], "statuses": ["gone"], "tags": ["fine"]})
    assert [error.path for error in caught.value.errors] == ["/filter/countries/0", "/filter/statuses/0"]


def test_filters_are_values():
    assert read_filter({"tags": ["a"]}) == Filter(tags=("a",))
