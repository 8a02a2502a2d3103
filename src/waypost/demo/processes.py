"""The processes of the demo: started, waited for, and ended, whatever happens in between."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

START_S_MAX = 30.0
STOP_S_MAX = 10.0
POLL_S = 0.02
LOG_LINES_SHOWN = 20
# Below the ports that the system gives to outgoing connections (32768 and up): while the shop is down, a connection
# to its port must find nobody there, not by chance itself.
PORTS = range(20_000, 32_000)


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    for port in random.sample(PORTS, 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise DemoError("No free port was found on 127.0.0.1.")


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@dataclass(slots=True)
class Program:
    """A module that runs in a process of its own, its output in a file. It can die and be started again."""

    name: str
    module: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self, is_ready: Callable[[], bool]) -> None:
        """Start it and wait until it is ready. Raises DemoError with the end of its log when it is not.

        To be called from the main thread: the kernel ends a child together with the thread that started it.
        """
        command = [sys.executable, "-m", "waypost.demo.child", self.module, *self.arguments]
        with self.log.open("ab") as output:
            # A session of its own, so that Ctrl-C reaches the demo alone, which then ends its children in order.
            self.process = subprocess.Popen(  # noqa: S603 - our own module with our own arguments
                command,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_S_MAX
        while not is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise DemoError(f"The {self.name} did not start. Its last words:\n{self.last_words()}")
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Ask it to end, and wait; kill it when it does not."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once, in the middle of whatever it does."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def last_words(self) -> str:
        """The end of what it wrote."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join("  " + line for line in lines[-LOG_LINES_SHOWN:])


def clean_environment() -> dict[str, str]:
    """This process's environment without Waypost's own settings: the demo touches nothing that is set up for real."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WAYPOST_")}
    # A checkout that is run from its source folder is found by the children too.
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUNBUFFERED": "1"}
