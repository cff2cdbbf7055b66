"""Asks a meter through every door of the SDK, and reads the exact rows out of each answer."""

import csv
import io
from decimal import Decimal
from urllib.parse import quote

from model import Question, Row, sort_key
from sdk import at, exact, raw


async def ask(om, meter: str, question: Question, filters: dict | None = None, simple: dict | None = None) -> list[Row]:
    """The rows of a question by GET, by POST and as CSV, which must all be the same.

    `filters` are advanced filters; `simple` maps a dimension to the values of which one must be equal.
    """
    asked = {
        "from_parameter": question.since,
        "to": question.until,
        "window_size": question.window,
        "window_time_zone": question.zone if question.window else None,
        "subject": list(question.subjects) if question.subjects else None,
        "advanced_meter_group_by_filters": filters,
        "group_by": list(question.group_by) or None,
    }
    post = {
        "from": text(question.since),
        "to": text(question.until),
        "windowSize": question.window,
        "windowTimeZone": asked["window_time_zone"],
        "subject": asked["subject"],
        "advancedMeterGroupByFilters": filters,
        "filterGroupBy": simple,
        "groupBy": asked["group_by"],
    }
    posted = await om.meters.query(meter, {name: value for name, value in post.items() if value is not None}, cls=raw)
    rows = json_rows(posted)
    if all(len(values) == 1 for values in (simple or {}).values()):
        # The SDK writes `filter_group_by` in a form that no server can read; its `params` hook sends the published one.
        # What goes through it is put into the URL as it is.
        extra = {f"filterGroupBy[{name}]": quote(values[0], safe="") for name, values in (simple or {}).items()}
        assert json_rows(await om.meters.query_json(meter, cls=raw, params=dict(extra), **asked)) == rows
        table = await om.meters.query_csv(meter, params=dict(extra), **asked)
        assert csv_rows(table, question) == rows
    return rows


def text(moment) -> str | None:
    return moment.isoformat() if moment else None


def json_rows(answer: str) -> list[Row]:
    """The rows of a JSON answer; windows must ascend."""
    result = exact(answer)
    rows = [
        Row(
            at(row["windowStart"]),
            at(row["windowEnd"]),
            row["subject"],
            tuple(sorted(row["groupBy"].items())),
            row["value"],
        )
        for row in result["data"]
    ]
    if "windowSize" in result:
        assert [row.start for row in rows] == sorted(row.start for row in rows)
    return sorted(rows, key=sort_key)


def csv_rows(table: str, question: Question) -> list[Row]:
    """The rows of a CSV answer, whose columns must be the published ones."""
    names = [name for name in question.dimensions() if name != "subject"]
    subject = ["subject"] if "subject" in question.dimensions() else []
    header, *lines = csv.reader(io.StringIO(table))
    assert header == ["window_start", "window_end", *subject, *names, "value"]
    records = [dict(zip(header, line, strict=True)) for line in lines]
    rows = [
        Row(
            at(record["window_start"]),
            at(record["window_end"]),
            record.get("subject"),
            tuple(sorted((name, record[name]) for name in names)),
            Decimal(record["value"]),
        )
        for record in records
    ]
    return sorted(rows, key=sort_key)
