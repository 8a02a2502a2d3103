"""A disk that is full while reports are accepted and while attempts are written down.

It is a small file system in memory, mounted for the test, so it needs root and a system that allows it. What a failed
fsync does cannot be brought about without a block device of our own: see the commits that fail in tests/log.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from crash.promises import Acknowledged, check_all, put, wait_until_settled
from service_process import OPERATOR_TOKEN, Receiver, Service, wait_for

pytestmark = pytest.mark.xdist_group("full disk")

SIZE_MIB = 24
PIECE = 64 * 1024
ROOM = 512 * 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"this machine does not let us mount a small file system: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    receiver = Receiver(tmp_path / "arrivals.jsonl", gate=tmp_path / "gate").start()
    yield receiver
    receiver.stop()


@pytest.fixture
def service(tmp_path: Path, disk: Path) -> Iterator[Service]:
    service = Service(tmp_path, environment={"WAYPOST_DATA_DIR": str(disk)}).start()
    yield service
    service.kill()


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Fill the disk but for the room of a few reports, and free it again."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        size = PIECE
        while size:
            try:
                file.write(b"\0" * size)
            except OSError:
                size //= 2
        file.truncate(file.tell() - ROOM)
    yield
    ballast.unlink()


def add_endpoint(service: Service, receiver: Receiver) -> str:
    status, made = service.call("POST", "/v1/endpoints", {"url": receiver.url})
    assert status == 201, made
    return f"/v1/endpoints/{made['id']}"


def put_until_refused(service: Service, acknowledged: Acknowledged) -> dict[str, str]:
    """Report shipments until the disk takes no more; give the headers of the refusal."""
    sent = {"authorization": f"Bearer {OPERATOR_TOKEN}", "content-type": "application/json"}
    with closing(HTTPConnection("127.0.0.1", service.port, timeout=60)) as connection:
        for number in range(5_000):
            connection.request("PUT", f"/v1/shipments/full-{number}", b"{}", sent)
            answer = connection.getresponse()
            told = json.loads(answer.read())
            if answer.status == 503:
                return {name.lower(): value for name, value in answer.getheaders()}
            assert answer.status == 201, told
            acknowledged.add(told)
    raise AssertionError("the disk never was full")


def test_a_full_disk_refuses_reports_and_loses_none_and_passes_without_a_restart(
    service: Service, receiver: Receiver, disk: Path
) -> None:
    path, acknowledged = add_endpoint(service, receiver), Acknowledged()
    with filled(disk):
        headers = put_until_refused(service, acknowledged)
        assert acknowledged.events
        assert int(headers["retry-after"]) >= 1
        assert service.call("GET", "/v1/shipments/full-0")[0] == 200
        assert service.call("GET", path)[0] == 200
        assert len(list(service.log())) >= len(acknowledged.events)
    wait_for(lambda: put(service, "SO-again")[0] in {200, 201}, "reports to be taken again")
    assert service.process
    assert service.process.poll() is None
    wait_until_settled(service, path)
    check_all(service, receiver, acknowledged)


def test_attempts_that_a_full_disk_does_not_take_are_written_down_later_and_not_made_again(
    service: Service, receiver: Receiver, disk: Path, tmp_path: Path
) -> None:
    path, acknowledged = add_endpoint(service, receiver), Acknowledged()
    receiver.hold()  # the answers
    for number in range(40):
        status, answer = put(service, f"SO-{number}")
        assert status == 201
        acknowledged.add(answer)
    wait_for(receiver.arrivals, "a request to be out")
    with filled(disk):
        put_until_refused(service, acknowledged)
        receiver.let_go()
        wait_for(lambda: len(receiver.arrivals()) >= 80, "deliveries to go on as far as they may")
        wait_for(lambda: "delivery_must_wait" in (tmp_path / "service.log").read_text(), "results to find no room")
    wait_until_settled(service, path)
    check_all(service, receiver, acknowledged)
