"""What `waypost serve` is made of, wired together in one place.

One process, one event loop: granian takes the requests, the API hands reports to the log's writer thread, and the
worker follows the log and delivers. Nothing here decides anything.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import msgspec
import structlog
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from prometheus_client import CollectorRegistry, Gauge

from waypost.api.app import create_app
from waypost.api.services import Found, Services
from waypost.api.shapes import Attempt, TestResult
from waypost.clock import Clock, IdSource, SystemClock
from waypost.dashboard.app import create_dashboard
from waypost.delivery.attempt import detail
from waypost.delivery.dispatch import Dispatcher
from waypost.delivery.egress import EgressRules
from waypost.delivery.explain import explain
from waypost.delivery.looking import look
from waypost.delivery.message import BATCH_TYPE, Message, Part
from waypost.delivery.result import SendRequest
from waypost.delivery.sender import Sender
from waypost.delivery.worker import Worker
from waypost.entering import FirstLink, entrance_of, first_link
from waypost.events import CATALOGUE, test_event
from waypost.events.own_types import own_test_event
from waypost.ids import AccountId, EndpointId, EventId
from waypost.log import Committed, Log
from waypost.log.database import database_sockets
from waypost.secret_files import OperatorToken, open_operator_token, open_secret_key
from waypost.settings import LogFormat, Settings, SettingsError
from waypost.upkeep.running import Upkeep

logger = structlog.get_logger(__name__)

BACKLOG = 1024
LOOK_S_MAX = 5.0  # for an address that is being typed
OPEN_REQUESTS_S_MAX = 3  # after SIGTERM, for requests to end
HEADERS_BYTES_MAX = 64 * 1024


async def run_service(
    settings: Settings, *, ready: Callable[[OperatorToken, FirstLink | None], None] | None = None
) -> None:
    """Serve API and delivery until SIGTERM, SIGINT or cancellation; then end in good order.

    `ready` is called once requests are answered, with the operator's token and, while nobody can sign in, a link for
    the first owner. Raises SettingsError when the address cannot be listened on, and DatabaseProblem when the database
    cannot be used.
    """
    configure_logging(settings.log_format)
    _check_address_is_free(settings.host, settings.port)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with open_log(settings) as (log, token), _delivering(settings, log) as (services, deliveries):
        app = create_app(services)
        providers = Sender(services.egress)
        app.show_pages(create_dashboard(app.inside, entrance_of(settings, providers)))
        server = _server(settings, app)
        serving = asyncio.create_task(server.serve())
        stopping = asyncio.create_task(stop.wait())
        try:
            await _answering(settings, serving)
            if ready:
                ready(token, await first_link(log, settings.public_url))
            await asyncio.wait({serving, stopping, deliveries}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            app.close()
            server.stop()  # type: ignore[no-untyped-call]
            with contextlib.suppress(asyncio.CancelledError, TimeoutError):
                await serving
            await providers.close()


@asynccontextmanager
async def open_log(settings: Settings) -> AsyncIterator[tuple[Log, OperatorToken]]:
    """Open the log of these settings for writing, its secrets made at the first start; close it at the end.

    SQLite is brought to this version, after a copy beside itself; PostgreSQL must have been by `waypost migrate`.
    Raises DatabaseProblem when the database cannot be used as it is.
    """
    key = open_secret_key(settings)
    log = await Log.open(
        settings.database_url, key=key, clock=SystemClock(), ids=IdSource(), migrate=settings.is_sqlite
    )
    try:
        token = open_operator_token(settings)
        await log.ensure_operator(token.text)
        yield log, token
    finally:
        await log.close()


class Deliveries:
    """The delivery side as the API drives it."""

    def __init__(
        self,
        log: Log,
        worker: Worker,
        sender: Sender,
        dispatcher: Dispatcher,
        clock: Clock,
        ids: IdSource,
        upkeep: Upkeep,
    ) -> None:
        self._log = log
        self._worker = worker
        self._sender = sender
        self._dispatcher = dispatcher
        self._clock = clock
        self._ids = ids
        self._upkeep = upkeep

    def endpoint_changed(self, account_id: AccountId, endpoint_id: EndpointId) -> None:
        """Take in that an endpoint was made, changed, paused, resumed or deleted, or that a resend is asked for."""
        self._worker.endpoint_changed(account_id, endpoint_id)

    async def send_test(self, account_id: AccountId, endpoint_id: EndpointId, event_type: str | None) -> TestResult:
        """Send a test event now, whatever state the endpoint is in. It is in no log and changes no health."""
        endpoint = await self._log.get_endpoint(account_id, endpoint_id)
        settings = endpoint.settings
        now = self._clock.now()
        event_id = EventId(self._ids.new("evt_test_", now))
        body = await self._test_body(account_id, endpoint_id, event_type, event_id, now)
        message = Message(event_id, event_type or "webhook.test", (Part(body),))
        if settings.format == "batch":
            message = Message(f"bat_{event_id}-1", BATCH_TYPE, message.parts, is_batch=True)
        sent = await self._dispatcher.send(endpoint, message, number=1)
        request, result = sent.request, sent.result
        if request is None:  # it did not come to one: there was no access token
            request = SendRequest(
                url=settings.url, headers={}, body=b"", timeout_s=settings.timeout_seconds, pool_key=""
            )
        explanation = explain(result, settings.timeout_seconds)
        shown = detail(
            request, result, number=1, explanation=explanation, own=sent.hidden,
            body=request.body.decode("utf-8", "replace"),
        )  # fmt: skip
        delivered = result.outcome == "success"
        return TestResult(
            verdict="delivered" if delivered else "failed",
            explanation=explanation,
            event_id=event_id,
            attempt=msgspec.json.decode(shown, type=Attempt),
        )

    async def _test_body(
        self, account_id: AccountId, endpoint_id: EndpointId, event_type: str | None, event_id: EventId, now: datetime
    ) -> bytes:
        """The example of a type of the catalogue, or of the account's own, marked as a test."""
        if event_type is not None and event_type not in CATALOGUE:
            own = await self._log.find_own_type(account_id, event_type)
            if own is not None and own.example is not None:
                return own_test_event(own, account_id=account_id, endpoint_id=endpoint_id, event_id=event_id, now=now)
        return test_event(event_type, account_id=account_id, endpoint_id=endpoint_id, event_id=event_id, now=now)

    async def look_at(self, url: str) -> Found:
        """Connect to where `url` leads, without sending anything."""
        seen = await look(self._sender, url, LOOK_S_MAX, self._clock)
        outcome = seen.result.outcome
        return Found(
            is_allowed=outcome != "address_not_allowed",
            address=seen.result.address,
            duration_ms=seen.result.timings_ms.total,
            certificate_ends_at=seen.certificate_ends_at,
            explanation=None if outcome == "success" else explain(seen.result, LOOK_S_MAX),
        )

    def ready(self) -> bool:
        """Whether delivery works, and what is done beside it."""
        return self._worker.ready() and self._upkeep.ready()


@asynccontextmanager
async def _delivering(settings: Settings, log: Log) -> AsyncIterator[tuple[Services, asyncio.Task[None]]]:
    """Run the worker beside, and give what the API stands on; end the worker in good order."""
    clock, ids = SystemClock(), IdSource()
    egress = EgressRules(allow=settings.egress_allow, own=own_sockets(settings))
    sender = Sender(egress)
    dispatcher = Dispatcher(sender, clock)
    owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    worker = Worker(log, dispatcher, clock, ids, owner=owner)
    registry = CollectorRegistry()
    _measure(worker, registry)
    log.on_commit(lambda committed: _tell(worker, committed))
    upkeep = Upkeep(settings, log, clock, worker.events_rewritten)
    log.on_commit(upkeep.committed)
    running, tending = asyncio.create_task(worker.run()), asyncio.create_task(upkeep.run())
    try:
        yield (
            Services(
                log=log,
                clock=clock,
                egress=egress,
                delivery=Deliveries(log, worker, sender, dispatcher, clock, ids, upkeep),
                registry=registry,
                public_url=settings.public_url,
                metrics_public=settings.metrics_public,
                token_rate_per_minute=settings.api_rate_per_minute,
            ),
            running,
        )
    finally:
        for task in (tending, running):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _tell(worker: Worker, committed: Committed) -> None:
    for account_id, positions in committed.erased.items():
        worker.events_rewritten(account_id, positions)
    for account_id, endpoint_id in committed.endpoints:
        worker.endpoint_changed(account_id, endpoint_id)
    worker.log_grew(committed.accounts)


def _measure(worker: Worker, registry: CollectorRegistry) -> None:
    endpoints = Gauge("waypost_endpoints_held", "Endpoints this process delivers to.", registry=registry)
    endpoints.set_function(lambda: worker.endpoints)
    in_flight = Gauge("waypost_attempts_in_flight", "Attempts that are out.", registry=registry)
    in_flight.set_function(lambda: worker.in_flight)


def own_sockets(settings: Settings) -> frozenset[tuple[str, int]]:
    """Give the sockets that webhooks must never reach: ours and the database's, as (host, port)."""
    own = {(settings.host, settings.port)}
    if not settings.is_sqlite:
        own |= database_sockets(settings.database_url)
    return frozenset(own)


def _server(settings: Settings, app: object) -> Server:
    server = Server(
        app,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(max_buffer_size=HEADERS_BYTES_MAX * 8),
        backlog=BACKLOG,
        websockets=False,
        log_enabled=False,
        log_access=False,
    )
    # Without it a client that never ends its request would hold the stop up for as long as it likes.
    server.workers_kill_timeout = OPEN_REQUESTS_S_MAX
    return server


def _check_address_is_free(host: str, port: int) -> None:
    """Refuse an address in use in one sentence; granian would end the process with a traceback."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = error.strerror or str(error)
            raise SettingsError(f"{host}:{port} cannot be listened on: {reason}. Choose another --port.") from error


async def _answering(settings: Settings, serving: "asyncio.Task[None]") -> None:
    """Wait until the server takes connections."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - compared, not bound
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection(host, settings.port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        writer.close()
        return
    serving.result()


def configure_logging(log_format: LogFormat) -> None:
    """Write log lines to standard error: one event a line, escaped, with its fields; `json` for machines."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if log_format == "json":
        tail: list[structlog.typing.Processor] = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    else:
        tail = [
            structlog.dev.ConsoleRenderer(
                # The usual tracebacks show local variables, and with them secrets and personal data.
                colors=sys.stderr.isatty(),
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    structlog.configure(
        processors=shared + tail,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
