"""The HTTP application: Litestar routes, each operation runs behind one and the same door.

The door is lean because every shipment report passes through it: a request id, the token, the handler, the answer.
Nothing is decoded before the handler asks for it.
"""

import re
import secrets
from collections.abc import Iterable
from itertools import count
from typing import Any

import structlog
from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.types import Receive, Scope, Send

from waypost.api import (
    accounts,
    bulk,
    deliveries,
    endpoints,
    event_types,
    events,
    intake,
    not_yet,
    probes,
    shipments,
    sources,
)
from waypost.api.admission import admit
from waypost.api.call import Call, ClientGone
from waypost.api.documentation import Documentation
from waypost.api.metrics import ApiMetrics
from waypost.api.once import answer_refusal
from waypost.api.operations import Operation
from waypost.api.problems import from_framework, internal_error, problem_reply
from waypost.api.reply import FIXED_HEADERS, Answerable
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
        endpoints.TABLE,
        deliveries.TABLE,
        accounts.TABLE,
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
        request_id: str = scope["waypost.request_id"]  # type: ignore[typeddict-item]
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
                call.check_queries()
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
    head: bool = call.scope.get("waypost.head", False)  # type: ignore[assignment]
    try:
        await reply.send(call.receive, send, request_id=call.request_id.encode(), head=head)
    except Exception:
        log.exception("answer_broke_off", operation=call.operation.name, request_id=call.request_id)


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
        operations = (*OPERATIONS, *self.documentation.table.operations, *not_yet.OPERATIONS)
        self.router = Litestar(
            route_handlers=[_route(Door(shared, metrics, operation), operation) for operation in operations],
            exception_handlers={Exception: self._refuse},
            openapi_config=None,  # ours is made from the table of operations
            logging_config=None,
            debug=False,
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Take one connection: put the path as it was sent before the router, and give the request an id."""
        if scope["type"] == "http":
            scope["waypost.request_id"] = self._request_id(scope["headers"])
            raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
            # A reference may hold an encoded slash, so the path is cut into parts before it is decoded. The router
            # takes several slashes for one; a path with an empty part is nobody's.
            scope["path"] = "/no-empty-parts" if b"//" in raw_path else raw_path.partition(b"?")[0].decode("latin-1")
            if scope["method"] == "HEAD":
                scope["method"], scope["waypost.head"] = "GET", True
        await self.router(scope, receive, send)

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

    def _refuse(self, request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        """Answer for what fails before a door is reached."""
        request_id: str = request.scope["waypost.request_id"]  # type: ignore[typeddict-item]
        if isinstance(error, HTTPException):
            head = request.scope.get("waypost.head", False)
            problem = from_framework(error, "HEAD" if head else request.scope["method"])
        else:
            log.error("routing_failed", request_id=request_id, exc_info=error)
            problem = internal_error()
        self._metrics.count_unrouted(problem.status)
        reply = problem_reply(problem, request_id)
        headers = [*FIXED_HEADERS, (b"x-request-id", request_id.encode()), *reply.headers]
        return Response(
            reply.body,
            status_code=reply.status,
            media_type=reply.content_type.decode(),
            headers={name.decode(): value.decode() for name, value in headers},
        )


def _route(door: Door, operation: Operation) -> HTTPRouteHandler:
    """Give the router's handler: it only hands out the door, which then reads and answers by itself."""

    async def open_door() -> Door:
        return door

    path = re.sub(r"\{(\w+)\}", r"{\1:str}", operation.path)
    return HTTPRouteHandler(path, http_method=[operation.method], name=operation.name, status_code=200)(open_door)


def create_app(services: Services) -> Application:
    """Give the ASGI application that serves the API with these `services`."""
    return Application(services)
