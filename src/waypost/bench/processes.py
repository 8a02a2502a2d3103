"""The processes that a benchmark is made of: the service, and children of our own that answer questions."""

import base64
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Self

from waypost.bench.figures import BenchmarkFailed

PATIENCE_S = 60.0
CONCURRENCIES = (16, 32, 64, 128, 256)  # at which the yardstick is tried
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Give a TCP port of the loopback address that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Child:
    """A module of this package in a process of its own: a question a line on its input, an answer a line on its output.

    It ends with its input, so it never outlives this process.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self._module = module
        command = [sys.executable, "-m", module, *arguments]
        self.process = subprocess.Popen(  # noqa: S603 - a module of ours
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self._read()

    def ask(self, what: str, **details: object) -> Any:
        """Ask for something and wait for the answer."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"do": what, **details}).encode() + b"\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise BenchmarkFailed(f"{self._module} ended with exit code {self.process.wait()}")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()


class Receiver(Child):
    """The counting receiver; see receiver.py."""

    def __init__(self) -> None:
        self.port = free_port()
        super().__init__("waypost.bench.receiver", str(self.port))

    @property
    def url(self) -> str:
        """Where it takes webhooks."""
        return f"http://127.0.0.1:{self.port}/hooks"

    def url_of(self, number: int) -> str:
        """The URL of one of many endpoints that it stands for; their arrivals are told apart."""
        return f"{self.url}/{number}"

    def wait_for(self, events: int, patience_s: float = PATIENCE_S) -> dict[str, int]:
        """Give what arrived once so many distinct events have. Raises BenchmarkFailed when they stop coming before."""
        told: dict[str, int] = self.ask("wait", events=events, patience_s=patience_s)
        if told["events"] != events:
            raise BenchmarkFailed(f"{told['events']} events arrived of {events}; then none for {patience_s:.0f} s")
        return told


class Yardstick(Child):
    """The bare loop; see yardstick.py."""

    def __init__(self, url: str, bodies: Path, posts: int) -> None:
        super().__init__("waypost.bench.yardstick", url, str(bodies))
        self._posts = posts
        self.cpu_us: list[float] = []

    def posts_per_s(self, concurrency: int, posts: int | None = None) -> float:
        """Measure once; `posts` of them, or as many as usual."""
        posts = posts or self._posts
        told = self.ask("post", posts=posts, concurrency=concurrency)
        self.cpu_us.append(told["cpu_s"] * 1e6 / posts)
        return posts / float(told["elapsed_s"])

    def best_concurrency(self) -> int:
        """The concurrency that posts fastest."""
        return max(CONCURRENCIES, key=self.posts_per_s)


@dataclass
class Service:
    """`waypost serve` on a database of its own, in `folder`. Use it in a `with` statement."""

    folder: Path
    port: int = field(default_factory=free_port)
    operator_token: str = field(default_factory=lambda: "wp_" + secrets.token_urlsafe(32), repr=False)
    secret_key: str = field(default_factory=lambda: base64.b64encode(secrets.token_bytes(32)).decode(), repr=False)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def restart(self, meanwhile: Callable[[], None] = lambda: None) -> float:
        """Stop it in good order and start it again; gives the seconds until it is ready, its deliveries included.

        While it is stopped, `meanwhile` may do something with its folder.
        """
        self._stop()
        meanwhile()
        started = time.monotonic()
        self._start()
        return time.monotonic() - started

    def _start(self) -> None:
        own = {
            "WAYPOST_OPERATOR_TOKEN": self.operator_token,
            "WAYPOST_SECRET_KEY": self.secret_key,
            "WAYPOST_EGRESS_ALLOW": "127.0.0.0/8",
            "WAYPOST_DATA_DIR": str(self.folder.resolve()),
            "WAYPOST_PORT": str(self.port),
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("WAYPOST_")}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "waypost.cli", "serve"],
                env=inherited | own, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                start_new_session=True,
            )  # fmt: skip
        try:
            self._wait_until_ready()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def _stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    @property
    def _log(self) -> Path:
        return self.folder / "service.log"

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                if self._exchange("GET", "/readyz", None, {})[0] == 200:
                    return
            except (OSError, HTTPException):
                pass
            time.sleep(0.05)
        raise BenchmarkFailed(f"the service did not start:\n{self._log.read_text()[-4000:]}")

    def _exchange(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def call(self, token: str, method: str, path: str, body: object = None) -> bytes:
        """Make one call and give the bytes of its answer. Raises BenchmarkFailed unless it is a 2xx."""
        headers = {"authorization": f"Bearer {token}"}
        encoded = None
        if body is not None:
            encoded = json.dumps(body).encode()
            headers["content-type"] = "application/json"
        status, answer = self._exchange(method, path, encoded, headers)
        if not 200 <= status < 300:
            raise BenchmarkFailed(f"{method} {path} answered {status}: {answer[:500].decode(errors='replace')}")
        return answer

    def account(self, name: str) -> "Account":
        """Make an account with a token as a customer has one."""
        self.call(self.operator_token, "POST", "/v1/accounts", {"id": name, "name": name})
        wanted = {"name": "bench", "scopes": ["shipments:write", "endpoints:write", "read"]}
        made = json.loads(self.call(self.operator_token, "POST", f"/v1/accounts/{name}/tokens", wanted))
        return Account(self, made["token"])

    def cpu_s(self) -> float:
        """The CPU time that the service's processes have used so far, in seconds."""
        ticks = 0
        for pid in self._pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS_PER_S

    def peak_mb(self) -> float:
        """The most memory that was resident since the start or `forget_peak`, in MB, over the service's processes."""
        return sum(self._status_kib(pid, "VmHWM") for pid in self._pids()) * 1024 / 1e6

    def resident_mb(self) -> float:
        """The memory that is resident now, in MB."""
        return sum(self._status_kib(pid, "VmRSS") for pid in self._pids()) * 1024 / 1e6

    def forget_peak(self) -> None:
        """Begin to look for the peak anew. proc(5), /proc/pid/clear_refs: 5 resets VmHWM."""
        for pid in self._pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def _pids(self) -> list[int]:
        found = [self.process.pid]
        for pid in found:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                found += [int(child) for child in children.read_text().split()]
        return found

    @staticmethod
    def _status_kib(pid: int, name: str) -> int:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the service, and its token."""

    service: Service
    token: str = field(repr=False)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Make one call and give the decoded answer."""
        answer = self.service.call(self.token, method, path, body)
        return json.loads(answer) if answer else None

    def add_endpoint(self, url: str, **settings: object) -> dict[str, Any]:
        """Make an endpoint, by default one that takes every shipment event."""
        made: dict[str, Any] = self.call("POST", "/v1/endpoints", {"url": url, "events": ["shipment.*"], **settings})
        return made

    def log_position(self) -> int:
        """The position of the newest event."""
        position, after = 0, 0
        while True:
            page = self.call("GET", f"/v1/events?after={after}&limit=1000")
            if page["items"]:
                position = page["items"][-1]["position"]
            if page["next"] is None:
                return position
            after = page["next"]
