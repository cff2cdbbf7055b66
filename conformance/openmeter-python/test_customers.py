"""Usage by customer: whose events count for whom, in queries and in listings."""

import csv
import io

import pytest
from openmeter.models import CustomerCreate, CustomerUsageAttribution

from sdk import event, exact, raw, refused


@pytest.fixture
async def shop(om, unique):
    """Two customers with three subjects between them, one subject that is nobody's, and a SUM meter over all."""
    first = await om.customers.create(
        CustomerCreate(name="First", key=f"{unique}-key", usage_attribution=CustomerUsageAttribution(subject_keys=[f"{unique}-a"]))
    )
    second = await om.customers.create({"name": "Second", "usageAttribution": {"subjectKeys": [f"{unique}-b"]}})
    await om.meters.create(
        {"slug": unique, "aggregation": "SUM", "eventType": unique, "valueProperty": "$.v", "groupBy": {"m": "$.m"}}
    )
    spent = [("key", 1, "x"), ("a", 2, "y"), ("b", 4, "x"), ("nobody", 8, "x"), ("a", 16, "x")]
    await om.events.ingest_events(
        [event(unique, str(n), subject=f"{unique}-{who}", data={"v": v, "m": m}) for n, (who, v, m) in enumerate(spent)]
    )
    return first.id, second.id


async def rows(om, meter: str, **body) -> dict[tuple, int]:
    """The values by customer, subject and label, which must be the same by POST, by GET and in the CSV."""
    posted = exact(await om.meters.query(meter, body, cls=raw))["data"]
    arguments = {"filter_customer_id": body["filterCustomerId"], "group_by": body.get("groupBy"), "subject": body.get("subject")}
    assert exact(await om.meters.query_json(meter, cls=raw, **arguments))["data"] == posted
    table = list(csv.DictReader(io.StringIO(await om.meters.query_csv(meter, **arguments))))
    assert [(line["customer_id"], float(line["value"])) for line in table] == [(row["customerId"], row["value"]) for row in posted]
    return {(row["customerId"], row["subject"], row["groupBy"].get("m")): int(row["value"]) for row in posted}


async def test_a_customer_has_the_usage_of_its_key_and_its_subjects(om, unique, shop):
    first, second = shop
    assert await rows(om, unique, filterCustomerId=[first]) == {(first, None, None): 19}
    assert await rows(om, unique, filterCustomerId=[second, first]) == {(first, None, None): 19, (second, None, None): 4}
    assert await rows(om, unique, filterCustomerId=[first], groupBy=["customer_id", "m"]) == {
        (first, None, "x"): 17,
        (first, None, "y"): 2,
    }
    assert await rows(om, unique, filterCustomerId=[first], groupBy=["subject"]) == {
        (first, f"{unique}-key", None): 1,
        (first, f"{unique}-a", None): 18,
    }


async def test_subjects_and_customers_together_are_their_intersection(om, unique, shop):
    first, second = shop
    both = [f"{unique}-a", f"{unique}-b", f"{unique}-nobody"]
    assert await rows(om, unique, filterCustomerId=[first], subject=both) == {(first, f"{unique}-a", None): 18}
    assert await rows(om, unique, filterCustomerId=[second], subject=[f"{unique}-a"]) == {}


async def test_a_customer_that_comes_later_has_its_history(om, unique, shop):
    later = await om.customers.create({"name": "Later", "key": f"{unique}-nobody"})
    assert await rows(om, unique, filterCustomerId=[later.id]) == {(later.id, None, None): 8}


async def test_listings_know_the_customer_of_an_event(om, unique, shop):
    first, second = shop
    listed = {item.event.id: item.customer_id for item in await om.events_v2.list(filter={"type": {"$eq": unique}})}
    assert listed == {"0": first, "1": first, "2": second, "3": None, "4": first}
    for customers, ids in [([first], {"0", "1", "4"}), ([second], {"2"}), ([first, second], {"0", "1", "2", "4"})]:
        wanted = {"type": {"$eq": unique}, "customerId": {"$in": customers}}
        assert {item.event.id for item in await om.events_v2.list(filter=wanted)} == ids
    await om.events.ingest_event(event(unique, "now", None, subject=f"{unique}-a"))
    assert [item.event.id for item in await om.events.list(customer_id=[first], id="now")] == ["now"]
    assert await om.events.list(customer_id=[second], id="now") == []


async def test_a_deleted_customer_is_unknown_to_queries(om, unique, shop):
    first, _ = shop
    await om.customers.delete(first)
    with refused(404) as refusal:
        await om.meters.query_json(unique, filter_customer_id=[first])
    assert first in refusal.detail
    with refused(400):
        await om.events.list(customer_id=[first])


async def test_an_operation_that_is_not_served_says_its_name(om):
    with refused(501) as refusal:
        await om.plans.list()
    assert "plans_list" in refusal.detail
