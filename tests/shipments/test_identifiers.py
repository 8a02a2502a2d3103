import pytest

from waypost.shipments.identifiers import container_problem, gln_problem, is_container_kind, sscc_problem


@pytest.mark.parametrize("sscc", ["347401230000187314", "006141411234567890"])
def test_an_sscc_with_its_check_digit_is_right(sscc):
    assert sscc_problem(sscc) is None


def test_a_wrong_check_digit_is_named_with_the_right_one():
    assert sscc_problem("347401230000187311") == "check digit is 1, should be 4"


@pytest.mark.parametrize(
    "text", ["34740123000018731", "3474012300001873144", "34740123000018731X", "３４７４０１２３００００１８７３１４"]
)
def test_an_sscc_of_another_form_is_refused(text):
    assert sscc_problem(text) == "should be 18 digits"


def test_a_gln_has_thirteen_digits_of_which_the_last_checks():
    assert gln_problem("4006381333931") is None
    assert gln_problem("4006381333932") == "check digit is 2, should be 1"
    assert gln_problem("400638133393") == "should be 13 digits"


@pytest.mark.parametrize("number", ["CSQU3054383", "MSKU6011672", "TGHU7599330"])
def test_a_container_number_with_its_check_digit_is_right(number):
    assert container_problem(number) is None


def test_a_container_number_is_checked_by_mod_eleven():
    assert container_problem("CSQU3054384") == "check digit is 4, should be 3"


def test_a_remainder_of_ten_is_written_as_zero():
    assert container_problem("ACBU0000000") is None


@pytest.mark.parametrize(("kind", "is_container"), [("20DC", True), ("40HC", True), ("22G1", True), ("EUR", False)])
def test_containers_are_known_by_their_kind(kind, is_container):
    assert is_container_kind(kind) is is_container
