"""A run that breaks a promise is made smaller, and told so that a person can follow it."""

from waypost.simulator.config import draw
from waypost.simulator.many import breach_of, smallest
from waypost.simulator.planted.finding import recorded
from waypost.simulator.run import run_seed
from waypost.simulator.shrink import shrink
from waypost.simulator.story import tell

FOUND = recorded()["body written anew for a retry"]
RUNS = 8


def test_a_run_is_made_smaller_and_still_breaks_the_same_promise():
    whole = draw(FOUND.seed)
    shrunk, broken = smallest(FOUND.seed, FOUND.promise, FOUND.name, runs_max=RUNS)
    assert broken.promise == FOUND.promise
    assert shrunk.runs <= RUNS
    assert len(shrunk.config.harms) < len(whole.harms)
    assert breach_of(run_seed(FOUND.seed, FOUND.name, shrunk.config), FOUND.promise) == broken


def test_what_cannot_be_made_smaller_stays_as_it_is():
    whole = draw(FOUND.seed)
    history = run_seed(FOUND.seed, FOUND.name)
    shrunk = shrink(whole, history, lambda config: None)
    assert (shrunk.config, shrunk.history) == (whole, history)


def test_the_story_names_the_promise_and_ends_with_the_breach():
    history = run_seed(FOUND.seed, FOUND.name)
    broken = breach_of(history, FOUND.promise)
    lines = tell(history, broken)
    assert lines[0].startswith(f"Broken: {FOUND.promise}.")
    assert lines[-1].endswith(f"BROKEN: {broken.words}")
    assert any(f" sends position {broken.position} " in line for line in lines)
