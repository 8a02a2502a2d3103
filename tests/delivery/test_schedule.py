"""When to try again."""

import doctest
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.delivery import schedule
from waypost.delivery.schedule import PROBE_S_MAX, SECOND, hold_until, next_attempt_at, next_probe_at, read_retry_after

NOW = datetime(2026, 12, 1, 8, 15, tzinfo=UTC)
jitters = st.floats(0, 1, exclude_max=True)


def test_the_examples_in_the_docstrings_are_true():
    assert doctest.testmod(schedule).failed == 0


@given(jitter=jitters)
def test_a_retry_is_spread_by_ten_percent_both_ways(jitter):
    at = next_attempt_at(0, 1, [100], jitter)
    assert 90 * SECOND <= at <= 110 * SECOND


@given(asked=st.floats(0, 86_400), jitter=jitters)
def test_a_receiver_that_asks_for_patience_is_never_asked_early(asked, jitter):
    assert round(asked * SECOND) <= hold_until(0, asked, jitter) <= asked * 1.1 * SECOND + 1


@given(probes=st.integers(0, 10_000), schedule_s=st.lists(st.floats(0.1, 604_800), max_size=30), jitter=jitters)
def test_probes_are_never_more_than_300_s_apart(probes, schedule_s, jitter):
    assert 0 < next_probe_at(0, probes, schedule_s, jitter) <= PROBE_S_MAX * 1.1 * SECOND


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("30", 30),
        (" 30 ", 30),
        ("86401", 86_400),
        ("99999999999999999999", 86_400),
        ("Tue, 01 Dec 2026 08:16:00 GMT", 60),
        ("Tue, 01 Dec 2026 08:14:00 GMT", 0),
        ("Wed, 01 Dec 9999 08:14:00 GMT", 86_400),
        ("-1", None),
        ("1e9", None),
        ("²", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("Tue, 99 Dec 2026 08:16:00 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_forms_and_bounded(value, seconds):
    assert read_retry_after(value, NOW) == seconds
