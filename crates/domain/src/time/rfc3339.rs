//! Reads the ordinary forms of a date-time by arithmetic alone.

use super::Instant;

const MICROS_PER_SECOND: i64 = 1_000_000;

/// The moment, if the text is in the form `YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm)`, exists, and needs no thought. What
/// is declined may be good or bad; the calendar library decides about it.
pub(super) fn read_plain(text: &[u8]) -> Option<Instant> {
    let (head, rest) = text.split_first_chunk::<19>()?;
    let [_, _, _, _, b'-', _, _, b'-', _, _, b'T', _, _, b':', _, _, b':', _, _] = head else { return None };
    let year = pair(head, 0)? * 100 + pair(head, 2)?;
    let (month, day) = (pair(head, 5)?, pair(head, 8)?);
    let (hour, minute, second) = (pair(head, 11)?, pair(head, 14)?, pair(head, 17)?);
    let exists = (1..=9998).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !exists {
        return None;
    }
    let seconds = (days_since_1970(year, month, day) * 24 + hour) * 3600 + minute * 60 + second;
    let (micros, zone) = fraction(rest)?;
    Instant::from_micros((seconds - offset_seconds(zone)?) * MICROS_PER_SECOND + micros)
}

/// The microseconds of a fraction of at most six digits, and what comes after it.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', digits)) = rest.split_first() else { return Some((0, rest)) };
    let count = digits.iter().take_while(|digit| digit.is_ascii_digit()).count();
    if count == 0 || count > 6 {
        return None;
    }
    let value = digits[..count].iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    Some((value * 10_i64.pow(6 - count as u32), &digits[count..]))
}

fn offset_seconds(zone: &[u8]) -> Option<i64> {
    let sign = match zone {
        b"Z" => return Some(0),
        [b'+', _, _, b':', _, _] => 1,
        [b'-', _, _, b':', _, _] => -1,
        _ => return None,
    };
    let (hours, minutes) = (pair(zone, 1)?, pair(zone, 4)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn pair(text: &[u8], at: usize) -> Option<i64> {
    let digit = |at: usize| text.get(at).filter(|digit| digit.is_ascii_digit()).map(|digit| i64::from(digit - b'0'));
    Some(digit(at)? * 10 + digit(at + 1)?)
}

fn days_of(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the Gregorian calendar, counted in years that begin in March, so that a leap day is the last of its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    365 * year + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = String> {
        let date = (0u32..10_000, 0u32..14, 0u32..33);
        let time = (0u32..26, 0u32..62, 0u32..62);
        let fraction = prop_oneof![Just(String::new()), "\\.[0-9]{0,10}"];
        let zone = prop_oneof![3 => Just("Z".to_string()), 3 => "[+-][0-2][0-9]:[0-6][0-9]", 1 => "[zZ+-]?[0-9:]{0,6}"];
        (date, time, fraction, zone).prop_map(|((y, mo, d), (h, mi, s), fraction, zone)| {
            format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}{fraction}{zone}")
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn agrees_with_the_calendar_library(text in text(), cut in 0usize..40, junk in prop::option::of("[0-9TZ:.é-]")) {
            let mut broken: String = text.chars().take(cut).collect();
            broken.extend(junk);
            broken.extend(text.chars().skip(cut + 1));
            for text in [text, broken] {
                if let Some(instant) = read_plain(text.as_bytes()) {
                    prop_assert_eq!(Instant::parse_carefully(&text), Ok(instant), "{}", text);
                }
            }
        }
    }

    #[test]
    fn ordinary_times_are_not_declined() {
        for text in [
            "2024-02-29T10:00:00Z",
            "2024-05-01T10:00:00.123Z",
            "1969-12-31T23:59:59.999999Z",
            "2000-01-01T00:00:00.5+05:30",
            "0001-01-01T00:00:00Z",
            "9998-12-31T23:59:59-08:00",
        ] {
            let want = Instant::parse_carefully(text);
            assert_eq!(read_plain(text.as_bytes()), want.ok(), "{text}");
        }
        assert_eq!(read_plain(b"2023-02-29T10:00:00Z"), None);
    }
}
