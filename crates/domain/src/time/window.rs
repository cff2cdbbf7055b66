//! Windows, which partition time: those of the calendar in a zone, whatever the zone's clocks do, and those between cuts.

use super::{Cuts, Instant, TimeError};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan, Zoned};
use std::fmt;

/// The length of a window of a meter query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WindowSize {
    /// A minute of the local clock.
    Minute,
    /// An hour of the local clock.
    Hour,
    /// From the first moment of a local date to the first moment of the next.
    Day,
    /// From the first moment of a local month to the first moment of the next.
    Month,
}

impl WindowSize {
    /// All sizes, shortest first.
    pub const ALL: [WindowSize; 4] = [WindowSize::Minute, WindowSize::Hour, WindowSize::Day, WindowSize::Month];

    /// The published name, for example `DAY`.
    pub fn as_str(self) -> &'static str {
        match self {
            WindowSize::Minute => "MINUTE",
            WindowSize::Hour => "HOUR",
            WindowSize::Day => "DAY",
            WindowSize::Month => "MONTH",
        }
    }

    /// Parses the published name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.as_str() == text)
    }
}

/// A zone of the IANA database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// UTC.
    pub const UTC: Zone = Zone(TimeZone::UTC);

    /// Looks a zone up by its IANA name.
    pub fn parse(name: &str) -> Result<Self, TimeError> {
        let unknown = || TimeError::UnknownZone(name.chars().take(64).collect());
        // `Local` would make an answer depend on the machine, and the library's `Etc/Unknown` is UTC in disguise.
        let zone = jiff::tz::db().get(name).map_err(|_| unknown())?;
        if zone.is_unknown() { Err(unknown()) } else { Ok(Self(zone)) }
    }

    /// The instant as a text in this zone, with its offset (`2025-03-09T00:00:00-08:00`); UTC as `Z`.
    pub fn format(&self, instant: Instant) -> String {
        if self.0.iana_name().is_none_or(|name| name == "UTC") {
            return instant.to_string();
        }
        let zoned = instant.to_timestamp().to_zoned(self.0.clone());
        format!("{}{}", zoned.datetime(), OffsetText(zoned.offset().seconds()))
    }

    /// The instant of a local civil time. In a gap the time after it is meant, in a fold the earlier of the two.
    pub fn instant_of(&self, local: jiff::civil::DateTime) -> Option<Instant> {
        Instant::from_timestamp(self.0.to_ambiguous_timestamp(local).compatible().ok()?)
    }

    /// Whether a local civil time never comes or comes twice, because the clocks are set forward (a gap) or back (a fold).
    pub fn is_gap_or_fold(&self, local: jiff::civil::DateTime) -> bool {
        self.0.to_ambiguous_timestamp(local).is_ambiguous()
    }
}

struct OffsetText(i32);

impl fmt::Display for OffsetText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, seconds) = if self.0 < 0 { ('-', -self.0) } else { ('+', self.0) };
        write!(f, "{sign}{:02}:{:02}", seconds / 3600, seconds / 60 % 60)
    }
}

/// A half-open window `[from, to)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// First instant inside.
    pub from: Instant,
    /// First instant after.
    pub to: Instant,
}

impl Window {
    /// Whether the instant lies inside.
    pub fn contains(&self, instant: Instant) -> bool {
        self.from <= instant && instant < self.to
    }
}

/// A partition of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Windows {
    /// Windows of one size in one zone.
    Calendar(CalendarWindows),
    /// Windows between instants of any choice.
    Between(Cuts),
}

impl Windows {
    /// Windows of `size` on the clocks of `zone`.
    pub fn new(size: WindowSize, zone: Zone) -> Self {
        Self::Calendar(CalendarWindows { size, zone })
    }

    /// Windows between these instants, in any order, one before the first and one after the last.
    pub fn between(cuts: impl IntoIterator<Item = Instant>) -> Self {
        Self::Between(Cuts::new(cuts))
    }

    /// The window that holds the instant.
    pub fn window_of(&self, instant: Instant) -> Window {
        match self {
            Self::Calendar(windows) => windows.window_of(instant),
            Self::Between(cuts) => cuts.window(cuts.number_of(instant)),
        }
    }
}

/// The partition of time into windows of one size in one zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalendarWindows {
    size: WindowSize,
    zone: Zone,
}

impl CalendarWindows {
    /// Their size.
    pub fn size(&self) -> WindowSize {
        self.size
    }

    /// The window that holds the instant.
    pub fn window_of(&self, instant: Instant) -> Window {
        match self.size {
            WindowSize::Minute => self.clock_window(instant, 60),
            WindowSize::Hour => self.clock_window(instant, 3600),
            WindowSize::Day => self.date_window(instant, 1.day()),
            WindowSize::Month => self.date_window(instant, 1.month()),
        }
    }

    /// A window of the local clock: floored on it, and cut where the clock is set, so that windows never overlap
    /// (they do not where it is set by whole windows, but Lord Howe Island moves by half an hour).
    fn clock_window(&self, instant: Instant, length_s: i64) -> Window {
        let timestamp = instant.to_timestamp();
        let offset_s = i64::from(self.zone.0.to_offset(timestamp).seconds());
        let second = instant.as_micros().div_euclid(1_000_000);
        let from_s = (second + offset_s).div_euclid(length_s) * length_s - offset_s;
        let (mut from, mut to) = (from_s, from_s + length_s);
        // "Preceding" is strict, so ask from the next nanosecond on.
        let asked = timestamp.checked_add(1.nanosecond()).unwrap_or(timestamp);
        if let Some(change) = self.zone.0.preceding(asked).next() {
            from = from.max(change.timestamp().as_second());
        }
        if let Some(change) = self.zone.0.following(timestamp).next() {
            to = to.min(change.timestamp().as_second());
        }
        Window { from: clamped(from * 1_000_000), to: clamped(to * 1_000_000) }
    }

    /// The window between first moments of local dates. Where the clocks are set back over midnight, the end of a date
    /// comes again after the next date began and belongs to that one, so the date alone does not tell the window.
    fn date_window(&self, instant: Instant, length: Span) -> Window {
        let date = instant.to_timestamp().to_zoned(self.zone.0.clone()).date();
        let first = if self.size == WindowSize::Month { date.first_of_month() } else { date };
        let of_date = self.window_from(first, length, instant);
        if of_date.contains(instant) {
            return of_date;
        }
        let neighbours = [first.checked_sub(length), first.checked_add(length)];
        let mut windows = neighbours.into_iter().flatten().map(|date| self.window_from(date, length, instant));
        windows.find(|window| window.contains(instant)).unwrap_or(of_date)
    }

    fn window_from(&self, first: Date, length: Span, instant: Instant) -> Window {
        let from = self.first_moment(first).unwrap_or(instant);
        let to = first.checked_add(length).ok().and_then(|after| self.first_moment(after)).unwrap_or(Instant::MAX);
        Window { from, to }
    }

    /// The first moment of a local date, which is not midnight where the clocks skip it.
    fn first_moment(&self, date: Date) -> Option<Instant> {
        let zoned: Zoned = date.to_zoned(self.zone.0.clone()).ok()?;
        let start: Timestamp = zoned.start_of_day().ok()?.timestamp();
        Some(clamped(start.as_microsecond()))
    }
}

fn clamped(micros: i64) -> Instant {
    Instant::MIN.saturating_add_micros(micros.saturating_sub(Instant::MIN.as_micros()).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Instant {
        Instant::parse_rfc3339(text).unwrap()
    }

    fn window(size: WindowSize, zone: &str, instant: &str) -> (String, String) {
        let window = Windows::new(size, Zone::parse(zone).unwrap()).window_of(at(instant));
        (window.from.to_string(), window.to.to_string())
    }

    fn pair(from: &str, to: &str) -> (String, String) {
        (from.into(), to.into())
    }

    #[test]
    fn days_and_months_follow_the_zone() {
        use WindowSize::*;
        let la = "America/Los_Angeles";
        assert_eq!(window(Day, la, "2025-03-09T12:00:00Z"), pair("2025-03-09T08:00:00Z", "2025-03-10T07:00:00Z"));
        assert_eq!(window(Day, la, "2025-11-02T12:00:00Z"), pair("2025-11-02T07:00:00Z", "2025-11-03T08:00:00Z"));
        assert_eq!(
            window(Month, "Europe/Budapest", "2025-03-15T00:00:00Z"),
            pair("2025-02-28T23:00:00Z", "2025-03-31T22:00:00Z")
        );
        assert_eq!(
            window(Month, "UTC", "2024-02-29T23:59:59.999999Z"),
            pair("2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z")
        );
    }

    #[test]
    fn a_skipped_midnight_makes_no_overlap() {
        let zone = "America/Santiago";
        let (_, before_to) = window(WindowSize::Day, zone, "2024-09-07T12:00:00Z");
        let (from, to) = window(WindowSize::Day, zone, "2024-09-08T12:00:00Z");
        assert_eq!(before_to, from);
        assert_eq!((from.as_str(), to.as_str()), ("2024-09-08T04:00:00Z", "2024-09-09T03:00:00Z"));
    }

    #[test]
    fn a_midnight_that_comes_twice_makes_no_overlap() {
        // At 00:01 on 7 November 2010 the clocks of Newfoundland went back to 23:01 of the 6th.
        let zone = Zone::parse("America/St_Johns").unwrap();
        let windows = Windows::new(WindowSize::Day, zone.clone());
        let again = at("2010-11-07T03:19:58Z");
        assert_eq!(zone.format(again), "2010-11-06T23:49:58-03:30");
        assert_eq!(windows.window_of(again), windows.window_of(at("2010-11-07T12:00:00Z")));
        // At 23:30 on 30 March 1919 the clocks of Toronto went on to 00:30 of the 31st.
        let windows = Windows::new(WindowSize::Day, Zone::parse("America/Toronto").unwrap());
        assert!(windows.window_of(at("1919-03-31T04:52:10Z")).contains(at("1919-03-31T04:52:10Z")));
    }

    #[test]
    fn hours_are_hours_of_the_local_clock() {
        use WindowSize::Hour;
        assert_eq!(
            window(Hour, "Asia/Kolkata", "2024-01-01T10:45:00Z"),
            pair("2024-01-01T10:30:00Z", "2024-01-01T11:30:00Z")
        );
        assert_eq!(
            window(Hour, "Asia/Kathmandu", "2024-01-01T10:20:00Z"),
            pair("2024-01-01T10:15:00Z", "2024-01-01T11:15:00Z")
        );
        let ny = "America/New_York";
        assert_eq!(window(Hour, ny, "2024-11-03T05:30:00Z"), pair("2024-11-03T05:00:00Z", "2024-11-03T06:00:00Z"));
        assert_eq!(window(Hour, ny, "2024-11-03T06:30:00Z"), pair("2024-11-03T06:00:00Z", "2024-11-03T07:00:00Z"));
        // Half an hour is repeated on Lord Howe Island: 01:30–02:00 comes twice.
        let howe = "Australia/Lord_Howe";
        assert_eq!(window(Hour, howe, "2024-04-06T14:59:00Z"), pair("2024-04-06T14:00:00Z", "2024-04-06T15:00:00Z"));
        assert_eq!(window(Hour, howe, "2024-04-06T15:10:00Z"), pair("2024-04-06T15:00:00Z", "2024-04-06T15:30:00Z"));
    }

    #[test]
    fn instants_are_shown_on_the_clock_of_the_zone() {
        let zone = Zone::parse("America/Los_Angeles").unwrap();
        assert_eq!(zone.format(at("2025-03-09T08:00:00Z")), "2025-03-09T00:00:00-08:00");
        assert_eq!(Zone::UTC.format(at("2025-03-09T08:00:00.5Z")), "2025-03-09T08:00:00.5Z");
        assert_eq!(Zone::parse("UTC").unwrap().format(at("2025-03-09T08:00:00Z")), "2025-03-09T08:00:00Z");
    }

    #[test]
    fn only_names_of_the_database_are_zones() {
        for name in ["Local", "", "Mars/Olympus", "../etc/passwd", "local", "Etc/Unknown"] {
            assert!(Zone::parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn the_edges_of_the_stored_years_have_windows() {
        for size in WindowSize::ALL {
            for zone in ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"] {
                let windows = Windows::new(size, Zone::parse(zone).unwrap());
                for edge in [Instant::MIN, Instant::MAX] {
                    let window = windows.window_of(edge);
                    assert!(window.from <= edge && edge <= window.to, "{size:?} {zone} {window:?}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn windows_partition_time(
            micros in -2_000_000_000_000_000i64..4_000_000_000_000_000,
            size in prop::sample::select(WindowSize::ALL.to_vec()),
            zone in prop::sample::select(vec!["UTC", "America/New_York", "Europe/Budapest", "Australia/Lord_Howe", "America/Santiago", "Asia/Kathmandu", "Pacific/Apia", "Africa/Cairo", "Africa/Monrovia", "America/St_Johns", "America/Toronto"]),
        ) {
            let windows = Windows::new(size, Zone::parse(zone).unwrap());
            let instant = Instant::from_micros(micros).unwrap();
            let window = windows.window_of(instant);
            prop_assert!(window.contains(instant));
            prop_assert_eq!(windows.window_of(window.from), window);
            prop_assert_eq!(windows.window_of(window.to).from, window.to);
            prop_assert_eq!(windows.window_of(window.to.saturating_add_micros(-1)), window);
        }
    }
}
