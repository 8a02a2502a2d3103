"""The pages that are looked at in every test run. Add yours: a name for its pictures, and its path.

A path may hold ids of the world in braces: {endpoints[ERP production]}, {shipments[SO-48213]},
{events[shipment.status.collected]}; see dashboard.world.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Seen:
    """One page. `ready` is a selector to wait for, `status` what it answers."""

    name: str
    path: str
    ready: str = "main h1"
    status: int = 200
    signed_in: bool = True


PAGES = (
    Seen("patterns", "/patterns"),
    Seen("sign-in", "/sign-in", signed_in=False),
    Seen("sign-in-token", "/sign-in?with=operator", signed_in=False),
    Seen("forgotten", "/forgotten", signed_in=False),
    Seen("people", "/settings/account/people"),
    Seen("tokens", "/settings/account/tokens"),
    Seen("audit", "/settings/account/audit"),
    Seen("retention", "/settings/account/retention"),
    Seen("you", "/you"),
    Seen("no-page", "/there/is/no/such/page", status=404),
)
