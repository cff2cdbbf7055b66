"""Fixtures: the server under test and the vendor's client."""

import itertools
import subprocess

import pytest

from door import Door
from tallystick_server import Server, binary, clean_environment

pytest_plugins = ["tallystick_pytest"]

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The suite's server keeps so little in memory that answers come from sealed files as well."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "config.toml").write_text("[store]\nmemtable_bytes = 65536\n")
    running = Server(folder / "data", "--config", folder / "config.toml").start()
    yield running
    assert running.stop() == 0, running.log()


@pytest.fixture(scope="session")
def door(server):
    return Door(server.url)


@pytest.fixture
def own_door(own_server):
    """A door whose server no other test uses, so that its lists hold nothing else."""
    return Door(own_server.start().url)


@pytest.fixture
def unique():
    """A name that no other test uses."""
    return f"t{next(_numbers)}"


@pytest.fixture
def keys(own_server):
    """Keys of one namespace by scope, and an admin's of another."""
    own_server.start()

    def run(*arguments):
        command = [binary(), *arguments, "--data-dir", own_server.data_dir]
        done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    made = {scope: run("keys", "create", "--name", "test", "--scope", scope) for scope in ("ingest", "read", "admin")}
    run("namespaces", "create", "other")
    return made | {"other": run("keys", "create", "--name", "test", "--scope", "admin", "--namespace", "other")}
