"""A receiver checks what came, and hears which part is wrong."""

import json
from datetime import UTC, datetime
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.builders import NOW, OTHER_SECRET, SECRET, an_event, signed
from waypost.delivery.signing import new_private_key, public_key
from waypost.receiver import (
    BodyRewritten,
    MalformedHeader,
    MalformedSecret,
    MalformedTimestamp,
    MissingHeader,
    SignatureError,
    TooNew,
    TooOld,
    UnreadableBody,
    WrongSignature,
    check_signature,
    verify,
)

BODY = json.dumps(an_event(), separators=(",", ":")).encode()


def test_a_request_as_it_was_sent_gives_its_event():
    event = verify(BODY, signed(BODY), secret=SECRET, now=NOW)
    assert event["data"]["shipment"]["status"] == "booked"
    assert (event.id, event.type, event.key, event.sequence) == ("evt_1", "shipment.updated", "shp_1", 1)
    assert event.timestamp == datetime(2026, 12, 1, 8, 15, tzinfo=UTC)


def test_an_event_does_not_show_its_data_in_logs():
    event = verify(BODY, signed(BODY), secret=SECRET, now=NOW)
    assert "booked" not in repr(event)


def as_message(headers):
    message = Message()
    for name, value in headers.items():
        message[name.title()] = value
    return message


@pytest.mark.parametrize(
    "form",
    [
        lambda headers: {name.upper(): value for name, value in headers.items()},
        lambda headers: [(name.encode(), value.encode()) for name, value in headers.items()],
        lambda headers: {"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()},
        lambda headers: {name: [value] for name, value in headers.items()},
        as_message,
    ],
    ids=["upper case", "ASGI", "WSGI", "lists of values", "http.server"],
)
def test_headers_may_come_in_the_form_any_framework_has_them(form):
    assert verify(BODY, form(signed(BODY)), secret=SECRET, now=NOW).id == "evt_1"


def test_during_a_rotation_either_secret_is_enough_on_either_side():
    assert verify(BODY, signed(BODY, OTHER_SECRET, SECRET), secret=SECRET, now=NOW)
    assert verify(BODY, signed(BODY, SECRET), secret=[OTHER_SECRET, SECRET], now=NOW)


def test_an_ed25519_signature_is_checked_with_the_public_key():
    private = new_private_key(bytes(range(32)))
    headers = signed(BODY, private)
    assert verify(BODY, headers, secret=public_key(private), now=NOW)
    with pytest.raises(WrongSignature):
        verify(BODY, headers, secret=public_key(new_private_key(bytes(32))), now=NOW)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_or_empty_header_is_named(name):
    without = {key: value for key, value in signed(BODY).items() if key != name}
    for headers in (without, {**without, name: " "}):
        with pytest.raises(MissingHeader, match=name):
            verify(BODY, headers, secret=SECRET, now=NOW)


@pytest.mark.parametrize("timestamp", ["now", "1e9", "-5", "2026-12-01T08:15:00Z", "9" * 13, "１７９６"])
def test_a_timestamp_that_is_no_unix_time_is_named(timestamp):
    with pytest.raises(MalformedTimestamp):
        verify(BODY, {**signed(BODY), "webhook-timestamp": timestamp}, secret=SECRET, now=NOW)


@pytest.mark.parametrize(("now", "error"), [(NOW + 301, TooOld), (NOW - 301, TooNew)])
def test_a_request_from_long_ago_or_from_the_future_is_refused(now, error):
    with pytest.raises(error, match="301 s"):
        verify(BODY, signed(BODY), secret=SECRET, now=now)
    assert verify(BODY, signed(BODY), secret=SECRET, now=now, tolerance_s=301)


def test_now_may_be_a_datetime():
    assert verify(BODY, signed(BODY), secret=SECRET, now=datetime.fromtimestamp(NOW, UTC))


UNUSABLE = [
    " " + SECRET,
    SECRET + "\n",
    SECRET.removeprefix("whsec_"),
    "whsec_",
    "whsec_QUJD",
    "whsk_QUJD",
    "whpk_QUJD",
]


@pytest.mark.parametrize("secret", ["", "secret", *UNUSABLE])
def test_a_secret_that_cannot_be_used_is_not_taken_for_a_wrong_signature(secret):
    with pytest.raises(MalformedSecret) as caught:
        verify(BODY, signed(BODY), secret=secret, now=NOW)
    assert caught.value.part == "secret"
    assert SECRET[6:] not in str(caught.value)


def test_no_secret_at_all_fails_closed():
    with pytest.raises(MalformedSecret):
        verify(BODY, signed(BODY), secret=[], now=NOW)


def test_another_secret_or_another_body_is_a_wrong_signature():
    with pytest.raises(WrongSignature):
        verify(BODY, signed(BODY), secret=OTHER_SECRET, now=NOW)
    with pytest.raises(WrongSignature):
        verify(BODY.replace(b"booked", b"lost"), signed(BODY), secret=SECRET, now=NOW)


@pytest.mark.parametrize("rewrite", [lambda event: json.dumps(event, indent=2), lambda event: json.dumps(event) + "\n"])
def test_a_body_that_was_read_and_written_again_is_named_as_such(rewrite):
    body = json.dumps(an_event(reference="Pärnu"), ensure_ascii=False, separators=(",", ":")).encode()
    with pytest.raises(BodyRewritten) as caught:
        verify(rewrite(json.loads(body)).encode(), signed(body), secret=SECRET, now=NOW)
    assert caught.value.part == "body"


def test_a_body_given_as_text_is_a_mistake_in_the_program():
    with pytest.raises(TypeError, match="bytes as they came"):
        verify(BODY.decode(), signed(BODY), secret=SECRET, now=NOW)


@pytest.mark.parametrize("value", ["", "v1", "v1," + "A" * 65536, "v2,AAAA", "v1,ä"])
def test_a_signature_header_that_holds_no_fitting_signature_is_refused(value):
    with pytest.raises(SignatureError):
        verify(BODY, {**signed(BODY), "webhook-signature": value}, secret=SECRET, now=NOW)


def test_a_header_given_twice_with_two_values_is_refused():
    headers = [*signed(BODY).items(), ("webhook-id", "evt_2")]
    with pytest.raises(MalformedHeader, match="twice"):
        verify(BODY, headers, secret=SECRET, now=NOW)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"id": 5}', b"not json", b"[" * 100_000, b"\xff"])
def test_a_body_that_is_no_event_is_told_from_a_wrong_signature(body):
    with pytest.raises(UnreadableBody):
        verify(body, signed(body), secret=SECRET, now=NOW)
    assert check_signature(body, signed(body), secret=SECRET, now=NOW).id == "evt_1"


def test_deeply_nested_json_with_a_wrong_signature_is_refused_without_harm():
    with pytest.raises(WrongSignature):
        verify(b"[" * 100_000, signed(BODY), secret=SECRET, now=NOW)


@given(body=st.binary(min_size=1, max_size=300), place=st.integers(0), bit=st.integers(0, 7))
def test_a_single_changed_bit_is_always_noticed(body, place, bit):
    headers = signed(body)
    changed = bytearray(body)
    changed[place % len(body)] ^= 1 << bit
    with pytest.raises(SignatureError):
        check_signature(bytes(changed), headers, secret=SECRET, now=NOW)
    assert check_signature(body, headers, secret=SECRET, now=NOW) == ("evt_1", NOW)
