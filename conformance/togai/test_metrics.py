"""Metrics: usage and events over time, exactly."""

import datetime

from togai_client import models

from sdk import UTC, now, refused


def query(togai, start, end, **more):
    asked = {"id": "q", "name": "USAGE", "aggregation_period": "DAY"} | more
    request = models.GetMetricsRequest(start_time=start, end_time=end, metric_queries=[models.MetricQuery(**asked)])
    (result,) = togai.metrics.get_metrics(get_metrics_request=request).results
    return result


def of_meter(name):
    return [models.MetricQueryFilterEntry(field_name="USAGE_METER_ID", field_values=[name])]


def test_usage_is_exact_by_meter_account_and_customer(togai, rides):
    first = togai.meter(rides, rides, computation='{"var":"attributes.distance"}')
    second = togai.meter(f"{rides} n", rides, "COUNT")
    togai.accounts.create_account(models.CreateAccountRequest(id=f"{rides}-b", name="Second", customer_id=f"{rides}-c"))
    for account, value in [("a", "0.1"), ("a", "0.2"), ("b", "1234567890123456789.000000001")]:
        togai.ingest(rides, f"{rides}-{account}", {"distance": value})
    assert togai.usage(first.id) == {"": "1234567890123456789.300000001"}
    assert togai.usage(rides) == togai.usage(first.id)
    assert togai.usage(rides, name="METER_USAGE") == togai.usage(first.id)
    assert togai.usage(rides, "ACCOUNT_ID") == {f"{rides}-a": "0.3", f"{rides}-b": "1234567890123456789.000000001"}
    assert togai.usage(rides, "CUSTOMER_ID") == {f"{rides}-c": "1234567890123456789.300000001"}
    both = [{"fieldName": "USAGE_METER_ID", "fieldValues": [rides, second.id]}]
    assert togai.usage(None, "USAGE_METER_ID", filters=both) == {
        first.id: "1234567890123456789.300000001",
        second.id: "3",
    }
    of_account = [{"fieldName": "ACCOUNT_ID", "fieldValues": [f"{rides}-a"]}]
    assert togai.usage(rides, filters=of_account) == {"": "0.3"}
    of_customer = [{"fieldName": "CUSTOMER_ID", "fieldValues": [f"{rides}-c"]}]
    assert togai.usage(rides, filters=of_customer) == togai.usage(first.id)
    assert togai.usage(rides, filters=[{"fieldName": "ACCOUNT_ID", "fieldValues": ["nobody"]}]) == {}


def test_the_client_reads_points_in_time(togai, rides):
    meter = togai.meter(rides, rides, "COUNT")
    at = now()
    togai.ingest(rides, f"{rides}-a", at=at)
    result = query(togai, at - datetime.timedelta(hours=2), at + datetime.timedelta(hours=2), aggregation_period="HOUR", filters=of_meter(meter.id))
    (points,) = result.data
    assert (result.id, points.metric_values) == ("q", [1])
    assert points.timestamps == [at.replace(minute=0, second=0, microsecond=0)]
    week = query(togai, at - datetime.timedelta(days=20), at + datetime.timedelta(days=1), aggregation_period="WEEK", filters=of_meter(meter.id))
    monday = (at - datetime.timedelta(days=at.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
    assert week.data[0].timestamps == [monday]
    month = query(togai, at - datetime.timedelta(days=40), at + datetime.timedelta(days=1), aggregation_period="MONTH", filters=of_meter(meter.id))
    assert month.data[0].timestamps == [at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)]
    # The end does not count any more.
    nothing = query(togai, at - datetime.timedelta(hours=1), at, filters=of_meter(meter.id))
    assert [series.metric_values for series in nothing.data] == [[]]


def test_events_are_counted_by_account_schema_and_status(togai, rides):
    for account in ("a", "a"):
        togai.ingest(rides, f"{rides}-{account}")
    togai.ingest(rides, "nobody")
    of_schema = [{"fieldName": "SCHEMA_NAME", "fieldValues": [rides]}]
    count = lambda group_by=None, *more: togai.usage(None, group_by, "EVENTS", filters=of_schema + list(more))
    assert count() == {"": "3"}
    assert count("EVENT_STATUS") == {"PROCESSED": "2", "UNPROCESSED": "1"}
    assert count("ACCOUNT_ID") == {f"{rides}-a": "2", "nobody": "1"}
    assert count("SCHEMA_NAME") == {rides: "3"}
    assert count(None, {"fieldName": "EVENT_STATUS", "fieldValues": ["PROCESSED"]}) == {"": "2"}
    assert count(None, {"fieldName": "EVENT_STATUS", "fieldValues": ["IN_PROGRESS"]}) == {}
    assert count(None, {"fieldName": "CUSTOMER_ID", "fieldValues": [f"{rides}-c"]}) == {"": "2"}
    assert count(None, {"fieldName": "ACCOUNT_ID", "fieldValues": [f"{rides}-a"]}) == {"": "2"}
    everything = togai.usage(None, "SCHEMA_NAME", "EVENTS")
    assert everything[rides] == "3"


def test_what_cannot_be_answered_is_refused(togai, rides):
    start, end = datetime.datetime(2024, 1, 1, tzinfo=UTC), datetime.datetime(2024, 1, 8, tzinfo=UTC)
    for wrong in [
        {"name": "REVENUE"},
        {"name": "USAGE_FOR_CYCLE"},
        {"group_by": "SCHEMA_NAME"},
        {"filters": of_meter("nothing")},
        {"filters": [models.MetricQueryFilterEntry(field_name="CUSTOMER_ID", field_values=["nobody"])]},
        {"filters": [models.MetricQueryFilterEntry(field_name="ACCOUNT_ID", field_values=[])]},
        {"filters": [models.MetricQueryFilterEntry(field_name="COLOUR", field_values=["red"])]},
        {"configs": {"CURRENCY": "EUR"}},
    ]:
        with refused(400):
            query(togai, start, end, **wrong)
    with refused(400):
        query(togai, end, start)
    with refused(400) as refusal:
        query(togai, start, end + datetime.timedelta(days=60), aggregation_period="HOUR")
    assert "300" in refusal.message
    status, _ = togai.raw("POST", "/metrics", {"startTime": "x", "endTime": "y", "metricQueries": []})
    assert status == 400
