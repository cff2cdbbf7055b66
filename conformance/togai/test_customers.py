"""Customers, accounts and their aliases."""

import pytest
from togai_client import models

from sdk import refused


def test_a_customer_is_made_changed_and_deleted(togai, unique):
    made = togai.customers.create_customer(
        models.CreateCustomerRequest(
            id=unique, name="ACME Inc", primary_email="a@example.com", address=models.Address(line1="1 Road", city="Pune")
        )
    )
    assert (made.id, made.name, made.account) == (unique, "ACME Inc", None)
    found = togai.customers.get_customer(unique)
    assert (found.status, found.billing_address) == ("ACTIVE", "1 Road, Pune")
    changed = togai.customers.update_customer(unique, models.UpdateCustomerRequest(name="Acme Ltd"))
    assert (changed.name, changed.primary_email, changed.address.city) == ("Acme Ltd", "a@example.com", "Pune")
    with refused(400):
        togai.customer(unique)
    assert togai.customers.delete_customer(unique).success is True
    for call in [togai.customers.get_customer, togai.customers.delete_customer]:
        with refused(404):
            call(unique)
    with refused(404):
        togai.customers.update_customer(unique, models.UpdateCustomerRequest(name="Gone"))


def test_a_customer_is_made_with_an_account_or_not_at_all(togai, unique):
    made = togai.customer(unique, f"{unique}-a")
    assert (made.account.id, made.account.customer_id, made.account.status) == (f"{unique}-a", unique, "ACTIVE")
    with refused(400):
        togai.customer(f"{unique}-2", f"{unique}-a")
    with refused(404):
        togai.customers.get_customer(f"{unique}-2")


def test_an_account_keeps_its_words(togai, unique):
    togai.customer(unique)
    made = togai.accounts.create_account(
        models.CreateAccountRequest(
            id=f"{unique}-a",
            name="ACME Europe",
            customer_id=unique,
            invoice_currency="EUR",
            net_term_days=30,
            primary_email="b@example.com",
            address=models.Address(country="HU"),
            metadata={"tier": "gold"},
            tags=["Big"],
            aliases=[f"{unique}-x"],
            status="DRAFT",
        )
    )
    assert (made.name, made.invoice_currency, made.net_term_days, made.status) == ("ACME Europe", "EUR", 30, "DRAFT")
    assert (made.metadata, made.tags, made.address.country) == ({"tier": "gold"}, ["big"], "HU")
    assert [one.alias for one in made.aliases] == [f"{unique}-x"]
    assert togai.accounts.get_account(made.id) == made
    changed = togai.accounts.update_account(
        made.id, models.UpdateAccountRequest(name="ACME EU", status="ACTIVE", metadata={})
    )
    assert (changed.name, changed.status, changed.metadata, changed.net_term_days) == ("ACME EU", "ACTIVE", {}, 30)
    with refused(400):
        togai.accounts.create_account(models.CreateAccountRequest(id=made.id, name="Again", customer_id=unique))
    with refused(404):
        togai.accounts.create_account(models.CreateAccountRequest(id="other", name="Other", customer_id="nobody"))
    assert togai.accounts.delete_account(made.id).success is True
    with refused(404):
        togai.accounts.get_account(made.id)


def test_usage_under_an_alias_is_the_accounts(togai, rides):
    account, alias = f"{rides}-a", f"{rides}-x"
    togai.meter(rides, rides, "COUNT")
    added = togai.accounts.add_aliases(account, models.AddAccountAliasesRequest(aliases=[alias]))
    assert [one.alias for one in added.aliases] == [alias]
    togai.ingest(rides, alias, event_id=f"{rides}-1")
    togai.cloud_event(rides, f"{rides}-2", alias, {})
    first = togai.event(f"{rides}-1")
    assert (first.event_payload.account_id, first.customer_id) == (alias, f"{rides}-c")
    assert (first.event_pipeline_info.account.id, first.event_pipeline_info.account.alias) == (account, alias)
    assert togai.event(f"{rides}-2").customer_id == f"{rides}-c"
    assert togai.usage(rides, group_by="ACCOUNT_ID") == {account: "2"}
    assert togai.usage(rides, group_by="CUSTOMER_ID") == {f"{rides}-c": "2"}
    for name in (account, alias):
        listed = togai.events.get_events(account_id=name).events
        assert sorted(one.event_payload.id for one in listed) == [f"{rides}-1", f"{rides}-2"]
    (shown,) = togai.accounts.list_account_aliases(account).data
    assert shown.value == alias
    removed = togai.accounts.remove_aliases(account, models.RemoveAccountAliasesRequest(aliases=[alias]))
    assert removed.aliases == []
    with refused(404):
        togai.accounts.remove_aliases(account, models.RemoveAccountAliasesRequest(aliases=[alias]))


def test_an_alias_means_one_account(togai, unique):
    togai.customer(unique, f"{unique}-a")
    togai.accounts.create_account(models.CreateAccountRequest(id=f"{unique}-b", name="Second", customer_id=unique))
    add = lambda account, *names: togai.accounts.add_aliases(
        account, models.AddAccountAliasesRequest(aliases=[f"{unique}-{name}" for name in names])
    )
    add(f"{unique}-a", "x")
    for names in [("y", "x"), ("a",), ("b",)]:
        with refused(400):
            add(f"{unique}-b", *names)
    assert togai.accounts.get_account(f"{unique}-b").aliases == []
    with refused(400):
        togai.accounts.create_account(
            models.CreateAccountRequest(id=f"{unique}-x", name="Named as the alias", customer_id=unique)
        )
    with refused(404):
        add("nothing", "z")
    add(f"{unique}-a", *[f"n{number}" for number in range(9)])
    with refused(400) as refusal:
        add(f"{unique}-a", "one-more")
    assert "10" in refusal.message
    # With its account an alias goes, and is free again.
    togai.accounts.delete_account(f"{unique}-a")
    add(f"{unique}-b", "x")
    for wrong in [{}, {"aliases": ["ab"]}, {"aliases": ["n" * 51]}, {"accountAliases": [{"value": "v", "effectiveFrom": "2024-01-01T00:00:00Z"}]}]:
        status, _ = togai.raw("POST", f"/accounts/{unique}-b/add_aliases", wrong)
        assert status == 400, wrong


def test_accounts_and_customers_are_listed_page_by_page(togai, unique):
    togai.customer(unique, f"{unique}-a0")
    for number in range(1, 5):
        togai.accounts.create_account(
            models.CreateAccountRequest(id=f"{unique}-a{number}", name="Another", customer_id=unique)
        )
    for number in range(3):
        togai.customer(f"{unique}-{number}")

    def all_of(listing):
        seen, token = [], None
        while True:
            page = listing(next_token=token, page_size=2)
            assert page.context.page_size == 2 and len(page.data) <= 2
            seen += [one.id for one in page.data]
            token = page.next_token
            if token is None:
                return [one for one in seen if one.startswith(unique)]

    assert all_of(togai.accounts.get_accounts) == [f"{unique}-a{number}" for number in range(5)]
    assert all_of(togai.customers.get_customers) == [unique, *(f"{unique}-{number}" for number in range(3))]


def test_customers_of_other_doors_are_shown_as_the_client_reads_them(togai, unique):
    body = {"key": unique, "name": "X", "usageAttribution": {"subjectKeys": [f"{unique}-s"]}}
    status, made = togai.raw("POST", f"{togai.root}/api/v1/customers", body)
    assert status == 201, made
    shown = togai.customers.get_customer(unique)
    assert len(shown.name) >= 3 and (shown.billing_address, shown.primary_email) == ("", "")
    account = togai.accounts.get_account(f"{unique}-s")
    assert (account.customer_id, account.status) == (unique, "ACTIVE") and len(account.name) >= 3
    # Usage comes under its own key as well.
    assert togai.accounts.get_account(unique).customer_id == unique
    long = "k" * 60 + unique
    status, _ = togai.raw("POST", f"{togai.root}/api/v1/customers", {"key": long, "name": "Long"})
    assert status == 201
    with refused(404):
        togai.customers.get_customer(long[:50])
    assert long not in [one.id for one in togai.customers.get_customers(page_size=100).data]
    togai.accounts.update_account(f"{unique}-s", models.UpdateAccountRequest(name="Named here"))
    assert togai.accounts.get_account(f"{unique}-s").name == "Named here"


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ""},
        {"id": "i" * 51},
        {"id": None},
        {"name": "ab"},
        {"name": "n" * 256},
        {"primaryEmail": None},
        {"primaryEmail": "e" * 321},
        {"address": None},
        {"address": {"country": "Hungary"}},
        {"account": {"id": "x", "name": "ab"}},
        {"account": {"id": "x", "name": "abc", "status": "ARCHIVED"}},
        {"account": {"id": "x", "name": "abc", "invoiceCurrency": "EURO"}},
        {"account": {"id": "x", "name": "abc", "aliases": [f"alias{number}" for number in range(11)]}},
    ],
)
def test_what_is_wrong_with_a_customer_is_said(togai, unique, wrong):
    body = {"id": unique, "name": "Name", "primaryEmail": "a@example.com", "address": {}} | wrong
    status, answer = togai.raw("POST", "/customers", body)
    assert (status, list(answer)) == (400, ["message"]), answer
    with refused(404):
        togai.customers.get_customer(unique)
