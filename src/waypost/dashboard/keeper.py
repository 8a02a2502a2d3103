"""What the door needs: cookies, passwords, the limit of tries, and what the settings say about getting in."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from waypost.api.rates import Rate, RateLimit
from waypost.dashboard.cookies import Cookies
from waypost.dashboard.passwords import Passwords
from waypost.dashboard.provider import IdentityProvider

SIGN_IN = Rate(per_minute=10, burst=10)
FORWARDED_MAX = 50  # entries of X-Forwarded-For that are looked at

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
SendMail = Callable[[str, str, str], Awaitable[None]]
"""Hands a mail in: recipient, subject, text. Raises MailNotSent."""


class MailNotSent(Exception):
    """The mail server did not take a mail; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """What the settings say: whose X-Forwarded-For is believed, mail, identity provider, how long things are kept."""

    trusted_proxies: tuple[Network, ...] = ()
    send_mail: SendMail | None = None
    provider: IdentityProvider | None = None
    retention_days: int = 30
    retention_days_owed: int = 90
    passwords: Passwords = field(default_factory=Passwords)


class Keeper:
    """Keeps the door. Made once."""

    def __init__(self, entrance: Entrance, public_url: str, monotonic: Callable[[], float]) -> None:
        self.entrance = entrance
        self.public_url = public_url
        self.cookies = Cookies(public_url)
        self.passwords = entrance.passwords
        self.tries = RateLimit(SIGN_IN, monotonic, "Sign-in")

        self._running: set[asyncio.Task[None]] = set()

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something after the answer, whose time would tell too much."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def finish(self) -> None:
        """Wait for what runs in the background."""
        await asyncio.gather(*self._running)

    def address_of(self, peer: str, forwarded: str) -> str:
        """Give the address that a request came from.

        `X-Forwarded-For` is believed only from a trusted proxy, and then read from its right end: what stands left of
        the first address that is no proxy of ours, anybody may have written.
        """
        address = peer
        for said in reversed(forwarded.split(",")[-FORWARDED_MAX:]):
            if not self._is_proxy(address) or not _is_address(said.strip()):
                break
            address = said.strip()
        return address

    def key_of(self, address: str) -> str:
        """Give what tries are counted by: an IPv4 address, or the /64 that a subscriber of IPv6 has to choose from."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return address
        if isinstance(parsed, ipaddress.IPv6Address):
            return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))
        return str(parsed)

    def _is_proxy(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self.entrance.trusted_proxies)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
