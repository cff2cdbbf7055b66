"""Keys: how they are sent, what they may do, whose things they see; and paths that are no operation."""

import subprocess

import pytest
from togai_client import models
from togai_client.exceptions import ForbiddenException, UnauthorizedException

from sdk import Togai, event, refused
from tallystick_server import Server, binary, clean_environment, free_port


def on_the_store(server, *arguments):
    command = [binary(), *arguments, "--data-dir", server.data_dir]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def keys(own_server):
    """Keys of one namespace by scope, and an admin's of another."""
    own_server.start()
    create = lambda *arguments: on_the_store(own_server, "keys", "create", "--name", "test", *arguments)
    made = {scope: create("--scope", scope) for scope in ("ingest", "read", "admin")}
    on_the_store(own_server, "namespaces", "create", "other")
    return made | {"other": create("--scope", "admin", "--namespace", "other")}


def test_without_the_right_key_nothing_is_answered(own_server, keys):
    for token in ("wrong", keys["read"][:-1]):
        togai = Togai(own_server.url, token)
        for call in [
            togai.authentication.authenticate,
            togai.meters.get_usage_meters_for_event_schema,
            togai.events.get_events,
            togai.price_plans.get_price_plans,
            lambda: togai.ingest("s", "a"),
        ]:
            with refused(401) as refusal:
                call()
            assert isinstance(refusal.error, UnauthorizedException) and refusal.error.data.message


def test_a_key_is_sent_in_either_header_and_is_its_own_token(own_server, keys):
    token = Togai(own_server.url, keys["admin"]).authentication.authenticate().token
    assert Togai(own_server.url, token).meters.get_usage_meters_for_event_schema().data == []
    for value in (keys["read"], f"Bearer {keys['read']}"):
        other = Togai(own_server.url, None, api_key=value)
        assert other.meters.get_usage_meters_for_event_schema().data == []
        assert other.authentication.authenticate().token == keys["read"]


def test_a_scope_allows_what_it_names(own_server, keys):
    allowed = {"ingest": {"ingest"}, "read": {"read"}, "admin": {"ingest", "read", "create", "correct"}}
    for scope, able in allowed.items():
        togai = Togai(own_server.url, keys[scope])
        sent = models.EventCorrectionRequest(event=event("s", "a", event_id="admin"))
        calls = {
            "create": lambda: togai.schema(f"schema {scope}", [], []),
            "ingest": lambda: togai.ingest("s", "a", event_id=scope),
            "read": lambda: togai.schemas.list_event_schemas(),
            "correct": lambda: togai.events.event_correction("UNDO", event_correction_request=sent),
        }
        for name, call in calls.items():
            if name in able:
                call()
            else:
                with refused(403) as refusal:
                    call()
                assert isinstance(refusal.error, ForbiddenException)


def test_another_namespace_sees_nothing(own_server, keys):
    here, there = Togai(own_server.url, keys["admin"]), Togai(own_server.url, keys["other"])
    here.schema("rides", ["n"], [])
    here.schemas.activate_event_schema("rides")
    here.customer("acme", "acme-a")
    here.accounts.add_aliases("acme-a", models.AddAccountAliasesRequest(aliases=["acme-x"]))
    meter = here.meter("Rides", "rides")
    here.ingest("rides", "acme-x", {"n": "1"}, event_id="1")
    for call in [
        lambda: there.schemas.get_event_schema("rides"),
        lambda: there.meters.get_usage_meter(meter.id),
        lambda: there.meters.delete_usage_meter(meter.id),
        lambda: there.customers.get_customer("acme"),
        lambda: there.accounts.get_account("acme-a"),
        lambda: there.accounts.remove_aliases("acme-a", models.RemoveAccountAliasesRequest(aliases=["acme-x"])),
        lambda: there.events.get_single_event("1"),
    ]:
        with refused(404):
            call()
    assert there.raw("GET", "/events")[1] == {"events": []}
    there.schema("rides", ["n"], [])
    there.customer("acme", "acme-x")
    there.ingest("rides", "acme-x", event_id="1")
    assert there.event("1").ingestion_status.status == "INGESTION_COMPLETED_NO_MATCHING_METERS"
    assert here.event("1").ingestion_status.status == "INGESTION_COMPLETED_EVENT_METERED"


def test_what_is_no_operation_says_so_in_the_same_form(togai):
    assert togai.raw("GET", "/nothing") == (404, {"message": "there is no such operation"})
    assert togai.raw("PUT", "/usage_meters")[0] == 405
    assert list(togai.raw("PUT", "/usage_meters")[1]) == ["message"]
    with refused(501) as refusal:
        togai.price_plans.get_price_plans()
    assert "get_price_plans" in refusal.message
    for body in (b"", b"{", b"[]", b'"x"', b'{"name":1}', b'{"name":"a","name":"b"}', b"\xff", b'{"a":' * 100):
        status, answer = togai.raw("POST", "/usage_meters", body)
        assert (status, list(answer)) == (400, ["message"]), body
    assert togai.raw("GET", "/usage_meters?colour=red")[0] == 400
    status, answer = togai.raw("POST", "/usage_meters", b"{}", headers={"Content-Type": "text/plain"})
    assert status == 400 and "application/json" in answer["message"]


def test_a_write_with_an_idempotency_key_is_done_once(togai, unique):
    body = {"name": unique, "attributes": [], "dimensions": []}
    headers = {"Idempotency-Key": unique}
    first = togai.raw("POST", "/event_schema", body, headers=headers)
    assert first[0] == 201 and togai.raw("POST", "/event_schema", body, headers=headers) == first
    status, answer = togai.raw("POST", "/event_schema", body | {"name": "other"}, headers=headers)
    assert status == 422 and list(answer) == ["message"]


def test_the_client_works_at_an_address_of_its_own(tmp_path):
    port = free_port()
    config = tmp_path / "config.toml"
    config.write_text(f'[[listener]]\nlisten = "127.0.0.1:{port}"\ndialect = "togai"\n')
    server = Server(tmp_path / "data", "--config", config).start()
    try:
        togai = Togai(f"http://127.0.0.1:{port}", prefix="")
        togai.schema("rides", ["n"], [])
        togai.customer("acme", "acme-a")
        togai.meter("Rides", "rides", "COUNT")
        togai.ingest("rides", "acme-a")
        assert togai.usage("Rides") == {"": "1"} == Togai(server.url).usage("Rides")
        assert togai.raw("GET", "/nothing")[0] == 404
    finally:
        assert server.stop() == 0
