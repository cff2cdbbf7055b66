"""Windows on days when clocks change, written down one by one, and bounds to the microsecond."""

import pytest

from sdk import at, event, exact, raw

# zone, size, moments of one event each, and the windows [start, end) that must come back with their counts.
CASES = {
    "a day of 23 hours": (
        "America/Los_Angeles",
        "DAY",
        ["2025-03-09T07:59:59.999999Z", "2025-03-09T08:00:00Z", "2025-03-10T06:59:59Z", "2025-03-10T07:00:00Z"],
        [
            ("2025-03-08T00:00:00-08:00", "2025-03-09T00:00:00-08:00", 1),
            ("2025-03-09T00:00:00-08:00", "2025-03-10T00:00:00-07:00", 2),
            ("2025-03-10T00:00:00-07:00", "2025-03-11T00:00:00-07:00", 1),
        ],
    ),
    "a day of 25 hours": (
        "America/Los_Angeles",
        "DAY",
        ["2025-11-02T06:59:59Z", "2025-11-02T07:00:00Z", "2025-11-03T07:59:59Z", "2025-11-03T08:00:00Z"],
        [
            ("2025-11-01T00:00:00-07:00", "2025-11-02T00:00:00-07:00", 1),
            ("2025-11-02T00:00:00-07:00", "2025-11-03T00:00:00-08:00", 2),
            ("2025-11-03T00:00:00-08:00", "2025-11-04T00:00:00-08:00", 1),
        ],
    ),
    "an hour that comes twice": (
        "America/New_York",
        "HOUR",
        ["2024-11-03T05:00:00Z", "2024-11-03T05:59:59Z", "2024-11-03T06:00:00Z", "2024-11-03T07:00:00Z"],
        [
            ("2024-11-03T01:00:00-04:00", "2024-11-03T01:00:00-05:00", 2),
            ("2024-11-03T01:00:00-05:00", "2024-11-03T02:00:00-05:00", 1),
            ("2024-11-03T02:00:00-05:00", "2024-11-03T03:00:00-05:00", 1),
        ],
    ),
    "an hour that does not come": (
        "Europe/Budapest",
        "HOUR",
        ["2025-03-30T00:59:59Z", "2025-03-30T01:00:00Z"],
        [
            ("2025-03-30T01:00:00+01:00", "2025-03-30T03:00:00+02:00", 1),
            ("2025-03-30T03:00:00+02:00", "2025-03-30T04:00:00+02:00", 1),
        ],
    ),
    "hours that start at the half and at the quarter": (
        "Asia/Kathmandu",
        "HOUR",
        ["2024-01-01T10:14:59Z", "2024-01-01T10:15:00Z"],
        [
            ("2024-01-01T15:00:00+05:45", "2024-01-01T16:00:00+05:45", 1),
            ("2024-01-01T16:00:00+05:45", "2024-01-01T17:00:00+05:45", 1),
        ],
    ),
    "a month whose offset changes": (
        "Europe/Budapest",
        "MONTH",
        ["2025-02-28T22:59:59Z", "2025-02-28T23:00:00Z", "2025-03-31T21:59:59Z", "2025-03-31T22:00:00Z"],
        [
            ("2025-02-01T00:00:00+01:00", "2025-03-01T00:00:00+01:00", 1),
            ("2025-03-01T00:00:00+01:00", "2025-04-01T00:00:00+02:00", 2),
            ("2025-04-01T00:00:00+02:00", "2025-05-01T00:00:00+02:00", 1),
        ],
    ),
    "a day without midnight": (
        "America/Santiago",
        "DAY",
        ["2024-09-08T03:59:59Z", "2024-09-08T04:00:00Z", "2024-09-09T02:59:59Z", "2024-09-09T03:00:00Z"],
        [
            ("2024-09-07T00:00:00-04:00", "2024-09-08T01:00:00-03:00", 1),
            ("2024-09-08T01:00:00-03:00", "2024-09-09T00:00:00-03:00", 2),
            ("2024-09-09T00:00:00-03:00", "2024-09-10T00:00:00-03:00", 1),
        ],
    ),
    "a day that was left out": (
        "Pacific/Apia",
        "DAY",
        ["2011-12-30T09:59:59Z", "2011-12-30T10:00:00Z"],
        [
            ("2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00", 1),
            ("2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00", 1),
        ],
    ),
    "half an hour that comes twice": (
        "Australia/Lord_Howe",
        "HOUR",
        ["2024-04-06T14:59:59Z", "2024-04-06T15:00:00Z", "2024-04-06T15:30:00Z"],
        [
            ("2024-04-07T01:00:00+11:00", "2024-04-07T01:30:00+10:30", 1),
            ("2024-04-07T01:30:00+10:30", "2024-04-07T02:00:00+10:30", 1),
            ("2024-04-07T02:00:00+10:30", "2024-04-07T03:00:00+10:30", 1),
        ],
    ),
    "the end of February": (
        "UTC",
        "MONTH",
        ["2024-02-29T23:59:59.999999Z", "2024-03-01T00:00:00Z"],
        [
            ("2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z", 1),
            ("2024-03-01T00:00:00Z", "2024-04-01T00:00:00Z", 1),
        ],
    ),
    "minutes before 1970": (
        "UTC",
        "MINUTE",
        ["1969-12-31T23:59:59.9Z", "1970-01-01T00:00:00Z"],
        [
            ("1969-12-31T23:59:00Z", "1970-01-01T00:00:00Z", 1),
            ("1970-01-01T00:00:00Z", "1970-01-01T00:01:00Z", 1),
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_windows_where_clocks_change(om, unique, case):
    zone, size, moments, windows = CASES[case]
    await om.meters.create({"slug": unique, "aggregation": "COUNT", "eventType": unique})
    await om.events.ingest_events([event(unique, moment, moment) for moment in moments])
    answered = exact(await om.meters.query_json(unique, cls=raw, window_size=size, window_time_zone=zone))
    shown = [(row["windowStart"], row["windowEnd"], int(row["value"])) for row in answered["data"]]
    assert shown == windows
    table = await om.meters.query_csv(unique, window_size=size, window_time_zone=zone)
    assert table.split("\n")[1:-1] == [f"{start},{end},{value}.000000" for start, end, value in windows]


async def test_windows_are_whole_and_empty_ones_are_left_out(om, unique):
    await om.meters.create({"slug": unique, "aggregation": "COUNT", "eventType": unique})
    moments = [f"2024-05-{day:02}T{hour:02}:00:00Z" for day in (1, 2, 5) for hour in (6, 18)]
    await om.events.ingest_events([event(unique, moment, moment) for moment in moments])
    rows = (
        await om.meters.query_json(
            unique,
            window_size="DAY",
            from_parameter=at("2024-05-01T12:00:00Z"),
            to=at("2024-05-05T12:00:00Z"),
        )
    ).data
    assert [(row.window_start, row.window_end, row.value) for row in rows] == [
        (at("2024-05-01T00:00:00Z"), at("2024-05-02T00:00:00Z"), 1),
        (at("2024-05-02T00:00:00Z"), at("2024-05-03T00:00:00Z"), 2),
        (at("2024-05-05T00:00:00Z"), at("2024-05-06T00:00:00Z"), 1),
    ]


async def test_from_is_inside_and_to_is_outside_to_the_microsecond(om, unique):
    await om.meters.create({"slug": unique, "aggregation": "COUNT", "eventType": unique})
    moments = ["09:59:59.999999", "10:00:00", "10:00:00.4", "10:00:00.5", "10:00:00.500001", "10:00:01"]
    await om.events.ingest_events([event(unique, moment, f"2024-05-01T{moment}Z") for moment in moments])

    async def counted(since: str, until: str) -> int:
        body = {"from": f"2024-05-01T{since}Z", "to": f"2024-05-01T{until}Z"}
        (row,) = (await om.meters.query(unique, body)).data
        return row.value

    assert await counted("10:00:00", "10:00:01") == 4
    assert await counted("10:00:00.5", "10:00:01") == 2
    assert await counted("10:00:00", "10:00:00.5") == 2
    assert await counted("10:00:00.500000", "10:00:00.500001") == 1
    assert await counted("10:00:00.500001", "10:00:00.500002") == 1
    assert await counted("10:00:00.6", "10:00:00.7") == 0
    assert await counted("09:00:00", "11:00:00") == len(moments)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "1900-01-01T00:00:00Z", "2106-02-07T06:28:16Z", "9998-12-31T23:59:59Z"])
@pytest.mark.parametrize("size", ["MINUTE", "HOUR", "DAY", "MONTH"])
async def test_times_far_away_count_in_their_window(om, unique, moment, size):
    await om.meters.create({"slug": unique, "aggregation": "COUNT", "eventType": unique})
    await om.events.ingest_event(event(unique, "1", moment))
    (row,) = exact(await om.meters.query_json(unique, cls=raw, window_size=size))["data"]
    assert row["value"] == 1 and at(row["windowStart"]) <= at(moment) < at(row["windowEnd"])
