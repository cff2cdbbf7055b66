"""What was acknowledged stays, once: over a restart, over a crash, and over an answer that got lost."""

import asyncio
import contextlib
import http.server
import threading
import urllib.request

from sdk import Sdk, count, count_meter, event


async def test_a_restart_forgets_nothing_and_counts_nothing_twice(own_server, flavour):
    own_server.start()
    events = [event("restart", str(index), data={"v": index}) for index in range(500)]
    async with Sdk(flavour, own_server.url) as om:
        created = await om.meters.create(
            {"slug": "restart", "aggregation": "SUM", "eventType": "restart", "valueProperty": "$.v", "metadata": {"a": "b"}}
        )
        await om.events.ingest_events(events)
        before = await om.events_v2.list()
    assert own_server.stop() == 0
    own_server.start()
    async with Sdk(flavour, own_server.url) as om:
        assert dict((await om.meters.get("restart")).items()) == dict(created.items())
        assert [row.value for row in (await om.meters.query_json("restart")).data] == [sum(range(500))]
        await om.events.ingest_events(events)
        await om.events.ingest_event(event("restart", "499", data={"v": 1_000_000}))
        assert [row.value for row in (await om.meters.query_json("restart")).data] == [sum(range(500))]
        assert [dict(item.items()) for item in await om.events_v2.list()] == [dict(item.items()) for item in before]


async def test_a_page_goes_on_after_a_restart(own_server, flavour):
    own_server.start()
    async with Sdk(flavour, own_server.url) as om:
        await om.events.ingest_events([event("page", f"{index:02}", f"2024-05-01T00:00:{index:02}Z") for index in range(30)])
        first = await page_of(om, None)
    own_server.stop()
    own_server.start()
    async with Sdk(flavour, own_server.url) as om:
        second = await page_of(om, first[1])
    assert first[0] + second[0] == [f"{index:02}" for index in range(29, 9, -1)]


async def page_of(om, cursor):
    """The ids of one page of ten, and the cursor of the next."""
    if om.flavour == "sync":
        pages = om.client.events_v2.list(limit=10).by_page(cursor)
        return [item.event.id for item in next(pages)], pages.continuation_token
    pages = om.client.events_v2.list(limit=10).by_page(cursor)
    return [item.event.id async for item in await anext(pages)], pages.continuation_token


async def test_a_crash_loses_nothing_that_was_acknowledged(own_server, flavour):
    own_server.start()
    acknowledged: set[str] = set()

    async def sender(om, number: int):
        for index in range(1000):
            name = f"{number}-{index}"
            with contextlib.suppress(Exception):
                await om.events.ingest_event(event("crash", name), retry_total=0)
                acknowledged.add(name)
            if not own_server.is_running():
                return

    async with Sdk(flavour, own_server.url) as om:
        await count_meter(om, "crash")
        senders = [asyncio.create_task(sender(om, number)) for number in range(8)]
        while len(acknowledged) < 200:
            await asyncio.sleep(0.01)
        own_server.kill()
        await asyncio.gather(*senders)
    own_server.start()
    async with Sdk(flavour, own_server.url) as om:
        stored = [item.event.id for item in await om.events_v2.list()]
        assert acknowledged <= set(stored) and len(stored) == len(set(stored))
        assert await count(om, "crash") == len(stored)
        await om.events.ingest_events([event("crash", name) for name in acknowledged])
        assert await count(om, "crash") == len(stored)


@contextlib.contextmanager
def losing_answers(url: str, status: int, every: int):
    """A proxy that passes requests on, but answers every n-th of them with an error instead of what the server said."""
    seen = {"requests": 0, "lost": 0}

    class Proxy(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            """Keeps the test's output clean."""

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {"Content-Type": self.headers["Content-Type"]}
            with urllib.request.urlopen(urllib.request.Request(url + self.path, body, headers), timeout=30) as answer:
                answered = answer.status
            seen["requests"] += 1
            lost = seen["requests"] % every == 0
            seen["lost"] += lost
            self.send_response(status if lost else answered)
            self.send_header("Content-Length", "0")
            self.end_headers()

    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{proxy.server_address[1]}", seen
    finally:
        proxy.shutdown()
        proxy.server_close()


async def test_an_event_is_counted_once_when_the_answer_is_lost_and_the_sdk_sends_again(om, unique):
    await count_meter(om, unique)
    for status in (500, 503, 504):
        with losing_answers(om.client._config.endpoint, status, every=2) as (url, seen):
            async with Sdk(om.flavour, url) as unlucky:
                for index in range(3):
                    await unlucky.events.ingest_event(event(unique, f"{status}-{index}"))
        assert seen["lost"] >= 2 and seen["requests"] > 3
    assert await count(om, unique) == 9
