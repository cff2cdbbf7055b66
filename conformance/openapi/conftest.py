"""A server that needs a key, with something of everything in it."""

import pytest

from prepared import Prepared, admin_key
from tallystick_server import Server

pytest_plugins = ["tallystick_pytest"]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """The suite's server. As a key exists, every request needs one, on loopback too."""
    data_dir = tmp_path_factory.mktemp("server") / "data"
    key = admin_key(data_dir)
    server = Server(data_dir).start()
    yield Prepared(server, key)
    assert server.stop() == 0, server.log()
