"""The third version over plain HTTP: no published client of it can be installed. What is made here is seen by the SDK and the
other way round."""

import json
import urllib.error
import urllib.parse
import urllib.request
from decimal import Decimal

import pytest

from sdk import event


class V3:
    """Calls of `/api/v3/openmeter`."""

    def __init__(self, url: str, token: str | None = None):
        self.url, self.token = f"{url}/api/v3/openmeter", token

    def call(self, method: str, path: str, body=None, accept: str = "application/json", content_type: str = "application/json"):
        """The status and the body of an answer, JSON where it is JSON."""
        headers = {"accept": accept, "content-type": content_type}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/{path}", data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, read(answer)
        except urllib.error.HTTPError as answer:
            return answer.code, read(answer)

    def get(self, path: str, **parameters):
        """The body of an answer to a list or a look-up; parameters such as `filter[key]` come in a dictionary."""
        status, body = self.call("GET", f"{path}?{urllib.parse.urlencode(parameters)}")
        assert status == 200, body
        return body

    def make(self, kind: str, **fields) -> dict:
        status, body = self.call("POST", kind, fields)
        assert status == 201, body
        return body


def read(answer):
    text = answer.read().decode()
    return json.loads(text) if "json" in (answer.headers["content-type"] or "") else text


@pytest.fixture
def v3(server):
    return V3(server.url)


def named(body: dict) -> list[tuple[str, str]]:
    return [(fault["field"], fault["rule"]) for fault in body["invalid_parameters"]]


async def test_a_meter_of_one_version_is_a_meter_of_the_other(om, v3, unique):
    made = v3.make(
        "meters", key=unique, name="M", aggregation="sum", event_type=unique, value_property="$.v", dimensions={"model": "$.model"}
    )
    found = await om.meters.get(unique)
    assert (found.id, found.aggregation, dict(found.group_by)) == (made["id"], "SUM", {"model": "$.model"})
    await om.events.ingest_event(event(unique, "1", data={"v": "0.1", "model": "a"}))
    body = {"id": "2", "source": unique, "type": unique, "subject": "customer-1", "time": "2024-05-01T11:00:00Z", "data": {"v": 0.2}}
    assert v3.call("POST", "events", body, content_type="application/cloudevents+json") == (202, "")
    status, answer = v3.call("POST", f"meters/{made['id']}/query", {"granularity": "P1D", "group_by_dimensions": ["subject"]})
    row = {"value": "0.3", "from": "2024-05-01T00:00:00Z", "to": "2024-05-02T00:00:00Z", "dimensions": {"subject": "customer-1"}}
    assert (status, answer) == (200, {"data": [row]})
    status, table = v3.call("POST", f"meters/{made['id']}/query", {"group_by_dimensions": ["model"]}, accept="text/csv")
    assert status == 200
    rows = [line.split(",") for line in table.splitlines()]
    assert rows[0] == ["from", "to", "model", "value"]
    assert sum(Decimal(row[-1]) for row in rows[1:]) == Decimal("0.3")
    await om.meters.delete(made["id"])
    assert v3.get(f"meters/{made['id']}")["deleted_at"]


async def test_everything_that_is_wrong_is_named(v3, unique):
    status, body = v3.call("POST", "meters", {"key": "Not A Key", "aggregation": "SUM", "labels": {"a": "-"}, "more": 1})
    assert status == 400
    assert sorted(named(body)) == [
        ("aggregation", "enum"),
        ("event_type", "required"),
        ("key", "matches_regex"),
        ("more", "unknown_property"),
        ("name", "required"),
    ]
    (aggregation,) = [fault for fault in body["invalid_parameters"] if fault["field"] == "aggregation"]
    assert aggregation["choices"] == ["sum", "count", "unique_count", "avg", "min", "max", "latest"]
    assert (body["status"], body["title"], body["type"]) == (400, "Bad Request", "about:blank")
    assert body["instance"].startswith("urn:request:")
    status, body = v3.call("GET", "meters?page%5Bsize%5D=0&sort=x&filter%5By%5D=1&z=1")
    assert sorted(named(body)) == [("filter[y]", "unknown_property"), ("page[size]", "min"), ("sort", "enum"), ("z", "unknown_property")]
    status, body = v3.call("GET", f"meters/{unique}")
    assert (status, named(body)) == (400, [("meterId", "matches_regex")])
    status, body = v3.call("GET", "plans")
    assert (status, "Plans.List" in body["detail"]) == (501, True)


async def test_pages_of_events_hold_every_event_once(om, v3, unique):
    for number in range(25):
        await om.events.ingest_event(event(unique, f"{number:02}", f"2024-05-01T10:00:{number:02}Z"))
    seen, after = [], {}
    while True:
        page = v3.get("events", **{"filter[type]": unique, "page[size]": 10} | after)
        seen += [item["event"]["id"] for item in page["data"]]
        if page["meta"]["page"]["next"] is None:
            break
        after = {"page[after]": page["meta"]["page"]["next"]}
    assert seen == [f"{number:02}" for number in reversed(range(25))]
    found = v3.get("events", **{"filter[type]": unique, "filter[time][gte]": "2024-05-01T10:00:23Z", "filter[id][neq]": "24"})
    assert [item["event"]["id"] for item in found["data"]] == ["23"]
    assert found["data"][0]["validation_errors"] == [
        {"code": "validation_error", "message": f"no meter found for event type: {unique}"}
    ]


async def test_customers_and_features_are_the_same_in_both_versions(om, v3, unique):
    customer = v3.make(
        "customers", key=unique, name=unique, labels={"tier": "gold"}, usage_attribution={"subject_keys": [f"{unique}_s"]}
    )
    assert (await om.customers.get(unique))["metadata"] == {"tier": "gold"}
    status, replaced = v3.call("PUT", f"customers/{customer['id']}", {"name": "New"})
    assert (status, replaced["key"], replaced["labels"], replaced.get("usage_attribution")) == (200, unique, {}, None)
    assert [item["id"] for item in v3.get("customers", **{"filter[key][contains]": unique.upper()})["data"]] == [customer["id"]]
    await om.meters.create({"slug": unique, "aggregation": "COUNT", "eventType": unique, "groupBy": {"model": "$.model"}})
    meter = (await om.meters.get(unique)).id
    feature = v3.make("features", key=unique, name="F", description="d", meter={"id": meter, "filters": {"model": {"eq": "a"}}})
    assert (await om.features.get(unique))["meterGroupByFilters"] == {"model": "a"}
    status, costly = v3.call("PATCH", f"features/{feature['id']}", {"unit_cost": {"type": "manual", "amount": "0.00012"}})
    assert (status, costly["unit_cost"]) == (200, {"type": "manual", "amount": "0.00012"})
    assert (await om.features.get(unique))["unitCost"] == {"type": "manual", "amount": "0.00012"}
    status, bare = v3.call("PATCH", f"features/{feature['id']}", {"unit_cost": None})
    assert (status, "unit_cost" in bare) == (200, False)
    found = v3.get("features", **{"filter[meter_id]": meter})
    assert found["meta"]["page"] == {"number": 1, "size": 20, "total": 1}
    for kind, made in [("features", feature), ("customers", customer)]:
        assert v3.call("DELETE", f"{kind}/{made['id']}") == (204, "")
