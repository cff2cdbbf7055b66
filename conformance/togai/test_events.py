"""Events: in, exactly once, with their status, from everywhere."""

import datetime

import pytest
from togai_client import models

from sdk import event, now, refused


def test_a_matching_event_is_metered_once_and_exactly(togai, rides):
    meter = togai.meter(rides, rides, computation='{"*":[{"var":"attributes.distance"},0.1]}')
    for _ in range(2):
        answer = togai.ingest(rides, f"{rides}-a", {"distance": "12345678901234567.89"}, {"city": "pune"}, f"{rides}-1")
        assert answer.success is True and answer.status_code == 202
    assert togai.usage(rides) == {"": "1234567890123456.789"}
    found = togai.event(f"{rides}-1")
    assert found.ingestion_status.status == "INGESTION_COMPLETED_EVENT_METERED"
    assert found.event_payload.attributes[0].value == "12345678901234567.89"
    assert (found.event_payload.account_id, found.customer_id) == (f"{rides}-a", f"{rides}-c")
    assert found.source.id == "togai" and found.reference_id.startswith("event.")
    info = found.event_pipeline_info
    assert (info.event_schema.name, info.event_schema.version) == (rides, 1)
    (made,) = info.usage_meters
    assert (made.id, made.name, made.status) == (meter.id, rides, "PROCESSED_UNITS_COMPUTED")
    assert (info.account.id, info.customer.id) == (f"{rides}-a", f"{rides}-c")
    assert len(togai.events.get_events(schema_name=rides).events) == 1


def test_filters_and_matchers_choose_events(togai, rides):
    togai.meter(
        rides,
        rides,
        computation='{"+":[{"var":"attribute.distance"},{"var":"attributes.time"}]}',
        matcher='{">":[{"var":"attributes.distance"},5]}',
        filters=[models.UsageMeterFilterEntry(field="city", value="chennai")],
    )
    togai.meter(f"{rides} n", rides, "COUNT", filters=[models.UsageMeterFilterEntry(field="distance", value="7.0")])
    for number, (distance, city) in enumerate([("7", "chennai"), ("7", "pune"), ("5", "chennai"), ("6.5", "chennai")]):
        togai.ingest(rides, f"{rides}-a", {"distance": distance, "time": "0.25"}, {"city": city}, f"{rides}-{number}")
    assert togai.usage(rides) == {"": "14"}
    # As numbers, 7 and 7.0 are the same.
    assert togai.usage(f"{rides} n") == {"": "2"}
    left_out = togai.event(f"{rides}-2")
    assert left_out.ingestion_status.status == "INGESTION_COMPLETED_EVENT_NOT_METERED"
    assert {meter.status for meter in left_out.event_pipeline_info.usage_meters} == {"PROCESSED_FILTERED_OUT"}


def test_only_active_meters_count_and_only_from_their_activation(togai, rides):
    meter = togai.meter(rides, rides, "COUNT", active=False)
    send = lambda name, at=None: togai.ingest(rides, f"{rides}-a", {}, {}, f"{rides}-{name}", at)
    send("draft")
    togai.meters.activate_usage_meter(meter.id)
    send("active")
    send("before", now() - datetime.timedelta(hours=1))
    togai.meters.deactivate_usage_meter(meter.id)
    send("after", now() + datetime.timedelta(seconds=1))
    assert togai.usage(rides) == {"": "1"}
    statuses = {name: togai.event(f"{rides}-{name}").ingestion_status.status for name in ("active", "before", "after")}
    assert statuses == {
        "active": "INGESTION_COMPLETED_EVENT_METERED",
        "before": "INGESTION_COMPLETED_EVENT_NOT_METERED",
        "after": "INGESTION_COMPLETED_EVENT_NOT_METERED",
    }


def test_without_a_meter_an_event_says_so(togai, rides):
    togai.ingest(rides, f"{rides}-a", {}, {}, rides)
    assert togai.event(rides).ingestion_status.status == "INGESTION_COMPLETED_NO_MATCHING_METERS"


@pytest.mark.parametrize("value", ["9" * 29, "0.12345678901234567890123456789"])
def test_a_value_of_too_many_digits_is_kept_to_the_digit_and_never_counted(togai, rides, value):
    togai.meter(rides, rides, computation='{"var":"attributes.distance"}')
    togai.ingest(rides, f"{rides}-a", {"distance": value}, {}, rides)
    found = togai.event(rides)
    assert found.ingestion_status.status == "INGESTION_FAILED_UNITS_INVALID"
    assert found.ingestion_status.status_description
    assert found.event_payload.attributes[0].value == value
    assert togai.usage(rides) == {}


def test_a_missing_attribute_is_a_failure_and_not_zero(togai, rides):
    togai.meter(rides, rides, computation='{"*":[{"var":"attributes.distance"},2]}')
    togai.ingest(rides, f"{rides}-a", {"time": "1"}, {}, rides)
    assert togai.event(rides).ingestion_status.status == "INGESTION_FAILED_UNITS_INVALID"
    assert togai.usage(rides) == {}


def test_unknown_schemas_and_accounts_are_kept_with_their_status(togai, rides):
    togai.meter(rides, rides, "COUNT")
    assert togai.ingest("nothing", f"{rides}-a", {}, {}, f"{rides}-s").success is True
    assert togai.ingest(rides, "nobody", {}, {}, f"{rides}-n").success is True
    assert togai.event(f"{rides}-s").ingestion_status.status == "INGESTION_FAILED_SCHEMA_NOT_DEFINED"
    lost = togai.event(f"{rides}-n")
    assert lost.ingestion_status.status == "INGESTION_FAILED_ACCOUNT_NOT_FOUND" and lost.customer_id is None
    assert togai.usage(rides) == {}
    listed = togai.events.get_events(status="INGESTION_FAILED_ACCOUNT_NOT_FOUND", schema_name=rides).events
    assert [one.event_payload.id for one in listed] == [f"{rides}-n"]


def test_an_inactive_schema_takes_no_events(togai, rides):
    togai.schemas.deactivate_event_schema(rides)
    togai.ingest(rides, f"{rides}-a", {}, {}, rides)
    assert togai.event(rides).ingestion_status.status == "INGESTION_FAILED_SCHEMA_NOT_DEFINED"


def test_an_event_without_an_id_gets_one(togai, rides):
    for _ in range(2):
        togai.ingest(rides, f"{rides}-a", {"distance": "1"})
    listed = togai.events.get_events(schema_name=rides).events
    assert len({one.event_payload.id for one in listed}) == 2


def test_numbers_may_come_bare(togai, rides):
    body = {
        "schemaName": rides,
        "id": rides,
        "timestamp": now().strftime("%Y-%m-%dT%H:%M:%S"),
        "accountId": f"{rides}-a",
        "attributes": [{"name": "distance", "value": 12.50, "unit": "km"}, {"name": "time", "value": "007"}],
        "dimensions": {"city": "pune"},
    }
    status, answer = togai.raw("POST", "/ingest", {"event": body})
    assert status == 202, answer
    shown = togai.event(rides).event_payload
    assert [(one.name, one.value, one.unit) for one in shown.attributes] == [("distance", "12.5", "km"), ("time", "7", None)]
    assert shown.dimensions == {"city": "pune"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"schemaName": ""},
        {"schemaName": "s" * 51},
        {"schemaName": None},
        {"accountId": ""},
        {"accountId": "a" * 513},
        {"id": "i" * 513},
        {"timestamp": "yesterday"},
        {"timestamp": None},
        {"attributes": None},
        {"attributes": {}},
        {"attributes": [{"name": "a", "value": "1"}] * 2},
        {"attributes": [{"name": f"a{number}", "value": "1"} for number in range(11)]},
        {"attributes": [{"name": "", "value": "1"}]},
        {"attributes": [{"name": "a", "value": "1e3"}]},
        {"attributes": [{"name": "a", "value": ""}]},
        {"attributes": [{"name": "a", "value": "1" * 513}]},
        {"attributes": [{"name": "a", "value": None}]},
        {"attributes": [{"name": "a", "value": "1", "unit": ""}]},
        {"dimensions": {"city": ""}},
        {"dimensions": {"city": "c" * 201}},
        {"dimensions": {"city": 1}},
        {"dimensions": None},
    ],
)
def test_a_malformed_event_is_refused_and_not_stored(togai, rides, wrong):
    body = {
        "schemaName": rides,
        "id": rides,
        "timestamp": now().isoformat(),
        "accountId": f"{rides}-a",
        "attributes": [],
        "dimensions": {},
    }
    status, answer = togai.raw("POST", "/ingest", {"event": body | wrong})
    assert (status, list(answer)) == (400, ["message"]), answer
    with refused(404):
        togai.events.get_single_event(rides)


def test_a_batch_is_stored_as_far_as_it_is_sound(togai, rides):
    togai.meter(rides, rides, "COUNT")
    events = [event(rides, f"{rides}-a", event_id=f"{rides}-{number}") for number in range(1000)]
    answer = togai.ingestion.ingest_batch(models.IngestBatchEventRequest(events=events))
    assert (answer.success, answer.status_code) == (True, 202)
    assert togai.usage(rides) == {"": "1000"}

    sound = event(rides, f"{rides}-a", event_id=f"{rides}-s").to_dict()
    sound["timestamp"] = now().isoformat()
    broken = sound | {"id": f"{rides}-b", "attributes": [{"name": "distance", "value": "much"}]}
    status, answer = togai.raw("POST", "/ingestBatch", {"events": [broken, sound, broken]})
    assert status == 207 and answer["success"] is False, answer
    parsed = models.IngestEventResponse.from_dict(answer)
    errors = parsed.details["errors"]
    assert [one["eventPayload"]["id"] for one in errors] == [f"{rides}-b"] * 2
    assert all("much" in one["message"] for one in errors)
    assert togai.usage(rides) == {"": "1001"}
    status, answer = togai.raw("POST", "/ingestBatch", {"events": [broken]})
    assert (status, list(answer)) == (400, ["message"])


@pytest.mark.parametrize("count", [0, 1001])
def test_a_batch_has_1_to_1000_events(togai, rides, count):
    sound = event(rides, f"{rides}-a").to_dict() | {"timestamp": now().isoformat()}
    status, answer = togai.raw("POST", "/ingestBatch", {"events": [sound] * count})
    assert status == 400 and str(count) in answer["message"]
    assert togai.raw("GET", f"/events?schema_name={rides}")[1] == {"events": []}


def test_a_body_that_is_too_large_is_422(togai, rides):
    status, answer = togai.raw("POST", "/ingest", b'{"event":"' + b"x" * (70 << 20) + b'"}')
    assert status == 422 and "bytes" in answer["message"]


def test_events_are_listed_newest_first_page_by_page(togai, rides):
    start = now()
    long = rides + "x" * (512 - len(rides))
    names = [f"{rides}-{number}" for number in range(4)] + [long]
    for number, name in enumerate(names):
        togai.ingest(rides, f"{rides}-a", event_id=name, at=start + datetime.timedelta(milliseconds=number // 2))
    seen, token = [], None
    while True:
        page = togai.events.get_events(schema_name=rides, page_size=1, next_token=token)
        seen += [one.event_payload.id for one in page.events]
        assert page.next_token is None or len(page.next_token) <= 500
        token = page.next_token
        if token is None or len(seen) == len(names):
            break
    assert sorted(seen) == sorted(names) and seen[0] == long
    with refused(400):
        togai.events.get_events(next_token="x")
    with refused(400):
        togai.events.get_events(status="GONE")


def test_events_of_other_doors_are_shown(togai, rides):
    togai.meter(rides, rides, "COUNT")
    togai.cloud_event(rides, f"{rides}-1", f"{rides}-a", '{"distance":1e2,"city":"pune","n":null,"list":[1]}')
    togai.cloud_event(rides, f"{rides}-2", f"{rides}-a", {"attributes": {"distance": 2.50}, "dimensions": {"city": "x"}})
    first, second = togai.event(f"{rides}-1"), togai.event(f"{rides}-2")
    assert [(one.name, one.value) for one in first.event_payload.attributes] == [("distance", "100")]
    assert first.event_payload.dimensions == {"city": "pune"} and first.source.id == "elsewhere"
    assert first.ingestion_status.status == "INGESTION_COMPLETED_EVENT_METERED"
    assert [(one.name, one.value) for one in second.event_payload.attributes] == [("distance", "2.5")]
    assert second.event_payload.dimensions == {"city": "x"}
    assert togai.usage(rides) == {"": "2"}
    # What the client could not read is not shown.
    togai.cloud_event("t" * 51, f"{rides}-3", f"{rides}-a", {})
    with refused(404):
        togai.events.get_single_event(f"{rides}-3")
    listed = [one.event_payload.id for one in togai.events.get_events(account_id=f"{rides}-a").events]
    assert sorted(listed) == [f"{rides}-1", f"{rides}-2"]


def test_events_of_this_door_are_in_the_others(togai, rides):
    togai.ingest(rides, f"{rides}-a", {"distance": "1.50"}, {"city": "pune"}, rides)
    status, answer = togai.raw("GET", f"{togai.root}/api/v1/events?id={rides}", digits=True)
    assert status == 200
    (found,) = [one for one in answer if one["event"]["id"] == rides]
    assert found["event"]["type"] == rides and found["event"]["subject"] == f"{rides}-a"
    assert found["event"]["source"] == "togai"
    assert found["event"]["data"] == {"attributes": {"distance": "1.50"}, "dimensions": {"city": "pune"}}


def test_an_event_is_undone_and_done_again(togai, rides):
    togai.meter(rides, rides, computation='{"var":"attributes.distance"}')
    at = now()
    make = lambda value: event(rides, f"{rides}-a", {"distance": value}, {}, rides, at)
    correct = lambda action, value: togai.events.event_correction(
        action, event_correction_request=models.EventCorrectionRequest(event=make(value))
    ).data[0]
    togai.ingestion.ingest(models.IngestEventRequest(event=make("5")))
    again = correct("REDO_EVENT", "7.25")
    assert (again.status, again.event_payload.attributes[0].value) == ("REVERTED_AND_REINGESTED", "7.25")
    assert togai.usage(rides) == {"": "7.25"}
    assert correct("REDO", "5").status == "FAILED"
    other = f"{rides} late"
    togai.meter(other, rides, "COUNT")
    assert correct("REDO", "7.25").status == "REVERTED_AND_REINGESTED"
    assert togai.usage(other) == {"": "1"}
    gone = correct("UNDO", "7.25")
    assert (gone.status, gone.ingestion_status.status) == ("REVERTED", "REVERTED")
    assert togai.usage(rides) == {}
    info = togai.event(rides).event_pipeline_info
    assert info.status_before_reverting
    assert correct("REDO", "7.25").status == "FAILED"


def test_a_lost_event_is_found_again(togai, rides):
    togai.meter(rides, rides, "COUNT")
    at = now()
    make = lambda: event(rides, f"{rides}-late", {}, {}, rides, at)
    togai.ingestion.ingest(models.IngestEventRequest(event=make()))
    redo = lambda: togai.events.event_correction(
        "REDO", event_correction_request=models.EventCorrectionRequest(event=make())
    ).data[0]
    assert redo().status == "FAILED"
    togai.accounts.create_account(
        models.CreateAccountRequest(id=f"{rides}-late", name="Late account", customer_id=f"{rides}-c")
    )
    assert redo().status == "REVERTED_AND_REINGESTED"
    assert togai.event(rides).ingestion_status.status == "INGESTION_COMPLETED_EVENT_METERED"
    assert togai.usage(rides) == {"": "1"}


def test_wrong_corrections_are_refused(togai, rides):
    body = lambda name: models.EventCorrectionRequest(event=event(rides, f"{rides}-a", event_id=name))
    togai.ingest(rides, f"{rides}-a", event_id=rides)
    for action, request, status in [
        ("DELETE", body(rides), 400),
        ("UNDO", None, 400),
        ("UNDO", models.EventCorrectionRequest(), 400),
        ("UNDO", body(None), 400),
        ("UNDO", body("nothing"), 404),
    ]:
        with refused(status):
            togai.events.event_correction(action, event_correction_request=request)
    with refused(400):
        togai.events.event_correction("UNDO", True, body(rides))
    moved = togai.events.event_correction("REDO_EVENT", event_correction_request=body(rides)).data[0]
    assert moved.status == "FAILED" and "timestamp" in moved.reason
