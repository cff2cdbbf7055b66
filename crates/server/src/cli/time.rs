//! Times as people and files write them.

use jiff::civil::{Date, DateTime, Time};
use tallystick_domain::Instant;
use tallystick_domain::time::{TimeError, Zone};

/// The rule for local times, for people.
pub const CLOCK_RULE: &str = "\
A local time that never comes, because the clocks are set forward over it, is taken as much later as they are set (02:30\n\
becomes 03:30); of one that comes twice, because they are set back, the earlier is meant.";

/// An instant as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The instant.
    pub instant: Instant,
    /// Whether the written time never comes on its clock or comes twice, so that a rule decided.
    pub is_gap_or_fold: bool,
}

/// Reads an RFC 3339 time, or a local date or date-time on the clock of `zone`. A date alone is its first moment.
pub fn parse_moment(text: &str, zone: Option<&Zone>) -> Result<Moment, String> {
    let Some(local) = parse_local(text) else {
        let instant = Instant::parse_rfc3339(text).map_err(|error| match error {
            TimeError::Format(_) => not_a_time(text, zone),
            error => error.to_string(),
        })?;
        return Ok(Moment { instant, is_gap_or_fold: false });
    };
    let zone = zone.ok_or_else(|| format!("{text:?} has no offset: say which clock it is on with --time-zone"))?;
    local_moment(local, zone).ok_or_else(|| format!("{text:?} is outside of the years 0001 to 9998"))
}

/// What may be written instead.
fn not_a_time(text: &str, zone: Option<&Zone>) -> String {
    let shown: String = text.chars().take(80).collect();
    let local = match zone {
        Some(_) => "",
        None => "with --time-zone also ",
    };
    format!(
        "{shown:?} is no time or there is no such day: write 2024-01-31T10:00:00Z or 2024-01-31T10:00:00+01:00, \
         {local}2024-01-31, 2024-01-31 10:00 or 2024-01-31T10:00:00"
    )
}

/// The instant of a local time; see [`Zone::instant_of`] for what happens when the clocks are set.
pub fn local_moment(local: DateTime, zone: &Zone) -> Option<Moment> {
    Some(Moment { instant: zone.instant_of(local)?, is_gap_or_fold: zone.is_gap_or_fold(local) })
}

/// Reads `YYYY-MM-DD` and `YYYY-MM-DD[ T]hh:mm[:ss[.fraction]]` without an offset.
fn parse_local(text: &str) -> Option<DateTime> {
    if !text.is_ascii() || text.len() < 10 {
        return None;
    }
    let (date, rest) = text.split_at(10);
    let date = parse_date(date)?;
    if rest.is_empty() {
        return Some(date.to_datetime(Time::midnight()));
    }
    let time = parse_time(rest.strip_prefix([' ', 'T'])?)?;
    Some(date.to_datetime(time))
}

fn parse_date(text: &str) -> Option<Date> {
    let [year, month, day] = fields(text, '-', [4, 2, 2])?;
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

fn parse_time(text: &str) -> Option<Time> {
    let (clock, fraction) = text.split_once('.').map_or((text, None), |(clock, fraction)| (clock, Some(fraction)));
    let [hour, minute, second] = match clock.len() {
        5 if fraction.is_none() => {
            let [hour, minute] = fields(clock, ':', [2, 2])?;
            [hour, minute, 0]
        }
        _ => fields(clock, ':', [2, 2, 2])?,
    };
    let nanosecond = fraction.map_or(Some(0), nanoseconds)?;
    let small = |number: u32| i8::try_from(number).ok();
    Time::new(small(hour)?, small(minute)?, small(second)?, nanosecond).ok()
}

/// The first nine digits of a fraction; what is below a nanosecond is cut off.
fn nanoseconds(digits: &str) -> Option<i32> {
    if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    format!("{:0<9.9}", digits).parse().ok()
}

fn fields<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[u32; N]> {
    let mut numbers = [0; N];
    let mut parts = text.split(separator);
    for (number, width) in numbers.iter_mut().zip(widths) {
        let part = parts.next()?;
        if part.len() != width || !part.bytes().all(|c| c.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str, zone: &str) -> Result<String, String> {
        let zone = Zone::parse(zone).unwrap();
        parse_moment(text, Some(&zone)).map(|moment| moment.instant.to_string())
    }

    #[test]
    fn local_times_are_on_the_clock_of_the_zone() {
        let ny = "America/New_York";
        for (text, expected) in [
            ("2013-01-01", "2013-01-01T05:00:00Z"),
            ("2013-07-01 05:15", "2013-07-01T09:15:00Z"),
            ("2013-07-01T05:15:30", "2013-07-01T09:15:30Z"),
            ("2013-07-01T05:15:30.25", "2013-07-01T09:15:30.25Z"),
            ("2013-07-01T05:15:30Z", "2013-07-01T05:15:30Z"),
            ("2013-07-01T05:15:30+02:00", "2013-07-01T03:15:30Z"),
            // The clocks go from 02:00 to 03:00, and from 02:00 back to 01:00.
            ("2013-03-10 02:30", "2013-03-10T07:30:00Z"),
            ("2013-11-03 01:30", "2013-11-03T05:30:00Z"),
        ] {
            assert_eq!(moment(text, ny).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_day_starts_at_its_first_moment_even_without_a_midnight() {
        assert_eq!(moment("2024-09-08", "America/Santiago").as_deref(), Ok("2024-09-08T04:00:00Z"));
    }

    #[test]
    fn a_local_time_needs_a_zone() {
        assert!(parse_moment("2013-01-01 05:00", None).unwrap_err().contains("--time-zone"));
        assert!(parse_moment("2013-01-01T05:00:00Z", None).is_ok());
    }

    #[test]
    fn a_time_that_a_rule_decided_is_marked() {
        let zone = Zone::parse("America/New_York").unwrap();
        for (text, marked) in [
            ("2013-03-10 02:30", true),
            ("2013-03-10 03:00", false),
            ("2013-11-03 01:30", true),
            ("2013-11-03 02:00", false),
            ("2013-11-03T01:30:00-05:00", false),
        ] {
            assert_eq!(parse_moment(text, Some(&zone)).unwrap().is_gap_or_fold, marked, "{text}");
        }
    }

    #[test]
    fn the_forms_that_are_allowed_are_named() {
        let with = parse_moment("yesterday", Some(&Zone::UTC)).unwrap_err();
        assert!(with.contains("2024-01-31, 2024-01-31 10:00") && !with.contains("--time-zone"), "{with}");
        let without = parse_moment("31/01/2024", None).unwrap_err();
        assert!(without.contains("with --time-zone also 2024-01-31"), "{without}");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2013",
            "2013-1-1",
            "2013-02-30",
            "2013-01-01 24:00",
            "2013-01-01 5:00",
            "2013-01-01 05:00 ",
            "2013-01-01T05:00:00.",
            "2013-01-01T05:60",
            "2013-01-01x05:00",
            "٢013-01-01",
            "2013-01-01 05:00.5",
        ] {
            assert!(moment(text, "UTC").is_err(), "{text:?}");
        }
    }
}
