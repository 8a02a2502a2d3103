"""`waypost endpoint`: who is told, and how they fare."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter
from rich.prompt import Confirm
from rich.text import Text

from waypost.cli.connection import Connection
from waypost.cli.output import (
    AsJson,
    CommandError,
    UsageError,
    local_time,
    print_fields,
    print_json,
    print_table,
    read_input,
    remark,
    remarks,
    say,
    visible,
)
from waypost.client import segment

app = App(name="endpoint", help="Add, test, pause and watch the endpoints that webhooks go to.")


class Endpoint(msgspec.Struct, frozen=True):
    """What the commands show of an endpoint."""

    id: str
    url: str
    events: tuple[str, ...] = ()
    description: str | None = None
    state: str = "active"
    state_reason: str | None = None
    state_since: datetime | None = None
    waiting: int = 0
    waiting_more: bool = False
    created_at: datetime | None = None
    secret: str | None = None

    @property
    def held(self) -> str:
        """How many events wait, `10000+` when that is as far as the service counts."""
        return f"{self.waiting}+" if self.waiting_more else str(self.waiting)


class Attempt(msgspec.Struct, frozen=True):
    """What the commands show of an attempt."""

    outcome: str = ""
    status: int | None = None
    address: str | None = None
    timings_ms: dict[str, float | None] = {}


class TestAnswer(msgspec.Struct, frozen=True):
    """The answer of the test button."""

    __test__ = False  # not a test, whatever its name begins with

    verdict: str
    explanation: str
    event_id: str = ""
    attempt: Attempt = Attempt()


class Secret(msgspec.Struct, frozen=True):
    """The answer of a rotation."""

    secret: str
    previous_expires_at: datetime | None = None


def _path(endpoint_id: str, act: str = "") -> str:
    return f"/v1/endpoints/{segment(endpoint_id)}{act}"


@app.command
def add(
    url: str,
    /,
    *,
    events: Annotated[tuple[str, ...], Parameter(show_default=False)] = (),
    description: str | None = None,
    start: str | None = None,
    settings: Path | None = None,
    json: AsJson = False,
    connection: Connection | None = None,
) -> None:
    """Add an endpoint and print its secret, this once.

    ```
    waypost endpoint add https://erp.example/hooks/waypost --events "shipment.status.*" --events shipment.updated
    ```

    Parameters
    ----------
    url
        Where the events are posted to; http or https.
    events
        A type or a pattern of types; give it once for each. Default: `shipment.*`.
    description
        For people.
    start
        What it gets first: `now` (the default), `beginning`, a position or a time.
    settings
        A JSON file, `-` for standard input, with any other field of an endpoint.
    """
    document = _document(settings)
    given = {"url": url, "events": list(events) or None, "description": description, "start": _start(start)}
    document |= {name: value for name, value in given.items() if value is not None}
    body = (connection or Connection()).open().call("POST", "/v1/endpoints", document).body
    if json:
        return print_json(body)
    endpoint = msgspec.json.decode(body, type=Endpoint)
    print_fields([("id", endpoint.id), ("url", endpoint.url), ("secret", endpoint.secret)])
    return remark(f"The receiver checks signatures with the secret. Try it: waypost endpoint test {endpoint.id}")


def _document(settings: Path | None) -> dict[str, object]:
    if settings is None:
        return {}
    try:
        return msgspec.json.decode(read_input(settings), type=dict[str, object])
    except msgspec.MsgspecError as error:
        raise CommandError(f"{settings} does not hold a JSON object: {error}.") from error


def _start(text: str | None) -> object:
    return int(text) if text is not None and text.isascii() and text.isdigit() else text


@app.command(name="list")
def list_endpoints(*, json: AsJson = False, connection: Connection | None = None) -> None:
    """List the endpoints with their state and what waits for them.

    ```
    waypost endpoint list
    ```
    """
    items = list((connection or Connection()).open().items("/v1/endpoints"))
    if json:
        return print_json({"items": items, "next": None})
    endpoints = [msgspec.json.decode(item, type=Endpoint) for item in items]
    if not endpoints:
        return remark("There is no endpoint yet. Add one: waypost endpoint add URL")
    rows = [(each.id, each.url, each.state, each.held, " ".join(each.events)) for each in endpoints]
    return print_table(("id", "url", "state", "waiting", "events"), rows, right=("waiting",))


@app.command
def show(endpoint_id: str, *, json: AsJson = False, connection: Connection | None = None) -> None:
    """Show one endpoint.

    ```
    waypost endpoint show ep_01KE0000000000000000000000
    ```

    Parameters
    ----------
    endpoint_id
        The id that `waypost endpoint list` shows.
    """
    body = (connection or Connection()).open().get(_path(endpoint_id))
    _print_endpoint(body, json=json)


def _print_endpoint(body: bytes, *, json: bool) -> None:
    if json:
        return print_json(body)
    endpoint = msgspec.json.decode(body, type=Endpoint)
    since = f"{endpoint.state} since {local_time(endpoint.state_since)}" if endpoint.state_since else endpoint.state
    return print_fields(
        [
            ("id", endpoint.id),
            ("url", endpoint.url),
            ("description", endpoint.description),
            ("events", " ".join(endpoint.events)),
            ("state", since),
            ("reason", endpoint.state_reason),
            ("waiting", endpoint.held),
            ("created", local_time(endpoint.created_at)),
        ]
    )


@app.command(name="test")
def send_test(
    endpoint_id: str,
    *,
    type: str | None = None,  # noqa: A002 - the flag's name is the field's
    json: AsJson = False,
    connection: Connection | None = None,
) -> None:
    """Send a test event now and show what the receiver said. Exit code 1 when it was not delivered.

    ```
    waypost endpoint test ep_01KE0000000000000000000000 --type shipment.status.delivered
    ```

    Parameters
    ----------
    endpoint_id
        The id that `waypost endpoint list` shows.
    type
        The event type whose example is sent. Default: `webhook.test`.
    """
    wanted = {} if type is None else {"type": type}
    body = (connection or Connection()).open().call("POST", _path(endpoint_id, "/test"), wanted).body
    answer = msgspec.json.decode(body, type=TestAnswer)
    if json:
        print_json(body)
    else:
        timings = {name: ms for name, ms in answer.attempt.timings_ms.items() if ms is not None}
        split = "  ".join(f"{name} {ms:g} ms" for name, ms in timings.items())
        say(answer.explanation)
        print_fields([("event", answer.event_id), ("address", answer.attempt.address), ("time", split or None)])
    if answer.verdict != "delivered":
        raise CommandError(f"The test was not delivered to {endpoint_id}.")


@app.command
def pause(endpoint_id: str, *, json: AsJson = False, connection: Connection | None = None) -> None:
    """Hold all deliveries. Events wait, in order, and nothing is lost.

    ```
    waypost endpoint pause ep_01KE0000000000000000000000
    ```

    Parameters
    ----------
    endpoint_id
        The id that `waypost endpoint list` shows.
    """
    _print_endpoint(_act(endpoint_id, "/pause", connection), json=json)
    remark(f"Events wait from now on. To go on: waypost endpoint resume {endpoint_id}")


@app.command
def resume(endpoint_id: str, *, json: AsJson = False, connection: Connection | None = None) -> None:
    """Go on from where the endpoint stopped, in order.

    ```
    waypost endpoint resume ep_01KE0000000000000000000000
    ```

    Parameters
    ----------
    endpoint_id
        The id that `waypost endpoint list` shows.
    """
    _print_endpoint(_act(endpoint_id, "/resume", connection), json=json)


def _act(endpoint_id: str, act: str, connection: Connection | None) -> bytes:
    return (connection or Connection()).open().call("POST", _path(endpoint_id, act)).body


@app.command
def rotate(
    endpoint_id: str,
    *,
    overlap_seconds: int = 86_400,
    json: AsJson = False,
    connection: Connection | None = None,
) -> None:
    """Make a new secret and print it; both secrets sign until the overlap ends.

    ```
    waypost endpoint rotate ep_01KE0000000000000000000000 --overlap-seconds 3600
    ```

    Parameters
    ----------
    endpoint_id
        The id that `waypost endpoint list` shows.
    overlap_seconds
        How long the old secret signs beside the new one.
    """
    client = (connection or Connection()).open()
    body = client.call("POST", _path(endpoint_id, "/secret/rotate"), {"overlap_seconds": overlap_seconds}).body
    if json:
        return print_json(body)
    secret = msgspec.json.decode(body, type=Secret)
    say(secret.secret)
    if secret.previous_expires_at is None:
        return remark("The old secret signs no more.")
    return remark(f"The old secret signs too until {local_time(secret.previous_expires_at)}.")


@app.command
def remove(endpoint_id: str, *, yes: bool = False, connection: Connection | None = None) -> None:
    """Remove an endpoint for good, with what waits for it.

    ```
    waypost endpoint remove ep_01KE0000000000000000000000 --yes
    ```

    Parameters
    ----------
    endpoint_id
        The id that `waypost endpoint list` shows.
    yes
        Do not ask. Needed where nobody can be asked and events wait.
    """
    client = (connection or Connection()).open()
    endpoint = client.read(_path(endpoint_id), Endpoint)
    if not yes and not _may_remove(endpoint):
        raise CommandError(f"Endpoint {endpoint.id} stays.")
    client.call("DELETE", _path(endpoint.id))
    remark(f"Endpoint {endpoint.id} is removed.")


def _may_remove(endpoint: Endpoint) -> bool:
    if sys.stdin.isatty():
        question = f"Remove {endpoint.url}? {endpoint.held} events wait there and will not be sent."
        return Confirm.ask(Text(visible(question)), console=remarks(), default=False)
    if endpoint.waiting:
        raise UsageError(
            f"{endpoint.held} events wait at {endpoint.id} and would not be sent. To remove it, add --yes."
        )
    return True
