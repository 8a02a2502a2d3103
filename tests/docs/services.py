"""Starts programs as a reader of the documentation would, and waits until they answer."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

START_S_MAX = 30


def a_free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def a_service(folder: Path, **environment: str) -> Iterator[int]:
    """`waypost serve` in `folder`, with its data there; gives the port that it listens on."""
    port = a_free_port()
    command = [str(Path(sys.executable).with_name("waypost")), "serve", "--port", str(port)]
    with a_program(command, folder, port, **environment):
        yield port


@contextmanager
def a_program(command: Sequence[str], folder: Path, port: int, **environment: str) -> Iterator[None]:
    """A program that listens on `port`; it is ended by SIGTERM, and its output shown when it does not start."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("WAYPOST_")}
    with (folder / "output.txt").open("w", encoding="utf-8") as output:
        program = subprocess.Popen(command, cwd=folder, env={**mine, **environment}, stdout=output, stderr=output)
        try:
            _wait_until_it_listens(program, port, folder / "output.txt")
            yield
        finally:
            program.terminate()
            program.wait(timeout=START_S_MAX)


def _wait_until_it_listens(program: subprocess.Popen[bytes], port: int, output: Path) -> None:
    give_up_at = time.monotonic() + START_S_MAX
    while time.monotonic() < give_up_at and program.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)  # nothing tells when another process begins to listen
        else:
            return
    raise AssertionError(f"it does not listen: {output.read_text(encoding='utf-8')}")
