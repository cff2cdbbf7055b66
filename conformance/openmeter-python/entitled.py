"""A customer with a feature of its own, whose usage and entitlements a test decides about."""

import datetime
import json
import urllib.error
import urllib.request

from sdk import event, exact, raw

MINUTE = datetime.timedelta(minutes=1)
HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)


def minute_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc).replace(second=0, microsecond=0)


class Place:
    """The meter, the feature and the customer of a test all have its name; the customer has two subjects."""

    def __init__(self, om, name: str):
        self.om, self.name = om, name
        self.subjects = [f"{name}-1", f"{name}-2"]
        # Measuring began two days ago, so that a test has a past to change.
        self.begin = minute_now() - 2 * DAY
        self._events = 0

    @classmethod
    async def furnished(cls, om, name: str, aggregation: str = "SUM") -> "Place":
        value = {} if aggregation == "COUNT" else {"valueProperty": "$.v"}
        meter = {"slug": name, "aggregation": aggregation, "eventType": name, "groupBy": {"model": "$.model"}}
        await om.meters.create(meter | value)
        await om.features.create({"key": name, "name": "F", "meterSlug": name})
        place = cls(om, name)
        await om.customers.create({"key": name, "name": "C", "usageAttribution": {"subjectKeys": place.subjects}})
        return place

    def metered(self, **more) -> dict:
        """An entitlement with a usage period of a year that began with the past of the test."""
        begin = self.begin.isoformat()
        period = {"interval": "YEAR", "anchor": begin}
        return {"type": "metered", "featureKey": self.name, "usagePeriod": period, "measureUsageFrom": begin} | more

    async def give(self, **more):
        return await self.om.customer_entitlements_v2.post(self.name, self.metered(**more))

    async def grant(self, how_much, after=datetime.timedelta(), **more):
        """A grant that begins so long after measuring did."""
        grant = {"amount": how_much, "effectiveAt": (self.begin + after).isoformat()} | more
        return await self.om.customer_entitlement_v2.create_customer_entitlement_grant(self.name, self.name, grant)

    async def use(self, after: datetime.timedelta, v=1, subject: int = 0, event_id: str | None = None, **data):
        """Usage so long after measuring began."""
        self._events += 1
        time = (self.begin + after).isoformat()
        sent = event(self.name, event_id or str(self._events), time, subject=self.subjects[subject], data={"v": v} | data)
        await self.om.events.ingest_event(sent)

    async def reset(self, after: datetime.timedelta, **more) -> None:
        reset = {"effectiveAt": (self.begin + after).isoformat()} | more
        await self.om.customer_entitlement_v2.reset_customer_entitlement(self.name, self.name, reset)

    async def value(self, **query) -> dict:
        """How it stands, with exact numbers."""
        get = self.om.customer_entitlement_v2.get_customer_entitlement_value
        return exact(await get(self.name, self.name, cls=raw, **query))

    async def standing(self, **query) -> tuple:
        """Balance, usage and overage."""
        value = await self.value(**query)
        return value["balance"], value["usage"], value["overage"]


class BySubject:
    """The operations by subject over plain HTTP: the published Python client hides them behind those of another group with the same
    name."""

    def __init__(self, url: str, subject: str):
        self.base = f"{url}/api/v1/subjects/{subject}/entitlements"

    def call(self, method: str, path: str = "", body=None):
        """The status and the body of an answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, method=method, headers={"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, read(answer)
        except urllib.error.HTTPError as answer:
            return answer.code, read(answer)


def read(answer):
    body = answer.read()
    return json.loads(body) if body else None
