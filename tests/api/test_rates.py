import pytest

from waypost.api.rates import KEYS_MAX, Rate, RateLimit
from waypost.errors import TooManyRequests


class Watch:
    """A monotonic clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def allowed(limit: RateLimit, key: str) -> bool:
    try:
        limit.take(key)
    except TooManyRequests:
        return False
    return True


def test_a_burst_passes_and_the_next_one_waits() -> None:
    limit = RateLimit(Rate(per_minute=60, burst=20), Watch(), "Tests")
    assert [allowed(limit, "ep_1") for _ in range(21)] == [True] * 20 + [False]


def test_the_refusal_says_how_many_seconds_to_wait() -> None:
    limit = RateLimit(Rate(per_minute=6, burst=1), Watch(), "Tests")
    limit.take("ep_1")
    with pytest.raises(TooManyRequests, match="Try again in 10 s") as refused:
        limit.take("ep_1")
    assert refused.value.headers == {"retry-after": "10"}


def test_the_bucket_fills_again_at_the_rate() -> None:
    watch = Watch()
    limit = RateLimit(Rate(per_minute=60, burst=2), watch, "Tests")
    assert [allowed(limit, "ep_1") for _ in range(3)] == [True, True, False]
    watch.now = 1.0
    assert [allowed(limit, "ep_1") for _ in range(2)] == [True, False]


def test_one_key_does_not_use_up_another() -> None:
    limit = RateLimit(Rate(per_minute=60, burst=1), Watch(), "Tests")
    limit.take("ep_1")
    assert allowed(limit, "ep_2")


def test_the_number_of_keys_is_bounded() -> None:
    limit = RateLimit(Rate(per_minute=60, burst=1), Watch(), "Tests")
    for number in range(KEYS_MAX + 10):
        limit.take(number)
    assert limit.keys == KEYS_MAX
