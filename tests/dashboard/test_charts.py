"""Charts: whatever the numbers, nothing leaves the chart, and bars are as high as their sums."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from waypost.dashboard import charts
from waypost.dashboard.charts import BASE, LINES_BASE, LINES_TOP, SEEN_MIN, TOP, bars, lines, marks, round_ticks

AMOUNTS = st.integers(0, 10_000_000)
KINDS = ("done", "retry", "fail", "wait")
STACKS = st.lists(st.tuples(*[AMOUNTS] * len(KINDS)), min_size=1, max_size=48)
VALUES = st.one_of(st.none(), st.floats(0, 1e7, allow_subnormal=False))


def stacked(rows: list[tuple[int, ...]]) -> list[list[tuple[str, float]]]:
    return [list(zip(KINDS, row, strict=True)) for row in rows]


@given(STACKS)
def test_no_bar_leaves_the_chart(rows: list[tuple[int, ...]]) -> None:
    for bar in bars(stacked(rows)).bars:
        for box in bar.boxes:
            assert 0 <= box.y <= box.y + box.height <= BASE + 0.02
            assert bar.x <= box.x <= box.x + box.width <= bar.x + bar.width + 0.01 <= 100.02


@given(STACKS)
def test_a_bar_is_as_high_as_its_sum_but_for_what_would_not_be_seen(rows: list[tuple[int, ...]]) -> None:
    chart = bars(stacked(rows))
    most = chart.ticks[-1].value
    for bar, row in zip(chart.bars, rows, strict=True):
        drawn = sum(box.height for box in bar.boxes)
        true = (BASE - TOP) * sum(row) / most
        assert true - 0.1 <= drawn <= true + SEEN_MIN * len(KINDS) + 0.1


@given(STACKS)
def test_the_parts_of_a_bar_stand_on_each_other_in_their_order(rows: list[tuple[int, ...]]) -> None:
    for bar, row in zip(bars(stacked(rows)).bars, rows, strict=True):
        assert [box.kind for box in bar.boxes] == [kind for kind, amount in zip(KINDS, row, strict=True) if amount]
        floor = float(BASE)
        for box in bar.boxes:
            assert math.isclose(box.y + box.height, floor, abs_tol=0.02)
            floor = box.y


@given(STACKS)
def test_one_among_millions_is_seen(rows: list[tuple[int, ...]]) -> None:
    assert all(box.height >= SEEN_MIN - 0.02 for bar in bars(stacked(rows)).bars for box in bar.boxes)


@given(st.floats(1e-6, 1e12))
def test_ticks_are_round_few_and_reach_the_most(most: float) -> None:
    ticks = round_ticks(most)
    step = ticks[1] - ticks[0]
    assert ticks[0] == 0
    assert ticks[-1] >= most * (1 - 1e-6)
    assert 2 <= len(ticks) <= charts.TICKS_MAX + 1
    digits = f"{step:.1e}"
    assert digits[:3] in ("1.0", "2.0", "5.0"), step


def test_nothing_has_an_axis_all_the_same() -> None:
    chart = bars([[("done", 0)]] * 24)
    assert [tick.value for tick in chart.ticks] == [0, 1]
    assert all(bar.boxes == () for bar in chart.bars)


@given(st.lists(st.floats(0, 1e7), min_size=1, max_size=48), st.floats(0, 1))
def test_the_usual_and_now_stay_within_the_chart(usual: list[float], now: float) -> None:
    chart = bars([[("done", 1)]] * len(usual), usual=usual, now=now)
    assert all(TOP <= y <= BASE for part in chart.usual for y in (part.y1, part.y2))
    assert all(0 <= x <= 100 for part in chart.usual for x in (part.x1, part.x2))
    assert chart.now is not None
    assert 0 <= chart.now.x <= 100


@given(st.lists(st.floats(0, 1e7), min_size=2, max_size=48))
def test_the_usual_goes_on_without_a_break(usual: list[float]) -> None:
    parts = bars([[("done", 1)]] * len(usual), usual=usual).usual
    assert (parts[0].x1, parts[-1].x2) == (0, 100)
    for before, after in pairwise(parts):
        assert (before.x2, before.y2) == (after.x1, after.y1)


@given(st.lists(VALUES, min_size=1, max_size=48), st.lists(VALUES, min_size=1, max_size=48))
def test_lines_stay_within_their_chart_and_show_every_value(one: list[float | None], other: list[float | None]) -> None:
    chart = lines([one, other])
    for values, parts in zip((one, other), chart.lines, strict=True):
        assert all(LINES_TOP - 0.01 <= y <= LINES_BASE for part in parts for y in (part.y1, part.y2))
        assert bool(parts) == any(value is not None for value in values)


def test_a_gap_is_not_bridged() -> None:
    (parts,) = lines([[1.0, 2.0, None, 2.0]]).lines
    assert [(part.x1, part.x2) for part in parts] == [(12.5, 37.5), (81.25, 93.75)]


def test_the_words_of_an_axis_stand_within_it() -> None:
    assert [(edge, mark.x, mark.side) for edge, mark in marks(24, 12)] == [
        (0, 0.0, "start"), (12, 50.0, "middle"), (24, 100.0, "end"),
    ]  # fmt: skip
