"""The vendor's client against a server, and plain HTTP for what it has no function for."""

import contextlib
import json
from decimal import Decimal

import lomi
import pytest
import requests
from lomi.api.customers_api import CustomersApi
from lomi.api.events_api import EventsApi
from lomi.api.meter_balances_api import MeterBalancesApi
from lomi.api.meters_api import MetersApi
from lomi.api.usage_billing_api import UsageBillingApi

NOBODY = "00000000-0000-0000-0000-000000000001"


class Door:
    """The client's groups of functions, and what they lack."""

    def __init__(self, url, key=None, prefix=None, path="/lomi/v1"):
        self.url, self.key = url, key
        self.host = url + path
        configuration = lomi.Configuration(host=self.host)
        if key:
            configuration.api_key["ApiKeyAuth"] = key
        if prefix:
            configuration.api_key_prefix["ApiKeyAuth"] = prefix
        client = lomi.ApiClient(configuration)
        self.billing, self.meters, self.balances = UsageBillingApi(client), MetersApi(client), MeterBalancesApi(client)
        self.customers, self.events = CustomersApi(client), EventsApi(client)

    def call(self, method, path, body=None, headers=None):
        """A request of the door over plain HTTP; a text is sent as it is."""
        headers = {"Content-Type": "application/json"} | ({"X-API-KEY": self.key} if self.key else {}) | (headers or {})
        data = body if isinstance(body, (str, bytes, type(None))) else json.dumps(body)
        return requests.request(method, self.host + path, data=data, headers=headers, timeout=30)

    def openmeter(self, method, path, body=None):
        """A request of the OpenMeter door of the same server."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return requests.request(method, self.url + path, json=body, headers=headers, timeout=30)

    def meter(self, name, **fields):
        """A new meter."""
        return self.billing.create_meter({"name": name} | fields)

    def customer(self, name="ACME", **fields):
        """The id of a new customer."""
        return str(self.customers.create_customer({"name": name} | fields).customer_id)

    def use(self, code, customer, transaction, quantity="1", **fields):
        """Reports usage, the quantity as a text so that no digit is lost, and returns the answer."""
        members = {"transaction_id": transaction, "code": code, "customer_id": str(customer)} | fields
        text = json.dumps(members)[:-1] + f', "quantity": {quantity}}}'
        answer = self.call("POST", "/usage-events", text)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def credit(self, meter, customer, units, **fields):
        """Credits units, as a text, and returns the exact balance."""
        members = {"meter_id": str(meter), "customer_id": str(customer)} | fields
        answer = self.call("POST", "/usage-billing/credits", json.dumps(members)[:-1] + f', "units": {units}}}')
        assert answer.status_code == 201, answer.text
        return exact(answer.text)

    def balance(self, meter, customer):
        """How a customer stands with a meter, in exact numbers: credited, consumed, balance."""
        answer = self.call("GET", f"/meters/{meter}/balances/{customer}")
        assert answer.status_code == 200, answer.text
        return numbers(exact(answer.text))

    def balances_of(self, meter):
        """All balances of a meter in exact numbers, through the client."""
        found, offset = [], 0
        while True:
            page = read(self.billing.list_meter_balances_without_preload_content(limit=100, offset=offset))
            found += [row for row in page["data"] if row["meter_id"] == str(meter)]
            offset += 100
            if offset >= page["pagination"]["total"]:
                return found


def exact(text):
    """JSON with exact numbers."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def read(response):
    """The body of an answer that the client did not read, with exact numbers."""
    assert response.status < 300, response.data
    return exact(response.data)


def numbers(balance):
    return tuple(str(balance[name]) for name in ("credited_units", "consumed_units", "balance"))


@contextlib.contextmanager
def refused(status, code, *fields):
    """What is called in here is refused with this status, and with a body that the client understands where it can."""
    kinds = {
        400: lomi.exceptions.BadRequestException,
        401: lomi.exceptions.UnauthorizedException,
        403: lomi.exceptions.ForbiddenException,
        404: lomi.exceptions.NotFoundException,
        409: lomi.exceptions.ConflictException,
    }
    with pytest.raises(kinds[status]) as caught:
        yield caught
    error = caught.value
    assert error.status == status
    body = json.loads(error.body)
    check_error(body, code, *fields)
    assert body["request_id"] == error.headers["x-request-id"]
    if error.data is not None:
        assert (error.data.error.code, error.data.error.message) == (code, body["error"]["message"])
        assert error.data.error.details == body["error"]["details"]


def check_error(body, code, *fields):
    """An error body has a code, a text, and an object or null for the fields at fault."""
    assert set(body) == {"error", "request_id"} and set(body["error"]) == {"code", "message", "details"}, body
    error = body["error"]
    assert error["code"] == code and error["message"], body
    assert error["details"] is None or isinstance(error["details"], dict), body
    assert set(fields) <= set(error["details"] or {}), body
