"""The headers of a request, and those an endpoint may add."""

import pytest

from waypost.delivery.headers import HEADERS_MAX, USER_AGENT, build_headers, check_headers
from waypost.delivery.signing import new_secret, sign
from waypost.errors import InvalidDocument

SECRET = new_secret(bytes(range(32)))

REFUSED = """
Host Content-Length Transfer-Encoding Content-Type Content-Encoding User-Agent Connection Keep-Alive Upgrade TE Trailer
Expect Proxy-Authorization Proxy-Connection Cookie webhook-id Webhook-Signature WEBHOOK-ANYTHING waypost-attempt
X-Forwarded-For X-Forwarded-Host Forwarded X-Real-IP Metadata-Flavor Metadata X-aws-ec2-metadata-token
X-aws-ec2-metadata-token-ttl-seconds HTTP2-Settings :authority
X_Forwarded_For Content_Length transfer_encoding Webhook_Id WAYPOST_ATTEMPT X-Real_IP
"""


def built(**changes):
    given = {
        "secrets": [SECRET],
        "message_id": "evt_1",
        "timestamp": 1796134634,
        "body": b"{}",
        "attempt": 3,
        "event_type": "shipment.updated",
    }
    return build_headers(**given | changes)


def test_a_request_carries_the_headers_of_the_standard_and_our_own():
    assert built() == {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "webhook-id": "evt_1",
        "webhook-timestamp": "1796134634",
        "webhook-signature": sign(SECRET, "evt_1", 1796134634, b"{}"),
        "waypost-attempt": "3",
        "waypost-event-type": "shipment.updated",
    }


def test_what_an_endpoint_adds_never_replaces_what_we_say():
    headers = built(extra={"X-Tenant": "7", "Webhook-Id": "evt_forged"})
    assert headers["x-tenant"] == "7"
    assert headers["webhook-id"] == "evt_1"
    assert "Webhook-Id" not in headers


def test_a_name_with_underscores_of_ones_own_may_be_added():
    check_headers({"X_Tenant": "7"})


def test_ordinary_headers_may_be_added():
    check_headers({"X-Tenant": "7", "X-Empty": "", "x-words": "a b\tc", "Authorization": "Bearer abc"})


@pytest.mark.parametrize("name", REFUSED.split())
def test_names_that_belong_to_others_are_refused(name):
    with pytest.raises(InvalidDocument) as caught:
        check_headers({name: "x"})
    assert [error.path for error in caught.value.errors] == [f"/headers/{name}"]


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "ä", " a", "a/b", "a" * 101, "a\x00"])
def test_names_that_are_no_names_are_refused(name):
    with pytest.raises(InvalidDocument):
        check_headers({name: "x"})


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb", "a\x00", " a", "a ", "ä", "a\x7f", "a" * 4097])
def test_values_that_could_become_two_headers_or_be_read_in_two_ways_are_refused(value):
    with pytest.raises(InvalidDocument):
        check_headers({"x-a": value})


def test_every_wrong_header_is_named_at_once():
    with pytest.raises(InvalidDocument) as caught:
        check_headers({"Host": "a", "x/~y": "b", "x-ok": "c", "X-OK": "d"})
    assert [error.path for error in caught.value.errors] == ["/headers/Host", "/headers/x~1~0y", "/headers/X-OK"]


def test_authorization_is_refused_only_beside_auth():
    with pytest.raises(InvalidDocument, match="1 header is wrong"):
        check_headers({"Authorization": "Bearer abc"}, with_auth=True)


def test_number_and_size_are_bounded():
    with pytest.raises(InvalidDocument):
        check_headers({f"x-{number}": "" for number in range(HEADERS_MAX + 1)})
    with pytest.raises(InvalidDocument):
        check_headers({f"x-{number}": "a" * 4000 for number in range(5)})
