"""Every benchmark works, in a size that says nothing about speed: nothing gets lost, and each figure is a figure."""

import math
from pathlib import Path

import pytest

from waypost.bench.bench import ratios_to_neighbours
from waypost.bench.figures import Figure, Goal, at_least, at_most, over_rounds, quantile
from waypost.bench.machine import Machine
from waypost.bench.page import BEGIN, END, as_json, markdown, write_section
from waypost.bench.run import BENCHMARKS, measure


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_gives_its_figures_and_leaves_nothing_behind(name: str, tmp_path: Path) -> None:
    told: list[str] = []
    machine, (result,) = measure([name], quick=True, folder=tmp_path, say=told.append)
    assert result.name == name
    assert told
    assert result.configuration
    assert [figure for figure in result.figures if not math.isfinite(figure.value)] == []
    assert markdown(machine, [result], "the command").count("\n| ") > len(result.figures)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("goal", "met"), [(at_least(2), False), (at_least(1.5), True), (at_most(1), False), (at_most(1.5), True)]
)
def test_a_goal_is_met_up_to_its_bound(goal: Goal, met: bool) -> None:
    assert Figure("f", 1.5, "", goal).met is met


def test_rounds_are_told_by_their_median_and_their_extremes() -> None:
    figure = over_rounds("f", [3.0, 1.0, 2.0], "ms")
    assert (figure.value, figure.low, figure.high, figure.met) == (2.0, 1.0, 3.0, None)


def test_a_quantile_is_a_value_that_was_measured() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [quantile(values, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1.0, 50.0, 99.0, 100.0]


def test_a_measurement_is_held_against_the_yardsticks_beside_it() -> None:
    assert ratios_to_neighbours([1.0, 3.0], [2.0, 2.0, 4.0]) == [0.5, 1.0]


def test_results_take_the_place_of_the_old_ones_on_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    write_section(page, "new")
    assert page.read_text(encoding="utf-8") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"


def test_programs_are_told_whether_each_goal_was_met() -> None:
    machine = Machine(
        cores=2, processor="p", memory_gb=1.0, system="s", python="3", sqlite="3", filesystem="f", fsync_p50_ms=1.0,
        fsync_p99_ms=1.0, load=0.0,
    )  # fmt: skip
    told = as_json(machine, [], "waypost bench")
    assert (told["command"], told["results"]) == ("waypost bench", [])
