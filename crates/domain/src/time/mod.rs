//! Instants, and windows of the calendar or between cuts.
//!
//! Invariant: periods are half-open `[from, to)`; all zone arithmetic happens here.

mod cuts;
mod interval;
mod period;
mod rfc3339;
mod window;

pub use cuts::Cuts;
pub use interval::{Interval, IntervalError, Recurrence, exact_micros};
pub use period::Period;
pub use window::{CalendarWindows, Window, WindowSize, Windows, Zone};

use jiff::Timestamp;
use std::fmt;

/// A point in time with microsecond resolution, between the years 1 and 9998.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(i64);

/// Why a text or number is no usable instant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not in the one accepted form.
    #[error(
        "{0:?} is not an RFC 3339 date-time such as 2024-01-31T10:00:00Z: uppercase T, seconds and an offset are required"
    )]
    Format(String),
    /// In the right form, but there is no such moment, for example a 31st of April or a leap second.
    #[error("{0:?} is not a moment that exists")]
    NoSuchMoment(String),
    /// Outside of the years that are stored.
    #[error("{0:?} is outside of the years 0001 to 9998")]
    OutOfRange(String),
    /// A zone that the IANA database does not have.
    #[error("unknown time zone {0:?}: use an IANA name such as Europe/Budapest")]
    UnknownZone(String),
}

impl Instant {
    /// 0001-01-01T00:00:00Z.
    pub const MIN: Instant = Instant(-62_135_596_800_000_000);
    /// The last microsecond of the year 9998, which leaves room for the window around it.
    pub const MAX: Instant = Instant(253_370_764_799_999_999);

    /// An instant from microseconds since 1970, if it lies in the stored years.
    pub fn from_micros(micros: i64) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&micros).then_some(Self(micros))
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// From the calendar library's timestamp; below a microsecond is cut off.
    pub fn from_timestamp(timestamp: Timestamp) -> Option<Self> {
        Self::from_micros(timestamp.as_microsecond())
    }

    /// As the calendar library's timestamp.
    pub fn to_timestamp(self) -> Timestamp {
        // Every stored instant lies inside of the library's range of years.
        Timestamp::from_microsecond(self.0).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Parses `YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm)` and nothing looser. Below a microsecond is cut off.
    pub fn parse_rfc3339(text: &str) -> Result<Self, TimeError> {
        match rfc3339::read_plain(text.as_bytes()) {
            Some(instant) => Ok(instant),
            None => Self::parse_carefully(text),
        }
    }

    fn parse_carefully(text: &str) -> Result<Self, TimeError> {
        if !has_rfc3339_form(text.as_bytes()) {
            return Err(TimeError::Format(shortened(text)));
        }
        // The library reads a leap second as the second before it, so two different texts would become one moment, and
        // offsets of up to 25 hours, of which RFC 3339 knows none.
        let offset_is_sound =
            text.ends_with('Z') || (&text[text.len() - 5..text.len() - 3] < "24" && &text[text.len() - 2..] < "60");
        if &text[17..19] == "60" || !offset_is_sound {
            return Err(TimeError::NoSuchMoment(shortened(text)));
        }
        // The calendar library reads at most nine digits of a fraction; the digits after them cannot matter.
        let fraction_len = text[19..].bytes().skip(1).take_while(u8::is_ascii_digit).count();
        let tail_at = if text.as_bytes()[19] == b'.' { 20 + fraction_len } else { 19 };
        let parsed = match fraction_len > 9 && tail_at > 19 {
            true => format!("{}{}", &text[..29], &text[tail_at..]).parse(),
            false => text.parse(),
        };
        let timestamp: Timestamp = parsed.map_err(|_| match text.starts_with("9999") {
            true => TimeError::OutOfRange(shortened(text)),
            false => TimeError::NoSuchMoment(shortened(text)),
        })?;
        Self::from_timestamp(timestamp).ok_or_else(|| TimeError::OutOfRange(shortened(text)))
    }

    /// The start of the minute (UTC) that holds this instant.
    pub fn floor_minute(self) -> Self {
        Self(self.0.div_euclid(60_000_000) * 60_000_000)
    }

    /// This instant if a minute (UTC) begins with it, or the start of the next.
    pub fn ceil_minute(self) -> Self {
        self.saturating_add_micros(59_999_999).floor_minute()
    }

    /// The start of the millisecond that holds this instant.
    pub fn floor_millisecond(self) -> Self {
        Self(self.0.div_euclid(1000) * 1000)
    }

    /// The beginning of its second.
    pub fn floor_second(self) -> Self {
        Self(self.0.div_euclid(1_000_000) * 1_000_000).max(Self::MIN)
    }

    /// This instant moved by microseconds, held inside of the stored years.
    pub fn saturating_add_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros).clamp(Self::MIN.0, Self::MAX.0))
    }
}

impl fmt::Display for Instant {
    /// RFC 3339 in UTC, the fraction without trailing zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_timestamp().fmt(f)
    }
}

fn has_rfc3339_form(text: &[u8]) -> bool {
    const HEAD: &[u8; 19] = b"dddd-dd-ddTdd:dd:dd";
    let fits = |pattern: &[u8], part: &[u8]| {
        pattern.len() == part.len()
            && pattern.iter().zip(part).all(|(p, c)| if *p == b'd' { c.is_ascii_digit() } else { p == c })
    };
    if text.len() < 20 || !fits(HEAD, &text[..19]) {
        return false;
    }
    let rest = &text[19..];
    let after_fraction = match rest.split_first() {
        Some((b'.', digits)) => {
            let count = digits.iter().take_while(|c| c.is_ascii_digit()).count();
            if count == 0 {
                return false;
            }
            &digits[count..]
        }
        _ => rest,
    };
    after_fraction == b"Z" || fits(b"+dd:dd", after_fraction) || fits(b"-dd:dd", after_fraction)
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        Instant::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn reads_the_one_form_with_any_offset_and_keeps_microseconds() {
        assert_eq!(at("2024-05-01T10:00:00.5Z").to_string(), "2024-05-01T10:00:00.5Z");
        assert_eq!(at("2024-05-01T10:00:00.123456789Z").to_string(), "2024-05-01T10:00:00.123456Z");
        assert_eq!(at("2024-05-01T10:00:00+14:00").to_string(), "2024-04-30T20:00:00Z");
        assert_eq!(at("2024-05-01T10:00:00.12345678901234+01:00").to_string(), "2024-05-01T09:00:00.123456Z");
        assert_eq!(at("0001-01-01T00:00:00Z"), Instant::MIN);
        assert_eq!(at("9998-12-31T23:59:59.999999Z"), Instant::MAX);
        assert_eq!(at("1969-12-31T23:59:59.9Z").as_micros(), -100_000);
    }

    #[test]
    fn names_what_is_wrong_with_a_time() {
        for text in [
            "",
            "2024-05-01",
            "2024-05-01T10:00:00",
            "2024-05-01t10:00:00Z",
            "2024-05-01T10:00:00z",
            "2024-05-01T10:00Z",
            "2024-05-01T10:00:00.Z",
            "2024-05-01 10:00:00Z",
            "2024-05-01T10:00:00+0100",
            "٢024-05-01T10:00:00Z",
        ] {
            assert!(matches!(Instant::parse_rfc3339(text), Err(TimeError::Format(_))), "{text}");
        }
        for text in [
            "2024-04-31T00:00:00Z",
            "2024-05-01T10:00:60Z",
            "2024-13-01T00:00:00Z",
            "2024-05-01T25:00:00Z",
            "2024-05-01T10:00:00+99:00",
            "2024-05-01T10:00:00+24:00",
            "2024-05-01T10:00:00-25:00",
            "2024-05-01T10:00:00+01:60",
        ] {
            assert!(matches!(Instant::parse_rfc3339(text), Err(TimeError::NoSuchMoment(_))), "{text}");
        }
        for text in ["9999-12-31T23:59:59Z", "9999-01-01T00:00:00Z", "0000-12-31T23:59:59Z"] {
            assert!(matches!(Instant::parse_rfc3339(text), Err(TimeError::OutOfRange(_))), "{text}");
        }
    }

    #[test]
    fn milliseconds_are_floored_before_1970_too() {
        assert_eq!(at("1969-12-31T23:59:59.9999Z").floor_millisecond(), at("1969-12-31T23:59:59.999Z"));
        assert_eq!(Instant::MIN.floor_millisecond(), Instant::MIN);
        assert_eq!(Instant::MAX.floor_millisecond(), at("9998-12-31T23:59:59.999Z"));
    }

    #[test]
    fn minutes_are_floored_before_1970_too() {
        assert_eq!(at("1969-12-31T23:59:30Z").floor_minute(), at("1969-12-31T23:59:00Z"));
        assert_eq!(at("2024-01-01T00:00:00Z").floor_minute(), at("2024-01-01T00:00:00Z"));
        assert_eq!(at("2024-01-01T00:00:00Z").ceil_minute(), at("2024-01-01T00:00:00Z"));
        assert_eq!(at("1969-12-31T23:58:00.000001Z").ceil_minute(), at("1969-12-31T23:59:00Z"));
    }
}
