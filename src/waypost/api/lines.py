"""Cuts a body that comes in pieces into lines, without holding more than one unfinished line."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the body, without its end. `text` None means that it was longer than is read."""

    number: int
    text: bytes | None


class LineCutter:
    """Feed it pieces, take lines. Lines are counted from 1; blank ones count and are left out."""

    def __init__(self, length_max: int) -> None:
        self._length_max = length_max
        self.number = 0
        self._parts: list[bytes] = []
        self._length = 0

    @property
    def held_bytes(self) -> int:
        """How much of the unfinished line is in memory."""
        return sum(map(len, self._parts))

    def feed(self, piece: bytes) -> Iterator[Line]:
        """Give the lines that `piece` ends."""
        start = 0
        while (end := piece.find(b"\n", start)) >= 0:
            self._keep(piece[start:end])
            yield from self._end_line()
            start = end + 1
        self._keep(piece[start:])

    def finish(self) -> Iterator[Line]:
        """Give the last line, when the body does not end with a line end."""
        if self._length:
            yield from self._end_line()

    def _keep(self, part: bytes) -> None:
        self._length += len(part)
        if self._length <= self._length_max:
            self._parts.append(part)
        else:
            self._parts.clear()

    def _end_line(self) -> Iterator[Line]:
        self.number += 1
        text = b"".join(self._parts) if self._length <= self._length_max else None
        self._parts.clear()
        self._length = 0
        if text is None or text.strip():
            yield Line(self.number, text)
