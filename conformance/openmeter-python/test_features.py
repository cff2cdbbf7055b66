"""Features: what they measure by, what is refused, and what a customer without entitlements may do."""

from openmeter.models import FeatureCreateInputs, FeatureLLMUnitCost, FilterString

from sdk import refused


async def a_meter(om, name: str, aggregation: str = "SUM"):
    groups = {"model": "$.model", "kind": "$.kind"}
    value = {} if aggregation == "COUNT" else {"valueProperty": "$.v"}
    return await om.meters.create({"slug": name, "aggregation": aggregation, "eventType": name, "groupBy": groups} | value)


async def test_filters_and_costs_come_back_as_they_were_sent(om, unique):
    meter = await a_meter(om, unique)
    advanced = {"model": FilterString(or_property=[FilterString(like="gpt-%"), FilterString(in_property=["a", "b"])])}
    cost = FeatureLLMUnitCost(type="llm", provider="openai", model_property="model", token_type="input")
    inputs = FeatureCreateInputs(
        key=unique, name="F", meter_slug=meter.id, advanced_meter_group_by_filters=advanced, unit_cost=cost, metadata={"a": "b"}
    )
    made = await om.features.create(inputs)
    found = await om.features.get(made.id)
    assert (found.meter_slug, found.meter_group_by_filters, found.metadata) == (unique, None, {"a": "b"})
    assert found["advancedMeterGroupByFilters"] == {"model": {"$or": [{"$like": "gpt-%"}, {"$in": ["a", "b"]}]}}
    assert found["unitCost"] == {"type": "llm", "provider": "openai", "modelProperty": "model", "tokenType": "input"}
    manual = await om.features.create({"key": f"{unique}_m", "name": "M", "unitCost": {"type": "manual", "amount": "0.00012"}})
    assert manual["unitCost"] == {"type": "manual", "amount": "0.00012"}


async def test_what_is_wrong_is_refused(om, unique):
    await a_meter(om, unique)
    await a_meter(om, f"{unique}_avg", "AVG")
    good = {"key": unique, "name": "F"}
    for more, status, named in [
        ({"key": "Not-A-Key"}, 400, "Not-A-Key"),
        ({"key": "01arz3ndektsv4rrffq69g5fav"}, 400, "ULID"),
        ({"name": ""}, 400, "name"),
        ({"meterSlug": "nothing_here"}, 404, "nothing_here"),
        ({"meterSlug": f"{unique}_avg"}, 400, "AVG"),
        ({"meterSlug": unique, "meterGroupByFilters": {"colour": "red"}}, 400, "colour"),
        ({"advancedMeterGroupByFilters": {"model": {"$near": "x"}}}, 400, "$near"),
        ({"unitCost": {"type": "manual", "amount": "-0.01"}}, 400, "negative"),
        ({"unitCost": {"type": "llm", "provider": "a", "model": "b", "tokenType": "input"}}, 400, "needs a meter"),
    ]:
        with refused(status) as refusal:
            await om.features.create(good | more)
        assert named in refusal.detail, refusal.detail
    assert await om.features.list(meter_slug=[unique]) == []


async def test_a_key_is_taken_until_it_is_archived(om, unique):
    made = await om.features.create({"key": unique, "name": "F"})
    with refused(409) as refusal:
        await om.features.create({"key": unique, "name": "G"})
    assert made.id in refusal.detail
    await om.features.delete(made.id)
    for call in (om.features.get, om.features.delete):
        for name in (unique, made.id):
            with refused(404):
                await call(name)
    again = await om.features.create({"key": unique, "name": "G"})
    listed = await om.features.list(include_archived=True, limit=1000)
    archived = [feature["archivedAt"] for feature in listed if feature["id"] == made.id]
    assert archived[0] is not None and again.id != made.id


async def test_a_meter_in_use_stays(om, unique):
    meter = await a_meter(om, unique, "COUNT")
    await om.features.create({"key": unique, "name": "F", "meterSlug": unique, "meterGroupByFilters": {"model": "a"}})
    for name in (unique, meter.id):
        with refused(409) as refusal:
            await om.meters.delete(name)
        assert "active features" in refusal.detail
    with refused(409) as refusal:
        await om.meters.update(unique, {"groupBy": {"kind": "$.kind"}})
    assert f"used by feature: {unique}" in refusal.detail
    await om.features.delete(unique)
    await om.meters.delete(unique)


async def test_a_customer_without_entitlements_has_access_to_nothing(om, unique):
    await om.features.create({"key": unique, "name": "F"})
    customer = await om.customers.create({"name": "C", "key": unique})
    for name in (customer.id, unique):
        assert (await om.customer.get_customer_access(name)).entitlements == {}
        assert (await om.customer_entitlement.get_customer_entitlement_value(name, unique)).has_access is False
        assert (await om.customer_entitlement.get_customer_entitlement_value(name, "unknown")).has_access is False
    with refused(404):
        await om.customer.get_customer_access(f"{unique}-nobody")
    await om.customers.delete(unique)
    with refused(412):
        await om.customer.get_customer_access(customer.id)
    with refused(412):
        await om.customer_entitlement.get_customer_entitlement_value(customer.id, unique)
