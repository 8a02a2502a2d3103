"""Looking at an address before anything is sent to it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from delivery.receivers import LOOPBACK_ALLOWED, Authority, answer, names, receiving, silent_listener
from waypost.clock import SystemClock
from waypost.delivery.egress import EgressRules
from waypost.delivery.looking import Look, look
from waypost.delivery.sender import Sender
from waypost.errors import InvalidDocument


async def looked_at(url: str, rules: EgressRules = LOOPBACK_ALLOWED, timeout_s: float = 5) -> Look:
    sender = Sender(rules)
    try:
        return await look(sender, url, timeout_s, SystemClock())
    finally:
        await sender.close()


async def test_an_address_that_takes_connections_is_reachable_and_is_sent_nothing() -> None:
    async with receiving(answer()) as receiver:
        found = await looked_at(receiver.url)
    assert (found.result.outcome, found.result.address) == ("success", "127.0.0.1")
    assert found.result.timings_ms.connect is not None
    assert (receiver.heads, found.certificate_ends_at) == ([], None)


async def test_an_address_that_is_not_allowed_is_not_connected_to() -> None:
    async with receiving(answer()) as receiver:
        found = await looked_at(receiver.url, EgressRules())
    assert found.result.outcome == "address_not_allowed"
    assert found.result.error_text is not None


async def test_what_no_url_can_be_is_refused() -> None:
    with pytest.raises(InvalidDocument):
        await looked_at("ftp://erp.example/hooks")


async def test_the_end_of_a_certificate_is_told(authority: Authority, tmp_path: Path) -> None:
    sender = Sender(LOOPBACK_ALLOWED, extra_ca_pem=authority.pem, lookup=names(erp_test=["127.0.0.1"]))
    async with receiving(answer(), tls=authority.server(tmp_path, "erp.test")) as receiver:
        found = await look(sender, f"https://erp.test:{receiver.port}/", 5, SystemClock())
    await sender.close()
    assert found.result.outcome == "success"
    assert found.certificate_ends_at is not None
    assert found.certificate_ends_at > datetime.now(UTC)


async def test_a_certificate_that_has_expired_is_named(authority: Authority, tmp_path: Path) -> None:
    sender = Sender(LOOPBACK_ALLOWED, extra_ca_pem=authority.pem, lookup=names(erp_test=["127.0.0.1"]))
    async with receiving(answer(), tls=authority.server(tmp_path, "erp.test", expired=True)) as receiver:
        found = await look(sender, f"https://erp.test:{receiver.port}/", 5, SystemClock())
    await sender.close()
    assert (found.result.outcome, "expired" in (found.result.error_text or "")) == ("tls", True)


async def test_looking_ends_in_time() -> None:
    with silent_listener("127.0.0.1") as port:
        found = await looked_at(f"https://127.0.0.1:{port}/", timeout_s=0.2)
    assert found.result.outcome == "timeout"
