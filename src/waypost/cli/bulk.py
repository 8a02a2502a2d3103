"""Many shipments from one file, with a bar while it works."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import msgspec
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from waypost.cli.output import STANDARD_INPUT, CommandError, print_json_line, remark, remarks, say
from waypost.client import Client, WrongPlace

# One request a batch, not one for the file: the answer is read before the next is sent, so neither side ever holds
# more than this, and a connection that breaks costs one batch.
BATCH_BYTES_MAX = 256 * 1024
BATCH_LINES_MAX = 200
REFUSED_SHOWN_MAX = 20


class LineAnswer(msgspec.Struct, frozen=True):
    """What became of one line."""

    line: int
    status: int
    reference: str | None = None
    version: int | None = None
    events: list[msgspec.Raw] = []
    errors: tuple[WrongPlace, ...] = ()
    detail: str | None = None


@dataclass(slots=True)
class Tally:
    """How many lines ended how."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: list[str] = field(default_factory=list)

    def count(self, answer: LineAnswer, line: int) -> None:
        """Count the answer of the file's line number `line`."""
        match answer:
            case LineAnswer(status=201):
                self.created += 1
            case LineAnswer(status=200, events=[]):
                self.unchanged += 1
            case LineAnswer(status=200):
                self.changed += 1
            case _:
                wrong = "; ".join(f"{place.path}: {place.message}" for place in answer.errors)
                reason = wrong or answer.detail or f"answered {answer.status}"
                self.refused.append(f"line {line} ({answer.reference or 'no reference'}): {reason}")


def put_bulk(client: Client, file: Path, *, json: bool) -> None:
    """Put every document of the file, in order. Raises CommandError when one was refused; the others stand."""
    tally, lines_before = Tally(), 0
    with _opened(file) as source, _bar(source) as advance:
        for batch in _batches(source):
            body = client.call("POST", "/v1/bulk/shipments", b"".join(batch), content_type="application/x-ndjson").body
            for answered in body.splitlines():
                answer = msgspec.json.decode(answered, type=LineAnswer)
                # The service numbers the lines of the request, the reader those of the file.
                tally.count(answer, lines_before + answer.line)
                if json:
                    shown = msgspec.json.decode(answered, type=dict[str, msgspec.Raw])
                    print_json_line(msgspec.json.encode({**shown, "line": lines_before + answer.line}))
            lines_before += len(batch)
            advance(sum(map(len, batch)))
    _report(tally, json=json)


def _report(tally: Tally, *, json: bool) -> None:
    if not json:
        say(f"created {tally.created}, changed {tally.changed}, unchanged {tally.unchanged}")
    if tally.refused:
        shown, more = tally.refused[:REFUSED_SHOWN_MAX], len(tally.refused) - REFUSED_SHOWN_MAX
        count = f"{len(tally.refused)} line{'s were' if len(tally.refused) > 1 else ' was'} refused; the others stand."
        raise CommandError(count, [*shown, f"… and {more} more"] if more > 0 else shown)
    if not tally.created + tally.changed + tally.unchanged:
        remark("The file holds no document.")


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    if file == STANDARD_INPUT:
        yield sys.stdin.buffer
        return
    try:
        opened = file.open("rb")
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
    with opened:
        yield opened


def _batches(source: BinaryIO) -> Iterator[list[bytes]]:
    """The lines of the file in batches; empty ones keep their place, so that the count of lines stays right."""
    batch: list[bytes] = []
    size = 0
    for line in source:
        batch.append(line if line.endswith(b"\n") else line + b"\n")
        size += len(line)
        if size >= BATCH_BYTES_MAX or len(batch) >= BATCH_LINES_MAX:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


@contextmanager
def _bar(source: BinaryIO) -> Iterator[Callable[[int], None]]:
    """A bar over the file's bytes on a terminal, else nothing. Gives what to call with the bytes done."""
    console = remarks()
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        size = os.fstat(source.fileno()).st_size or None  # a pipe has no size
        task = progress.add_task("shipments", total=size)
        yield lambda done: progress.advance(task, done)
