"""The yardstick: a bare aiohttp loop that posts signed bodies from memory. No database, no order, no retries.

A process of its own, as the service is one. Asked on standard input, a JSON object a line; see processes.Child. Its
argument is a file with one body a line.
"""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from waypost.delivery.signing import new_secret, sign

SECRET = new_secret(bytes(range(32)))
WARM_UP_POSTS = 4  # a connection: opened, and used


async def measure(url: str, bodies: list[tuple[str, str, bytes]], asked: dict[str, Any]) -> dict[str, float]:
    """POST so many times with so many requests in flight. Gives seconds and the CPU seconds of this process."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("Accept", "Accept-Encoding"),
        auto_decompress=False,
    ) as session:
        endless = itertools.cycle(bodies)
        concurrency = asked["concurrency"]
        await _post(session, url, itertools.islice(endless, WARM_UP_POSTS * concurrency), concurrency)
        started, cpu_started = time.perf_counter(), time.process_time()
        await _post(session, url, itertools.islice(endless, asked["posts"]), concurrency)
        return {"elapsed_s": time.perf_counter() - started, "cpu_s": time.process_time() - cpu_started}


async def _post(
    session: aiohttp.ClientSession, url: str, bodies: Iterator[tuple[str, str, bytes]], concurrency: int
) -> None:
    async def one_after_the_other() -> None:
        for event_id, event_type, body in bodies:  # shared: each takes the next one
            timestamp = int(time.time())
            headers = {
                "content-type": "application/json",
                "user-agent": "yardstick/1",
                "webhook-id": event_id,
                "webhook-timestamp": str(timestamp),
                "webhook-signature": sign(SECRET, event_id, timestamp, body),
                "waypost-attempt": "1",
                "waypost-event-type": event_type,
            }
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                await answer.read()
                answer.raise_for_status()

    await asyncio.gather(*(one_after_the_other() for _ in range(concurrency)))


def _read_bodies(path: Path) -> list[tuple[str, str, bytes]]:
    lines = path.read_bytes().splitlines()
    events = [(json.loads(line), line) for line in lines]
    return [(event["id"], event["type"], line) for event, line in events]


def main(url: str, path: Path) -> None:
    """Answer until standard input ends."""
    bodies = _read_bodies(path)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(uvloop.run(measure(url, bodies, json.loads(line)))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
