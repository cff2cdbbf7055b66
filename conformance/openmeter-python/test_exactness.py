"""Decimals from the JSON text to the total, read as text: a float would show."""

import json
import random
import re

import pytest

from model import plain
from sdk import event, exact, raw, refused


async def create(om, name: str, aggregation: str = "SUM", **fields) -> None:
    await om.meters.create({"slug": name, "aggregation": aggregation, "eventType": name, "valueProperty": "$.v", **fields})


async def send(om, name: str, values: list[str]) -> None:
    """One event for each JSON literal, which goes over the wire as it is written."""
    head = json.dumps({"specversion": "1.0", "source": name, "type": name, "subject": "c", "time": "2024-05-01T10:00:00Z"})[:-1]
    bodies = [f'{head}, "id": "{index}", "data": {{"v": {value}}}}}' for index, value in enumerate(values)]
    await om.events.ingest_events(f"[{','.join(bodies)}]".encode())


async def value_text(om, meter: str) -> str:
    """The digits of the only row, the same by GET and by POST; a CSV has them too, with zeros up to six decimals."""
    answers = [await om.meters.query_json(meter, cls=raw), await om.meters.query(meter, {}, cls=raw)]
    (text,) = {re.search(r'"value":\s*([^,}\s]+)', answer).group(1) for answer in answers}
    in_csv = (await om.meters.query_csv(meter)).split("\n")[1].rsplit(",", 1)[1]
    whole, _, decimals = text.partition(".")
    assert in_csv == f"{whole}.{decimals.ljust(6, '0')}"
    return text


SUMS = [
    (["0.1", "0.2", "0.3"], "0.6"),
    (['"0.1"', "0.2", '"0.3"'], "0.6"),
    (["0.1"] * 10, "1"),
    (["9007199254740993", "0"], "9007199254740993"),
    (["9007199254740993", "0.5"], "9007199254740993.5"),
    (["12345678901234567890.12345678"], "12345678901234567890.12345678"),
    (["79228162514264337593543950335"], "79228162514264337593543950335"),
    (["79228162514264337593543950335", "-79228162514264337593543950335", "1e-28"], "0.0000000000000000000000000001"),
    (["1e20", "1"], "100000000000000000001"),
    (["1e-28"] * 3, "0.0000000000000000000000000003"),
    (["1.50", "1.500"], "3"),
    (["-0.0"], "0"),
    (["1e3", "1E+3", "1E-3"], "2000.001"),
    (["123456789.123456789"] * 3, "370370367.370370367"),
]


@pytest.mark.parametrize(("values", "total"), SUMS)
async def test_sums_have_every_digit_and_no_other(om, unique, values, total):
    await create(om, unique)
    await send(om, unique, values)
    assert await value_text(om, unique) == total


AVERAGES = [
    (["1", "2"], "1.5"),
    (["1", "1", "2"], "1.333333333333333333"),
    (["2", "2", "1"], "1.666666666666666667"),
    (["-2", "-2", "-1"], "-1.666666666666666667"),
    (["0.000000000000000001", "0"], "0.000000000000000001"),
    (["-0.000000000000000001", "0"], "-0.000000000000000001"),
    (["0.000000000000000001", "0", "0"], "0"),
    (["0.1", "0.2", "0.3", '"no number"', "null"], "0.2"),
    (["1000000000000", "1000000000000", "1000000000001"], "1000000000000.3333333333333333"),
    (["79228162514264337593543950335"] * 3, "79228162514264337593543950335"),
]


@pytest.mark.parametrize(("values", "average"), AVERAGES)
async def test_averages_are_rounded_once_half_away_from_zero(om, unique, values, average):
    await create(om, unique, "AVG")
    await send(om, unique, values)
    assert await value_text(om, unique) == average


async def test_the_smallest_and_the_largest_are_compared_exactly(om, unique):
    values = ["9007199254740993", "9007199254740992", '"9007199254740994"', "9007199254740992.5"]
    for aggregation, expected in [("MIN", "9007199254740992"), ("MAX", "9007199254740994")]:
        name = f"{unique}_{aggregation.lower()}"
        await create(om, name, aggregation)
        await send(om, name, values)
        assert await value_text(om, name) == expected


async def test_equal_numbers_are_one_distinct_value_and_near_ones_are_two(om, unique):
    await create(om, unique, "UNIQUE_COUNT")
    await send(om, unique, ["1", "1.0", "1e0", '"1"', "9007199254740992", "9007199254740993", "true", '"true"', "null", "[]", "{}"])
    assert await value_text(om, unique) == "4"


async def test_groups_keep_numbers_apart_that_floats_would_join(om, unique):
    await create(om, unique, groupBy={"n": "$.n"})
    head = json.dumps({"specversion": "1.0", "source": unique, "type": unique, "subject": "c"})[:-1]
    numbers = ["9007199254740992", "9007199254740993", "1.0", "1", "1e0"]
    bodies = [f'{head}, "id": "{index}", "data": {{"v": 1, "n": {number}}}}}' for index, number in enumerate(numbers)]
    await om.events.ingest_events(f"[{','.join(bodies)}]".encode())
    rows = (await om.meters.query_json(unique, group_by=["n"])).data
    assert {row.group_by["n"]: row.value for row in rows} == {"9007199254740992": 1, "9007199254740993": 1, "1": 3}


async def test_a_total_does_not_depend_on_order_or_batches(om, unique):
    chance = random.Random(7)
    values = [f"{chance.randrange(-(10**9), 10**9)}e-{chance.randrange(12)}" for _ in range(600)]
    totals = set()
    for attempt, size in enumerate((600, 100, 7)):
        name = f"{unique}_{attempt}"
        await create(om, name)
        chance.shuffle(values)
        for first in range(0, len(values), size):
            await om.events.ingest_events(
                [event(name, str(first + index), data={"v": value}) for index, value in enumerate(values[first : first + size])]
            )
        totals.add(await value_text(om, name))
    expected = plain(sum((exact(value) for value in values), exact("0")))
    assert totals == {expected}


async def test_a_total_that_cannot_be_held_exactly_is_an_error_and_not_a_wrong_number(om, unique):
    await create(om, unique)
    await send(om, unique, ["79228162514264337593543950335", "1"])
    with refused(400) as refusal:
        await om.meters.query_json(unique)
    assert "28 significant digits" in refusal.detail
