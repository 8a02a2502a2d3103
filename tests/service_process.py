"""Real processes for tests: the service, started and killed like an operator's, and a receiver that survives it."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

OPERATOR_TOKEN = "wp_test_operator_token_0123456789"
SECRET_KEY = base64.b64encode(bytes(range(32))).decode()
PATIENCE_S = 60  # how long a test waits for what must happen; never how long it takes


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for(condition: Any, what: str, patience_s: float = PATIENCE_S) -> Any:
    """Give what `condition()` gives once it is true; fail loudly when it never is."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.02)
    raise AssertionError(f"waited {patience_s} s in vain for {what}")


@dataclass
class Service:
    """`waypost serve` in its own process, with its data in `folder`. For `patches` see `patched_service`."""

    folder: Path
    port: int = field(default_factory=free_port)
    environment: Mapping[str, str] = field(default_factory=dict)
    patches: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Service":
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("WAYPOST_")},
            "WAYPOST_OPERATOR_TOKEN": OPERATOR_TOKEN,
            "WAYPOST_SECRET_KEY": SECRET_KEY,
            "WAYPOST_EGRESS_ALLOW": "127.0.0.0/8,::1/128",
            "WAYPOST_DATA_DIR": str(self.folder),
            "WAYPOST_PORT": str(self.port),
            **self.environment,
        }
        log = (self.folder / "service.log").open("ab")
        command = [sys.executable, "-m", "waypost.cli", "serve"]
        if self.patches:
            command = [sys.executable, str(Path(__file__).with_name("patched_service.py")), *self.patches]
        self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.folder)
        log.close()
        wait_for(self._ready, f"the service to be ready; see {self.folder / 'service.log'}")
        return self

    def kill(self) -> None:
        """End it as a crash does: SIGKILL."""
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """End it as an operator does: SIGTERM. Gives the exit code."""
        assert self.process
        self.process.terminate()
        return self.process.wait(timeout=PATIENCE_S)

    def _ready(self) -> bool:
        assert self.process
        if self.process.poll() is not None:
            raise AssertionError((self.folder / "service.log").read_text()[-4000:])
        try:
            return self.call("GET", "/readyz")[0] == 200
        except (OSError, HTTPException):
            return False

    def call(
        self, method: str, path: str, body: Any = None, *, account: str = "default", headers: Mapping[str, str] = {}
    ) -> tuple[int, Any]:
        """Make one API call; gives the status and the decoded answer."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        sent = {"authorization": f"Bearer {OPERATOR_TOKEN}", "waypost-account": account}
        raw = None
        if body is not None:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent["content-type"] = "application/json"
        try:
            connection.request(method, path, raw, sent | dict(headers))
            answer = connection.getresponse()
            text = answer.read()
            is_json = answer.getheader("content-type", "").startswith(("application/json", "application/problem+json"))
            return answer.status, json.loads(text) if is_json and text else text
        finally:
            connection.close()

    def log(self, account: str = "default") -> Iterator[dict[str, Any]]:
        """Give every event of the account's log."""
        after = 0
        while True:
            _, page = self.call("GET", f"/v1/events?after={after}&limit=1000", account=account)
            yield from page["items"]
            if page["next"] is None:
                return
            after = page["next"]


@dataclass
class Receiver:
    """A receiver in its own process that writes down what arrives. While the file `gate` is there, it never answers."""

    file: Path
    port: int = field(default_factory=free_port)
    delay_ms: float = 0
    gate: Path | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"

    def start(self) -> "Receiver":
        script = Path(__file__).with_name("receiving.py")
        command = [sys.executable, str(script), str(self.port), str(self.file), "--delay-ms", str(self.delay_ms)]
        if self.gate is not None:
            command += ["--gate", str(self.gate)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout
        assert self.process.stdout.readline() == b"listening\n"
        return self

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            if self.process.stdout:
                self.process.stdout.close()
            self.process = None

    def hold(self) -> None:
        """Take requests, and answer none of them for now."""
        assert self.gate
        self.gate.touch()

    def let_go(self) -> None:
        """Answer them, and what comes."""
        assert self.gate
        self.gate.unlink()

    def arrivals(self) -> list[dict[str, Any]]:
        """What arrived, in order. The last line may be half written."""
        text = self.file.read_text(encoding="utf-8") if self.file.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
