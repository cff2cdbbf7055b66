//! Periods that repeat, and single ones, as bodies have them.

use super::body_instant;
use crate::params::Place;
use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use tallystick_domain::Instant;
use tallystick_domain::time::{Interval, Period, Recurrence};
use utoipa::ToSchema;

/// A stretch of time.
#[derive(Serialize, ToSchema)]
#[schema(as = Period)]
pub(crate) struct PeriodBody {
    /// Its first moment.
    #[schema(format = DateTime)]
    from: String,
    /// The first moment behind it.
    #[schema(format = DateTime)]
    to: String,
}

impl From<Period> for PeriodBody {
    fn from(period: Period) -> Self {
        Self { from: period.from.to_string(), to: period.to.to_string() }
    }
}

/// A period that repeats.
#[derive(Serialize, ToSchema)]
#[schema(as = RecurringPeriod)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecurrenceBody {
    /// A boundary; all others are so many intervals before or after it.
    #[schema(format = DateTime)]
    anchor: String,
    /// `DAY`, `WEEK`, `MONTH`, `YEAR`, or else as in `intervalISO`.
    interval: String,
    /// ISO 8601 duration.
    #[serde(rename = "intervalISO")]
    interval_iso: String,
}

impl From<Recurrence> for RecurrenceBody {
    fn from(recurrence: Recurrence) -> Self {
        let interval_iso = recurrence.interval.to_string();
        let interval = recurrence.interval.name().map_or_else(|| interval_iso.clone(), str::to_string);
        Self { anchor: recurrence.anchor.to_string(), interval, interval_iso }
    }
}

/// A period that repeats, as it is asked for.
#[derive(Deserialize, ToSchema)]
#[schema(as = RecurringPeriodCreateInput)]
pub(crate) struct RecurrenceInput {
    /// `DAY`, `WEEK`, `MONTH`, `YEAR` in any case, or an ISO 8601 duration of whole numbers, at least an hour long.
    #[schema(min_length = 1)]
    interval: String,
    /// A boundary, cut to the minute.
    #[schema(format = DateTime)]
    anchor: Option<String>,
}

impl RecurrenceInput {
    /// The interval, and the boundary if one is named. `name` is that of the field.
    pub(crate) fn read(self, name: &str) -> Result<(Interval, Option<Instant>), Problem> {
        let refuse = |error: tallystick_domain::time::IntervalError| {
            Place::Body.refuse(&format!("{name}/interval"), error.to_string())
        };
        let interval = Interval::parse(&self.interval).map_err(refuse)?;
        Ok((interval, body_instant(&format!("{name}/anchor"), self.anchor.as_deref())?))
    }
}
