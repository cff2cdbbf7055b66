"""Events that need an entitlement, and what an account may use."""

import concurrent.futures

import pytest
from togai_client import models

from sdk import event, refused


@pytest.fixture
def granted(togai, rides):
    """A meter of distances, and ten of them for the customer, through the first door."""
    togai.meter(rides, rides, computation='{"var":"attributes.distance"}')
    root = togai.root
    status, feature = togai.raw("POST", f"{root}/api/v1/features", {"key": rides, "name": "Rides", "meterSlug": rides})
    assert status == 201, feature
    body = {
        "type": "metered",
        "featureKey": rides,
        "usagePeriod": {"interval": "MONTH"},
        "issueAfterReset": 10,
    }
    status, made = togai.raw("POST", f"{root}/api/v2/customers/{rides}-c/entitlements", body)
    assert status == 201, made
    return rides


def ask(togai, rides, distance, event_id=None):
    sent = event(rides, f"{rides}-a", {"distance": distance}, {}, event_id)
    return togai.entitlements.ingest_entitled_event(models.IngestEventRequest(event=sent))


def test_an_event_is_stored_while_enough_is_left(togai, granted):
    account = f"{granted}-a"
    assert ask(togai, granted, "7.5", f"{granted}-1").success is True
    credits = togai.entitlements.get_feature_credits(account, granted)
    assert (credits.granted, credits.balance, credits.used_overage) == (10, 2.5, 0)
    with refused(403) as refusal:
        ask(togai, granted, "2.6", f"{granted}-2")
    assert "2.5 is left" in refusal.message
    with refused(404):
        togai.events.get_single_event(f"{granted}-2")
    with refused(409):
        ask(togai, granted, "7.5", f"{granted}-1")
    assert ask(togai, granted, "2.5").success is True
    with refused(403):
        ask(togai, granted, "0.1")
    (value,) = togai.entitlements.get_entitlement_value(account, granted).data
    assert (value.feature_id, value.value) == (granted, "0")
    assert [one.feature_id for one in togai.entitlements.get_entitlements(account).data] == [granted]
    assert togai.usage(granted) == {"": "10"}


def test_events_at_the_same_time_never_use_more_than_there_is(togai, granted):
    def attempt(_):
        try:
            return ask(togai, granted, "1").success
        except Exception as error:
            assert getattr(error, "status", None) == 403, error
            return False

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(attempt, range(24)))
    # An attempt that meets another one's reservation may be refused although that one is not stored yet, never the reverse.
    assert togai.usage(granted)[""] == str(sum(outcomes)) and sum(outcomes) <= 10
    while sum(outcomes) < 10:
        outcomes.append(ask(togai, granted, "1").success)
    with refused(403):
        ask(togai, granted, "1")


def test_without_an_entitlement_nothing_is_stored(togai, rides):
    togai.meter(rides, rides, "COUNT")
    with refused(403):
        ask(togai, rides, "1", rides)
    with refused(400):
        togai.entitlements.ingest_entitled_event(models.IngestEventRequest(event=event(rides, "nobody")))
    with refused(400):
        togai.entitlements.ingest_entitled_event(models.IngestEventRequest(event=event("nothing", f"{rides}-a")))
    with refused(404):
        togai.events.get_single_event(rides)
    assert togai.entitlements.get_entitlements(f"{rides}-a").data == []
    with refused(404):
        togai.entitlements.get_feature_credits(f"{rides}-a", "nothing")
    with refused(404):
        togai.entitlements.get_entitlement_value(f"{rides}-a", "nothing")
