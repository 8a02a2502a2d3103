from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.api.queries import CURSOR, LIMIT, Instant, OneOf, Query, Window, read_queries
from waypost.errors import BadRequest

DECLARED: dict[str, Query] = {
    query.name: query
    for query in (
        LIMIT,
        CURSOR,
        OneOf(name="status", description="", words=("booked", "delivered")),
        Instant(name="since", description=""),
        Window(name="window", description="", default=timedelta(hours=24)),
    )
}


def refusal(query: str) -> dict[str, str]:
    with pytest.raises(BadRequest) as refused:
        read_queries(DECLARED, query.encode())
    return {error.path: error.message for error in refused.value.errors}


def test_values_that_are_left_out_have_their_defaults() -> None:
    values = read_queries(DECLARED, b"")
    assert values["limit"] == 50
    assert values["cursor"] is None


def test_a_time_is_read_to_utc_with_a_plus_that_was_not_escaped_too() -> None:
    expected = datetime(2026, 11, 23, 11, 31, tzinfo=UTC)
    assert read_queries(DECLARED, b"since=2026-11-23T13:31:00%2B02:00")["since"] == expected
    assert read_queries(DECLARED, b"since=2026-11-23T13:31:00+02:00")["since"] == expected


@pytest.mark.parametrize(
    ("query", "place", "words"),
    [
        ("limit=0", "?limit", "1 to 1000"),
        ("limit=1001", "?limit", "1 to 1000"),
        ("limit=+5", "?limit", "1 to 1000"),
        ("limit=5.0", "?limit", "1 to 1000"),
        ("limit=%D9%A5", "?limit", "1 to 1000"),
        ("limit=" + "9" * 5000, "?limit", "1 to 1000"),
        ("limit=", "?limit", "1 to 1000"),
        ("limit=1&limit=2", "?limit", "twice"),
        ("status=bookd", "?status", 'did you mean "booked"?'),
        ("since=2026-11-23", "?since", "zone"),
        ("since=2026-11-23T13:31:00", "?since", "zone"),
        ("since=0001-01-01T00:00:00%2B14:00", "?since", "years"),
        ("since=2026-02-30T00:00:00Z", "?since", "must be a time"),
        ("window=25x", "?window", "24h"),
        ("window=99999d", "?window", "24h"),
        ("cursor=a%00b", "?cursor", "control"),
        ("limt=5", "?limt", 'did you mean "limit"?'),
    ],
)
def test_a_wrong_value_is_refused_and_named(query: str, place: str, words: str) -> None:
    assert words in refusal(query)[place]


def test_all_wrong_values_are_named_at_once() -> None:
    assert list(refusal("limit=x&status=y&z=1")) == ["?limit", "?status", "?z"]


def test_a_query_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(BadRequest, match="UTF-8"):
        read_queries(DECLARED, b"cursor=%FF")


@given(st.binary(max_size=60))
def test_no_bytes_make_more_than_a_refusal(query: bytes) -> None:
    with suppress(BadRequest):
        assert set(read_queries(DECLARED, query)) == set(DECLARED)
