"""Hooks of schemathesis: requests that reach something, and a note of every answer.

Path parameters that fit the document would hardly ever name anything that exists. In most requests they are therefore replaced by
names that the suite has prepared, found by a word in the parameter's name: `meterIdOrSlug`, `meterSlug` and `meterId` all
name a meter. What was generated decides whether and by what, so that a run can be repeated.
"""

import json
import os
import zlib

import schemathesis
from schemathesis.core.parameters import ParameterLocation

IDEMPOTENCY_KEY = "idempotency-key"
KNOWN = json.loads(os.environ["SUITE_KNOWN"])
ANSWERS = open(os.environ["SUITE_ANSWERS"], "a", encoding="utf-8", buffering=1)


def known(parameter: str, kind: str, path: str) -> "list[str]":
    """The prepared names for a parameter: those of just its name, or of the longest word in it, as `groupByKey` holds no meter."""
    if path.startswith("/togai/"):
        return KNOWN[kind].get(f"togai:{parameter}", [])
    if parameter.lower() in KNOWN[kind]:
        return KNOWN[kind][parameter.lower()]
    words = [word for word in KNOWN[kind] if word in parameter.lower()]
    return KNOWN[kind][max(words, key=len)] if words else []


@schemathesis.hook
def before_call(context, case, kwargs):
    """Changes what was generated as it should be; what is wrong on purpose, or follows from an earlier answer, stays."""
    if case.meta is None:
        return
    digest = zlib.crc32(repr((case.path_parameters, case.query, case.body)).encode("utf-8", "replace"))
    # The same key would come with many requests, which are then refused for nothing but that.
    for name in case.headers or {}:
        if name.lower() == IDEMPOTENCY_KEY and not case.meta.is_negative_at(ParameterLocation.HEADER):
            case.headers[name] = f"{case.method}-{zlib.crc32(case.path.encode())}-{digest}"
    if not case.meta.is_negative_at(ParameterLocation.BODY):
        leave_the_moment_to_the_server(case, digest)
        name_whose_it_is(case, digest)
        say_what_togai_knows(case, digest)
        keep_its_key(case, digest)
    is_stateful = case.meta.phase.name.value == "stateful"
    if case.path_parameters and not is_stateful and not case.meta.is_negative_at(ParameterLocation.PATH):
        name_what_exists(case, digest)


def leave_the_moment_to_the_server(case, digest):
    """Takes the moment out of three resets of four: one that is made up never lies in the running period."""
    if case.operation.path.endswith("/reset") and isinstance(case.body, dict) and digest % 4:
        case.body.pop("effectiveAt", None)


def name_whose_it_is(case, digest):
    """Lets seven of eight usage events and credits be those of a meter and a customer that exist: one that is made up never does."""
    if case.operation.path.endswith(("/usage-events", "/usage-billing/credits")) and isinstance(case.body, dict) and digest % 8:
        for name in ("meter_id", "customer_id"):
            if name in case.body:
                case.body[name] = KNOWN["lasting"][name][0]


def say_what_togai_knows(case, digest):
    """Lets seven of eight bodies of the Togai door name a schema, an account, a customer, an event or an alias that exist."""
    path, body = case.operation.path, case.body
    if not path.startswith("/togai/") or not isinstance(body, dict) or not digest % 8:
        return
    lasting = {name: names[0] for name, names in KNOWN["lasting"].items() if name.startswith("togai:")}
    event = {"schemaName": lasting["togai:event_schema_name"], "accountId": lasting["togai:account_id"]}
    event |= {"timestamp": "2100-01-01T00:00:00Z", "attributes": [], "dimensions": {}}
    if path.endswith("/entitled"):
        body["event"] = event | {"id": f"entitled-{digest}"}
    elif path.endswith("/correction"):
        body["event"] = event | {"id": lasting["togai:event_id"]}
    elif path.endswith("/remove_aliases"):
        case.body = {"aliases": [f"alias-{digest // 8 % 3}"]}
    elif path.endswith("/usage_meters") and "eventSchemaName" in body:
        body["eventSchemaName"] = event["schemaName"]
    elif path.endswith("/accounts") and "customerId" in body:
        body["customerId"] = lasting["togai:customer_id"]


def keep_its_key(case, digest):
    """Lets three of four replaced customers keep the key that the suite knows, and give up subjects that others may have."""
    if case.method.upper() == "PUT" and case.operation.path.startswith("/api/v1/customers/") and isinstance(case.body, dict) and digest % 4:
        case.body["key"] = KNOWN["changing"]["customer"][0]
        case.body.pop("usageAttribution", None)


def name_what_exists(case, digest):
    """Replaces the path parameters of seven requests of eight."""
    # What is changed or deleted is not used by anything else. That is what the last name of a path means; the others say whose.
    kind = {"DELETE": "spare", "PUT": "changing", "PATCH": "changing"}.get(case.method.upper(), "lasting")
    last = max(case.path_parameters, key=lambda name: case.operation.path.find(f"{{{name}}}"))
    if digest % 8:
        for name in case.path_parameters:
            names = known(name, kind if name == last or kind == "lasting" else "owner", case.operation.path)
            if names:
                case.path_parameters[name] = names[digest // 8 % len(names)]


@schemathesis.hook
def after_call(context, case, response):
    """Notes the operation and the status."""
    ANSWERS.write(json.dumps([case.operation.method.upper(), case.operation.path, response.status_code]) + "\n")
