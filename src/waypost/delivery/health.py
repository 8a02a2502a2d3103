"""How an endpoint fares: three states, and every move between them, in one table.

`paused` is not here: it is the owner's wish and stands beside the health, which goes on under it.
"""

from collections.abc import Mapping
from enum import Enum

FAILURES_IN_A_ROW_MAX = 5  # the fifth makes the endpoint failing
FAILING_DAYS_MAX = 5  # without a success for so long, it is suspended


class Health(Enum):
    """What the deliveries say of the endpoint."""

    ACTIVE = "active"
    FAILING = "failing"
    SUSPENDED = "suspended"


class Turn(Enum):
    """What can change an endpoint's health."""

    FAILED_IN_A_ROW = "nothing gets through"
    SUCCEEDED = "an attempt got through"
    FAILED_TOO_LONG = "nothing got through for 5 days"
    ANSWERED_GONE = "it answered 410 Gone"
    RESUME_ASKED = "somebody resumed it"


MOVES: Mapping[tuple[Health, Turn], Health] = {
    (Health.ACTIVE, Turn.FAILED_IN_A_ROW): Health.FAILING,
    (Health.FAILING, Turn.SUCCEEDED): Health.ACTIVE,
    (Health.FAILING, Turn.FAILED_TOO_LONG): Health.SUSPENDED,
    (Health.ACTIVE, Turn.ANSWERED_GONE): Health.SUSPENDED,
    (Health.FAILING, Turn.ANSWERED_GONE): Health.SUSPENDED,
    (Health.FAILING, Turn.RESUME_ASKED): Health.ACTIVE,
    (Health.SUSPENDED, Turn.RESUME_ASKED): Health.ACTIVE,
}  # a pair that is absent changes nothing: an attempt in flight may end after the endpoint was suspended


def turned(health: Health, turn: Turn) -> Health:
    """Give the health after `turn`; the same health where the table has no such move."""
    return MOVES.get((health, turn), health)
