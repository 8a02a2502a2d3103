"""`waypost events replay`: events of the past, sent again, with a bar while they go out."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import msgspec
from cyclopts import App, Parameter
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from waypost.cli.connection import Connection
from waypost.cli.output import AsJson, CommandError, print_json, remark, remarks, say
from waypost.client import Client, segment

LOOK_EVERY_S = 0.5

Several = Annotated[tuple[str, ...], Parameter(show_default=False, negative="")]


class Job(msgspec.Struct, frozen=True):
    """What the command shows of a replay."""

    id: str
    matched: int
    done: int
    state: str
    state_reason: str | None = None


class Matched(msgspec.Struct, frozen=True):
    """The answer of a dry run."""

    matched: int


def add_to(app: App) -> None:
    """Give `waypost events` the commands of replays."""
    app.command(replay)
    app.command(cancel_replay, name="cancel-replay")


def replay(
    endpoint: str,
    /,
    *,
    which: Literal["failed", "missing", "all"],
    since: str | None = None,
    until: str | None = None,
    type_: Annotated[Several, Parameter(name="--type")] = (),
    shipment: Several = (),
    to_url: str | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    wait: Annotated[bool, Parameter(negative="--no-wait")] = True,
    json: AsJson = False,
    connection: Connection | None = None,
) -> None:
    """Send events of the past to an endpoint again, and wait until they are through.

    ```
    waypost events replay ep_01KE8 --which failed --since 2026-11-26T08:00:00Z --dry-run
    waypost events replay ep_01KE8 --which missing --type "shipment.status.*"
    ```

    Parameters
    ----------
    endpoint
        The `ep_…` id.
    which
        `failed`: deliveries that stand as failed; `missing`: events it wants that never got through; `all`: every event
        it wants.
    since
        Only events recorded at or after this time.
    until
        Only events recorded before this time.
    type_
        Only events of this type or pattern; give it once for each.
    shipment
        Only events of this shipment, by its reference or `shp_…` id; give it once for each.
    to_url
        Send them to this URL instead of the endpoint's own.
    dry_run
        Only say how many match.
    wait
        Wait until the replay has ended; without, it goes on by itself.
    json
        Print the replay as JSON.
    """
    given = {"which": which, "since": since, "until": until, "to_url": to_url, "dry_run": dry_run or None}
    asked: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    asked |= {name: list(value) for name, value in (("types", type_), ("shipments", shipment)) if value}
    client = (connection or Connection()).open()
    path = f"/v1/endpoints/{segment(endpoint)}"
    body = client.call("POST", f"{path}/replay", asked).body
    if dry_run:
        return print_json(body) if json else say(_matching(msgspec.json.decode(body, type=Matched).matched))
    job = msgspec.json.decode(body, type=Job)
    remark(f"{_matching(job.matched)} Replay {job.id} of {endpoint}.")
    if wait:
        body = _watched(client, f"{path}/replays/{segment(job.id)}", job, body)
    _report(endpoint, body, json=json)
    return None


def cancel_replay(endpoint: str, replay: str, /, *, json: AsJson = False, connection: Connection | None = None) -> None:
    """Stop a replay. What was sent stays sent.

    ```
    waypost events cancel-replay ep_01KE8 job_01KF2
    ```

    Parameters
    ----------
    endpoint
        The `ep_…` id.
    replay
        The `job_…` id.
    json
        Print the replay as JSON.
    """
    client = (connection or Connection()).open()
    body = client.call("POST", f"/v1/endpoints/{segment(endpoint)}/replays/{segment(replay)}/cancel").body
    if json:
        return print_json(body)
    job = msgspec.json.decode(body, type=Job)
    return say(f"Replay {job.id} is {job.state}; {job.done} of {job.matched} deliveries are settled.")


def _watched(client: Client, path: str, job: Job, body: bytes) -> bytes:
    """Look at the job until it has ended; Ctrl-C leaves it running."""
    with _bar(job.matched) as show:
        while job.state == "running":
            time.sleep(LOOK_EVERY_S)
            body = client.get(path)
            job = msgspec.json.decode(body, type=Job)
            show(job.done)
    return body


def _report(endpoint: str, body: bytes, *, json: bool) -> None:
    job = msgspec.json.decode(body, type=Job)
    if json:
        print_json(body)
    if job.state in ("cancelled", "failed"):
        reason = f" {job.state_reason}" if job.state_reason else ""
        raise CommandError(f"Replay {job.id} was {job.state} at {job.done} of {job.matched} deliveries.{reason}")
    if json:
        return
    say(f"Replay {job.id} is {job.state}; {job.done} of {job.matched} deliveries are settled.")
    if job.state == "running":
        remark(f"To stop it: waypost events cancel-replay {endpoint} {job.id}")
    elif job.matched:
        remark(f"What became of each: waypost endpoint show {endpoint}")


def _matching(count: int) -> str:
    return "1 delivery matches." if count == 1 else f"{count} deliveries match."


@contextmanager
def _bar(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, else nothing. Gives what to call with the deliveries done."""
    console = remarks()
    if not console.is_terminal or not total:
        yield lambda _: None
        return
    columns = (TextColumn("deliveries"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("deliveries", total=total)
        yield lambda done: progress.update(task, completed=done)
