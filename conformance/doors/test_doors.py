"""One core: what comes in through one door is in the events, the meters and the balances of the others."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import requests


def test_an_event_of_each_door_is_read_through_all(doors):
    kind = "ride"
    made, customer = doors.meters(kind), doors.customer("ACME")
    doors.send_openmeter(kind, customer, "by-openmeter", "0.1", "eu")
    sent = doors.send_lomi(kind, customer, "by-lomi", "0.2", "eu")
    doors.send_togai(kind, customer, "by-togai", "0.4", "us")
    ids = {"by-openmeter", "by-lomi", "by-togai"}
    assert (doors.listed_openmeter(kind), doors.listed_lomi(kind), doors.listed_togai(kind)) == (ids, ids, ids)
    # What a path names is what is read: the third event has its quantity in `attributes`.
    assert doors.total_openmeter("ride_total") == Decimal("0.3")
    assert doors.total_togai(made["togai"]) == Decimal("0.7")
    assert doors.balance_lomi(made["lomi"], customer) == (Decimal("0.7"), Decimal("-0.7"))
    assert sent["status"] == "processed"
    (row,) = doors.rows_lomi(made["lomi"])
    assert (str(row.customer_id), row.consumed_units) == (customer, 0.7)


def test_meters_and_customers_of_each_door_are_listed_by_the_others(doors):
    kind = "trip"
    made = doors.meters(kind)
    listed = {meter["eventType"]: set() for meter in requests.get(f"{doors.url}/api/v1/meters", timeout=30).json()}
    for meter in requests.get(f"{doors.url}/api/v1/meters", timeout=30).json():
        listed[meter["eventType"]].add(meter["name"])
    names = {f"{kind}_total", f"{kind} at lomi", f"{kind} at togai"}
    assert listed[kind] == names
    of_lomi = {meter.name: meter for meter in doors.lomi.list_meters(limit=100).data}
    assert names <= set(of_lomi) and str(of_lomi[f"{kind} at lomi"].meter_id) == made["lomi"]
    assert of_lomi[f"{kind}_total"].aggregation == {"type": "sum", "property": "quantity"}
    of_togai = {meter.name: meter for meter in doors.togai_meters.get_usage_meters_for_event_schema(page_size=100).data}
    assert names <= set(of_togai) and of_togai[f"{kind} at togai"].id == made["togai"]
    customer = doors.customer("Everywhere")
    found = requests.get(f"{doors.url}/api/v1/customers/{customer}", timeout=30).json()
    assert (found["name"], found["key"]) == ("Everywhere", customer)
    assert doors.togai_accounts.get_account(customer).name


def test_what_one_door_cannot_say_is_hidden_there(doors):
    body = {"slug": "people", "eventType": "visit", "aggregation": "UNIQUE_COUNT", "valueProperty": "$.person"}
    doors.openmeter.meters.create(body)
    assert "people" not in {meter.name for meter in doors.lomi.list_meters(limit=100).data}
    shown = doors.togai_meters.get_usage_meters_for_event_schema(page_size=100).data
    assert "people" not in {meter.name for meter in shown}


def test_a_credit_at_one_door_is_a_balance_at_the_others(doors):
    kind = "call"
    made, customer = doors.meters(kind), doors.customer("Credited")
    credit = {"meter_id": made["lomi"], "customer_id": customer, "units": 10.5}
    assert requests.post(f"{doors.url}/lomi/v1/usage-billing/credits", json=credit, timeout=30).status_code == 201
    doors.send_openmeter(kind, customer, "1", "0.25", "eu")
    doors.send_togai(kind, customer, "2", "0.25", "eu")
    assert doors.balance_lomi(made["lomi"], customer) == (Decimal("0.5"), Decimal("10.0"))
    given = requests.get(f"{doors.url}/api/v2/customers/{customer}/entitlements", timeout=30).json()["items"]
    (feature,) = [entitlement["featureKey"] for entitlement in given]
    value = doors.balance_openmeter(customer, feature)
    assert (value["balance"], value["usage"], value["hasAccess"]) == (Decimal("10"), Decimal("0.5"), True)


def test_a_corrected_event_is_corrected_at_all_doors(doors):
    kind = "flight"
    made, customer = doors.meters(kind), doors.customer("Corrected")
    doors.send_togai(kind, customer, "kept", "3", "eu")
    doors.send_lomi(kind, customer, "undone", "4", "eu")
    assert doors.balance_lomi(made["lomi"], customer)[0] == Decimal(7)
    retraction = {"source": "lomi", "id": "undone", "reason": "sent by mistake"}
    answer = requests.post(f"{doors.url}/api/v1/events/retract", json=retraction, timeout=30)
    assert answer.status_code == 200, answer.text
    assert doors.balance_lomi(made["lomi"], customer)[0] == Decimal(3)
    assert doors.total_togai(made["togai"]) == Decimal(3)


def test_all_clients_at_once(doors):
    kind, each = "burst", 60
    made, customer = doors.meters(kind), doors.customer("Busy")
    senders = [doors.send_openmeter, doors.send_lomi, doors.send_togai]

    def send(number):
        door = senders[number % 3]
        door(kind, customer, f"{door.__name__}-{number}", "0.1", "eu")
        if number % 20 == 0:
            doors.balance_lomi(made["lomi"], customer)
            doors.total_togai(made["togai"])

    with ThreadPoolExecutor(24) as threads:
        list(threads.map(send, range(3 * each)))
    assert doors.total_openmeter("burst_total") == Decimal("12.0")
    assert doors.total_togai(made["togai"]) == Decimal("18.0")
    assert doors.balance_lomi(made["lomi"], customer)[0] == Decimal("18.0")
