"""Fixtures: the server under test, and the SDK in both of its flavours."""

import itertools

import pytest

from sdk import FLAVOURS, Sdk
from tallystick_postgres import Databases
from tallystick_server import Server

pytest_plugins = ["tallystick_pytest"]

_numbers = itertools.count(1)


# Of these modules every test runs with both state stores.
ON_BOTH_STORES = {"test_entitlements", "test_grants"}


def pytest_generate_tests(metafunc):
    if "server" in metafunc.fixturenames and metafunc.module.__name__ in ON_BOTH_STORES:
        metafunc.parametrize("server", ["sqlite", "postgres"], indirect=True, scope="session")


@pytest.fixture(scope="session")
def server(request, tmp_path_factory):
    """The suite's server keeps so little in memory that answers come from sealed files as well."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "config.toml").write_text("[store]\nmemtable_bytes = 65536\n")
    arguments, databases = ["--config", folder / "config.toml"], None
    if getattr(request, "param", "sqlite") == "postgres":
        databases = Databases()
        arguments += ["--state-url", databases.new()]
    running = Server(folder / "data", *arguments).start()
    yield running
    code = running.stop()
    if databases:
        databases.close()
    assert code == 0, running.log()


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
