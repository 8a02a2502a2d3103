"""What the commands print: results on standard output, remarks on standard error, errors as one sentence.

Texts that come from elsewhere (references, answers, names) may hold anything, so nothing is printed before `visible`
has made its control characters harmless, and no text is read as markup.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

# Control characters move the cursor or recolour a terminal; bidirectional marks make one name look like another.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

AsJson = Annotated[bool, Parameter(name="--json", help="Print JSON, as the API gives it.")]
STANDARD_INPUT = Path("-")


class CommandError(Exception):
    """The command could not do it: exit code 1, the message is one sentence with the remedy."""

    exit_code = 1

    def __init__(self, message: str, places: Sequence[str] = ()) -> None:
        """`places` are the wrong places of a document, a line each."""
        super().__init__(message)
        self.places = tuple(places)


class UsageError(CommandError):
    """The command was called in a way that cannot mean anything: exit code 2."""

    exit_code = 2


def visible(text: object) -> str:
    """The text on one line, its unprintable characters written out as `\\x1b`."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), str(text))


def results() -> Console:
    """Where results go."""
    return Console(file=sys.stdout, highlight=False, markup=False, soft_wrap=True, emoji=False)


def remarks() -> Console:
    """Where everything goes that is not a result."""
    return Console(file=sys.stderr, highlight=False, markup=False, soft_wrap=True, emoji=False)


def say(text: str) -> None:
    """Print a result line."""
    results().print(Text(visible(text)))


def remark(text: str) -> None:
    """Print a remark that no script reads."""
    remarks().print(Text(visible(text), style="dim"))


def complain(error: Exception, places: Sequence[str] = ()) -> None:
    """Print the sentence of a failure and the wrong places under it."""
    console = remarks()
    console.print(Text.assemble(("✗ " if console.is_terminal else "", "bold red"), visible(error)))
    for place in places:
        console.print(Text("  " + visible(place)))


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    sys.stdout.write(msgspec.json.format(body, indent=2).decode() + "\n")


def print_json_line(body: bytes) -> None:
    """Print JSON on one line, as it came, and show it at once to whoever reads the pipe."""
    sys.stdout.write(body.decode() + "\n")
    sys.stdout.flush()


def print_table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print rows: aligned on a terminal, separated by tabs on a pipe. `right` names the columns of numbers.

    Without `heads` there is no line of heads.
    """
    texts = [[visible("–" if cell is None else cell) for cell in row] for row in rows]
    console = results()
    if not console.is_terminal:
        for line in [list(heads), *texts] if heads else texts:
            sys.stdout.write("\t".join(line) + "\n")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for head in heads:
        table.add_column(head, justify="right" if head in right else "left", overflow="fold")
    for line in texts:
        table.add_row(*map(Text, line))
    console.print(table)


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one pair a line; a value of None is shown as `–`."""
    print_pairs = [(name, "–" if value is None else value) for name, value in fields]
    width = max((len(name) for name, _ in print_pairs), default=0)
    for name, value in print_pairs:
        results().print(Text.assemble((name.ljust(width + 2), "dim"), visible(value)))


def local_time(instant: datetime | None) -> str:
    """The instant to the second, in UTC, as the API writes it; `–` for none."""
    return "–" if instant is None else instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def read_input(path: Path) -> bytes:
    """The bytes of a file, or of standard input for `-`. Raises CommandError when they cannot be read."""
    try:
        return sys.stdin.buffer.read() if path == STANDARD_INPUT else path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
