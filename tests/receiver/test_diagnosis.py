"""What a person is told about a captured request."""

import json

import pytest

from receiver.builders import NOW, OTHER_SECRET, SECRET, an_event, signed
from waypost.receiver import diagnose

BODY = json.dumps(an_event(), separators=(",", ":")).encode()


def verdicts(diagnosis):
    return {finding.part: finding.ok for finding in diagnosis.findings}


def test_a_good_request_is_good_in_each_part():
    diagnosis = diagnose(BODY, signed(BODY), secret=SECRET, now=NOW)
    assert diagnosis.ok
    assert verdicts(diagnosis) == {"headers": True, "time": True, "secret": True, "body": True}


def test_an_old_capture_is_old_but_its_signature_is_still_judged():
    diagnosis = diagnose(BODY, signed(BODY), secret=SECRET, now=NOW + 1200)
    assert not diagnosis.ok
    assert "1200 s ago" in diagnosis.verdict
    assert verdicts(diagnosis) == {"headers": True, "time": False, "secret": True, "body": True}


@pytest.mark.parametrize(
    ("change", "part"),
    [({"webhook-id": ""}, "headers"), ({"webhook-signature": "x"}, "headers"), ({"webhook-timestamp": "x"}, "time")],
)
def test_the_header_that_cannot_be_read_is_named(change, part):
    diagnosis = diagnose(BODY, {**signed(BODY), **change}, secret=SECRET, now=NOW)
    assert verdicts(diagnosis) == {part: False}
    assert next(iter(change)) in diagnosis.verdict


def test_with_the_sent_body_a_changed_body_is_told_from_a_wrong_secret():
    changed = BODY.replace(b"booked", b"booked ")
    diagnosis = diagnose(changed, signed(BODY), secret=SECRET, now=NOW, sent=BODY)
    assert verdicts(diagnosis) == {"headers": True, "time": True, "secret": True, "body": False}
    assert f"byte {BODY.index(b'booked') + 6}" in diagnosis.verdict
    diagnosis = diagnose(BODY, signed(BODY), secret=OTHER_SECRET, now=NOW, sent=BODY)
    assert verdicts(diagnosis) == {"headers": True, "time": True, "secret": False, "body": True}


def test_without_the_sent_body_a_rewritten_one_is_still_recognised():
    diagnosis = diagnose(json.dumps(json.loads(BODY)).encode(), signed(BODY), secret=SECRET, now=NOW)
    assert verdicts(diagnosis)["body"] is False
    assert "read and written again" in diagnosis.verdict


def test_what_cannot_be_told_is_left_open():
    diagnosis = diagnose(b"{}", signed(BODY), secret=SECRET, now=NOW)
    assert not diagnosis.ok
    assert verdicts(diagnosis) == {"headers": True, "time": True, "secret": None, "body": None}


def test_a_malformed_secret_is_named():
    assert verdicts(diagnose(BODY, signed(BODY), secret="abc", now=NOW))["secret"] is False
