"""What is in the server before schemathesis asks it, so that operations on one thing find one."""

import subprocess

import requests

from tallystick_server import binary, clean_environment

# How many of each thing only DELETE uses.
SPARE = 24


def admin_key(data_dir) -> str:
    """Makes the store's first key."""
    command = [binary(), "keys", "create", "--name", "suite", "--scope", "admin", "--data-dir", data_dir]
    made = subprocess.run(command, capture_output=True, text=True, check=True, env=clean_environment())
    return made.stdout.strip()


class Prepared:
    """A started server, its key, and names that exist in it."""

    def __init__(self, server, key):
        self.server = server
        self.key = key
        meters = self._send("POST", "/api/v1/meters", *[meter(slug) for slug in ("tokens", "calls", "changing", *spare("meter"))])
        events = [event(str(number), f"subject-{number % 3}", number) for number in range(60)]
        self._send("POST", "/api/v1/events", events)
        self._send("POST", "/api/v1/subjects", [{"key": key} for key in ("subject-0", "subject-1", *spare("subject"))])
        customers = self._send("POST", "/api/v1/customers", *[customer(key) for key in ("customer-1", "changing", *spare("customer"))])
        features = self._send("POST", "/api/v1/features", *[feature(key) for key in ("talk", "changing", *spare("feature"))])
        entitled = self._entitle()
        token = self._send("POST", "/api/v1/portal/tokens", {"subject": "subject-1", "allowedMeterSlugs": ["tokens"]})
        self.portal_token = token[0]["token"]
        progress = "suite-query"
        self._send("GET", f"/api/v1/meters/tokens/query?clientId={progress}", None)
        lomi = self._prepare_lomi()
        togai = self._prepare_togai()
        # By a word in the name of a path parameter, or by the whole of it, where only an id will do.
        def ids(made):
            return [thing["id"] for thing in made]

        self.known = {
            "lasting": {
                "meter": ["tokens", "calls"],
                "subject": ["subject-0", "subject-1"],
                "customer": ["customer-1", customers[0]["id"]],
                "feature": ["talk", features[0]["id"]],
                "meterid": ids(meters[:2]),
                "customerid": ids(customers[:1]),
                "featureid": ids(features[:1]),
                "groupbykey": ["model"],
                # The bare `id` is that of a query, whose progress is told.
                "id": [progress],
                "entitlementidorfeaturekey": ["chat"],
                "entitlementid": entitled["lasting"],
                "reservation": entitled["reservations"],
            }
            | lomi["lasting"]
            | togai["lasting"],
            # Whose entitlement it is that is changed or deleted.
            "owner": {"customer": ["owner"], "subject": ["subject-of-owner"]},
            "changing": {name: ["changing"] for name in ("meter", "customer", "feature")}
            | {"entitlementidorfeaturekey": ["tokens"]}
            | {"meterid": ids(meters[2:3]), "customerid": ids(customers[1:2]), "featureid": ids(features[1:2])}
            | lomi["changing"]
            | togai["changing"],
            "spare": {
                # The versions of the API share what there is, and each deletes some of it.
                "meter": spare("meter")[: SPARE // 2],
                "meterid": ids(meters[3 + SPARE // 2 :]),
                "subject": spare("subject"),
                "customer": ids(customers[2 : 2 + SPARE // 2]),
                "customerid": ids(customers[2 + SPARE // 2 :]),
                "feature": ids(features[2 : 2 + SPARE // 2]),
                "featureid": ids(features[2:]),
                "entitlementidorfeaturekey": spare("given"),
                "entitlementid": spare("given"),
                "grant": entitled["grants"],
            }
            | lomi["spare"]
            | togai["spare"],
        }

    def _entitle(self) -> dict:
        """Gives entitlements: of `customer-1` and by subject to what lasts, of `owner` to what is changed and deleted."""
        metered = {"tokens": "tokens", "chat": "calls"}
        self._send("POST", "/api/v1/features", *[feature(key) | {"meterSlug": slug} for key, slug in metered.items()])
        self._send("POST", "/api/v1/features", *[feature(key) for key in spare("given")])
        of_subjects = {"key": "of-subjects", "name": "of-subjects", "usageAttribution": {"subjectKeys": ["subject-0", "subject-1"]}}
        self._send("POST", "/api/v1/customers", customer("owner"), of_subjects)
        # Measured since long ago: a reset lies behind the beginning, by whole minutes.
        since = {"measureUsageFrom": "2024-01-01T00:00:00Z"}
        chat = {"type": "metered", "featureKey": "chat", "usagePeriod": {"interval": "MONTH"}, "issue": {"amount": 1000}} | since
        tokens = chat | {"featureKey": "tokens"}
        owned = [{"type": "boolean", "featureKey": key} for key in spare("given")]
        self._send("POST", "/api/v2/customers/customer-1/entitlements", chat)
        lasting = self._send("POST", "/api/v2/customers/of-subjects/entitlements", chat)
        self._send("POST", "/api/v2/customers/owner/entitlements", tokens, chat, *owned)
        path = "/api/v2/customers/owner/entitlements/chat/grants"
        grants = self._send("POST", path, *[{"amount": 1, "effectiveAt": "2100-01-01T00:00:00Z"} for _ in range(SPARE)])
        path = "/api/v2/customers/customer-1/entitlements/chat/reservations"
        reservations = self._send("POST", path, *[{"amount": 1, "expiresIn": "P1D"} for _ in range(SPARE)])
        made = {"lasting": lasting, "grants": grants, "reservations": reservations}
        return {kind: [thing["id"] for thing in things] for kind, things in made.items()}

    def _prepare_lomi(self) -> dict:
        """Meters, customers, an event and balances of the lomi door, by the names of its path parameters."""
        path = "/lomi/v1"
        names = ["lomi_lasting", "lomi_changing", *spare("lomi")]
        meters = [made["meter_id"] for made in self._send("POST", f"{path}/meters", *[{"name": name} for name in names])]
        customers = self._send("POST", f"{path}/customers", *[{"name": name} for name in names])
        customers = [made["customer_id"] for made in customers]
        credits = [{"meter_id": meters[0], "customer_id": customers[0], "units": 5}]
        balances = self._send("POST", f"{path}/usage-billing/credits", *credits)
        usage = {"transaction_id": "prepared", "code": "lomi_lasting", "customer_id": customers[0]}
        events = self._send("POST", f"{path}/usage-events", usage)
        lasting = {
            "meter_id": meters[:1],
            "customer_id": customers[:1],
            "balance_id": [balances[0]["balance_id"]],
            "event_id": [events[0]["event_id"]],
        }
        changing = {"meter_id": meters[1:2], "customer_id": customers[1:2]}
        return {"lasting": lasting, "changing": changing, "spare": {"meter_id": meters[2:], "customer_id": customers[2:]}}

    def _prepare_togai(self) -> dict:
        """What the paths of the Togai door name; the names of its parameters are others' too, so its own begin with its name."""
        path = "/togai"
        names = ["togai_lasting", "togai_changing", *spare("togai")]
        # The schema and the account of the document's examples.
        schemas = [{"name": name, "attributes": [{"name": "distance"}], "dimensions": [{"name": "city"}]} for name in names + ["rides", "togai_idle"]]
        self._send("POST", f"{path}/event_schema", *schemas)
        # One without meters, which can be deactivated.
        self._send("POST", f"{path}/event_schema/togai_idle/activate", None)
        self._send("POST", f"{path}/customers", *[togai_customer(name) for name in names + ["acme"]])
        meters = [
            {"name": name, "type": "COUNTER", "aggregation": "COUNT", "eventSchemaName": "togai_lasting"} for name in names
        ]
        meters = [made["id"] for made in self._send("POST", f"{path}/usage_meters", *meters)]
        self._send("POST", f"{path}/usage_meters/{meters[0]}/activate", None)
        self._send("POST", f"{path}/accounts/togai_lasting-a/add_aliases", *[{"aliases": [f"alias-{number}"]} for number in range(3)])
        self._send("POST", "/api/v1/features", feature("togai_feature") | {"meterSlug": "togai_lasting"})
        plenty = {"type": "metered", "featureKey": "togai_feature", "usagePeriod": {"interval": "MONTH"}, "issue": {"amount": 1000000}}
        self._send("POST", "/api/v2/customers/togai_lasting/entitlements", plenty)
        self._send("POST", f"{path}/ingest", {"event": TOGAI_EVENT})
        def named(first, last, accounts):
            return {
                "togai:event_schema_name": names[first:last],
                "togai:usage_meter_id": meters[first:last],
                "togai:customer_id": names[first:last],
                "togai:account_id": accounts,
                "togai:feature_id": ["togai_feature"],
                "togai:event_id": [TOGAI_EVENT["id"]],
            }

        accounts = [f"{name}-a" for name in names]
        spares = named(2, 2 + SPARE // 2, accounts[2 + SPARE // 2 :])
        lasting = named(0, 1, accounts[:1])
        lasting["togai:event_schema_name"].append("togai_idle")
        return {"lasting": lasting, "changing": named(1, 2, accounts[1:2]), "spare": spares}

    def get(self, path, **options) -> requests.Response:
        """Asks with the key."""
        return self.call("GET", path, **options)

    def call(self, method, path, **options) -> requests.Response:
        """Asks with the key."""
        options.setdefault("headers", {"Authorization": f"Bearer {self.key}"})
        return requests.request(method, self.server.url + path, timeout=30, **options)

    def _send(self, method, path, *bodies) -> list:
        """Sends each body, which must be taken, and returns what the answers hold."""
        answers = [self.call(method, path, json=body) for body in bodies]
        for answer in answers:
            assert answer.ok, answer.text
        return [answer.json() if answer.content else None for answer in answers]


def spare(kind) -> "list[str]":
    return [f"spare_{kind}_{number}" for number in range(SPARE)]


# An event that the Togai door knows, of a time at which its meter is active.
TOGAI_EVENT = {
    "schemaName": "togai_lasting",
    "id": "togai-event",
    "timestamp": "2100-01-01T00:00:00Z",
    "accountId": "togai_lasting-a",
    "attributes": [{"name": "distance", "value": "1"}],
    "dimensions": {"city": "pune"},
}


def togai_customer(name) -> dict:
    account = {"id": f"{name}-a", "name": name}
    return {"id": name, "name": name, "primaryEmail": "a@example.com", "address": {}, "account": account}


def meter(slug) -> dict:
    shape = {"slug": slug, "eventType": "prompt", "groupBy": {"model": "$.model"}}
    return shape | ({"aggregation": "COUNT"} if slug == "calls" else {"aggregation": "SUM", "valueProperty": "$.tokens"})


def event(event_id, subject, tokens) -> dict:
    data = {"tokens": tokens, "model": ("a", "b")[tokens % 2]}
    return {"specversion": "1.0", "id": event_id, "source": "suite", "type": "prompt", "subject": subject, "data": data}


def customer(key) -> dict:
    # The subject of the document's examples is one of the lasting customer's.
    subjects = [f"subject-of-{key}"] + (["acme-bot"] if key == "customer-1" else [])
    return {"key": key, "name": key, "usageAttribution": {"subjectKeys": subjects}}


def feature(key) -> dict:
    return {"key": key, "name": key}
