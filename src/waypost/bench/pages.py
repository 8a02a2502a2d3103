"""The pages of the dashboard over a long log with many endpoints: how long each takes to be made.

The log is filled as `growth` fills it, spread over four weeks, with endpoints that fare differently: one that takes
everything, some paused since the beginning with the whole log before them, some failing or suspended, and thousands
that rest.
"""

import asyncio
import base64
import shutil
import time
from collections.abc import Mapping
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path

import msgspec

from waypost.bench import growth
from waypost.bench.bench import Bench, rest
from waypost.bench.figures import BenchmarkFailed, Figure, Result, at_most, quantile
from waypost.bench.processes import PATIENCE_S, Service
from waypost.dashboard.cookies import SESSION
from waypost.events.patterns import Wants
from waypost.log import AttemptRow, EndpointRecord, EndpointSettings, EndpointWrite, Log, Request, Standing, Unit, units
from waypost.log.sessions import OPERATOR, Lasting, NewSession, open_session

NAME = "pages"
GOAL_MS = 100
FOUR_WEEKS_MS = 28 * 24 * 3_600_000
GROUP = 200
PAUSED, FAILING, SUSPENDED = 20, 20, 5
SECRET = "whsec_" + base64.b64encode(bytes(32)).decode()
DETAIL = msgspec.json.encode(
    {
        "number": 1, "started_at": "2026-12-01T08:15:00Z", "duration_ms": 100.0, "outcome": "success", "status": 200,
        "address": "127.0.0.1:9", "reused_connection": True,
        "timings_ms": {"dns": None, "connect": None, "tls": None, "first_byte": 99.0, "body": 1.0, "total": 100.0},
        "explanation": "Your server took it.",
        "request": {"method": "POST", "url": "http://127.0.0.1:9/", "headers": {"content-type": "application/json"}},
        "response": {"headers": {"content-type": "text/plain"}, "body": "ok", "truncated": False},
        "verdict": "delivered", "next_attempt_at": None,
    }
)  # fmt: skip

# Every page, by a name for the table. In braces are things of the log: see `_Filled.names`.
WEBHOOKS = "/settings/integrations/webhooks"
PATHS: Mapping[str, str] = {
    "overview, today": "/",
    "overview, 24 hours": "/?window=day",
    "overview, 7 days": "/?window=week",
    "shipments": "/shipments",
    "shipments, searched": "/shipments?q=SO-77",
    "shipment": "/shipments/{shipment}",
    "events": "/events",
    "event": "/events/{event}",
    "intake": "/intake",
    "webhooks": WEBHOOKS,
    "add endpoint": f"{WEBHOOKS}/new",
    "endpoint, busy": f"{WEBHOOKS}/{{busy}}",
    "endpoint, paused with all before it": f"{WEBHOOKS}/{{paused}}",
    "edit endpoint": f"{WEBHOOKS}/{{busy}}/edit",
    "delivery": f"{WEBHOOKS}/{{busy}}/deliveries/{{event}}",
    "event catalogue": "/settings/integrations/catalogue",
    "signature check": "/settings/integrations/signature-check",
    "API tokens": "/settings/account/tokens",
    "people": "/settings/account/people",
    "audit log": "/settings/account/audit",
    "retention": "/settings/account/retention",
}


def run(bench: Bench) -> Result:
    """Fill a log, start the service on it, and look at each page in turn."""
    events, endpoints = bench.sized(1_000_000, 10_000), bench.sized(10_000, 300)
    delivered, rounds = bench.sized(100_000, 1_000), bench.sized(60, 3)
    key = base64.b64encode(bytes(32)).decode()
    with Service(bench.folder / NAME, operator_token=growth.OPERATOR_TOKEN, secret_key=key) as service:
        bench.say(f"pages: filling a log with {events:,} events and {endpoints:,} endpoints")
        filled = bench.folder / "filled"
        filled.mkdir()
        names = asyncio.run(_fill(filled, events, endpoints, delivered))
        service.restart(lambda: _put_in_place(filled, service.folder))
        rest()
        took_ms: dict[str, list[float]] = {name: [] for name in PATHS}
        largest = 0
        for number in range(rounds + 1):
            bench.say(f"pages: round {number} of {rounds}")
            for name, path in PATHS.items():
                ms, size = _look(service.port, path.format_map(names), names["token"])
                largest = max(largest, size)
                if number:  # the first look at each page reads what is remembered afterwards
                    took_ms[name].append(ms)
    everything = [ms for times in took_ms.values() for ms in times]
    return Result(
        NAME,
        "Pages over a long log",
        {
            "log": f"{events:,} events over four weeks, {endpoints:,} endpoints of one account",
            "endpoints": f"one with {delivered:,} deliveries, {PAUSED} paused with the whole log before them, "
            f"{FAILING} failing, {SUSPENDED} suspended, the others at rest",
            "measured": f"from the request to the last byte, one at a time; p95 of {rounds} looks at each page",
        },
        [
            *(Figure(f"{name}, p95", quantile(times, 0.95), "ms", at_most(GOAL_MS)) for name, times in took_ms.items()),
            Figure("all pages, p50", quantile(everything, 0.5), "ms"),
            Figure("largest page, without what it loads", largest / 1000, "KB"),
        ],
    )


def _put_in_place(filled: Path, folder: Path) -> None:
    """Let the service begin with the log that was filled."""
    for old in folder.glob("waypost.db*"):
        old.unlink()
    shutil.move(filled / "waypost.db", folder / "waypost.db")


def _look(port: int, path: str, token: str) -> tuple[float, int]:
    """Fetch a page; give the milliseconds it took and its bytes. Raises BenchmarkFailed unless it is there."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.connect()
        began = time.perf_counter()
        connection.request("GET", path, headers={"cookie": f"{SESSION}={token}"})
        answer = connection.getresponse()
        body = answer.read()
        took_ms = (time.perf_counter() - began) * 1000
    finally:
        connection.close()
    if answer.status != 200:
        raise BenchmarkFailed(f"the page {path} answered {answer.status}")
    return took_ms, len(body)


# -- filling


async def _fill(folder: Path, events: int, endpoints: int, delivered: int) -> dict[str, str]:
    """Make the log; give what the paths name of it, and the token of a session."""
    apart_ms = FOUR_WEEKS_MS * growth.MODEL_SHIPMENTS * 2 // events
    one = await growth.filled(folder, events, apart_ms)
    log = one.log
    try:
        busy = await _make(log, "ERP production", Wants(("shipment.*",)), start=max(one.position - delivered, 0))
        paused = [
            await _make(log, f"Paused {n}", Wants(("shipment.*",)), start="beginning", paused=True)
            for n in range(PAUSED)
        ]
        troubled = [await _make(log, f"In trouble {n}", Wants(("shipment.*",))) for n in range(FAILING + SUSPENDED)]
        await _make_many(log, endpoints - 1 - len(paused) - len(troubled))
        await log.take_leases("bench", 600, endpoints)
        await _deliver(log, busy, one.position)
        await _let_fail(log, troubled)
        await log.release_leases("bench")
        (event,) = await log.events_at(growth.ACCOUNT, [one.position])
        session = NewSession(
            account_id=growth.ACCOUNT, kind="operator", actor=OPERATOR, role="owner", name="operator",
            lasting=Lasting(idle=timedelta(hours=8), life=timedelta(hours=8)),
        )  # fmt: skip
        opened = await log.do(open_session(session, how="benchmark"))
        return {
            "shipment": event.key,
            "event": event.event_id,
            "busy": busy.endpoint_id,
            "paused": paused[0].endpoint_id,
            "token": opened.token,
        }
    finally:
        await log.close()


async def _make(log: Log, name: str, wants: Wants, *, start: str | int = "now", paused: bool = False) -> EndpointRecord:
    return await log.do(_endpoint(name, wants, start=start, paused=paused))


def _endpoint(name: str, wants: Wants, *, start: str | int = "now", paused: bool = False) -> Unit[EndpointRecord]:
    settings = EndpointSettings(url=f"http://127.0.0.1:9/{name.replace(' ', '-')}", description=name)
    return units.create_endpoint(growth.ACCOUNT, settings, wants, secret=SECRET, start=start, paused=paused)


async def _make_many(log: Log, count: int) -> None:
    """Make endpoints that want what does not happen."""
    for start in range(0, count, GROUP):
        some = range(start, min(start + GROUP, count))
        wants = Wants(("shipment.status.delivered",))
        outcomes = await log.do_all([Request(_endpoint(f"At rest {number}", wants)) for number in some])
        if wrong := next((outcome for outcome in outcomes if isinstance(outcome, Exception)), None):
            raise BenchmarkFailed(f"an endpoint was not made: {wrong}")


async def _deliver(log: Log, endpoint: EndpointRecord, end: int) -> None:
    """Let the last events have been delivered a moment after they were recorded."""
    place = endpoint.cursor
    while place < end:
        rows = await log.events_after(growth.ACCOUNT, place, 1000)
        attempts = tuple(
            AttemptRow(
                position=row.position, number=1, event_id=row.event_id, started_at=row.recorded_at + 40_000,
                verdict="delivered", outcome="success", status=200, duration_us=80_000 + row.position % 40_000,
                detail=DETAIL,
            )
            for row in rows
        )  # fmt: skip
        place = rows[-1].position
        await log.persist([_write(endpoint, cursor=place, attempts=attempts)])


async def _let_fail(log: Log, troubled: list[EndpointRecord]) -> None:
    for number, endpoint in enumerate(troubled):
        health = "failing" if number < FAILING else "suspended"
        standing = Standing(health=health, reason="It answered 401 Unauthorized.", since=time.time_ns() // 1000)
        await log.persist([_write(endpoint, standing=standing)])


def _write(endpoint: EndpointRecord, **what: object) -> EndpointWrite:
    return EndpointWrite(account_id=endpoint.account_id, endpoint_id=endpoint.endpoint_id, epoch=1, **what)  # type: ignore[arg-type]
