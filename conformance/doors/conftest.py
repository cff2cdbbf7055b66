"""Fixtures: one server, and the clients of all doors against it."""

import pytest

from doors import Doors
from tallystick_server import Server

pytest_plugins = ["tallystick_pytest"]


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The suite's server keeps so little in memory that answers come from sealed files as well."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "config.toml").write_text("[store]\nmemtable_bytes = 65536\n")
    running = Server(folder / "data", "--config", folder / "config.toml").start()
    yield running
    assert running.stop() == 0, running.log()


@pytest.fixture(scope="session")
def doors(server):
    return Doors(server.url)
