import json
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from cli.running import Ran, waypost

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BODY = '{"id":"evt_1","type":"shipment.created","weight":"10.0"}'
SIGNED_AT = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)


def captured(body: str = BODY, line_end: str = "\r\n") -> str:
    headers = {
        "Host": "erp.example",
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": str(int(SIGNED_AT.timestamp())),
        "Webhook-Signature": Webhook(SECRET).sign("evt_1", SIGNED_AT, BODY),
    }
    lines = ["POST /hooks/waypost?a=b:c HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return line_end.join([*lines, "", body])


def verify(request: str, *arguments: str, secret: str = SECRET, at: str = "2026-12-01T08:01:00Z") -> Ran:
    return waypost("verify", "--at", at, *arguments, given={"WAYPOST_WEBHOOK_SECRET": secret}, stdin=request)


@pytest.mark.parametrize("line_end", ["\r\n", "\n"])
def test_a_request_as_it_came_is_right_in_every_part(line_end):
    ran = verify(captured(line_end=line_end))
    assert (ran.code, ran.err) == (0, "")
    assert [line.split("\t")[:2] for line in ran.out.splitlines()] == [
        ["right", "headers"],
        ["right", "time"],
        ["right", "secret"],
        ["right", "body"],
    ]


def test_a_body_that_was_read_and_written_again_is_named():
    ran = verify(captured(json.dumps(json.loads(BODY))))
    assert ran.code == 1
    assert "wrong\tbody\t" in ran.out
    assert "read and written again" in ran.err


def test_another_secret_is_wrong():
    ran = verify(captured(), secret="whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
    assert ran.code == 1
    assert "Another secret made this signature" in ran.err


def test_an_old_request_is_wrong_in_its_time():
    ran = verify(captured(), at="2026-12-01T08:30:00Z")
    assert ran.code == 1
    assert "wrong\ttime\tThe request was signed 1800 s ago" in ran.out


def test_json_holds_the_verdict_and_each_finding():
    found = json.loads(verify(captured(), "--json").out)
    assert found["ok"] is True
    assert [finding["part"] for finding in found["findings"]] == ["headers", "time", "secret", "body"]


def test_headers_and_body_may_lie_in_two_files(tmp_path):
    head, _, body = captured().partition("\r\n\r\n")
    (tmp_path / "headers.txt").write_text(head)
    (tmp_path / "body.json").write_text(body)
    (tmp_path / "secret.txt").write_text(SECRET + "\n")
    files = ("headers.txt", "--body", "body.json", "--secret-file", "secret.txt")
    ran = waypost("verify", *files, "--at", "2026-12-01T08:01:00Z", folder=tmp_path)
    assert ran.code == 0


def test_without_a_secret_it_says_where_one_comes_from():
    ran = waypost("verify", stdin=captured())
    assert ran.code == 2
    assert "WAYPOST_WEBHOOK_SECRET" in ran.err


def test_a_request_without_its_body_is_wrong_use():
    ran = verify(captured().partition("\r\n\r\n")[0])
    assert (ran.code, ran.out) == (2, "")
    assert "--body FILE" in ran.err
