"""Events back: both listings, their filters, order and pages, and why an event does not count."""

import datetime
import json

import pytest

from sdk import at, event, exact, raw, refused

HOUR = datetime.timedelta(hours=1)


def whole_second(moment: datetime.datetime) -> datetime.datetime:
    return moment.replace(microsecond=0)


@pytest.fixture
def now():
    return whole_second(datetime.datetime.now(datetime.timezone.utc))


def ids(listed) -> list[str]:
    return [item.event.id for item in listed]


async def test_the_first_listing_is_newest_first_and_half_open(om, unique, now):
    events = [event(unique, str(age), (now - age * HOUR).isoformat(), subject=unique) for age in (3, 1, 2, 5, 4)]
    await om.events.ingest_events(events)
    assert ids(await om.events.list(subject=unique)) == ["1", "2", "3", "4", "5"]
    assert ids(await om.events.list(subject=unique, limit=2)) == ["1", "2"]
    assert ids(await om.events.list(subject=unique, from_parameter=now - 4 * HOUR, to=now - 2 * HOUR)) == ["3", "4"]
    assert ids(await om.events.list(subject=unique, from_parameter=now - 4 * HOUR, to=now - 4 * HOUR)) == []
    assert ids(await om.events.list(subject=unique, id="4")) == ["4"]
    assert ids(await om.events.list(subject=unique, ingested_at_from=now - HOUR)) == ["1", "2", "3", "4", "5"]
    assert ids(await om.events.list(subject=unique, ingested_at_to=now - HOUR)) == []
    assert ids(await om.events.list(subject=unique, ingested_at_from=now + HOUR, ingested_at_to=now + 2 * HOUR)) == []
    assert ids(await om.events.list(subject=unique, client_id="some-client")) == ["1", "2", "3", "4", "5"]
    assert ids(await om.events.list(subject=unique[:-1] + "?")) == []


async def test_an_id_matches_by_a_part_of_it(om, unique):
    names = ["a%b", "axb", "A", "a"]
    await om.events.ingest_events([event(unique, f"{unique}-{name}", None, subject=unique) for name in names])

    async def matching(part):
        return sorted(name.removeprefix(f"{unique}-") for name in ids(await om.events.list(subject=unique, id=part)))

    assert await matching("-a") == ["a", "a%b", "axb"]
    assert await matching("-A") == ["A"]
    assert await matching("a%b") == ["a%b"]
    assert await matching("a_b") == []


async def test_a_listed_event_has_all_that_was_sent(om, unique, now):
    sent = event(unique, "1", now.isoformat(), subject=unique, source=f"https://svc/{unique}?x=y", data={"v": "12.5", "m": "GET"})
    await om.events.ingest_event(sent)
    (listed,) = exact(await om.events.list(subject=unique, cls=raw))
    assert listed["event"] == {
        "specversion": "1.0",
        "id": "1",
        "source": f"https://svc/{unique}?x=y",
        "type": unique,
        "subject": unique,
        "datacontenttype": "application/json",
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "data": {"v": "12.5", "m": "GET"},
    }
    assert {"ingestedAt", "storedAt"} <= set(listed)
    assert "customerId" not in listed


@pytest.mark.parametrize(
    "arguments",
    [
        {"limit": 0},
        {"limit": 101},
        {"limit": -1},
        {"params": {"limit": "ten"}},
        {"params": {"from": "yesterday"}},
        {"params": {"from": "2024-05-01"}},
        {"client_id": "x" * 37},
        {"from_parameter": at("2024-05-02T00:00:00Z"), "to": at("2024-05-01T00:00:00Z")},
        {"customer_id": ["01HW0000000000000000000000"]},
    ],
)
async def test_the_first_listing_refuses_what_it_cannot_answer(om, arguments):
    with refused(400):
        await om.events.list(**arguments)


async def test_every_page_to_the_end_each_event_once_newest_first(om, unique):
    start = at("2024-05-01T00:00:00Z")
    # Groups of seven share a moment, so pages end inside of a group.
    times = {f"{index:03}": start + datetime.timedelta(seconds=index // 7) for index in range(250)}
    await om.events.ingest_events([event(unique, name, time.isoformat()) for name, time in times.items()])
    expected = sorted(times, key=lambda name: (-times[name].timestamp(), name))
    for limit in (1, 7, 100):
        pages = await om.pages(limit=limit, filter={"type": {"$eq": unique}, "id": {"$gte": "150"}} if limit == 1 else {"type": {"$eq": unique}})
        wanted = [name for name in expected if limit > 1 or name >= "150"]
        assert all(len(page) == limit for page in pages[: len(wanted) // limit])
        assert [name for page in pages for name in ids(page)] == wanted
    assert ids(await om.events_v2.list(filter={"type": {"$eq": unique}})) == expected


async def test_pages_stay_right_while_events_arrive(om, unique):
    await om.events.ingest_events([event(unique, f"old-{index}", f"2024-05-01T00:{index:02}:00Z") for index in range(40)])
    seen: list[str] = []
    if om.flavour == "sync":
        for page in om.client.events_v2.list(limit=10, filter={"type": {"$eq": unique}}).by_page():
            seen += ids(page)
            await om.events.ingest_event(event(unique, f"new-{len(seen)}", "2024-06-01T00:00:00Z"))
    else:
        async for page in om.client.events_v2.list(limit=10, filter={"type": {"$eq": unique}}).by_page():
            seen += [item.event.id async for item in page]
            await om.events.ingest_event(event(unique, f"new-{len(seen)}", "2024-06-01T00:00:00Z"))
    assert seen == [f"old-{index}" for index in reversed(range(40))]


FILTERS = [
    ({"$eq": "beta"}, {"beta"}),
    ({"$ne": "beta"}, {"alpha", "Alpha", "gamma", "a%c", "é"}),
    ({"$in": ["alpha", "gamma", "nothing"]}, {"alpha", "gamma"}),
    ({"$nin": ["alpha", "gamma"]}, {"Alpha", "beta", "a%c", "é"}),
    ({"$like": "%a"}, {"alpha", "Alpha", "beta", "gamma"}),
    ({"$like": "_eta"}, {"beta"}),
    ({"$like": "a\\%c"}, {"a%c"}),
    ({"$nlike": "%a%"}, {"é"}),
    ({"$ilike": "ALPHA"}, {"alpha", "Alpha"}),
    ({"$nilike": "ALPHA"}, {"beta", "gamma", "a%c", "é"}),
    ({"$gt": "beta"}, {"gamma", "é"}),
    ({"$gte": "beta"}, {"beta", "gamma", "é"}),
    ({"$lt": "alpha"}, {"Alpha", "a%c"}),
    ({"$lte": "alpha"}, {"Alpha", "a%c", "alpha"}),
    ({"$and": [{"$gte": "alpha"}, {"$lt": "beta"}]}, {"alpha"}),
    ({"$or": [{"$eq": "beta"}, {"$like": "g%"}]}, {"beta", "gamma"}),
]
NAMES = ["alpha", "Alpha", "beta", "gamma", "a%c", "é"]


@pytest.mark.parametrize("field", ["id", "source", "subject"])
async def test_every_text_operator_on_every_attribute(om, unique, field):
    events = [{"id": f"{unique}-{field}-{index}", "source": unique, "subject": "c"} | {field: name} for index, name in enumerate(NAMES)]
    await om.events.ingest_events([event(unique, item.pop("id"), **item) for item in events])
    for condition, expected in FILTERS:
        listed = await om.events_v2.list(filter={"type": {"$eq": unique}, field: condition})
        assert {getattr(item.event, field) for item in listed} == expected, condition


async def test_the_type_and_several_attributes_are_filtered_together(om, unique):
    for suffix in ("x", "y"):
        await om.events.ingest_events([event(f"{unique}_{suffix}", f"{suffix}{n}", subject=f"c{n}") for n in range(3)])
    listed = await om.events_v2.list(filter={"type": {"$like": f"{unique}\\_%"}, "subject": {"$in": ["c1", "c2"]}})
    assert sorted(ids(listed)) == ["x1", "x2", "y1", "y2"]
    listed = await om.events_v2.list(filter={"type": {"$eq": f"{unique}_x"}, "subject": {"$ne": "c0"}, "id": {"$gt": "x1"}})
    assert ids(listed) == ["x2"]


async def test_times_are_filtered_to_the_microsecond(om, unique, now):
    moments = ["10:00:00Z", "10:00:00.000001Z", "10:00:00.5Z", "10:00:01Z"]
    await om.events.ingest_events([event(unique, moment, f"2024-05-01T{moment}") for moment in moments])

    async def listed(condition):
        return ids(await om.events_v2.list(filter={"type": {"$eq": unique}, "time": condition}))[::-1]

    assert await listed({"$gt": "2024-05-01T10:00:00Z"}) == moments[1:]
    assert await listed({"$gte": "2024-05-01T10:00:00Z"}) == moments
    assert await listed({"$lt": "2024-05-01T12:00:00.5+02:00"}) == moments[:2]
    assert await listed({"$lte": "2024-05-01T10:00:00.5Z"}) == moments[:3]
    assert await listed({"$and": [{"$gt": "2024-05-01T10:00:00Z"}, {"$lt": "2024-05-01T10:00:01Z"}]}) == moments[1:3]
    assert await listed({"$or": [{"$lt": "2024-05-01T10:00:00.000001Z"}, {"$gte": "2024-05-01T10:00:01Z"}]}) == [
        moments[0],
        moments[3],
    ]
    ingested = {"type": {"$eq": unique}, "ingestedAt": {"$gte": (now - HOUR).isoformat()}}
    assert len(await om.events_v2.list(filter=ingested)) == 4
    assert await om.events_v2.list(filter=ingested | {"ingestedAt": {"$gt": (now + HOUR).isoformat()}}) == []


@pytest.mark.parametrize(
    "condition",
    [
        {"subject": {"$contains": "a"}},
        {"subject": {"$exists": True}},
        {"subject": {"$EQ": "a"}},
        {"subject": {"eq": "a"}},
        {"subject": {"$eq": "a", "$ne": "b"}},
        {"subject": {"$in": "a"}},
        {"subject": {"$eq": 1}},
        {"subject": {"$eq": ["a"]}},
        {"subject": "a"},
        {"subject": {"$and": [{"$contains": "a"}]}},
        {"time": {"$eq": "2024-05-01T10:00:00Z"}},
        {"time": {"$gt": "yesterday"}},
        {"time": {"$like": "2024%"}},
        {"unknown": {"$eq": "a"}},
        {"customerId": {"$in": ["01HW0000000000000000000000"]}},
        [],
        "text",
    ],
)
async def test_a_filter_that_is_not_understood_is_refused_and_never_dropped(om, condition):
    with refused(400):
        await om.events_v2.list(filter=condition)


@pytest.mark.parametrize("cursor", ["!", "bm90aGluZw==", "", "2024-05-01T10:00:00Z", "x" * 10_000])
async def test_a_cursor_that_is_none_is_refused(om, cursor):
    with refused(400):
        if om.flavour == "sync":
            await om.in_thread(lambda: next(om.client.events_v2.list().by_page(cursor)))
        else:
            await anext(om.client.events_v2.list().by_page(cursor))


@pytest.mark.parametrize("limit", [0, 101])
async def test_the_second_listing_bounds_its_pages(om, limit):
    with refused(400):
        await om.events_v2.list(limit=limit)


REASONS = {
    "no data": (None, "null and missing value property"),
    "missing": ({"other": 1}, 'missing value property: "$.v"'),
    "null": ({"v": None}, "value cannot be null"),
    "bool": ({"v": True}, "unsupported value property type: bool"),
    "array": ({"v": [1]}, "unsupported value property type: "),
    "object": ({"v": {"w": 1}}, "unsupported value property type: "),
    "text": ({"v": "ten"}, "ten"),
    "spaced": ({"v": " 10"}, "10"),
    "nan": ({"v": "NaN"}, "value cannot be NaN"),
    "infinity": ({"v": "Infinity"}, "value cannot be infinity"),
    "huge": ({"v": "1e400"}, "1e400"),
    "long": ({"v": "1234567890123456789012345678901234567890"}, "28 significant digits"),
}


async def test_an_event_that_does_not_count_says_why_and_is_never_zero(om, unique):
    for aggregation in ("SUM", "MIN", "COUNT"):
        value = {} if aggregation == "COUNT" else {"valueProperty": "$.v"}
        await om.meters.create({"slug": f"{unique}_{aggregation.lower()}", "aggregation": aggregation, "eventType": unique, **value})
    events = [event(unique, name, data=data) for name, (data, _) in REASONS.items()]
    await om.events.ingest_events(events + [event(unique, "good", data={"v": "5"})])
    listed = {item.event.id: item.validation_error for item in await om.events_v2.list(filter={"type": {"$eq": unique}})}
    assert listed.pop("good") is None
    assert set(listed) == set(REASONS)
    for name, (_, reason) in REASONS.items():
        assert listed[name].startswith("invalid event: ") and reason in listed[name], name
    for slug, value in [("sum", 5), ("min", 5), ("count", len(REASONS) + 1)]:
        assert [row.value for row in (await om.meters.query_json(f"{unique}_{slug}")).data] == [value]


async def test_an_event_that_no_meter_wants_says_so_until_one_does(om, unique):
    await om.events.ingest_event(event(unique, "1", data={"v": 1}))

    async def problem():
        (listed,) = await om.events_v2.list(filter={"type": {"$eq": unique}})
        return listed.validation_error

    assert await problem() == f"no meter found for event type: {unique}"
    await om.meters.create({"slug": unique, "aggregation": "SUM", "eventType": unique, "valueProperty": "$.v"})
    assert await problem() is None
    await om.meters.delete(unique)
    assert await problem() == f"no meter found for event type: {unique}"
