"""Fixtures: the server under test, and the SDK in both of its flavours."""

import itertools

import pytest

from sdk import FLAVOURS, Sdk

pytest_plugins = ["tallystick_pytest"]

_numbers = itertools.count(1)


@pytest.fixture(scope="session", params=FLAVOURS)
async def om(request, server):
    """The SDK against the suite's server, once as the sync client and once as the async client."""
    async with Sdk(request.param, server.url) as sdk:
        yield sdk


@pytest.fixture(params=FLAVOURS)
def flavour(request):
    """The name of a flavour, for tests that start a server of their own."""
    return request.param


@pytest.fixture
def unique():
    """A name that no other test uses: a slug and an event type at once."""
    return f"t{next(_numbers)}"
