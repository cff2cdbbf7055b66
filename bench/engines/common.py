"""What the scripts of the other engines share: arguments, timing, and answers as lines.

A line has parts separated by tabs; sums are whole billionths, so that nothing is compared through a float.
"""

import argparse
import json
import os
import pathlib
import shutil
import sys
import time
from decimal import Decimal

COLUMNS = ["type", "subject", "time", "source", "id", "model", "region", "user", "tokens"]
# What is asked, the same in every engine; the bench's own reference in Rust knows it too.
ASKED_TYPE = "prompt"
ASKED_SUBJECT = "customer-00009"
PERIOD = ("2026-01-01 00:00:00.000", "2026-01-31 00:00:00.000")
TOP = 100


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", type=pathlib.Path, required=True, help="folder of the engine's own files")
    parser.add_argument("--tsv", type=pathlib.Path, required=True, help="the rows, tab-separated")
    parser.add_argument("--stamp", required=True, help="names the data set; what is loaded is kept for the same one")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    return parser.parse_args()


def fresh(directory, stamp):
    """Whether the folder has to be loaded; it is emptied then."""
    mark = directory / "stamp"
    if mark.exists() and mark.read_text() == stamp:
        return False
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return True


def loaded(directory, stamp):
    (directory / "stamp").write_text(stamp)


def billionths(value):
    return int(Decimal(str(value)) * 10**9)


def lines_of(question, rows):
    """The answer to a question as sorted lines."""
    if question == "unique_users":
        return [str(int(rows[0][0]))]
    return sorted("\t".join([*map(str, row[:-1]), str(billionths(row[-1]))]) for row in rows)


def measure(contestant, questions, ask, repeats):
    """Asks everything: the answers and the best time in milliseconds of each."""
    answers, best = {}, {}
    for question, sql in questions.items():
        for _ in range(repeats):
            begun = time.perf_counter()
            rows = ask(sql)
            took = (time.perf_counter() - begun) * 1000
            best[question] = min(took, best.get(question, took))
        answers[question] = lines_of(question, rows)
    print(f"  {contestant}: " + ", ".join(f"{name} {ms:.2f} ms" for name, ms in best.items()), file=sys.stderr)
    return {"contestant": contestant, "best_ms": best, "answers": answers}


def finish(out, version, load_seconds, contestants, bytes_per_event):
    report = {"version": version, "load_seconds": load_seconds, "contestants": contestants, "bytes_per_event": bytes_per_event}
    out.write_text(json.dumps(report))


def threads():
    """One thread, and all."""
    cores = len(os.sched_getaffinity(0))
    return [(1, "1 thread")] + ([(cores, "all cores")] if cores > 1 else [])
