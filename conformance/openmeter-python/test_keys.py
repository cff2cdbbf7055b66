"""API keys through the SDK's own `token`: who may do what, and whose events one sees."""

import subprocess

import pytest
from corehttp.exceptions import ClientAuthenticationError, HttpResponseError

from sdk import Sdk, count, count_meter, event, refused
from tallystick_server import binary, clean_environment


def on_the_store(server, *arguments: str) -> str:
    """Runs a command of the operator on the store of a running server and returns what it printed."""
    command = [binary(), *arguments, "--data-dir", server.data_dir]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def create_key(server, *arguments: str) -> str:
    """Makes a key in the store of a running server and returns its secret."""
    return on_the_store(server, "keys", "create", "--name", "test", *arguments)


@pytest.fixture
def keys(own_server):
    """Keys of one namespace by scope, and an admin's of another."""
    own_server.start()
    made = {scope: create_key(own_server, "--scope", scope) for scope in ("ingest", "read", "admin")}
    on_the_store(own_server, "namespaces", "create", "other")
    return made | {"other": create_key(own_server, "--scope", "admin", "--namespace", "other")}


async def test_without_the_right_key_nothing_is_answered(own_server, keys, flavour):
    for token in (None, "wrong", keys["read"][:-1], keys["read"] + "x", keys["read"].upper()):
        async with Sdk(flavour, own_server.url, token) as om:
            for call in [om.events.ingest_event(event("t", "1")), om.meters.list(), om.meters.query_json("m"), om.events_v2.list()]:
                with refused(401) as refusal:
                    await call
                if refusal.error.response.request.method != "GET" or "v2" not in refusal.error.response.request.url:
                    assert isinstance(refusal.error, ClientAuthenticationError)


async def test_a_scope_allows_what_it_names(own_server, keys, flavour):
    allowed = {"ingest": {"ingest"}, "read": {"read"}, "admin": {"ingest", "read", "create"}}
    for scope, able in allowed.items():
        async with Sdk(flavour, own_server.url, keys[scope]) as om:
            calls = {
                "ingest": om.events.ingest_event(event("t", scope)),
                "read": om.meters.list(),
                "create": om.meters.create({"slug": scope, "aggregation": "COUNT", "eventType": "t"}),
            }
            for name, call in calls.items():
                if name in able:
                    await call
                else:
                    with refused(403) as refusal:
                        await call
                    assert isinstance(refusal.error, HttpResponseError)


async def test_a_key_sees_its_own_namespace_only(own_server, keys, flavour):
    async with Sdk(flavour, own_server.url, keys["admin"]) as ours, Sdk(flavour, own_server.url, keys["other"]) as theirs:
        await count_meter(ours, "mine")
        (meter,) = await ours.meters.list()
        await ours.events.ingest_event(event("mine", "1", subject="secret"))
        assert await theirs.meters.list() == []
        assert await theirs.events_v2.list() == []
        for call in [theirs.meters.get, theirs.meters.delete, theirs.meters.query_json, theirs.meters.list_subjects]:
            for name in ("mine", meter.id):
                with refused(404):
                    await call(name)
        await count_meter(theirs, "mine")
        await theirs.events.ingest_events([event("mine", "1"), event("mine", "2")])
        assert (await count(ours, "mine"), await count(theirs, "mine")) == (1, 2)
        assert await theirs.meters.list_subjects("mine") == ["customer-1"]
        assert await ours.meters.list_subjects("mine") == ["secret"]
