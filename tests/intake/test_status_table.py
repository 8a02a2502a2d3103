"""The tables that say what a carrier's codes mean."""

import pytest

from waypost.intake.status_table import COLUMNS, ROWS_MAX, Meaning, Scan, TableError, packaged_table, read_table

HEAD = ",".join(COLUMNS) + "\n"


def a_scan(status: str, detail: str = "unknown", *, is_first: bool = False, is_return: bool = False) -> Scan:
    return Scan(status=status, status_detail=detail, is_first=is_first, is_return=is_return)


def test_the_packaged_table_is_read_once() -> None:
    assert packaged_table("easypost") is packaged_table("easypost")


def test_each_answer_comes_from_the_first_row_that_fits_and_fills_it() -> None:
    table = read_table(HEAD + "moved,late,any,any,,delayed,weather,,\nmoved,*,any,any,in_transit,on_hold,,carrier,\n")
    assert table.meaning(a_scan("moved", "late")) == Meaning("in_transit", "delayed", "weather", "carrier")


def test_a_code_that_fits_no_row_has_no_meaning() -> None:
    assert read_table(HEAD + "moved,*,any,any,in_transit,,,,\n").meaning(a_scan("stood")) is None


def test_a_code_may_be_known_and_say_nothing() -> None:
    assert read_table(HEAD + "noise,*,any,any,,,,,\n").meaning(a_scan("noise")) == Meaning()


def test_a_row_for_the_first_scan_fits_no_later_one() -> None:
    table = read_table(HEAD + "moved,*,first,any,collected,,,,\n")
    assert table.meaning(a_scan("moved", is_first=True)) == Meaning(status="collected")
    assert table.meaning(a_scan("moved")) is None


def test_a_row_for_returns_fits_no_other_shipment() -> None:
    table = read_table(HEAD + "came|arrived,*,any,return,returned,,,,\n")
    assert table.meaning(a_scan("arrived", is_return=True)) == Meaning(status="returned")
    assert table.meaning(a_scan("arrived")) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: the columns must be"),
        ("status,becomes\n", "line 1: the columns must be"),
        (HEAD + "moved,*\n", "line 2: 9 cells expected"),
        (HEAD + "moved,*,any,any,in_transit,,,,,,\n", "line 2: 9 cells expected"),
        (HEAD + "moved,*,sometimes,any,,,,,\n", "line 2: scan is 'sometimes'; allowed: any, first"),
        (HEAD + "moved,*,any,any,moving,,,,\n", "line 2: becomes is 'moving'; allowed: draft, booked"),
        (HEAD + "moved,*,any,any,,late,,,\n", "line 2: condition is 'late'"),
        (HEAD + 'moved,*,any,any,,,,,\n"open\n', "after line 2"),
        (HEAD + "moved,*,any,any,,,,,\n" * (ROWS_MAX + 1), f"at most {ROWS_MAX} rows"),
    ],
)
def test_a_broken_table_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(TableError) as refused:
        read_table(text)
    assert said in str(refused.value)
