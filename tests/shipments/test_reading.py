import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipments.builders import document
from waypost.errors import BadRequest, CallerError, InvalidDocument
from waypost.shipments import (
    bulk_reference,
    check_reference,
    read_bulk_line,
    read_cancel,
    read_document,
    read_document_value,
    read_patch,
    read_tracking_events,
)


def wrong(body, read=read_document):
    """The wrong places of a body, as path and message."""
    with pytest.raises(InvalidDocument) as caught:
        read(body if isinstance(body, bytes) else json.dumps(body).encode())
    return {error.path: error.message for error in caught.value.errors}


def test_an_empty_object_is_a_document_of_which_nothing_is_known():
    read = read_document(b"{}")
    assert (read.parties, read.stops, read.tags, read.is_return, read.status) == (None, (), (), False, None)


def test_all_wrong_places_are_named_at_once_with_their_paths():
    places = wrong(
        {
            "handling_units": [{"sscc": "347401230000187311", "gross_weight_kg": -1}],
            "parties": {"consigne": {}, "shipper": {"gln": "123", "address": {"country": "Estonia"}}},
            "eta": {"at": "2026-12-08T15:00:00"},
            "status": "boked",
        }
    )
    assert places["/handling_units/0/sscc"] == "check digit is 1, should be 4"
    assert places["/handling_units/0/gross_weight_kg"] == "is -1, should not be negative"
    assert places["/parties/consigne"] == 'unknown field; did you mean "consignee"?'
    assert places["/parties/shipper/gln"] == "should be 13 digits"
    assert "ISO 3166" in places["/parties/shipper/address/country"]
    assert places["/eta/at"] == "no time zone"
    assert places["/status"] == '"boked" is not a status; did you mean "booked"?'


def test_the_detail_counts_the_wrong_fields():
    with pytest.raises(InvalidDocument, match=r"^1 field is wrong\.$"):
        read_document(b'{"colour": "red"}')
    with pytest.raises(InvalidDocument, match=r"^2 fields are wrong\.$"):
        read_document(b'{"colour": "red", "size": 1}')


def test_no_more_than_a_hundred_wrong_places_are_listed():
    assert len(wrong({f"x{n}": n for n in range(100_000)})) == 100


@pytest.mark.parametrize(
    "name", ["id", "reference", "version", "condition", "created_at", "tracking_events", "erased_at"]
)
def test_a_read_only_field_is_refused_by_its_name(name):
    assert wrong({name: None}) == {f"/{name}": "is read-only; leave it out"}


def test_the_status_of_a_unit_is_read_only_since_scans_make_it():
    assert wrong({"handling_units": [{"status": "booked"}]}) == {
        "/handling_units/0/status": "is read-only; leave it out"
    }


@pytest.mark.parametrize(
    ("eta", "message"),
    [
        ({"at": "2026-02-30T15:00:00Z"}, "is no time of the calendar"),
        ({"at": "2026-12-08T25:00:00Z"}, "is no time of the calendar"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "is no time of the calendar"),
        ({"at": "2026-12-08"}, "is only a date"),
        ({"at": "tomorrow"}, "is not a time"),
        ({"at": 1796742000}, "should be a time as text, is a number"),
        ({"date": "2026-02-30"}, "is no date of the calendar"),
        ({"date": "30.11.2026"}, "is not a date"),
    ],
)
def test_an_impossible_time_is_refused(eta, message):
    (found,) = wrong({"eta": eta}).values()
    assert message in found


def test_an_eta_says_when():
    assert wrong({"eta": {"precision": "minute"}}) == {"/eta": "says no time: give `at` or `date`"}


def test_a_time_with_an_offset_is_kept_in_utc():
    read = read_document(b'{"eta": {"at": "2026-12-08T17:00:00+02:00"}}')
    assert read.eta.at == dt.datetime(2026, 12, 8, 15, tzinfo=dt.UTC)
    assert read.eta.at.tzinfo is dt.UTC


@pytest.mark.parametrize("number", ["402", "402.0", "1.123456789012345678901234567", "0.10", "17640.00"])
def test_a_decimal_given_as_a_json_number_keeps_all_its_digits(number):
    (unit,) = read_document(f'{{"handling_units": [{{"gross_weight_kg": {number}}}]}}'.encode()).handling_units
    assert unit.gross_weight_kg == number


def test_a_decimal_given_as_text_is_kept_as_it_is():
    (price,) = read_document(b'{"prices": [{"amount": "612.00", "currency": "EUR"}]}').prices
    assert price.amount == "612.00"


@pytest.mark.parametrize("amount", ["1e400", "1" * 100, '"1e5"', '"1_000"', '"12,5"', "true", "[]"])
def test_what_is_no_decimal_is_refused(amount):
    assert list(wrong(f'{{"prices": [{{"amount": {amount}}}]}}'.encode())) == ["/prices/0/amount"]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"prices": [{"currency": "EURO"}]}, "/prices/0/currency"),
        ({"stops": [{"window": {"from": "9:00"}}]}, "/stops/0/window/from"),
        ({"stops": [{"window": {"time_zone": "Europe/Tallin"}}]}, "/stops/0/window/time_zone"),
        ({"stops": [{"address": {"unlocode": "IS REY"}}]}, "/stops/0/address/unlocode"),
        ({"stops": [{"address": {"latitude": 91}}]}, "/stops/0/address/latitude"),
        ({"terms": {"incoterm": {"code": "DDU"}}}, "/terms/incoterm/code"),
        ({"goods": [{"origin_country": "ee"}]}, "/goods/0/origin_country"),
        ({"handling_units": [{"quantity": 1.5}]}, "/handling_units/0/quantity"),
        ({"handling_units": [{"stackable": "no"}]}, "/handling_units/0/stackable"),
        ({"handling_units": [{"kind": "a pallet"}]}, "/handling_units/0/kind"),
        ({"handling_units": [{"kind": "40HC", "tracking_number": "CSQU3054384"}]}, "/handling_units/0/tracking_number"),
        ({"handling_units": {}}, "/handling_units"),
        ({"references": [{"type": "po"}]}, "/references/0/type"),
        ({"tags": [""]}, "/tags/0"),
        ({"tags": ["a", 1]}, "/tags/1"),
        ({"revision": "7"}, "/revision"),
        ({"revision": 2**63}, "/revision"),
    ],
)
def test_a_broken_value_is_refused_at_its_path(fields, path):
    assert list(wrong(fields)) == [path]


def test_a_container_number_may_be_painted_on_anything_but_a_container():
    read_document(b'{"handling_units": [{"kind": "CTN", "tracking_number": "CSQU3054384"}]}')


def test_two_items_with_one_id_are_refused():
    assert wrong({"stops": [{"id": "a"}, {"id": "a"}]}) == {"/stops/1/id": 'the id "a" is given twice'}


@pytest.mark.parametrize("empty", [{"city": ""}, {"lines": []}, {"city": None}, {}])
def test_an_object_of_which_nothing_is_known_is_unknown(empty):
    assert read_document(json.dumps({"parties": {"shipper": {"address": empty}}}).encode()).parties is None


def test_tags_are_a_set():
    assert read_document(b'{"tags": ["b", "a", "b"]}').tags == ("b", "a")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"not json",
        b'{"tags": ["\xff"]}',
        b'{"tags": ["\xed\xa0\x80"]}',
        b'{"tags": ["\\ud800"]}',
        b'{"tags": ["\\u0000"]}',
        b'{"tags": ["a\x00b"]}',
        b'{"tags": [], "tags": []}',
        b'{"t\\u0061gs": [], "tags": []}',
        b'{"tags": ["\\u003a"], "is_return": true, "is_return" :false}',
        b'{"a": ' * 65 + b"1" + b"}" * 65,
        b"[" * 100_000,
        b'{"revision": ' + b"1" * 100_000 + b"}",
    ],
)
def test_a_body_that_cannot_be_read_in_one_way_only_is_a_bad_request(body):
    with pytest.raises(BadRequest):
        read_document(body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The body is empty."),
        (b" \n", "The body is empty."),
        (b"{", "The body is not JSON: it ends too early."),
        (b'{"tags": ["\\ud800"]}', r"The body holds half of a surrogate pair, as \ud800, which is no character."),
        (b'{"tags" []}', "The body is not JSON: expected ':' at byte 8."),
        (b'{"tags": [],}', "The body is not JSON: trailing comma in object at byte 12."),
        (b"{'tags': []}", "The body is not JSON: object keys must be strings at byte 1."),
        (b"{} {}", "The body is not JSON: trailing characters at byte 4."),
        (b'{"revision": ' + b"1" * 5000 + b"}", "The body holds a number that is too long."),
        (b'{"tags": ["\xff"]}', "The body is not UTF-8: byte 11 fits nowhere."),
        (b'{"tags": [], "tags": []}', "The name 'tags' stands twice in one object."),
    ],
)
@pytest.mark.parametrize("read", [read_document, read_bulk_line, read_patch, read_tracking_events])
def test_a_body_that_cannot_be_read_is_answered_in_plain_words(read, body, message):
    with pytest.raises(BadRequest) as caught:
        read(body)
    assert caught.value.detail == message


@pytest.mark.parametrize("number", ["2", "2.0", "2e0", "20e-1", "0.2e1", "2.000000000000000000000"])
def test_a_whole_number_may_be_written_with_a_fraction_of_nothing(number):
    read = read_document(f'{{"revision": {number}, "handling_units": [{{"quantity": {number}}}]}}'.encode())
    assert (read.revision, read.handling_units[0].quantity, type(read.revision)) == (2, 2, int)
    assert read_document_value({"handling_units": [{"quantity": 2.0}]}).handling_units[0].quantity == 2


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ("1.5", "should be a whole number"),
        ("1e-5", "should be a whole number"),
        ("-1.0", "should be from 0 to 9007199254740991"),
        ("1e30", "should be from 0 to 9007199254740991"),
        ("1" * 30, "should be from 0 to 9007199254740991"),
        ("1e400", "is a number too large"),
        ('"2"', "should be a whole number, is text"),
        ("true", "should be a whole number, is true"),
    ],
)
def test_what_is_no_whole_number_is_refused(number, message):
    body = f'{{"handling_units": [{{"quantity": {number}}}]}}'.encode()
    assert wrong(body) == {"/handling_units/0/quantity": message}


def test_no_number_of_a_program_is_a_whole_number():
    for number in (float("inf"), float("nan")):
        with pytest.raises(InvalidDocument):
            read_document_value({"revision": number})


def test_brackets_inside_texts_are_no_nesting():
    assert read_document(json.dumps({"tags": ["[" * 200 + '\\"{']}).encode()).tags == ("[" * 200 + '\\"{',)


def test_sixty_four_levels_are_still_read():
    assert wrong(b'{"a": ' * 64 + b"1" + b"}" * 64) == {"/a": "unknown field"}


NAMES = st.sampled_from(["tags", "eta", "at", "stops", "id", "goods"]) | st.text()
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
)


def answer_to(body):
    """The status that reading a body would be answered with; 200 when it is a document."""
    try:
        read_document(body)
    except CallerError as error:
        return error.status
    return 200


@given(JSON)
def test_any_json_is_a_document_or_an_answer_about_it(value):
    assert answer_to(json.dumps(value).encode()) in (200, 400, 422)


@given(st.binary())
def test_any_bytes_are_a_document_or_an_answer_about_them(body):
    assert answer_to(body) in (200, 400, 422)


def test_the_quick_and_the_thorough_reading_agree():
    # A `""` anywhere sends the body the thorough way.
    quick = read_document(json.dumps(document()).encode())
    assert read_document(json.dumps(document(temperature={"min_c": ""})).encode()) == quick


@pytest.mark.parametrize("reference", ["SO-1", "a/b", "Ärger 1", "x" * 255, "…", "100%"])
def test_nearly_any_text_is_a_reference(reference):
    check_reference(reference)


@pytest.mark.parametrize("reference", ["", " a", "a ", "a\nb", "a\x7fb", "shp_1", "x" * 256, "\u00a0a"])
def test_a_reference_that_could_be_mistaken_is_refused(reference):
    with pytest.raises(InvalidDocument):
        check_reference(reference)


def test_a_bulk_line_is_a_document_with_its_reference():
    reference, read = read_bulk_line(json.dumps({"reference": "SO-2"} | document()).encode())
    assert reference == "SO-2"
    assert read == read_document(json.dumps(document()).encode())


def test_a_bulk_line_names_all_its_wrong_places_and_still_its_reference():
    assert set(wrong({"tags": 1}, read_bulk_line)) == {"/reference", "/tags"}
    assert bulk_reference(b'{"reference": "SO-2", "tags": 1}') == "SO-2"
    assert bulk_reference(b'{"reference": "shp_2"}') is None
    assert bulk_reference(b"{") is None


def test_a_patch_is_an_object():
    assert read_patch(b'{"tags": null}') == {"tags": None}
    assert wrong([], read_patch) == {"": "should be an object"}


@pytest.mark.parametrize(("body", "reason"), [(b"", None), (b"{}", None), (b'{"reason": "no stock"}', "no stock")])
def test_a_cancellation_may_give_a_reason(body, reason):
    assert read_cancel(body) == reason


def test_a_cancellation_says_nothing_else():
    assert wrong({"why": "x"}, read_cancel) == {"/why": "unknown field"}


def test_a_tracking_event_says_what_and_when():
    assert set(wrong({}, read_tracking_events)) == {"", "/occurred_at"}
    assert set(wrong([{"status": "collected"}], read_tracking_events)) == {"/0/occurred_at"}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"occurred_at": "2026-12-01T06:10:00"}, "/occurred_at"),
        ({"occurred_local": "2026-12-01T06:10:00"}, "/time_zone"),
        ({"occurred_local": "2026-12-01T06:10:00+02:00", "time_zone": "Europe/Tallinn"}, "/occurred_local"),
        ({"occurred_local": "0001-01-01T00:00:00", "time_zone": "Europe/Tallinn"}, "/occurred_local"),
        ({"occurred_at": "0001-01-01T00:00:00Z", "occurred_local": "2026-12-01", "time_zone": "UTC"}, "/occurred_at"),
        ({"occurred_at": "2026-12-01T06:10:00Z", "code": "AF", "code_list": "x12"}, "/code_list"),
        ({"occurred_at": "2026-12-01T06:10:00Z", "location": {"country": "Estonia"}}, "/location/country"),
        ({"occurred_at": "2026-12-01T06:10:00Z", "retracted": True}, "/retracted"),
        ({"occurred_at": "2026-12-01T06:10:00Z", "received_at": None}, "/received_at"),
        ({"occurred_at": "2026-12-01T06:10:00Z", "sequence": 1}, "/sequence"),
        ({"occurred_at": "2026-12-01T06:10:00Z", "zone_source": "given"}, "/zone_source"),
    ],
)
def test_a_wrong_tracking_event_is_refused_at_its_path(fields, path):
    assert list(wrong({"status": "collected"} | fields, read_tracking_events)) == [path]


NOON = {"occurred_at": "2026-11-29T12:00:00Z", "time_zone": "Europe/Tallinn"}


def test_a_local_time_that_contradicts_the_instant_is_refused():
    event = {"status": "collected", "occurred_local": "2026-11-29T12:00:00"} | NOON
    message = "is not the time of `occurred_at`, which is 2026-11-29T14:00:00 in Europe/Tallinn"
    assert wrong(event, read_tracking_events) == {"/occurred_local": message}
    assert wrong([event], read_tracking_events) == {"/0/occurred_local": message}
    assert wrong(event | {"occurred_local": "2026-11-28"}, read_tracking_events) == {"/occurred_local": message}


@pytest.mark.parametrize(
    "moment",
    [
        NOON | {"occurred_local": "2026-11-29T14:00:00"},
        NOON | {"occurred_local": "2026-11-29T14:00", "occurred_at": "2026-11-29T12:00:42Z"},
        NOON | {"occurred_local": "2026-11-29"},
        NOON | {"occurred_local": "2026-11-29T00:00:00", "time_precision": "date"},
        NOON | {"occurred_local": "2026-10-25T03:30:00", "occurred_at": "2026-10-25T00:30:00Z"},
        NOON | {"occurred_local": "2026-10-25T03:30:00", "occurred_at": "2026-10-25T01:30:00Z"},
    ],
)
def test_a_local_time_may_say_the_instant_less_exactly(moment):
    (event,) = read_tracking_events(json.dumps({"status": "collected"} | moment).encode())
    assert event.occurred_at.isoformat() == moment["occurred_at"].replace("Z", "+00:00")


@pytest.mark.parametrize(("code_list", "code"), [("rec24", "24"), ("x12-1650", "X1"), ("dcsa", "arri")])
def test_a_status_that_contradicts_its_code_is_refused(code_list, code):
    event = {"status": "delivered", "code": code, "code_list": code_list, "occurred_at": "2026-12-01T06:10:00Z"}
    message = f"is delivered, but code {code} of {code_list} means in_transit; give one of them"
    assert wrong(event, read_tracking_events) == {"/status": message}


@pytest.mark.parametrize(
    ("code_list", "code", "status"),
    [
        ("rec24", "21", "delivered"),
        ("rec24", "21", "returned"),
        ("dcsa", "AVPU", "awaiting_collection"),
        ("dcsa", "AVPU", "available_for_pickup"),
        ("x12-1650", "AG", "in_transit"),
        ("x12-1650", "ZZ9", "in_transit"),
    ],
)
def test_a_status_may_say_what_its_code_leaves_open(code_list, code, status):
    event = {"status": status, "code": code, "code_list": code_list, "occurred_at": "2026-12-01T06:10:00Z"}
    (read,) = read_tracking_events(json.dumps(event).encode())
    assert (read.status, read.code) == (status, code)


def test_one_wrong_tracking_event_refuses_the_whole_list():
    good = {"status": "collected", "occurred_at": "2026-12-01T06:10:00Z"}
    assert list(wrong([good, {}, good], read_tracking_events)) == ["/1", "/1/occurred_at"]


def test_a_list_of_tracking_events_has_a_bound():
    many = [{"status": "collected", "occurred_at": "2026-12-01T06:10:00Z"}] * 1001
    assert wrong(many, read_tracking_events) == {"": "has 1001 events, at most 1000 are allowed"}


def test_a_local_time_without_time_of_day_is_precise_to_the_date():
    (event,) = read_tracking_events(
        b'{"status": "collected", "occurred_local": "2026-12-01", "time_zone": "Europe/Tallinn"}'
    )
    assert event.time_precision == "date"
