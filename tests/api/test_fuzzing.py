"""Schemathesis calls every operation with what the OpenAPI document allows, and with what it does not."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
from hypothesis import HealthCheck, settings
from prometheus_client import CollectorRegistry
from schemathesis.checks import load_all_checks

from api.asgi_client import OPERATOR_TOKEN, Client
from api.conftest import QuietDelivery
from api.test_over_the_wire import free_port
from waypost.api.app import OPERATIONS, create_app
from waypost.api.openapi import openapi_document
from waypost.api.services import Services
from waypost.clock import IdSource, SystemClock
from waypost.delivery.egress import EgressRules
from waypost.log import Log

load_all_checks()

# A stream does not end, so it has tests of its own.
ENDLESS = "/v1/events/stream"
# A number is taken where the schema of a shipment says a decimal string, and bulk answers line by line.
LENIENT = ("/v1/shipments", "/v1/bulk")

ALWAYS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)

document = openapi_document(OPERATIONS, "http://waypost.test")
del document["paths"][ENDLESS]
for methods in document["paths"].values():
    for operation in methods.values():
        # Nearly every drawn account is unknown, and the call would go no further.
        operation["parameters"] = [known for known in operation["parameters"] if known["name"] != "Waypost-Account"]
schema = schemathesis.openapi.from_dict(document)


def checks_of(path: str, *, as_drawn: bool) -> list[schemathesis.CheckFunction]:
    """The checks that hold for calls to a path; what was drawn wrong on purpose has to be refused."""
    names = [*ALWAYS, "unsupported_method"]
    names += ["negative_data_rejection"] if as_drawn and not path.startswith(LENIENT) else []
    return schemathesis.checks.CHECKS.get_by_names(names)


class Service:
    """The application behind the real server, on a loop in a thread of its own, with one of everything in it."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.ids: dict[str, str] = {}
        self._folder = folder
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Service":
        self._thread.start()
        assert self._started.wait(20)
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:  # noqa: BLE001 - raised again where the service is used
            self._failure = error
        finally:
            self._started.set()
            self._loop.close()

    async def _serve(self) -> None:
        clock, ids = SystemClock(), IdSource()
        url = f"sqlite:///{self._folder / 'waypost.db'}"
        log = await Log.open(url, key=bytes(32), clock=clock, ids=ids, migrate=True)
        await log.ensure_operator(OPERATOR_TOKEN)
        app = create_app(
            Services(
                log=log,
                clock=clock,
                egress=EgressRules(allow=(ip_network("192.0.2.0/24"),)),
                delivery=QuietDelivery(),
                registry=CollectorRegistry(),
                public_url="http://waypost.test",
            )
        )
        await self._fill(Client(app))
        server = Server(
            app,
            address="127.0.0.1",
            port=self.port,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            log_enabled=False,
        )
        serving = asyncio.create_task(server.serve())
        self._started.set()
        await self._stop.wait()
        server.stop()
        with suppress(asyncio.CancelledError):
            await serving
        await log.close()

    async def _fill(self, api: Client) -> None:
        shipment = (await api.call("PUT", "/v1/shipments/SO-1", {})).json()
        endpoint = (await api.call("POST", "/v1/endpoints", {"url": "https://192.0.2.1/", "start": "beginning"})).json()
        source = (await api.call("POST", "/v1/sources", {"kind": "easypost", "name": "x", "secret": "y"})).json()
        self.ids = {
            "reference": "SO-1",
            "event_id": shipment["events"][0]["id"],
            "token_id": "tok_9",
            "type": "shipment.created",
            "/v1/endpoints": endpoint["id"],
            "/v1/sources": source["id"],
            "/v1/events": shipment["events"][0]["id"],
            "/v1/intake": source["id"],
            "/v1/accounts": "default",
        }

    def known(self, path: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """The same parameters with ids that exist."""
        resource = "/".join(path.split("/")[:3])
        return {name: self.ids.get(name) or self.ids[resource] for name in parameters}


@schemathesis.serializer("application/x-ndjson")
def as_lines(_context: schemathesis.SerializationContext, value: Any) -> bytes:
    """A body of lines is sent as it was drawn; anything else is one line of JSON."""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else json.dumps(value).encode()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service, for all operations."""
    with Service(tmp_path_factory.mktemp("fuzzing")) as service:
        yield service


@schema.parametrize()
@settings(max_examples=25, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_every_operation_keeps_its_word(case: schemathesis.Case, service: Service) -> None:
    # Half of the calls go to things that exist; the other half to whatever was drawn.
    path, drawn = case.operation.path, case.path_parameters
    if drawn and sum(map(len, map(str, drawn.values()))) % 2:
        case.path_parameters = service.known(path, drawn)
    checks = checks_of(path, as_drawn=case.path_parameters == drawn)
    headers = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
    case.call_and_validate(base_url=f"http://127.0.0.1:{service.port}", headers=headers, checks=checks, timeout=20)
