"""The portal: tokens for customers' own pages, and the usage of one subject that they open."""

import base64
import datetime
import json

import pytest
from openmeter.models import PortalToken

from sdk import Sdk, at, event, refused


@pytest.fixture
async def meter(om, unique):
    """A SUM meter with usage of the subjects `…-a` (3) and `…-b` (4)."""
    await om.meters.create(
        {"slug": unique, "aggregation": "SUM", "eventType": unique, "valueProperty": "$.v", "groupBy": {"m": "$.m"}}
    )
    spent = [("a", 1, "x"), ("a", 2, "y"), ("b", 4, "x")]
    await om.events.ingest_events(
        [event(unique, str(n), subject=f"{unique}-{who}", data={"v": v, "m": m}) for n, (who, v, m) in enumerate(spent)]
    )
    return unique


async def values(url: str, flavour: str, token: str, meter: str, **arguments) -> dict[str, float]:
    """What a page with this token is answered, by subject."""
    async with Sdk(flavour, url, token) as page:
        rows = (await page.portal_meters.query_json(meter, **arguments)).data
    return {row.subject: row.value for row in rows}


async def test_a_token_opens_the_usage_of_its_subject_alone(om, server, meter):
    before = datetime.datetime.now(datetime.timezone.utc)
    made = await om.portal_tokens.create(PortalToken(subject=f"{meter}-a"))
    assert (made.subject, made.allowed_meter_slugs, made.expired) == (f"{meter}-a", [], None)
    assert datetime.timedelta(minutes=59) < made.expires_at - before < datetime.timedelta(minutes=61)
    url, flavour, token = server.url, om.flavour, made.token
    assert await values(url, flavour, token, meter) == {f"{meter}-a": 3}
    assert await values(url, flavour, token, meter, filter_group_by={"m": "y"}, window_size="DAY") == {f"{meter}-a": 2}
    async with Sdk(flavour, url, token) as page:
        range_ = {"from_parameter": at("2024-05-01T00:00:00Z"), "to": at("2024-05-02T00:00:00Z")}
        lines = (await page.portal_meters.query_csv(meter, **range_)).splitlines()
        assert lines[0] == "window_start,window_end,subject,value"
        assert lines[1].endswith(f",{meter}-a,3.000000") and len(lines) == 2
        for beyond in [{"filter_customer_id": ["01ARZ3NDEKTSV4RRFFQ69G5FAV"]}, {"group_by": ["customer_id"]}, {"group_by": ["z"]}]:
            with refused(400):
                await page.portal_meters.query_json(meter, **beyond)
        with refused(404):
            await page.portal_meters.query_json(f"{meter}_nothing")


async def test_a_token_opens_the_meters_that_it_names(om, server, meter):
    made = await om.portal_tokens.create({"subject": f"{meter}-a", "allowedMeterSlugs": [meter]})
    assert await values(server.url, om.flavour, made.token, meter) == {f"{meter}-a": 3}
    other = f"{meter}_other"
    await om.meters.create({"slug": other, "aggregation": "COUNT", "eventType": meter})
    with refused(401) as refusal:
        await values(server.url, om.flavour, made.token, other)
    assert "meter slug not allowed" in refusal.detail
    for bad, status in [
        ({"subject": ""}, 400),
        ({}, 400),
        ({"subject": "s", "allowedMeterSlugs": []}, 400),
        ({"subject": "s", "allowedMeterSlugs": [f"{meter}_nothing"]}, 404),
        ({"subject": "s", "expiresAt": "2020-01-01T00:00:00Z"}, 400),
    ]:
        with refused(status):
            await om.portal_tokens.create(bad)


async def test_tokens_are_listed_and_invalidated_at_once(om, server, meter):
    tokens = [await om.portal_tokens.create({"subject": f"{meter}-{who}"}) for who in "aab"]
    listed = [token for token in await om.portal_tokens.list(limit=100) if token.subject.startswith(meter)]
    assert [token.id for token in listed] == [token.id for token in reversed(tokens)]
    assert all(token.token is None for token in listed)
    await om.portal_tokens.invalidate(id=tokens[0].id)
    await om.portal_tokens.invalidate(subject=f"{meter}-b")
    for token, is_open in zip(tokens, [False, True, False]):
        if is_open:
            assert await values(server.url, om.flavour, token.token, meter) == {f"{meter}-a": 3}
        else:
            with refused(401):
                await values(server.url, om.flavour, token.token, meter)
    left = [token.id for token in await om.portal_tokens.list(limit=100) if token.subject.startswith(meter)]
    assert left == [tokens[1].id]
    with refused(404):
        await om.portal_tokens.invalidate(id="01ARZ3NDEKTSV4RRFFQ69G5FAV")
    with refused(400):
        await om.portal_tokens.list(limit=101)


def encoded(part: dict) -> str:
    """A part of a JWT."""
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


async def test_no_other_text_opens_the_portal(om, server, own_server, meter):
    token = (await om.portal_tokens.create({"subject": f"{meter}-a"})).token
    head, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    own_server.start()
    async with Sdk(om.flavour, own_server.url) as other:
        theirs = (await other.portal_tokens.create({"subject": f"{meter}-a"})).token
    for bad in [
        f"{head}.{encoded(claims | {'sub': f'{meter}-b'})}.{signature}",
        f"{head}.{encoded(claims | {'exp': claims['exp'] + 1})}.{signature}",
        f"{encoded({'alg': 'none'})}.{payload}.",
        f"{encoded({'alg': 'HS512', 'typ': 'JWT'})}.{payload}.{signature}",
        f"{head}.{payload}.",
        theirs,
        "tsk_0",
        None,
    ]:
        with refused(401):
            await values(server.url, om.flavour, bad, meter)
    assert await values(server.url, om.flavour, token, meter) == {f"{meter}-a": 3}


async def test_a_token_outlives_a_restart_and_is_no_key(own_server, flavour, unique):
    own_server.start()
    async with Sdk(flavour, own_server.url) as om:
        await om.meters.create({"slug": unique, "aggregation": "COUNT", "eventType": unique})
        await om.events.ingest_event(event(unique, "1", subject="s"))
        token = (await om.portal_tokens.create({"subject": "s"})).token
    own_server.kill()
    own_server.start()
    assert await values(own_server.url, flavour, token, unique) == {"s": 1}
