"""The verification code of the receiver guide, run in its own language against signatures that others made."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from docs.builders import (
    NOW,
    OTHER_SECRET,
    Checker,
    a_request,
    csharp_checker,
    javascript_checker,
    php_checker,
    python_checker,
)

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
