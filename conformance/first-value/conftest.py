"""The tours of `docs/guide/first-value.md` and `entitlements.md`, run once from the pages, and the first one's file in DuckDB."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import duckdb
import pytest

from page import Step, read_steps
from tallystick_server import Server, binary, clean_environment

pytest_plugins = ["tallystick_pytest"]

GUIDES = pathlib.Path(__file__).resolve().parents[2] / "docs" / "guide"
PAGE = GUIDES / "first-value.md"
ENTITLEMENTS = GUIDES / "entitlements.md"
STEP_TIMEOUT_S = 150


@dataclasses.dataclass(frozen=True)
class Taken:
    """A step of the page and what came of it."""

    step: Step
    exit_code: int
    stdout: str
    stderr: str


@dataclasses.dataclass(frozen=True)
class Tour:
    """The whole tour: the folder that it ran in, the server that it talked to, and its steps."""

    folder: pathlib.Path
    server: Server
    taken: list[Taken]


@pytest.fixture(scope="session")
def tour(tmp_path_factory, server) -> Tour:
    """The tour of the flights."""
    return walk(PAGE, tmp_path_factory, server)


@pytest.fixture(scope="session")
def entitlements(tmp_path_factory, server) -> Tour:
    """The tour of the entitlements."""
    return walk(ENTITLEMENTS, tmp_path_factory, server)


def walk(page: pathlib.Path, tmp_path_factory, server: Server) -> Tour:
    """Takes all steps of a page, in order, in an empty folder against a started server."""
    folder = tmp_path_factory.mktemp("tour")
    programs = tmp_path_factory.mktemp("bin")
    (programs / "tallystick").symlink_to(binary())
    path = os.pathsep.join([str(programs), str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
    environment = clean_environment(PATH=path, TALLYSTICK_SERVER=server.url, PIP_DISABLE_PIP_VERSION_CHECK="1")
    return Tour(folder, server, [take(step, folder, environment) for step in read_steps(page)])


def take(step: Step, folder: pathlib.Path, environment: dict[str, str]) -> Taken:
    """Runs one step as a shell would."""
    command = ["bash", "-euo", "pipefail", "-c", step.command]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=STEP_TIMEOUT_S, stdin=subprocess.DEVNULL
    )
    return Taken(step, done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def flights(tour) -> duckdb.DuckDBPyConnection:
    """DuckDB with the table `flights`, read from the file that the tour unpacked."""
    connection = duckdb.connect()
    file = str(tour.folder / "flights.csv")
    connection.execute("create table flights as select * from read_csv(?, nullstr = 'NA', sample_size = -1)", [file])
    return connection
