"""Fixtures: the server under test, and the vendor's client."""

import itertools

import pytest

from sdk import Togai

pytest_plugins = ["tallystick_pytest"]

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def togai(server):
    """The client against the suite's server."""
    return Togai(server.url)


@pytest.fixture
def unique():
    """A name that no other test uses."""
    return f"t{next(_numbers)}"


@pytest.fixture
def rides(togai, unique):
    """An active schema of the test's own, with a customer `…-c` and its account `…-a`."""
    togai.schema(unique, ["distance", "time"], ["city"], filter_fields=["city", "distance"])
    togai.schemas.activate_event_schema(unique)
    togai.customer(f"{unique}-c", f"{unique}-a")
    return unique
