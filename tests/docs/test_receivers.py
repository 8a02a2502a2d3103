"""The verification code of the receiver guide, run in its own language against signatures that others made."""

import contextlib
import http.client
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from docs.builders import (
    NOW,
    OTHER_SECRET,
    RECEIVERS,
    SECRET,
    Checker,
    Request,
    a_request,
    a_request_of_now,
    csharp_checker,
    javascript_checker,
    need,
    php_checker,
    python_checker,
)
from docs.services import a_free_port, a_program

CHECKERS = {"python": python_checker, "javascript": javascript_checker, "php": php_checker, "csharp": csharp_checker}


@pytest.fixture(params=CHECKERS)
def check(request: pytest.FixtureRequest, tmp_path: Path) -> Checker:
    """The guide's code in one language: requests in, one line for each out."""
    make: Callable[[Path], Checker] = CHECKERS[request.param]
    return make(tmp_path)


def test_every_language_takes_what_was_signed_with_the_secret(check: Checker) -> None:
    assert check([a_request()]) == ["event evt_1"]


def test_every_language_takes_either_signature_while_a_secret_is_rotated(check: Checker) -> None:
    mine, other = a_request().headers["webhook-signature"], a_request(secret=OTHER_SECRET).headers["webhook-signature"]
    both = [
        a_request().with_header("webhook-signature", f"{first} {second}")
        for first, second in [(mine, other), (other, mine)]
    ]
    assert check(both) == ["event evt_1", "event evt_1"]


def test_every_language_allows_five_minutes_between_the_clocks(check: Checker) -> None:
    edges = [replace(a_request(), now=NOW - 300), replace(a_request(), now=NOW + 300)]
    assert check(edges) == ["event evt_1", "event evt_1"]


def test_every_language_refuses_what_is_older_or_newer_than_five_minutes(check: Checker) -> None:
    answers = check([replace(a_request(), now=NOW - 301), replace(a_request(), now=NOW + 301)])
    assert ["five minutes" in answer for answer in answers] == [True, True]


def test_every_language_refuses_a_changed_body_another_secret_and_another_id(check: Checker) -> None:
    good = a_request()
    changed = replace(good, body=good.body.replace(b"SO-1", b"SO-2"))
    answers = check([changed, a_request(secret=OTHER_SECRET), good.with_header("webhook-id", "evt_2")])
    assert ["no signature fits" in answer for answer in answers] == [True, True, True]


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_every_language_names_a_header_that_is_missing(check: Checker, header: str) -> None:
    [answer] = check([a_request().without(header)])
    assert answer.startswith("refused: ")
    assert header in answer


def test_every_language_refuses_a_time_that_is_no_number(check: Checker) -> None:
    times = ["", "soon", "-1", "1e9", " 1796112900", "1796112900.5"]
    answers = check([a_request().with_header("webhook-timestamp", time) for time in times])
    assert [answer.startswith("refused: ") for answer in answers] == [True] * len(times)


def test_every_language_refuses_signatures_that_are_none(check: Checker) -> None:
    wrong = ["v1,", "v1", "v2,AAAA", "v1a,AAAA", "é", "v1," + "A" * 44]
    answers = check([a_request().with_header("webhook-signature", signature) for signature in wrong])
    assert [answer.startswith("refused: ") for answer in answers] == [True] * len(wrong)


def _post(port: int, request: Request) -> int:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("POST", "/", request.body, request.headers)
        return connection.getresponse().status


def _orders(folder: Path) -> list[tuple[str, str]]:
    with contextlib.closing(sqlite3.connect(folder / "orders.db")) as database:
        return database.execute("SELECT reference, status FROM orders").fetchall()


def test_the_python_server_takes_an_event_twice_and_acts_once(tmp_path: Path) -> None:
    port, event = a_free_port(), a_request_of_now()
    command = [sys.executable, str(RECEIVERS / "python" / "receiver.py"), str(port)]
    with a_program(command, tmp_path, port, WEBHOOK_SECRET=SECRET):
        assert [_post(port, event), _post(port, event), _post(port, event.without("webhook-signature"))] == [
            204,
            204,
            401,
        ]
    assert _orders(tmp_path) == [("SO-1", "collected")]


def test_the_javascript_server_takes_what_is_signed_and_refuses_the_rest(tmp_path: Path) -> None:
    port, event = a_free_port(), a_request_of_now()
    command = [need("node", "Node"), str(RECEIVERS / "javascript" / "receiver.mjs"), str(port)]
    with a_program(command, tmp_path, port, WEBHOOK_SECRET=SECRET):
        assert [_post(port, event), _post(port, event), _post(port, event.without("webhook-signature"))] == [
            204,
            204,
            401,
        ]
    assert (tmp_path / "output.txt").read_text(encoding="utf-8").count("SO-1") == 1


def test_the_php_server_takes_an_event_twice_and_acts_once(tmp_path: Path) -> None:
    php = need("php", "PHP")
    if "pdo_sqlite" not in subprocess.run([php, "-m"], capture_output=True, text=True, check=True).stdout:
        pytest.skip("PHP on this machine has no pdo_sqlite")
    port, event = a_free_port(), a_request_of_now()
    command = [php, "-S", f"127.0.0.1:{port}", str(RECEIVERS / "php" / "receiver.php")]
    with a_program(command, tmp_path, port, WEBHOOK_SECRET=SECRET):
        assert [_post(port, event), _post(port, event), _post(port, event.without("webhook-signature"))] == [
            204,
            204,
            401,
        ]
    assert _orders(tmp_path) == [("SO-1", "collected")]
