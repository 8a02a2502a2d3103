"""The identifiers of the product, and how one is made.

Every id is a prefix that says what it names and a ULID: 48 bits of Unix milliseconds and 80 random bits in Crockford's
base 32, so ids sort by the moment they were made. Time and randomness are arguments; nothing here reads a clock.
"""

from functools import lru_cache
from typing import NewType

AccountId = NewType("AccountId", str)
ShipmentId = NewType("ShipmentId", str)
EventId = NewType("EventId", str)
EndpointId = NewType("EndpointId", str)

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]  # ten bits at a time: three times as fast as five
RANDOM_BITS = 80
_LOW_BITS = 40
_LOW = (1 << _LOW_BITS) - 1


def ulid(at_ms: int, randomness: int) -> str:
    """Give the 26 characters of a ULID for Unix time `at_ms` in milliseconds and 80 bits of `randomness`.

    Source: the ULID specification, github.com/ulid/spec.
    """
    assert 0 <= randomness < 1 << RANDOM_BITS, randomness
    assert 0 <= at_ms < 1 << 48, at_ms
    value = at_ms << RANDOM_BITS | randomness
    low = value & _LOW
    pairs = _PAIRS
    return (
        f"{_head(value >> _LOW_BITS)}"
        f"{pairs[low >> 30]}{pairs[low >> 20 & 0x3FF]}{pairs[low >> 10 & 0x3FF]}{pairs[low & 0x3FF]}"
    )


@lru_cache(maxsize=64)
def _head(high: int) -> str:
    """The first 18 characters of a ULID. Those that are counted up within a millisecond have them in common."""
    return "".join([_PAIRS[high >> shift & 0x3FF] for shift in range(80, -1, -10)])
