"""`Idempotency-Key` through the SDK's own `headers=`: a write that is sent again is done once and answered the same."""

from sdk import count, count_meter, event, refused

REPLAYED = "Idempotency-Replayed"


def answer(pipeline_response, _deserialized, _headers):
    """For the SDK's `cls=` hook: the status, the body and whether it was answered before."""
    response = pipeline_response.http_response
    return response.status_code, response.text(), response.headers.get(REPLAYED)


async def twice(unique: str, operation, *arguments):
    """Sends the same write twice with the same key, once in the header's own quotes and once without them."""
    first = await operation(*arguments, headers={"Idempotency-Key": f'"{unique}"'}, cls=answer)
    second = await operation(*arguments, headers={"Idempotency-Key": unique}, cls=answer)
    assert (first[2], second[2]) == (None, "true")
    assert first[:2] == second[:2]
    return first


async def test_what_is_created_twice_with_a_key_is_there_once(om, unique):
    meter = {"slug": unique, "aggregation": "COUNT", "eventType": unique}
    assert (await twice(f"{unique}-meter", om.meters.create, meter))[0] == 201
    customer = {"key": unique, "name": "Ada"}
    assert (await twice(f"{unique}-customer", om.customers.create, customer))[0] == 201
    feature = {"key": unique, "name": "Feature", "meterSlug": unique}
    assert (await twice(f"{unique}-feature", om.features.create, feature))[0] == 201
    # Without the key, each of them is there already.
    for create, body in [(om.meters.create, meter), (om.customers.create, customer), (om.features.create, feature)]:
        with refused(409):
            await create(body)


async def test_events_that_are_sent_twice_with_a_key_count_once(om, unique):
    await count_meter(om, unique)
    sent = event(unique, "1")
    assert (await twice(unique, om.events.ingest_event, sent))[0] == 204
    assert await count(om, unique) == 1


async def test_what_is_deleted_twice_with_a_key_was_deleted_once(om, unique):
    made = await om.customers.create({"key": unique, "name": "Ada"})
    status, _, _ = await twice(unique, om.customers.delete, made.id)
    assert status == 204
    # Without the key the customer is gone.
    with refused(412):
        await om.customers.delete(made.id)


async def test_a_key_with_another_request_is_refused(om, unique):
    headers = {"Idempotency-Key": unique}
    await om.customers.create({"key": unique, "name": "Ada"}, headers=dict(headers))
    with refused(422) as refusal:
        await om.customers.create({"key": f"{unique}-2", "name": "Ada"}, headers=dict(headers))
    assert "Idempotency-Key" in refusal.detail
    with refused(400) as refusal:
        await om.customers.create({"key": f"{unique}-2", "name": "Ada"}, headers={"Idempotency-Key": "a b"})
    assert "Idempotency-Key" in refusal.detail
