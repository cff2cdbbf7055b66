"""Every answer is one that the server's own OpenAPI document describes, whatever is sent."""

import collections
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from tallystick_server import clean_environment

FOLDER = pathlib.Path(__file__).parent
METHODS = ("get", "post", "put", "patch", "delete")
# The document says that this version does not serve these; they are not tried with made up data.
NOT_SERVED = "501"


@pytest.fixture(scope="session")
def document(prepared):
    """The document, which needs no key."""
    answer = prepared.get("/openapi.json", headers={})
    assert answer.status_code == 200
    return answer.json()


@pytest.fixture(scope="session")
def operations(document):
    """All operations: method and path, and the description."""
    return {
        (method.upper(), path): item[method]
        for path, item in document["paths"].items()
        for method in METHODS
        if method in item
    }


@pytest.fixture(scope="session")
def run(prepared, operations, tmp_path_factory):
    """One run of schemathesis over all that is served: its report, what it printed, and the statuses by operation."""
    folder = tmp_path_factory.mktemp("schemathesis")
    report, answers = folder / "report.json", folder / "answers.ndjson"
    excluded = [found["operationId"] for found in operations.values() if NOT_SERVED in found["responses"]]
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", FOLDER / "schemathesis.toml", "run"]
    command += ["--no-color", "--report-json-path", report, f"{prepared.server.url}/openapi.json"]
    command += [word for name in excluded for word in ("--exclude-operation-id", name)]
    environment = clean_environment(
        SCHEMATHESIS_HOOKS=str(FOLDER / "hooks.py"),
        SUITE_KEY=prepared.key,
        SUITE_PORTAL_TOKEN=prepared.portal_token,
        SUITE_KNOWN=json.dumps(prepared.known),
        SUITE_ANSWERS=str(answers),
    )
    done = subprocess.run(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    statuses = collections.defaultdict(collections.Counter)
    for line in answers.read_text().splitlines() if answers.exists() else []:
        method, path, status = json.loads(line)
        statuses[method, path][status] += 1
    assert report.exists(), done.stdout
    if "SUITE_REPORT" in os.environ:
        pathlib.Path(os.environ["SUITE_REPORT"]).write_text(done.stdout)
    return json.loads(report.read_text()), done.stdout, statuses


def test_no_answer_contradicts_the_document(run, operations):
    report, printed, _ = run
    served = [name for name, found in operations.items() if NOT_SERVED not in found["responses"]]
    assert not report["failures"] and not report["errors"], printed
    assert report["complete"] and report["exit_code"] == 0, printed
    assert report["operations"]["tested"] == len(served), printed
    phases = {name: phase["status"] for name, phase in report["phases"].items()}
    assert phases == {"examples": "success", "coverage": "success", "fuzzing": "success", "stateful": "success"}


def test_every_served_operation_was_asked_well_and_badly(run, operations):
    statuses = run[2]
    asked = {
        name: sorted(statuses[name])
        for name, found in operations.items()
        if NOT_SERVED not in found["responses"]
    }
    never_well = {name: seen for name, seen in asked.items() if not any(200 <= status < 300 for status in seen)}
    never_badly = {name: seen for name, seen in asked.items() if not any(400 <= status < 500 for status in seen)}
    assert not never_well and not never_badly, f"never well: {never_well}; never badly: {never_badly}"


def test_what_is_not_served_says_so_as_documented(prepared, operations):
    unserved = [name for name, found in operations.items() if NOT_SERVED in found["responses"]]
    for method, path in unserved:
        answer = prepared.call(method, re.sub(r"\{[^}]*\}", "any", path), json={})
        assert answer.status_code == 501, (method, path, answer.text)
        # Each door draws its own body.
        text = answer.json()["message"] if path.startswith("/togai/") else answer.json()["detail"]
        assert "not served" in text
        if not path.startswith("/togai/"):
            assert answer.headers["content-type"] == "application/problem+json" and answer.json()["status"] == 501


def test_operation_ids_are_unique(operations):
    ids = collections.Counter(found["operationId"] for found in operations.values())
    assert [name for name, count in ids.items() if count > 1] == []


def test_the_server_goes_on_after_all_of_it(run, prepared):
    assert prepared.get("/readyz").status_code == 200
    log = prepared.server.log()
    assert "panicked" not in log and '"level":"ERROR"' not in log
