//! Durations: ISO 8601 texts of days, hours, minutes and seconds, to the microsecond.

use super::error::EvaluationError;
use super::evaluate::{Evaluated, Run, unfit};
use super::operator::Operator;
use super::value::Value;
use crate::Instant;
use crate::quantity::Quantity;

const SECOND: i128 = 1_000_000;
/// The names of units and their microseconds.
const UNITS: [(&str, i128); 5] = [
    ("MILLIS", 1000),
    ("SECONDS", SECOND),
    ("MINUTES", 60 * SECOND),
    ("HOURS", 3600 * SECOND),
    ("DAYS", 86_400 * SECOND),
];
/// The longest duration that is made, about 290 000 years.
const LONGEST: i128 = i64::MAX as i128;
/// Digits of one number of a duration: with more, it is longer than any two moments are apart.
const MAX_DIGITS: usize = 18;

impl<'v> Run<'v> {
    /// `duration.of`: so many units; null if it is no whole number.
    pub(super) fn duration_of(&mut self, count: &Value<'v>, unit: &Value<'v>) -> Evaluated<'v> {
        let unit = unit_micros(Operator::DurationOf, unit)?;
        let Some(count) = self.number(count)?.filter(Quantity::is_whole) else { return Ok(Value::Null) };
        let micros = count.mantissa().checked_mul(unit).filter(|micros| micros.abs() <= LONGEST);
        micros.map(written).ok_or(EvaluationError::OutOfRange { operator: Operator::DurationOf.name() })
    }

    /// `duration.between`: from one moment to another, negative if that is earlier; null if one of them is none.
    pub(super) fn duration_between(&mut self, from: &Value<'v>, to: &Value<'v>) -> Evaluated<'v> {
        let moment = |value: &Value<'v>| value.text().and_then(|text| Instant::parse_rfc3339(text).ok());
        self.spend_text(from.text().map_or(0, str::len) + to.text().map_or(0, str::len))?;
        Ok(match (moment(from), moment(to)) {
            (Some(from), Some(to)) => written(i128::from(to.as_micros()) - i128::from(from.as_micros())),
            _ => Value::Null,
        })
    }

    /// `duration.as`: the whole units in a duration, towards zero; null if it is none.
    pub(super) fn duration_as(&mut self, duration: &Value<'v>, unit: &Value<'v>) -> Evaluated<'v> {
        let unit = unit_micros(Operator::DurationAs, unit)?;
        self.spend_text(duration.text().map_or(0, str::len))?;
        let Some(micros) = duration.text().and_then(read) else { return Ok(Value::Null) };
        let whole = Quantity::from_parts(micros / unit, 0);
        whole.map(Value::Number).map_err(|_| EvaluationError::OutOfRange { operator: Operator::DurationAs.name() })
    }
}

fn unit_micros(operator: Operator, unit: &Value<'_>) -> Result<i128, EvaluationError> {
    let known = unit.text().and_then(|name| UNITS.iter().find(|(unit, _)| *unit == name));
    known.map(|(_, micros)| *micros).ok_or_else(|| unfit(operator, "MILLIS, SECONDS, MINUTES, HOURS or DAYS", unit))
}

/// The text of a duration: hours, minutes and seconds that are not zero, each with its sign.
fn written<'v>(micros: i128) -> Value<'v> {
    let (hours, minutes) = (micros / (3600 * SECOND), micros / (60 * SECOND) % 60);
    let rest = micros % (60 * SECOND);
    let mut text = String::from("PT");
    for (count, letter) in [(hours, 'H'), (minutes, 'M')] {
        if count != 0 {
            text.push_str(&count.to_string());
            text.push(letter);
        }
    }
    if rest != 0 || micros == 0 {
        // A number of seconds has few digits.
        let seconds = Quantity::from_parts(rest, 6).unwrap_or(Quantity::ZERO);
        text.push_str(&format!("{seconds}S"));
    }
    Value::MadeText(text.into())
}

/// The microseconds of `[-]P[nD][T[nH][nM][n[.f]S]]`, where each number may have a sign. Below a microsecond is cut off.
fn read(text: &str) -> Option<i128> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (date, time) = match unsigned.strip_prefix('P')?.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (unsigned.strip_prefix('P')?, ""),
    };
    let (days, rest) = component(date, 'D', 86_400 * SECOND)?;
    let (hours, after_hours) = component(time, 'H', 3600 * SECOND)?;
    let (minutes, after_minutes) = component(after_hours, 'M', 60 * SECOND)?;
    let (seconds, end) = seconds(after_minutes)?;
    if !rest.is_empty() || !end.is_empty() || (date.is_empty() && time.is_empty()) {
        return None;
    }
    // Each is a number of 18 digits times less than 10^11.
    let total = days + hours + minutes + seconds;
    Some(if text.starts_with('-') { -total } else { total })
}

/// A number before a letter, and what comes after it; nothing if that letter does not come next.
fn component(text: &str, letter: char, unit: i128) -> Option<(i128, &str)> {
    match text.split_once(letter) {
        Some((count, rest)) => Some((whole(count)? * unit, rest)),
        None => Some((0, text)),
    }
}

fn seconds(text: &str) -> Option<(i128, &str)> {
    let Some((count, rest)) = text.split_once('S') else { return Some((0, text)) };
    let (count, fraction) = count.split_once('.').unwrap_or((count, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let micros: i128 = format!("{fraction:0<6}")[..6].parse().ok()?;
    let sign = if count.starts_with('-') { -1 } else { 1 };
    Some((whole(count)? * SECOND + sign * micros, rest))
}

fn whole(text: &str) -> Option<i128> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_sound = (1..=MAX_DIGITS).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_sound.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_forms_of_iso_8601_and_nothing_else() {
        for (text, want) in [
            ("PT0S", 0),
            ("PT1M40S", 100 * SECOND),
            ("PT2400H", 2400 * 3600 * SECOND),
            ("P1D", 86_400 * SECOND),
            ("P1DT-1H", 23 * 3600 * SECOND),
            ("-PT1.5S", -1_500_000),
            ("PT-0.5S", -500_000),
            ("PT0.0000019S", 1),
        ] {
            assert_eq!(read(text), Some(want), "{text}");
        }
        for bad in [
            "", "P", "PT", "P1DT", "1H", "PT1", "PT1H1D", "PT1M1H", "P1M", "P1Y", "P1W", "PT1.5H", "PT.5S", "PT1S ",
            "PT--1S", "PTé",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(read("PT9999999999999999999H"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(micros in any::<i64>()) {
            let Value::MadeText(text) = written(i128::from(micros)) else { panic!("a text") };
            prop_assert_eq!(read(&text), Some(i128::from(micros)), "{}", text);
        }

        #[test]
        fn never_panics_on_any_text(text in "\\PC{0,20}|-?P[-0-9.DTHMS]{0,40}") {
            let _ = read(&text);
        }
    }
}
