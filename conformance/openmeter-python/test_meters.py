"""Meters: their whole life, and every rule that a definition must keep."""

import pytest
from corehttp.exceptions import ResourceExistsError, ResourceNotFoundError
from openmeter.models import MeterCreate, MeterUpdate

from sdk import at, count, count_meter, event, exact, raw, refused

AGGREGATIONS = ["SUM", "COUNT", "UNIQUE_COUNT", "AVG", "MIN", "MAX", "LATEST"]


def definition(name: str, /, **changes) -> dict:
    """A good definition, with changes; a field that is set to `...` is left out."""
    good = {"slug": name, "aggregation": "SUM", "eventType": name, "valueProperty": "$.v"}
    return {field: value for field, value in (good | changes).items() if value is not ...}


async def test_a_meter_has_every_field_that_it_was_given(om, unique):
    sent = MeterCreate(
        slug=unique,
        aggregation="UNIQUE_COUNT",
        event_type="api request",
        value_property="$.user['id']",
        group_by={"method": "$.method", "_2": '$."a b"'},
        name="Users é",
        description="Who called",
        metadata={"team": "core"},
        event_from=at("2024-01-01T00:00:00.5+01:00"),
    )
    created = await om.meters.create(sent)
    for meter in [created, await om.meters.get(unique), await om.meters.get(created.id)]:
        assert dict(meter.items()) == dict(created.items())
        for field, value in sent.items():
            if field != "eventFrom":
                assert meter[field] == value, field
        assert meter.event_from == sent.event_from
        assert len(meter.id) == 26 and meter.created_at == meter.updated_at and meter.deleted_at is None
    text = exact(await om.meters.get(unique, cls=raw))
    assert text["annotations"] is None


async def test_what_is_left_out_has_its_default(om, unique):
    await om.meters.create(definition(unique))
    meter = exact(await om.meters.get(unique, cls=raw))
    assert (meter["name"], meter["metadata"]) == (unique, None)
    assert not {"description", "groupBy", "eventFrom", "deletedAt"} & set(meter)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
async def test_every_aggregation_can_be_created(om, unique, aggregation):
    value = ... if aggregation == "COUNT" else "$.v"
    created = await om.meters.create(definition(unique, aggregation=aggregation, valueProperty=value))
    assert created.aggregation == aggregation
    with refused(400) as refusal:
        wrong = "$.v" if aggregation == "COUNT" else ...
        await om.meters.create(definition(f"{unique}_wrong", aggregation=aggregation, valueProperty=wrong))
    assert "valueProperty" in refusal.detail


BAD_DEFINITIONS = [
    ("slug", ...),
    ("slug", ""),
    ("slug", "Upper"),
    ("slug", "with-hyphen"),
    ("slug", "_edge"),
    ("slug", "two__lines"),
    ("slug", "x" * 65),
    ("slug", 7),
    ("aggregation", ...),
    ("aggregation", "sum"),
    ("aggregation", "MEDIAN"),
    ("eventType", ...),
    ("eventType", ""),
    ("valueProperty", ""),
    ("valueProperty", "v"),
    ("valueProperty", "$."),
    ("valueProperty", "$..v"),
    ("valueProperty", "$.a-b"),
    ("valueProperty", "$.*"),
    ("valueProperty", "$.a[-1]"),
    ("valueProperty", "$.a[?(@.b)]"),
    ("valueProperty", "$.v'; drop table meters; --"),
    ("groupBy", {"a-b": "$.m"}),
    ("groupBy", {"": "$.m"}),
    ("groupBy", {"1a": "$.m"}),
    ("groupBy", {"m": "m"}),
    ("groupBy", {"m": ""}),
    ("groupBy", {"m": "$.v"}),
    ("groupBy", {"m": 1}),
    ("groupBy", {"subject": "$.m"}),
    ("groupBy", {"customer_id": "$.m"}),
    ("groupBy", {"window_end": "$.m"}),
    ("name", ""),
    ("name", "x" * 257),
    ("description", ""),
    ("description", "x" * 1025),
    ("eventFrom", "2024-01-01"),
]


@pytest.mark.parametrize(("field", "value"), BAD_DEFINITIONS)
async def test_a_bad_definition_is_refused_by_its_field_and_leaves_nothing(om, unique, field, value):
    with refused(400) as refusal:
        await om.meters.create(definition(unique, **{field: value}))
    named = refusal.detail + str(refusal.problem.get("extensions"))
    assert field in named or "JSONPath" in named or "group by" in named
    with refused(404):
        await om.meters.get(unique)


async def test_the_paths_that_the_vendor_accepts_are_accepted(om, unique):
    paths = ["$", "$.a", "$.a.b", "$['a-b']", '$["a-b"]', '$."a b"', "$.`a b`", "$.1a", "$[0]", "$.a[0]", "$.a[*]", "$.a[0 to 2]"]
    for index, path in enumerate(paths):
        await om.meters.create(definition(f"{unique}_{index}", valueProperty=path, eventType=unique))
        assert (await om.meters.get(f"{unique}_{index}")).value_property == path


async def test_a_slug_is_taken_until_its_meter_is_deleted(om, unique):
    first = await om.meters.create(definition(unique))
    with refused(409) as refusal:
        await om.meters.create(definition(unique, aggregation="MAX"))
    assert isinstance(refusal.error, ResourceExistsError)
    assert "meter with the same slug already exists" in refusal.detail
    await om.meters.delete(unique)
    second = await om.meters.create(definition(unique, aggregation="MAX"))
    assert first.id != second.id
    assert (await om.meters.get(unique)).id == second.id
    assert (await om.meters.get(first.id)).aggregation == "SUM"


async def test_a_deleted_meter_is_found_by_its_id_only_and_its_events_stay(om, unique):
    meter = await om.meters.create(definition(unique))
    await om.events.ingest_event(event(unique, "1", data={"v": 5}))
    await om.meters.delete(unique)
    gone = await om.meters.get(meter.id)
    assert gone.deleted_at is not None
    for call in [om.meters.get, om.meters.delete, om.meters.query_json, om.meters.list_subjects]:
        with refused(404) as refusal:
            await call(unique)
        assert f"meter not found: {unique}" in refusal.detail
    assert await om.meters.delete(meter.id) is None
    assert (await om.meters.get(meter.id)).deleted_at == gone.deleted_at
    assert [row.value for row in (await om.meters.query_json(meter.id)).data] == [5]
    listed = {item.id for item in await om.meters.list()}
    assert meter.id not in listed
    assert meter.id in {item.id for item in await om.meters.list(include_deleted=True)}
    await om.meters.create(definition(unique))
    assert [row.value for row in (await om.meters.query_json(unique)).data] == [5]


async def test_an_update_replaces_what_may_change_and_nothing_else(om, unique):
    created = await om.meters.create(
        definition(unique, name="N", description="D", metadata={"a": "1"}, groupBy={"m": "$.m"})
    )
    updated = await om.meters.update(unique, MeterUpdate(name="N2", metadata={"b": "2"}, group_by={"k": "$.k"}))
    assert (updated.name, updated.description, updated.metadata, updated.group_by) == ("N2", "D", {"b": "2"}, {"k": "$.k"})
    assert updated.updated_at > created.updated_at and updated.created_at == created.created_at
    tried = await om.meters.update(created.id, {"slug": "other", "aggregation": "MAX", "eventType": "x", "valueProperty": "$.w"})
    assert (tried.slug, tried.aggregation, tried.event_type, tried.value_property) == (unique, "SUM", unique, "$.v")
    assert (tried.name, tried.description, tried.metadata, tried.group_by) == (unique, "D", None, None)


async def test_a_new_dimension_splits_history_too(om, unique):
    await om.meters.create(definition(unique))
    await om.events.ingest_events([event(unique, str(n), data={"v": n, "m": "ab"[n % 2]}) for n in range(4)])
    with refused(400):
        await om.meters.query_json(unique, group_by=["m"])
    await om.meters.update(unique, {"groupBy": {"m": "$.m"}})
    rows = (await om.meters.query_json(unique, group_by=["m"])).data
    assert {row.group_by["m"]: row.value for row in rows} == {"a": 2, "b": 4}


@pytest.mark.parametrize("change", [{"name": ""}, {"description": ""}, {"groupBy": {"a-b": "$.m"}}, {"groupBy": {"m": "$.v"}}, {"groupBy": {"m": "$..m"}}])
async def test_a_bad_update_changes_nothing(om, unique, change):
    before = await om.meters.create(definition(unique, groupBy={"m": "$.m"}))
    with refused(400):
        await om.meters.update(unique, change)
    assert dict((await om.meters.get(unique)).items()) == dict(before.items())


async def test_an_unknown_meter_is_the_sdks_not_found(om, unique):
    calls = [
        om.meters.get(unique),
        om.meters.update(unique, {}),
        om.meters.delete(unique),
        om.meters.query_json(unique),
        om.meters.query_csv(unique),
        om.meters.query(unique, {}),
        om.meters.query_csv_post(unique),
        om.meters.list_subjects(unique),
        om.meters.list_group_by_values(unique, "m"),
        om.meters.get("01HW0000000000000000000000"),
    ]
    for call in calls:
        with refused(404) as refusal:
            await call
        assert isinstance(refusal.error, ResourceNotFoundError)
        assert refusal.detail.startswith("not found error: meter not found: ")


@pytest.mark.parametrize("name", ["Not-A-Slug", "x" * 65, "a b", "a__b", "../meters", "é"])
async def test_what_can_be_no_meter_is_refused(om, name):
    with refused(400):
        await om.meters.get(name)


async def test_the_list_has_an_order(om, unique):
    names = {"b": ("Alpha", "MIN"), "a": ("Gamma", "SUM"), "c": ("Beta", "AVG")}
    for suffix, (name, aggregation) in names.items():
        await om.meters.create(definition(f"{unique}_{suffix}", name=name, aggregation=aggregation))

    async def order(**arguments):
        listed = await om.meters.list(**arguments)
        return "".join(meter.slug[-1] for meter in listed if meter.slug.startswith(f"{unique}_"))

    assert await order() == await order(order_by="key") == await order(order_by="key", order="ASC") == "abc"
    assert await order(order_by="key", order="DESC") == "cba"
    assert await order(order_by="name") == "bca"
    assert await order(order_by="createdAt") == await order(order_by="updatedAt") == "bac"
    assert await order(order_by="createdAt", order="DESC") == "cab"
    assert await order(order_by="aggregation") == "cba"
    assert await order(page=1, page_size=1000) == "abc"


@pytest.mark.parametrize("arguments", [{"order_by": "size"}, {"order": "UP"}, {"page": 0}, {"page_size": 0}, {"page_size": 1001}])
async def test_a_bad_listing_is_refused(om, arguments):
    with refused(400):
        await om.meters.list(**arguments)


async def test_several_meters_share_their_events(om, unique):
    await count_meter(om, unique)
    for aggregation in ("SUM", "MAX"):
        await om.meters.create(definition(f"{unique}_{aggregation.lower()}", aggregation=aggregation, eventType=unique))
    await om.events.ingest_events([event(unique, str(n), data={"v": n}) for n in range(1, 4)])
    assert await count(om, unique) == 3
    for slug, value in [("sum", 6), ("max", 3)]:
        assert [row.value for row in (await om.meters.query_json(f"{unique}_{slug}")).data] == [value]
