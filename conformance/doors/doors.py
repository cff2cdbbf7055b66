"""The published clients of all doors, and one way to ask each of them the same."""

import datetime
import json
from decimal import Decimal

import lomi
import openmeter
import requests
import togai_client
from lomi.api.customers_api import CustomersApi
from lomi.api.usage_billing_api import UsageBillingApi
from togai_client import models

UTC = datetime.timezone.utc


def now() -> datetime.datetime:
    return datetime.datetime.now(UTC)


def exact(text):
    """JSON with exact numbers."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


class Doors:
    """One customer model for all doors: its id is its key, and events are about it."""

    def __init__(self, url):
        self.url = url
        self.openmeter = openmeter.Client(endpoint=url)
        client = lomi.ApiClient(lomi.Configuration(host=f"{url}/lomi/v1"))
        self.lomi, self.lomi_customers = UsageBillingApi(client), CustomersApi(client)
        client = togai_client.ApiClient(togai_client.Configuration(host=f"{url}/togai", access_token="any"))
        self.togai_meters, self.togai_schemas = togai_client.UsageMetersApi(client), togai_client.EventSchemasApi(client)
        self.togai_ingestion, self.togai_events = togai_client.EventIngestionApi(client), togai_client.EventManagementApi(client)
        self.togai_metrics, self.togai_accounts = togai_client.MetricsApi(client), togai_client.AccountsApi(client)

    # Making the same meter at each door.

    def meters(self, kind):
        """A meter of each door that sums `quantity` of this type of events; the ids that the doors gave them."""
        body = {"slug": f"{kind}_total", "eventType": kind, "aggregation": "SUM", "valueProperty": "$.quantity"}
        self.openmeter.meters.create(body)
        filters = {"code": kind}
        ours = self.lomi.create_meter({"name": f"{kind} at lomi", "filter": filters, "is_active": True})
        self.togai_schemas.create_event_schema(
            models.CreateEventSchemaRequest(
                name=kind,
                attributes=[models.EventAttributeSchema(name="quantity")],
                dimensions=[models.DimensionsSchema(name="region")],
            )
        )
        self.togai_schemas.activate_event_schema(kind)
        made = self.togai_meters.create_usage_meter(
            models.CreateUsageMeterRequest(
                name=f"{kind} at togai",
                type="COUNTER",
                aggregation="SUM",
                event_schema_name=kind,
            )
        )
        self.togai_meters.activate_usage_meter(made.id)
        return {"lomi": str(ours.meter_id), "togai": made.id}

    def customer(self, name):
        """A customer of all doors: its id at lomi is its key elsewhere, and an account."""
        return str(self.lomi_customers.create_customer({"name": name}).customer_id)

    # Sending one event through each door.

    def send_openmeter(self, kind, customer, event_id, quantity, region):
        data = {"quantity": float(quantity), "region": region}
        event = {"specversion": "1.0", "id": event_id, "source": "there", "type": kind, "subject": customer, "data": data}
        self.openmeter.events.ingest_event(event | {"time": now().isoformat()})

    def send_lomi(self, kind, customer, event_id, quantity, region):
        body = {"transaction_id": event_id, "code": kind, "customer_id": customer, "quantity": float(quantity)}
        answer = requests.post(f"{self.url}/lomi/v1/usage-events", json=body | {"properties": {"region": region}}, timeout=30)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def send_togai(self, kind, customer, event_id, quantity, region):
        event = models.Event(
            schema_name=kind,
            id=event_id,
            timestamp=now(),
            account_id=customer,
            attributes=[models.Attribute(name="quantity", value=quantity)],
            dimensions={"region": region},
        )
        return self.togai_ingestion.ingest(models.IngestEventRequest(event=event))

    # Reading the same through each door.

    def listed_openmeter(self, kind):
        """Ids of the events of a type."""
        answer = requests.get(f"{self.url}/api/v2/events", params={"filter": json.dumps({"type": {"$eq": kind}})}, timeout=30)
        return {item["event"]["id"] for item in answer.json()["items"]}

    def listed_lomi(self, kind):
        answer = requests.get(f"{self.url}/lomi/v1/usage-events", params={"code": kind}, timeout=30)
        return {item["transaction_id"] for item in answer.json()["data"]}

    def listed_togai(self, kind):
        return {event.event_payload.id for event in self.togai_events.get_events(schema_name=kind).events}

    def total_openmeter(self, slug):
        rows = exact(requests.get(f"{self.url}/api/v1/meters/{slug}/query", timeout=30).text)["data"]
        return rows[0]["value"] if rows else Decimal(0)

    def total_togai(self, meter):
        day = datetime.timedelta(days=1)
        condition = {"fieldName": "USAGE_METER_ID", "fieldValues": [meter]}
        query = {"id": "q", "name": "USAGE", "aggregationPeriod": "MONTH", "filters": [condition]}
        body = {"startTime": (now() - day).isoformat(), "endTime": (now() + day).isoformat(), "metricQueries": [query]}
        answer = requests.post(f"{self.url}/togai/metrics", json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        (result,) = exact(answer.text)["results"]
        return sum((value for series in result["data"] for value in series["metricValues"]), Decimal(0))

    def balance_lomi(self, meter, customer):
        answer = requests.get(f"{self.url}/lomi/v1/meters/{meter}/balances/{customer}", timeout=30)
        found = exact(answer.text)
        return found["consumed_units"], found["balance"]

    def rows_lomi(self, meter):
        page = self.lomi.list_meter_balances(limit=100)
        return [row for row in page.data if str(row.meter_id) == meter]

    def balance_openmeter(self, customer, feature):
        path = f"/api/v2/customers/{customer}/entitlements/{feature}/value"
        return exact(requests.get(self.url + path, timeout=30).text)
