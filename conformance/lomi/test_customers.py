"""Customers through the vendor's client."""

import json

import pytest
from lomi.models.customers_create import CustomersCreate
from lomi.models.customers_update import CustomersUpdate

from door import NOBODY, refused

FULL = {
    "name": "ACME",
    "email": "billing@acme.example",
    "address": "1 Main Street",
    "city": "Abidjan",
    "country": "CI",
    "postal_code": "01 BP",
    "phone_number": "+2250700000000",
    "whatsapp_number": "+2250700000001",
    "is_business": True,
    "spi_alias_mbno": "a",
    "spi_alias_shid": "b",
    "spi_primary_alias": "c",
    "metadata": {"z": 1.5, "a": "text", "nested": {"n": [1]}},
}


def shown(customer):
    return {name: getattr(customer, name) for name in FULL}


def test_a_customer_comes_back_as_it_was_sent(door):
    made = door.customers.create_customer(CustomersCreate(**FULL))
    assert shown(made) == FULL
    assert made.customer_id and made.organization_id and made.is_deleted is False and made.deleted_at is None
    assert door.customers.retrieve_customer(str(made.customer_id)) == made


def test_an_update_changes_what_it_names_and_nothing_else(door):
    made = door.customers.create_customer(CustomersCreate(**FULL))
    customer = str(made.customer_id)
    assert door.customers.update_customer(customer, CustomersUpdate()) == made
    changed = door.customers.update_customer(customer, CustomersUpdate(city="Dakar", metadata={"only": "text"}))
    assert shown(changed) == FULL | {"city": "Dakar", "metadata": {"only": "text"}}
    renamed = door.customers.update_customer(customer, CustomersUpdate(name="Other", country="Côte d'Ivoire", is_business=False))
    assert (renamed.name, renamed.country, renamed.is_business, renamed.city) == ("Other", "Côte d'Ivoire", False, "Dakar")
    cleared = door.call("PATCH", f"/customers/{customer}", '{"email": null, "whatsapp_number": null, "country": null}').json()
    assert (cleared["email"], cleared["whatsapp_number"], cleared["country"]) == (None, None, None)
    assert cleared["phone_number"] == FULL["phone_number"]


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "name"), ({"name": ""}, "name"), ({"name": 5}, "name"), ({"name": "x" * 257}, "name"), ({"name": "x", "email": 5}, "email"),
     ({"name": "x", "metadata": []}, "metadata"), ({"name": "x", "metadata": {"a": "x" * 20000}}, "metadata"),
     ({"name": "x", "is_business": "no"}, "is_business"), ({"name": "x", "is_deleted": True}, "is_deleted"),
     ({"name": "x", "spi_alias_mbno": 1}, "spi_alias_mbno"), ({"name": "x", "country": 1}, "country")],
)
def test_a_bad_customer_is_refused(door, body, field):
    before = door.customers.list_customers(limit=1).pagination.total
    answer = door.call("POST", "/customers", body)
    assert answer.status_code == 400 and list(answer.json()["error"]["details"]) == [field], answer.text
    assert door.customers.list_customers(limit=1).pagination.total == before
    if field != "is_deleted" and body:
        made = door.customer()
        answer = door.call("PATCH", f"/customers/{made}", body)
        assert answer.status_code == 400 and list(answer.json()["error"]["details"]) == [field], answer.text


def test_a_deleted_customer_is_gone(door):
    first, second = door.customer(), door.customer()
    assert door.customers.delete_customer(first) is None
    gone = door.customers.update_customer(second, CustomersUpdate(is_deleted=True))
    assert gone.is_deleted is True and gone.deleted_at is not None
    for customer in (first, second, NOBODY):
        for call in (
            lambda: door.customers.retrieve_customer(customer),
            lambda: door.customers.update_customer(customer, CustomersUpdate(name="x")),
            lambda: door.customers.delete_customer(customer),
        ):
            with refused(404, "not_found"):
                call()
    assert door.call("GET", "/customers/x").status_code == 404


def test_lists_have_pages_and_orders(own_door):
    door = own_door
    made = [door.customer(f"c{number:02}") for number in range(22)]
    newest = door.customers.list_customers()
    assert len(newest.data) == 20 and newest.pagination.total == 22
    assert str(newest.data[0].customer_id) == made[-1]
    by_name = door.customers.list_customers(limit=2, offset=1, sort="name:asc")
    assert [customer.name for customer in by_name.data] == ["c01", "c02"]
    door.customers.update_customer(made[5], {"name": "changed"})
    assert door.customers.list_customers(limit=1, sort="updated_at:desc").data[0].name == "changed"
    ids = [str(customer.customer_id) for customer in door.customers.list_customers(limit=100, sort="customer_id:asc").data]
    assert ids == sorted(made)
    door.customers.delete_customer(made[0])
    assert door.customers.list_customers(limit=1).pagination.total == 21
    with refused(400, "bad_request", "sort"):
        door.customers.list_customers(sort="city:asc")


def test_what_another_door_changed_shows_here(door, unique):
    made = door.openmeter("POST", "/api/v1/customers", {"key": unique, "name": "From there", "metadata": {"a": "b"}}).json()
    page = door.customers.list_customers(limit=100)
    [seen] = [customer for customer in page.data if customer.name == "From there" and customer.metadata == {"a": "b"}]
    customer = str(seen.customer_id)
    door.customers.update_customer(customer, {"whatsapp_number": "+1", "metadata": {"n": 1, "a": "c"}})
    body = {"key": unique, "name": "Renamed there", "metadata": {"a": "d"}, "billingAddress": {"city": "Oslo", "country": "NO"}}
    door.openmeter("PUT", f"/api/v1/customers/{made['id']}", body).raise_for_status()
    now = door.customers.retrieve_customer(customer)
    assert (now.name, now.city, now.country, now.whatsapp_number) == ("Renamed there", "Oslo", "NO", "+1")
    assert now.metadata == {"a": "d", "n": 1}
    assert json.loads(door.openmeter("GET", f"/api/v1/customers/{made['id']}").text)["key"] == unique
