"""The smallest charts: bars stand within their frame, and no hour with a failure goes unseen."""

from hypothesis import given
from hypothesis import strategies as st

from waypost.dashboard.marks import SPARK_HEIGHT, SPARK_WIDTH, spark, split

amounts = st.integers(0, 1_000_000)
days = st.lists(st.tuples(amounts, amounts, amounts), min_size=24, max_size=24)


@given(days)
def test_bars_stand_within_the_frame(day: list[tuple[int, int, int]]) -> None:
    for bar in spark(day):
        assert 0 <= bar.x <= bar.x + bar.width <= SPARK_WIDTH
        assert -3 <= bar.y <= bar.y + bar.height <= SPARK_HEIGHT, bar
        assert bar.width > 0
        assert bar.height > 0


@given(days)
def test_every_hour_with_a_failure_has_its_tick(day: list[tuple[int, int, int]]) -> None:
    ticks = [bar for bar in spark(day) if bar.kind == "tick"]
    assert len(ticks) == sum(1 for _, failed, _ in day if failed)


def test_busiest_hour_fills_the_height_and_half_of_it_is_half_as_high() -> None:
    low, high = [bar.height for bar in spark([(0, 0, 0)] * 22 + [(50, 0, 0), (100, 0, 0)])]
    assert (low, high) == (11, 22)


def test_day_without_anything_has_no_bar() -> None:
    assert spark([(0, 0, 0)] * 24) == []


def test_parts_of_an_attempt_follow_each_other_in_proportion_to_the_longest() -> None:
    spans = split({"dns": 10.0, "connect": 20.0, "tls": None, "first_byte": 70.0, "body": 0.0, "total": 100.0}, 200)
    assert [(span.kind, span.x, span.width) for span in spans] == [
        ("dns", 0, 5),
        ("connect", 5, 10),
        ("first_byte", 15, 35),
        ("body", 50, 0),
    ]


def test_attempt_that_took_no_time_has_no_width() -> None:
    assert [span.width for span in split({"first_byte": 0.0}, 0)] == [0]
