"""What must not get through: hosts, URLs and headers, by what they try. Their names lead where `NAMES` says."""

from ipaddress import ip_network

from waypost.delivery.egress import EgressRules

# The one address that is allowed here: it stands for a public one, and can be listened on.
ALLOWED = "127.0.0.5"
RULES = EgressRules(allow=(ip_network(f"{ALLOWED}/32"),))

# Hosts, by what they try. Each becomes http://HOST/ and https://HOST:8443/hook.
HOSTS = {
    "loopback, the whole network": "127.0.0.1 127.0.0.0 127.127.127.127 127.255.255.254",
    "this network, which reaches loopback on Linux": "0 0.0.0.0 0.1.2.3",
    "short forms": "127.1 10.1 127.0.1 1.2.3",
    "decimal": "2130706433 3232235777",
    "hexadecimal": "0x7f000001 0x7f.1 0x7f.0.0.0x1 0X7F000001 0xA9FEA9FE",
    "octal": "0177.0.0.1 017700000001 0177.1 08.8.8.8 0251.0376.0251.0376",
    "a trailing dot, or two": "127.0.0.1. 127.0.0.1.. localhost. metadata.google.internal. inside.test.",
    "IPv6 loopback and unspecified": "[::] [::1] [0:0:0:0:0:0:0:1] [0000::1] [::0001]",
    "IPv4 mapped": "[::ffff:127.0.0.1] [::ffff:a9fe:a9fe] [::ffff:7f00:1] [::FFFF:10.0.0.1] [0:0:0:0:0:ffff:a00:1]",
    "IPv4 compatible": "[::7f00:1] [::127.0.0.1] [::a9fe:a9fe]",
    "IPv4 translated": "[::ffff:0:127.0.0.1] [::ffff:0:a00:1]",
    "NAT64": "[64:ff9b::7f00:1] [64:ff9b::a9fe:a9fe] [64:ff9b::10.0.0.1] [64:ff9b:1::a00:1] [64:ff9b:1::808:808]",
    "6to4 and Teredo": "[2002:7f00:1::] [2002:a9fe:a9fe::1] [2002:808:808::1] [2001:0:0:1::1] [2001:0:4136:e378::1]",
    "IPv6 for private use": "[fc00::1] [fd00::1] [fe80::1] [fec0::1]",
    "IPv6 for documentation, tests and discarding": "[2001:db8::1] [3fff::1] [5f00::1] [100::1] [100:0:0:1::1]",
    "IPv6 multicast and unassigned": "[ff02::1] [ff0e::1] [4000::1] [e000::1]",
    "a zone": "[fe80::1%25eth0] [fe80::1%eth0] [::1%251]",
    "IPv4 for private use": "10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 100.64.0.1 100.127.255.255",
    "IPv4 that is link-local": "169.254.0.1 169.254.255.255",
    "IPv4 for protocols, documentation and benchmarks": (
        "192.0.0.1 192.0.0.8 192.0.0.170 192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1"
    ),
    "IPv4 multicast, reserved and broadcast": "224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.254 255.255.255.255",
    "metadata servers": (
        "169.254.169.254 169.254.170.2 169.254.170.23 [fd00:ec2::254] 100.100.100.200 168.63.129.16 192.0.0.192 "
        "metadata.google.internal METADATA.Google.Internal metadata.goog"
    ),
    "names without a dot": "localhost ip6-localhost db LOCALHOST erp",
    "names that lead inside": "localtest.test 127.0.0.1.wildcard.test inside.test inside.test.",
    "names that lead to the metadata server": "a.wildcard-to-metadata.test",
    "names of a chain that ends inside": "chain.test",
    "one bad address among good ones": "good-then-bad.test bad-then-good.test four-good-one-bad.test",
    "a good IPv4 and a bad IPv6 address": "bad-six.test loopback-six.test mapped-six.test",
    "letters and digits that look like others": (
        "①②⑦.⓪.⓪.① １２７.0.0.1 127。0。0。1 127．0．0．1 ⓛⓞⓒⓐⓛⓗⓞⓢⓣ 𝟏𝟐𝟕.0.0.1 inside。test ｉｎｓｉｄｅ.test "
        "local\u00adhost"
    ),
    "percent signs": (
        "exam%70le.com 127.0.0.1%00.good.test %31%32%37.0.0.1 good.test%2f@inside.test good.test%23.inside.test"
    ),
    "user names": "good@127.0.0.1 127.0.0.1:80:@good.test :@good.test good.test:80@inside.test @good.test",
    "two hosts": "good.test#@inside.test good.test?@inside.test good.test\\@inside.test good.test;@inside.test",
    "ports": "good.test:0 good.test:65536 good.test: good.test:0x50 good.test:８０ good.test:80:80 good.test:-1",
    "no names": (
        "a..b .a -a.example [1:2] [v1.a] [::1 ::1 a]b good.test\u200b good.test\u3002\u3002 *.good.test a,b.test"
    ),
}

SCHEMES = """
file ftp gopher dict ldap ldaps jar data unix http+unix ws wss javascript httpx netdoc tftp FILE fTp view-source sftp
ssh telnet https+http
"""

# Whole URLs, by what they try.
URLS = {
    "odd slashes": (
        "http:127.0.0.1 http:/127.0.0.1 http:///127.0.0.1 http:////127.0.0.1 //127.0.0.1 hTTp:/\\127.0.0.1 "
        "http:\\\\127.0.0.1 http:/\\/127.0.0.1 /hook good.test"
    ),
    "schemes": " ".join(f"{scheme}://good.test/" for scheme in SCHEMES.split()),
    "schemes without a host": "file:///etc/passwd data:text/plain,a javascript:alert(1) jar:http://good.test!/",
    "fragments": "http://good.test/#@inside.test http://good.test/#",
}
NOT_SPLIT_AT_BLANKS = (
    "", " ", "http://", "https://", "http://good.test /", " http://good.test/", "http://good.test/\n",
    "http://good.test/ a", "http://good.test\r\nhost: inside.test/", "http://good.test/\0",
    "http://inside.test\0.good.test/", "http://good.test\t/",
    "http://good.test\u2028/", "http://good\u00a0.test/", "http://good.test/\x85", "https://good.test/" + "a" * 2048,
)  # fmt: skip

NAMES = {
    "good.test": [ALLOWED],
    "db": ["10.0.0.7"],
    "erp": ["8.8.8.8"],
    "localhost": ["::1", "127.0.0.1"],
    "ip6-localhost": ["::1"],
    "localtest.test": ["127.0.0.1"],
    "127.0.0.1.wildcard.test": ["127.0.0.1"],
    "a.wildcard-to-metadata.test": ["169.254.169.254"],
    "inside.test": ["10.0.0.7"],
    "chain.test": ["192.168.7.7"],
    "good-then-bad.test": [ALLOWED, "10.0.0.7"],
    "bad-then-good.test": ["10.0.0.7", ALLOWED],
    "four-good-one-bad.test": [ALLOWED, "8.8.8.8", "1.1.1.1", "2a00:1450::1", "127.0.0.1"],
    "bad-six.test": [ALLOWED, "fd00::7"],
    "loopback-six.test": [ALLOWED, "::1"],
    "mapped-six.test": [ALLOWED, "::ffff:10.0.0.7"],
    "metadata.google.internal": [ALLOWED],  # refused by its name, wherever it leads
    "metadata.goog": [ALLOWED],
}

METADATA_ALONE = (
    "169.254.169.254/32", "169.254.170.2/32", "169.254.170.23/32", "100.100.100.200/32", "168.63.129.16/32",
    "192.0.0.192/32", "fd00:ec2::254/128",
)  # fmt: skip

REFUSED: tuple[tuple[str, str], ...] = (
    *((what, f"http://{host}/") for what, hosts in HOSTS.items() for host in hosts.split()),
    *(
        (what, f"https://{host}:8443/hook")
        for what, hosts in HOSTS.items()
        for host in hosts.split()
        if what != "ports"
    ),
    *((what, url) for what, urls in URLS.items() for url in urls.split()),
    *(("blanks and control characters", url) for url in NOT_SPLIT_AT_BLANKS),
)
GOOD = (
    f"http://{ALLOWED}/", f"http://[::ffff:{ALLOWED}]/", "http://good.test/", "http://good.test.:8080/hook?a=b@c",
    "HTTP://GOOD.TEST/", "https://8.8.8.8/", "https://[2a00:1450::1]/", "https://nobody-knows-it-yet.example/hook",
)  # fmt: skip

HEADERS = {
    "where a request goes": (
        "Host :authority X-Forwarded-Host X-Forwarded-For X-Forwarded-Proto Forwarded X-Original-URL X-Rewrite-URL"
    ),
    "where it ends": "Content-Length Transfer-Encoding Trailer TE",
    "the connection": "Connection Keep-Alive Upgrade Proxy-Authorization Proxy-Connection Expect HTTP2-Settings",
    "what metadata servers ask for": "Metadata-Flavor Metadata X-aws-ec2-metadata-token X-Google-Metadata-Request",
    "what we say ourselves": "webhook-id Webhook-Signature waypost-attempt Content-Type User-Agent Content-Encoding",
    "what everybody would share": "Cookie",
}
HEADER_NAMES_NOT_SPLIT_AT_BLANKS = ("x a", "x-a ", " x-a", "x-a:", "x-a\r\nhost", "x\0", "x-ä", "", "x" * 101, "host ")
HEADER_VALUES = ("a\r\nhost: inside.test", "a\nb", "a\rb", "a\0b", "a\x7f", "\ta", "a ", "ä", "a" * 4097)
