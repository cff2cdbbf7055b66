//! What becomes of a meter that judges: activation, deactivation and revision.

use super::aggregation::Aggregation;
use super::definition::{DescriptionUpdate, Meter, MeterFault, judging_faults, text_faults};
use super::judging::{ActivePeriod, Judging, MAX_ACTIVE_PERIODS, MeterStatus, Rule};
use crate::Instant;
use crate::details::{Details, merged};

/// What changes of a meter; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeterRevision {
    /// Name for people.
    pub name: Option<String>,
    /// Longer text for people.
    pub description: DescriptionUpdate,
    /// Which events count from now on, and with how much. What was accepted stays as it was judged.
    pub rule: Option<Rule>,
    /// How units add up; only of a meter that never counted.
    pub aggregation: Option<Aggregation>,
    /// The type of the events that it wants; only of a meter that never counted.
    pub event_type: Option<String>,
    /// Replaces what the doors in it keep.
    pub details: Details,
}

impl Meter {
    /// This meter, counting from the beginning of the second of `now` on; unchanged when it does so already.
    pub fn activated(&self, now: Instant) -> Result<Self, MeterFault> {
        let mut judging = self.changeable()?.clone();
        if judging.status() == MeterStatus::Active {
            return Ok(self.clone());
        }
        if judging.active.len() >= MAX_ACTIVE_PERIODS {
            let message =
                format!("the meter was activated {MAX_ACTIVE_PERIODS} times, which is the most: create another");
            return Err(MeterFault::new("status", message));
        }
        let ended = judging.active.last().and_then(|period| period.to);
        let from = ended.map_or(now.floor_second(), |ended| ended.max(now.floor_second()));
        judging.active.push(ActivePeriod { from, to: None });
        Ok(Self { judging: Some(judging), updated_at: now, ..self.clone() })
    }

    /// This meter, counting no event from `now` on; unchanged when it does not count.
    pub fn deactivated(&self, now: Instant) -> Result<Self, MeterFault> {
        let mut judging = self.changeable()?.clone();
        let Some(last) = judging.active.last_mut().filter(|last| last.to.is_none()) else { return Ok(self.clone()) };
        last.to = Some(now.max(last.from));
        Ok(Self { judging: Some(judging), updated_at: now, ..self.clone() })
    }

    /// This meter with a revision applied; all faults are reported, not only the first.
    pub fn revised(&self, revision: MeterRevision, now: Instant) -> Result<Self, Vec<MeterFault>> {
        let mut faults = text_faults(revision.name.as_deref(), revision.description.new_text());
        let aggregation = revision.aggregation.unwrap_or(self.aggregation);
        let event_type = revision.event_type.unwrap_or_else(|| self.event_type.clone());
        let ever_counted = self.judging.as_ref().is_none_or(|judging| judging.status() != MeterStatus::Draft);
        let fixed = [("aggregation", aggregation != self.aggregation), ("eventType", event_type != self.event_type)];
        for (field, _) in fixed.into_iter().filter(|(_, changes)| ever_counted && *changes) {
            let message = format!("{field} cannot change once the meter counted: create another meter");
            faults.push(MeterFault::new(field, message));
        }
        if event_type.is_empty() {
            faults.push(MeterFault::new("eventType", "eventType must not be empty"));
        }
        let judging = match (revision.rule, &self.judging) {
            (None, judging) => judging.clone(),
            (Some(rule), judging) => {
                faults.extend(judging_faults(&rule, aggregation));
                faults.extend(self.changeable().err());
                judging.as_ref().map(|judging| Judging { rule, ..judging.clone() })
            }
        };
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            name: revision.name.unwrap_or_else(|| self.name.clone()),
            description: revision.description.applied_to(self.description.as_ref()),
            aggregation,
            event_type,
            judging,
            details: merged(&self.details, revision.details),
            updated_at: now,
            ..self.clone()
        })
    }

    fn changeable(&self) -> Result<&Judging, MeterFault> {
        let message = "this meter reads events whenever it is asked, so it always counts: delete it to stop that";
        self.judging.as_ref().ok_or_else(|| MeterFault::new("status", message))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Condition, JsonPath, MeterDefinition, NewJudging, RuleValue};
    use super::*;
    use crate::MeterId;
    use crate::expression::Names;

    fn at(seconds: i64) -> Instant {
        Instant::from_micros(seconds * 1_000_000 + 400_000).unwrap()
    }

    fn rule() -> Rule {
        Rule { conditions: vec![], matcher: None, value: RuleValue::One, names: Names::default() }
    }

    fn meter(judging: Option<NewJudging>) -> Meter {
        let definition = MeterDefinition {
            id: None,
            slug: "rides".into(),
            name: None,
            description: None,
            aggregation: Aggregation::Sum,
            event_type: "ride".into(),
            event_from: None,
            value_property: judging.is_none().then(|| "$.n".into()),
            judging,
            group_by: Default::default(),
            metadata: None,
            details: Details::new(),
        };
        Meter::define(MeterId::from_parts(1, 1), definition, at(0)).unwrap()
    }

    fn draft() -> Meter {
        meter(Some(NewJudging { rule: rule(), active_from: None }))
    }

    fn periods(meter: &Meter) -> Vec<ActivePeriod> {
        meter.judging.as_ref().unwrap().active.clone()
    }

    #[test]
    fn a_meter_counts_from_the_second_of_its_activation_to_its_deactivation() {
        let active = draft().activated(at(5)).unwrap();
        let second = |seconds: i64| Instant::from_micros(seconds * 1_000_000).unwrap();
        assert_eq!(periods(&active), [ActivePeriod { from: second(5), to: None }]);
        assert_eq!(active.activated(at(9)).unwrap(), active);
        let inactive = active.deactivated(at(9)).unwrap();
        assert_eq!(periods(&inactive), [ActivePeriod { from: second(5), to: Some(at(9)) }]);
        assert_eq!(inactive.deactivated(at(11)).unwrap(), inactive);
        // Within the second of the deactivation, no time is in two periods.
        let again = inactive.activated(at(9)).unwrap();
        assert_eq!(periods(&again)[1], ActivePeriod { from: at(9), to: None });
        assert_eq!(draft().deactivated(at(1)).unwrap(), draft());
    }

    #[test]
    fn a_meter_that_reads_events_when_asked_has_no_status_to_change() {
        let reading = meter(None);
        for refused in [reading.activated(at(1)), reading.deactivated(at(1))] {
            assert_eq!(refused.unwrap_err().field, "status");
        }
        let revision = MeterRevision { rule: Some(rule()), ..MeterRevision::default() };
        assert_eq!(reading.revised(revision, at(1)).unwrap_err()[0].field, "status");
    }

    #[test]
    fn what_was_counted_fixes_the_type_and_the_aggregation() {
        let revision = MeterRevision {
            name: Some("Rides".into()),
            aggregation: Some(Aggregation::Max),
            event_type: Some("trip".into()),
            ..MeterRevision::default()
        };
        let revised = draft().revised(revision.clone(), at(1)).unwrap();
        assert_eq!(
            (revised.name.as_str(), revised.event_type.as_str(), revised.aggregation),
            ("Rides", "trip", Aggregation::Max)
        );
        let inactive = draft().activated(at(1)).unwrap().deactivated(at(2)).unwrap();
        let fields: Vec<_> =
            inactive.revised(revision, at(3)).unwrap_err().into_iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["aggregation", "eventType"]);
        assert_eq!(inactive.revised(MeterRevision::default(), at(2)).unwrap(), inactive);
    }

    #[test]
    fn a_rule_needs_paths_and_units() {
        let no_path = Condition { any_of: Vec::<JsonPath>::new(), equals: "x".into() };
        let bad = Rule { conditions: vec![no_path; 101], value: RuleValue::Property(vec![]), ..rule() };
        let revision =
            MeterRevision { rule: Some(bad), aggregation: Some(Aggregation::Count), ..MeterRevision::default() };
        let fields: Vec<_> =
            draft().revised(revision, at(1)).unwrap_err().into_iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["conditions", "aggregation", "rule"]);
    }
}
