"""The vendor's client, and short ways to what tests often need."""

import contextlib
import datetime
import json

import togai_client
import urllib3
from togai_client import models
from togai_client.exceptions import ApiException

UTC = datetime.timezone.utc
_plain = urllib3.PoolManager()


def now() -> datetime.datetime:
    """This moment; meters count from their activation, so events of tests happen now."""
    return datetime.datetime.now(UTC)


class Togai:
    """All parts of the client for one key."""

    def __init__(self, url, token="t", api_key=None, prefix="/togai"):
        self.url = f"{url}{prefix}"
        self.root = url
        self.token = token
        configuration = togai_client.Configuration(host=self.url, access_token=token)
        client = togai_client.ApiClient(configuration)
        if api_key is not None:
            client.set_default_header("X-API-Key", api_key)
        self.meters = togai_client.UsageMetersApi(client)
        self.schemas = togai_client.EventSchemasApi(client)
        self.ingestion = togai_client.EventIngestionApi(client)
        self.events = togai_client.EventManagementApi(client)
        self.metrics = togai_client.MetricsApi(client)
        self.customers = togai_client.CustomersApi(client)
        self.accounts = togai_client.AccountsApi(client)
        self.entitlements = togai_client.EntitlementsApi(client)
        self.authentication = togai_client.AuthenticationApi(client)
        self.price_plans = togai_client.PricePlansApi(client)

    def schema(self, name, attributes, dimensions, **more):
        """Creates a schema."""
        return self.schemas.create_event_schema(
            models.CreateEventSchemaRequest(
                name=name,
                attributes=[models.EventAttributeSchema(name=one) for one in attributes],
                dimensions=[models.DimensionsSchema(name=one) for one in dimensions],
                **more,
            )
        )

    def customer(self, customer, account=None):
        """Creates a customer, with an account if one is named."""
        made = account and models.CreateAccountRequestWithoutCustomerId(id=account, name=f"Account {account}")
        return self.customers.create_customer(
            models.CreateCustomerRequest(
                id=customer,
                name=f"Customer {customer}",
                primary_email="a@example.com",
                address=models.Address(city="Chennai"),
                account=made or None,
            )
        )

    def meter(self, name, schema, aggregation="SUM", computation=None, matcher=None, active=True, **more):
        """Creates a usage meter, and activates it unless told otherwise."""
        if computation is not None:
            more["computations"] = [models.Computation(computation=computation, matcher=matcher, order=1)]
        made = self.meters.create_usage_meter(
            models.CreateUsageMeterRequest(
                name=name, type="COUNTER", aggregation=aggregation, event_schema_name=schema, **more
            )
        )
        return self.meters.activate_usage_meter(made.id) if active else made

    def ingest(self, *args, **kwargs):
        """Sends one event."""
        return self.ingestion.ingest(models.IngestEventRequest(event=event(*args, **kwargs)))

    def event(self, event_id):
        """The only event of an id."""
        (found,) = self.events.get_single_event(event_id).events
        return found

    def usage(self, meter, group_by=None, name="USAGE", period="DAY", filters=None):
        """The values of a meter around now, exactly as they were written, by group."""
        start, end = now() - datetime.timedelta(days=1), now() + datetime.timedelta(days=1)
        conditions = [{"fieldName": "USAGE_METER_ID", "fieldValues": [meter]}] if meter else []
        query = {"id": "q", "name": name, "aggregationPeriod": period, "filters": conditions + (filters or [])}
        if not query["filters"]:
            del query["filters"]
        if group_by:
            query["groupBy"] = group_by
        body = {"startTime": start.isoformat(), "endTime": end.isoformat(), "metricQueries": [query]}
        status, answer = self.raw("POST", "/metrics", body, digits=True)
        assert status == 200, answer
        (result,) = answer["results"]
        return {
            series.get("groupedBy", {}).get("fieldValue", ""): sum_of(series["metricValues"])
            for series in result["data"]
            if series["metricValues"]
        }

    def raw(self, method, path, body=None, digits=False, headers=None):
        """A request as it is: the status and the body. With `digits` numbers stay texts, to the digit."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"} | (headers or {})
        url = path if path.startswith("http") else f"{self.url}{path}"
        kinds = {"parse_float": str, "parse_int": str} if digits else {}
        answer = _plain.request(method, url, body=data, headers=headers, timeout=30, retries=False)
        return answer.status, json.loads(answer.data, **kinds) if answer.data else None

    def cloud_event(self, kind, event_id, subject, data, source="elsewhere"):
        """Sends an event through the first door; the data may be JSON text."""
        body = {
            "specversion": "1.0",
            "id": event_id,
            "source": source,
            "type": kind,
            "subject": subject,
            "time": now().isoformat(),
            "data": "DATA",
        }
        text = json.dumps(body).replace('"DATA"', data if isinstance(data, str) else json.dumps(data))
        status, answer = self.raw("POST", f"{self.root}/api/v1/events", text.encode())
        assert status == 204, answer


def sum_of(texts):
    """The exact sum of numbers as they were written; one of them is left as it is."""
    from decimal import Context, Decimal

    if len(texts) == 1:
        return texts[0]
    context, total = Context(prec=60), Decimal(0)
    for text in texts:
        total = context.add(total, Decimal(text))
    return str(total)


def event(schema, account, attributes=None, dimensions=None, event_id=None, at=None):
    """An event in the client's words."""
    return models.Event(
        schema_name=schema,
        id=event_id,
        timestamp=at or now(),
        account_id=account,
        attributes=[models.Attribute(name=name, value=value) for name, value in (attributes or {}).items()],
        dimensions=dimensions or {},
    )


@contextlib.contextmanager
def refused(status):
    """The client must raise, with this status and a message of at most 500 characters."""
    try:
        yield (caught := type("Refused", (), {"message": None, "error": None})())
    except ApiException as error:
        assert error.status == status, (error.status, error.body)
        caught.error = error
        caught.message = json.loads(error.body)["message"]
        assert 0 < len(caught.message) <= 500
    else:
        raise AssertionError(f"the client should have raised {status}")
