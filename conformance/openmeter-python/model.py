"""What a meter must answer, computed in the plainest way: one event after the other, in exact decimals.

It shares nothing with the server: JSON by `json`, numbers by `decimal`, clocks by `zoneinfo`.
"""

import dataclasses
import datetime
import decimal
import json
import re
from decimal import Decimal
from zoneinfo import ZoneInfo

UTC = datetime.timezone.utc
LARGEST_MANTISSA = 2**96 - 1
LARGEST_SCALE = 28
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
_MISSING = object()
_EXACT = decimal.Context(prec=400, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)


@dataclasses.dataclass(frozen=True)
class Sent:
    """An event as it was sent; `data` is JSON text or `None`."""

    id: str
    subject: str
    time: datetime.datetime
    data: str | None
    source: str

    def body(self, event_type: str) -> str:
        """The event as CloudEvents JSON, with its numbers digit for digit."""
        attributes = {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": event_type,
            "subject": self.subject,
            "time": self.time.isoformat(),
        }
        return json.dumps(attributes)[:-1] + (f', "data": {self.data}}}' if self.data is not None else "}")

    def value(self, name: str | None):
        """The property of the data; the whole event when there is no name."""
        if self.data is None or name is None:
            return _MISSING
        return json.loads(self.data, parse_float=Decimal, parse_int=Decimal).get(name, _MISSING)


@dataclasses.dataclass(frozen=True)
class Question:
    """A meter query. Dimensions are names of properties, or `subject`."""

    aggregation: str
    value: str | None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    window: str | None = None
    zone: str = "UTC"
    group_by: tuple[str, ...] = ()
    subjects: tuple[str, ...] | None = None
    keeps: tuple = ()  # pairs of a dimension and a predicate on its text

    def dimensions(self) -> tuple[str, ...]:
        """What rows are grouped by: asking for subjects implies a row for each."""
        implied = ("subject",) if self.subjects is not None and "subject" not in self.group_by else ()
        return self.group_by + implied


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of an answer, in a form that can be compared."""

    start: datetime.datetime
    end: datetime.datetime
    subject: str | None
    groups: tuple[tuple[str, str], ...]
    value: Decimal


def answer(question: Question, events: list[Sent]) -> list[Row]:
    """All rows, ordered by window and groups."""
    groups: dict = {}
    for event in filter(lambda event: selects(question, event), events):
        sample = sample_of(question, event)
        if sample is not None:
            window = window_of(event.time, question.window, question.zone) if question.window else None
            key = (window, tuple(text_of(name, event) for name in question.dimensions()))
            groups.setdefault(key, []).append((event, sample))
    rows = [row_of(question, window, texts, samples) for (window, texts), samples in groups.items()]
    return sorted(rows, key=sort_key)


def sort_key(row: Row):
    """An order that does not depend on the server's."""
    return row.start, row.end, row.subject or "", row.groups


def selects(question: Question, event: Sent) -> bool:
    """Whether the bounds (half-open) and the filters let the event through."""
    return (
        (question.since is None or question.since <= event.time)
        and (question.until is None or event.time < question.until)
        and (not question.subjects or event.subject in question.subjects)
        and all(keep(text_of(name, event)) for name, keep in question.keeps)
    )


def sample_of(question: Question, event: Sent):
    """What the event contributes; `None` for nothing."""
    if question.aggregation == "COUNT":
        return 1
    value = event.value(question.value)
    return distinct_of(value) if question.aggregation == "UNIQUE_COUNT" else number_of(value)


def row_of(question: Question, window, texts, samples) -> Row:
    """A row from the contributions to its group."""
    groups = dict(zip(question.dimensions(), texts))
    subject = groups.pop("subject", None)
    times = [event.time for event, _ in samples]
    start, end = window or (
        question.since or floor_minute(min(times)),
        question.until or floor_minute(max(times)) + datetime.timedelta(minutes=1),
    )
    return Row(start, end, subject, tuple(sorted(groups.items())), total(question.aggregation, samples))


def total(aggregation: str, samples: list) -> Decimal:
    """The value of a group."""
    values = [value for _, value in samples]
    if aggregation in ("COUNT", "UNIQUE_COUNT"):
        return Decimal(len(values) if aggregation == "COUNT" else len(set(values)))
    if aggregation == "LATEST":
        return max(samples, key=lambda sample: (sample[0].time, sample[0].source, sample[0].id))[1]
    if aggregation in ("MIN", "MAX"):
        return (min if aggregation == "MIN" else max)(values)
    with decimal.localcontext(_EXACT):
        exact_sum = sum(values, Decimal(0))
        return exact_sum if aggregation == "SUM" else rounded(exact_sum / len(values))


def rounded(average: Decimal) -> Decimal:
    """Half away from zero at 18 decimals, or at as many as can be held beside the whole part."""
    candidates = (average.quantize(Decimal(1).scaleb(-digits), decimal.ROUND_HALF_UP) for digits in range(18, -1, -1))
    return next(candidate for candidate in candidates if number_of(candidate) is not None)


def number_of(value) -> Decimal | None:
    """The exact number of a JSON number or numeric string, if it needs no rounding to be held."""
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            return None
        value = Decimal(value)
    if not isinstance(value, Decimal):
        return None
    if value == 0:
        return Decimal(0)
    digits, exponent = significant(value)
    if exponent > LARGEST_SCALE or exponent < -LARGEST_SCALE:
        return None
    mantissa = digits * 10 ** max(exponent, 0)
    return value if mantissa <= LARGEST_MANTISSA else None


def significant(value: Decimal) -> tuple[int, int]:
    """The digits without trailing zeros, and the power of ten that they are multiplied with."""
    _, digits, exponent = value.as_tuple()
    text = "".join(map(str, digits))
    stripped = text.rstrip("0")
    return int(stripped), exponent + len(text) - len(stripped)


def plain(value: Decimal) -> str:
    """The shortest plain digits, if the number can be held exactly."""
    number = number_of(value)
    if number is None:
        return str(value)
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def distinct_of(value) -> str | None:
    """The text that tells values apart; nothing for what is missing, null, an array or an object."""
    return None if value is None or value is _MISSING or isinstance(value, (list, dict)) else scalar_text(value)


def text_of(name: str, event: Sent) -> str:
    """The text of a dimension: missing, array and object are `""`, null is `"null"`."""
    if name == "subject":
        return event.subject
    value = event.value(name)
    if value is None:
        return "null"
    return "" if value is _MISSING or isinstance(value, (list, dict)) else scalar_text(value)


def scalar_text(value) -> str:
    """A string as it is, a number in its shortest form, a boolean in JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return plain(value) if isinstance(value, Decimal) else value


def floor_minute(time: datetime.datetime) -> datetime.datetime:
    """The minute that holds the time."""
    return time.replace(second=0, microsecond=0)


def window_of(time: datetime.datetime, size: str, zone: str) -> tuple[datetime.datetime, datetime.datetime]:
    """The calendar window `[start, end)` in the zone that holds the time."""
    clock = ZoneInfo(zone)
    local = time.astimezone(clock)
    if size in ("MINUTE", "HOUR"):
        length = datetime.timedelta(minutes=1) if size == "MINUTE" else datetime.timedelta(hours=1)
        floored = local.replace(second=0, microsecond=0, **({"minute": 0} if size == "HOUR" else {}))
        start = time - (local.replace(tzinfo=None) - floored.replace(tzinfo=None))
        return start, start + length
    first = local.date().replace(day=1) if size == "MONTH" else local.date()
    if size == "DAY":
        after = first + datetime.timedelta(days=1)
    else:
        after = (first + datetime.timedelta(days=32)).replace(day=1)
    return first_moment(first, clock), first_moment(after, clock)


def first_moment(date: datetime.date, clock: ZoneInfo) -> datetime.datetime:
    """The first moment of a local date; where midnight is skipped, the moment at which the clock jumps."""
    return datetime.datetime.combine(date, datetime.time(), clock).astimezone(UTC)
