"""Named points at which a service kills itself, and a clock that can be set. Put into it by `patched_service`.

A point is armed from outside by a file that holds its name, and how many times it may be passed before. The product
has no such hooks: what is wrapped here are its own functions.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import RootTransaction

from waypost.clock import SystemClock
from waypost.delivery.result import AttemptResult, SendRequest
from waypost.delivery.sender import Sender
from waypost.delivery.worker import Worker
from waypost.log import committing, migration
from waypost.log.accept import AcceptReport
from waypost.log.group import GroupResult, Request

BEFORE_COMMIT, AFTER_COMMIT = "before the commit of", "after the commit of"
A_REPORT, ATTEMPTS, A_REPLAY, RETENTION = "a report", "attempts", "a step of a replay", "a step of retention"
BEFORE_SEND, AFTER_SEND = "before a request is sent", "after a request was answered"
IN_MIGRATION = "in a migration"
HALF_DEAD = "while storing attempts, with its task alone"

# What a unit does, by the function that made it.
_KINDS = {"persist": ATTEMPTS, "feed_replays": A_REPLAY, "remove_events": RETENTION}

_passed: Counter[str] = Counter()
_kinds: set[str] = set()  # of the group that the writer's thread is at


def arm(folder: Path, point: str, *, after: int = 0) -> None:
    """Kill the service that runs in `folder` the next time it reaches `point`, `after` passes from now."""
    new = folder / "armed.new"
    new.write_text(f"{after}\n{point}")
    new.replace(folder / "armed")


def disarm(folder: Path) -> None:
    """Let the next start live."""
    (folder / "armed").unlink(missing_ok=True)


def set_clock(folder: Path, ahead: timedelta) -> None:
    """Let the clock of the service that runs in `folder` be so much ahead of this machine's, from this moment on."""
    new = folder / "ahead.new"
    new.write_text(str(ahead.total_seconds()))
    new.replace(folder / "ahead")


def reach(point: str) -> None:
    """Die here if this point is armed."""
    if is_armed(point):
        os.kill(os.getpid(), signal.SIGKILL)


def is_armed(point: str) -> bool:
    """Whether this point is armed, and was passed as often as it may be."""
    try:
        after, _, armed = Path("armed").read_text().partition("\n")
    except FileNotFoundError:
        return False
    if armed != point:
        return False
    _passed[point] += 1
    return _passed[point] > int(after)


def install() -> None:
    """Wrap the functions that have a point before or after them. A service runs in its own folder."""
    _wrap_commits()
    _wrap_sends()
    _wrap_storing()
    if "MIGRATIONS" in os.environ:
        _use_migrations(Path(os.environ["MIGRATIONS"]))
    now = SystemClock.now
    SystemClock.now = lambda self: now(self) + _ahead()


def _wrap_commits() -> None:
    run_group, commit = committing.run_group, RootTransaction.commit

    def run_group_of_a_kind(
        connection: Connection, requests: Sequence[Request], *rest: Any, **named: Any
    ) -> GroupResult:
        _kinds.clear()
        _kinds.update(filter(None, map(_kind, requests)))
        return run_group(connection, requests, *rest, **named)

    def commit_between_points(transaction: RootTransaction) -> None:
        kinds = tuple(_kinds)
        for kind in kinds:
            reach(f"{BEFORE_COMMIT} {kind}")
        commit(transaction)
        for kind in kinds:
            reach(f"{AFTER_COMMIT} {kind}")

    committing.run_group = run_group_of_a_kind
    RootTransaction.commit = commit_between_points


def _kind(request: Request) -> str | None:
    if isinstance(request.work, AcceptReport):
        return A_REPORT
    return _KINDS.get(request.work.work.__qualname__.partition(".")[0])


def _wrap_sends() -> None:
    send = Sender.send

    async def send_between_points(sender: Sender, request: SendRequest) -> AttemptResult:
        reach(BEFORE_SEND)
        result = await send(sender, request)
        reach(AFTER_SEND)
        return result

    Sender.send = send_between_points


def _wrap_storing() -> None:
    """Let the task that stores attempts end, where it would be killed: the process lives on, half dead."""
    store = Worker._store_what_waits

    async def store_or_end(worker: Worker) -> None:
        await store(worker)
        if is_armed(HALF_DEAD):
            raise asyncio.CancelledError

    Worker._store_what_waits = store_or_end


def _use_migrations(folder: Path) -> None:
    """Bring databases to the version of another history than this Waypost's own."""
    for function in (migration.newest_revision, migration.migrate):
        function.__defaults__ = (folder,)


def _ahead() -> timedelta:
    try:
        return timedelta(seconds=float(Path("ahead").read_text()))
    except FileNotFoundError:
        return timedelta()
