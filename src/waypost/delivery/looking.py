"""Looks at an address before anything is sent to it: is it allowed, does it answer, until when is its certificate good.

A connection is opened by the same connector that deliveries use, to the same vetted addresses, and closed again without
a byte of a request.
"""

import asyncio
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

import aiohttp
from msgspec.structs import replace

from waypost.clock import Clock
from waypost.delivery.connector import Exchange, exchange_under_way, target_of
from waypost.delivery.failures import classify
from waypost.delivery.result import AttemptResult, Outcome
from waypost.delivery.sender import NO_TIMEOUT, Sender, timings_of


@dataclass(frozen=True, slots=True)
class Look:
    """What was found: how the connection went, in the terms of an attempt, and the end of the server's certificate.

    The outcome `success` says that a connection stood, with TLS agreed on where the URL asks for it.
    """

    result: AttemptResult
    certificate_ends_at: datetime | None


async def look(sender: Sender, url: str, timeout_s: float, clock: Clock) -> Look:
    """Connect to where `url` leads within `timeout_s` seconds, and hang up.

    Raises InvalidDocument for what is no URL of ours. What the network does is in the result.
    """
    target = target_of(url)
    exchange, started_at, started = Exchange(), clock.now(), monotonic()
    token = exchange_under_way.set(exchange)
    connector, ends_at = sender.open_connector(), None
    outcome: Outcome = "success"
    text: str | None = None
    try:
        async with asyncio.timeout(timeout_s):
            connection = await connector.connect(target, [], NO_TIMEOUT)
        ends_at = _certificate_end(connection.transport)
        connection.close()
    except TimeoutError:
        outcome, text = "timeout", f"no connection within {timeout_s:g} s"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        outcome, text = classify(error, exchange)
    finally:
        exchange_under_way.reset(token)
        await connector.close()
    timings = replace(timings_of(exchange, started, monotonic()), first_byte=None, body=None)
    result = AttemptResult(
        outcome=outcome, started_at=started_at, timings_ms=timings, address=exchange.address, error_text=text
    )
    return Look(result, ends_at)


def _certificate_end(transport: asyncio.Transport | None) -> datetime | None:
    certificate = transport.get_extra_info("peercert") if transport is not None else None
    if not certificate or "notAfter" not in certificate:
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
