"""ClickHouse in process (chdb): a MergeTree with typed columns, and one whose JSON text is parsed by the query."""

import csv
import io
import time

from chdb import session

import common

TYPED = """CREATE TABLE bench.typed (
    type LowCardinality(String), subject LowCardinality(String), time DateTime64(3, 'UTC'),
    source LowCardinality(String), id UUID, model LowCardinality(String), region LowCardinality(String),
    user String, tokens Decimal(18, 4)
) ENGINE = MergeTree ORDER BY (type, subject, time)"""
JSON = """CREATE TABLE bench.json (
    type LowCardinality(String), subject String, time DateTime64(3, 'UTC'),
    source LowCardinality(String), id String, data String
) ENGINE = MergeTree ORDER BY (type, subject, time)"""
FROM_FILE = "FROM file('{}', 'TSV', '" + ", ".join(f"{column} String" for column in common.COLUMNS) + "')"
DATA = """concat('{"model":"', model, '","region":"', region, '","user":"', user, '","tokens":', tokens, '}')"""


def questions(table, model, user, tokens):
    of_type = f"FROM bench.{table} WHERE type = '{common.ASKED_TYPE}'"
    of_subject = f"subject = '{common.ASKED_SUBJECT}' AND time >= '{common.PERIOD[0]}' AND time < '{common.PERIOD[1]}'"
    return {
        "day_model": f"SELECT toDate(time) AS day, {model} AS m, sum({tokens}) {of_type} GROUP BY day, m",
        "day_model_all": f"SELECT toDate(time) AS day, {model} AS m, sum({tokens}) FROM bench.{table} GROUP BY day, m",
        "unique_users": f"SELECT uniqExact({user}) {of_type}",
        "top_subjects": f"SELECT subject, sum({tokens}) AS s {of_type} GROUP BY subject ORDER BY s DESC, subject LIMIT {common.TOP}",
        "one_subject": f"SELECT sum({tokens}) {of_type} AND {of_subject}",
    }


def load(database, tsv):
    database.query("CREATE DATABASE IF NOT EXISTS bench ENGINE = Atomic")
    source = FROM_FILE.format(tsv)
    database.query(TYPED)
    database.query(f"INSERT INTO bench.typed SELECT {', '.join(common.COLUMNS)} {source}")
    database.query("OPTIMIZE TABLE bench.typed FINAL")
    database.query(JSON)
    database.query(f"INSERT INTO bench.json SELECT type, subject, time, source, id, {DATA} {source}")
    database.query("OPTIMIZE TABLE bench.json FINAL")


def main():
    arguments = common.arguments()
    must_load = common.fresh(arguments.dir, arguments.stamp)
    database = session.Session(str(arguments.dir / "data"))
    begun = time.perf_counter()
    if must_load:
        load(database, arguments.tsv)
        common.loaded(arguments.dir, arguments.stamp)
    took = time.perf_counter() - begun

    contestants = []
    parsed = "toDecimal128OrNull(JSON_VALUE(data, '$.tokens'), 19)"
    tables = {
        "ClickHouse typed": (questions("typed", "model", "user", "tokens"), arguments.repeats),
        "ClickHouse JSON text": (
            questions("json", "JSON_VALUE(data, '$.model')", "JSON_VALUE(data, '$.user')", parsed),
            min(arguments.repeats, 2),
        ),
    }
    for count, name in common.threads():
        def ask(sql):
            # Reading the text is within the time, as fetching is for the others: an answer has at most 1200 rows.
            answer = str(database.query(f"{sql} SETTINGS max_threads = {count}", "CSV"))
            return list(csv.reader(io.StringIO(answer)))

        for table, (asked, repeats) in tables.items():
            contestants.append(common.measure(f"{table}, {name}", asked, ask, repeats))
    version = str(database.query("SELECT version()", "TSV")).strip()
    sizes = database.query(
        "SELECT table, sum(bytes_on_disk) / sum(rows) FROM system.parts WHERE active AND database = 'bench' GROUP BY table", "CSV"
    )
    sizes = {f"ClickHouse {row[0]}": float(row[1]) for row in csv.reader(io.StringIO(str(sizes)))}
    common.finish(arguments.out, version, took if must_load else None, contestants, sizes)


main()
