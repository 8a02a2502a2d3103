"""Signed requests, made by the `standardwebhooks` package and not by us, and the languages that check them."""

import base64
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook

ROOT = Path(__file__).parents[2]
RECEIVERS = ROOT / "src" / "waypost" / "dashboard" / "receivers"
HARNESS = Path(__file__).parent / "harness"
SECRET = "whsec_" + base64.b64encode(b"norrsund-lines-carries-freight!!").decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"another-secret-of-the-same-size!").decode()
NOW = 1_796_112_900
BODY = json.dumps(
    {"id": "evt_1", "type": "shipment.status.collected", "shipment_id": "shp_1", "reference": "SO-1", "sequence": 1,
     "position": 1, "test": False, "data": {"shipment": {"status": "collected", "consignee": "Baðhús og Gufa ehf."}}},
    ensure_ascii=False,
).encode()  # fmt: skip


@dataclass(frozen=True)
class Request:
    """A captured request, and the secret and the clock of the one who checks it."""

    body: bytes = BODY
    headers: dict[str, str] = field(default_factory=dict)
    secret: str = SECRET
    now: int = NOW

    def without(self, header: str) -> "Request":
        """The same request with one header less."""
        return replace(self, headers={name: value for name, value in self.headers.items() if name != header})

    def with_header(self, header: str, value: str) -> "Request":
        """The same request with one header added or another value in it."""
        return replace(self, headers={**self.headers, header: value})


def a_request(*, secret: str = SECRET, sent_at: int = NOW) -> Request:
    """A request that was signed with `secret` at `sent_at`, as it arrives."""
    bare = Request()
    signature = Webhook(secret).sign("evt_1", datetime.fromtimestamp(sent_at, UTC), bare.body.decode())
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(sent_at), "webhook-signature": signature}
    return replace(bare, headers=headers)


def a_request_of_now() -> Request:
    """A request signed at this moment, for programs that look at the machine's clock."""
    return a_request(sent_at=int(time.time()))


Checker = Callable[[Sequence[Request]], list[str]]


def _run(command: Sequence[str | Path], text: str) -> list[str]:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines()


def _as_json_lines(requests: Sequence[Request]) -> str:
    rows = [
        {"secret": r.secret, "headers": r.headers, "body": base64.b64encode(r.body).decode(), "now": r.now}
        for r in requests
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


def need(program: str, language: str) -> str:
    """Where `program` is; the test is skipped where it is not."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{language} is not on this machine")
    return path


def python_checker(_: Path) -> Checker:
    """The guide's Python, in an interpreter of its own that sees nothing but the standard library."""
    command = [sys.executable, "-I", "-S", HARNESS / "check.py", RECEIVERS / "python" / "verify.py"]
    return lambda requests: _run(command, _as_json_lines(requests))


def javascript_checker(_: Path) -> Checker:
    """The guide's JavaScript, in Node."""
    command = [need("node", "Node"), HARNESS / "check.mjs", RECEIVERS / "javascript" / "verify.mjs"]
    return lambda requests: _run(command, _as_json_lines(requests))


def php_checker(_: Path) -> Checker:
    """The guide's PHP."""
    command = [need("php", "PHP"), HARNESS / "check.php", RECEIVERS / "php" / "verify.php"]
    return lambda requests: _run(command, _as_json_lines(requests))


def csharp_checker(folder: Path) -> Checker:
    """The guide's C#, compiled by Mono."""
    compiler, runtime = need("mcs", "C# (Mono)"), need("mono", "C# (Mono)")
    program = folder / "check.exe"
    sources = [RECEIVERS / "csharp" / "WaypostWebhook.cs", HARNESS / "Check.cs"]
    _run([compiler, "-warnaserror", f"-out:{program}", *sources], "")

    def check(requests: Sequence[Request]) -> list[str]:
        lines: list[str] = []
        for request in requests:
            lines += [request.secret, str(request.now), base64.b64encode(request.body).decode()]
            lines.append(str(len(request.headers)))
            lines += [line for header in request.headers.items() for line in header]
        return _run([runtime, program], "".join(line + "\n" for line in lines))

    return check
