"""Which events leave by age: pure decisions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.log.keeping import DAY_US, Aged, Ages, ClockSeen, Cut, Floors, cut, expired, warning_due, watch_clock

NOW = 1_000 * DAY_US
AGES = Ages(days=30, owed_days=90)
NOBODY = Floors(passed=None, replayed=None)


def rows(*days_old: float, first: int = 1) -> list[Aged]:
    """Rows from position `first` on, each so many days old."""
    return [Aged(first + offset, NOW - round(days * DAY_US)) for offset, days in enumerate(days_old)]


def decide(log: list[Aged], floors: Floors = NOBODY, kept: frozenset[int] = frozenset(), limit: int = 200) -> Cut:
    return cut(log, floors, kept, AGES, now_us=NOW, after=log[0].position - 1, limit=limit)


def test_what_is_older_than_its_days_leaves_and_what_is_younger_stays() -> None:
    assert decide(rows(50, 31, 30, 2)) == Cut((1, 2), 2, more=False)


def test_nothing_leaves_above_the_lowest_cursor() -> None:
    assert decide(rows(50, 45, 40), Floors(passed=1, replayed=None)) == Cut((1,), 1, more=False)


def test_a_kept_position_stays_and_the_walk_goes_on_past_it() -> None:
    assert decide(rows(50, 45, 40), kept=frozenset({2})) == Cut((1, 3), 3, more=False)


def test_what_a_replay_has_still_to_look_at_stays_until_the_limit_of_what_is_owed() -> None:
    assert decide(rows(95, 91, 60, 50), Floors(passed=None, replayed=1)) == Cut((1, 2), 2, more=False)


def test_what_a_clock_that_was_ahead_recorded_stays_and_the_walk_goes_on_past_it() -> None:
    assert decide(rows(50, -300, 40, 2)) == Cut((1, 3), 3, more=False)


def test_what_a_clock_that_was_behind_recorded_stays_behind_what_is_young() -> None:
    assert decide(rows(50, 2, 365)) == Cut((1,), 1, more=False)


def watched(*shown_days: float) -> ClockSeen:
    """What is known of a clock that showed these days, one after the other."""
    seen = None
    for days in shown_days:
        seen = watch_clock(seen, round(days * DAY_US))
    assert seen is not None
    return seen


def test_a_clock_that_goes_on_is_believed() -> None:
    assert watched(10, 10.5, 11.4) == ClockSeen(round(11.4 * DAY_US))


def test_a_clock_that_leaps_is_believed_after_a_day() -> None:
    assert watched(10, 400, 400.5).is_ahead
    assert not watched(10, 400, 400.5, 401).is_ahead


def test_a_clock_that_leaps_again_has_to_wait_again() -> None:
    assert watched(10, 400, 800).is_ahead
    assert watched(10, 400, 800, 800.9).is_ahead


def test_a_clock_that_comes_back_is_believed_and_forgets_the_leap() -> None:
    assert watched(10, 400, 10.1) == ClockSeen(round(10.1 * DAY_US))
    assert watched(10, 400, 10.1, 400.9).is_ahead


def test_a_clock_that_is_behind_is_believed_and_may_come_back() -> None:
    assert watched(10, 0) == ClockSeen(10 * DAY_US)
    assert not watched(10, 0, 10.5).is_ahead


@given(st.lists(st.floats(0, 3000), min_size=1, max_size=20))
def test_nothing_that_a_clock_shows_is_believed_a_day_past_what_was(shown: list[float]) -> None:
    """Unless it has shown so for a day."""
    seen = ClockSeen(0)
    for days in shown:
        now = round(days * DAY_US)
        after = watch_clock(seen, now)
        stood_the_day = seen.ahead_since is not None and now - seen.ahead_since >= DAY_US
        assert after.believed <= seen.believed + DAY_US or (stood_the_day and after.believed == now)
        seen = after


def test_a_full_step_says_that_more_may_follow() -> None:
    assert decide(rows(50, 45), limit=2).more


def test_owed_events_expire_from_the_head_of_the_log_only() -> None:
    assert expired(rows(95, 89, 95), AGES, NOW) == [1]


@pytest.mark.parametrize(("days_old", "due"), [(82, None), (83, 7), (88.5, 7), (89, 1), (95, 1)])
def test_a_warning_is_due_seven_days_and_one_day_before_the_limit(days_old: float, due: int | None) -> None:
    assert warning_due(NOW - round(days_old * DAY_US), AGES, NOW) == due


def test_no_warning_is_due_where_nothing_is_owed() -> None:
    assert warning_due(None, AGES, NOW) is None


def test_a_limit_of_a_few_days_warns_one_day_before_alone() -> None:
    short = Ages(days=3, owed_days=7)
    assert warning_due(NOW - DAY_US, short, NOW) is None
    assert warning_due(NOW - 6 * DAY_US, short, NOW) == 1


def test_the_limit_of_what_is_owed_is_never_shorter_than_that_of_all_else() -> None:
    assert Ages(days=120, owed_days=90).owed_us == 120 * DAY_US


@given(
    days_old=st.lists(st.floats(0, 200), min_size=1, max_size=30),
    passed=st.none() | st.integers(0, 40),
    replayed=st.none() | st.integers(0, 40),
    kept=st.frozensets(st.integers(1, 40), max_size=10),
)
def test_nothing_young_kept_or_not_yet_passed_ever_leaves(
    days_old: list[float], passed: int | None, replayed: int | None, kept: frozenset[int]
) -> None:
    log = rows(*days_old)
    result = decide(log, Floors(passed, replayed), kept)
    by_position = {row.position: row for row in log}
    for position in result.leaving:
        age_us = NOW - by_position[position].recorded_at
        assert age_us > AGES.kept_us
        assert position not in kept
        assert passed is None or position <= passed
        assert replayed is None or position <= replayed or age_us > AGES.owed_us
    assert result.leaving == tuple(p for p in by_position if p <= result.place and p not in kept)
