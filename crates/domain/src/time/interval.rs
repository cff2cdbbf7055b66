//! Calendar intervals, and the boundaries that repeating one makes.

use super::{Instant, Period};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span};
use std::fmt;

const MICROS_PER_SECOND: i64 = 1_000_000;
const HOUR: i64 = 3600 * MICROS_PER_SECOND;
const DAY: i64 = 24 * HOUR;
/// The mean month of the calendar, in microseconds: 400 years are 146,097 days.
const MEAN_MONTH: i128 = 146_097 * DAY as i128 / 4800;
/// The largest number in front of a unit, so that no sum overflows.
const MOST: u32 = 999_999;

/// A length of time in calendar units: an ISO 8601 duration with whole numbers. At least an hour long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interval {
    years: u32,
    months: u32,
    weeks: u32,
    days: u32,
    hours: u32,
    minutes: u32,
    seconds: u32,
}

/// Why a text is no interval.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntervalError {
    /// Not in the accepted form.
    #[error(
        "{0:?} is no interval: use DAY, WEEK, MONTH, YEAR or an ISO 8601 duration of whole numbers such as P2W or P1M15D"
    )]
    Form(String),
    /// Not a duration whose length is the same everywhere.
    #[error(
        "{0:?} is no exact duration: use an ISO 8601 duration of whole weeks, days, hours, minutes and seconds such as PT90S"
    )]
    NotExact(String),
    /// Shorter than an hour.
    #[error("the interval {0} is shorter than an hour")]
    TooShort(String),
}

impl Interval {
    const NONE: Interval = Interval { years: 0, months: 0, weeks: 0, days: 0, hours: 0, minutes: 0, seconds: 0 };
    /// A day.
    pub const DAY: Interval = Interval { days: 1, ..Self::NONE };
    /// A week.
    pub const WEEK: Interval = Interval { weeks: 1, ..Self::NONE };
    /// A month.
    pub const MONTH: Interval = Interval { months: 1, ..Self::NONE };
    /// A year.
    pub const YEAR: Interval = Interval { years: 1, ..Self::NONE };
    const NAMED: [(&'static str, Interval); 4] =
        [("DAY", Self::DAY), ("WEEK", Self::WEEK), ("MONTH", Self::MONTH), ("YEAR", Self::YEAR)];

    /// Parses `DAY`, `WEEK`, `MONTH`, `YEAR` in any case, or an ISO 8601 duration.
    pub fn parse(text: &str) -> Result<Self, IntervalError> {
        if let Some((_, interval)) = Self::NAMED.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return Ok(*interval);
        }
        let interval = parse_iso(text).ok_or_else(|| IntervalError::Form(text.chars().take(64).collect()))?;
        match interval.least_micros() >= i128::from(HOUR) {
            true => Ok(interval),
            false => Err(IntervalError::TooShort(interval.to_string())),
        }
    }

    /// `DAY`, `WEEK`, `MONTH` or `YEAR` if it is exactly that.
    pub fn name(&self) -> Option<&'static str> {
        Self::NAMED.iter().find(|(_, interval)| interval == self).map(|(name, _)| *name)
    }

    /// About how many of them there are between two instants; none if the first is not before the second.
    pub fn about_how_many(&self, from: Instant, to: Instant) -> u64 {
        let between = i128::from(to.as_micros()) - i128::from(from.as_micros());
        // It is at least an hour long.
        u64::try_from(between / self.mean_micros().max(1)).unwrap_or(0)
    }

    fn months(&self) -> i64 {
        i64::from(self.years) * 12 + i64::from(self.months)
    }

    fn days(&self) -> i64 {
        i64::from(self.weeks) * 7 + i64::from(self.days)
    }

    fn clock_micros(&self) -> i64 {
        let minutes = i64::from(self.hours) * 60 + i64::from(self.minutes);
        (minutes * 60 + i64::from(self.seconds)) * MICROS_PER_SECOND
    }

    /// Its length if every month had 28 days.
    fn least_micros(&self) -> i128 {
        i128::from(self.months() * 28 + self.days()) * i128::from(DAY) + i128::from(self.clock_micros())
    }

    fn mean_micros(&self) -> i128 {
        let fixed = i128::from(self.days()) * i128::from(DAY) + i128::from(self.clock_micros());
        i128::from(self.months()) * MEAN_MONTH + fixed
    }

    /// `number` intervals after an instant, all of them added at once; a day that the month does not have is its last.
    /// `None` outside of the years that are stored.
    fn after(&self, anchor: Instant, number: i64) -> Option<Instant> {
        let months = Span::new().try_months(self.months().checked_mul(number)?).ok()?;
        let days = Span::new().try_days(self.days().checked_mul(number)?).ok()?;
        let clock = SignedDuration::from_micros(self.clock_micros().checked_mul(number)?);
        let civil: DateTime = anchor.to_timestamp().to_zoned(TimeZone::UTC).datetime();
        let moved = civil.checked_add(months).ok()?.checked_add(days).ok()?.checked_add(clock).ok()?;
        Instant::from_timestamp(TimeZone::UTC.to_timestamp(moved).ok()?)
    }
}

impl fmt::Display for Interval {
    /// ISO 8601, each unit as it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("P")?;
        for (number, unit) in [(self.years, 'Y'), (self.months, 'M'), (self.weeks, 'W'), (self.days, 'D')] {
            if number > 0 {
                write!(f, "{number}{unit}")?;
            }
        }
        let clock = [(self.hours, 'H'), (self.minutes, 'M'), (self.seconds, 'S')];
        if clock.iter().any(|(number, _)| *number > 0) {
            f.write_str("T")?;
        }
        clock.iter().filter(|(number, _)| *number > 0).try_for_each(|(number, unit)| write!(f, "{number}{unit}"))
    }
}

/// The length of an ISO 8601 duration of whole weeks, days of 24 hours, hours, minutes and seconds, in microseconds.
///
/// # Errors
/// [`IntervalError::NotExact`] for other texts, also for those with months and years, which have no exact length.
pub fn exact_micros(text: &str) -> Result<i64, IntervalError> {
    let form = || IntervalError::NotExact(text.chars().take(64).collect());
    let interval = parse_iso(text).filter(|interval| interval.months() == 0).ok_or_else(form)?;
    i64::try_from(interval.mean_micros()).map_err(|_| form())
}

fn parse_iso(text: &str) -> Option<Interval> {
    let rest = text.strip_prefix('P')?;
    let (calendar, clock) = match rest.split_once('T') {
        Some((_, "")) => return None,
        Some((calendar, clock)) => (calendar, clock),
        None => (rest, ""),
    };
    if calendar.is_empty() && clock.is_empty() {
        return None;
    }
    let [years, months, weeks, days] = numbers(calendar, ['Y', 'M', 'W', 'D'])?;
    let [hours, minutes, seconds] = numbers(clock, ['H', 'M', 'S'])?;
    Some(Interval { years, months, weeks, days, hours, minutes, seconds })
}

/// Numbers in front of units, each unit once at most and in this order.
fn numbers<const N: usize>(mut text: &str, units: [char; N]) -> Option<[u32; N]> {
    let mut found = [0; N];
    let mut first = 0;
    while !text.is_empty() {
        let end = text.find(|c: char| !c.is_ascii_digit())?;
        let number: u32 = text[..end].parse().ok().filter(|number| *number <= MOST)?;
        let unit = text[end..].chars().next()?;
        let place = first + units[first..].iter().position(|known| *known == unit)?;
        found[place] = number;
        first = place + 1;
        text = &text[end + unit.len_utf8()..];
    }
    Some(found)
}

/// An interval that repeats, before its anchor too: boundary *n* is the anchor and *n* intervals, never the boundary before
/// and one, so nothing drifts at the ends of months.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Recurrence {
    /// The interval.
    pub interval: Interval,
    /// A boundary.
    pub anchor: Instant,
}

impl Recurrence {
    /// The period that holds an instant. At the ends of the stored years it is cut there.
    pub fn period_of(&self, instant: Instant) -> Period {
        let number = self.number_of(instant);
        Period { from: self.boundary(number), to: self.boundary(number + 1) }
    }

    /// The boundaries in `[from, to)`, ascending.
    pub fn boundaries(&self, from: Instant, to: Instant) -> impl Iterator<Item = Instant> + use<> {
        let this = *self;
        let first = match self.number_of(from) {
            number if self.boundary(number) == from => number,
            number => number + 1,
        };
        let numbers = (first..).map(move |number| this.interval.after(this.anchor, number));
        numbers.map_while(|boundary| boundary).take_while(move |boundary| *boundary < to)
    }

    /// The first boundary that is not before an instant, if there is one in the stored years.
    pub fn next_from(&self, instant: Instant) -> Option<Instant> {
        self.boundaries(instant, Instant::MAX).next()
    }

    fn boundary(&self, number: i64) -> Instant {
        let outside = if number < 0 { Instant::MIN } else { Instant::MAX };
        self.interval.after(self.anchor, number).unwrap_or(outside)
    }

    /// The number of the last boundary that is not after an instant.
    fn number_of(&self, instant: Instant) -> i64 {
        let distance = i128::from(instant.as_micros()) - i128::from(self.anchor.as_micros());
        let estimate = distance.div_euclid(self.interval.mean_micros());
        let mut number = i64::try_from(estimate).unwrap_or(i64::MAX / 2);
        while self.boundary(number) > instant {
            number -= 1;
        }
        while self.boundary(number + 1) <= instant && self.boundary(number + 1) < Instant::MAX {
            number += 1;
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Instant {
        Instant::parse_rfc3339(&format!("{text}Z")).unwrap()
    }

    fn every(interval: &str, anchor: &str) -> Recurrence {
        Recurrence { interval: Interval::parse(interval).unwrap(), anchor: at(anchor) }
    }

    #[test]
    fn an_exact_duration_has_no_months() {
        for (text, micros) in [("PT1S", 1_000_000), ("P1DT90M", 91_800_000_000), ("P1W", 604_800_000_000), ("PT0S", 0)]
        {
            assert_eq!(exact_micros(text), Ok(micros), "{text}");
        }
        for text in ["P1M", "P1Y", "PT", "DAY", "1h", "PT1.5S", "PT1H1D", "PT999999999S"] {
            assert!(matches!(exact_micros(text), Err(IntervalError::NotExact(_))), "{text}");
        }
    }

    #[test]
    fn words_and_durations_are_read_and_written_as_they_were() {
        for (text, shown, name) in [
            ("MONTH", "P1M", Some("MONTH")),
            ("day", "P1D", Some("DAY")),
            ("P1W", "P1W", Some("WEEK")),
            ("P7D", "P7D", None),
            ("P1Y", "P1Y", Some("YEAR")),
            ("P2W", "P2W", None),
            ("PT12H", "PT12H", None),
            ("P1M15D", "P1M15D", None),
            ("P1Y2M3W4DT5H6M7S", "P1Y2M3W4DT5H6M7S", None),
            ("PT3600S", "PT3600S", None),
        ] {
            let interval = Interval::parse(text).unwrap();
            assert_eq!((interval.to_string().as_str(), interval.name()), (shown, name), "{text}");
        }
        for text in [
            "",
            "P",
            "PT",
            "P1",
            "1D",
            "P-1D",
            "P1.5D",
            "P1D1M",
            "P1DT",
            "P1D1D",
            "PT1D",
            "FORTNIGHT",
            "P9999999D",
            "P1é",
        ] {
            assert!(matches!(Interval::parse(text), Err(IntervalError::Form(_))), "{text}");
        }
        for text in ["PT59M", "PT3599S", "P0D", "PT0S"] {
            assert!(matches!(Interval::parse(text), Err(IntervalError::TooShort(_))), "{text}");
        }
    }

    #[test]
    fn the_ends_of_months_are_not_left_for_good() {
        let monthly = every("P1M", "2025-01-31T15:00:00");
        for (time, from, to) in [
            ("2025-08-13T20:00:00", "2025-07-31T15:00:00", "2025-08-31T15:00:00"),
            ("2025-09-30T15:00:00", "2025-09-30T15:00:00", "2025-10-31T15:00:00"),
            ("2025-02-28T14:59:59", "2025-01-31T15:00:00", "2025-02-28T15:00:00"),
            ("2024-02-29T15:00:00", "2024-02-29T15:00:00", "2024-03-31T15:00:00"),
        ] {
            assert_eq!(monthly.period_of(at(time)), Period { from: at(from), to: at(to) }, "{time}");
        }
        let from_the_30th = every("MONTH", "2025-01-30T15:00:00").period_of(at("2025-02-13T20:00:00"));
        assert_eq!(from_the_30th, Period { from: at("2025-01-30T15:00:00"), to: at("2025-02-28T15:00:00") });
        let boundaries: Vec<_> = monthly.boundaries(at("2025-02-28T15:00:00"), at("2025-04-30T15:00:00")).collect();
        assert_eq!(boundaries, [at("2025-02-28T15:00:00"), at("2025-03-31T15:00:00")]);
        assert_eq!(monthly.next_from(at("2025-02-28T15:00:01")), Some(at("2025-03-31T15:00:00")));
    }

    #[test]
    fn the_ends_of_the_stored_years_cut() {
        let yearly = every("P1Y", "2025-06-01T00:00:00");
        assert_eq!(yearly.period_of(Instant::MIN), Period { from: Instant::MIN, to: at("0001-06-01T00:00:00") });
        assert_eq!(yearly.period_of(Instant::MAX), Period { from: at("9998-06-01T00:00:00"), to: Instant::MAX });
        assert_eq!(yearly.next_from(at("9998-06-01T00:00:01")), None);
    }

    proptest! {
        #[test]
        fn periods_partition_time(
            anchor in -60_000_000i64..260_000_000,
            minutes in -60_000_000i64..260_000_000,
            parts in (0u32..3, 0u32..30, 0u32..9, 0u32..70, 1u32..50, 0u32..90),
        ) {
            let (years, months, weeks, days, hours, minutes_more) = parts;
            let interval = Interval { years, months, weeks, days, hours, minutes: minutes_more, seconds: 0 };
            let instant = |minutes: i64| Instant::from_micros(minutes * 60_000_000).unwrap();
            let recurrence = Recurrence { interval, anchor: instant(anchor) };
            let time = instant(minutes);
            let period = recurrence.period_of(time);
            prop_assert!(period.contains(time));
            prop_assert_eq!(recurrence.period_of(period.from), period);
            prop_assert_eq!(recurrence.period_of(period.to).from, period.to);
            prop_assert_eq!(Interval::parse(&interval.to_string()).unwrap().to_string(), interval.to_string());
            let inside: Vec<_> = recurrence.boundaries(period.from, period.to).collect();
            prop_assert_eq!(inside, vec![period.from]);
        }
    }
}
