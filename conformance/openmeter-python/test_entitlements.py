"""Entitlements by customer through the SDK, by subject over plain HTTP: shapes, rules, lists, access."""

import datetime
import inspect

import openmeter.aio
from openmeter.models import (
    EntitlementBooleanCreateInputs,
    EntitlementMeteredV2CreateInputs,
    EntitlementStaticCreateInputs,
    IssueAfterReset,
    RecurringPeriodCreateInput,
)

import openmeter
from entitled import DAY, HOUR, BySubject, Place, minute_now
from sdk import raw, refused

# The operations that this file and test_grants.py call, well and badly.
OPERATIONS = {
    "customer": {"get_customer_access"},
    "customer_entitlement": {"get_customer_entitlement_value"},
    "entitlements": {"list", "get"},
    "entitlements_v2": {"list", "get"},
    "customer_entitlements_v2": {"post", "list", "get", "delete", "override"},
    "customer_entitlement_v2": {
        "get_grants",
        "create_customer_entitlement_grant",
        "get_customer_entitlement_value",
        "get_customer_entitlement_history",
        "reset_customer_entitlement",
    },
    "grants": {"list", "delete"},
    "grants_v2": {"list"},
}


def test_the_table_names_every_operation_of_the_sdk():
    for client in [openmeter.Client(endpoint="http://localhost"), openmeter.aio.Client(endpoint="http://localhost")]:
        for group, named in OPERATIONS.items():
            found = {name for name, _ in inspect.getmembers(getattr(client, group), inspect.isroutine) if not name.startswith("_")}
            assert found == named, group


async def test_a_metered_entitlement_is_made_and_found(om, unique):
    place = await Place.furnished(om, unique)
    inputs = EntitlementMeteredV2CreateInputs(
        type="metered",
        feature_key=unique,
        usage_period=RecurringPeriodCreateInput(interval="month", anchor=place.begin),
        measure_usage_from="CURRENT_PERIOD_START",
        issue=IssueAfterReset(amount=100, priority=6),
        metadata={"team": "core"},
    )
    made = await om.customer_entitlements_v2.post(unique, inputs)
    customer = await om.customers.get(unique)
    assert (made["type"], made["featureKey"], made["customerKey"], made["customerId"]) == ("metered", unique, unique, customer.id)
    assert (made["usagePeriod"]["interval"], made["usagePeriod"]["intervalISO"]) == ("MONTH", "P1M")
    assert (made["issue"], made["issueAfterReset"], made["issueAfterResetPriority"]) == ({"amount": 100, "priority": 6}, 100, 6)
    assert (made["isSoftLimit"], made["preserveOverageAtReset"], made["metadata"]) == (False, False, {"team": "core"})
    begin = place.begin.isoformat().replace("+00:00", "Z")
    assert (made["measureUsageFrom"], made["lastReset"], made["currentUsagePeriod"]["from"]) == (begin, begin, begin)
    for found in [
        await om.customer_entitlements_v2.get(unique, unique),
        await om.customer_entitlements_v2.get(customer.id, made["id"]),
        await om.entitlements_v2.get(made["id"]),
    ]:
        assert dict(found) == dict(made)
    v1 = await om.entitlements.get(made["id"])
    assert (v1["subjectKey"], v1["isUnlimited"], "customerId" in v1, "issue" in v1) == (place.subjects[0], False, False, False)


async def test_static_and_boolean_ones(om, unique):
    for suffix in ("_s", "_b"):
        await om.features.create({"key": unique + suffix, "name": "F"})
    await om.customers.create({"key": unique, "name": "C"})
    config = '{ "models": ["a"], "limit": 1.50 }'
    static = await om.customer_entitlements_v2.post(
        unique, EntitlementStaticCreateInputs(type="static", feature_key=f"{unique}_s", config=config)
    )
    assert static["config"] == config
    boolean = EntitlementBooleanCreateInputs(type="boolean", feature_key=f"{unique}_b", metadata={"a": "b"})
    assert (await om.customer_entitlements_v2.post(unique, boolean))["metadata"] == {"a": "b"}
    access = await om.customer.get_customer_access(unique)
    assert {key: (value.has_access, value.config) for key, value in access.entitlements.items()} == {
        f"{unique}_s": (True, config),
        f"{unique}_b": (True, None),
    }
    value = await om.customer_entitlement_v2.get_customer_entitlement_value(unique, f"{unique}_s")
    assert (value.has_access, value.config, value.balance) == (True, config, None)


async def test_every_wrong_field_is_refused(om, unique):
    place = await Place.furnished(om, unique)
    await om.features.create({"key": f"{unique}_bare", "name": "F"})
    bare = {"type": "boolean", "featureKey": f"{unique}_bare"}
    grant = {"amount": 1, "effectiveAt": minute_now().isoformat()}
    period = {"interval": "DAY"}
    for body, status, named in [
        ({"featureKey": unique}, 400, "type"),
        (bare | {"type": "other"}, 400, "type"),
        ({"type": "boolean"}, 400, "featureKey"),
        (bare | {"featureKey": "nothing_here"}, 404, "nothing_here"),
        (bare | {"isSoftLimit": True}, 400, "isSoftLimit"),
        (bare | {"grants": [grant]}, 400, "grants"),
        (bare | {"type": "static"}, 400, "config"),
        (bare | {"type": "static", "config": "{"}, 400, "config"),
        (place.metered(featureKey=f"{unique}_bare"), 400, "no meter"),
        ({"type": "metered", "featureKey": unique}, 400, "usage period"),
        (place.metered(config="1"), 400, "config"),
        (place.metered(usagePeriod={}), 400, "interval"),
        (place.metered(usagePeriod={"interval": "PT59M"}), 400, "hour"),
        (place.metered(usagePeriod={"interval": "FORTNIGHT"}), 400, "interval"),
        (place.metered(usagePeriod=period | {"anchor": "noon"}), 400, "anchor"),
        (place.metered(measureUsageFrom="LATER"), 400, "measureUsageFrom"),
        (place.metered(issueAfterReset=-1), 400, "issueAfterReset"),
        (place.metered(issueAfterResetPriority=1), 400, "issueAfterResetPriority"),
        (place.metered(issue={"amount": 1, "priority": 0}), 400, "priority"),
        (place.metered(issue={"amount": 1, "priority": 256}), 400, "priority"),
        (place.metered(issue={"amount": 1}, grants=[grant]), 400, "grants"),
    ]:
        with refused(status) as refusal:
            await om.customer_entitlements_v2.post(unique, body)
        assert named in refusal.detail, (body, refusal.detail)
    for key in ("mean", "least", "most"):
        aggregation = {"mean": "AVG", "least": "MIN", "most": "MAX"}[key]
        await om.meters.create({"slug": f"{unique}_{key}", "aggregation": aggregation, "eventType": "x", "valueProperty": "$.v"})
        with refused(400):
            # Either the feature refuses such a meter already, or the entitlement does.
            await om.features.create({"key": f"{unique}_{key}", "name": "F", "meterSlug": f"{unique}_{key}"})
            await om.customer_entitlements_v2.post(unique, place.metered(featureKey=f"{unique}_{key}"))
    with refused(404):
        await om.customer_entitlements_v2.post(f"{unique}-nobody", bare)
    assert (await om.customer_entitlements_v2.list(unique)).total_count == 0


async def test_one_is_in_force_at_a_time_and_an_override_takes_its_place(om, unique):
    place = await Place.furnished(om, unique)
    first = await place.give(issue={"amount": 100})
    with refused(409) as refusal:
        await place.give()
    assert refusal.problem["extensions"]["conflictingEntityId"] == first["id"]
    second = await om.customer_entitlements_v2.override(unique, unique, place.metered(issue={"amount": 7}))
    assert second["id"] != first["id"]
    assert await place.standing() == (7, 0, 0)
    ended = await om.entitlements_v2.get(first["id"])
    assert ended["activeTo"] == second["activeFrom"] and "deletedAt" not in ended
    with refused(409):
        await om.customer_entitlements_v2.override(unique, first["id"], place.metered())
    with refused(404):
        await om.customer_entitlements_v2.override(unique, f"{unique}-none", place.metered())
    await om.features.create({"key": f"{unique}_other", "name": "F"})
    with refused(400):
        await om.customer_entitlements_v2.override(unique, unique, {"type": "boolean", "featureKey": f"{unique}_other"})
    with refused(409):
        await om.customers.delete(unique)
    await om.customer_entitlements_v2.delete(unique, second["id"])
    for call in (om.customer_entitlements_v2.delete, om.customer_entitlements_v2.get):
        for name in (second["id"], unique):
            with refused(404):
                await call(unique, name)
    for group in (om.entitlements, om.entitlements_v2):
        with refused(404):
            await group.get(second["id"])
    third = await place.give()
    assert third["id"] not in (first["id"], second["id"])


async def test_what_is_another_customers_is_not_found(om, unique):
    place = await Place.furnished(om, unique)
    made = await place.give()
    await om.customers.create({"key": f"{unique}-other", "name": "O"})
    entitlement = om.customer_entitlement_v2
    for call in [
        om.customer_entitlements_v2.get(f"{unique}-other", made["id"]),
        om.customer_entitlements_v2.delete(f"{unique}-other", made["id"]),
        entitlement.get_grants(f"{unique}-other", made["id"]),
        entitlement.get_customer_entitlement_history(f"{unique}-other", made["id"], window_size="DAY"),
        entitlement.reset_customer_entitlement(f"{unique}-other", made["id"], {}),
        entitlement.get_customer_entitlement_value(f"{unique}-nobody", made["id"]),
    ]:
        with refused(404):
            await call
    value = await entitlement.get_customer_entitlement_value(f"{unique}-other", made["id"])
    assert value.has_access is False
    deleted = (await om.customers.get(f"{unique}-other")).id
    await om.customers.delete(deleted)
    for call in [
        om.customer_entitlements_v2.list(deleted),
        om.customer_entitlements_v2.post(deleted, place.metered()),
        entitlement.get_customer_entitlement_value(deleted, unique),
        entitlement.create_customer_entitlement_grant(deleted, unique, {"amount": 1, "effectiveAt": minute_now().isoformat()}),
    ]:
        with refused(412):
            await call


async def test_lists_are_filtered_and_paged(om, unique):
    place = await Place.furnished(om, unique)
    await om.features.create({"key": f"{unique}_sso", "name": "F"})
    first = (await place.give())["id"]
    second = (await om.customer_entitlements_v2.post(unique, {"type": "boolean", "featureKey": f"{unique}_sso"}))["id"]

    def ids(items):
        return [item["id"] for item in items]

    page = await om.customer_entitlements_v2.list(unique)
    assert (page.page, page.page_size, page.total_count, ids(page["items"])) == (1, 100, 2, [first, second])
    page = await om.customer_entitlements_v2.list(unique, page=2, page_size=1, order="DESC", order_by="createdAt")
    assert (page.page, page.page_size, page.total_count, ids(page["items"])) == (2, 1, 2, [first])
    features = [unique, f"{unique}_sso"]
    assert ids(await om.entitlements.list(feature=features)) == [first, second]
    assert ids(await om.entitlements.list(feature=features, limit=1, offset=1)) == [second]
    by_type = {"subject": [place.subjects[1]], "feature": [unique], "page": 1, "page_size": 10}
    found = await om.entitlements.list(entitlement_type=["metered"], **by_type)
    assert (found["page"], found["totalCount"], ids(found["items"])) == (1, 1, [first])
    assert (await om.entitlements.list(entitlement_type=["static", "boolean"], **by_type))["totalCount"] == 0
    assert await om.entitlements.list(subject=[f"{unique}-nobody"]) == []
    customer = (await om.customers.get(unique)).id
    for query in [{"customer_keys": [unique]}, {"customer_ids": [customer]}, {"feature": features, "exclude_inactive": True}]:
        assert ids((await om.entitlements_v2.list(**query))["items"]) == [first, second], query
    assert (await om.entitlements_v2.list(customer_keys=[f"{unique}-nobody"])).total_count == 0
    slice_ = await om.entitlements_v2.list(feature=features, limit=1, offset=1)
    assert (slice_.page, slice_.page_size, slice_.total_count, ids(slice_["items"])) == (0, 0, 2, [second])
    await om.customer_entitlements_v2.override(unique, unique, place.metered())
    await om.customer_entitlements_v2.delete(unique, second)
    assert len(await om.entitlements.list(feature=features)) == 2
    assert len(await om.entitlements.list(feature=features, exclude_inactive=True)) == 1
    assert second in ids((await om.customer_entitlements_v2.list(unique, include_deleted=True))["items"])
    for call in [
        om.entitlements.list(entitlement_type=["INVALID_STR"]),
        om.entitlements.list(page=0),
        om.entitlements.list(order="UP"),
        om.entitlements_v2.list(page_size=1001),
        om.entitlements_v2.list(order_by="id"),
        om.entitlements_v2.list(params={"colour": "red"}),
        om.customer_entitlements_v2.list(unique, page=0),
    ]:
        with refused(400):
            await call


async def test_a_feature_that_nobody_has(om, unique):
    await om.features.create({"key": unique, "name": "F"})
    await om.customers.create({"key": unique, "name": "C"})
    for feature in (unique, "unknown"):
        v1 = await om.customer_entitlement.get_customer_entitlement_value(unique, feature, cls=raw)
        v2 = await om.customer_entitlement_v2.get_customer_entitlement_value(unique, feature, cls=raw)
        assert (v1, v2) == ('{"hasAccess":false}', '{"hasAccess":false}')
    with refused(400):
        await om.customer_entitlement_v2.get_customer_entitlement_value(unique, unique, params={"when": "now"})
    with refused(404):
        await om.customer_entitlements_v2.get(unique, unique)


async def test_the_operations_by_subject(om, unique, server):
    place = await Place.furnished(om, unique)
    one, two = (BySubject(server.url, subject) for subject in place.subjects)
    status, made = one.call("POST", body=place.metered(issueAfterReset=100, issueAfterResetPriority=3, isUnlimited=True))
    assert status == 201, made
    assert (made["subjectKey"], made["isUnlimited"], made["issueAfterReset"]) == (place.subjects[0], False, 100)
    status, conflict = two.call("POST", body=place.metered())
    assert (status, conflict["extensions"]["conflictingEntityId"]) == (409, made["id"])
    assert one.call("POST", body=place.metered(issue={"amount": 1}))[0] == 400
    for subject in (one, two, BySubject(server.url, unique)):
        assert subject.call("GET") == (200, [made])
        assert subject.call("GET", f"/{made['id']}") == (200, made)
        value = {"hasAccess": True, "balance": 100, "usage": 0, "overage": 0, "totalAvailableGrantAmount": 100}
        for name in (unique, made["id"]):
            assert subject.call("GET", f"/{name}/value") == (200, value)
    grant = {"amount": 5, "effectiveAt": place.begin.isoformat()}
    status, refusal = one.call("POST", f"/{unique}/grants", grant)
    assert status == 400 and "expiration" in refusal["detail"]
    status, granted = one.call("POST", f"/{unique}/grants", grant | {"expiration": {"duration": "YEAR", "count": 1}})
    assert (status, granted["priority"], granted["maxRolloverAmount"]) == (201, 0, 0)
    status, grants = two.call("GET", f"/{unique}/grants")
    assert [g["amount"] for g in grants] == [100, 5] and grants[0]["expiration"] == {"duration": "YEAR", "count": 100}
    status, history = two.call("GET", f"/{made['id']}/history?windowSize=DAY")
    assert status == 200 and {"windowedHistory", "burndownHistory"} == set(history)
    assert one.call("GET", f"/{made['id']}/history")[0] == 400
    assert one.call("POST", f"/{made['id']}/reset", {"effectiveAt": (place.begin + DAY).isoformat()}) == (204, None)
    assert one.call("POST", f"/{made['id']}/reset", {"effectiveAt": (place.begin + HOUR).isoformat()})[0] == 400
    assert two.call("GET", f"/{unique}/value")[1]["balance"] == 100, "nothing is left of what was given by subject"
    status, over = one.call("PUT", f"/{unique}/override", place.metered())
    assert (status, over["id"] != made["id"]) == (201, True)
    assert one.call("PUT", "/nothing/override", place.metered())[0] == 404
    assert one.call("GET", "/nothing/value")[0] == 404
    assert one.call("DELETE", f"/{over['id']}") == (204, None)
    assert one.call("DELETE", f"/{over['id']}")[0] == 404
    await om.subjects.upsert([{"key": f"{unique}-alone"}])
    assert BySubject(server.url, f"{unique}-alone").call("GET")[0] == 412
    assert BySubject(server.url, f"{unique}-nobody").call("GET")[0] == 404


async def test_a_future_time_counts_what_is_known_of_it(om, unique):
    place = await Place.furnished(om, unique)
    await place.give(isSoftLimit=True)
    now = minute_now()
    ahead = now - place.begin + DAY
    await place.grant(10, ahead, expiration={"duration": "DAY", "count": 1})
    await place.use(ahead + HOUR, 4)
    start = place.begin + ahead
    assert await place.standing() == (0, 0, 0)
    for time, standing in [
        (start, (10, 0, 0)),
        (start + HOUR + datetime.timedelta(minutes=1), (6, 4, 0)),
        (start + DAY, (0, 4, 0)),
    ]:
        assert await place.standing(time=time) == standing, time
        v1 = await om.customer_entitlement.get_customer_entitlement_value(unique, unique, time=time)
        assert (v1.balance, v1.has_access) == (standing[0], True)
    assert await place.value(time=place.begin) == {"hasAccess": False}
