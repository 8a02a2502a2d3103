"""`waypost events types`, `put-type` and `send`: events of the sender's own."""

from pathlib import Path
from typing import Any

import msgspec
from cyclopts import App

from waypost.cli.connection import Connection
from waypost.cli.output import AsJson, CommandError, print_json, print_json_line, print_table, read_input, remark, say
from waypost.client import segment


class ListedType(msgspec.Struct, frozen=True):
    """What the commands show of a type."""

    type: str
    title: str = ""
    own: bool = False


class SentEvent(msgspec.Struct, frozen=True):
    """What the commands show of an event that was sent."""

    id: str
    type: str
    key: str
    sequence: int
    position: int


def add_to(app: App) -> None:
    """Give `waypost events` the commands of own events."""
    app.command(types)
    app.command(put_type, name="put-type")
    app.command(send)


def types(*, own: bool = False, json: AsJson = False, connection: Connection | None = None) -> None:
    """List the types of event: the catalogue, and after it those of your own.

    ```
    waypost events types --own
    ```

    Parameters
    ----------
    own
        Only those of your own.
    json
        Print one type a line, whole, with its schema and example.
    """
    bodies = list((connection or Connection()).open().items("/v1/event-types"))
    listed = [(body, msgspec.json.decode(body, type=ListedType)) for body in bodies]
    shown = [(body, kind) for body, kind in listed if kind.own or not own]
    if json:
        for body, _ in shown:
            print_json_line(bytes(body))
        return None
    if not shown:
        return remark("There is no type of your own. To register one: waypost events put-type FILE")
    rows = [(kind.type, kind.title, "yes" if kind.own else "") for _, kind in shown]
    return print_table(("type", "title", "own"), rows)


def put_type(file: Path, /, *, json: AsJson = False, connection: Connection | None = None) -> None:
    """Register a type of event of your own, or change it for the events to come.

    ```
    waypost events put-type invoice-created.json
    ```

    Parameters
    ----------
    file
        A JSON file, `-` for standard input: `type`, `schema` (the JSON Schema of `data`), and if you like `title`,
        `description` and `example` (of `data`).
    json
        Print the type as JSON.
    """
    document = _object(file)
    name = document.pop("type", None)
    if not isinstance(name, str) or not name:
        raise CommandError(f'{file} has no "type", such as "invoice.created".')
    body = msgspec.json.encode(document)
    answer = (connection or Connection()).open().call("PUT", f"/v1/event-types/{segment(name)}", body)
    if json:
        return print_json(answer.body)
    return say(f"{name} is registered." if answer.status == 201 else f"{name} is changed for the events to come.")


def send(file: Path, /, *, json: AsJson = False, connection: Connection | None = None) -> None:
    """Send an event of a type of your own.

    ```
    waypost events send invoice-2201.json
    ```

    Parameters
    ----------
    file
        A JSON file, `-` for standard input: `type`, `key`, `data`, and if you like `occurred_at` and `id`.
    json
        Print the event as JSON.
    """
    answer = (connection or Connection()).open().call("POST", "/v1/events", read_input(file))
    if json:
        return print_json(answer.body)
    event = msgspec.json.decode(answer.body, type=SentEvent)
    words = "is in the log" if answer.status == 201 else "was in the log already"
    return say(f"{event.id} {words}: {event.type}, {event.sequence} of {event.key}, position {event.position}.")


def _object(file: Path) -> dict[str, Any]:
    try:
        # The members stay as they were written: a number of the schema must not be rounded on its way.
        document = msgspec.json.decode(read_input(file), type=dict[str, msgspec.Raw])
    except msgspec.DecodeError as error:
        raise CommandError(f"{file} is not a JSON object: {error}") from error
    given: dict[str, Any] = dict(document)
    if "type" in document:
        given["type"] = msgspec.json.decode(document["type"])
    return given
