"""EasyPost's signature: judged by EasyPost's own library, and closed on any doubt."""

import hashlib
import hmac
import unicodedata

import pytest
from easypost.errors import SignatureVerificationError
from easypost.util import validate_webhook
from hypothesis import given
from hypothesis import strategies as st

from intake.builders import a_message, a_scan
from waypost.intake.easypost import check_signature

SECRET = "Öövalve ½ saatjas"
BODY = a_message(a_scan("in_transit"))


def sign(secret: str, body: bytes) -> str:
    """The header's value, as EasyPost documents it."""
    key = unicodedata.normalize("NFKD", secret).encode()
    return "hmac-sha256-hex=" + hmac.new(key, body, hashlib.sha256).hexdigest()


def their_library_takes(secret: str, header: str | None, body: bytes) -> bool:
    try:
        validate_webhook(body, {"X-Hmac-Signature": header}, secret)
    except SignatureVerificationError:
        return False
    return True


def test_a_right_signature_is_taken_by_us_and_by_their_library() -> None:
    header = sign(SECRET, BODY)
    assert (check_signature(SECRET, header, BODY), their_library_takes(SECRET, header, BODY)) == (True, True)


@pytest.mark.parametrize(
    ("secret", "header", "body"),
    [
        (SECRET, None, BODY),
        (SECRET, "", BODY),
        (SECRET, "hmac-sha256-hex=", BODY),
        (SECRET, sign("another", BODY), BODY),
        (SECRET, sign(SECRET, BODY), BODY + b" "),
        (SECRET, sign(SECRET, BODY).upper(), BODY),
        (SECRET, sign(SECRET, BODY).removeprefix("hmac-sha256-hex="), BODY),
        (SECRET, sign(SECRET, BODY)[:-1], BODY),
    ],
)
def test_a_wrong_or_missing_signature_is_refused_by_us_and_by_their_library(
    secret: str, header: str | None, body: bytes
) -> None:
    assert (check_signature(secret, header, body), their_library_takes(secret, header, body)) == (False, False)


def test_a_source_without_a_secret_takes_nothing() -> None:
    assert not check_signature("", sign("", BODY), BODY)


@pytest.mark.parametrize("header", ["hmac-sha256-hex=é", "\ud800", "x" * 65_536])
def test_a_strange_header_is_refused_and_breaks_nothing(header: str) -> None:
    assert not check_signature(SECRET, header, BODY)


def test_a_secret_that_no_text_can_hold_is_refused_and_breaks_nothing() -> None:
    assert not check_signature("\ud800", sign(SECRET, BODY), BODY)


@given(st.text(min_size=1), st.binary(max_size=40))
def test_the_same_letters_typed_in_another_normal_form_are_the_same_secret(secret: str, body: bytes) -> None:
    typed = unicodedata.normalize("NFC", secret)
    assert check_signature(typed, sign(unicodedata.normalize("NFD", secret), body), body)
