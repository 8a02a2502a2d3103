"""Shows results: as Markdown for people and for docs/benchmarks.md, as JSON for programs."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from waypost.bench.figures import Figure, Result
from waypost.bench.machine import Machine

BEGIN = "<!-- Results: written by `waypost bench --write`. -->"
END = "<!-- End of the results. -->"


def markdown(machine: Machine, results: Sequence[Result], command: str) -> str:
    """Give all results, with the machine and the command that gave them."""
    parts = [f"`{command}` gave this:", _table(["machine", ""], machine.rows())]
    parts += [part for result in results for part in _result(result)]
    return "\n\n".join(parts) + "\n"


def _result(result: Result) -> Iterator[str]:
    yield f"### {result.title}"
    yield "\n".join(f"- {name}: {value}" for name, value in result.configuration.items())
    yield _table(["figure", "value", "over the rounds", "goal", ""], [_row(figure) for figure in result.figures])
    yield from result.remarks


def _row(figure: Figure) -> list[str]:
    rounds = "" if figure.low is None or figure.high is None else f"{_number(figure.low)} – {_number(figure.high)}"
    goal = verdict = ""
    if figure.goal is not None:
        goal = f"{'at least' if figure.goal.at_least else 'at most'} {_number(figure.goal.bound)}"
        verdict = "met" if figure.met else "**missed**"
    return [figure.name, f"{_number(figure.value)} {figure.unit}".strip(), rounds, goal, verdict]


def _number(value: float) -> str:
    """Three digits that count; whole numbers from a hundred on."""
    if abs(value) >= 100 or value == round(value):
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its columns aligned so that it can be read as it stands."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [head, ["-" * max(3, width) for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(max(3, width)) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def as_json(machine: Machine, results: Sequence[Result], command: str) -> dict[str, object]:
    """Give the same for programs; each figure with `met`, null where there is no goal."""
    return {
        "command": command,
        "machine": machine,
        "results": [
            {
                "name": result.name,
                "title": result.title,
                "configuration": result.configuration,
                "figures": [msgspec.to_builtins(figure) | {"met": figure.met} for figure in result.figures],
                "remarks": result.remarks,
            }
            for result in results
        ],
    }


def write_section(page: Path, section: str) -> None:
    """Put the results between the two marks of the page, in place of those that stand there."""
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin, f"{page} has no place for results: {BEGIN}"
    assert end, f"{page} has no end of the results: {END}"
    page.write_text(f"{before}{BEGIN}\n\n{section.strip()}\n\n{END}{after}", encoding="utf-8")
