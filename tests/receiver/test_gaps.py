"""What is missing among the positions that arrived."""

from hypothesis import given
from hypothesis import strategies as st

from waypost.receiver import gap_check


def test_an_unbroken_run_has_no_gaps_in_any_order():
    assert not gap_check([3, 1, 2])
    assert not gap_check([])


def test_missing_positions_are_given_as_ranges():
    assert gap_check([1, 4, 5, 9]).missing == (range(2, 4), range(6, 9))


def test_the_ends_are_looked_at_when_they_are_given():
    assert gap_check([3], after=1, until=5).missing == (range(2, 3), range(4, 6))
    assert gap_check([], after=0, until=2).missing == (range(1, 3),)


def test_a_position_of_two_events_shows_that_the_senders_log_was_set_back():
    assert gap_check([1, 2, 2, 3]).reused == (2,)


@given(st.sets(st.integers(1, 60), min_size=1))
def test_what_arrived_and_what_is_missing_make_up_the_whole(positions):
    missing = {position for gap in gap_check(positions).missing for position in gap}
    assert missing | positions == set(range(min(positions), max(positions) + 1))
    assert not missing & positions
