"""Described subjects: one or many at once, what stays, and what customers and events have to do with them."""

from sdk import count, count_meter, event, refused


async def test_what_is_left_out_stays_and_null_clears(om, unique):
    (made,) = await om.subjects.upsert([{"key": unique, "displayName": "A", "metadata": {"x": 1}, "stripeCustomerId": "cus_1"}])
    (changed,) = await om.subjects.upsert([{"key": unique, "displayName": None}])
    assert (changed.id, changed.display_name, changed.metadata, changed.stripe_customer_id) == (made.id, None, {"x": 1}, "cus_1")


async def test_one_that_is_wrong_refuses_all(om, unique):
    await om.subjects.upsert([{"key": unique, "displayName": "before"}])
    for bad in [{"key": ""}, {"key": f"{unique}-x", "stripeCustomerId": "acct_1"}, {"displayName": "no key"}, {"key": 5}]:
        with refused(400):
            await om.subjects.upsert([{"key": unique, "displayName": "after"}, {"key": f"{unique}-2"}, bad])
    with refused(409) as refusal:
        await om.subjects.upsert([{"key": f"{unique}-2"}, {"key": f"{unique}-2"}])
    assert f"{unique}-2" in refusal.detail
    assert [s.display_name for s in await om.subjects.list() if s.key.startswith(unique)] == ["before"]


async def test_a_deletion_is_seen_by_id_and_leaves_the_usage(om, unique):
    meter = await count_meter(om, unique)
    await om.events.ingest_event(event(unique, "1", subject=f"{unique}/é"))
    (made,) = await om.subjects.upsert([{"key": f"{unique}/é"}])
    await om.subjects.delete(f"{unique}/é")
    assert (await om.subjects.get(made.id)).deleted_at is not None
    for call in (om.subjects.get, om.subjects.delete):
        with refused(404):
            await call(f"{unique}/é")
    await om.subjects.delete(made.id)
    assert await count(om, meter, subject=[f"{unique}/é"]) == 1
    (again,) = await om.subjects.upsert([{"key": f"{unique}/é"}])
    assert again.id != made.id


async def test_a_customers_subjects_are_described_and_named_in_csv(om, unique):
    meter = await count_meter(om, unique)
    await om.events.ingest_event(event(unique, "1", subject=f"{unique}-s"))
    customer = await om.customers.create({"name": "C", "usageAttribution": {"subjectKeys": [f"{unique}-s"]}})
    assert (await om.subjects.get(f"{unique}-s")).metadata == {"createdBy": "subject.provisioner", "customerId": customer.id}
    await om.subjects.upsert([{"key": f"{unique}-s", "displayName": "S, Inc."}])
    lines = (await om.meters.query_csv(meter, subject=[f"{unique}-s"])).splitlines()
    assert lines[0] == "window_start,window_end,subject,subject_display_name,value"
    assert lines[1].endswith(f',{unique}-s,"S, Inc.",1.000000')
