"""`waypost shipment`: shipments in, from a file or standard input, and what is known of one."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from waypost.cli.bulk import put_bulk
from waypost.cli.connection import Connection
from waypost.cli.output import (
    STANDARD_INPUT,
    AsJson,
    UsageError,
    local_time,
    print_fields,
    print_json,
    print_table,
    read_input,
    remark,
    results,
    say,
)
from waypost.client import segment

app = App(name="shipment", help="Put shipments, add what a carrier says, and show what is known.")


class EventRef(msgspec.Struct, frozen=True):
    """An event that followed from a report."""

    id: str
    type: str
    sequence: int
    position: int


class Location(msgspec.Struct, frozen=True):
    """Where a scan was made."""

    name: str | None = None
    country: str | None = None


class Scan(msgspec.Struct, frozen=True):
    """What the commands show of a tracking event."""

    occurred_at: datetime | None = None
    occurred_local: str | None = None
    status: str | None = None
    condition: str | None = None
    reason: str | None = None
    carrier_text: str | None = None
    location: Location | None = None


class Eta(msgspec.Struct, frozen=True):
    """What the commands show of an ETA."""

    at: datetime | None = None
    date: str | None = None


class Named(msgspec.Struct, frozen=True):
    """Anything with a name."""

    name: str | None = None


class Shipment(msgspec.Struct, frozen=True):
    """What the commands show of a shipment."""

    id: str
    reference: str
    version: int
    status: str
    condition: str = "ok"
    reason: str | None = None
    status_since: datetime | None = None
    updated_at: datetime | None = None
    erased_at: datetime | None = None
    eta: Eta | None = None
    carrier: Named | None = None
    tracking_events: tuple[Scan, ...] = ()


class Accepted(msgspec.Struct, frozen=True):
    """The answer to a report."""

    shipment: Shipment
    events: tuple[EventRef, ...] = ()
    stale: bool = False


def _path(reference: str, act: str = "") -> str:
    return f"/v1/shipments/{segment(reference)}{act}"


@app.command
def put(
    reference: str | None = None,
    file: Path = STANDARD_INPUT,
    *,
    bulk: Path | None = None,
    if_match: int | None = None,
    json: AsJson = False,
    connection: Connection | None = None,
) -> None:
    """Put a shipment document as its sender knows it, and list the events that followed.

    ```
    waypost shipment put SO-1001 shipment.json
    waypost shipment put --bulk shipments.ndjson
    ```

    Parameters
    ----------
    reference
        The sender's own reference of the shipment. Left out with `--bulk`.
    file
        The document, JSON; `-` is standard input.
    bulk
        A file, `-` for standard input, that holds one document a line, each with its `reference`. Lines that are
        refused are listed, the others stand; the exit code is then 1.
    if_match
        Refuse when the shipment's version is another one by now.
    """
    client = (connection or Connection()).open()
    if bulk is not None and reference is None and if_match is None:
        return put_bulk(client, bulk, json=json)
    if bulk is not None or reference is None:
        raise UsageError("Give a reference and its document, or --bulk and a file of documents.")
    headers = {} if if_match is None else {"If-Match": f'"{if_match}"'}
    body = client.call("PUT", _path(reference), read_input(file), headers=headers).body
    return _print_accepted(body, json=json)


def _print_accepted(body: bytes, *, json: bool) -> None:
    if json:
        return print_json(body)
    accepted = msgspec.json.decode(body, type=Accepted)
    if accepted.stale:
        return remark(f"{accepted.shipment.reference} is known in a later revision; nothing was applied.")
    if not accepted.events:
        return remark(f"Nothing of {accepted.shipment.reference} changed, so there is no event.")
    rows = [(event.sequence, event.type, event.id, event.position) for event in accepted.events]
    return print_table(("sequence", "type", "id", "position"), rows, right=("sequence", "position"))


@app.command
def show(reference: str, *, json: AsJson = False, connection: Connection | None = None) -> None:
    """Show a shipment: its status, its ETA, and its tracking events, newest first.

    ```
    waypost shipment show SO-1001
    ```

    Parameters
    ----------
    reference
        The sender's reference, or the `shp_…` id.
    """
    body = (connection or Connection()).open().get(_path(reference))
    if json:
        return print_json(body)
    shipment = msgspec.json.decode(body, type=Shipment)
    trouble = f"{shipment.condition} ({shipment.reason})" if shipment.reason else shipment.condition
    print_fields(
        [
            ("reference", shipment.reference),
            ("id", shipment.id),
            ("version", shipment.version),
            ("status", f"{shipment.status} since {local_time(shipment.status_since)}"),
            ("condition", trouble),
            ("carrier", shipment.carrier and shipment.carrier.name),
            ("eta", shipment.eta and (shipment.eta.date or local_time(shipment.eta.at))),
            ("updated", local_time(shipment.updated_at)),
        ]
    )
    if shipment.erased_at is not None:
        say(f"Personal data was erased at {local_time(shipment.erased_at)}.")
    return _print_scans(shipment.tracking_events)


def _print_scans(scans: tuple[Scan, ...]) -> None:
    if not scans:
        return
    earliest = datetime.min.replace(tzinfo=UTC)
    newest_first = sorted(scans, key=lambda scan: scan.occurred_at or earliest, reverse=True)
    rows = [
        (
            local_time(scan.occurred_at) if scan.occurred_at else scan.occurred_local,
            scan.status,
            " ".join(filter(None, (scan.condition, scan.reason))) or None,
            scan.location and scan.location.name,
            scan.carrier_text,
        )
        for scan in newest_first
    ]
    results().print()
    print_table(("occurred", "status", "condition", "location", "text"), rows)


@app.command
def track(
    reference: str,
    file: Path = STANDARD_INPUT,
    *,
    status: str | None = None,
    condition: str | None = None,
    reason: str | None = None,
    occurred_at: Annotated[str | None, Parameter(show_default=False)] = None,
    location: str | None = None,
    text: str | None = None,
    id: str | None = None,  # noqa: A002 - the flag's name is the field's
    json: AsJson = False,
    connection: Connection | None = None,
) -> None:
    """Add a tracking event by flags, or one or a list of them from a file.

    ```
    waypost shipment track SO-1001 --status collected --location "Pärnu"
    waypost shipment track SO-1001 scans.json
    ```

    Parameters
    ----------
    reference
        The sender's reference, or the `shp_…` id.
    file
        JSON, one tracking event or a list; `-` is standard input. Not read when a status or condition is given.
    status
        The status it moves to, such as `in_transit`.
    condition
        `ok`, `delayed`, `on_hold` or `exception`.
    reason
        Why, such as `weather`.
    occurred_at
        When it happened, RFC 3339 with its offset. Default: now.
    location
        The name of the place.
    text
        The carrier's own words.
    id
        The carrier's id of the scan; the same id again changes nothing.
    """
    client = (connection or Connection()).open()
    if status is None and condition is None:
        sent: object = read_input(file)
    else:
        given = {
            "id": id,
            "status": status,
            "condition": condition,
            "reason": reason,
            "occurred_at": occurred_at or datetime.now(UTC).isoformat(timespec="milliseconds"),
            "location": None if location is None else {"name": location},
            "carrier_text": text,
        }
        sent = {name: value for name, value in given.items() if value is not None}
    _print_accepted(client.call("POST", _path(reference, "/tracking-events"), sent).body, json=json)
