"""The HTTP application: one router, and each operation behind one and the same door.

The door is lean because every shipment report passes through it: a request id, the token, the handler, the answer.
Nothing is decoded before the handler asks for it.
"""

import re
import secrets
from collections.abc import Awaitable, Callable, Iterable
from itertools import count

import structlog

from waypost.api import (
    accounts,
    bulk,
    deliveries,
    endpoints,
    event_types,
    events,
    intake,
    keys,
    links,
    own_events,
    probes,
    replays,
    shipments,
    sources,
)
from waypost.api.admission import admit
from waypost.api.call import Call, ClientGone
from waypost.api.documentation import Documentation
from waypost.api.inside import Inside
from waypost.api.metrics import ApiMetrics
from waypost.api.once import answer_refusal
from waypost.api.operations import Operation
from waypost.api.problems import internal_error, method_not_allowed, problem_reply, unknown_path
from waypost.api.reply import Answerable, Receive, Scope, Send
from waypost.api.router import Router
from waypost.api.services import Services
from waypost.api.shared import Shared
from waypost.errors import CallerError

OPERATIONS: tuple[Operation, ...] = tuple(
    operation
    for table in (
        shipments.TABLE,
        bulk.TABLE,
        events.TABLE,
        event_types.TABLE,
        own_events.TABLE,
        endpoints.TABLE,
        keys.TABLE,
        deliveries.TABLE,
        replays.TABLE,
        accounts.TABLE,
        links.TABLE,
        sources.TABLE,
        intake.TABLE,
        probes.TABLE,
    )
    for operation in table.operations
)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")

log = structlog.get_logger()


class Door:
    """Runs one operation as an ASGI application: whatever happens inside, one answer goes out."""

    __slots__ = ("_metrics", "_operation", "_shared")

    def __init__(self, shared: Shared, metrics: ApiMetrics, operation: Operation) -> None:
        self._shared = shared
        self._metrics = metrics
        self._operation = operation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        clock = self._shared.services.clock
        started = clock.monotonic()
        request_id: str = scope["waypost.request_id"]
        call = Call(self._shared, self._operation, scope, receive, request_id)
        try:
            reply = await self._answer(call)
            await _send(reply, call, send)
        except ClientGone:
            return
        duration_s = clock.monotonic() - started
        self._metrics.count(self._operation, reply.status, duration_s)

    async def _answer(self, call: Call) -> Answerable:
        try:
            try:
                await admit(call)
                call.read_queries()
                return await self._operation.handler(call)
            except CallerError as error:
                return await answer_refusal(call, error)
        except CallerError as error:
            return problem_reply(error, call.request_id)
        except ClientGone:
            raise
        except Exception:
            log.exception("request_failed", operation=self._operation.name, request_id=call.request_id)
            return problem_reply(internal_error(), call.request_id)


async def _send(reply: Answerable, call: Call, send: Send) -> None:
    head: bool = call.scope.get("waypost.head", False)
    try:
        await reply.send(call.receive, send, request_id=call.request_id.encode(), head=head)
    except ClientGone:
        raise
    except Exception:
        log.exception("answer_broke_off", operation=call.operation.name, request_id=call.request_id)


Pages = Callable[[Scope, Receive, Send], Awaitable[None]]


class Application:
    """The whole HTTP surface as one ASGI application."""

    def __init__(self, services: Services) -> None:
        # Drawing random bits for each request would let go of the interpreter's lock each time, which costs more than
        # the rest of the request while the log's writer is busy. One draw for the run and a count name it as well.
        self._run_id = secrets.token_hex(8)
        self._numbers = count(1)
        self._shared = shared = Shared(services)
        self._metrics = metrics = ApiMetrics(services.registry)
        metrics.watch_streams(lambda: self.streams)
        self.documentation = Documentation(OPERATIONS, services.public_url)
        self.operations = (*OPERATIONS, *self.documentation.table.operations)
        self.inside = Inside(shared, self.operations)
        self._pages: Pages | None = None
        self._router = Router(
            (operation.method, operation.path, Door(shared, metrics, operation)) for operation in self.operations
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one request: give it an id, and open the door its method and path lead to."""
        assert scope["type"] == "http", scope["type"]  # websockets and lifespan are off
        scope["waypost.request_id"] = request_id = self._request_id(scope["headers"])
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        doors, scope["path_params"] = self._router.find(raw_path.partition(b"?")[0].decode("latin-1"))
        method = scope["method"]
        if method == "HEAD" and "GET" in doors:
            method = "GET"
            scope["waypost.head"] = True
        door = doors.get(method)
        if not doors and self._pages is not None and not raw_path.startswith(b"/v1/"):
            await self._pages(scope, receive, send)
            return
        if door is None:
            refusal = method_not_allowed(scope["method"], list(doors)) if doors else unknown_path()
            self._metrics.count_unrouted(refusal.status)
            head = scope["method"] == "HEAD"
            reply = problem_reply(refusal, request_id)
            await reply.send(receive, send, request_id=request_id.encode(), head=head)
            return
        await door(scope, receive, send)

    def show_pages(self, pages: Pages) -> None:
        """Let `pages` answer what is no operation and not below /v1."""
        self._pages = pages

    @property
    def streams(self) -> int:
        """How many clients follow the log of some account now."""
        return self._shared.tails.streams

    def close(self) -> None:
        """End every stream of events, so that the server can stop."""
        self._shared.tails.close()

    def _request_id(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        for name, value in headers:
            if name == b"x-request-id":
                given = value.decode("latin-1")
                if _REQUEST_ID.fullmatch(given):
                    return given
        return f"req_{self._run_id}{next(self._numbers):08x}"


def create_app(services: Services) -> Application:
    """Give the ASGI application that serves the API with these `services`."""
    return Application(services)
