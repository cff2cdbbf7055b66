"""Events in: what is accepted, what is refused and why, exactly once whatever happens on the way."""

import asyncio
import datetime
import json

import pytest
from openmeter.models import Event

from sdk import CONCURRENCY, at, count, count_meter, event, exact, raw, refused

CONTENT_TYPES = ["application/cloudevents+json", "application/cloudevents-batch+json", "application/json"]


def body(event_type: str, **changes) -> dict:
    """A good event as JSON, with changes; a field that is set to `...` is left out."""
    good = {"specversion": "1.0", "id": "1", "source": event_type, "type": event_type, "subject": "c"}
    return {name: value for name, value in (good | changes).items() if value is not ...}


async def test_a_missing_or_null_time_is_now(om, unique):
    before = datetime.datetime.now(datetime.timezone.utc)
    await om.events.ingest_event(event(unique, "missing", time=None))
    await om.events.ingest_event(json.dumps(body(unique, id="null", time=None)).encode())
    after = datetime.datetime.now(datetime.timezone.utc)
    listed = await om.events_v2.list(filter={"type": {"$eq": unique}})
    assert sorted(item.event.id for item in listed) == ["missing", "null"]
    second = datetime.timedelta(seconds=1)
    assert all(before - second <= item.event.time <= after + second for item in listed)
    assert all(before - second <= item.ingested_at <= after + second for item in listed)


async def test_an_offset_names_the_same_moment_and_microseconds_stay(om, unique):
    await count_meter(om, unique)
    await om.events.ingest_event(event(unique, "1", "2024-05-01T12:00:00.000001+14:00"))
    listed = await om.events_v2.list(filter={"type": {"$eq": unique}})
    assert [item.event.time for item in listed] == [at("2024-04-30T22:00:00.000001Z")]


@pytest.mark.parametrize("data", [..., None, {}, {"deep": {"er": [1, {"x": None}]}}])
async def test_data_is_optional(om, unique, data):
    await count_meter(om, unique)
    await om.events.ingest_event(json.dumps(body(unique, data=data)).encode())
    assert await count(om, unique) == 1


async def test_numbers_and_texts_of_the_data_stay_as_they_were_sent(om, unique):
    data = '{"z": 12345678901234567890123, "a": 1.10, "e": 1e3, "t": "Łódź \\u0000 \\"q\\"", "n": {"k": [0.1, -0]}}'
    await om.events.ingest_event((json.dumps(body(unique, subject=unique))[:-1] + f', "data": {data}}}').encode())
    listed = await om.events.list(subject=unique, cls=raw)
    kept = exact(listed)[0]["event"]["data"]
    assert kept == exact(data) and list(kept) == ["z", "a", "e", "t", "n"]
    assert "12345678901234567890123" in listed and "1.10" in listed


async def test_names_of_any_kind_come_back_unchanged(om, unique):
    names = ["a b", "a/b?c=d&e", "Ünïcödé 🚀", "%2F", "'; drop table events; --", "x" * 4096, '"', "\\", "null", "0"]
    for index, name in enumerate(names):
        await om.events.ingest_event(event(unique, name, subject=name, source=f"{unique}/{index}", data={"s": name}))
    listed = await om.events_v2.list(filter={"type": {"$eq": unique}})
    assert sorted(item.event.id for item in listed) == sorted(names)
    assert all(item.event.subject == item.event.id == item.event.data["s"] for item in listed)


async def test_a_repeated_event_is_success_and_changes_nothing(om, unique):
    await om.meters.create({"slug": unique, "aggregation": "SUM", "eventType": unique, "valueProperty": "$.v"})
    first = event(unique, "1", data={"v": 1})
    await om.events.ingest_event(first)
    for repeated in [first, event(unique, "1", data={"v": 100}), event(unique, "1", "2030-01-01T00:00:00Z", subject="other")]:
        await om.events.ingest_event(repeated)
        await om.events.ingest_events([repeated, repeated])
        await om.events.ingest_events_json([repeated])
    assert [row.value for row in (await om.meters.query_json(unique)).data] == [1]
    assert await om.meters.list_subjects(unique) == ["customer-1"]


async def test_the_first_of_a_batch_wins_over_its_repetitions(om, unique):
    await om.meters.create({"slug": unique, "aggregation": "SUM", "eventType": unique, "valueProperty": "$.v"})
    await om.events.ingest_events([event(unique, "1", data={"v": value}) for value in (7, 8, 9)])
    assert [row.value for row in (await om.meters.query_json(unique)).data] == [7]


async def test_identity_is_source_and_id_and_not_their_concatenation(om, unique):
    await count_meter(om, unique)
    pairs = [("a-b", "c"), ("a", "b-c"), ("a", "c"), ("c", "a"), ("A", "c"), ("a", "C"), ("ab", "c"), ("a", "bc"), ("a ", "c")]
    prefixed = [(f"{unique}{source}", event_id) for source, event_id in pairs]
    await om.events.ingest_events([event(unique, event_id, source=source) for source, event_id in prefixed])
    assert await count(om, unique) == len(pairs)


async def test_many_senders_of_one_event_count_once(om, unique):
    await count_meter(om, unique)
    shared = event(unique, "shared")
    await asyncio.gather(
        *(om.events.ingest_events([shared, event(unique, f"own-{sender}")]) for sender in range(CONCURRENCY))
    )
    assert await count(om, unique) == 1 + CONCURRENCY


async def test_many_senders_of_the_same_batch_count_once(om, unique):
    await om.meters.create({"slug": unique, "aggregation": "SUM", "eventType": unique, "valueProperty": "$.v"})
    batch = [event(unique, str(index), data={"v": index}) for index in range(100)]
    await asyncio.gather(*(om.events.ingest_events(batch[shift:] + batch[:shift]) for shift in range(CONCURRENCY)))
    assert [row.value for row in (await om.meters.query_json(unique)).data] == [sum(range(100))]


async def test_an_acknowledged_event_is_in_the_next_answer(om, unique):
    await count_meter(om, unique)
    for sent in range(1, 21):
        await om.events.ingest_event(event(unique, str(sent)))
        assert await count(om, unique) == sent


BAD_FIELDS = [
    ("id", ...),
    ("id", ""),
    ("id", None),
    ("id", 7),
    ("source", ...),
    ("source", ""),
    ("type", ...),
    ("type", ""),
    ("subject", ...),
    ("subject", ""),
    ("specversion", "2.0"),
    ("time", "2024-05-01"),
    ("time", "2024-05-01T10:00:00"),
    ("time", "yesterday"),
    ("time", "2024-02-30T10:00:00Z"),
    ("time", 1714557600),
    ("data", "text"),
    ("data", [1]),
    ("data", 1),
    ("data", True),
    ("datacontenttype", "application/xml"),
]


@pytest.mark.parametrize(("field", "value"), BAD_FIELDS)
async def test_one_bad_event_is_named_and_its_batch_is_not_stored(om, unique, field, value):
    batch = [body(unique, id="good-0"), body(unique, **{field: value}), body(unique, id="good-2")]
    with refused(400) as refusal:
        await om.events.ingest_events(json.dumps(batch).encode())
    assert f"$[1].{field}: " in refusal.detail
    (fault,) = refusal.problem["extensions"]["validationErrors"]
    assert fault["field"] == f"$[1].{field}" and fault["message"]
    assert await om.events_v2.list(filter={"id": {"$in": ["good-0", "good-2"]}, "type": {"$eq": unique}}) == []
    for content_type in CONTENT_TYPES:
        with refused(400) as refusal:
            await om.events.ingest_event(json.dumps(batch[1]).encode(), content_type=content_type)
        assert f"{field}: " in refusal.detail
        assert [fault["field"] for fault in refusal.problem["extensions"]["validationErrors"]] == [f"$.{field}"]
    with refused(400) as refusal:
        await om.events.ingest_events_json([Event(item) for item in batch])
    assert f"$[1].{field}: " in refusal.detail


async def test_all_bad_events_of_a_batch_are_named_and_the_corrected_batch_passes(om, unique):
    await count_meter(om, unique)
    batch = [body(unique, id=str(index)) for index in range(10)]
    broken = [dict(item) for item in batch]
    del broken[3]["subject"]
    broken[8]["time"] = "never"
    with refused(400) as refusal:
        await om.events.ingest_events(json.dumps(broken).encode())
    faults = refusal.problem["extensions"]["validationErrors"]
    assert [fault["field"] for fault in faults] == ["$[3].subject", "$[8].time"]
    assert await count(om, unique) == 0
    await om.events.ingest_events(json.dumps(batch).encode())
    assert await count(om, unique) == 10


@pytest.mark.parametrize(
    "text",
    ["", "{", "[", "null", "1", '"x"', "[1]", "[null]", "{} {}", '{"id": }', "\ufeff{}", "[" * 100_000, '{"a":' * 100_000],
)
async def test_what_is_no_event_is_refused(om, text):
    for content_type in CONTENT_TYPES:
        with refused(400):
            await om.events.ingest_event(text.encode(), content_type=content_type)


async def test_bytes_that_are_no_text_are_refused(om, unique):
    text = json.dumps(body(unique)).encode().replace(b'"c"', b'"\xff\xfe"')
    with refused(400):
        await om.events.ingest_event(text)


async def test_a_repeated_key_in_an_event_is_refused(om, unique):
    await count_meter(om, unique)
    for repeated in ['"subject": "d"', '"data": {"v": 1, "v": 2}']:
        with refused(400):
            await om.events.ingest_event((json.dumps(body(unique))[:-1] + f", {repeated}}}").encode())
    assert await count(om, unique) == 0


async def test_one_event_or_a_list_is_told_by_the_body_itself(om, unique):
    await count_meter(om, unique)
    one, many = json.dumps(body(unique, id="one")).encode(), json.dumps([body(unique, id="many")]).encode()
    await om.events.ingest_event(many)
    await om.events.ingest_events(one)
    assert await count(om, unique) == 2
    for content_type in ("application/xml", "text/plain", "application/cloudevents+xml"):
        with refused(400) as refusal:
            await om.events.ingest_event(one, content_type=content_type)
        assert content_type in refusal.detail


async def test_attributes_of_the_senders_own_come_back(om, unique):
    own = {"traceparent": "00-abc-01", "count": 7, "flag": True, "dataschema": "https://example.com/schema"}
    await om.events.ingest_event(json.dumps(body(unique, **own)).encode())
    (listed,) = await om.events_v2.list(filter={"type": {"$eq": unique}})
    assert {name: listed.event[name] for name in own} == own
    for name, value in [("trace-parent", "x"), ("nested", {"a": 1}), ("data_base64", "e30=")]:
        with refused(400) as refusal:
            await om.events.ingest_event(json.dumps(body(unique, id="2", **{name: value})).encode())
        assert name in refusal.detail


async def test_a_charset_changes_nothing(om, unique):
    await count_meter(om, unique)
    for content_type in CONTENT_TYPES:
        for charset in ("; charset=utf-8", ";charset=UTF-8"):
            one = json.dumps(body(unique, id=content_type + charset)).encode()
            await om.events.ingest_event(one, content_type=content_type + charset)
    assert await count(om, unique) == 2 * len(CONTENT_TYPES)


async def test_an_empty_batch_stores_nothing(om):
    assert await om.events.ingest_events([]) is None
    with refused(400) as refusal:
        await om.events.ingest_events_json([])
    assert "no events found" in refusal.detail


async def test_a_batch_of_thousands_is_one_request(om, unique):
    await om.meters.create({"slug": unique, "aggregation": "SUM", "eventType": unique, "valueProperty": "$.v"})
    await om.events.ingest_events([event(unique, str(index), data={"v": index}) for index in range(5000)])
    assert [row.value for row in (await om.meters.query_json(unique)).data] == [sum(range(5000))]


async def test_history_counts_for_a_meter_that_comes_later(om, unique):
    events = [event(unique, str(day), f"2023-01-{day:02}T00:00:00Z", data={"v": day}) for day in range(1, 32)]
    await om.events.ingest_events(events)
    definition = {"slug": unique, "aggregation": "SUM", "eventType": unique, "valueProperty": "$.v"}
    await om.meters.create(definition)
    assert [row.value for row in (await om.meters.query_json(unique)).data] == [496]
    await om.meters.create(definition | {"slug": f"{unique}_late", "eventFrom": "2023-01-31T00:00:00Z"})
    assert [row.value for row in (await om.meters.query_json(f"{unique}_late")).data] == [31]


async def test_late_events_reach_windows_that_were_asked_before(om, unique):
    await count_meter(om, unique)
    window = {"window_size": "DAY", "from_parameter": at("2020-01-01T00:00:00Z"), "to": at("2020-01-03T00:00:00Z")}
    await om.events.ingest_event(event(unique, "1", "2020-01-01T10:00:00Z"))
    assert [row.value for row in (await om.meters.query_json(unique, **window)).data] == [1]
    await om.events.ingest_events([event(unique, "2", "2020-01-01T09:00:00Z"), event(unique, "3", "2020-01-02T00:00:00Z")])
    assert [row.value for row in (await om.meters.query_json(unique, **window)).data] == [2, 1]
