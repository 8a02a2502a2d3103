"""Ids sort in the order they were made, and do not repeat."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from waypost.clock import IdSource, RandomBits, from_micros, to_micros
from waypost.ids import RANDOM_BITS, ulid

NOW = datetime(2026, 12, 1, 8, 15, tzinfo=UTC)


def test_ids_of_one_millisecond_sort_in_the_order_they_were_made():
    ids = IdSource()
    made = [ids.new("evt_", NOW) for _ in range(10_000)]
    assert made == sorted(set(made))


def test_ids_go_on_in_order_when_the_clock_steps_back():
    ids = IdSource()
    first = ids.new("evt_", NOW)
    assert ids.new("evt_", NOW - timedelta(hours=1)) > first


def test_threads_never_make_the_same_id():
    ids = IdSource()
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: ids.new("evt_", NOW), range(4_000)))
    assert len(set(made)) == 4_000


@given(bits=st.integers(1, 200))
def test_random_bits_stay_below_their_bound(bits):
    draw = RandomBits()
    assert all(draw(bits) < 1 << bits for _ in range(50))


def test_random_bits_are_drawn_anew_when_a_block_is_used_up():
    draw = RandomBits()
    assert len({draw(80) for _ in range(2_000)}) == 2_000


@given(st.integers(0, (1 << 48) - 1), st.integers(0, (1 << RANDOM_BITS) - 1))
def test_a_ulid_is_26_characters_and_sorts_by_its_time(at_ms, randomness):
    made = ulid(at_ms, randomness)
    assert len(made) == 26
    assert at_ms == 0 or ulid(at_ms - 1, (1 << RANDOM_BITS) - 1) < made


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001
def test_an_instant_survives_the_database_exactly(instant):
    assert from_micros(to_micros(instant)) == instant
