"""Page and product say the same."""

import pytest

from conftest import PAGE
from page import read_steps, shows

STEPS = read_steps(PAGE)


@pytest.mark.parametrize("index", range(len(STEPS)), ids=lambda index: f"line {STEPS[index].line}")
def test_each_step_prints_what_the_page_shows(tour, index):
    taken = tour.taken[index]
    assert taken.exit_code == 0, taken.stderr
    if taken.step.output is not None:
        assert shows(taken.step.output, taken.stdout), f"printed:\n{taken.stdout}\nthe page shows:\n{taken.step.output}"


def test_the_page_shows_the_results_that_matter():
    shown = [step for step in STEPS if step.output is not None]
    assert sum("tallystick query" in step.command for step in shown) >= 3
    assert sum("tallystick ingest" in step.command for step in shown) == 2
