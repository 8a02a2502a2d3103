from hypothesis import given
from hypothesis import strategies as st

from waypost.api.lines import Line, LineCutter


def cut(pieces: list[bytes], length_max: int = 1000) -> list[Line]:
    cutter = LineCutter(length_max)
    return [line for piece in pieces for line in cutter.feed(piece)] + list(cutter.finish())


@given(
    lines=st.lists(st.binary(max_size=20).map(lambda text: text.replace(b"\n", b" "))),
    sizes=st.lists(st.integers(1, 7)),
)
def test_the_lines_are_the_same_however_the_body_is_cut(lines: list[bytes], sizes: list[int]) -> None:
    body = b"\n".join(lines)
    pieces, start = [], 0
    for size in sizes:
        pieces.append(body[start : start + size])
        start += size
    expected = [Line(number, text) for number, text in enumerate(lines, 1) if text.strip()]
    assert cut([*pieces, body[start:]]) == expected


def test_blank_lines_count_and_are_left_out() -> None:
    assert cut([b"a\n\n  \r\nb"]) == [Line(1, b"a"), Line(4, b"b")]


def test_a_line_that_is_too_long_is_named_and_the_next_is_read() -> None:
    assert cut([b"x" * 6, b"x" * 6 + b"\nok\n"], length_max=10) == [Line(1, None), Line(2, b"ok")]


def test_a_line_without_end_holds_no_more_than_its_limit() -> None:
    cutter = LineCutter(10)
    for _ in range(1000):
        assert list(cutter.feed(b"x" * 100)) == []
    assert cutter.held_bytes <= 10
