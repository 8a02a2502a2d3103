"""Decides which addresses webhooks may reach."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network


@dataclass(frozen=True, slots=True)
class EgressRules:
    """Which addresses webhooks may reach besides the public ones, and which sockets are our own.

    `allow` holds networks that may be reached although they are not public. `own` holds (host or IP, port) of the
    sockets webhooks must never reach: the one this service listens on and those of the database and the proxy. An own
    host that is an address of this machine stands for all of this machine's addresses.
    """

    allow: tuple[IPv4Network | IPv6Network, ...] = ()
    own: frozenset[tuple[str, int]] = frozenset()
