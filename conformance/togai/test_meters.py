"""Usage meters: life, limits, wrong states, those of other doors."""

import pytest
from togai_client import models

from sdk import refused

RIDE = '{"*":[{"var":"attributes.distance"},0.4]}'


def test_a_meter_keeps_its_words(togai, rides):
    made = togai.meter(
        rides,
        rides,
        computation=RIDE,
        matcher='{"==":[{"var":"dimension.city"},"chennai"]}',
        active=False,
        filters=[models.UsageMeterFilterEntry(field="city", value="chennai")],
        billable_name="Rides in Chennai",
        description="Cab rides",
    )
    assert len(made.id) == 20 and made.id.startswith("um.")
    assert (made.name, made.display_name, made.billable_name) == (rides, "Rides in Chennai", "Rides in Chennai")
    assert (made.status, made.aggregation, made.type) == ("DRAFT", "SUM", "COUNTER")
    assert made.description == "Cab rides" and made.last_activated_at is None
    assert [(one.var_field, one.value) for one in made.filters] == [("city", "chennai")]
    assert made.computations[0].computation == RIDE and made.computations[0].order == 1
    assert togai.meters.get_usage_meter(made.id) == made
    with_schema = togai.meters.get_usage_meter(made.id, include_schema=True)
    assert with_schema.event_schema.name == rides


def test_a_meter_lives_from_draft_to_its_end(togai, rides):
    meter = togai.meter(rides, rides, "COUNT", active=False)
    assert meter.display_name == rides
    assert togai.meters.deactivate_usage_meter(meter.id).status == "DRAFT"
    active = togai.meters.activate_usage_meter(meter.id)
    assert active.status == "ACTIVE" and active.last_activated_at.tzinfo
    assert togai.meters.activate_usage_meter(meter.id) == active
    assert togai.meters.deactivate_usage_meter(meter.id).status == "INACTIVE"
    assert togai.meters.activate_usage_meter(meter.id).status == "ACTIVE"
    assert togai.meters.delete_usage_meter(meter.id).success is True
    for call in [
        togai.meters.get_usage_meter,
        togai.meters.activate_usage_meter,
        togai.meters.deactivate_usage_meter,
        togai.meters.delete_usage_meter,
        lambda id: togai.meters.update_usage_meter(id, models.UpdateUsageMeterRequest(name="x")),
    ]:
        with refused(404):
            call(meter.id)
    # Its name is free again.
    togai.meter(rides, rides, "COUNT")


def test_an_active_meter_changes_its_names_only(togai, rides):
    other = f"{rides} other"
    togai.schema(other, ["n"], [])
    meter = togai.meter(rides, rides, computation=RIDE)
    update = togai.meters.update_usage_meter
    for change in [
        {"aggregation": "COUNT"},
        {"computations": [models.Computation(computation="1", order=1)]},
        {"filters": [models.UsageMeterFilterEntry(field="city", value="pune")]},
        {"event_schema_name": other},
    ]:
        with refused(400) as refusal:
            update(meter.id, models.UpdateUsageMeterRequest(**change))
        assert "active meter" in refusal.message
    changed = update(
        meter.id, models.UpdateUsageMeterRequest(name=f"{rides} new", billable_name="B", description="D", type="COUNTER")
    )
    assert (changed.name, changed.display_name, changed.description) == (f"{rides} new", "B", "D")
    # What stays as it is may be named.
    assert update(meter.id, models.UpdateUsageMeterRequest(aggregation="SUM")).aggregation == "SUM"
    togai.meters.deactivate_usage_meter(meter.id)
    again = update(meter.id, models.UpdateUsageMeterRequest(computations=[models.Computation(computation="2", order=7)]))
    assert (again.computations[0].computation, again.status) == ("2", "INACTIVE")
    with refused(400):
        update(meter.id, models.UpdateUsageMeterRequest(event_schema_name=other))


def test_a_draft_changes_everything(togai, rides):
    other = f"{rides} other"
    togai.schema(other, ["n"], [])
    meter = togai.meter(rides, rides, computation=RIDE, active=False)
    changed = togai.meters.update_usage_meter(
        meter.id,
        models.UpdateUsageMeterRequest(aggregation="COUNT", event_schema_name=other, computations=[], filters=[]),
    )
    assert (changed.aggregation, changed.computations) == ("COUNT", [])
    assert togai.meters.get_usage_meter(meter.id, include_schema=True).event_schema.name == other


def test_a_name_belongs_to_one_meter(togai, rides):
    first = togai.meter(rides, rides, "COUNT", active=False)
    second = togai.meter(f"{rides} 2", rides, "COUNT", active=False)
    with refused(400) as refusal:
        togai.meter(rides, rides, "COUNT")
    assert rides in refusal.message
    with refused(400):
        togai.meters.update_usage_meter(second.id, models.UpdateUsageMeterRequest(name=rides))
    assert togai.meters.update_usage_meter(first.id, models.UpdateUsageMeterRequest(name=rides)).name == rides
    # Names that differ in what a slug leaves out are different names.
    assert togai.meter(f"{rides}-2", rides, "COUNT").name == f"{rides}-2"


def test_meters_are_listed_page_by_page(togai, rides):
    made = [togai.meter(f"{rides} {number}", rides, "COUNT", active=number % 2 == 0) for number in range(5)]
    listing = togai.meters.get_usage_meters_for_event_schema
    seen, token = [], None
    while True:
        page = listing(next_token=token, page_size=2)
        assert (page.context.page_size, page.context.sort_order) == (2, "DESC") and len(page.data) <= 2
        seen += [meter.id for meter in page.data]
        token = page.next_token
        if token is None:
            break
    assert len(seen) == len(set(seen))
    assert [id for id in seen if id in {meter.id for meter in made}] == [meter.id for meter in reversed(made)]
    active = listing(status="ACTIVE", aggregations="COUNT", page_size=100).data
    assert {meter.id for meter in made[::2]} <= {meter.id for meter in active}
    assert all((meter.status, meter.aggregation) == ("ACTIVE", "COUNT") for meter in active)
    drafts = {meter.id for meter in listing(status="DRAFT", page_size=100).data}
    assert {meter.id for meter in made[1::2]} <= drafts
    assert listing().context.page_size == 10
    for wrong in [{"status": "active"}, {"aggregations": "MAX"}, {"next_token": "x"}, {"page_size": 0}]:
        with refused(400):
            listing(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a.b"},
        {"name": "n" * 51},
        {"type": "GAUGE"},
        {"aggregation": "MAX"},
        {"aggregation": "count"},
        {"eventSchemaName": None},
        {"eventSchemaName": "nothing"},
        {"billableName": "b" * 256},
        {"description": "d" * 256},
        {"filters": [{"field": "driver", "value": "x"}]},
        {"filters": [{"field": "time", "value": "1"}]},
        {"filters": [{"field": "city"}]},
        {"computations": [{"computation": "1", "order": 1}, {"computation": "2", "order": 2}]},
        {"computations": [{"computation": "", "order": 1}]},
        {"computations": [{"computation": "not json", "order": 1}]},
        {"computations": [{"computation": '{"unknown":[1]}', "order": 1}]},
        {"computations": [{"computation": "1" * 501, "order": 1}]},
        {"computations": [{"computation": "1", "matcher": "\"" + "m" * 1500 + "\"", "order": 1}]},
        {"computations": [{"computation": "1", "matcher": '{"and":["or":1]}', "order": 1}]},
        {"computations": [{"order": 1}]},
        # Two attributes: a sum must say which.
        {"aggregation": "SUM"},
    ],
)
def test_what_is_wrong_with_a_meter_is_said(togai, rides, wrong):
    body = {"name": rides, "type": "COUNTER", "aggregation": "COUNT", "eventSchemaName": rides} | wrong
    status, answer = togai.raw("POST", "/usage_meters", body)
    assert (status, list(answer)) == (400, ["message"]), answer


def test_json_logic_may_come_as_json_itself(togai, rides):
    body = {"name": rides, "type": "COUNTER", "aggregation": "SUM", "eventSchemaName": rides}
    logic = {"*": [{"var": "attributes.distance"}, 2]}
    status, made = togai.raw("POST", "/usage_meters", body | {"computations": [{"computation": logic, "order": 1}]})
    assert status == 201, made
    assert togai.meters.get_usage_meter(made["id"]).computations[0].computation.startswith('{"*"')


def test_a_sum_of_the_only_attribute_needs_no_computation(togai, unique):
    togai.schema(unique, ["n"], [])
    togai.schemas.activate_event_schema(unique)
    togai.customer(f"{unique}-c", f"{unique}-a")
    togai.meter(unique, unique)
    togai.ingest(unique, f"{unique}-a", {"n": "2.50"})
    assert togai.usage(unique) == {"": "2.5"}


def test_meters_of_other_doors_are_shown_where_there_are_words(togai, unique):
    def make(slug, aggregation, **more):
        body = {"slug": slug, "name": slug, "aggregation": aggregation, "eventType": unique} | more
        status, made = togai.raw("POST", f"{togai.root}/api/v1/meters", body)
        assert status in (200, 201), made
        return made

    make(f"{unique}_sum", "SUM", valueProperty="$.n")
    make(f"{unique}_count", "COUNT")
    make(f"{unique}_max", "MAX", valueProperty="$.n")
    listed = togai.meters.get_usage_meters_for_event_schema(page_size=100).data
    mine = {meter.name: meter for meter in listed if meter.name.startswith(f"{unique}_")}
    assert {name: meter.aggregation for name, meter in mine.items()} == {f"{unique}_sum": "SUM", f"{unique}_count": "COUNT"}
    shown = mine[f"{unique}_sum"]
    assert shown.status == "ACTIVE" and togai.meters.get_usage_meter(shown.id) == shown
    for call in [togai.meters.activate_usage_meter, togai.meters.deactivate_usage_meter]:
        with refused(400) as refusal:
            call(shown.id)
        assert "always counts" in refusal.message
    togai.cloud_event(unique, "1", "someone", {"n": 2.5})
    assert togai.usage(shown.id) == {"": "2.5"}
    assert togai.usage(mine[f"{unique}_count"].name) == {"": "1"}


def test_a_meter_of_this_door_is_in_the_others(togai, rides):
    togai.meter(rides, rides, computation='{"var":"attributes.distance"}')
    togai.ingest(rides, f"{rides}-a", {"distance": "0.1"}, {"city": "pune"})
    togai.ingest(rides, f"{rides}-a", {"distance": "0.2"}, {"city": "chennai"})
    status, answer = togai.raw("GET", f"{togai.root}/api/v1/meters/{rides}/query?groupBy=city", digits=True)
    assert status == 200, answer
    assert {row["groupBy"]["city"]: row["value"] for row in answer["data"]} == {"pune": "0.1", "chennai": "0.2"}


def test_the_ids_are_those_of_the_namespace(own_server, tmp_path):
    # Each namespace looks through its own meters only; see test_keys for keys of several.
    own_server.start()
    from sdk import Togai

    here = Togai(own_server.url)
    with refused(404):
        here.meters.get_usage_meter("um.1zlQTBWlkeO.lB7fh")
    with refused(404):
        here.meters.get_usage_meter("x" * 50)
