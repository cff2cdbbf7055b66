//! Grants: amounts that usage is taken from.

use crate::quantity::Quantity;
use crate::time::{Instant, Period, Recurrence};
use crate::{EntitlementId, GrantId};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// An amount of a metered entitlement. It is never changed, only voided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Identity.
    pub id: GrantId,
    /// The entitlement.
    pub entitlement: EntitlementId,
    /// How much; more than nothing.
    pub amount: Quantity,
    /// Lower ones are burned first.
    pub priority: u8,
    /// From when on it can be burned; a whole minute.
    pub effective_at: Instant,
    /// When it ends; never if absent.
    pub expiration: Option<Expiration>,
    /// The least that it has after a reset.
    pub min_rollover: Quantity,
    /// The most that it has after a reset; stronger than the least.
    pub max_rollover: Quantity,
    /// When it is full again, whatever was burned.
    pub recurrence: Option<Recurrence>,
    /// The user's own labels.
    pub metadata: BTreeMap<String, String>,
    /// Labels of the program.
    pub annotations: BTreeMap<String, String>,
    /// When it was created.
    pub created_at: Instant,
    /// When it was last changed.
    pub updated_at: Instant,
    /// From when on it cannot be burned any more.
    pub voided_at: Option<Instant>,
    /// When it was deleted with its entitlement.
    pub deleted_at: Option<Instant>,
}

/// How long a grant lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiration {
    /// The unit.
    pub unit: ExpirationUnit,
    /// How many of them, 1 to 1000.
    pub count: u16,
}

/// A unit in which the life of a grant is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpirationUnit {
    /// 3600 seconds.
    Hour,
    /// A day of the calendar.
    Day,
    /// Seven days.
    Week,
    /// A month of the calendar.
    Month,
    /// Twelve months.
    Year,
}

impl ExpirationUnit {
    const ALL: [ExpirationUnit; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// The published name, for example `MONTH`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "HOUR",
            Self::Day => "DAY",
            Self::Week => "WEEK",
            Self::Month => "MONTH",
            Self::Year => "YEAR",
        }
    }

    /// Parses the published name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.as_str() == text)
    }
}

impl Expiration {
    /// When a grant ends that begins at an instant. A day that the month does not have is one of the next month: a month
    /// after the 31st of January is the 3rd of March, or the 2nd in a leap year. Held inside of the stored years.
    pub fn after(self, effective_at: Instant) -> Instant {
        self.within_the_calendar(effective_at).unwrap_or(Instant::MAX)
    }

    fn within_the_calendar(self, effective_at: Instant) -> Option<Instant> {
        let count = i64::from(self.count);
        let civil = effective_at.to_timestamp().to_zoned(TimeZone::UTC).datetime();
        let moved = match self.unit {
            ExpirationUnit::Hour => civil.checked_add(SignedDuration::from_hours(count)).ok()?,
            ExpirationUnit::Day => civil.checked_add(count.days()).ok()?,
            ExpirationUnit::Week => civil.checked_add((count * 7).days()).ok()?,
            ExpirationUnit::Month => months_after(civil, count)?,
            ExpirationUnit::Year => months_after(civil, count * 12)?,
        };
        Instant::from_timestamp(TimeZone::UTC.to_timestamp(moved).ok()?)
    }
}

/// The same day and time so many months later, counted on into the next month where there is no such day.
fn months_after(civil: DateTime, months: i64) -> Option<DateTime> {
    let first: Date = civil.date().first_of_month().checked_add(months.months()).ok()?;
    let day = first.checked_add((i64::from(civil.day()) - 1).days()).ok()?;
    Some(day.to_datetime(civil.time()))
}

impl Grant {
    /// When it ends of itself.
    pub fn expires_at(&self) -> Option<Instant> {
        self.expiration.map(|expiration| expiration.after(self.effective_at))
    }

    /// When it can be burned: from its beginning to its expiry, void or deletion, whichever is first, in whole minutes. Empty
    /// if it ended before it began.
    pub fn active(&self) -> Period {
        let ends = [self.expires_at(), self.voided_at, self.deleted_at];
        let end = ends.into_iter().flatten().min().unwrap_or(Instant::MAX);
        Period { from: self.effective_at.floor_minute(), to: end.floor_minute() }
    }

    /// The instants in `[from, to)` at which it is full again, its beginning among them.
    pub fn refills(&self, from: Instant, to: Instant) -> Vec<Instant> {
        let active = self.active();
        let (from, to) = (from.max(active.from), to.min(active.to));
        if from >= to {
            return Vec::new();
        }
        let beginning = (from == active.from).then_some(from);
        let recurring = self.recurrence.iter().flat_map(|recurrence| recurrence.boundaries(from, to));
        let mut refills: Vec<Instant> = beginning.into_iter().chain(recurring).collect();
        refills.dedup();
        refills
    }

    /// About how often it is full again between two moments.
    pub fn about_how_many_refills(&self, from: Instant, to: Instant) -> u64 {
        let active = self.active();
        let (from, to) = (from.max(active.from), to.min(active.to));
        self.recurrence.map_or(0, |recurrence| recurrence.interval.about_how_many(from, to))
    }

    /// What it has after a reset, of what it had before.
    pub fn rolled_over(&self, balance: Quantity) -> Quantity {
        balance.max(self.min_rollover).min(self.max_rollover)
    }

    /// Which of two grants is burned first: by priority, expiry (those that never expire last), creation and id.
    pub fn burns_before(&self, other: &Self) -> Ordering {
        let key =
            |grant: &Self| (grant.priority, grant.expires_at().unwrap_or(Instant::MAX), grant.created_at, grant.id);
        key(self).cmp(&key(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entitlement::burn_down::testing::{at, grant};

    fn lasting(count: u16, unit: ExpirationUnit) -> Option<Expiration> {
        Some(Expiration { unit, count })
    }

    #[test]
    fn months_count_on_where_there_is_no_such_day() {
        for (from, count, unit, to) in [
            ("2025-01-31", 1, ExpirationUnit::Month, "2025-03-03"),
            ("2024-01-31", 1, ExpirationUnit::Month, "2024-03-02"),
            ("2025-01-31", 2, ExpirationUnit::Month, "2025-03-31"),
            ("2024-02-29", 1, ExpirationUnit::Year, "2025-03-01"),
            ("2025-01-31", 3, ExpirationUnit::Week, "2025-02-21"),
            ("2025-01-31", 1000, ExpirationUnit::Day, "2027-10-28"),
            ("2025-01-31", 48, ExpirationUnit::Hour, "2025-02-02"),
        ] {
            assert_eq!(Expiration { unit, count }.after(at(from)), at(to), "{from} + {count} {unit:?}");
        }
        let far = Expiration { unit: ExpirationUnit::Year, count: 1000 };
        assert_eq!(far.after(at("9500-01-01")), Instant::MAX);
    }

    #[test]
    fn a_grant_is_active_until_the_first_of_its_ends() {
        let (begin, early, late) = (at("2025-01-01"), at("2025-01-05"), at("2025-01-09"));
        let base = Grant { effective_at: begin, ..grant("1", "100") };
        let of = |expires: bool, voided_at, deleted_at| {
            let expiration = if expires { lasting(6, ExpirationUnit::Day) } else { None };
            Grant { expiration, voided_at, deleted_at, ..base.clone() }.active().to
        };
        assert_eq!(of(false, None, None), Instant::MAX.floor_minute());
        assert_eq!(of(true, None, None), at("2025-01-07"));
        assert_eq!(of(true, None, Some(late)), at("2025-01-07"));
        assert_eq!(of(true, None, Some(early)), early);
        assert_eq!(of(true, Some(early), None), early);
        assert_eq!(of(true, Some(late), Some(early)), early);
        let before = Grant { voided_at: Some(at("2024-12-31")), ..base.clone() };
        assert!(before.active().is_empty() && before.refills(at("2024-01-01"), late).is_empty());
    }

    #[test]
    fn the_published_order_holds() {
        let base = at("2025-01-10");
        let made = |id: &str, priority, expiration, hours: i64| Grant {
            priority,
            expiration,
            created_at: base.saturating_add_micros(-hours * 3_600_000_000),
            ..grant(id, "1")
        };
        let (soon, later) = (lasting(1, ExpirationUnit::Day), lasting(2, ExpirationUnit::Day));
        let mut grants = [
            made("1", 1, None, 4),
            made("2", 2, soon, 4),
            made("3", 1, soon, 2),
            made("5", 1, soon, 1),
            made("4", 1, soon, 1),
            made("6", 1, later, 3),
        ];
        grants.sort_by(Grant::burns_before);
        let order: Vec<_> = grants.iter().map(|grant| grant.id).collect();
        assert_eq!(order, ["3", "4", "5", "6", "1", "2"].map(|id| grant(id, "1").id));
    }
}
