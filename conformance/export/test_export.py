"""`tallystick export --parquet`, read with DuckDB and Polars: the same events, and the same exact sums as the server's."""

import decimal
import json
import pathlib
import subprocess
import urllib.request

import duckdb
import polars
import pytest

from tallystick_server import binary, clean_environment

TYPES = ["prompt", "a/b c=é"]
DAYS = 5
EVENTS = 4000
SUM = "SUM(CAST(json_extract_string(data, '$.tokens') AS DECIMAL(38, 9)))"


def sent_events() -> list[dict]:
    """Events of two types over some days; values have up to nine places, and sums that floats get wrong."""
    return [
        {
            "specversion": "1.0",
            "id": f"id-{n}",
            "source": "export",
            "type": TYPES[n % 2],
            "subject": f"customer-{n % 7}",
            "time": f"2024-02-{27 + n % 3:02}T0{n % 10}:00:00.{n % 1_000_000:06}Z",
            "data": {"tokens": f"{n % 13}.{n:09}", "model": "m\n\"ü"},
        }
        for n in range(EVENTS)
    ]


def call(url: str, content_type: str, body: object) -> None:
    """Sends JSON, which must be taken."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": content_type})
    with urllib.request.urlopen(request) as answer:
        assert answer.status in (200, 201, 204)


@pytest.fixture(scope="module", params=["running", "stopped"])
def exported(request, tmp_path_factory):
    """A folder of Parquet files of a server, and what the server says of the same events."""
    from tallystick_server import Server

    server = Server(tmp_path_factory.mktemp("data")).start()
    events = sent_events()
    for at in range(0, EVENTS, 500):
        call(f"{server.url}/api/v1/events", "application/cloudevents-batch+json", events[at : at + 500])
    totals = {}
    for number, event_type in enumerate(TYPES):
        meter = {"slug": f"m{number}", "eventType": event_type, "aggregation": "SUM", "valueProperty": "$.tokens"}
        call(f"{server.url}/api/v1/meters", "application/json", meter)
        with urllib.request.urlopen(f"{server.url}/api/v1/meters/m{number}/query") as answer:
            totals[event_type] = json.load(answer, parse_float=decimal.Decimal)["data"][0]["value"]
    folder = tmp_path_factory.mktemp("export") / "events"
    if request.param == "stopped":
        assert server.stop() == 0
    command = [binary(), "export", "--parquet", folder, "--data-dir", server.data_dir]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_environment())
    assert done.returncode == 0, done.stderr
    assert f"{EVENTS} events written" in done.stderr
    yield folder, totals
    if server.is_running():
        server.stop()


def test_duckdb_reads_the_same_sum_to_the_last_digit(exported):
    folder, totals = exported
    query = f"SELECT type, {SUM}, count(*) FROM read_parquet(?, hive_partitioning = false) GROUP BY type"
    rows = duckdb.sql(query, params=[f"{folder}/**/*.parquet"]).fetchall()
    assert {event_type: (total, EVENTS // 2) for event_type, total in totals.items()} == {
        event_type: (total, count) for event_type, total, count in rows
    }


def test_duckdb_finds_the_folders_of_a_day_and_a_type(exported):
    folder, _ = exported
    query = "SELECT count(*) FROM read_parquet(?, hive_partitioning = true) WHERE date = '2024-02-28' AND type = ?"
    for number, event_type in enumerate(TYPES):
        expected = sum(1 for n in range(EVENTS) if n % 3 == 1 and n % 2 == number)
        assert duckdb.sql(query, params=[f"{folder}/**/*.parquet", event_type]).fetchall() == [(expected,)]


def test_polars_reads_every_event_as_it_was_sent(exported):
    folder, _ = exported
    frame = polars.read_parquet(f"{folder}/**/*.parquet", hive_partitioning=False).sort("id")
    expected = sorted(sent_events(), key=lambda event: event["id"])
    for column in ["id", "source", "type", "subject"]:
        assert frame[column].to_list() == [event[column] for event in expected]
    assert [json.loads(data) for data in frame["data"]] == [event["data"] for event in expected]
    assert frame.schema["time"] == polars.Datetime("us", "UTC")
    times = frame["time"].dt.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_list()
    assert times == [event["time"] for event in expected]
    assert frame["namespace"].unique().to_list() == ["default"] and frame["extras"].null_count() == EVENTS


def test_polars_sums_the_same_decimals(exported):
    folder, totals = exported
    frame = polars.read_parquet(f"{folder}/**/*.parquet", hive_partitioning=False)
    tokens = frame["data"].str.json_path_match("$.tokens").str.to_decimal(scale=9)
    sums = frame.with_columns(tokens=tokens).group_by("type").agg(polars.col("tokens").sum())
    assert dict(sums.iter_rows()) == totals


def test_a_folder_that_is_not_empty_is_refused(exported):
    folder, _ = exported
    before = sorted(pathlib.Path(folder).rglob("*.parquet"))
    command = [binary(), "export", "--parquet", folder]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_environment())
    assert done.returncode == 2 and "not empty" in done.stderr
    assert sorted(pathlib.Path(folder).rglob("*.parquet")) == before
