"""Reads the steps of a guide out of its own page, and compares what a step prints with what the page shows.

A fenced block marked `sh` is a step. A block marked `text` that follows it is what the step prints to stdout. In such
a block `…` stands for any text of one line (a duration, a rate), and a line of nothing but `…` for any lines.
"""

import dataclasses
import pathlib
import re

ANY = "…"
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Step:
    """One command of a page."""

    line: int
    command: str
    output: str | None


def steps(page: str) -> list[Step]:
    """The steps of a page from top to bottom."""
    found: list[Step] = []
    for fence in _FENCE.finditer(page):
        kind, body = fence.groups()
        line = page[: fence.start()].count("\n") + 1
        if kind == "sh":
            found.append(Step(line, body, None))
        elif kind == "text":
            if not found or found[-1].output is not None:
                raise ValueError(f"line {line}: this output follows no step")
            found[-1] = dataclasses.replace(found[-1], output=body)
        else:
            raise ValueError(f"line {line}: mark the block as sh or text, not as {kind!r}")
    return found


def read_steps(path: pathlib.Path) -> list[Step]:
    """The steps of a page in a file."""
    return steps(path.read_text(encoding="utf-8"))


def shows(shown: str, printed: str) -> bool:
    """Whether a page that shows one text is right about another."""
    pattern = ""
    for line in shown.splitlines(keepends=True):
        if line.strip() == ANY:
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*?".join(map(re.escape, line.split(ANY)))
    return re.fullmatch(pattern, printed) is not None
