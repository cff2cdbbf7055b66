//! The periods in which usage is counted: from an anchor, every interval, and from each reset that somebody asked for.

use crate::time::{Instant, Period, Recurrence};

/// A reset that somebody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    /// When the period before ends and the next begins.
    pub at: Instant,
    /// How periods follow each other from then on.
    pub recurrence: Recurrence,
    /// Whether overage is paid in the next period.
    pub preserves_overage: bool,
}

/// How time is divided: automatic resets at the boundaries of a recurrence, and the resets that somebody asked for, each of
/// which begins a period and may change the recurrence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsagePeriods {
    measured_from: Instant,
    recurrence: Recurrence,
    preserves_overage: bool,
    resets: Vec<Reset>,
}

impl UsagePeriods {
    /// Periods from when on usage counts. Resets before that or at that moment have no effect; those that are left must be
    /// at different moments.
    pub fn new(
        measured_from: Instant,
        recurrence: Recurrence,
        preserves_overage: bool,
        mut resets: Vec<Reset>,
    ) -> Self {
        resets.retain(|reset| reset.at > measured_from);
        resets.sort_by_key(|reset| reset.at);
        resets.dedup_by_key(|reset| reset.at);
        Self { measured_from, recurrence, preserves_overage, resets }
    }

    /// From when on usage counts.
    pub fn measured_from(&self) -> Instant {
        self.measured_from
    }

    /// The last reset that somebody asked for and that is not after an instant; where measuring began if there is none.
    pub fn last_reset(&self, instant: Instant) -> Instant {
        self.in_force(instant).map_or(self.measured_from, |at| self.resets[at].at)
    }

    /// The period that holds an instant; the first one for those before it.
    pub fn containing(&self, instant: Instant) -> Period {
        let instant = instant.max(self.measured_from);
        let (begin, next, recurrence) = match self.in_force(instant) {
            None => (self.measured_from, self.resets.first(), self.recurrence),
            Some(at) => (self.resets[at].at, self.resets.get(at + 1), self.resets[at].recurrence),
        };
        let period = recurrence.period_of(instant);
        let to = next.map_or(period.to, |next| period.to.min(next.at));
        Period { from: period.from.max(begin), to }
    }

    /// How periods follow each other at an instant.
    pub fn recurrence_at(&self, instant: Instant) -> Recurrence {
        self.in_force(instant).map_or(self.recurrence, |at| self.resets[at].recurrence)
    }

    /// The beginnings of periods in `[from, to]`, and that of the period that holds `from`; ascending.
    pub fn beginnings(&self, from: Instant, to: Instant) -> Vec<Instant> {
        let mut beginnings = Vec::new();
        let mut period = self.containing(from);
        while period.from <= to {
            beginnings.push(period.from);
            let next = self.containing(period.to);
            if next.from == period.from {
                break;
            }
            period = next;
        }
        beginnings
    }

    /// About how many periods begin between two moments, at most by a few too few.
    pub fn about_how_many(&self, from: Instant, to: Instant) -> u64 {
        let recurrences = std::iter::once(self.recurrence).chain(self.resets.iter().map(|reset| reset.recurrence));
        let most = recurrences.map(|recurrence| recurrence.interval.about_how_many(from, to)).max().unwrap_or(0);
        most.saturating_add(self.resets.len() as u64)
    }

    /// Whether automatic resets let overage be paid in the next period.
    pub fn preserves_overage(&self) -> bool {
        self.preserves_overage
    }

    /// Whether overage is paid in the period that begins at an instant.
    pub(super) fn preserves_overage_at(&self, beginning: Instant) -> bool {
        let reset = self.in_force(beginning).map(|at| self.resets[at]).filter(|reset| reset.at == beginning);
        reset.map_or(self.preserves_overage, |reset| reset.preserves_overage)
    }

    /// The place of the last reset that is not after an instant.
    fn in_force(&self, instant: Instant) -> Option<usize> {
        self.resets.partition_point(|reset| reset.at <= instant).checked_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Interval;

    fn at(text: &str) -> Instant {
        let full = match text.len() {
            5 => format!("2025-{text}T00:00:00Z"),
            10 => format!("{text}T00:00:00Z"),
            _ => format!("{text}Z"),
        };
        Instant::parse_rfc3339(&full).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn every(interval: Interval, anchor: &str) -> Recurrence {
        Recurrence { interval, anchor: at(anchor) }
    }

    fn reset(time: &str, recurrence: Recurrence) -> Reset {
        Reset { at: at(time), recurrence, preserves_overage: false }
    }

    fn monthly(resets: &[(&str, &str)]) -> UsagePeriods {
        let resets = resets.iter().map(|(time, anchor)| reset(time, every(Interval::MONTH, anchor))).collect();
        UsagePeriods::new(at("02-01"), every(Interval::MONTH, "02-01"), false, resets)
    }

    #[test]
    fn the_first_period_begins_where_measuring_does() {
        let recurrence = every(Interval::MONTH, "2025-06-18T01:00:00");
        let periods = UsagePeriods::new(at("2025-03-18T11:23:00"), recurrence, false, vec![]);
        let first = Period { from: at("2025-03-18T11:23:00"), to: at("2025-04-18T01:00:00") };
        assert_eq!(periods.containing(at("2025-03-20")), first);
        assert_eq!(periods.containing(at("2025-01-01")), first, "and holds what is before it");
        assert_eq!(periods.last_reset(at("2026-01-01")), at("2025-03-18T11:23:00"), "automatic resets are none");
    }

    #[test]
    fn the_published_timelines_of_resets_hold() {
        let kept = "02-01";
        /// Resets with their anchors, the range, and the beginnings in it.
        type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str, &'a [&'a str]);
        let cases: [Case<'_>; 7] = [
            (&[], "02-02", "02-06", &["02-01"]),
            (&[("02-04", kept)], "02-02", "02-06", &["02-01", "02-04"]),
            (&[], "02-02", "03-06", &["02-01", "03-01"]),
            (&[("02-16", kept), ("03-04", kept)], "02-02", "03-06", &["02-01", "02-16", "03-01", "03-04"]),
            (&[("02-11", "02-11")], "02-02", "03-06", &["02-01", "02-11"]),
            (&[], "02-02", "03-01", &["02-01", "03-01"]),
            (&[("03-01", kept)], "02-01", "03-02", &["02-01", "03-01"]),
        ];
        for (resets, from, to, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|day| at(day)).collect();
            assert_eq!(monthly(resets).beginnings(at(from), at(to)), expected, "{resets:?} in [{from}, {to}]");
        }
    }

    #[test]
    fn a_reset_may_move_the_anchor_within_a_day() {
        let daily = every(Interval::DAY, "2025-06-05T01:00:00");
        let moved = reset("2025-06-08T14:08:02", every(Interval::DAY, "2025-06-08T02:00:00"));
        let periods = UsagePeriods::new(at("2025-06-05T14:08:02"), daily, false, vec![moved]);
        let expected = [
            "2025-06-05T14:08:02",
            "2025-06-06T01:00:00",
            "2025-06-07T01:00:00",
            "2025-06-08T01:00:00",
            "2025-06-08T14:08:02",
            "2025-06-09T02:00:00",
        ];
        assert_eq!(periods.beginnings(at("2025-06-05"), at("06-10")), expected.map(at));
    }

    #[test]
    fn a_reset_may_change_the_interval() {
        let resets =
            vec![reset("03-16", every(Interval::WEEK, "03-16")), reset("03-26", every(Interval::DAY, "03-26"))];
        let periods = UsagePeriods::new(at("02-01"), every(Interval::MONTH, "02-01"), false, resets);
        for (time, from, to) in [
            ("2025-02-01T00:01:00", "02-01", "03-01"),
            ("2025-03-16T00:01:00", "03-16", "03-23"),
            ("2025-03-25", "03-23", "03-26"),
            ("2025-03-26T00:01:00", "03-26", "03-27"),
        ] {
            assert_eq!(periods.containing(at(time)), Period { from: at(from), to: at(to) }, "{time}");
        }
        assert_eq!(periods.last_reset(at("2025-03-25")), at("03-16"));
    }

    #[test]
    fn overage_is_kept_where_the_reset_says_so() {
        let kept = Reset { preserves_overage: true, ..reset("02-04", every(Interval::MONTH, "02-01")) };
        let periods = UsagePeriods::new(at("02-01"), every(Interval::MONTH, "02-01"), false, vec![kept]);
        assert!(periods.preserves_overage_at(at("02-04")));
        assert!(!periods.preserves_overage_at(at("03-01")), "an automatic reset follows the entitlement");
    }
}
