"""Grants, resets and balances through the SDK, with usage that comes late and is corrected."""

import datetime
import json
import urllib.request

from openmeter.models import (
    EntitlementGrantCreateInputV2,
    ExpirationPeriod,
    RecurringPeriodCreateInput,
    ResetEntitlementUsageInput,
)

from entitled import DAY, HOUR, MINUTE, Place, minute_now
from sdk import exact, raw, refused


def zulu(time: datetime.datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


async def test_a_grant_comes_back_as_it_was_given(om, unique):
    place = await Place.furnished(om, unique)
    made = await place.give()
    inputs = EntitlementGrantCreateInputV2(
        amount=50,
        effective_at=place.begin + datetime.timedelta(seconds=59),
        priority=1,
        expiration=ExpirationPeriod(duration="MONTH", count=1),
        recurrence=RecurringPeriodCreateInput(interval="P1W"),
        metadata={"a": "b"},
        annotations={"text": "true", "truth": True, "list": [1.5, None]},
    )
    grant = await om.customer_entitlement_v2.create_customer_entitlement_grant(unique, unique, inputs)
    assert (grant.entitlement_id, grant.amount, grant.priority, grant["effectiveAt"]) == (made["id"], 50, 1, zulu(place.begin))
    assert (grant.min_rollover_amount, grant.max_rollover_amount, grant.metadata) == (0, 50, {"a": "b"})
    assert grant["annotations"] == {"text": "true", "truth": True, "list": [1.5, None]}
    assert (grant["recurrence"]["interval"], grant["recurrence"]["intervalISO"]) == ("WEEK", "P1W")
    assert grant["nextRecurrence"] == zulu(place.begin + 7 * DAY)
    assert grant.expires_at > place.begin + 27 * DAY
    bare = await place.grant(1)
    assert bare.priority == 0 and "expiration" not in bare and "expiresAt" not in bare
    by_v1 = [grant for grant in await om.grants.list(feature=[unique]) if grant["id"] == bare.id][0]
    assert by_v1["expiration"] == {"duration": "YEAR", "count": 100}


async def test_every_wrong_field_is_refused(om, unique):
    place = await Place.furnished(om, unique)
    await place.give()
    for more, named in [
        ({"amount": "1"}, "amount"),
        ({"effectiveAt": "noon"}, "effectiveAt"),
        ({"effectiveAt": zulu(place.begin - DAY)}, "usage period"),
        ({"priority": 0}, "priority"),
        ({"priority": 256}, "priority"),
        ({"expiration": {"duration": "DAY", "count": 0}}, "count"),
        ({"expiration": {"duration": "DAY", "count": 1001}}, "count"),
        ({"expiration": {"duration": "DECADE", "count": 1}}, "duration"),
        ({"recurrence": {"interval": "PT59M"}}, "interval"),
        ({"minRolloverAmount": -1}, "below zero"),
        ({"maxRolloverAmount": -1}, "below zero"),
    ]:
        with refused(400) as refusal:
            await place.grant(1, **more)
        assert named in refusal.detail, (more, refusal.detail)
    for amount in (0, -1):
        with refused(400) as refusal:
            await place.grant(amount)
        fault = refusal.problem["extensions"]["validationErrors"][0]
        assert (fault["code"], fault["field"]) == ("grant_amount_must_be_positive", "$.amount")
    await om.features.create({"key": f"{unique}_sso", "name": "F"})
    await om.customer_entitlements_v2.post(unique, {"type": "boolean", "featureKey": f"{unique}_sso"})
    entitlement = om.customer_entitlement_v2
    grant = {"amount": 1, "effectiveAt": zulu(minute_now())}
    for call in [
        entitlement.create_customer_entitlement_grant(unique, f"{unique}_sso", grant),
        entitlement.get_grants(unique, f"{unique}_sso"),
        entitlement.reset_customer_entitlement(unique, f"{unique}_sso", {}),
        entitlement.get_customer_entitlement_history(unique, f"{unique}_sso", window_size="DAY"),
    ]:
        with refused(400):
            await call
    with refused(404):
        await entitlement.create_customer_entitlement_grant(unique, "nothing", grant)


async def test_an_issue_is_one_grant_that_resets_refill(om, unique):
    place = await Place.furnished(om, unique)
    await place.give(issue={"amount": 100})
    grants = await om.customer_entitlement_v2.get_grants(unique, unique)
    grant = grants["items"][0]
    assert (grants.total_count, grant["amount"], grant["minRolloverAmount"], grant["maxRolloverAmount"]) == (1, 100, 100, 100)
    assert (grant["priority"], grant["annotations"], grant["effectiveAt"]) == (1, {"issueAfterReset": True}, zulu(place.begin))
    await place.use(HOUR, 130)
    assert await place.standing() == (0, 130, 30)
    await place.reset(DAY)
    assert await place.standing() == (100, 0, 0)
    assert (await om.customer_entitlement_v2.get_grants(unique, unique)).total_count == 1


async def test_grants_with_an_entitlement_and_their_order(om, unique):
    place = await Place.furnished(om, unique)
    at = zulu(place.begin)
    await place.give(grants=[{"amount": 100, "effectiveAt": at, "priority": 2}, {"amount": 10, "effectiveAt": at}])
    first = await place.grant(100, priority=1)
    await place.use(HOUR, 50)
    value = await place.value()
    assert sorted(value["grantBalances"].values()) == [0, 60, 100] and value["grantBalances"][first.id] == 60
    assert value["balance"] == sum(value["grantBalances"].values()) == 160
    assert value["totalAvailableGrantAmount"] == 210


async def test_lists_of_grants(om, unique):
    place = await Place.furnished(om, unique)
    await place.give()
    made = [await place.grant(amount, amount * MINUTE) for amount in (30, 10, 20)]
    get_grants = om.customer_entitlement_v2.get_grants
    for query, amounts, page, size in [
        ({}, [30, 10, 20], 1, 100),
        ({"limit": 2}, [30, 10], 0, 0),
        ({"page_size": 2}, [30, 10], 1, 2),
        ({"page": 2, "page_size": 2}, [20], 2, 2),
        ({"limit": 2, "offset": 1}, [10, 20], 0, 0),
        ({"order": "DESC"}, [20, 10, 30], 1, 100),
    ]:
        listed = await get_grants(unique, unique, **query)
        assert [grant["amount"] for grant in listed["items"]] == amounts, query
        assert (listed.page, listed.page_size, listed.total_count) == (page, size, 3), query
    with refused(400):
        await get_grants(unique, unique, page=0)
    by_beginning = [made[1].id, made[2].id, made[0].id]
    for query in [{"feature": [unique]}, {"subject": [place.subjects[1]]}]:
        assert [grant["id"] for grant in await om.grants.list(**query)] == by_beginning, query
    for query in [{"feature": [unique]}, {"customer": [unique]}]:
        listed = await om.grants_v2.list(**query)
        assert (listed.page, listed.page_size, [grant["id"] for grant in listed["items"]]) == (0, 0, by_beginning)
    page = await om.grants.list(feature=[unique], page=1, page_size=2)
    assert (page["page"], page["totalCount"], len(page["items"])) == (1, 3, 2)
    with refused(404):
        await om.grants_v2.list(customer=[f"{unique}-nobody"])
    for call in [om.grants.list(limit=0), om.grants.list(order_by="amount"), om.grants_v2.list(params={"colour": "red"})]:
        with refused(400):
            await call
    await om.customer_entitlements_v2.delete(unique, unique)
    assert await om.grants.list(feature=[unique]) == []
    assert len(await om.grants.list(feature=[unique], include_deleted=True)) == 3


async def test_a_void_grant_gives_nothing_back(om, unique):
    place = await Place.furnished(om, unique)
    await place.give()
    grant = await place.grant(100)
    await place.use(HOUR, 50)
    for at in (minute_now() + HOUR, place.begin - DAY):
        with refused(400):
            await om.grants.delete(grant.id, at=at)
    await om.grants.delete(grant.id, at=place.begin + 2 * HOUR)
    await place.use(3 * HOUR, 50)
    assert await place.standing() == (0, 100, 50)
    with refused(400) as refusal:
        await om.grants.delete(grant.id)
    assert "was voided" in refusal.detail
    with refused(404):
        await om.grants.delete("01ARZ3NDEKTSV4RRFFQ69G5FAV")
    listed = await om.customer_entitlement_v2.get_grants(unique, unique)
    assert listed["items"][0]["voidedAt"] == zulu(place.begin + 2 * HOUR)


async def test_resets_have_their_rules(om, unique):
    place = await Place.furnished(om, unique)
    await place.give()
    for after in (-DAY, datetime.timedelta(), 3 * DAY):
        with refused(400):
            await place.reset(after)
    await place.reset(2 * HOUR, retainAnchor=True)
    for after in (HOUR, 2 * HOUR, 2 * HOUR + datetime.timedelta(seconds=59)):
        with refused(400):
            await place.reset(after)
    kept = await om.customer_entitlements_v2.get(unique, unique)
    assert kept["lastReset"] == kept["currentUsagePeriod"]["from"] == zulu(place.begin + 2 * HOUR)
    inputs = ResetEntitlementUsageInput(effective_at=place.begin + 3 * HOUR, retain_anchor=False)
    await om.customer_entitlement_v2.reset_customer_entitlement(unique, unique, inputs)
    moved = await om.customer_entitlements_v2.get(unique, unique)
    assert moved["currentUsagePeriod"]["from"] == zulu(place.begin + 3 * HOUR)
    assert moved["currentUsagePeriod"]["to"] != kept["currentUsagePeriod"]["to"]
    assert moved["usagePeriod"]["anchor"] == zulu(place.begin), "as it was defined"
    with refused(404):
        await om.customer_entitlement_v2.reset_customer_entitlement(unique, "nothing", {})


async def test_overage_is_preserved_if_asked(om, unique):
    place = await Place.furnished(om, unique)
    await place.give(preserveOverageAtReset=True)
    await place.grant(50, minRolloverAmount=50)
    await place.use(HOUR, 110)
    await place.reset(5 * HOUR)
    assert await place.standing() == (0, 0, 10)
    await place.reset(6 * HOUR, preserveOverage=False)
    assert await place.standing() == (50, 0, 0)


async def test_late_usage_and_corrections_change_what_was_rolled_over(om, unique, server):
    place = await Place.furnished(om, unique)
    await place.give()
    await place.grant(100, maxRolloverAmount=1000)
    await place.use(HOUR, 10, event_id="first")
    await place.reset(DAY)
    assert await place.standing() == (90, 0, 0)
    await place.use(2 * HOUR, 5, subject=1)
    assert await place.standing() == (85, 0, 0)
    await place.use(DAY + HOUR, 7, event_id="second")
    assert await place.standing() == (78, 7, 0)
    for path, more in [("retract", {"id": "first"}), ("amend", {"id": "second", "data": {"v": 8}})]:
        body = json.dumps({"source": unique, "reason": "a test"} | more).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{server.url}/api/v1/events/{path}", data=body, headers=headers, method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200
    assert await place.standing() == (87, 8, 0)


async def test_counts_with_a_filter_and_two_subjects(om, unique):
    await om.meters.create({"slug": unique, "aggregation": "COUNT", "eventType": unique, "groupBy": {"model": "$.model"}})
    filters = {"model": "gpt-4"}
    await om.features.create({"key": unique, "name": "F", "meterSlug": unique, "meterGroupByFilters": filters})
    place = Place(om, unique)
    await om.customers.create({"key": unique, "name": "C", "usageAttribution": {"subjectKeys": place.subjects}})
    await place.give(issue={"amount": 100})
    await place.use(HOUR, model="gpt-4")
    await place.use(HOUR, model="gpt-3")
    value = await om.customer_entitlement.get_customer_entitlement_value(unique, unique, cls=raw)
    numbers = {"hasAccess": True, "balance": 99, "usage": 1, "overage": 0, "totalAvailableGrantAmount": 100}
    assert exact(value) == numbers
    await place.use(HOUR, subject=1, model="gpt-4")
    assert await place.standing() == (98, 2, 0)


async def test_distinct_values(om, unique):
    place = await Place.furnished(om, unique, "UNIQUE_COUNT")
    await place.give()
    await place.grant(100, maxRolloverAmount=100)
    for number in range(20):
        await place.use(number * MINUTE, number % 10)
    assert await place.standing() == (90, 10, 0)
    await place.reset(DAY)
    assert await place.standing() == (90, 0, 0)


async def test_a_level(om, unique):
    place = await Place.furnished(om, unique, "LATEST")
    await place.give()
    await place.grant(1000)
    for number, v in enumerate([100, 200, 150]):
        await place.use(number * MINUTE, v)
    assert await place.standing() == (850, 150, 0)
    await place.use(HOUR, 300)
    assert await place.standing() == (700, 300, 0)


async def test_decimals_are_exact(om, unique):
    place = await Place.furnished(om, unique)
    await place.give()
    body = f'{{"amount": 1234567890.123456789, "effectiveAt": "{zulu(place.begin)}"}}'.encode()
    created = await om.customer_entitlement_v2.create_customer_entitlement_grant(unique, unique, body, cls=raw)
    assert '"amount":1234567890.123456789,' in created
    for number in range(3):
        await place.use(HOUR + number * MINUTE, 0.1)
    value = await om.customer_entitlement_v2.get_customer_entitlement_value(unique, unique, cls=raw)
    assert '"balance":1234567889.823456789,' in value and '"usage":0.3' in value


async def test_the_history_of_a_balance(om, unique):
    place = await Place.furnished(om, unique)
    # Windows begin with the hour.
    place.begin = place.begin.replace(minute=0)
    await place.give()
    for after in (datetime.timedelta(), 3 * HOUR, 5.5 * HOUR):
        await place.grant(10000, after)
    for after, v in [
        (MINUTE, 100),
        (2 * HOUR + MINUTE, 100),
        (3 * HOUR + MINUTE, 100),
        (5 * HOUR + MINUTE, 100),
        (8 * HOUR + MINUTE, 1100),
        (12 * HOUR - MINUTE, 100),
    ]:
        await place.use(after, v)
    get_history = om.customer_entitlement_v2.get_customer_entitlement_history

    async def history(begin, end):
        return await get_history(unique, unique, window_size="HOUR", from_parameter=place.begin + begin, to=place.begin + end)

    whole = await history(datetime.timedelta(), 12 * HOUR)
    assert [row.usage for row in whole.windowed_history] == [100, 0, 100, 100, 0, 100, 0, 0, 1100, 0, 0, 100]
    balances = [10000, 9900, 9900, 19800, 19700, 19700, 29600, 29600, 29600, 28500, 28500, 28500]
    assert [row.balance_at_start for row in whole.windowed_history] == balances
    assert [segment.usage for segment in whole.burndown_history] == [200, 200, 1200]
    assert [segment.balance_at_end for segment in whole.burndown_history] == [9800, 19600, 28400]
    assert sum(record.usage for segment in whole.burndown_history for record in segment.grant_usages) == 1600
    later = await history(HOUR, 12 * HOUR)
    assert [row.balance_at_start for row in later.windowed_history] == balances[1:]
    assert len(later.burndown_history) == 3
    for bad in [{"window_size": "YEAR"}, {"window_size": "DAY", "window_time_zone": "Mars"}, {"window_size": "DAY", "params": {"a": "b"}}]:
        with refused(400):
            await get_history(unique, unique, **bad)
    for begin, end in [(-DAY, HOUR), (2 * HOUR, HOUR)]:
        with refused(400):
            await history(begin, end)
    with refused(404):
        await get_history(unique, "nothing", window_size="DAY")
