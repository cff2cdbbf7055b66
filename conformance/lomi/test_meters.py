"""Meters through the vendor's client: every operation, well and badly."""

import json
import uuid

import pytest
from lomi.models.meters_create import MetersCreate
from lomi.models.meters_update import MetersUpdate

from door import NOBODY, exact, read, refused


def test_a_meter_comes_back_as_it_was_sent(door, unique):
    wanted, product = uuid.uuid4(), uuid.uuid4()
    sent = MetersCreate(
        name=unique,
        filter={"code": unique, "region": "eu"},
        aggregation={"type": "sum", "property": "quantity"},
        is_active=True,
        meter_id=wanted,
        product_id=product,
    )
    made = door.billing.create_meter(sent)
    assert (made.meter_id, made.name, made.is_active, made.product_id) == (wanted, unique, True, product)
    assert (made.filter, made.aggregation) == (sent.filter, sent.aggregation)
    assert made.organization_id and made.created_at == made.updated_at
    for api in (door.billing, door.meters):
        assert api.retrieve_meter(str(wanted)) == made
    other = door.meters.create_meter(MetersCreate(name=f"{unique}-other"))
    assert other.organization_id == made.organization_id


def test_what_is_left_out_has_the_vendors_defaults(door, unique):
    made = door.billing.create_meter(MetersCreate.from_dict({"name": unique, "description": "the client drops it"}))
    assert (made.filter, made.aggregation) == ({}, {"type": "sum", "property": "quantity"})
    assert made.is_active is True and made.product_id is None


def test_filter_and_aggregation_are_kept_to_the_letter(door, unique):
    body = f'{{"name":"{unique}","filter":{{"z": 1.50, "code":"x", "a":true}},"aggregation":{{"property":"n" , "type":"max"}}}}'
    answer = door.call("POST", "/meters", body)
    assert answer.status_code == 201
    for text in ('"filter":{"z": 1.50, "code":"x", "a":true}', '"aggregation":{"property":"n" , "type":"max"}'):
        assert text in answer.text
        assert text in door.call("GET", f"/meters/{answer.json()['meter_id']}").text


@pytest.mark.parametrize("kind", ["sum", "count", "max", "last_during_period", "last_ever"])
def test_every_documented_aggregation_is_understood(door, unique, kind):
    aggregation = {"type": kind, "property": "tokens"}
    assert door.meter(unique, aggregation=aggregation).aggregation == aggregation


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["name"]),
        ({"name": ""}, ["name"]),
        ({"name": "x" * 257}, ["name"]),
        ({"name": 5}, ["name"]),
        ({"name": "bad", "filter": []}, ["filter"]),
        ({"name": "bad", "filter": {"region": {"$in": ["eu"]}}}, ["filter"]),
        ({"name": "bad", "filter": {"$or": "x"}}, ["filter"]),
        ({"name": "bad", "filter": {"code": 5}}, ["filter"]),
        ({"name": "bad", "filter": {"code": ""}}, ["filter"]),
        ({"name": "bad", "filter": {"region": None}}, ["filter"]),
        ({"name": "bad", "aggregation": "sum"}, ["aggregation"]),
        ({"name": "bad", "aggregation": {"type": "average"}}, ["aggregation"]),
        ({"name": "bad", "aggregation": {"type": "sum", "property": 5}}, ["aggregation"]),
        ({"name": "bad", "aggregation": {"type": "sum", "window": "day"}}, ["aggregation"]),
        ({"name": "bad", "is_active": "true"}, ["is_active"]),
        ({"name": "bad", "meter_id": "mtr_1"}, ["meter_id"]),
        ({"name": "bad", "product_id": 7}, ["product_id"]),
        ({"filter": 1, "aggregation": 2, "is_active": 3}, ["name", "filter", "aggregation", "is_active"]),
    ],
)
def test_a_bad_meter_is_refused_and_every_bad_field_named(door, body, fields):
    before = door.billing.list_meters(limit=1).pagination.total
    answer = door.call("POST", "/meters", body)
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "bad_request", answer.text
    assert set(fields) == set(answer.json()["error"]["details"]), answer.text
    assert door.billing.list_meters(limit=1).pagination.total == before


@pytest.mark.parametrize("body", ["", "[]", "null", "{", '{"name":"a","name":"b"}', b"\xff", '{"name":"a"} x'])
def test_what_is_no_json_object_is_refused(door, body):
    answer = door.call("POST", "/meters", body)
    assert answer.status_code == 400 and answer.json()["error"]["details"] is None, answer.text


def test_names_and_ids_are_taken_once(door, unique):
    made = door.meter(unique)
    with refused(409, "conflict"):
        door.billing.create_meter({"name": unique})
    with refused(409, "conflict"):
        door.billing.create_meter({"name": f"{unique}-2", "meter_id": str(made.meter_id)})
    other = door.meter(unique.upper())
    assert other.name == unique.upper() and other.meter_id != made.meter_id, "unlike names may have alike slugs"
    with refused(409, "conflict"):
        door.billing.update_meter(str(other.meter_id), {"name": unique})
    door.billing.delete_meter(str(made.meter_id))
    assert door.meter(unique).meter_id != made.meter_id, "a deleted meter's name is free"
    with refused(409, "conflict"):
        door.billing.create_meter({"name": f"{unique}-3", "meter_id": str(made.meter_id)})


def test_an_update_changes_what_it_names_and_nothing_else(door, unique):
    made = door.meter(unique, filter={"code": unique, "region": "eu"}, product_id=NOBODY)
    meter = str(made.meter_id)
    assert door.billing.update_meter(meter, MetersUpdate()) == made, "an empty update changes nothing"
    assert door.billing.update_meter(meter, MetersUpdate.from_dict({"metadata": {"a": 1}})) == made
    renamed = door.billing.update_meter(meter, MetersUpdate(is_active=False, name=f"{unique}-new"))
    assert (renamed.is_active, renamed.name, renamed.filter) == (False, f"{unique}-new", made.filter)
    assert renamed.updated_at >= made.updated_at and renamed.created_at == made.created_at
    changed = door.billing.update_meter(meter, MetersUpdate(filter={"code": unique, "region": "us"}, is_active=True))
    assert changed.filter["region"] == "us" and changed.is_active and str(changed.product_id) == NOBODY
    cleared = door.call("PATCH", f"/meters/{meter}", '{"product_id": null}').json()
    assert cleared["product_id"] is None and cleared["name"] == f"{unique}-new"
    assert door.billing.retrieve_meter(meter).product_id is None


def test_a_bad_update_changes_nothing(door, unique):
    made = door.meter(unique, filter={"code": unique})
    for body, field in [
        ({"name": ""}, "name"),
        ({"aggregation": {"type": "max"}}, "aggregation"),
        ({"filter": {"code": "another"}}, "filter"),
        ({"meter_id": NOBODY}, "meter_id"),
        ({"name": f"{unique}-x", "is_active": "no"}, "is_active"),
        ({"name": f"{unique}-x", "filter": {"region": []}}, "filter"),
    ]:
        answer = door.call("PATCH", f"/meters/{made.meter_id}", body)
        assert answer.status_code == 400 and field in answer.json()["error"]["details"], answer.text
        assert door.billing.retrieve_meter(str(made.meter_id)) == made
    with refused(400, "bad_request", "aggregation"):
        door.billing.update_meter(str(made.meter_id), MetersUpdate(aggregation={"type": "last_ever"}))


def test_a_meter_that_never_counted_can_become_any_other(door, unique):
    made = door.meter(unique, is_active=False)
    changed = door.billing.update_meter(
        str(made.meter_id), {"aggregation": {"type": "max", "property": "n"}, "filter": {"code": f"{unique}-code"}}
    )
    assert changed.aggregation["type"] == "max" and changed.is_active is False
    door.billing.update_meter(str(made.meter_id), {"is_active": True})
    customer = door.customer()
    door.use(f"{unique}-code", customer, unique, properties={"n": 5})
    assert door.balance(made.meter_id, customer)[1] == "5"


def test_what_is_not_there_is_not_found(door, unique):
    made = door.meter(unique)
    door.billing.delete_meter(str(made.meter_id))
    for meter in (NOBODY, str(made.meter_id)):
        for call in (
            lambda: door.billing.retrieve_meter(meter),
            lambda: door.billing.update_meter(meter, MetersUpdate(name="x")),
            lambda: door.billing.delete_meter(meter),
            lambda: door.meters.retrieve_meter(meter),
        ):
            with refused(404, "not_found") as caught:
                call()
            assert caught.value.data is not None, "the client knows the body of a 404"
    for malformed in ("mtr_1", "x" * 300, "%F0%9F%92%A9", f"{NOBODY}0"):
        for method in ("GET", "DELETE", "PATCH"):
            answer = door.call(method, f"/meters/{malformed}", None if method != "PATCH" else {})
            assert answer.status_code == 404 and answer.json()["error"]["code"] == "not_found", answer.text


def test_lists_have_pages_and_orders(own_door):
    door = own_door
    empty = door.billing.list_meters()
    assert empty.data == [] and (empty.pagination.limit, empty.pagination.offset, empty.pagination.total) == (20, 0, 0)
    made = [door.meter(f"m{number:02}", is_active=number % 2 == 0) for number in range(25)]
    newest = door.billing.list_meters()
    assert [meter.name for meter in newest.data] == [meter.name for meter in reversed(made)][:20]
    assert newest.pagination.total == 25
    rest = door.meters.list_meters(offset=20, limit=100)
    assert {meter.meter_id for meter in newest.data + rest.data} == {meter.meter_id for meter in made}
    by_name = door.billing.list_meters(limit=3, offset=1, sort="name:asc")
    assert [meter.name for meter in by_name.data] == ["m01", "m02", "m03"]
    assert [meter.name for meter in door.billing.list_meters(limit=2, sort="name:desc").data] == ["m24", "m23"]
    inactive = door.billing.list_meters(limit=12, sort="is_active:asc").data
    assert {meter.is_active for meter in inactive} == {False}
    assert door.billing.list_meters(offset=100).data == []
    for sort in ("created_at:asc", "updated_at:asc"):
        assert [meter.name for meter in door.billing.list_meters(limit=2, sort=sort).data] == ["m00", "m01"]
    ids = [str(meter.meter_id) for meter in door.billing.list_meters(limit=100, sort="meter_id:asc").data]
    assert ids == sorted(ids)
    for sort in ("nothing:asc", "name:up", "", "name:asc:x"):
        with refused(400, "bad_request", "sort"):
            door.billing.list_meters(sort=sort)
    for query in ("limit=0", "limit=101", "limit=x", "offset=-1", "page=2", "limit=1&limit=2"):
        assert door.call("GET", f"/meters?{query}").status_code == 400, query


def test_the_client_reads_an_exact_body(door, unique):
    made = door.meter(unique)
    body = read(door.billing.retrieve_meter_without_preload_content(str(made.meter_id)))
    fields = {"aggregation", "created_at", "filter", "is_active", "meter_id", "name", "organization_id", "product_id", "updated_at"}
    assert set(body) == fields
    listed = exact(door.call("GET", "/meters?limit=1").text)
    assert set(listed) == {"data", "pagination"} and set(listed["data"][0]) == fields
    assert json.dumps(body["filter"]) == "{}"
