"""Corrections, which the SDK has no function for, and what the SDK's own functions say of corrected events."""

import datetime
import json
import urllib.request

from sdk import count_meter, event, exact, raw, refused


async def correct(om, server, action: str, body) -> list:
    """Sends a correction as any HTTP client does."""
    request = urllib.request.Request(
        f"{server.url}/api/v1/events/{action}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    answer = await om.in_thread(lambda: urllib.request.urlopen(request).read())
    return [of["outcome"] for of in json.loads(answer)]


async def total(om, name, **arguments):
    rows = exact(await om.meters.query_json(name, cls=raw, **arguments))["data"]
    return rows[0]["value"] if rows else None


def now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")


async def test_what_was_known_then_can_be_asked_again(om, server, unique):
    await om.meters.create({"slug": unique, "aggregation": "SUM", "eventType": unique, "valueProperty": "$.v"})
    await om.events.ingest_events([event(unique, str(v), data={"v": v}) for v in (1, 2, 4)])
    before = now()
    named = {"source": unique, "reason": "a test"}
    assert await correct(om, server, "retract", named | {"id": "1"}) == ["recorded"]
    assert await correct(om, server, "amend", [named | {"id": "2", "data": {"v": 20}}]) == ["recorded"]
    assert await total(om, unique) == 24
    assert await total(om, unique, params={"asOf": before}) == 7
    assert exact(await om.meters.query(unique, {"asOf": before}, cls=raw))["data"][0]["value"] == 7
    with refused(400) as refusal:
        await om.meters.query_json(unique, params={"asOf": "2999-01-01T00:00:00Z"})
    assert "must not lie ahead" in refusal.detail


async def test_the_lists_show_the_history(om, server, unique):
    await count_meter(om, unique)
    await om.events.ingest_events([event(unique, name, data={"v": name}) for name in ("a", "b", "c")])
    await correct(om, server, "retract", {"source": unique, "id": "a", "reason": "sent twice"})
    await correct(om, server, "amend", {"source": unique, "id": "b", "data": {"v": "B"}, "reason": "typing error"})
    items = {item.event.id: item for item in await om.events_v2.list(filter={"type": {"$eq": unique}})}
    assert items["a"].validation_error == "the event was retracted: sent twice"
    assert [fact["kind"] for fact in items["a"]["corrections"]] == ["retract"]
    assert (items["b"].event.data, items["b"]["originalData"], items["b"].validation_error) == ({"v": "B"}, {"v": "b"}, None)
    assert [(fact["kind"], fact["reason"]) for fact in items["b"]["corrections"]] == [("amend", "typing error")]
    assert "corrections" not in items["c"]
