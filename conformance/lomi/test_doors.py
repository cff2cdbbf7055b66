"""One core: what comes in through one door is seen through the other, where its words can say it."""

from door import numbers, refused

PAST = "2024-01-01T00:00:00Z"


def send(door, event_type, subject, event_id, data, time=PAST):
    event = {"specversion": "1.0", "id": event_id, "source": "there", "type": event_type, "subject": subject, "time": time, "data": data}
    answer = door.openmeter("POST", "/api/v1/events", event)
    assert answer.status_code == 204, answer.text


def value(door, slug):
    return door.openmeter("GET", f"/api/v1/meters/{slug}/query").json()["data"][0]["value"]


def test_usage_sent_there_moves_balances_here(door, unique):
    meter, customer = door.meter(unique).meter_id, door.customer()
    send(door, unique, customer, f"{unique}-1", {"quantity": 1.25})
    door.use(unique, customer, f"{unique}-2", "2")
    [row] = door.balances_of(meter)
    assert numbers(row) == ("0", "3.25", "-3.25")
    listed = door.call("GET", f"/usage-events?code={unique}").json()["data"]
    assert {(event["transaction_id"], event["quantity"], event["processing_status"]) for event in listed} == {
        (f"{unique}-1", 1.25, "processed"),
        (f"{unique}-2", 2, "processed"),
    }


def test_usage_sent_here_is_counted_there(door, unique):
    customer = door.customer()
    there = {"slug": unique, "aggregation": "SUM", "eventType": unique, "valueProperty": "$.quantity", "groupBy": {"region": "$.region"}}
    door.openmeter("POST", "/api/v1/meters", there).raise_for_status()
    door.use(unique, customer, unique, "4", properties={"region": "eu"}, subscription_id="s")
    assert value(door, unique) == 4
    by_region = door.openmeter("GET", f"/api/v1/meters/{unique}/query?groupBy=region").json()["data"]
    assert [row["groupBy"] for row in by_region] == [{"region": "eu"}]
    [event] = [found["event"] for found in door.openmeter("GET", "/api/v1/events?limit=100").json() if found["event"]["id"] == unique]
    assert (event["source"], event["type"], event["subject"]) == ("lomi", unique, customer)
    assert event["data"] == {"quantity": 4, "region": "eu", "subscription_id": "s"}


def test_a_meter_made_here_is_queried_there(door, unique):
    meter, customer = door.meter(unique, filter={"code": unique, "region": "eu"}), door.customer()
    for number, region in enumerate(["eu", "us", "eu"]):
        door.use(unique, customer, f"{unique}-{number}", "2", properties={"region": region})
    assert value(door, unique) == 4
    door.billing.delete_meter(str(meter.meter_id))
    assert door.openmeter("GET", f"/api/v1/meters/{unique}").status_code == 404


def test_a_meter_made_there_is_shown_here_if_it_can_be_said(own_door):
    door = own_door
    for kind, path in [("SUM", "$.a"), ("COUNT", None), ("MAX", "$.b.c"), ("LATEST", "$['d e']"), ("AVG", "$.a"), ("UNIQUE_COUNT", "$.a"), ("MIN", "$.a")]:
        body = {"slug": kind.lower(), "name": f"N {kind}", "aggregation": kind, "eventType": "call"} | ({"valueProperty": path} if path else {})
        door.openmeter("POST", "/api/v1/meters", body).raise_for_status()
    shown = {meter.name: meter for meter in door.billing.list_meters().data}
    assert {name: meter.aggregation for name, meter in shown.items()} == {
        "N SUM": {"type": "sum", "property": "a"},
        "N COUNT": {"type": "count"},
        "N MAX": {"type": "max", "property": "$.b.c"},
        "N LATEST": {"type": "last_ever", "property": "d e"},
    }
    assert {str(meter.filter) for meter in shown.values()} == {str({"code": "call"})}
    assert all(meter.is_active for meter in shown.values())
    customer = door.customer()
    send(door, "call", customer, "1", {"a": 5})
    rows = {row.consumed_units for row in door.billing.list_meter_balances().data}
    assert rows == {5, 1}
    meter = shown["N SUM"]
    assert door.billing.update_meter(str(meter.meter_id), {"name": "Mine", "filter": {"code": "call"}}).name == "Mine"
    for change, field in [({"is_active": False}, "is_active"), ({"filter": {"code": "x"}}, "filter"), ({"aggregation": {"type": "count"}}, "aggregation")]:
        with refused(400, "bad_request", field):
            door.billing.update_meter(str(meter.meter_id), change)
    hidden = door.openmeter("GET", "/api/v1/meters/avg").json()["id"]
    with refused(404, "not_found"):
        door.billing.retrieve_meter(uuid_of(hidden))


def uuid_of(ulid):
    """The same 128 bits as a UUID."""
    import uuid

    number = 0
    for letter in ulid:
        number = number * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(letter)
    return str(uuid.UUID(int=number))


def test_an_entitlement_given_there_is_a_balance_here(door, unique):
    customer = door.customer()
    there = {"slug": unique, "aggregation": "SUM", "eventType": unique, "valueProperty": "$.quantity"}
    meter = door.openmeter("POST", "/api/v1/meters", there).json()
    door.openmeter("POST", "/api/v1/features", {"key": unique, "name": unique, "meterSlug": unique}).raise_for_status()
    given = {"type": "metered", "featureKey": unique, "usagePeriod": {"interval": "YEAR"}, "issueAfterReset": 100}
    made = door.openmeter("POST", f"/api/v2/customers/{customer}/entitlements", given)
    assert made.status_code == 201, made.text
    row = door.credit(uuid_of(meter["id"]), customer, "5")
    assert row["balance_id"] == uuid_of(made.json()["id"]) and numbers(row) == ("105", "0", "105")
    there = door.openmeter("GET", f"/api/v2/customers/{customer}/entitlements/{unique}/value").json()
    assert there["balance"] == 105


def test_a_credit_given_here_is_a_grant_there(door, unique):
    meter, customer = door.meter(unique).meter_id, door.customer()
    door.credit(meter, customer, "7.5", reason="goodwill")
    door.use(unique, customer, unique, "2", timestamp=PAST)
    there = door.openmeter("GET", f"/api/v2/customers/{customer}/entitlements/{unique}_balance/value")
    assert there.status_code == 200, there.text
    assert (there.json()["balance"], there.json()["usage"], there.json()["hasAccess"]) == (5.5, 2, True)
    [grant] = door.openmeter("GET", f"/api/v2/customers/{customer}/entitlements/{unique}_balance/grants").json()["items"]
    assert grant["amount"] == 7.5 and grant["metadata"] == {"reason": "goodwill"}


def test_a_customer_made_there_is_credited_and_used_here(door, unique):
    key = f"{unique}-key"
    made = door.openmeter("POST", "/api/v1/customers", {"key": key, "name": unique, "usageAttribution": {"subjectKeys": [f"{unique}-s"]}}).json()
    meter, customer = door.meter(unique).meter_id, uuid_of(made["id"])
    door.use(unique, customer, f"{unique}-1", "3")
    send(door, unique, f"{unique}-s", f"{unique}-2", {"quantity": 4})
    assert door.balance(meter, customer)[1] == "7", "both subjects are the customer's"
    only_subjects = door.openmeter(
        "POST", "/api/v1/customers", {"name": unique, "usageAttribution": {"subjectKeys": [f"{unique}-b", f"{unique}-a"]}}
    ).json()
    door.use(unique, uuid_of(only_subjects["id"]), f"{unique}-3", "1")
    assert door.balance(meter, uuid_of(only_subjects["id"]))[1] == "1"
