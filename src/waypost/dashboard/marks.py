"""The geometry of the two smallest charts: the sparkline of a row, and the bar that says where an attempt's time went.

Numbers in, SVG attributes out: pages carry no inline style.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SPARK_WIDTH, SPARK_HEIGHT = 116, 28
_BASE = 24  # y of the baseline; below it stand the ticks of hours with failures
_TOP = 2
_BAR_WIDTH = 3  # whole pixels, so that the bars are as sharp as their gaps
_HELD_INSET = 0.5  # an outline is drawn on its middle

PARTS_OF_TIME = ("dns", "connect", "tls", "first_byte", "body")


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A bar; `kind` is its class: done, fail, held, tick."""

    kind: str
    x: float
    y: float
    width: float
    height: float


def spark(hours: Sequence[tuple[int, int, int]]) -> list[Rectangle]:
    """Give the bars of (delivered, failed, held) by hour, oldest first, scaled to the busiest of them."""
    most = max((sum(hour) for hour in hours), default=0)
    step = SPARK_WIDTH / max(len(hours), 1)
    made: list[Rectangle] = []
    for index, (delivered, failed, held) in enumerate(hours):
        x = round(index * step + (step - _BAR_WIDTH) / 2)
        made += _hour(x, _BAR_WIDTH, delivered, failed, held, (_BASE - _TOP) / most if most else 0.0)
    return made


def _hour(x: float, width: float, delivered: int, failed: int, held: int, scale: float) -> list[Rectangle]:
    """The bar of one hour: failures at the top of what was tried, what is held as an outline above."""
    made: list[Rectangle] = []
    y = float(_BASE)
    for kind, amount in (("done", delivered), ("fail", failed)):
        if amount:
            height = max(round(amount * scale, 2), 1.0)  # one among thousands can still be seen
            y = round(y - height, 2)
            made.append(Rectangle(kind, x, y, width, height))
    if failed:
        made.append(Rectangle("tick", x, _BASE + 1.5, width, 2))
    if held:
        height = max(round(held * scale, 2), 2.0)
        inset = 2 * _HELD_INSET
        made.append(
            Rectangle(
                "held", x + _HELD_INSET, round(y - height + _HELD_INSET, 2), round(width - inset, 2), height - inset
            )
        )
    return made


@dataclass(frozen=True, slots=True)
class Span:
    """A part of an attempt's time: where its bar begins and how wide it is, in percent, and its milliseconds."""

    kind: str
    x: float
    width: float
    ms: float


def split(timings: Mapping[str, float | None], longest_ms: float) -> list[Span]:
    """Give the parts of an attempt's time in proportion to the longest attempt of the page.

    A part that is None did not happen, as DNS, connect and TLS on a connection that was used again.
    """
    made: list[Span] = []
    x = 0.0
    for kind in PARTS_OF_TIME:
        ms = timings.get(kind)
        if ms is not None:
            width = 100 * ms / longest_ms if longest_ms > 0 else 0.0
            made.append(Span(kind, round(x, 3), round(width, 3), ms))
            x += width
    return made
