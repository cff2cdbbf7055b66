"""One awaitable face for the sync and the async client of the official SDK, which is used as it is published."""

import asyncio
import contextlib
import datetime
import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import openmeter
import openmeter.aio
import pytest
from corehttp.exceptions import HttpResponseError
from openmeter.models import Event

FLAVOURS = ["sync", "async"]
GROUPS = [
    "events",
    "events_v2",
    "meters",
    "customers",
    "customer",
    "customer_entitlement",
    "entitlements",
    "entitlements_v2",
    "customer_entitlements_v2",
    "customer_entitlement_v2",
    "grants",
    "grants_v2",
    "subjects",
    "features",
    "currencies",
    "debug",
    "progress",
    "plans",
    "portal_tokens",
    "portal_meters",
]
CONCURRENCY = 64


class Sdk:
    """`await sdk.meters.create(...)` calls the sync client in a thread or awaits the async client."""

    def __init__(self, flavour: str, url: str, token: str | None = None):
        self.flavour = flavour
        self.client = (openmeter.Client if flavour == "sync" else openmeter.aio.Client)(endpoint=url, token=token)
        self._threads = ThreadPoolExecutor(CONCURRENCY)

    async def __aenter__(self) -> "Sdk":
        if self.flavour == "sync":
            self.client.__enter__()
        else:
            await self.client.__aenter__()
        return self

    async def __aexit__(self, *details) -> None:
        if self.flavour == "sync":
            self.client.__exit__(*details)
        else:
            await self.client.__aexit__(*details)
        self._threads.shutdown()

    def __getattr__(self, group: str) -> "_Group":
        if group not in GROUPS:
            raise AttributeError(group)
        owner = self.client.portal if group.startswith("portal_") else self.client
        return _Group(self, getattr(owner, group))

    async def in_thread(self, call):
        """Runs a blocking call of the sync client."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def pages(self, **arguments) -> list[list]:
        """The listing of `events_v2.list`, page by page."""
        if self.flavour == "sync":
            return await self.in_thread(lambda: [list(page) for page in self.client.events_v2.list(**arguments).by_page()])
        return [[item async for item in page] async for page in self.client.events_v2.list(**arguments).by_page()]


class _Group:
    def __init__(self, sdk: Sdk, operations):
        self._sdk, self._operations = sdk, operations

    def __getattr__(self, name: str):
        operation = getattr(self._operations, name)

        async def call(*arguments, **named):
            if self._sdk.flavour == "sync":
                return await self._sdk.in_thread(lambda: _drained(operation(*arguments, **named)))
            result = operation(*arguments, **named)
            if hasattr(result, "__aiter__"):
                return [item async for item in result]
            return await result

        return call


def _drained(result):
    return list(result) if hasattr(result, "by_page") else result


def raw(pipeline_response, _deserialized, _headers) -> str:
    """For the SDK's `cls=` hook: the body as it came over the wire."""
    return pipeline_response.http_response.text()


def exact(text: str):
    """JSON with every number as a decimal."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def at(text: str) -> datetime.datetime:
    """An instant from its RFC 3339 text."""
    return datetime.datetime.fromisoformat(text)


def event(event_type: str, event_id: str, time: str | None = "2024-05-01T10:00:00Z", **fields) -> Event:
    """An event of the SDK, with defaults for what a test does not care about; a source of its own keeps its ids apart."""
    known = {"source": event_type, "subject": "customer-1", "specversion": "1.0"} | fields
    return Event(id=event_id, type=event_type, time=at(time) if time else None, **known)


class Refusal:
    """The SDK's exception and the problem document that came with it."""

    error: HttpResponseError
    problem: dict
    detail: str


@contextlib.contextmanager
def refused(status: int):
    """Expects the SDK to raise for a problem document of this status."""
    refusal = Refusal()
    with pytest.raises(HttpResponseError) as caught:
        yield refusal
    refusal.error = caught.value
    response = refusal.error.response
    assert refusal.error.status_code == status, refusal.error
    assert response.headers["content-type"] == "application/problem+json"
    refusal.problem = response.json()
    assert refusal.problem["status"] == status
    assert refusal.problem["type"] == "about:blank"
    assert refusal.problem["title"]
    refusal.detail = refusal.problem["detail"]
    assert refusal.detail


async def count(sdk: Sdk, meter: str, **arguments) -> int:
    """What a COUNT meter says, over one bucket."""
    rows = exact(await sdk.meters.query_json(meter, cls=raw, **arguments))["data"]
    assert len(rows) == 1, rows
    return int(rows[0]["value"])


async def count_meter(sdk: Sdk, name: str) -> str:
    """Creates a COUNT meter over the events of this type and returns its slug."""
    await sdk.meters.create({"slug": name, "aggregation": "COUNT", "eventType": name})
    return name
