"""What the demo shows while it plays: what came in, what went out, what the shop did."""

import sys
from collections import deque
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

Column = Literal["in", "out", "shop"]
TITLES: dict[Column, str] = {"in": "Came in", "out": "Went out", "shop": "The shop did"}
LINES_KEPT = 200
LINES_MIN, LINES_MAX = 8, 30
LINES_AROUND = 7  # the head, the line below, and the prompt that comes back


class PlainView:
    """A line for each thing that happens, for pipes and files."""

    def show(self, column: Column, text: str, *, bad: bool = False) -> None:
        """Show one thing that happened."""
        sys.stderr.write(f"{column:<4}  {'! ' if bad else ''}{text}\n")

    def state(self, text: str) -> None:
        """Show how things stand; a pipe is not told."""

    def running(self) -> AbstractContextManager[object]:
        """The time while the view is up."""
        return nullcontext()


@dataclass(slots=True)
class LiveView:
    """Three columns that fill from the top, and a line that says how things stand. Safe to call from any thread."""

    console: Console
    head: str
    columns: dict[Column, deque[Text]] = field(
        default_factory=lambda: {name: deque(maxlen=LINES_KEPT) for name in TITLES}
    )
    standing: str = ""
    lock: Lock = field(default_factory=Lock)

    def show(self, column: Column, text: str, *, bad: bool = False) -> None:
        """Show one thing that happened, under those before it."""
        with self.lock:
            self.columns[column].append(Text(text, style="yellow" if bad else "", no_wrap=True, overflow="ellipsis"))

    def state(self, text: str) -> None:
        """Show how things stand."""
        self.standing = text

    def running(self) -> AbstractContextManager[object]:
        """Keep the picture up for as long as this is entered."""
        return Live(get_renderable=self._picture, console=self.console, refresh_per_second=4, transient=False)

    def _picture(self) -> Group:
        height = max(LINES_MIN, min(LINES_MAX, self.console.height - LINES_AROUND))
        columns = Table.grid(expand=True, padding=(0, 1, 0, 0))
        for _ in TITLES:
            columns.add_column(ratio=1)
        columns.add_row(*(self._panel(name, height) for name in TITLES))
        return Group(Text(self.head), columns, Text(self.standing, style="bold"))

    def _panel(self, name: Column, height: int) -> Panel:
        with self.lock:
            newest = list(self.columns[name])[-(height - 2) :]
        return Panel(Group(*newest), title=TITLES[name], title_align="left", border_style="dim", height=height)


View = PlainView | LiveView
