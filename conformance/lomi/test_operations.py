"""Every operation of the vendor's client: what is served answers, what is not says so."""

import pathlib
import re

import lomi.api

from door import NOBODY, check_error

CRATE = pathlib.Path(__file__).resolve().parents[2] / "crates" / "dialect-lomi"
FUNCTION = re.compile(r"def _(\w+)_serialize\(.*?method='(\w+)',\s*resource_path='([^']+)'", re.S)


def published():
    """Method, path and function of every operation in the installed client."""
    found = set()
    for module in pathlib.Path(lomi.api.__file__).parent.glob("*_api.py"):
        found |= {(method, path, name) for name, method, path in FUNCTION.findall(module.read_text())}
    return found


def lines(name):
    return {tuple(line.split()) for line in (CRATE / name).read_text().splitlines()}


def test_the_list_of_operations_is_that_of_the_client():
    assert lines("operations.txt") == published()


def test_what_is_served_answers_and_what_is_not_says_so(door):
    unserved = lines("not-served.txt")
    assert unserved < published()
    for method, path, name in sorted(published()):
        answer = door.call(method, re.sub(r"\{[^}]*\}", NOBODY, path), {} if method in ("POST", "PATCH") else None)
        says_so = answer.status_code == 404 and "not served" in answer.json()["error"]["message"]
        assert says_so == ((method, path, name) in unserved), (method, path, answer.text)
        if answer.status_code >= 400:
            check_error(answer.json(), {400: "bad_request", 404: "not_found"}[answer.status_code])
