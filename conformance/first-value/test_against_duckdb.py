"""Every answer about the flights equals DuckDB's over the same file: all rows, digit for digit."""

import decimal
import json
import math
import urllib.parse
import urllib.request
from decimal import Decimal

import pytest

NEW_YORK = "America/New_York"
FLIGHTS = 336_776


def get(server, path: str, **query):
    """A JSON answer with every number as a decimal."""
    url = f"{server.url}{path}?{urllib.parse.urlencode(query, doseq=True)}"
    with urllib.request.urlopen(url, timeout=120) as answer:
        return json.loads(answer.read(), parse_float=Decimal, parse_int=Decimal)


def post(server, path: str, body: dict) -> None:
    request = urllib.request.Request(f"{server.url}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        assert answer.status == 201


def ask(server, meter: str, group_by=(), window=None, **query) -> dict[tuple, Decimal]:
    """The values of a meter by window (the local day or month on which it starts) and group."""
    if window:
        query |= {"windowSize": window, "windowTimeZone": NEW_YORK}
    rows = get(server, f"/api/v1/meters/{meter}/query", groupBy=list(group_by), **query)["data"]
    length = {"MONTH": 7, "DAY": 10, None: 0}[window]
    values = {}
    for row in rows:
        groups = row["groupBy"] | {"subject": row["subject"]}
        key = ((row["windowStart"][:length],) if window else ()) + tuple(groups[name] for name in group_by)
        assert key not in values
        values[key] = row["value"]
    return values


WINDOWS = {
    "MONTH": "strftime(make_date(year, month, 1), '%Y-%m')",
    "DAY": "strftime(make_date(year, month, day), '%Y-%m-%d')",
}


def sql(flights, expression: str, group_by=(), window=None, where="true") -> dict[tuple, tuple]:
    """The same from the table: the columns of an expression by window and group."""
    keys = ([WINDOWS[window]] if window else []) + ["carrier" if name == "subject" else name for name in group_by]
    grouped = f"group by {', '.join(keys)}" if keys else ""
    rows = flights.execute(f"select {', '.join([*keys, expression])} from flights where {where} {grouped}").fetchall()
    return {tuple(map(str, row[: len(keys)])): row[len(keys) :] for row in rows}


SHAPES = {
    "in all": {},
    "by carrier": {"group_by": ["subject"]},
    "by carrier and month": {"group_by": ["subject"], "window": "MONTH"},
    "by month": {"window": "MONTH"},
    "by day": {"window": "DAY"},
    "by origin and day": {"group_by": ["origin"], "window": "DAY"},
    "by origin and destination": {"group_by": ["origin", "dest"]},
    "by carrier, origin, destination and month": {"group_by": ["subject", "origin", "dest"], "window": "MONTH"},
}


@pytest.fixture(params=SHAPES)
def shape(request):
    return SHAPES[request.param]


@pytest.mark.parametrize(("meter", "column"), [("flight_distance", "distance"), ("flight_air_time", "air_time")])
def test_sums(server, flights, shape, meter, column):
    expected = sql(flights, f"sum({column})", **shape, where=f"{column} is not null")
    assert ask(server, meter, **shape) == {key: Decimal(total) for key, (total,) in expected.items()}


def test_counts(server, flights, shape):
    expected = sql(flights, "count(*)", **shape)
    assert ask(server, "flights", **shape) == {key: Decimal(count) for key, (count,) in expected.items()}


def test_averages(server, flights, shape):
    expected = sql(flights, "sum(dep_delay), count(dep_delay), avg(dep_delay)", **shape, where="dep_delay is not null")
    answered = ask(server, "flight_delay", **shape)
    with decimal.localcontext(prec=60):
        exact = {key: rounded(Decimal(total) / count) for key, (total, count, _) in expected.items()}
    assert answered == exact
    for key, (_, _, average) in expected.items():
        assert abs(Decimal(average) - answered[key]) <= nearest_double(average)


def nearest_double(value: float) -> Decimal:
    """How far a double and 18 digits can be apart when both are as near to a number as they can be."""
    return (Decimal(math.ulp(value)) + Decimal("1e-18")) / 2


def rounded(quotient: Decimal) -> Decimal:
    """Half away from zero, at 18 fractional digits."""
    return quotient.quantize(Decimal("1e-18"), decimal.ROUND_HALF_UP)


def test_distinct_tail_numbers(server, flights, shape):
    expected = sql(flights, "count(distinct tailnum)", **shape, where="tailnum is not null")
    assert ask(server, "flight_tails", **shape) == {key: Decimal(count) for key, (count,) in expected.items()}


@pytest.mark.parametrize("aggregation", ["MIN", "MAX"])
def test_a_meter_that_is_created_now_counts_the_history(server, tour, flights, aggregation):
    meter = f"late_{aggregation.lower()}"
    definition = {"slug": meter, "aggregation": aggregation, "eventType": "flight", "valueProperty": "$.arr_delay"}
    post(server, "/api/v1/meters", definition)
    shape = {"group_by": ["subject"], "window": "MONTH"}
    expected = sql(flights, f"{aggregation}(arr_delay)", **shape, where="arr_delay is not null")
    assert ask(server, meter, **shape) == {key: Decimal(value) for key, (value,) in expected.items()}


def test_filters(server, flights):
    shape = {"group_by": ["subject"], "window": "MONTH"}
    expected = sql(flights, "sum(distance)", **shape, where="origin = 'JFK' and dest = 'LAX'")
    route = {"filterGroupBy[origin]": "JFK", "filterGroupBy[dest]": "LAX"}
    assert ask(server, "flight_distance", **shape, **route) == {key: Decimal(total) for key, (total,) in expected.items()}
    expected = sql(flights, "sum(distance)", **shape, where="origin in ('JFK', 'EWR') and dest not like 'S%'")
    advanced = json.dumps({"origin": {"$in": ["JFK", "EWR"]}, "dest": {"$nlike": "S%"}})
    answered = ask(server, "flight_distance", **shape, advancedMeterGroupByFilters=advanced)
    assert answered == {key: Decimal(total) for key, (total,) in expected.items()}


def test_ranges_on_the_clock_of_new_york(server, flights):
    # The clocks of New York were set on 10 March and on 3 November 2013.
    for since, until, first, last in [
        ("2013-03-10T00:00:00-05:00", "2013-03-11T00:00:00-04:00", 310, 310),
        ("2013-11-02T00:00:00-04:00", "2013-11-05T00:00:00-05:00", 1102, 1104),
        ("2013-01-01T00:00:00-05:00", "2014-01-01T00:00:00-05:00", 101, 1231),
    ]:
        where = f"month * 100 + day between {first} and {last}"
        expected = sql(flights, "sum(distance)", ["subject"], where=where)
        answered = ask(server, "flight_distance", ["subject"], **{"from": since, "to": until})
        assert answered == {key: Decimal(total) for key, (total,) in expected.items()}


@pytest.mark.parametrize(
    ("meter", "column"),
    [("flight_distance", "distance"), ("flight_air_time", "air_time"), ("flight_delay", "dep_delay"), ("flight_tails", "tailnum")],
)
def test_flights_with_missing_values_are_not_counted_and_their_number_is_known(server, flights, meter, column):
    coverage = get(server, f"/api/v1/meters/{meter}/coverage")
    total, counted = flights.execute(f"select count(*), count({column}) from flights").fetchone()
    assert (coverage["matched"], coverage["counted"]) == (total, counted) and total == FLIGHTS
    missing = [(group["reason"], group["count"]) for group in coverage["notCounted"]]
    assert missing == ([("missing_value", total - counted)] if counted < total else [])


def test_a_flight_that_does_not_count_says_why(server, flights):
    (carrier, flight, origin) = flights.execute(
        "select carrier, flight, origin from flights where dep_delay is null and tailnum is null order by all limit 1"
    ).fetchone()
    query = {"subject": {"$eq": carrier}, "id": {"$like": f"%-{carrier}-{flight}-{origin}-%"}}
    found = 0
    for item in get(server, "/api/v2/events", filter=json.dumps(query))["items"]:
        data = item["event"]["data"]
        for meter_column in ("dep_delay", "tailnum", "air_time"):
            reason = f'missing value property: "$.{meter_column}"'
            assert (meter_column not in data) == (reason in item.get("validationError", ""))
            found += meter_column not in data
    assert found >= 2


def test_every_flight_is_stored_once_with_its_moment(server, flights):
    seen, cursor = set(), None
    wanted = flights.execute("select count(*) from flights where month = 3 and day = 10 and origin = 'LGA'").fetchone()[0]
    conditions = {"time": {"$and": [{"$gte": "2013-03-10T05:00:00Z"}, {"$lt": "2013-03-11T04:00:00Z"}]}, "id": {"$like": "%-LGA-%"}}
    while True:
        page = get(server, "/api/v2/events", filter=json.dumps(conditions), **({"cursor": cursor} if cursor else {}))
        seen |= {item["event"]["id"] for item in page["items"]}
        cursor = page.get("nextCursor")
        if not cursor:
            break
    assert len(seen) == wanted
