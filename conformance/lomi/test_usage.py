"""Usage events: reported once, counted exactly, listed and found again."""

import datetime
import uuid
from decimal import Decimal

import pytest

from door import NOBODY, exact, refused


def items(door, **query):
    """Listed usage events, with exact numbers, and the pagination."""
    text = "&".join(f"{name}={value}" for name, value in query.items())
    answer = door.call("GET", f"/usage-events?{text}")
    assert answer.status_code == 200, answer.text
    body = exact(answer.text)
    return body["data"], body["pagination"]


def test_a_reported_event_is_counted_at_once(door, unique):
    meter, customer = door.meter(unique), door.customer()
    receipt = door.use(unique, customer, f"{unique}-1", "2.50", subscription_id="sub-1", properties={"region": "eu"})
    assert (receipt["status"], receipt["meter_id"], receipt["quantity_applied"]) == ("processed", str(meter.meter_id), 2.5)
    assert receipt["subscription_id"] == "sub-1" and "idempotent" not in receipt
    assert door.balance(meter.meter_id, customer) == ("0", "2.5", "-2.5")
    found = exact(door.call("GET", f"/usage-events/{receipt['event_id']}").text)
    assert found["transaction_id"] == f"{unique}-1" and found["code"] == unique and found["customer_id"] == customer
    assert (found["quantity"], found["processing_status"], found["error_message"]) == (Decimal("2.5"), "processed", None)
    assert found["meter_id"] == str(meter.meter_id) and found["subscription_id"] == "sub-1"


def test_quantities_are_exact(door, unique):
    meter, customer = door.meter(unique), door.customer()
    for number, quantity in enumerate(["0.1", "0.2"]):
        door.use(unique, customer, f"{unique}-{number}", quantity)
    assert door.balance(meter.meter_id, customer)[1] == "0.3"
    long = "1234567890.123456789012345678"
    receipt = door.call(
        "POST",
        "/usage-events",
        f'{{"transaction_id":"{unique}-long","code":"{unique}","customer_id":"{customer}","quantity":{long}}}',
    )
    assert f'"quantity_applied":{long}' in receipt.text
    assert door.balance(meter.meter_id, customer)[1] == "1234567890.423456789012345678"
    assert f'"consumed_units":1234567890.423456789012345678' in door.call("GET", "/meter_balances?limit=100").text
    too_long = f'{{"transaction_id":"x","code":"x","customer_id":"{customer}","quantity":0.12345678901234567890123456789}}'
    answer = door.call("POST", "/usage-events", too_long)
    assert answer.status_code == 400 and "quantity" in answer.json()["error"]["details"], "never rounded"


def test_an_event_without_a_quantity_is_one(door, unique):
    meter, customer = door.meter(unique), door.customer()
    answer = door.call("POST", "/usage-events", {"transaction_id": unique, "code": unique, "customer_id": customer})
    assert answer.status_code == 202 and answer.json()["quantity_applied"] == 1
    assert door.balance(meter.meter_id, customer)[1] == "1"


def test_a_replay_is_the_same_event_and_counts_once(door, unique):
    meter, customer = door.meter(unique), door.customer()
    first = door.use(unique, customer, unique, "5")
    for quantity, fields in [("5", {}), ("7", {}), ("5", {"timestamp": "2024-01-01T00:00:00Z"}), ("5", {"subscription_id": "s"})]:
        again = door.use(unique, customer, unique, quantity, **fields)
        assert again == first | {"idempotent": True}, "the event that came first is what the answer is about"
    assert door.balance(meter.meter_id, customer)[1] == "5"
    assert items(door, code=unique)[1]["total"] == 1


def test_an_event_may_come_late_or_in_another_zone(door, unique):
    meter, customer = door.meter(unique), door.customer()
    for number, (sent, kept) in enumerate(
        [
            ("2020-02-29T23:59:59.123456Z", "2020-02-29T23:59:59.123456Z"),
            ("2024-11-18T13:32:03+11:00", "2024-11-18T02:32:03Z"),
            ("2024-11-18T13:32:03", "2024-11-18T13:32:03Z"),
        ]
    ):
        receipt = door.use(unique, customer, f"{unique}-{number}", timestamp=sent)
        assert receipt["status"] == "processed", "a meter that was always active counts it whenever it happened"
        found = door.call("GET", f"/usage-events/{receipt['event_id']}").json()
        assert found["occurred_at"] == kept
    assert door.balance(meter.meter_id, customer)[1] == "3"


def test_every_aggregation_counts_what_it_should(door, unique):
    wanted = {"sum": "12", "count": "3", "max": "7", "last_ever": "3", "last_during_period": "3"}
    meters = {
        kind: door.meter(f"{unique}-{kind}", filter={"code": unique}, aggregation={"type": kind, "property": "n"})
        for kind in wanted
    }
    customer = door.customer()
    for number, value in enumerate([2, 7, 3]):
        stamp = f"2024-01-0{number + 1}T00:00:00Z"
        door.use(unique, customer, f"{unique}-{number}", timestamp=stamp, properties={"n": value})
    for kind, consumed in wanted.items():
        assert door.balance(meters[kind].meter_id, customer)[1] == consumed, kind


def test_a_filter_chooses_events_by_their_properties(door, unique):
    meter = door.meter(unique, filter={"code": unique, "region": "eu", "tier": 1, "beta": True})
    customer = door.customer()
    wanted = {"region": "eu", "tier": 1.0, "beta": True}
    for number, (properties, status) in enumerate(
        [
            (wanted, "processed"),
            (wanted | {"more": [1]}, "processed"),
            (wanted | {"region": "us"}, "pending"),
            (wanted | {"tier": 2}, "pending"),
            ({"region": "eu", "tier": 1}, "pending"),
            ({}, "pending"),
        ]
    ):
        receipt = door.use(unique, customer, f"{unique}-{number}", properties=properties)
        assert receipt["status"] == status, properties
        assert (receipt["meter_id"] is None) == (status == "pending")
    assert door.balance(meter.meter_id, customer)[1] == "2"


def test_an_event_that_a_meter_cannot_count_fails_and_says_why(door, unique):
    meter = door.meter(unique, aggregation={"type": "sum", "property": "tokens"})
    customer = door.customer()
    for number, properties in enumerate([{}, {"tokens": "many"}, {"tokens": None}]):
        receipt = door.use(unique, customer, f"{unique}-{number}", properties=properties)
        assert receipt["status"] == "failed" and receipt["quantity_applied"] is None
        found = door.call("GET", f"/usage-events/{receipt['event_id']}").json()
        assert found["processing_status"] == "failed" and found["error_message"] and found["meter_id"] is None
    assert door.balance(meter.meter_id, customer)[1] == "0"
    assert len(items(door, code=unique, status="failed")[0]) == 3


def test_an_unknown_code_is_kept_and_pending(door, unique):
    customer = door.customer()
    receipt = door.use(unique, customer, unique)
    assert receipt["status"] == "pending" and receipt["meter_id"] is None
    assert [event["transaction_id"] for event in items(door, code=unique, status="pending")[0]] == [unique]


def test_an_inactive_meter_counts_nothing_until_it_is_active_again(door, unique):
    meter, customer = door.meter(unique), door.customer()
    door.use(unique, customer, f"{unique}-1")
    door.billing.update_meter(str(meter.meter_id), {"is_active": False})
    assert door.use(unique, customer, f"{unique}-2")["status"] == "pending"
    before = "2024-01-01T00:00:00Z"
    assert door.use(unique, customer, f"{unique}-3", timestamp=before)["status"] == "processed", "it was active then"
    assert door.balance(meter.meter_id, customer)[1] == "2"
    door.billing.update_meter(str(meter.meter_id), {"is_active": True})
    later = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)).isoformat()
    assert door.use(unique, customer, f"{unique}-4", timestamp=later)["status"] == "processed"
    drafted = door.meter(f"{unique}-draft", is_active=False)
    assert door.use(f"{unique}-draft", customer, f"{unique}-5")["status"] == "pending"
    assert door.balance(drafted.meter_id, customer)[1] == "0"


def test_a_new_name_loses_no_usage(door, unique):
    meter, customer = door.meter(unique), door.customer()
    door.billing.update_meter(str(meter.meter_id), {"name": f"{unique}-renamed"})
    assert door.use(unique, customer, unique)["meter_id"] == str(meter.meter_id)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"transaction_id": None}, "transaction_id"),
        ({"transaction_id": ""}, "transaction_id"),
        ({"transaction_id": "x" * 257}, "transaction_id"),
        ({"code": None}, "code"),
        ({"code": 5}, "code"),
        ({"customer_id": None}, "customer_id"),
        ({"customer_id": "acme"}, "customer_id"),
        ({"quantity": "5"}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": "2024-02-30T00:00:00Z"}, "timestamp"),
        ({"timestamp": 1700000000}, "timestamp"),
        ({"properties": []}, "properties"),
        ({"properties": {"quantity": 7}}, "properties"),
        ({"properties": {"subscription_id": "s"}}, "properties"),
        ({"subscription_id": 7}, "subscription_id"),
    ],
)
def test_a_bad_event_is_refused_and_not_kept(door, unique, change, field):
    customer = door.customer()
    body = {"transaction_id": unique, "code": unique, "customer_id": customer} | change
    answer = door.call("POST", "/usage-events", {name: value for name, value in body.items() if value is not None})
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "bad_request", answer.text
    assert list(answer.json()["error"]["details"]) == [field]
    assert items(door, code=unique)[1]["total"] == 0


def test_usage_of_nobody_is_refused(door, unique):
    answer = door.call("POST", "/usage-events", {"transaction_id": unique, "code": unique, "customer_id": NOBODY})
    assert answer.status_code == 404 and answer.json()["error"]["code"] == "not_found"
    gone = door.customer()
    door.customers.delete_customer(gone)
    answer = door.call("POST", "/usage-events", {"transaction_id": unique, "code": unique, "customer_id": gone})
    assert answer.status_code == 404


def test_lists_have_pages_and_conditions(door, unique):
    meter, customers = door.meter(unique), [door.customer(), door.customer()]
    for number in range(7):
        door.use(unique, customers[number % 2], f"{unique}-{number}", timestamp=f"2024-01-0{number + 1}T00:00:00Z")
    names = [f"{unique}-{number}" for number in range(7)]
    page, pagination = items(door, code=unique, page_size=3, page=2)
    assert [event["transaction_id"] for event in page] == [names[3], names[2], names[1]], "newest first"
    assert pagination == {"limit": 3, "offset": 3, "total": 7}
    theirs, pagination = items(door, code=unique, customer_id=customers[1])
    assert [event["transaction_id"] for event in theirs] == [names[5], names[3], names[1]] and pagination["total"] == 3
    assert len(items(door, code=unique, status="processed")[0]) == 7
    assert items(door, code=unique, status="failed")[0] == []
    for query in ("page=0", "page_size=101", "status=done", "customer_id=x", "limit=5"):
        assert door.call("GET", f"/usage-events?{query}").status_code == 400, query
    assert door.call("GET", f"/usage-events?customer_id={NOBODY}").status_code == 404
    assert str(meter.meter_id) == page[0]["meter_id"]


def test_the_feed_of_events_is_what_the_client_reads(door, unique):
    customer = door.customer()
    receipt = door.use(unique, customer, unique, "1.25", properties={"region": "eu"})
    event = door.events.retrieve_event(receipt["event_id"])
    assert (str(event.event_id), event.event_name, str(event.customer_id)) == (receipt["event_id"], unique, customer)
    assert event.event_data == {"quantity": 1.25, "region": "eu"}
    assert event.metadata["transaction_id"] == unique and event.metadata["source"] == "lomi"
    page = door.events.list_events(limit=1, sort="created_at:desc")
    assert len(page.data) == 1 and page.pagination.total >= 1
    for missing in (NOBODY, str(uuid.uuid4()), receipt["event_id"][:-1] + ("0" if receipt["event_id"][-1] != "0" else "1")):
        with refused(404, "not_found"):
            door.events.retrieve_event(missing)
        assert door.call("GET", f"/usage-events/{missing}").status_code == 404
    with refused(400, "bad_request", "sort"):
        door.events.list_events(sort="created_at:asc")
