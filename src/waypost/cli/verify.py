"""`waypost verify`: which part of a captured request's signature is wrong, and why."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.text import Text

from waypost.cli.connection import Connection
from waypost.cli.output import (
    STANDARD_INPUT,
    AsJson,
    CommandError,
    UsageError,
    print_json,
    print_table,
    read_input,
    results,
    visible,
)
from waypost.client import Client, ClientError, segment
from waypost.receiver import Diagnosis, diagnose

SECRET_VARIABLE = "WAYPOST_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("?", "yellow")}
WORDS = {True: "right", False: "wrong", None: "open"}

Pairs = Sequence[tuple[str, str]]


class Secret(msgspec.Struct, frozen=True):
    """The answer that reveals a secret."""

    secret: str


def verify(
    request: Path = STANDARD_INPUT,
    *,
    body: Path | None = None,
    endpoint: str | None = None,
    secret_file: Path | None = None,
    at: datetime | None = None,
    json: AsJson = False,
    connection: Connection | None = None,
) -> None:
    """Check a captured request: which part of its signature is wrong, and why. Exit code 1 when one is.

    ```
    WAYPOST_WEBHOOK_SECRET=whsec_… waypost verify request.txt
    waypost verify headers.txt --body body.json --endpoint ep_01KE0000000000000000000000
    ```

    Parameters
    ----------
    request
        The request as it came: its headers, an empty line, its body; `-` is standard input. With `--body` only its
        headers, one a line.
    body
        The body, byte for byte as it came, in a file of its own.
    endpoint
        Take the secret of this endpoint from the service, and compare the body with the one that was sent.
    secret_file
        A file with the secret, one a line during a rotation. Default: WAYPOST_WEBHOOK_SECRET.
    at
        When the request came, to judge its time. Default: now.
    """
    captured = read_input(request)
    headers, content = (_headers(captured), read_input(body)) if body is not None else _split(captured)
    client = (connection or Connection()).open() if endpoint is not None else None
    secrets = _secrets(secret_file, client, endpoint)
    sent = None if client is None else _sent_body(client, headers)
    diagnosis = diagnose(content, headers, secret=secrets, now=_instant(at), sent=sent)
    _print(diagnosis, json=json)
    if not diagnosis.ok:
        raise CommandError(diagnosis.verdict)


def _print(diagnosis: Diagnosis, *, json: bool) -> None:
    if json:
        return print_json(diagnosis)
    console = results()
    if not console.is_terminal:
        return print_table((), [(WORDS[found.ok], found.part, found.text) for found in diagnosis.findings])
    for found in diagnosis.findings:
        console.print(Text.assemble(MARKS[found.ok], f" {found.part:<8} ", visible(found.text)))
    return None


def _split(captured: bytes) -> tuple[Pairs, bytes]:
    """Take headers and body apart at the first empty line, as HTTP/1.1 does (RFC 9112, section 2.1)."""
    ends = [(captured.find(end), end) for end in (b"\r\n\r\n", b"\n\n")]
    found = [(at, end) for at, end in ends if at >= 0]
    if not found:
        raise UsageError("The request has no empty line between headers and body. Give the body with --body FILE.")
    at, end = min(found)
    return _headers(captured[:at]), captured[at + len(end) :]


def _headers(captured: bytes) -> Pairs:
    """Read `name: value` lines. Others (the request line, a prompt of curl) hold no header and are passed over."""
    lines = captured.decode("utf-8", "replace").splitlines()
    pairs = [line.lstrip("<> ").partition(":") for line in lines]
    return [(name.strip(), value.strip()) for name, colon, value in pairs if colon and name and " " not in name.strip()]


def _secrets(file: Path | None, client: Client | None, endpoint: str | None) -> list[str]:
    if file is not None:
        return [line.strip() for line in read_input(file).decode("utf-8", "replace").splitlines() if line.strip()]
    if client is not None and endpoint is not None:
        return [client.read(f"/v1/endpoints/{segment(endpoint)}/secret", Secret).secret]
    given = os.environ.get(SECRET_VARIABLE)
    if not given:
        raise UsageError(f"There is no secret: set {SECRET_VARIABLE}, or give --secret-file or --endpoint.")
    return given.split()


def _sent_body(client: Client, headers: Pairs) -> bytes | None:
    """The event as it was sent, found by its id; None when the service does not know it (a test, an old one)."""
    event_id = next((value for name, value in headers if name.lower() == "webhook-id"), None)
    if event_id is None:
        return None
    try:
        return client.get(f"/v1/events/{segment(event_id)}")
    except ClientError:
        return None


def _instant(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at
