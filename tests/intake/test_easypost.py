"""EasyPost's messages become reports."""

import contextlib
import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake.builders import CARRIER, NUMBER, a_message, a_scan
from waypost.errors import BadRequest, CallerError, FieldError, InvalidDocument, TooLarge
from waypost.ids import ShipmentId
from waypost.intake.easypost import MESSAGE_BYTES_MAX, SCANS_MAX, read
from waypost.intake.status_table import COLUMNS, read_table
from waypost.shipments.model import CarrierScan, Eta, Location, Shipment, Source, Window
from waypost.shipments.report import apply
from waypost.shipments.state import view

NOW = datetime(2026, 11, 27, 9, tzinfo=UTC)


def the_report(*scans: dict[str, Any], **tracker: Any) -> Any:
    [report] = read(a_message(*scans, **tracker))
    return report


def the_scans(*scans: dict[str, Any], **tracker: Any) -> tuple[CarrierScan, ...]:
    return the_report(*scans, **tracker).events  # type: ignore[no-any-return]


def the_statuses(*scans: dict[str, Any], **tracker: Any) -> list[str | None]:
    return [scan.status for scan in the_scans(*scans, **tracker)]


def the_wrong_places(body: bytes) -> list[str]:
    with pytest.raises(InvalidDocument) as refused:
        read(body)
    return [error.path for error in refused.value.errors]


# -- which shipment


def test_a_report_names_the_carrier_and_the_tracking_number() -> None:
    report = the_report(a_scan("in_transit"))
    assert (report.carrier, report.tracking_number) == (CARRIER, NUMBER)


def test_a_new_tracker_is_read_like_a_changed_one() -> None:
    [report] = read(a_message(a_scan("pre_transit"), description="tracker.created"))
    assert [scan.status for scan in report.events] == ["booked"]


def test_a_tracker_without_scans_is_a_report_without_scans() -> None:
    assert the_scans(status="pre_transit", tracking_details=None) == ()


def test_the_public_page_is_the_tracking_url() -> None:
    assert the_report(public_url="https://track.example/p/1").tracking_url == "https://track.example/p/1"


@pytest.mark.parametrize("description", ["batch.created", "scan_form.updated", "refund.successful", "tracker.deleted"])
def test_messages_about_other_things_are_taken_and_say_nothing(description: str) -> None:
    assert read(json.dumps({"description": description, "result": {"object": "Batch", "id": 7}}).encode()) == []


def test_a_report_says_which_message_it_came_in() -> None:
    assert the_report().source == Source(channel="carrier", format="easypost", message_id="evt_havenpost_1")


# -- statuses


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("pre_transit", "booked"),
        ("in_transit", "collected"),
        ("out_for_delivery", "out_for_delivery"),
        ("available_for_pickup", "available_for_pickup"),
        ("delivered", "delivered"),
        ("return_to_sender", "returning"),
        ("failure", "delivery_attempted"),
        ("cancelled", "cancelled"),
        ("error", "unknown"),
        ("unknown", None),
    ],
)
def test_each_status_of_easypost_has_its_meaning(status: str, expected: str | None) -> None:
    assert the_statuses(a_scan(status)) == [expected]


def test_the_first_scan_in_transit_says_collected_and_the_later_ones_in_transit() -> None:
    scans = [a_scan("in_transit", f"2026-11-2{day}T08:00:00Z", words=f"Stop {day}") for day in (5, 6, 7)]
    assert the_statuses(*scans) == ["collected", "in_transit", "in_transit"]


def test_first_means_first_in_time_and_not_first_in_the_message() -> None:
    assert the_statuses(
        a_scan("in_transit", "2026-11-26T08:00:00Z"), a_scan("in_transit", "2026-11-25T08:00:00+02:00")
    ) == ["in_transit", "collected"]


@pytest.mark.parametrize("detail", ["accepted", "picked_up"])
def test_a_scan_that_says_picked_up_is_collected_wherever_it_stands(detail: str) -> None:
    early = a_scan("in_transit", "2026-11-25T08:00:00Z")
    later = a_scan("in_transit", "2026-11-25T09:00:00Z", detail=detail)
    assert the_statuses(early, later) == ["collected", "collected"]


@pytest.mark.parametrize(
    ("status", "detail", "condition", "reason"),
    [
        ("in_transit", "weather_delay", "delayed", "weather"),
        ("in_transit", "held", "on_hold", None),
        ("unknown", "delayed", "delayed", None),
        ("failure", None, "exception", None),
        ("failure", "refused", "exception", "refused"),
        ("in_transit", "arrived_at_facility", None, None),
        ("delivered", "delayed", None, None),
    ],
)
def test_trouble_is_read_from_the_detail(status: str, detail: str, condition: str, reason: str) -> None:
    [scan] = the_scans(a_scan(status, detail=detail))
    assert (scan.condition, scan.reason) == (condition, reason)


def test_a_failure_that_says_lost_is_lost() -> None:
    assert the_statuses(a_scan("failure", detail="lost")) == ["lost"]


def test_a_return_that_was_delivered_is_returned() -> None:
    assert the_statuses(a_scan("delivered"), is_return=True) == ["returned"]


def test_a_status_nobody_knows_is_kept_and_flagged_and_moves_nothing() -> None:
    [scan] = the_scans(a_scan("teleported", detail="beamed_up", code="ZZ"))
    assert (scan.status, scan.condition, scan.flags) == (None, None, ("unmapped_code",))
    assert (scan.carrier_code, scan.carrier_reason) == ("ZZ", "teleported/beamed_up")


def test_the_carriers_code_and_words_stay_beside_the_meaning() -> None:
    [scan] = the_scans(a_scan("in_transit", code="GT1", words="Läks teele", detail="departed_facility"))
    assert (scan.carrier_code, scan.carrier_text, scan.carrier_reason) == ("GT1", "Läks teele", "departed_facility")


def test_another_table_gives_another_meaning() -> None:
    table = read_table(",".join(COLUMNS) + "\nin_transit,*,any,any,customs,,,,\n")
    [report] = read(a_message(a_scan("in_transit")), table)
    assert report.events[0].status == "customs"


def test_what_the_tracker_says_beyond_its_scans_is_a_scan_of_its_own() -> None:
    told, untold = the_scans(a_scan("in_transit"), status="cancelled")
    assert (told.status, untold.status, untold.flags) == ("collected", "cancelled", ("without_scan",))
    assert untold.occurred_at == datetime(2026, 11, 26, 10, tzinfo=UTC)


@pytest.mark.parametrize("status", ["unknown", "pre_transit", "error", "teleported", None])
def test_a_tracker_that_says_nothing_new_adds_no_scan(status: str | None) -> None:
    assert len(the_scans(a_scan("in_transit"), status=status)) == 1


# -- identity


def test_a_scan_keeps_its_id_from_message_to_message() -> None:
    first, second = a_scan("in_transit", "2026-11-25T08:00:00Z"), a_scan("delivered", "2026-11-26T08:00:00Z")
    [before] = the_scans(first)
    [after, _] = the_scans(first, second, updated_at="2026-11-27T00:00:00Z")
    assert before.id == after.id


@pytest.mark.parametrize("other", [{"at": "2026-11-25T07:41:00Z"}, {"code": "X2"}, {"place": "Tartu"}, {"place": None}])
def test_another_time_code_or_place_is_another_scan(other: dict[str, Any]) -> None:
    one, two = the_scans(a_scan("in_transit", code="X1"), a_scan("in_transit", **{"code": "X1", **other}))
    assert one.id != two.id


def test_without_a_code_the_words_tell_scans_apart() -> None:
    one, two = the_scans(a_scan("in_transit", words="Sorted"), a_scan("in_transit", words="Loaded"))
    assert one.id != two.id


def test_another_carriers_scan_of_the_same_number_is_another_scan() -> None:
    [ours], [theirs] = the_scans(a_scan("in_transit")), the_scans(a_scan("in_transit"), carrier="FjordPakke")
    assert ours.id != theirs.id


def test_a_scan_whose_status_easypost_changed_its_mind_about_is_the_same_scan() -> None:
    [before], [after] = the_scans(a_scan("unknown", code="X1")), the_scans(a_scan("in_transit", code="X1"))
    assert before.id == after.id


# -- times and places


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-25T07:40:00Z", datetime(2026, 11, 25, 7, 40, tzinfo=UTC)),
        ("2026-11-25T07:40:00-04:00", datetime(2026, 11, 25, 11, 40, tzinfo=UTC)),
        ("2026-11-25T00:30:00.250+02:00", datetime(2026, 11, 24, 22, 30, 0, 250_000, tzinfo=UTC)),
        ("2026-11-25T00:00:00Z", datetime(2026, 11, 25, tzinfo=UTC)),
        ("2026-11-25T07:40:00", datetime(2026, 11, 25, 7, 40, tzinfo=UTC)),
    ],
)
def test_a_scan_happened_at_the_instant_that_its_offset_says(text: str, expected: datetime) -> None:
    [scan] = the_scans(a_scan("in_transit", text))
    assert scan.occurred_at == expected


def test_a_place_keeps_what_is_known_of_it() -> None:
    [scan] = the_scans(a_scan("in_transit", place="Tartu"))
    assert scan.location is not None
    assert (scan.location.name, scan.location.postcode, scan.location.country) == ("Tartu, Tartumaa", "50090", "EE")


@pytest.mark.parametrize("place", ["nowhere", None])
def test_a_place_of_which_nothing_is_known_is_none_and_its_zone_assumed(place: str | None) -> None:
    [scan] = the_scans(a_scan("in_transit", place=place))
    assert (scan.location, scan.zone_source) == (None, "assumed")


def test_a_country_alone_does_not_give_a_zone() -> None:
    [scan] = the_scans(a_scan("in_transit", place="Norway"))
    assert (scan.location, scan.zone_source) == (Location(country="NO"), "assumed")


def test_characters_that_no_database_takes_become_blanks() -> None:
    [scan] = the_scans(a_scan("in_transit", words="Left\x00Narva\r\n", code="\x1b"))
    assert (scan.carrier_text, scan.carrier_code) == ("Left Narva", None)


# -- the ETA


@pytest.mark.parametrize(
    ("utc", "local_date", "local_time", "expected"),
    [
        (None, None, None, None),
        ("2026-11-28T00:00:00Z", None, None, Eta(date=date(2026, 11, 28), precision="date", source="carrier")),
        (
            "2026-11-28T15:30:00Z",
            None,
            None,
            Eta(at=datetime(2026, 11, 28, 15, 30, tzinfo=UTC), precision="minute", source="carrier"),
        ),
        ("2026-11-29T03:00:00Z", "2026-11-28", None, Eta(date=date(2026, 11, 28), precision="date", source="carrier")),
        (
            "2026-11-28T00:00:00Z",
            "2026-11-28",
            "17:00:00",
            Eta(
                date=date(2026, 11, 28),
                window=Window(date=date(2026, 11, 28), to="17:00:00"),
                precision="date",
                source="carrier",
            ),
        ),
    ],
)
def test_the_eta_is_no_more_exact_than_what_was_said(
    utc: str | None, local_date: str | None, local_time: str | None, expected: Eta | None
) -> None:
    local = {"est_delivery_date_local": local_date, "est_delivery_time_local": local_time}
    assert the_report(est_delivery_date=utc, carrier_detail=local).eta == expected


# -- messages that are wrong


def test_every_wrong_place_is_named() -> None:
    body = a_message(
        a_scan("in_transit", "yesterday"),
        a_scan("in_transit"),
        a_scan("in_transit", "2026-02-30T00:00:00Z"),
        tracking_code=" ",
        est_delivery_date="soon",
    )
    assert the_wrong_places(body) == [
        "/result/tracking_code",
        "/result/tracking_details/0/datetime",
        "/result/tracking_details/2/datetime",
        "/result/est_delivery_date",
    ]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"carrier": None}, "/result/carrier"),
        ({"carrier": 7}, "/result/carrier"),
        ({"tracking_code": "x" * 161}, "/result/tracking_code"),
        ({"carrier": "x" * 81}, "/result/carrier"),
        ({"tracking_code": "a\nb"}, "/result/tracking_code"),
        ({"tracking_details": {}}, "/result/tracking_details"),
        ({"tracking_details": [None]}, "/result/tracking_details/0"),
        ({"tracking_details": [{"status": "in_transit"}]}, "/result/tracking_details/0/datetime"),
        ({"carrier_detail": {"est_delivery_date_local": "28/11"}}, "/result/carrier_detail/est_delivery_date_local"),
        (
            {"carrier_detail": {"est_delivery_date_local": "2026-11-28", "est_delivery_time_local": "5 PM"}},
            "/result/carrier_detail/est_delivery_time_local",
        ),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], path: str) -> None:
    assert the_wrong_places(a_message(a_scan("in_transit"), **changes)) == [path]


@pytest.mark.parametrize(
    ("body", "path"),
    [(b"[]", ""), (b"{}", "/description"), (b'{"description": 5, "result": {}}', "/description")],
)
def test_something_else_than_a_message_is_refused(body: bytes, path: str) -> None:
    assert the_wrong_places(body) == [path]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff{}", b'{"description": "tracker.updated", "result": }', b"NaN"])
def test_what_is_not_json_in_utf8_cannot_be_read(body: bytes) -> None:
    with pytest.raises(BadRequest):
        read(body)


@pytest.mark.parametrize("description", ["tracker.updated", "batch.created"])
@pytest.mark.parametrize("depth", [65, 100_000])
def test_a_message_nested_too_deep_cannot_be_read(depth: int, description: str) -> None:
    deep = "[" * depth + "]" * depth
    with pytest.raises(BadRequest):
        read(f'{{"description": "{description}", "result": {{"x": {deep}}}}}'.encode())


def test_a_message_that_is_too_large_is_refused() -> None:
    with pytest.raises(TooLarge):
        read(b" " * (MESSAGE_BYTES_MAX + 1))


def test_more_scans_than_any_parcel_has_are_refused() -> None:
    detail = b'{"datetime":"2026-11-25T07:40:00Z"}'
    body = a_message().replace(
        b'"tracking_details": []', b'"tracking_details": [' + b",".join([detail] * (SCANS_MAX + 1)) + b"]"
    )
    assert the_wrong_places(body) == ["/result/tracking_details"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ["tracking_code", "carrier", "status", "updated_at", "est_delivery_date", "tracking_details", "carrier_detail"]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_any_message_is_read_or_refused_with_a_reason(changes: dict[str, Any]) -> None:
    body = json.dumps({"description": "tracker.updated", "result": changes}).encode()
    with contextlib.suppress(CallerError):
        assert len(read(body)) == 1


@given(st.permutations(range(5)))
def test_the_order_of_the_scans_in_a_message_does_not_matter(order: list[int]) -> None:
    scans = [a_scan("in_transit", f"2026-11-25T0{hour}:00:00Z", words=f"Stop {hour}") for hour in range(5)]
    straight, shuffled = the_scans(*scans), the_scans(*[scans[number] for number in order])
    assert {scan.id: scan.status for scan in straight} == {scan.id: scan.status for scan in shuffled}


# -- what becomes of a shipment


def the_shipment(*bodies: bytes) -> Shipment:
    state = None
    for body in bodies:
        [report] = read(body)
        state = apply(state, report, reference=NUMBER, shipment_id=ShipmentId("shp_1"), now=NOW).state
    assert state is not None
    return view(state)


def test_a_delivered_scan_dated_before_the_others_leaves_the_shipment_delivered() -> None:
    scans = [
        a_scan("in_transit", "2026-11-25T08:00:00Z"),
        a_scan("out_for_delivery", "2026-11-26T06:00:00Z"),
        a_scan("delivered", "2026-11-24T12:00:00Z"),
    ]
    assert the_shipment(a_message(*scans)).status == "delivered"


def test_a_message_with_one_more_scan_adds_one_scan() -> None:
    early, later = a_scan("in_transit", "2026-11-25T08:00:00Z"), a_scan("in_transit", "2026-11-25T20:00:00Z")
    shipment = the_shipment(a_message(early), a_message(early, later))
    assert [event.status for event in shipment.tracking_events] == ["collected", "in_transit"]
    assert [event.sequence for event in shipment.tracking_events] == [1, 2]


def test_the_same_message_again_changes_nothing() -> None:
    body = a_message(
        a_scan("in_transit"), a_scan("failure", "2026-11-26T08:00:00Z"), est_delivery_date="2026-11-28T00:00:00Z"
    )
    [report] = read(body)
    first = apply(None, report, reference=NUMBER, shipment_id=ShipmentId("shp_1"), now=NOW)
    again = apply(first.state, report, reference=NUMBER, shipment_id=ShipmentId("shp_1"), now=NOW)
    assert (again.changed, again.facts) == (False, ())


@pytest.mark.parametrize(
    ("tracker", "path", "words"),
    [
        ("null", "/result", "must be an object, not null"),
        ("[]", "/result", "must be an object, not a list"),
        ('{"carrier": "DHL"}', "/result/tracking_code", "is missing"),
        ('{"carrier": "DHL", "tracking_code": null}', "/result/tracking_code", "must be a text, not null"),
        (
            '{"carrier": "DHL", "tracking_code": "1", "is_return": "no"}',
            "/result/is_return",
            "must be true or false, not a text",
        ),
        (
            '{"carrier": "DHL", "tracking_code": "1", "tracking_details": [{"datetime": 5}]}',
            "/result/tracking_details/0/datetime",
            "must be a text, not a number",
        ),
    ],
)
def test_a_wrong_field_is_named_in_plain_words(tracker: str, path: str, words: str) -> None:
    with pytest.raises(InvalidDocument) as refused:
        read(f'{{"description": "tracker.updated", "result": {tracker}}}'.encode())
    assert refused.value.errors == (FieldError(path, words),)


def test_what_is_no_json_is_told_where_it_breaks() -> None:
    with pytest.raises(BadRequest, match="not JSON: invalid character at byte 20"):
        read(b'{"description": nope}')
