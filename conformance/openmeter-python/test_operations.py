"""Every operation of the groups below that the SDK has, called once with plain good input, in both flavours."""

import datetime
import inspect
import io

import openmeter.aio
from openmeter.models import FeatureCreateInputs, Meter, MeterCreate, MeterQueryRequest, MeterUpdate, SubjectUpsert

import openmeter
from sdk import at, event, refused

NOON = "2024-05-01T12:00:00Z"


async def ingest_event(om, name):
    assert await om.events.ingest_event(event(name, "1", NOON, data={"v": 1.5, "model": "a"})) is None


async def ingest_events(om, name):
    events = [event(name, "2", NOON, data={"v": 2, "model": "b"}), event(name, "3", NOON, data={"v": "0.5", "model": "a"})]
    assert await om.events.ingest_events(events) is None


async def ingest_events_json(om, name):
    assert await om.events.ingest_events_json(event(name, "4", NOON, subject="customer-2", data={"v": 4, "model": "b"})) is None
    assert await om.events.ingest_events_json([event(name, "5", NOON, subject="customer-2", data={"v": 5, "model": "a"})]) is None


async def create(om, name):
    definition = MeterCreate(
        slug=name, aggregation="SUM", event_type=name, value_property="$.v", group_by={"model": "$.model"}, name="Tokens"
    )
    meter = await om.meters.create(definition)
    assert (meter.slug, meter.name, meter.aggregation, meter.group_by) == (name, "Tokens", "SUM", {"model": "$.model"})


async def list_meters(om, name):
    meters = await om.meters.list()
    assert all(isinstance(meter, Meter) for meter in meters)
    assert [meter.name for meter in meters if meter.slug == name] == ["Tokens"]


async def get(om, name):
    by_slug = await om.meters.get(name)
    assert await om.meters.get(by_slug.id) == by_slug
    assert (by_slug.slug, by_slug.event_type, by_slug.value_property) == (name, name, "$.v")


async def update(om, name):
    await om.meters.update(name, MeterUpdate(name="All tokens", group_by={"model": "$.model"}))
    assert (await om.meters.get(name)).name == "All tokens"


async def query_json(om, name):
    result = await om.meters.query_json(name, group_by=["model"])
    assert {row.group_by["model"]: row.value for row in result.data} == {"a": 7, "b": 6}


async def query_csv(om, name):
    lines = (await om.meters.query_csv(name, from_parameter=at(NOON), to=at(NOON) + datetime.timedelta(hours=1))).split("\n")
    assert lines == ["window_start,window_end,value", "2024-05-01T12:00:00.000Z,2024-05-01T13:00:00.000Z,13.000000", ""]


async def query(om, name):
    result = await om.meters.query(name, MeterQueryRequest(subject=["customer-2"]))
    assert [(row.subject, row.value) for row in result.data] == [("customer-2", 9)]


async def query_csv_post(om, name):
    lines = (await om.meters.query_csv_post(name)).split("\n")
    assert lines == ["window_start,window_end,value", "2024-05-01T12:00:00Z,2024-05-01T12:01:00Z,13.000000", ""]


async def list_subjects(om, name):
    assert await om.meters.list_subjects(name) == ["customer-1", "customer-2"]


async def list_group_by_values(om, name):
    now = datetime.datetime.now(datetime.timezone.utc)
    await om.events.ingest_event(event(name, "6", now.isoformat(), subject=name, data={"v": 0, "model": "c"}))
    assert await om.meters.list_group_by_values(name, "model") == ["c"]


async def list_events(om, name):
    listed = await om.events.list(subject=name, limit=1)
    assert [(item.event.type, item.event.id) for item in listed] == [(name, "6")]


async def list_events_v2(om, name):
    listed = await om.events_v2.list(limit=2, filter={"type": {"$eq": name}, "time": {"$lte": NOON}})
    assert sorted(item.event.id for item in listed) == ["1", "2", "3", "4", "5"]


async def upsert_subjects(om, name):
    described = [SubjectUpsert(key=f"{name}-1", display_name="One"), {"key": f"{name}-2", "metadata": {"n": [1.5, "x"]}}]
    first, second = await om.subjects.upsert(described)
    assert (first.key, first.display_name, second.key, second.metadata) == (f"{name}-1", "One", f"{name}-2", {"n": [1.5, "x"]})


async def list_described(om, name):
    assert [s.key for s in await om.subjects.list() if s.key.startswith(f"{name}-")] == [f"{name}-1", f"{name}-2"]


async def get_subject(om, name):
    by_key = await om.subjects.get(f"{name}-1")
    assert await om.subjects.get(by_key.id) == by_key
    assert (by_key.display_name, by_key.metadata) == ("One", {})


async def delete_subject(om, name):
    assert await om.subjects.delete(f"{name}-1") is None
    assert [s.key for s in await om.subjects.list() if s.key.startswith(f"{name}-")] == [f"{name}-2"]


async def create_feature(om, name):
    inputs = FeatureCreateInputs(key=f"{name}_a", name="A", meter_slug=name, meter_group_by_filters={"model": "a"})
    feature = await om.features.create(inputs)
    assert (feature.key, feature.name, feature.meter_slug) == (f"{name}_a", "A", name)
    assert (feature.meter_group_by_filters, feature.advanced_meter_group_by_filters["model"].eq) == ({"model": "a"}, "a")


async def list_features(om, name):
    assert [feature["key"] for feature in await om.features.list(meter_slug=[name])] == [f"{name}_a"]
    page = await om.features.list(meter_slug=[name], page=1, page_size=5)
    assert (page["totalCount"], page["pageSize"], [item["key"] for item in page["items"]]) == (1, 5, [f"{name}_a"])


async def get_feature(om, name):
    by_key = await om.features.get(f"{name}_a")
    assert await om.features.get(by_key.id) == by_key


async def delete_feature(om, name):
    assert await om.features.delete(f"{name}_a") is None
    with refused(404):
        await om.features.get(f"{name}_a")


async def list_currencies(om, name):
    currencies = {currency.code: currency for currency in await om.currencies.list_currencies()}
    assert (currencies["EUR"].symbol, currencies["EUR"].subunits, currencies["JPY"].subunits) == ("€", 2, 0)


async def metrics(om, name):
    await om.events.ingest_event(event(name, "today", None, subject=f"{name}-today"))
    assert f'openmeter_events_total{{subject="{name}-today"}} 1.0' in (await om.debug.metrics()).splitlines()


async def get_progress(om, name):
    await om.meters.query_json(name, client_id=name[:36])
    progress = await om.progress.get_progress(name[:36])
    assert (progress.failed, progress.success == progress.total, progress.total >= 6) == (0, True, True)


async def delete(om, name):
    assert await om.meters.delete(name) is None
    assert [meter.slug for meter in await om.meters.list() if meter.slug == name] == []


# In this order: later operations look at what earlier ones did.
OPERATIONS = {
    ("events", "ingest_event"): ingest_event,
    ("events", "ingest_events"): ingest_events,
    ("events", "ingest_events_json"): ingest_events_json,
    ("meters", "create"): create,
    ("meters", "list"): list_meters,
    ("meters", "get"): get,
    ("meters", "update"): update,
    ("meters", "query_json"): query_json,
    ("meters", "query_csv"): query_csv,
    ("meters", "query"): query,
    ("meters", "query_csv_post"): query_csv_post,
    ("meters", "list_subjects"): list_subjects,
    ("meters", "list_group_by_values"): list_group_by_values,
    ("events", "list"): list_events,
    ("events_v2", "list"): list_events_v2,
    ("subjects", "upsert"): upsert_subjects,
    ("subjects", "list"): list_described,
    ("subjects", "get"): get_subject,
    ("subjects", "delete"): delete_subject,
    ("features", "create"): create_feature,
    ("features", "list"): list_features,
    ("features", "get"): get_feature,
    ("features", "delete"): delete_feature,
    ("currencies", "list_currencies"): list_currencies,
    ("debug", "metrics"): metrics,
    ("progress", "get_progress"): get_progress,
    ("meters", "delete"): delete,
}


async def test_every_operation_answers(om, unique):
    for operation in OPERATIONS.values():
        await operation(om, unique)


def test_the_table_names_every_operation_of_the_sdk():
    for client in [openmeter.Client(endpoint="http://localhost"), openmeter.aio.Client(endpoint="http://localhost")]:
        published = {
            (group, name)
            for group in ("events", "events_v2", "meters", "subjects", "features", "currencies", "debug", "progress")
            for name, _ in inspect.getmembers(getattr(client, group), inspect.isroutine)
            if not name.startswith("_")
        }
        assert published == set(OPERATIONS)


async def test_the_same_bodies_pass_as_models_as_dicts_and_as_bytes(om, unique):
    await om.meters.create(io.BytesIO(f'{{"slug": "{unique}", "aggregation": "COUNT", "eventType": "{unique}"}}'.encode()))
    as_dict = {"specversion": "1.0", "id": "dict", "source": unique, "type": unique, "subject": "c", "time": NOON}
    as_bytes = f'{{"specversion": "1.0", "id": "%s", "source": "{unique}", "type": "{unique}", "subject": "c"}}'
    await om.events.ingest_event(as_dict)
    await om.events.ingest_event(io.BytesIO((as_bytes % "stream").encode()))
    await om.events.ingest_events([as_dict | {"id": "dict in a batch"}])
    await om.events.ingest_events(f"[{as_bytes % 'bytes in a batch'}]".encode())
    assert (await om.meters.query(unique, {})).data[0].value == 4
    assert (await om.meters.query(unique, b'{"to": "2024-05-01T12:00:00.001Z"}')).data[0].value == 2
    await om.meters.update(unique, b'{"name": "from bytes"}')
    assert (await om.meters.get(unique)).name == "from bytes"
