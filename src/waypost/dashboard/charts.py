"""The geometry of the charts: numbers in, SVG attributes out, since pages carry no inline style.

Along the width everything is in percent, so that a chart fills the room it is given while its text keeps its size;
down the height in pixels. Nothing ever leaves the chart.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

HEIGHT = 190  # of the bars
TOP = 10  # above the highest tick: room for what is too small to be drawn true to scale
BASE = 170  # y of the baseline; below it stand the words of the axis
LINES_HEIGHT = 56  # of the lines beneath
LINES_TOP, LINES_BASE = 6, 48
GAP_SHARE = 0.18  # between two bars
SEEN_MIN = 1.5  # pixels: one among thousands can still be seen
TICKS_MAX = 4
WORDS_END = 86.0  # past so many percent, words stand at the left of what they name


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a bar; `kind` is its class: done, retry, fail, wait."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar with its parts, the lowest first. `x` and `width` are those of its whole bin."""

    x: float
    width: float
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """A straight line."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A line across the chart, and the value that it stands for."""

    y: float
    value: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A place along the width, and at which side of it its words stand (`start` or `end`)."""

    x: float
    side: str = "start"


@dataclass(frozen=True, slots=True)
class Bars:
    """A chart of stacked bars."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    usual: tuple[Segment, ...] = ()
    now: Mark | None = None
    height: int = HEIGHT
    base: int = BASE


@dataclass(frozen=True, slots=True)
class Lines:
    """A chart of lines over the same bins, one beneath the bars."""

    lines: tuple[tuple[Segment, ...], ...]
    ticks: tuple[Tick, ...]
    height: int = LINES_HEIGHT
    base: int = LINES_BASE


def round_ticks(most: float, ticks_max: int = TICKS_MAX) -> list[float]:
    """Give round values from 0 to the first that is at least `most`, in steps of 1, 2 or 5 times a power of ten.

    Whole numbers, where `most` is one or more.

        >>> round_ticks(331)
        [0, 100, 200, 300, 400]
    """
    if most <= 0:
        return [0, 1]
    rough = most / ticks_max
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    if most >= 1:
        step = max(1.0, step)
    count = math.ceil(most / step - 1e-9)
    values = [step * n for n in range(count + 1)]
    return [int(value) for value in values] if step >= 1 else [float(f"{value:.10g}") for value in values]


def bars(
    stacks: Sequence[Sequence[tuple[str, float]]],
    *,
    usual: Sequence[float] | None = None,
    now: float | None = None,
) -> Bars:
    """Give a chart of bins of equal width; each stack is the kind and amount of its parts, the lowest first.

    `usual` is drawn as a step line; `now` is the share of the width (0 to 1) at which a line stands.
    """
    totals = [sum(amount for _, amount in stack) for stack in stacks]
    ticks = round_ticks(max([*totals, *(usual or ())], default=0))
    most, step = ticks[-1], 100 / max(len(stacks), 1)
    return Bars(
        bars=tuple(_bar(index * step, step, stack, most) for index, stack in enumerate(stacks)),
        ticks=tuple(Tick(_y(value, most, TOP, BASE), value) for value in ticks),
        usual=tuple(_steps([_y(value, most, TOP, BASE) for value in usual], step)) if usual else (),
        now=None if now is None else Mark(_percent(100 * now), "end" if 100 * now > WORDS_END else "start"),
    )


def _bar(x: float, step: float, stack: Sequence[tuple[str, float]], most: float) -> Bar:
    inner_x, width = _percent(x + step * GAP_SHARE / 2), _percent(step * (1 - GAP_SHARE))
    parts = [(kind, max((BASE - TOP) * amount / most, SEEN_MIN)) for kind, amount in stack if amount > 0]
    boxes: list[Box] = []
    ends = accumulate(height for _, height in parts)
    for (kind, height), end in zip(parts, ends, strict=True):
        y = max(BASE - end, 0.0)
        below = boxes[-1].y if boxes else float(BASE)
        boxes.append(Box(kind, inner_x, round(y, 2), width, round(min(height, below - y), 2)))
    return Bar(_percent(x), _percent(step), tuple(boxes))


def _y(value: float, most: float, top: int, base: int) -> float:
    return round(base - (base - top) * value / most, 2)


def _percent(value: float) -> float:
    return round(min(max(value, 0.0), 100.0), 3)


def _steps(heights: Sequence[float], step: float) -> Iterable[Segment]:
    """A line that is level over each bin and goes straight up or down between two."""
    for index, y in enumerate(heights):
        left, right = _percent(index * step), _percent((index + 1) * step)
        yield Segment(left, y, right, y)
        if index + 1 < len(heights) and heights[index + 1] != y:
            yield Segment(right, y, right, heights[index + 1])


def lines(series: Sequence[Sequence[float | None]]) -> Lines:
    """Give lines through the middles of bins of equal width, each from 0 upwards; None leaves a gap.

    A value between two gaps is a short level line, or it would not be seen.
    """
    ticks = round_ticks(max((value for one in series for value in one if value is not None), default=0.0), 2)
    most = ticks[-1]
    return Lines(
        lines=tuple(tuple(_line(one, most)) for one in series),
        ticks=tuple(Tick(_y(value, most, LINES_TOP, LINES_BASE), value) for value in (ticks[0], most)),
    )


def _line(values: Sequence[float | None], most: float) -> Iterable[Segment]:
    step = 100 / max(len(values), 1)
    points = [
        None if value is None else (_percent((index + 0.5) * step), _y(value, most, LINES_TOP, LINES_BASE))
        for index, value in enumerate(values)
    ]
    for index, point in enumerate(points):
        if point is None:
            continue
        following = points[index + 1] if index + 1 < len(points) else None
        if following is not None:
            yield Segment(*point, *following)
        elif index == 0 or points[index - 1] is None:
            x, y = point
            yield Segment(_percent(x - step / 4), y, _percent(x + step / 4), y)


def marks(count: int, every: int, first: int = 0) -> list[tuple[int, Mark]]:
    """Give the edges to write on an axis of `count` bins: each `every` from `first` on, with where it lies."""
    found = [(edge, Mark(_percent(100 * edge / max(count, 1)))) for edge in range(first, count + 1, every)]
    return [(edge, Mark(mark.x, "end" if mark.x > 97 else "start" if mark.x < 2 else "middle")) for edge, mark in found]
