"""DuckDB in process: a table sorted by type, subject and time, and one in the order of arrival."""

import time

import duckdb

import common

TYPES = {
    "type": "VARCHAR", "subject": "VARCHAR", "time": "TIMESTAMP_MS", "source": "VARCHAR", "id": "UUID",
    "model": "VARCHAR", "region": "VARCHAR", "user": "VARCHAR", "tokens": "DECIMAL(18, 4)",
}


def questions(table):
    of_type = f"FROM {table} WHERE type = '{common.ASKED_TYPE}'"
    of_subject = f"subject = '{common.ASKED_SUBJECT}' AND time >= TIMESTAMP '{common.PERIOD[0]}' AND time < TIMESTAMP '{common.PERIOD[1]}'"
    return {
        "day_model": f'SELECT CAST(time AS DATE) AS day, model, sum(tokens) {of_type} GROUP BY ALL',
        "day_model_all": f"SELECT CAST(time AS DATE) AS day, model, sum(tokens) FROM {table} GROUP BY ALL",
        "unique_users": f'SELECT count(DISTINCT "user") {of_type}',
        "top_subjects": f"SELECT subject, sum(tokens) AS s {of_type} GROUP BY subject ORDER BY s DESC, subject LIMIT {common.TOP}",
        "one_subject": f"SELECT sum(tokens) {of_type} AND {of_subject}",
    }


def load(database, tsv):
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in TYPES.items())
    source = f"read_csv('{tsv}', delim = '\t', header = false, quote = '', escape = '', columns = {{{columns}}})"
    database.execute("SET preserve_insertion_order = true")
    database.execute(f"CREATE TABLE arrival AS SELECT * FROM {source}")
    database.execute("CREATE TABLE sorted AS SELECT * FROM arrival ORDER BY type, subject, time")
    database.execute("CHECKPOINT")


def main():
    arguments = common.arguments()
    must_load = common.fresh(arguments.dir, arguments.stamp)
    database = duckdb.connect(str(arguments.dir / "bench.duckdb"))
    begun = time.perf_counter()
    if must_load:
        load(database, arguments.tsv)
        common.loaded(arguments.dir, arguments.stamp)
    took = time.perf_counter() - begun

    contestants = []
    for count, name in common.threads():
        database.execute(f"SET threads = {count}")
        for table in ["sorted", "arrival"]:
            ask = lambda sql: database.execute(sql).fetchall()
            contestants.append(common.measure(f"DuckDB {table}, {name}", questions(table), ask, arguments.repeats))
    common.finish(arguments.out, duckdb.__version__, took if must_load else None, contestants, {})


main()
