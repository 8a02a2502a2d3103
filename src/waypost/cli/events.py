"""`waypost events`: the account's log, read and followed."""

import time
from collections.abc import Iterator
from datetime import datetime
from itertools import islice

import msgspec
from cyclopts import App

from waypost.cli import own_events, replay
from waypost.cli.connection import Connection
from waypost.cli.output import AsJson, local_time, print_json_line, print_table, remark, say
from waypost.client import AwayError, Client, segment

RECONNECT_AFTER_S = 1.0

app = App(name="events", help="List, follow, replay and send the events of an account.")
replay.add_to(app)
own_events.add_to(app)


class Event(msgspec.Struct, frozen=True):
    """What the commands show of an event."""

    id: str
    type: str
    timestamp: datetime
    position: int
    sequence: int
    reference: str | None = None


@app.command(name="list")
def list_events(
    *,
    after: int = 0,
    limit: int = 50,
    shipment: str | None = None,
    json: AsJson = False,
    connection: Connection | None = None,
) -> None:
    """List events in the order of the log.

    ```
    waypost events list --after 10230 --limit 100
    waypost events list --shipment SO-1001 --json
    ```

    Parameters
    ----------
    after
        Begin after this position; with `--shipment`, after this sequence of the shipment.
    limit
        List at most so many.
    shipment
        Only the events of this shipment, by its reference or `shp_…` id.
    json
        Print one event a line, whole, as it was sent.
    """
    client = (connection or Connection()).open()
    path = "/v1/events" if shipment is None else f"/v1/shipments/{segment(shipment)}/events"
    bodies = client.items(path, {"after": after}, limit=limit)
    if json:
        for body in bodies:
            print_json_line(bytes(body))
        return None
    events = [msgspec.json.decode(body, type=Event) for body in bodies]
    if not events:
        return remark("There is no event here.")
    rows = [
        (event.position, event.reference, event.sequence, event.type, local_time(event.timestamp), event.id)
        for event in events
    ]
    return print_table(
        ("position", "reference", "sequence", "type", "occurred", "id"), rows, right=("position", "sequence")
    )


@app.command
def tail(
    *,
    after: int | None = None,
    limit: int | None = None,
    json: AsJson = False,
    connection: Connection | None = None,
) -> None:
    """Follow the log: print each event as it happens, until Ctrl-C.

    ```
    waypost events tail
    waypost events tail --after 0 --json
    ```

    Parameters
    ----------
    after
        Begin after this position instead of now; 0 is the beginning.
    limit
        Stop after so many events.
    json
        Print one event a line, whole, as it was sent.
    """
    client = (connection or Connection()).open()
    for body in islice(_followed(client, after), limit):
        if json:
            print_json_line(body)
        else:
            event = msgspec.json.decode(body, type=Event)
            say(f"{local_time(event.timestamp)}  {event.position:>8}  {event.reference or '–'}  {event.type}")


def _followed(client: Client, after: int | None) -> Iterator[bytes]:
    """The events past `after`, for ever. A stream that breaks off is opened again where it was."""
    was_connected = False
    while True:
        try:
            for position, body in _stream(client.lines("/v1/events/stream", {"after": after})):
                was_connected, after = True, position
                yield body
        except AwayError as error:
            if not was_connected:
                raise
            remark(f"{error} Trying again.")
        was_connected = True
        time.sleep(RECONNECT_AFTER_S)


def _stream(lines: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """The position and body of each event of a server-sent stream."""
    position, data = 0, b""
    for line in lines:
        name, _, value = line.partition(b":")
        match name:
            case b"id":
                position = int(value)
            case b"data":
                data = value.strip()
            case b"" if not line and data:
                yield position, data
                data = b""
