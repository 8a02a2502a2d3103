"""Clients that break off, come all at once or stay for ever, and a copy of the file that is made meanwhile."""

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pysqlite3.dbapi2 as sqlite3
import pytest

from crash.promises import Acknowledged, check_log, put
from service_process import OPERATOR_TOKEN, Receiver, Service, wait_for
from waypost.log.database import WAL_BYTES_KEPT
from waypost.receiver import gap_check

pytestmark = pytest.mark.xdist_group("clients")

SCAN = {"status": "collected", "occurred_at": "2026-11-20T08:00:00Z"}


def request_bytes(path: str, body: bytes, key: str) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {OPERATOR_TOKEN}\r\nidempotency-key: {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def sequences(service: Service, reference: str) -> list[int]:
    return [event["sequence"] for event in service.call("GET", f"/v1/shipments/{reference}/events")[1]["items"]]


def test_a_client_that_is_cut_off_before_the_answer_asks_again_with_its_key(
    service: Service, acknowledged: Acknowledged
) -> None:
    acknowledged.add(put(service, "cut")[1])
    path = "/v1/shipments/cut/tracking-events"
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", service.port)) as client:
            client.sendall(request_bytes(path, json.dumps(SCAN).encode(), "cut-1"))
            # The answer is not waited for, and the connection ends with a reset.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    status, answer = service.call("POST", path, SCAN, headers={"idempotency-key": "cut-1"})
    assert status == 200
    acknowledged.add(answer)
    assert sequences(service, "cut") == [1, 2, 3, 4]


def test_fifty_posts_at_once_with_one_key_have_one_effect_and_one_answer(
    service: Service, acknowledged: Acknowledged
) -> None:
    acknowledged.add(put(service, "fifty")[1])

    def post(account: str) -> tuple[int, Any]:
        path, headers = "/v1/shipments/fifty/tracking-events", {"idempotency-key": "fifty-1"}
        return service.call("POST", path, SCAN, account=account, headers=headers)

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(post, ["default"] * 50))
    assert {json.dumps(answer) for answer in answers} == {json.dumps(answers[0])}
    assert answers[0][0] == 200
    acknowledged.add(answers[0][1])
    assert sequences(service, "fifty") == [1, 2, 3, 4]
    # The same key of another account is another key.
    assert service.call("POST", "/v1/accounts", {"id": "neighbour", "name": "Neighbour"})[0] == 201
    assert service.call("PUT", "/v1/shipments/fifty", {}, account="neighbour")[0] == 201
    status, answer = post("neighbour")
    assert (status, len(answer["events"])) == (200, 2)


def test_a_refused_report_among_fifty_leaves_no_gap(service: Service, acknowledged: Acknowledged) -> None:
    def report(number: int) -> tuple[int, Any]:
        document = {"eta": {"at": "no time"}} if number == 25 else {}
        return service.call("PUT", f"/v1/shipments/among-{number}", document)

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(report, range(50)))
    assert [number for number, (status, _) in enumerate(answers) if status != 201] == [25]
    for status, answer in answers:
        if status == 201:
            acknowledged.add(answer)
    check_log(list(service.log()), acknowledged)


def test_the_journal_stays_short_while_somebody_listens(service: Service, acknowledged: Acknowledged) -> None:
    big = {"goods": [{"id": f"g_{number}", "description": "planks " * 250} for number in range(100)]}  # 170 KB
    journal, longest = service.folder / "waypost.db-wal", 0
    with socket.create_connection(("127.0.0.1", service.port)) as listener:
        head = f"GET /v1/events/stream?after=0 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {OPERATOR_TOKEN}\r\n\r\n"
        listener.sendall(head.encode())
        listener.recv(1)  # it has begun, and is not read on
        for number in range(120):  # 60 MB, since each is kept three times
            status, answer = service.call("PUT", f"/v1/shipments/big-{number}", big)
            assert status == 201
            acknowledged.add(answer)
            longest = max(longest, journal.stat().st_size)
    assert longest < WAL_BYTES_KEPT + 2**20


def test_a_copy_made_while_reports_are_written_holds_the_beginning_of_the_log(
    service: Service, receiver: Receiver, folder: Path, acknowledged: Acknowledged
) -> None:
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            status, answer = put(service, f"copied {number % 7}", number)
            assert status in {200, 201}
            acknowledged.add(answer)

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write) for _ in range(4)]
        enough = len(acknowledged.events) + 50
        wait_for(lambda: len(acknowledged.events) > enough, "the writers to get on")
        copied = folder / "restored"
        copied.mkdir()
        with (
            closing(sqlite3.connect(f"file:{folder / 'waypost.db'}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(str(copied / "waypost.db"))) as copy,
        ):
            source.backup(copy)
        enough = len(acknowledged.events) + 50
        wait_for(lambda: len(acknowledged.events) > enough, "the writers to get on")
        stop.set()
        for writer in writers:
            writer.result()
    stored = list(service.log())
    check_log(stored, acknowledged)
    restored = Service(copied).start()
    try:
        old = list(restored.log())
        assert old == stored[: len(old)]
        assert len(old) < len(stored)
        # It issues numbers again that were issued before, with other contents: whoever got both can tell.
        assert put(restored, "after the restore")[0] == 201
        both = {(event["position"], event["id"]) for event in [*stored, *restored.log()]}
        assert len(old) + 1 in gap_check([position for position, _ in both]).reused
    finally:
        restored.kill()
