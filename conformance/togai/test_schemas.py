"""Event schemas: life, versions, limits."""

import pytest
from togai_client import models

from sdk import refused


def attributes(*names):
    return [models.EventAttributeSchema(name=name) for name in names]


def dimensions(*names):
    return [models.DimensionsSchema(name=name) for name in names]


def test_a_schema_keeps_what_it_says(togai, unique):
    made = togai.schemas.create_event_schema(
        models.CreateEventSchemaRequest(
            name=unique,
            description="Cab rides",
            attributes=[models.EventAttributeSchema(name="distance", default_unit="km")],
            dimensions=dimensions("city", "vehicle type"),
            filter_fields=["city"],
        )
    )
    assert (made.version, made.status, made.description) == (1, "DRAFT", "Cab rides")
    assert [(one.name, one.default_unit) for one in made.attributes] == [("distance", "km")]
    assert [one.name for one in made.dimensions] == ["city", "vehicle type"]
    assert made.filter_fields == ["city"] and made.created_at.tzinfo
    assert togai.schemas.get_event_schema(unique) == made
    assert togai.schemas.get_event_schema(unique, version=1) == made


def test_a_draft_changes_in_place_and_an_active_schema_grows_by_versions(togai, unique):
    togai.schema(unique, ["a"], [])
    update = togai.schemas.event_schema_event_schema_name_patch
    changed = update(unique, models.UpdateEventSchemaRequest(attributes=attributes("b")))
    assert (changed.version, [one.name for one in changed.attributes]) == (1, ["b"])
    assert togai.schemas.activate_event_schema(unique).status == "ACTIVE"
    assert togai.schemas.activate_event_schema(unique).status == "ACTIVE"
    with refused(400) as refusal:
        update(unique, models.UpdateEventSchemaRequest(attributes=attributes("c")))
    assert "cannot be removed" in refusal.message
    grown = update(unique, models.UpdateEventSchemaRequest(attributes=attributes("b", "c"), description="more"))
    assert (grown.version, grown.status, grown.description) == (2, "ACTIVE", "more")
    versions = togai.schemas.list_event_schema_versions(unique).data
    assert [(one.version, one.status) for one in versions] == [(2, "ACTIVE"), (1, "ARCHIVED")]
    assert [one.name for one in togai.schemas.get_event_schema(unique, version=1).attributes] == ["b"]
    with refused(404):
        togai.schemas.get_event_schema(unique, version=3)
    with refused(404):
        togai.schemas.list_event_schema_versions("nothing")


def test_a_schema_with_meters_is_neither_stopped_nor_deleted(togai, rides):
    meter = togai.meter(rides, rides, "COUNT")
    with refused(400) as refusal:
        togai.schemas.deactivate_event_schema(rides)
    assert rides in refusal.message
    togai.meters.deactivate_usage_meter(meter.id)
    assert togai.schemas.deactivate_event_schema(rides).status == "INACTIVE"
    with refused(400):
        togai.meters.activate_usage_meter(meter.id)
    with refused(400):
        togai.schemas.delete_event_schema(rides)
    togai.meters.delete_usage_meter(meter.id)
    assert togai.schemas.delete_event_schema(rides).success is True
    with refused(404):
        togai.schemas.get_event_schema(rides)
    with refused(404):
        togai.schemas.delete_event_schema(rides)
    togai.schema(rides, [], [])


def test_schemas_are_listed_page_by_page_with_their_meters(togai, rides):
    for number in range(3):
        togai.schema(f"{rides} {number}", [], [])
    togai.meter(rides, rides, "COUNT", active=False)
    seen, token = [], None
    while True:
        page = togai.schemas.list_event_schemas(next_token=token, page_size=2)
        assert (page.context.page_size, page.context.sort_order) == (2, "DESC")
        seen += page.data
        token = page.next_token
        if token is None:
            break
    mine = [schema for schema in seen if schema.name.startswith(rides)]
    assert [schema.name for schema in mine] == [f"{rides} 2", f"{rides} 1", f"{rides} 0", rides]
    assert mine[-1].usage_meters_count == 1 and mine[0].usage_meters_count == 0
    active = togai.schemas.list_event_schemas(status="ACTIVE", page_size=100).data
    assert rides in [schema.name for schema in active] and all(schema.status == "ACTIVE" for schema in active)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a.b"},
        {"name": "n" * 51},
        {"attributes": [{"name": "a"}] * 2},
        {"attributes": [{"name": "a/b"}]},
        {"attributes": [{"name": f"a{number}"} for number in range(51)]},
        {"attributes": [{"name": "a", "defaultUnit": "u" * 11}]},
        {"attributes": [{"name": "a"}], "dimensions": [{"name": "a"}]},
        {"attributes": None},
        {"dimensions": "city"},
        {"description": "d" * 256},
        {"filterFields": ["nothing"]},
        {"eventIdTemplate": "{{accountId}}"},
        {"enrichments": {"fields": [{"name": "x", "type": "DIMENSION", "enrichmentType": "VALUE", "value": "1", "order": 1}]}},
    ],
)
def test_what_is_wrong_with_a_schema_is_said(togai, unique, wrong):
    body = {"name": unique, "attributes": [], "dimensions": []} | wrong
    status, answer = togai.raw("POST", "/event_schema", body)
    assert (status, list(answer)) == (400, ["message"]), answer
    with refused(404):
        togai.schemas.get_event_schema(unique)


def test_a_name_is_used_once(togai, unique):
    togai.schema(unique, [], [])
    with refused(400):
        togai.schema(unique, [], [])
