"""Decides which URLs and addresses webhooks may reach.

A URL is read strictly: what two parsers could read differently is refused instead of repaired. An address is judged by
a table of its own, because `ipaddress.is_global` lets NAT64, 6to4, site-local, multicast and metadata addresses
through. What was good at creation is judged again at every connection.
"""

import asyncio
import errno
import re
import socket
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from yarl import URL

from waypost.delivery.lookup import Lookup, addresses_of
from waypost.errors import AddressNotAllowed, InvalidDocument

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

URL_LENGTH_MAX = 2048
PORT_MAX = 65_535
LOOKUP_AT_CREATION_S_MAX = 3.0

REMEDY = "Use a public one, or ask your operator to allow its network (WAYPOST_EGRESS_ALLOW)."

# IANA IPv4 Special-Purpose Address Registry, the multicast and reserved blocks, and what clouds put elsewhere.
_IPV4_REFUSED: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), reason)
    for network, reason in [
        ("0.0.0.0/8", "an address of “this network”"),  # 0.0.0.0 reaches loopback on Linux
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "a carrier-grade NAT address"),
        ("127.0.0.0/8", "a loopback address"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a reserved address"),
        ("192.0.2.0/24", "a documentation address"),
        ("192.52.193.0/24", "a reserved address"),  # automatic multicast tunnelling
        ("192.88.99.0/24", "a 6to4 relay address"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "a benchmarking address"),
        ("198.51.100.0/24", "a documentation address"),
        ("203.0.113.0/24", "a documentation address"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
    ]
)

# Of IPv6 only 2000::/3 is handed out to the public; all else is refused, and these parts of it.
_IPV6_PUBLIC = IPv6Network("2000::/3")
_IPV6_REFUSED: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), reason)
    for network, reason in [
        ("2001::/32", "a Teredo address"),
        ("2001::/23", "a reserved address"),
        ("2001:db8::/32", "a documentation address"),
        ("2002::/16", "a 6to4 address"),
        ("3fff::/20", "a documentation address"),
        ("::1/128", "a loopback address"),
        ("::/128", "an unspecified address"),
        ("::/96", "an IPv4-compatible address"),
        ("64:ff9b:1::/48", "a local NAT64 address"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a site-local address"),
        ("ff00::/8", "a multicast address"),
    ]
)
_NAT64 = IPv6Network("64:ff9b::/96")
# An allowed network opens the IPv4 addresses inside IPv6 ones only where it means them: ::/0 must not open all of IPv4.
EMBEDDING_PREFIX_BITS_MIN = 96

# Credentials are handed out here. An allowed network that merely contains one does not open it: it must be named alone.
_METADATA = frozenset(
    ip_address(address)
    for address in [
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
    ]
)
_METADATA_NAMES = frozenset({"metadata.google.internal", "metadata.goog"})

_AUTHORITY = re.compile(r"https?://([^/?#]*)(.?)", re.IGNORECASE | re.DOTALL)
# Blanks and control characters of any kind, and the backslash that some parsers take for a slash.
_FORBIDDEN_IN_URL = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\\]")
_BRACKETED = re.compile(r"\[[0-9a-fA-F:.]+\](:.*)?")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
# A last label like this makes the C library read the name as a number: 127.1, 0x7f000001, 017700000001.
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class ParsedUrl:
    """A URL that only one reading fits. `host` is what is resolved: lower case, IDNA, without brackets.

    `address` is set when the host is an IP address. `url` is the canonical form that is requested.
    """

    url: URL
    host: str
    port: int
    address: Address | None


@dataclass(frozen=True, slots=True)
class EgressRules:
    """Which addresses webhooks may reach besides the public ones, and which sockets are our own.

    `allow` holds networks that may be reached although they are not public. `own` holds (host or IP, port) of the
    sockets webhooks must never reach: the one this service listens on and those of the database and the proxy. An own
    host that is an address of this machine stands for all of this machine's addresses.
    """

    allow: tuple[Network, ...] = ()
    own: frozenset[tuple[str, int]] = frozenset()

    def vet(self, address: str, port: int, *, only_allowed: bool = False) -> str | None:
        """Say what is wrong with connecting to `address` ("a private address"), or None when it may be reached.

        With `only_allowed` (names without a dot) a public address is refused as well, unless `allow` holds it.
        """
        given = _without_zone(address)
        judged = _unwrapped(given)
        if self._is_own(judged, port):
            return "one of Waypost's own addresses"
        if judged in _METADATA:
            return None if self._names_alone(judged) else "a cloud metadata address"
        if self._is_allowed(judged) or (given is not judged and self._is_allowed(given, EMBEDDING_PREFIX_BITS_MIN)):
            return None
        reason = reason_against(judged)
        if reason is None and only_allowed:
            return "an address that a name without a dot may not lead to"
        return reason

    def check_url(self, url: str, *, path: str = "/url") -> ParsedUrl:
        """Read `url` and refuse what no lookup is needed to refuse.

        Raises InvalidDocument (`path` names the place) when it is not a plain http(s) URL, AddressNotAllowed when its
        host is an address, or a name, that may not be reached.
        """
        parsed = parse_url(url, path=path)
        if parsed.address is not None:
            reason = self.vet(parsed.host, parsed.port)
            if reason is not None:
                raise AddressNotAllowed(f"{parsed.host} is {reason}. {REMEDY}", path=path)
        else:
            reason = self.vet_name(parsed.host)
            if reason is not None:
                raise AddressNotAllowed(reason, path=path)
        return parsed

    def vet_name(self, host: str) -> str | None:
        """Judge a name before it is resolved: None, or a sentence that says what is wrong with it."""
        if host.rstrip(".") in _METADATA_NAMES:
            return f"{host} is a cloud metadata server, which webhooks never reach."
        if "." not in host.rstrip(".") and not self.allow:
            # Without a dot the system may complete it to a machine inside.
            return f"{host} is a name without a dot. Use the full name."
        return None

    async def check_endpoint_url(self, url: str, *, path: str = "/url", lookup: Lookup = addresses_of) -> ParsedUrl:
        """Check `url` as `check_url` does, then resolve its name: every address must be allowed.

        A full name that has no address (yet), or whose servers are silent for LOOKUP_AT_CREATION_S_MAX seconds, is let
        through: each connection asks again.
        """
        parsed = self.check_url(url, path=path)
        own = await self.own_addresses(parsed.port, lookup)
        if parsed.address is not None:
            found = [parsed.host]
        else:
            found = await _addresses_or_none(parsed.host, lookup)
            if not found and "." not in parsed.host.rstrip("."):
                raise AddressNotAllowed(
                    f"{parsed.host} is a name without a dot, and has no address now. Use the full name.", path=path
                )
        for address in found:
            reason = self.vet_resolved(parsed.host, address, parsed.port, own)
            if reason is not None:
                raise AddressNotAllowed(f"{reason} {REMEDY}", path=path)
        return parsed

    def vet_resolved(self, host: str, address: str, port: int, own: frozenset[str]) -> str | None:
        """Judge one address of `host`: None, or a sentence that says what is wrong. `own` is from `own_addresses`."""
        single_label = "." not in host.rstrip(".") and ":" not in host
        reason = self.vet(address, port, only_allowed=single_label)
        if reason is None and str(_unwrapped(_without_zone(address))) in own:
            reason = "one of Waypost's own addresses"
        if reason is None:
            return None
        return f"{host} is {reason}." if host == address else f"{host} resolves to {address}, {reason}."

    def owns_port(self, port: int | None) -> bool:
        """Whether one of our own sockets is on `port`."""
        return any(own_port == port for _, own_port in self.own)

    async def own_addresses(self, port: int, lookup: Lookup = addresses_of) -> frozenset[str]:
        """Resolve the names among our own sockets on `port`. Empty, without a lookup, for nearly every port."""
        names = [host for host, own_port in self.own if own_port == port and _literal(host) is None and host]
        found: set[str] = set()
        for name in names:
            addresses = await _addresses_or_none(name, lookup)
            found.update(str(_unwrapped(_without_zone(address))) for address in addresses)
        return frozenset(found)

    def _is_own(self, address: Address, port: int) -> bool:
        for host, own_port in self.own:
            if own_port != port:
                continue
            own = _literal(host)
            if own == address:
                return True
            if (not host or (own is not None and is_of_this_machine(own))) and is_of_this_machine(address):
                return True
        return False

    def _is_allowed(self, address: Address, prefix_bits_min: int = 0) -> bool:
        return any(network.prefixlen >= prefix_bits_min and address in network for network in self.allow)

    def _names_alone(self, address: Address) -> bool:
        return any(network.prefixlen == network.max_prefixlen and address in network for network in self.allow)


def read_networks(text: str) -> tuple[Network, ...]:
    """Read a comma-separated list of networks in CIDR form. Raises ValueError that names the wrong one."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


@lru_cache(maxsize=4096)
def reason_against(address: Address) -> str | None:
    """Say why an address is not public ("a private address"), None when it is. Mapped forms are unwrapped first."""
    address = _unwrapped(address)
    if isinstance(address, IPv4Address):
        return next((reason for network, reason in _IPV4_REFUSED if address in network), None)
    for network, reason in _IPV6_REFUSED:
        if address in network:
            return reason
    return None if address in _IPV6_PUBLIC else "a reserved address"


def is_of_this_machine(address: Address) -> bool:
    """Whether this machine answers at `address`: only its own addresses can be bound. In doubt it is its own."""
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with closing(socket.socket(family, socket.SOCK_DGRAM)) as probe:
            probe.bind((str(address), 0))
    except OSError as error:
        return error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return True


@lru_cache(maxsize=4096)
def parse_url(url: str, *, path: str = "/url") -> ParsedUrl:
    """Read an http(s) URL of which only one reading exists. Raises InvalidDocument that says what is wrong."""
    problem = _problem_with_text(url)
    if problem is None:
        try:
            parsed = URL(url)
            host, port = parsed.raw_host or "", parsed.port or 0
        except ValueError:
            problem = "is not a URL"
        else:
            problem = _problem_with_host(host)
    if problem is not None:
        raise InvalidDocument(f"The URL {problem}.", path=path)
    return ParsedUrl(parsed, host, port, _literal(host))


def _problem_with_text(url: str) -> str | None:
    if len(url) > URL_LENGTH_MAX:
        return f"is longer than {URL_LENGTH_MAX} characters"
    if _FORBIDDEN_IN_URL.search(url):
        return "holds a blank, a control character or a backslash"
    match = _AUTHORITY.match(url)
    if match is None:
        return "must begin with https:// or http://"
    authority, following = match.groups()
    if "#" in url:
        return "has a fragment (#…), which is never sent"
    if "@" in authority:
        return "holds a user name or password; use auth"
    if "%" in authority:
        return "has a percent sign in its host"
    if ("[" in authority or "]" in authority) and not _BRACKETED.fullmatch(authority):
        return "has brackets around what is no IPv6 address"
    if following == "?":
        return "needs a / between the host and the ?"
    port = re.search(r":([0-9]{1,5})$", authority)
    if re.search(r":(?!\d{1,5}$)[^\]]*$", authority, re.ASCII) or (port and not 1 <= int(port[1]) <= PORT_MAX):
        return f"has a port that is not a number from 1 to {PORT_MAX}"
    return None


def _problem_with_host(host: str) -> str | None:
    if not host:
        return "has no host"
    if _literal(host) is not None:
        return None
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return "has a host that is no name of a server"
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        return "has a host that is a number; write an IPv4 address as four decimal numbers"
    return None


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _without_zone(address: str) -> Address:
    """Read an address. A zone ("%eth0") says through which door it is reached, and changes nothing of what it is."""
    return ip_address(address.partition("%")[0])


def _unwrapped(address: Address) -> Address:
    """Give the IPv4 address that an IPv4-mapped or NAT64 address leads to, else the address itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


async def _addresses_or_none(host: str, lookup: Lookup) -> list[str]:
    try:
        async with asyncio.timeout(LOOKUP_AT_CREATION_S_MAX):
            return await lookup(host)
    except (OSError, UnicodeError):  # TimeoutError is an OSError
        return []
