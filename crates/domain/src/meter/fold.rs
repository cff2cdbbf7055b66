//! The reference answer of a plan: one event after the other, in the plainest way. Every backend is compared with it.

use super::aggregation::Accumulator;
use super::plan::{AggregatePlan, AggregateRow, PlanError};
use crate::event::StoredEvent;
use crate::time::Window;
use std::collections::BTreeMap;

/// Runs a plan over the events of its namespace, each of which comes once.
pub fn fold<'a>(
    plan: &AggregatePlan,
    events: impl IntoIterator<Item = &'a StoredEvent>,
) -> Result<Vec<AggregateRow>, PlanError> {
    let mut groups: BTreeMap<(Option<Window>, Vec<String>), Accumulator> = BTreeMap::new();
    for stored in events.into_iter().filter(|stored| plan.selects(stored)) {
        let event = &stored.event;
        plan.with_sample(stored, |sample| {
            let group: Vec<String> =
                plan.dimensions.iter().map(|dimension| plan.text_of(dimension, stored).into_owned()).collect();
            groups
                .entry((plan.window_of(event.time()), group))
                .or_insert_with(|| Accumulator::new(plan.aggregation))
                .add(event.time(), event.source(), event.id(), sample);
        });
    }
    let mut rows = Vec::with_capacity(groups.len());
    for ((window, group), state) in groups {
        let result = state.value().map_err(|error| PlanError::overflow(&group, error))?;
        if let Some(value) = result {
            rows.push(AggregateRow { window, group, value, first: state.first(), last: state.last() });
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::super::{Aggregation, Dimension, Filter, JsonPath};
    use super::*;
    use crate::Namespace;
    use crate::event::{Event, EventParts};
    use crate::time::{Instant, WindowSize, Windows, Zone};
    use std::sync::Arc;

    fn event(id: &str, subject: &str, time: &str, data: &str) -> StoredEvent {
        let time = Instant::parse_rfc3339(time).unwrap();
        let parts = EventParts {
            id: id.into(),
            source: "s".into(),
            event_type: "t".into(),
            subject: subject.into(),
            time,
            data: Some(data.into()),
            extras: None,
        };
        StoredEvent { event: Event::new(parts, 16).unwrap(), ingested_at: time }
    }

    fn plan(aggregation: Aggregation) -> AggregatePlan {
        AggregatePlan {
            namespace: Namespace::default_namespace(),
            event_type: "t".into(),
            from: None,
            to: None,
            aggregation,
            value: (aggregation != Aggregation::Count).then(|| JsonPath::parse("$.v").unwrap()),
            dimensions: vec![],
            filters: vec![],
            customers: None,
            windows: None,
            known_until: None,
        }
    }

    fn events() -> Vec<StoredEvent> {
        vec![
            event("1", "a", "2024-01-01T00:00:00Z", r#"{"v":0.1,"m":"x"}"#),
            event("2", "a", "2024-01-01T12:00:00Z", r#"{"v":"0.2","m":"y"}"#),
            event("3", "b", "2024-01-02T00:00:00Z", r#"{"v":0.3,"m":"x"}"#),
            event("4", "b", "2024-01-02T00:00:00Z", r#"{"v":"junk","m":"x"}"#),
            event("5", "b", "2024-01-03T00:00:00Z", r#"{"m":"x"}"#),
            event("6", "c", "2024-01-02T00:00:00Z", r#"{"v":0.30}"#),
        ]
    }

    #[test]
    fn seven_aggregations_over_valid_values_only() {
        for (aggregation, want) in [
            (Aggregation::Sum, "0.9"),
            (Aggregation::Count, "6"),
            (Aggregation::UniqueCount, "4"),
            (Aggregation::Avg, "0.225"),
            (Aggregation::Min, "0.1"),
            (Aggregation::Max, "0.3"),
            (Aggregation::Latest, "0.3"),
        ] {
            let rows = fold(&plan(aggregation), &events()).unwrap();
            assert_eq!(rows.len(), 1);
            assert_eq!(rows[0].value.to_string(), want, "{aggregation:?}");
        }
    }

    #[test]
    fn groups_windows_and_filters() {
        let mut plan = plan(Aggregation::Sum);
        plan.dimensions = vec![Dimension::Subject];
        plan.windows = Some(Windows::new(WindowSize::Day, Zone::UTC));
        plan.filters = vec![(Dimension::Property(JsonPath::parse("$.m").unwrap()), Filter::Eq("x".into()))];
        let rows = fold(&plan, &events()).unwrap();
        let shown: Vec<_> = rows.iter().map(|row| (row.group[0].as_str(), row.value.to_string())).collect();
        assert_eq!(shown, [("a", "0.1".to_string()), ("b", "0.3".to_string())]);
    }

    #[test]
    fn one_plan_tells_what_is_between_each_two_cuts() {
        let mut plan = plan(Aggregation::Sum);
        let at = |text: &str| Instant::parse_rfc3339(text).unwrap();
        let cuts = [at("2024-01-02T00:00:00Z"), at("2024-01-01T12:00:00Z")];
        plan.windows = Some(Windows::between(cuts));
        let rows = fold(&plan, &events()).unwrap();
        let shown: Vec<_> = rows.iter().map(|row| (row.window.unwrap().from, row.value.to_string())).collect();
        let expected = [(Instant::MIN, "0.1"), (cuts[1], "0.2"), (cuts[0], "0.6")];
        assert_eq!(shown, expected.map(|(from, value)| (from, value.to_string())));
    }

    #[test]
    fn reasons_are_a_dimension() {
        let mut plan = plan(Aggregation::Count);
        plan.dimensions = vec![Dimension::NotCounted { path: JsonPath::parse("$.v").unwrap(), numeric: true }];
        let rows = fold(&plan, &events()).unwrap();
        let shown: Vec<_> = rows.iter().map(|row| (row.group[0].as_str(), row.value.to_string())).collect();
        assert_eq!(shown, [("", "4".into()), ("missing_value", "1".into()), ("not_numeric", "1".to_string())]);
    }

    #[test]
    fn customers_sum_over_their_subjects() {
        let mut plan = plan(Aggregation::Sum);
        plan.customers = Some(Arc::new([("a", "k1"), ("c", "k1")].map(|(s, c)| (s.into(), c.into())).into()));
        plan.dimensions = vec![Dimension::Customer];
        let rows = fold(&plan, &events()).unwrap();
        assert_eq!((rows.len(), rows[0].group[0].as_str(), rows[0].value.to_string()), (1, "k1", "0.6".into()));
    }

    #[test]
    fn bounds_are_half_open() {
        let mut plan = plan(Aggregation::Count);
        plan.from = Some(Instant::parse_rfc3339("2024-01-01T12:00:00Z").unwrap());
        plan.to = Some(Instant::parse_rfc3339("2024-01-02T00:00:00Z").unwrap());
        assert_eq!(fold(&plan, &events()).unwrap()[0].value.to_string(), "1");
    }
}
