"""Pages and product say the same."""

import pytest

from conftest import ENTITLEMENTS, PAGE
from page import read_steps, shows

STEPS = read_steps(PAGE)
OF_ENTITLEMENTS = read_steps(ENTITLEMENTS)


@pytest.mark.parametrize("index", range(len(STEPS)), ids=lambda index: f"line {STEPS[index].line}")
def test_each_step_prints_what_the_page_shows(tour, index):
    check(tour.taken[index])


@pytest.mark.parametrize("index", range(len(OF_ENTITLEMENTS)), ids=lambda index: f"line {OF_ENTITLEMENTS[index].line}")
def test_each_step_of_the_entitlements_prints_what_the_page_shows(entitlements, index):
    check(entitlements.taken[index])


def check(taken):
    assert taken.exit_code == 0, taken.stderr
    if taken.step.output is not None:
        assert shows(taken.step.output, taken.stdout), f"printed:\n{taken.stdout}\nthe page shows:\n{taken.step.output}"


def test_the_page_shows_the_results_that_matter():
    shown = [step for step in STEPS if step.output is not None]
    assert sum("tallystick query" in step.command for step in shown) >= 3
    assert sum("tallystick ingest" in step.command for step in shown) == 2


def test_the_page_of_the_entitlements_shows_what_it_tells():
    shown = [step.command for step in OF_ENTITLEMENTS if step.output is not None]
    for part in ("/value", "/commit", "reservations -d", "tallystick balance acme\n", "tallystick balance acme answers --from"):
        assert any(part in command for command in shown), part
