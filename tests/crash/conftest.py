"""A service that can be killed at named points, and a receiver that outlives it.

Starting one takes a second or two, so the tests of a module share it, each with shipments of its own.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from crash.points import disarm
from crash.promises import Acknowledged
from service_process import Receiver, Service


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crash")


@pytest.fixture(scope="module")
def receiver(folder: Path) -> Iterator[Receiver]:
    receiver = Receiver(folder / "arrivals.jsonl").start()
    yield receiver
    receiver.stop()


@pytest.fixture(scope="module")
def started(folder: Path) -> Iterator[Service]:
    service = Service(folder, patches=["crash.points:install"]).start()
    yield service
    service.kill()


@pytest.fixture
def service(started: Service) -> Service:
    """The service, alive, whatever the test before did to it."""
    assert started.process
    disarm(started.folder)
    if started.process.poll() is not None:
        started.start()
    return started


@pytest.fixture(scope="module")
def endpoint(started: Service, receiver: Receiver) -> str:
    """The path of an endpoint that gets everything, with short waits."""
    settings = {"url": receiver.url, "retry_schedule": [0.1, 0.2, 0.5, 1, 1, 1], "start": "beginning"}
    status, made = started.call("POST", "/v1/endpoints", settings)
    assert status == 201, made
    return f"/v1/endpoints/{made['id']}"


@pytest.fixture(scope="module")
def acknowledged() -> Acknowledged:
    """What was acknowledged to the tests of the module, all in all."""
    return Acknowledged()


def restart(service: Service) -> None:
    """Start a service again that killed itself."""
    assert service.process
    assert service.process.wait(timeout=60) == -9
    disarm(service.folder)
    service.start()
