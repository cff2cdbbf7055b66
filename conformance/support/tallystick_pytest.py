"""A pytest plugin: the fixtures `server` and `own_server`, and the servers' log in the report of a test that fails.

A suite lists this module in `pytest_plugins` of its `conftest.py`.
"""

import pytest

from tallystick_server import Server, started

_LOG_START = pytest.StashKey[list]()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server for the whole suite; it must end cleanly."""
    running = Server(tmp_path_factory.mktemp("data")).start()
    yield running
    assert running.stop() == 0, running.log()


@pytest.fixture
def own_server(tmp_path):
    """A server of the test's own, not started yet, that the test may stop, kill and start again."""
    owned = Server(tmp_path / "data")
    yield owned
    if owned.is_running():
        owned.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Remembers where each server's log stood before the test."""
    item.stash[_LOG_START] = [(running, running.log_size()) for running in started]
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Adds what the servers wrote during a failed test to its report."""
    report = yield
    if report.failed:
        starts = dict(item.stash[_LOG_START])
        for running in started:
            written = running.log(starts.get(running, 0))
            if written:
                report.sections.append((f"server log ({running.url})", written[-20_000:]))
    return report
