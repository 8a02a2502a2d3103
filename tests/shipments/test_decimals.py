from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.shipments.decimals import decimal_problem, from_json_number, measure_problem, same_number


@pytest.mark.parametrize("text", ["0", "12", "12.50", "-3.1", "0.000", "007"])
def test_plain_numbers_are_decimals(text):
    assert decimal_problem(text) is None


@pytest.mark.parametrize(
    "text", ["", "1,5", "1e3", "NaN", "Infinity", "1_000", " 5", "5 ", "+5", ".5", "5.", "٣", "0x10"]
)
def test_anything_else_is_none(text):
    assert "is not a decimal number" in decimal_problem(text)


def test_a_number_with_too_many_digits_is_refused():
    assert decimal_problem("1" * 61) == "has more than 60 digits"


def test_a_measure_is_not_negative():
    assert measure_problem("-1") == "is -1, should not be negative"
    assert measure_problem("-0") is None


@pytest.mark.parametrize(
    ("token", "text"),
    [("1.50", "1.50"), ("15e-1", "1.5"), ("5E2", "500"), ("1.123456789012345678901", "1.123456789012345678901")],
)
def test_a_json_number_keeps_every_digit(token, text):
    assert from_json_number(token) == text


@pytest.mark.parametrize("token", ["1e400", "1e-400", "1e999999999", "1" * 61])
def test_a_json_number_too_long_to_write_out_is_refused_at_once(token):
    assert from_json_number(token) is None


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3), st.integers(min_value=0, max_value=5))
def test_numbers_compare_by_value(number: Decimal, zeros):
    text = format(number, "f")
    assert same_number(text, text + "0" * zeros)
