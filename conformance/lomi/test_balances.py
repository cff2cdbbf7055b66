"""Balances that move with usage and credits."""

import uuid
from decimal import Decimal

import pytest

from door import NOBODY, numbers, read, refused


def test_a_balance_is_what_was_credited_less_what_was_used(door, unique):
    meter, customer = door.meter(unique).meter_id, door.customer()
    assert door.balance(meter, customer) == ("0", "0", "0"), "nothing yet reads as zeros"
    assert door.balances_of(meter) == [], "and is not listed"
    credited = door.credit(meter, customer, "10.5")
    assert numbers(credited) == ("10.5", "0", "10.5") and credited["last_event_id"] is None
    receipt = door.use(unique, customer, f"{unique}-1", "0.1")
    door.use(unique, customer, f"{unique}-2", "0.2", timestamp="2023-01-01T00:00:00Z")
    [row] = door.balances_of(meter)
    assert numbers(row) == ("10.5", "0.3", "10.2"), "late usage counts too"
    assert row["balance_id"] == credited["balance_id"] and row["last_event_id"] == receipt["event_id"]
    assert row["customer_id"] == customer and row["billable_organization_id"] is None
    again = door.credit(meter, customer, "0.0000000000000000000000001", reason="goodwill")
    assert numbers(again) == ("10.5000000000000000000000001", "0.3", "10.2000000000000000000000001")
    for api in (door.billing, door.balances):
        assert read(api.retrieve_meter_balance_without_preload_content(row["balance_id"])) == again
    typed = door.billing.retrieve_meter_balance(row["balance_id"])
    assert str(typed.meter_id) == str(meter) and str(typed.customer_id) == customer and typed.balance == pytest.approx(10.2)


def test_usage_alone_makes_a_balance_that_keeps_its_id(door, unique):
    meter, customer = door.meter(unique).meter_id, door.customer()
    receipt = door.use(unique, customer, unique, "3", timestamp="2024-05-01T00:00:00Z")
    [row] = door.balances_of(meter)
    assert numbers(row) == ("0", "3", "-3") and row["last_event_id"] == receipt["event_id"]
    assert row["created_at"] == row["updated_at"] == "2024-05-01T00:00:00Z"
    assert read(door.balances.retrieve_meter_balance_without_preload_content(row["balance_id"])) == row
    credited = door.credit(meter, customer, "5")
    assert credited["balance_id"] == row["balance_id"] and numbers(credited) == ("5", "3", "2")
    assert credited["created_at"] == row["created_at"] and credited["updated_at"] > row["updated_at"]


def test_a_largest_value_has_usage_and_takes_no_credit(door, unique):
    meter, customer = door.meter(unique, aggregation={"type": "max"}).meter_id, door.customer()
    for number, quantity in enumerate(["3", "9.5", "4"]):
        door.use(unique, customer, f"{unique}-{number}", quantity)
    [row] = door.balances_of(meter)
    assert numbers(row) == ("0", "9.5", "-9.5")
    assert read(door.balances.retrieve_meter_balance_without_preload_content(row["balance_id"])) == row
    answer = door.call("POST", "/usage-billing/credits", {"meter_id": str(meter), "customer_id": customer, "units": 1})
    assert answer.status_code == 400 and "MAX" in answer.json()["error"]["details"]["meter_id"], answer.text


def test_a_level_is_taken_from_credits_as_it_is_now(door, unique):
    meter, customer = door.meter(unique, aggregation={"type": "last_ever"}).meter_id, door.customer()
    door.credit(meter, customer, "10")
    for number, (quantity, left) in enumerate([("4", "6"), ("9", "1"), ("2.5", "7.5")]):
        door.use(unique, customer, f"{unique}-{number}", quantity, timestamp=f"2024-01-0{number + 1}T00:00:00Z")
        assert door.balance(meter, customer)[2] == left


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"units": 0}, "units"),
        ({"units": -5}, "units"),
        ({"units": "5"}, "units"),
        ({"units": None}, "units"),
        ({"meter_id": None}, "meter_id"),
        ({"meter_id": "x"}, "meter_id"),
        ({"customer_id": None}, "customer_id"),
        ({"reason": 5}, "reason"),
        ({"reason": "x" * 257}, "reason"),
    ],
)
def test_a_bad_credit_is_refused_and_nothing_is_credited(door, unique, change, field):
    meter, customer = door.meter(unique).meter_id, door.customer()
    body = {"meter_id": str(meter), "customer_id": customer, "units": 1} | change
    answer = door.call("POST", "/usage-billing/credits", {name: value for name, value in body.items() if value is not None})
    assert answer.status_code == 400 and list(answer.json()["error"]["details"]) == [field], answer.text
    assert door.balance(meter, customer) == ("0", "0", "0") and door.balances_of(meter) == []


def test_what_is_not_there_has_no_balance_and_takes_no_credit(door, unique):
    meter, customer = str(door.meter(unique).meter_id), door.customer()
    for which in ({"meter_id": NOBODY, "customer_id": customer}, {"meter_id": meter, "customer_id": NOBODY}):
        answer = door.call("POST", "/usage-billing/credits", which | {"units": 1})
        assert answer.status_code == 404 and answer.json()["error"]["code"] == "not_found"
    for path in (f"/meters/{NOBODY}/balances/{customer}", f"/meters/{meter}/balances/{NOBODY}", f"/meters/{meter}/balances/x"):
        assert door.call("GET", path).status_code == 404
    for balance in (NOBODY, str(uuid.uuid4()), meter, customer):
        with refused(404, "not_found") as caught:
            door.balances.retrieve_meter_balance(balance)
        assert caught.value.data is not None
    assert door.call("GET", "/meter_balances/x").status_code == 404


def test_deleting_a_meter_or_a_customer_deletes_its_balances(door, unique):
    meter, customer = door.meter(unique).meter_id, door.customer()
    balance = door.credit(meter, customer, "5")["balance_id"]
    door.billing.delete_meter(str(meter))
    with refused(404, "not_found"):
        door.balances.retrieve_meter_balance(balance)
    assert door.balances_of(meter) == []
    other = door.meter(f"{unique}-2").meter_id
    balance = door.credit(other, customer, "5")["balance_id"]
    door.use(f"{unique}-2", customer, unique)
    door.customers.delete_customer(customer)
    with refused(404, "not_found"):
        door.balances.retrieve_meter_balance(balance)
    assert door.balances_of(other) == []


def test_lists_have_pages_and_orders(own_door):
    door = own_door
    assert door.balances.list_meter_balances().data == []
    meter = door.meter("calls").meter_id
    customers = [door.customer(f"c{number}") for number in range(4)]
    for number, customer in enumerate(customers):
        door.credit(meter, customer, str(10 * number + 1))
        for event in range(number + 1):
            door.use("calls", customer, f"{number}-{event}", "0.5", timestamp="2024-01-01T00:00:00Z")

    def column(name, **query):
        page = read(door.billing.list_meter_balances_without_preload_content(**query))
        assert page["pagination"]["total"] == 4
        return [row[name] for row in page["data"]]

    assert column("balance", sort="balance:asc") == [Decimal(text) for text in ("0.5", "10", "19.5", "29")]
    assert column("balance", sort="balance:desc", limit=2, offset=1) == [Decimal("19.5"), Decimal(10)]
    assert column("consumed_units", sort="consumed_units:desc") == [Decimal(text) for text in ("2", "1.5", "1", "0.5")]
    assert column("credited_units", sort="credited_units:asc", limit=2) == [1, 11]
    assert column("customer_id", sort="updated_at:desc") == column("customer_id", sort="credited_units:desc")
    for sort in ("customer_id:asc", "balance_id:asc", "meter_id:asc", "created_at:asc"):
        assert column(sort.split(":")[0], sort=sort) == sorted(column(sort.split(":")[0], sort=sort))
    default = column("balance_id")
    assert sorted(default) == column("balance_id", sort="balance_id:asc")
    parts = column("balance_id", limit=3) + column("balance_id", limit=3, offset=3)
    assert parts == default, "pages follow each other"
    with refused(400, "bad_request", "sort"):
        door.balances.list_meter_balances(sort="nothing:asc")


def test_a_credit_with_an_idempotency_key_counts_once(door, unique):
    meter, customer = str(door.meter(unique).meter_id), door.customer()
    body = {"meter_id": meter, "customer_id": customer, "units": 5}
    answers = [door.call("POST", "/usage-billing/credits", body, {"Idempotency-Key": unique}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201] * 3 and len({answer.text for answer in answers}) == 1
    assert door.balance(meter, customer)[0] == "5"
    changed = door.call("POST", "/usage-billing/credits", body | {"units": 6}, {"Idempotency-Key": unique})
    assert changed.status_code == 422 and changed.json()["error"]["code"] == "error"
