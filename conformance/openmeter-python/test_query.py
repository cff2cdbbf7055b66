"""Meter queries against the model: every aggregation, grouping, filter, window and zone, through every door."""

import datetime
import random
import re

import pytest
from openmeter.models import FilterString, MeterQueryRequest

from asking import ask, csv_rows, json_rows
from model import UTC, Question, Sent, answer
from sdk import at, event, exact, raw, refused

AGGREGATIONS = ["SUM", "COUNT", "UNIQUE_COUNT", "AVG", "MIN", "MAX", "LATEST"]
NUMBERS = ["0", "1", "-1", "0.1", "0.2", "0.30", "1e3", "1E-9", "9007199254.740993", "-0.000000000001", "7.5", "3"]
TEXTS = ['"1"', '"0.1"', '"+5"', '".5"', '"5."', '"00012"', '"1e3"']
NO_NUMBERS = ['"ten"', '" 1"', '"1,000"', '"0x10"', '""', "true", "null", "[1]", '{"n": 1}', '"NaN"', '"1e400"', "1" * 40]
LABELS = ['"a"', '"b"', '"b c"', "1", "1.0", '"1"', "true", "null", "[]", '"é,\\"q\\""']
PLACES = ['"x"', '"y"']
START = datetime.datetime(2024, 10, 25, tzinfo=UTC)
DAYS = 20
MIDDLE = {"since": START + datetime.timedelta(days=5, seconds=0.5), "until": START + datetime.timedelta(days=12)}
ZONES = ["UTC", "America/New_York", "Europe/Budapest", "Asia/Kathmandu", "Australia/Sydney"]


def random_events(seed: int, amount: int, sources: list[str]) -> list[Sent]:
    """Events over twenty days that hold clock changes, with values and labels of every kind.

    Two sources use the same ids, and some moments, bounds of questions among them, have many events.
    """
    chance = random.Random(seed)
    events = []
    for index in range(amount):
        micros = chance.choice([0, 1, 500_000, 999_999])
        moment = START + datetime.timedelta(seconds=chance.randrange(DAYS * 86_400), microseconds=micros)
        if chance.random() < 0.1:
            moment = chance.choice([*MIDDLE.values(), START, START + datetime.timedelta(days=DAYS)])
        values = chance.choices([NUMBERS, TEXTS, NO_NUMBERS], [6, 2, 2])[0]
        fields = {"v": chance.choice(values), "m": chance.choice(LABELS), "p": chance.choice(PLACES)}
        kept = [f'"{name}": {value}' for name, value in fields.items() if chance.random() > 0.05]
        data = None if chance.random() < 0.02 else "{" + ", ".join(kept) + "}"
        source = sources[index % len(sources)]
        events.append(Sent(f"e{index // len(sources)}", chance.choice(["c1", "c2", "c 3"]), moment, data, source))
    return events


@pytest.fixture(scope="session")
async def history(om):
    """Random events with a meter for each aggregation; the slugs by aggregation, and the events."""
    name = f"history_{om.flavour}"
    events = random_events(seed=1, amount=1500, sources=[f"{name}_1", f"{name}_2"])
    for first in range(0, len(events), 400):
        bodies = [sent.body(name) for sent in events[first : first + 400]]
        await om.events.ingest_events(f"[{','.join(bodies)}]".encode())
    slugs = {}
    for aggregation in AGGREGATIONS:
        slugs[aggregation] = f"{name}_{aggregation.lower()}"
        value = {} if aggregation == "COUNT" else {"valueProperty": "$.v"}
        dimensions = {"m": "$.m", "p": "$['p']", "absent": "$.absent"}
        definition = {"slug": slugs[aggregation], "aggregation": aggregation, "eventType": name, "groupBy": dimensions}
        await om.meters.create(definition | value)
    return slugs, events


def question(aggregation: str, **parts) -> Question:
    return Question(aggregation, None if aggregation == "COUNT" else "v", **parts)


SHAPES = {
    "everything": {},
    "a range": MIDDLE,
    "from only": {"since": MIDDLE["since"]},
    "to only": {"until": MIDDLE["until"]},
    "by subject": {"group_by": ("subject",)},
    "by label": {"group_by": ("m",)},
    "by label and place and subject": {"group_by": ("p", "subject", "m"), **MIDDLE},
    "by what is absent": {"group_by": ("absent",)},
    "one subject": {"subjects": ("c1",)},
    "two subjects by place": {"subjects": ("c 3", "c1"), "group_by": ("p",)},
    "a subject that is none": {"subjects": ("nobody",)},
    "hours": {"window": "HOUR", **MIDDLE},
    "days by place": {"window": "DAY", "group_by": ("p",)},
    "minutes by subject": {"window": "MINUTE", "group_by": ("subject",), **MIDDLE},
    "months": {"window": "MONTH"},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
async def test_every_aggregation_in_every_shape(om, history, aggregation, shape):
    slugs, events = history
    asked = question(aggregation, **SHAPES[shape])
    assert await ask(om, slugs[aggregation], asked) == answer(asked, events)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("size", ["MINUTE", "HOUR", "DAY", "MONTH"])
async def test_windows_follow_the_clock_of_a_zone(om, history, size, zone):
    slugs, events = history
    for aggregation in ("SUM", "AVG", "LATEST"):
        asked = question(aggregation, window=size, zone=zone, group_by=("p",))
        assert await ask(om, slugs[aggregation], asked) == answer(asked, events)


def like(pattern: str, flags: int = 0):
    compiled = re.compile(pattern, flags)
    return lambda text: compiled.fullmatch(text) is not None


CONDITIONS = {
    "$eq": ({"$eq": "a"}, lambda text: text == "a"),
    "$eq to a number": ({"$eq": "1"}, lambda text: text == "1"),
    "$eq to null": ({"$eq": "null"}, lambda text: text == "null"),
    "$ne": ({"$ne": "a"}, lambda text: text != "a"),
    "$in": ({"$in": ["a", "b c", "none"]}, lambda text: text in ("a", "b c")),
    "$nin": ({"$nin": ["a", "b"]}, lambda text: text not in ("a", "b")),
    "$like": ({"$like": "b%"}, like("b.*")),
    "$nlike": ({"$nlike": "_"}, lambda text: len(text) != 1),
    "$ilike": ({"$ilike": "B_C"}, like("b.c", re.IGNORECASE)),
    "$nilike": ({"$nilike": "%U%"}, lambda text: "u" not in text.lower()),
    "$gt": ({"$gt": "a"}, lambda text: text > "a"),
    "$gte": ({"$gte": "a"}, lambda text: text >= "a"),
    "$lt": ({"$lt": "b"}, lambda text: text < "b"),
    "$lte": ({"$lte": "b"}, lambda text: text <= "b"),
    "$and": ({"$and": [{"$gte": "a"}, {"$lt": "b c"}]}, lambda text: "a" <= text < "b c"),
    "$or": ({"$or": [{"$eq": "a"}, {"$and": [{"$gt": "b"}, {"$lt": "c"}]}]}, lambda text: text == "a" or "b" < text < "c"),
}


@pytest.mark.parametrize("condition", CONDITIONS)
async def test_advanced_filters(om, history, condition):
    slugs, events = history
    wire, keep = CONDITIONS[condition]
    for shape in ({}, {"group_by": ("m",)}, {"window": "DAY", "group_by": ("p",)}):
        asked = question("SUM", keeps=(("m", keep),), **shape)
        assert await ask(om, slugs["SUM"], asked, filters={"m": wire}) == answer(asked, events)


async def test_filters_on_several_dimensions_must_all_hold(om, history):
    slugs, events = history
    asked = question("COUNT", keeps=(("m", lambda text: text in ("a", "b")), ("p", lambda text: text == "x")))
    wire = {"m": {"$in": ["a", "b"]}, "p": {"$eq": "x"}}
    assert await ask(om, slugs["COUNT"], asked, filters=wire) == answer(asked, events)


async def test_simple_filters_are_or_within_and_and_between_dimensions(om, history):
    slugs, events = history
    asked = question("COUNT", keeps=(("m", lambda text: text in ("a", "b")), ("p", lambda text: text == "x")))
    assert await ask(om, slugs["COUNT"], asked, simple={"m": ["a", "b"], "p": ["x"]}) == answer(asked, events)
    asked = question("SUM", group_by=("m",), keeps=(("p", lambda text: text == "y"),))
    assert await ask(om, slugs["SUM"], asked, simple={"p": ["y"]}) == answer(asked, events)
    asked = question("SUM")
    assert await ask(om, slugs["SUM"], asked, simple={"p": []}) == answer(asked, events)


async def test_typed_requests_say_the_same_as_dicts(om, history):
    slugs, _ = history
    typed = MeterQueryRequest(
        from_property=MIDDLE["since"],
        to=MIDDLE["until"],
        window_size="DAY",
        window_time_zone="Asia/Kathmandu",
        subject=["c1", "c2"],
        advanced_meter_group_by_filters={"m": FilterString(in_property=["a", "b"])},
        group_by=["p"],
        client_id="typed",
    )
    plain = {
        "from": MIDDLE["since"].isoformat(),
        "to": MIDDLE["until"].isoformat(),
        "windowSize": "DAY",
        "windowTimeZone": "Asia/Kathmandu",
        "subject": ["c1", "c2"],
        "advancedMeterGroupByFilters": {"m": {"$in": ["a", "b"]}},
        "groupBy": ["p"],
    }
    answers = [exact(await om.meters.query(slugs["SUM"], request, cls=raw)) for request in (typed, plain)]
    assert answers[0]["data"] == answers[1]["data"] != []
    assert answers[0]["windowSize"] == "DAY"


async def test_the_same_question_has_the_same_bytes_for_an_answer(om, history):
    slugs, _ = history
    asked = {"group_by": ["m", "subject", "p"], "window_size": "DAY"}
    texts = {await om.meters.query_json(slugs["AVG"], cls=raw, **asked) for _ in range(5)}
    assert len(texts) == 1


async def test_bounds_come_back_as_they_were_asked(om, history):
    slugs, _ = history
    asked = {"from": "2024-10-26T00:00:00+05:45", "to": "2024-10-30T00:00:00.5-04:00"}
    answered = exact(await om.meters.query(slugs["SUM"], asked, cls=raw))
    assert {name: answered[name] for name in asked} == asked
    (row,) = answered["data"]
    assert (row["windowStart"], row["windowEnd"]) == (asked["from"], asked["to"])
    assert "windowSize" not in answered
    bare = exact(await om.meters.query_json(slugs["SUM"], cls=raw))
    assert set(bare) == {"data"}


async def test_no_events_are_no_row_except_where_zero_is_the_answer(om, unique):
    for aggregation in AGGREGATIONS:
        slug = f"{unique}_{aggregation.lower()}"
        value = {} if aggregation == "COUNT" else {"valueProperty": "$.v"}
        await om.meters.create({"slug": slug, "aggregation": aggregation, "eventType": unique, "groupBy": {"m": "$.m"}, **value})
        bounds = {"from_parameter": at("2024-01-01T00:00:00Z"), "to": at("2024-02-01T00:00:00Z")}
        rows = (await om.meters.query_json(slug, **bounds)).data
        zero = aggregation in ("COUNT", "UNIQUE_COUNT")
        assert [(row.value, row.window_start, row.window_end) for row in rows] == ([(0, *bounds.values())] if zero else [])
        for shape in ({"group_by": ["m"]}, {"group_by": ["subject"]}, {"window_size": "DAY"}, {"subject": ["c"]}):
            assert (await om.meters.query_json(slug, **shape)).data == []
            assert (await om.meters.query_csv(slug, **shape)).count("\n") == 1


async def test_an_empty_list_of_subjects_asks_for_a_row_each(om, unique):
    await om.meters.create({"slug": unique, "aggregation": "COUNT", "eventType": unique})
    await om.events.ingest_events([event(unique, str(n), subject=f"c{n % 3}") for n in range(7)])
    rows = (await om.meters.query(unique, {"subject": []})).data
    assert {row.subject: row.value for row in rows} == {"c0": 3, "c1": 2, "c2": 2}


async def test_the_largest_time_first_then_source_then_id_is_latest(om, unique):
    await om.meters.create({"slug": unique, "aggregation": "LATEST", "eventType": unique, "valueProperty": "$.v"})

    async def latest():
        (row,) = (await om.meters.query_json(unique)).data
        return row.value

    await om.events.ingest_event(event(unique, "2", "2024-05-01T10:00:00.000001Z", source=unique + "a", data={"v": 1}))
    await om.events.ingest_event(event(unique, "9", "2024-05-01T10:00:00Z", source=unique + "z", data={"v": 2}))
    assert await latest() == 1
    await om.events.ingest_event(event(unique, "1", "2024-05-01T10:00:00.000001Z", source=unique + "b", data={"v": 3}))
    assert await latest() == 3
    await om.events.ingest_event(event(unique, "0", "2024-05-01T10:00:00.000001Z", source=unique + "b", data={"v": 4}))
    assert await latest() == 3
    await om.events.ingest_event(event(unique, "x", "2030-01-01T00:00:00Z", source=unique + "b", data={"v": "none"}))
    assert await latest() == 3


BAD_QUESTIONS = [
    {"group_by": ["nothing"]},
    {"group_by": ["customer_id"]},
    {"window_size": "SECOND"},
    {"window_size": "day"},
    {"window_size": "DAY", "window_time_zone": "Mars/Olympus"},
    {"window_size": "DAY", "window_time_zone": "Local"},
    {"window_time_zone": "Mars/Olympus"},
    {"from_parameter": MIDDLE["since"], "to": MIDDLE["since"]},
    {"from_parameter": MIDDLE["until"], "to": MIDDLE["since"]},
    {"params": {"from": "2024-05-01"}},
    {"params": {"from": "now"}},
    {"params": {"filterGroupBy[nothing]": "a"}},
    {"params": {"filterGroupBy": "m=a"}},
    {"filter_group_by": {"nothing": "a"}},
    {"params": {"filtergroupby[m]": "a"}},
    {"params": {"unknown": "a"}},
    {"params": {"windowSize": ["DAY", "HOUR"]}},
    {"params": {"filterGroupBy[m]": "a"}, "advanced_meter_group_by_filters": {"m": {"$eq": "a"}}},
    {"params": {"advancedMeterGroupByFilters": "not json"}},
    {"params": {"advancedMeterGroupByFilters": "[]"}},
    {"advanced_meter_group_by_filters": {"nothing": {"$eq": "a"}}},
    {"advanced_meter_group_by_filters": {"m": {"$contains": "a"}}},
    {"advanced_meter_group_by_filters": {"m": {"$exists": True}}},
    {"advanced_meter_group_by_filters": {"m": {"$eq": "a", "$ne": "b"}}},
    {"advanced_meter_group_by_filters": {"m": {"$and": [{"$nope": "a"}]}}},
    {"advanced_meter_group_by_filters": {"m": "a"}},
    {"advanced_meter_group_by_filters": {"m": {"$in": "a"}}},
    {"advanced_meter_group_by_filters": {"m": {"$eq": 1}}},
    {"client_id": "x" * 37},
]


@pytest.mark.parametrize("arguments", BAD_QUESTIONS, ids=str)
async def test_a_question_that_is_not_understood_is_refused_and_never_widened(om, history, arguments):
    slugs, _ = history
    for ask_one in (om.meters.query_json, om.meters.query_csv):
        with refused(400):
            await ask_one(slugs["SUM"], **dict(arguments, params=dict(arguments.get("params", {}))))


BAD_BODIES = [
    {"groupBy": ["nothing"]},
    {"groupBy": "m"},
    {"windowSize": "WEEK"},
    {"windowSize": "DAY", "windowTimeZone": "Mars/Olympus"},
    {"from": "2024-05-01"},
    {"from": 1},
    {"from": "2024-05-02T00:00:00Z", "to": "2024-05-01T00:00:00Z"},
    {"filterGroupBy": {"nothing": ["a"]}},
    {"filterGroupBy": {"m": "a"}},
    {"unknown": "a"},
    {"filterGroupBy": {"m": ["a"]}, "advancedMeterGroupByFilters": {"m": {"$eq": "a"}}},
    {"advancedMeterGroupByFilters": {"m": {"$contains": "a"}}},
    {"subject": "c1"},
    {"subject": [f"c{n}" for n in range(101)]},
    {"filterCustomerId": [f"c{n}" for n in range(101)]},
    {"groupBy": ["m"] * 101},
    [],
    "text",
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: str(body)[:60])
async def test_a_body_that_is_not_understood_is_refused(om, history, body):
    slugs, _ = history
    with refused(400):
        await om.meters.query(slugs["SUM"], body)


@pytest.mark.parametrize("wanted", [{"m": "a"}, {"m": "b c", "p": "x"}, {"m": 'é,"q"'}, {"p": "it's"}, {"m": "\\"}, {}], ids=str)
async def test_the_simple_filter_of_the_sdk_is_understood_as_it_is_sent(om, history, wanted):
    # The published SDK sends the text of a Python dict; other servers see no filter in it and answer unfiltered.
    slugs, events = history
    keeps = tuple((name, lambda text, value=value: text == value) for name, value in wanted.items())
    expected = answer(question("SUM", group_by=("m", "p"), keeps=keeps), events)
    asked = {"filter_group_by": wanted, "group_by": ["m", "p"]}
    assert json_rows(await om.meters.query_json(slugs["SUM"], cls=raw, **asked)) == expected
    assert csv_rows(await om.meters.query_csv(slugs["SUM"], **asked), question("SUM", group_by=("m", "p"))) == expected


async def test_an_empty_value_asks_for_events_without_one(om, history):
    slugs, events = history
    asked = question("SUM", keeps=(("m", lambda text: text == ""),))
    assert await ask(om, slugs["SUM"], asked, simple={"m": [""]}) == answer(asked, events)
    assert await ask(om, slugs["SUM"], asked, filters={"m": {"$eq": ""}}) == answer(asked, events)


async def test_a_customer_that_is_unknown_is_not_found(om, history):
    slugs, _ = history
    unknown = "01HW0000000000000000000000"
    for call in [
        om.meters.query_json(slugs["SUM"], filter_customer_id=[unknown]),
        om.meters.query_csv(slugs["SUM"], filter_customer_id=[unknown]),
        om.meters.query(slugs["SUM"], {"filterCustomerId": [unknown]}),
    ]:
        with refused(404) as refusal:
            await call
        assert unknown in refusal.detail


async def test_subjects_of_a_meter_in_a_range(om, history):
    slugs, events = history
    for bounds in ({}, MIDDLE, {"since": MIDDLE["since"]}, {"until": START + datetime.timedelta(minutes=30)}):
        inside = {sent.subject for sent in events if bounds.get("since", START) <= sent.time < bounds.get("until", at("2099-01-01T00:00:00Z"))}
        listed = await om.meters.list_subjects(slugs["SUM"], from_parameter=bounds.get("since"), to=bounds.get("until"))
        assert listed == sorted(inside)
    for bounds in ((MIDDLE["since"], MIDDLE["since"]), (MIDDLE["until"], MIDDLE["since"])):
        with refused(400):
            await om.meters.list_subjects(slugs["SUM"], from_parameter=bounds[0], to=bounds[1])


async def test_values_of_a_dimension_in_a_range(om, unique):
    now = datetime.datetime.now(datetime.timezone.utc)
    await om.meters.create({"slug": unique, "aggregation": "COUNT", "eventType": unique, "groupBy": {"m": "$.m"}})
    ages = {"new": 1, "old": 20 * 24, "older": 29 * 24}
    events = [event(unique, name, (now - datetime.timedelta(hours=age)).isoformat(), data={"m": name}) for name, age in ages.items()]
    await om.events.ingest_events(events + [event(unique, "none", now.isoformat()), event(unique, "n", now.isoformat(), data={"m": None})])
    assert await om.meters.list_group_by_values(unique, "m") == ["", "new", "null"]
    since, until = now - datetime.timedelta(hours=29 * 24, minutes=1), now - datetime.timedelta(hours=2)
    assert await om.meters.list_group_by_values(unique, "m", from_parameter=since, to=until) == ["old", "older"]
    with refused(400) as refusal:
        await om.meters.list_group_by_values(unique, "nothing")
    assert "group by key is not valid for this meter" in refusal.detail
    for bounds in ((now, now), (now, since)):
        with refused(400):
            await om.meters.list_group_by_values(unique, "m", from_parameter=bounds[0], to=bounds[1])
