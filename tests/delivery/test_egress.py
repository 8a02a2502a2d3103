"""Which URLs and addresses webhooks may reach."""

import asyncio
import socket
import threading
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.receivers import names
from waypost.delivery import lookup
from waypost.delivery.egress import EgressRules, is_of_this_machine, parse_url, read_networks, reason_against
from waypost.delivery.lookup import Questions
from waypost.errors import AddressNotAllowed, InvalidDocument

RULES = EgressRules()

# Written down apart from the table that is tested: what must not get through.
REFUSED_IPV4_TEXT = """
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24
192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4
255.255.255.255/32 169.254.169.254/32 169.254.170.2/32 100.100.100.200/32 168.63.129.16/32 192.0.0.192/32
"""

REFUSED_IPV6_TEXT = """
::/128 ::1/128 ::/96 ::ffff:0:0:0/96 64:ff9b:1::/48 100::/64 2001::/32 2001:db8::/32 2002::/16 3fff::/20
5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8 fd00:ec2::254/128
"""

PUBLIC_TEXT = """
1.1.1.0/24 5.9.0.0/16 8.8.8.0/24 81.20.144.0/20 185.31.136.0/22 203.0.112.0/24 2a00:1450::/32 2606:4700::/32
2001:4860::/32 2a01:4f9::/32 2400:cb00::/32 2c0f:f248::/32
"""

REFUSED_HOSTS = """
127.0.0.1 127.0.0.0 127.127.127.127 0 0.0.0.0 0.1.2.3 127.1 10.1 2130706433 0x7f000001 0x7f.1 0177.0.0.1
017700000001 127.0.0.1. localhost localhost. ip6-localhost [::] [::1] [0:0:0:0:0:0:0:1] [0000::1]
[::ffff:127.0.0.1] [::ffff:a9fe:a9fe] [::7f00:1] [::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b:1::a00:1]
[2002:7f00:1::] [2001:0:0:1::1] [fc00::1] [fec0::1] [100::1] [3fff::1] [5f00::1] [2001:db8::1] [ff02::1]
10.0.0.1 172.16.0.1 192.168.0.1 169.254.0.1 100.64.0.1 198.18.0.1 192.0.0.1 192.88.99.1 224.0.0.1 240.0.0.1
255.255.255.255 169.254.169.254 169.254.170.2 [fd00:ec2::254] 100.100.100.200 168.63.129.16 192.0.0.192
metadata.google.internal metadata.google.internal. db ①②⑦.⓪.⓪.① １２７.0.0.1 127。0。0。1 exam%70le.com
127.0.0.1%00.good [fe80::1%25eth0] a..b .a -a.example [1:2] [v1.a] [::1 ::1 a]b 127.0.0.1:80:80 erp.example:0
erp.example:65536 erp.example: erp.example:0x50 erp.example:８０ good@127.0.0.1 127.0.0.1:80:@good :@good
good\\@bad 0x7f.0.0.0x1 1.2.3 08.8.8.8
"""

REFUSED_SCHEMES = """
file ftp gopher dict ldap jar data unix http+unix ws wss FILE Ftp javascript httpx
"""

REFUSED_IPV4 = [IPv4Network(network) for network in REFUSED_IPV4_TEXT.split()]
REFUSED_IPV6 = [IPv6Network(network) for network in REFUSED_IPV6_TEXT.split()]
# Blocks in which everything is public, of several registries.
PUBLIC = [ip_network(network) for network in PUBLIC_TEXT.split()]


def addresses_in(networks):
    return st.sampled_from(networks).flatmap(
        lambda network: st.integers(int(network.network_address), int(network.broadcast_address)).map(
            IPv4Address if network.version == 4 else IPv6Address
        )
    )


@given(addresses_in(REFUSED_IPV4 + REFUSED_IPV6))
def test_no_address_of_the_refused_ranges_gets_through(address):
    assert RULES.vet(str(address), 443) is not None


@given(addresses_in(REFUSED_IPV4))
def test_an_ipv4_address_is_seen_through_every_form_that_hides_it(address):
    for hidden in (f"::ffff:{address}", f"64:ff9b::{address}", f"::{address}", f"2002:{int(address) >> 16:x}::"):
        assert RULES.vet(hidden, 443) is not None


EMBEDDINGS = {
    "IPv4 mapped": lambda ip: f"::ffff:{ip}",
    "IPv4 compatible": lambda ip: f"::{ip}",
    "IPv4 translated": lambda ip: f"::ffff:0:{ip}",
    "NAT64": lambda ip: f"64:ff9b::{ip}",
    "local NAT64": lambda ip: f"64:ff9b:1::{ip}",
    "6to4": lambda ip: f"2002:{int(ip) >> 16:x}:{int(ip) & 0xFFFF:x}::1",
    "Teredo, by its server": lambda ip: f"2001:0:{int(ip) >> 16:x}:{int(ip) & 0xFFFF:x}::1",
    "Teredo, by its client": lambda ip: f"2001:0:808:808::{~int(ip) >> 16 & 0xFFFF:x}:{~int(ip) & 0xFFFF:x}",
    "an interface of a tunnel": lambda ip: f"fe80::5efe:{ip}",
}


@given(addresses_in(REFUSED_IPV4), st.sampled_from(sorted(EMBEDDINGS)), st.sampled_from(["", "%eth0", "%1"]))
def test_a_refused_ipv4_address_is_refused_in_whatever_it_is_embedded(address, how, zone):
    assert RULES.vet(EMBEDDINGS[how](address) + zone, 443) is not None


@pytest.mark.parametrize("network", REFUSED_IPV4 + REFUSED_IPV6, ids=str)
def test_a_refused_range_is_refused_to_its_very_ends(network):
    for edge in (network.network_address, network.broadcast_address):
        assert RULES.vet(str(edge), 443) is not None
    for beyond in (int(network.network_address) - 1, int(network.broadcast_address) + 1):
        if 0 <= beyond < 2**network.max_prefixlen:
            neighbour = type(network.network_address)(beyond)
            if neighbour.is_global and not any(neighbour in other for other in REFUSED_IPV4 + REFUSED_IPV6):
                in_use = neighbour.version == 4 or neighbour in IPv6Network("2000::/3")
                assert (RULES.vet(str(neighbour), 443) is None) == in_use


@given(addresses_in(PUBLIC))
def test_public_addresses_get_through(address):
    assert RULES.vet(str(address), 443) is None


@given(st.ip_addresses(v=6))
def test_of_ipv6_nothing_outside_the_public_block_gets_through(address):
    if RULES.vet(str(address), 443) is None:
        assert address in IPv6Network("2000::/3") or address in IPv6Network("64:ff9b::/96") or address.ipv4_mapped


@given(st.ip_addresses())
def test_nothing_that_the_standard_library_calls_private_gets_through(address):
    """Its list is shorter than ours, and other people keep it."""
    judged = getattr(address, "ipv4_mapped", None) or address
    if not judged.is_global:
        assert RULES.vet(str(address), 443) is not None


def test_a_mapped_public_address_is_public():
    assert RULES.vet("::ffff:8.8.8.8", 443) is None
    assert RULES.vet("64:ff9b::8.8.8.8", 443) is None


def test_the_reason_is_said_in_words_of_people():
    assert reason_against(ip_address("10.0.4.7")) == "a private address"
    assert reason_against(ip_address("127.0.0.1")) == "a loopback address"
    assert RULES.vet("169.254.169.254", 80) == "a cloud metadata address"


# What the operator allows


def test_an_allowed_network_opens_itself_and_nothing_else():
    rules = EgressRules(allow=read_networks("10.1.0.0/16, fd12::/16"))
    assert rules.vet("10.1.2.3", 443) is None
    assert rules.vet("::ffff:10.1.2.3", 443) is None
    assert rules.vet("fd12::1", 443) is None
    assert rules.vet("10.2.0.1", 443) is not None
    assert rules.vet("fd13::1", 443) is not None


def test_all_of_ipv4_allowed_opens_nothing_of_ipv6_and_no_metadata_address():
    rules = EgressRules(allow=read_networks("0.0.0.0/0"))
    assert rules.vet("10.0.0.1", 80) is None
    assert rules.vet("fd00::1", 80) is not None
    assert rules.vet("::1", 80) is not None
    assert rules.vet("169.254.169.254", 80) is not None
    assert EgressRules(allow=read_networks("169.254.169.254/32")).vet("169.254.169.254", 80) is None


def test_all_of_ipv6_allowed_opens_no_ipv4_address_inside_it():
    rules = EgressRules(allow=read_networks("::/0"))
    assert rules.vet("fd00::1", 80) is None
    for hidden in ("10.0.0.1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "::ffff:127.0.0.1", "fd00:ec2::254"):
        assert rules.vet(hidden, 80) is not None
    assert EgressRules(allow=read_networks("::ffff:10.0.0.0/104")).vet("::ffff:10.0.0.1", 80) is None


def test_a_zone_changes_nothing_of_what_an_address_is():
    rules = EgressRules(allow=read_networks("fd00::/8,fe80::/10"), own=frozenset({("fd00::5", 5432)}))
    assert rules.vet("fe80::1%eth0", 80) is None
    assert rules.vet("fd00:ec2::254%eth0", 80) == "a cloud metadata address"
    assert rules.vet("fd00::5%eth0", 5432) == "one of Waypost's own addresses"
    assert RULES.vet("fe80::1%eth0", 80) == "a link-local address"


def test_networks_that_are_none_are_named():
    assert read_networks("") == ()
    with pytest.raises(ValueError, match=r"10\.0\.0\.1/8"):
        read_networks("127.0.0.0/8,10.0.0.1/8")


# Our own sockets


@pytest.mark.parametrize("listening_on", ["127.0.0.1", "0.0.0.0", "::", ""])
def test_every_address_of_this_machine_is_refused_on_the_port_we_listen_on(listening_on):
    rules = EgressRules(allow=read_networks("0.0.0.0/0,::/0"), own=frozenset({(listening_on, 8484)}))
    for address in ("127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::ffff:127.0.0.1", own_address()):
        assert rules.vet(address, 8484) == "one of Waypost's own addresses"
        assert rules.vet(address, 8485) is None
    assert rules.vet("8.8.8.8", 8484) is None


def own_address() -> str:
    """The address with which this machine would speak to another; loopback where it has no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.1", 9))
        except OSError:
            return "127.0.0.1"
        return probe.getsockname()[0]


def test_this_machine_knows_its_own_addresses():
    assert is_of_this_machine(ip_address(own_address()))
    assert not is_of_this_machine(ip_address("8.8.8.8"))
    assert not is_of_this_machine(ip_address("2001:4860::1"))


def test_a_database_elsewhere_is_refused_at_its_own_address_and_port_alone():
    rules = EgressRules(allow=read_networks("10.0.0.0/8"), own=frozenset({("10.0.0.5", 5432)}))
    assert rules.vet("10.0.0.5", 5432) == "one of Waypost's own addresses"
    assert rules.vet("10.0.0.5", 443) is None
    assert rules.vet("10.0.0.6", 5432) is None


async def test_a_database_given_by_name_is_refused_by_name_and_by_address():
    rules = EgressRules(allow=read_networks("10.0.0.0/8"), own=frozenset({("db.corp.test", 5432)}))
    known = names(db_corp_test=["10.0.0.5"], alias_corp_test=["10.0.0.5"], erp_corp_test=["10.0.0.6"])
    for url in ("http://db.corp.test:5432/", "http://alias.corp.test:5432/", "http://10.0.0.5:5432/"):
        with pytest.raises(AddressNotAllowed, match="own addresses"):
            await rules.check_endpoint_url(url, lookup=known)
    await rules.check_endpoint_url("http://erp.corp.test:5432/", lookup=known)
    await rules.check_endpoint_url("http://db.corp.test/", lookup=known)


# URLs


@pytest.mark.parametrize(
    "url",
    [
        "https://erp.example/hooks/waypost",
        "http://erp.example:8080/a?b=c@d&e=%20",
        "HTTPS://ERP.EXAMPLE/",
        "https://erp.example",
        "https://erp.example./hook",
        "https://xn--phjala-pxa.example/",
        "https://põhjala.example/",
        "https://8.8.8.8/",
        "https://[2a00:1450::1]:8443/",
        "https://a_b.erp.example/",
    ],
)
def test_plain_urls_are_taken(url):
    assert RULES.check_url(url).host


@pytest.mark.parametrize("url", ["https://erp.example:99999/", "https://[2a00:1450::1]:65536/", "https://a.example:0/"])
def test_a_port_that_is_too_large_is_called_so(url):
    with pytest.raises(InvalidDocument, match="has a port that is not a number from 1 to 65535"):
        parse_url(url)


def test_a_url_is_read_once_and_for_all():
    parsed = parse_url("HTTPS://Põhjala.Example:8443/a b".replace(" ", "%20"))
    assert (parsed.host, parsed.port, parsed.address) == ("xn--phjala-pxa.example", 8443, None)
    assert str(parsed.url) == "https://xn--phjala-pxa.example:8443/a%20b"


@pytest.mark.parametrize(
    "host",
    REFUSED_HOSTS.split(),
)
def test_hosts_that_are_private_or_could_be_read_in_two_ways_are_refused(host):
    with pytest.raises((AddressNotAllowed, InvalidDocument)) as caught:
        RULES.check_url(f"http://{host}/")
    assert caught.value.errors[0].path == "/url"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "erp.example",
        "/hook",
        "//127.0.0.1",
        "http:127.0.0.1",
        "http:/127.0.0.1",
        "http:///127.0.0.1",
        "http:////127.0.0.1",
        "hTTp:/\\127.0.0.1",
        "http:\\\\127.0.0.1",
        "http://good#@bad/",
        "http://good?@bad/",
        "http://good.example/#part",
        "http://good.example /",
        " http://good.example/",
        "http://good.example/\n",
        "http://good.example/\x00",
        "http://good.example/\x85",
        "http://good.example\u2028/",
        "http://good\u00a0.example/",
        "https://erp.example/" + "a" * 2048,
        *[f"{scheme}://good.example/" for scheme in REFUSED_SCHEMES.split()],
    ],
)
def test_odd_urls_are_refused_and_not_repaired(url):
    with pytest.raises(InvalidDocument):
        RULES.check_url(url)


@given(st.text(max_size=40))
def test_any_text_after_the_scheme_is_taken_or_refused_but_breaks_nothing(text):
    try:
        parsed = RULES.check_url(f"http://{text}")
    except (AddressNotAllowed, InvalidDocument):
        return
    # What is taken is requested as it was judged.
    assert parsed.url.raw_host == parsed.host
    assert parsed.url.user is None


def test_a_name_without_a_dot_is_judged_by_its_addresses_once_anything_is_allowed():
    EgressRules(allow=read_networks("127.0.0.0/8,::1/128")).check_url("http://localhost:9000/")


async def test_localhost_needs_both_its_addresses_allowed():
    known = names(localhost=["::1", "127.0.0.1"])
    both = EgressRules(allow=read_networks("127.0.0.0/8,::1/128"))
    await both.check_endpoint_url("http://localhost/", lookup=known)
    one = EgressRules(allow=read_networks("127.0.0.0/8"))
    with pytest.raises(AddressNotAllowed, match="::1, a loopback address"):
        await one.check_endpoint_url("http://localhost/", lookup=known)


async def test_a_name_without_a_dot_may_not_lead_to_a_public_address_either():
    rules = EgressRules(allow=read_networks("10.0.0.0/8"))
    await rules.check_endpoint_url("http://erp/", lookup=names(erp=["10.0.0.1"]))
    with pytest.raises(AddressNotAllowed):
        await rules.check_endpoint_url("http://erp/", lookup=names(erp=["10.0.0.1", "8.8.8.8"]))


@pytest.mark.parametrize("found", [["8.8.8.8", "10.0.0.1"], ["10.0.0.1", "8.8.8.8"], ["8.8.8.8", "fd00::1"]])
async def test_at_creation_a_name_with_one_bad_address_is_refused_whole(found):
    with pytest.raises(
        AddressNotAllowed, match=r"erp\.test resolves to .*, a private address\. Use a public one"
    ) as caught:
        await RULES.check_endpoint_url("https://erp.test/", lookup=names(erp_test=found))
    assert caught.value.errors[0].path == "/url"


async def test_at_creation_a_name_that_nobody_knows_yet_is_taken():
    async def unknown(host: str) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    assert (await RULES.check_endpoint_url("https://erp.test/", lookup=unknown)).host == "erp.test"


# Looking names up


async def test_names_are_looked_up_as_the_system_does():
    assert "127.0.0.1" in await lookup.addresses_of("localhost")
    with pytest.raises(socket.gaierror):
        await lookup.addresses_of("no-such-name.invalid")


def test_questions_for_one_name_at_once_share_an_answer_and_later_ones_ask_again():
    asked, go_on = [], threading.Event()

    def slow(host):
        asked.append(host)
        go_on.wait()
        return ["192.0.2.1"]

    questions = Questions(slow)
    first, second, other = questions.ask("slow.test"), questions.ask("slow.test"), questions.ask("other.test")
    assert first is second
    assert other is not first
    go_on.set()
    assert first.result() == other.result() == ["192.0.2.1"]
    assert questions.ask("slow.test").result() == ["192.0.2.1"]
    assert sorted(asked) == ["other.test", "slow.test", "slow.test"]


async def test_giving_up_a_question_leaves_it_to_the_others_who_wait(monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(lookup, "_questions", Questions(lambda host: go_on.wait() and ["192.0.2.1"]))
    given_up = asyncio.create_task(lookup.addresses_of("slow.test"))
    waiting = asyncio.create_task(lookup.addresses_of("slow.test"))
    await asyncio.sleep(0)
    given_up.cancel()
    go_on.set()
    assert await waiting == ["192.0.2.1"]
    assert given_up.cancelled()
