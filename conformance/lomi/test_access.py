"""Who may do what: keys as the client sends them, scopes, namespaces, and paths that are none."""

import requests

from door import NOBODY, Door, check_error, refused


def test_the_key_is_taken_in_every_way_the_client_sends_it(own_server, keys):
    for options in ({"key": keys["admin"]}, {"key": keys["admin"], "prefix": "Bearer"}):
        assert Door(own_server.url, **options).billing.list_meters().data == []
    answer = requests.get(f"{own_server.url}/lomi/v1/meters", headers={"Authorization": f"Bearer {keys['read']}"}, timeout=30)
    assert answer.status_code == 200


def test_without_the_right_key_nothing_is_answered(own_server, keys):
    for key in (None, "wrong", keys["read"][:-1], keys["read"] + "x"):
        door = Door(own_server.url, key=key)
        calls = [
            lambda: door.billing.create_meter({"name": "x"}),
            lambda: door.billing.list_meters(),
            lambda: door.billing.retrieve_meter(NOBODY),
            lambda: door.billing.update_meter(NOBODY, {}),
            lambda: door.billing.delete_meter(NOBODY),
            lambda: door.billing.list_meter_balances(),
            lambda: door.billing.retrieve_meter_balance(NOBODY),
            lambda: door.customers.list_customers(),
            lambda: door.events.list_events(),
        ]
        for call in calls:
            with refused(401, "unauthorized") as caught:
                call()
            assert caught.value.data is not None
        for path in ("/usage-events", "/usage-billing/credits"):
            answer = door.call("POST", path, {})
            assert answer.status_code == 401 and answer.json()["error"]["code"] == "unauthorized"


def test_a_scope_allows_what_it_names(own_server, keys):
    admin = Door(own_server.url, key=keys["admin"])
    meter, customer = admin.meter("calls").meter_id, admin.customer()
    read, ingest = Door(own_server.url, key=keys["read"]), Door(own_server.url, key=keys["ingest"])
    usage = {"transaction_id": "1", "code": "calls", "customer_id": customer}
    receipt = ingest.call("POST", "/usage-events", usage)
    assert receipt.status_code == 202 and receipt.json()["status"] == "processed", receipt.text
    assert ingest.call("POST", "/usage-events", usage).json()["idempotent"] is True
    assert read.billing.retrieve_meter(str(meter)).name == "calls"
    assert read.balance(meter, customer) == ("0", "1", "-1")
    for forbidden in (
        lambda: read.billing.create_meter({"name": "x"}),
        lambda: read.billing.update_meter(str(meter), {"name": "x"}),
        lambda: read.billing.delete_meter(str(meter)),
        lambda: read.customers.create_customer({"name": "x"}),
        lambda: read.customers.update_customer(customer, {"name": "x"}),
        lambda: read.customers.delete_customer(customer),
        lambda: ingest.billing.list_meters(),
        lambda: ingest.billing.list_meter_balances(),
        lambda: ingest.customers.retrieve_customer(customer),
        lambda: ingest.events.list_events(),
    ):
        with refused(403, "forbidden"):
            forbidden()
    for door, path in ((read, "/usage-events"), (read, "/usage-billing/credits"), (ingest, "/usage-billing/credits")):
        answer = door.call("POST", path, usage | {"meter_id": str(meter), "units": 1})
        assert answer.status_code == 403 and answer.json()["error"]["code"] == "forbidden"


def test_another_namespace_sees_nothing(own_server, keys):
    door, other = (Door(own_server.url, key=keys[name]) for name in ("admin", "other"))
    meter, customer = door.meter("calls").meter_id, door.customer()
    event = door.use("calls", customer, "1")["event_id"]
    balance = door.credit(meter, customer, "1")["balance_id"]
    for call in (
        lambda: other.billing.retrieve_meter(str(meter)),
        lambda: other.billing.update_meter(str(meter), {"name": "x"}),
        lambda: other.billing.delete_meter(str(meter)),
        lambda: other.balances.retrieve_meter_balance(balance),
        lambda: other.customers.retrieve_customer(customer),
        lambda: other.events.retrieve_event(event),
    ):
        with refused(404, "not_found"):
            call()
    body = {"transaction_id": "1", "code": "calls", "customer_id": customer, "meter_id": str(meter), "units": 1}
    for path in ("/usage-events", "/usage-billing/credits"):
        assert other.call("POST", path, body).status_code == 404
    for path in ("/meters", "/meter_balances", "/customers", "/events", "/usage-events"):
        listed = other.call("GET", path).json()
        assert listed["data"] == [] and listed["pagination"]["total"] == 0
    theirs = other.billing.create_meter({"name": "calls", "meter_id": str(meter)})
    assert theirs.meter_id == meter and theirs.organization_id != door.billing.retrieve_meter(str(meter)).organization_id


def test_a_path_that_is_none_is_not_found(door):
    for method, path in [("GET", "/nothing"), ("POST", "/payouts"), ("GET", "/products/x"), ("GET", ""), ("GET", "/meters/a/b/c/d")]:
        answer = door.call(method, path)
        assert answer.status_code == 404, path
        check_error(answer.json(), "not_found")
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
    answer = door.call("PUT", "/meters", {})
    assert answer.status_code == 405 and "GET" in answer.headers["allow"]
    check_error(answer.json(), "error")


def test_doubled_slashes_are_one(door, server, unique):
    slashed = Door(server.url, path="/lomi/v1/")
    made = slashed.meter(unique)
    assert slashed.billing.retrieve_meter(str(made.meter_id)) == door.billing.retrieve_meter(str(made.meter_id))
    assert slashed.billing.list_meters(limit=1).pagination.limit == 1
    assert door.call("GET", "//meters///").status_code == 404


def test_a_limit_on_requests_has_the_vendors_headers(own_server):
    own_server.arguments = ("--config", own_server.data_dir.parent / "limits.toml")
    (own_server.data_dir.parent / "limits.toml").write_text("[limits]\nrequests_per_second = 1\nrequests_burst = 2\n")
    door = Door(own_server.start().url)
    answers = [door.call("GET", "/meters") for _ in range(6)]
    limited = [answer for answer in answers if answer.status_code == 429]
    assert limited and answers[0].status_code == 200
    check_error(limited[0].json(), "rate_limit_exceeded")
    assert int(limited[0].headers["retry-after"]) >= 1
    assert limited[0].headers["x-ratelimit-limit"] == "2" and limited[0].headers["x-ratelimit-window-seconds"] == "2"
    assert limited[0].headers["x-ratelimit-policy"] == "2;w=2"


def test_what_is_too_large_or_no_json_is_refused(door):
    answer = door.call("POST", "/meters", '{"name":"' + "x" * (65 << 20) + '"}')
    assert answer.status_code == 400 and "limits.body_bytes" in answer.json()["error"]["message"]
    answer = door.call("POST", "/meters", "<x/>", {"Content-Type": "application/xml"})
    assert answer.status_code == 415
    check_error(answer.json(), "error")
