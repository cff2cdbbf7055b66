//! Random histories against the model: whatever is appended, sealed, merged, closed or killed, the store's answers are
//! those of domain's reference fold and listing over the model's unique events.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod common;

use common::*;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use std::sync::Arc;
use tallystick_domain::event::{EventField, EventPosition, EventQuery, StoredEvent, TimeFilter};
use tallystick_domain::meter::{AggregatePlan, Aggregation, Dimension, Filter, JsonPath, fold};
use tallystick_domain::time::{WindowSize, Windows, Zone};
use tallystick_domain::{Instant, Namespace};
use tallystick_event_store::{Change, Correction, EventStore, LiveKey, LiveMeasure, QueryError, StoreOptions};
use tempfile::TempDir;

const HOUR: i64 = 3_600_000_000;

#[derive(Clone, Debug)]
enum Step {
    Append(Namespace, Vec<StoredEvent>),
    Correct(Namespace, Vec<Correction>),
    Expire(Namespace, &'static str, Instant),
    Flush,
    Reopen,
    Crash,
    Aggregate(AggregatePlan),
    List(EventQuery),
    LiveTotals(Namespace),
}

fn any_namespace() -> impl Strategy<Value = Namespace> {
    prop::sample::select(vec!["default", "tenant-b"]).prop_map(namespace)
}

fn any_instant() -> impl Strategy<Value = Instant> {
    // Ten days around, mostly whole hours so that window borders are met.
    prop_oneof![(-120i64..120).prop_map(|hour| at(hour * HOUR)), (-120 * HOUR..120 * HOUR).prop_map(at)]
}

fn any_data() -> impl Strategy<Value = Option<String>> {
    let value = prop_oneof![
        (-1000i64..1000, 0u32..3).prop_map(|(whole, zeros)| format!("{whole}.{}5", "0".repeat(zeros as usize))),
        (0i64..5).prop_map(|n| n.to_string()),
        (0i64..5).prop_map(|n| format!("\"{n}\"")),
        prop::sample::select(vec!["null", "true", "\"junk\"", "[1]", "\"1e400\"", "79228162514264337593543950335"])
            .prop_map(String::from),
    ];
    let model = prop::sample::select(vec!["x", "y", "gpt-4", ""]);
    prop_oneof![
        1 => Just(None),
        1 => Just(Some("{}".to_string())),
        8 => (value, model).prop_map(|(value, model)| Some(format!(r#"{{"v":{value},"m":"{model}","k":{{"n":1}}}}"#))),
    ]
}

/// Few of them are chosen often, so that corrections meet events.
fn any_id() -> impl Strategy<Value = u16> {
    prop_oneof![0u16..20, 0u16..400]
}

fn any_event() -> impl Strategy<Value = StoredEvent> {
    let kind = prop::sample::select(vec!["request", "request", "upload"]);
    (0u8..2, any_id(), kind, 0u8..5, any_instant(), any_data(), prop::option::weighted(0.1, Just("{\"x\":1}")))
        .prop_map(|(source, id, event_type, subject, time, data, extras)| {
            let parts = tallystick_domain::event::EventParts {
                id: format!("id-{id}"),
                source: format!("source-{source}"),
                event_type: event_type.into(),
                subject: format!("subject-{subject}"),
                time,
                data,
                extras: extras.map(String::from),
            };
            let event = tallystick_domain::event::Event::new(parts, 16).unwrap();
            StoredEvent { event, ingested_at: time.saturating_add_micros(i64::from(id)) }
        })
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let text = prop::sample::select(vec!["subject-1", "subject-2", "x", "y", "", "id-7", "source-0"]);
    prop_oneof![
        text.clone().prop_map(|text| Filter::Eq(text.into())),
        text.clone().prop_map(|text| Filter::Ne(text.into())),
        text.clone().prop_map(|text| Filter::Gte(text.into())),
        text.clone().prop_map(|text| Filter::Contains(text.into())),
        prop::collection::btree_set(text.prop_map(String::from), 0..4).prop_map(Filter::In),
    ]
}

fn any_dimension() -> impl Strategy<Value = Dimension> {
    let path = |text: &str| JsonPath::parse(text).unwrap();
    prop_oneof![
        Just(Dimension::Subject),
        Just(Dimension::Customer),
        Just(Dimension::Property(path("$.m"))),
        Just(Dimension::Property(path("$.k.n"))),
        Just(Dimension::NotCounted { path: path("$.v"), numeric: true }),
        Just(Dimension::NotCounted { path: path("$.v"), numeric: false }),
    ]
}

fn any_windows() -> impl Strategy<Value = Option<Windows>> {
    let zone = prop::sample::select(vec!["UTC", "America/New_York", "Asia/Kathmandu"]);
    let size = prop::sample::select(vec![WindowSize::Hour, WindowSize::Day, WindowSize::Month]);
    let calendar = (size, zone).prop_map(|(size, zone)| Windows::new(size, Zone::parse(zone).unwrap()));
    let between = prop::collection::vec(any_instant(), 0..6).prop_map(Windows::between);
    prop::option::of(prop_oneof![3 => calendar, 2 => between])
}

fn any_plan() -> impl Strategy<Value = AggregatePlan> {
    let owners = [("subject-0", "k1"), ("subject-1", "k1"), ("subject-3", "k2")];
    let customers: std::collections::BTreeMap<_, _> = owners.map(|(s, c)| (s.to_string(), c.to_string())).into();
    (
        any_namespace(),
        prop::sample::select(vec!["request", "upload", "nothing"]),
        (prop::option::of(any_instant()), prop::option::of(any_instant())),
        prop::sample::select(Aggregation::ALL.to_vec()),
        prop::collection::vec(any_dimension(), 0..3),
        prop::collection::vec((any_dimension(), any_filter()), 0..2),
        prop::option::weighted(0.3, Just(Arc::new(customers))),
        (any_windows(), prop::option::weighted(0.3, any_instant())),
    )
        .prop_map(|(namespace, event_type, (from, to), aggregation, dimensions, filters, customers, more)| {
            let (windows, known_until) = more;
            AggregatePlan {
                namespace,
                event_type: event_type.into(),
                from,
                to,
                aggregation,
                value: (aggregation != Aggregation::Count).then(|| JsonPath::parse("$.v").unwrap()),
                dimensions,
                filters,
                customers,
                windows,
                known_until,
            }
        })
}

fn any_listing() -> impl Strategy<Value = EventQuery> {
    let field = prop::sample::select(vec![EventField::Id, EventField::Source, EventField::Subject, EventField::Type]);
    let time = || {
        prop::option::weighted(
            0.3,
            (any_instant(), any_instant())
                .prop_map(|(a, b)| TimeFilter::All(vec![TimeFilter::From(a.min(b)), TimeFilter::Before(a.max(b))])),
        )
    };
    let after = prop::option::weighted(
        0.3,
        (any_instant(), 0u8..2, 0u16..400).prop_map(|(time, source, id)| EventPosition {
            time,
            source: format!("source-{source}"),
            id: format!("id-{id}"),
        }),
    );
    (any_namespace(), prop::collection::vec((field, any_filter()), 0..2), time(), time(), after, 0usize..300).prop_map(
        |(namespace, fields, time, ingested_at, after, limit)| EventQuery {
            namespace,
            fields,
            time,
            ingested_at,
            after,
            limit,
        },
    )
}

fn any_correction() -> impl Strategy<Value = Correction> {
    let change = prop_oneof![Just(Change::Retract), any_data().prop_map(|data| Change::Amend { data })];
    (0u8..2, any_id(), change, any_instant()).prop_map(|(source, id, change, known_at)| Correction {
        known_at,
        ..correction(&format!("source-{source}"), &format!("id-{id}"), change)
    })
}

fn any_expiry() -> impl Strategy<Value = Step> {
    let before = (-150i64..60).prop_map(|hour| at(hour * HOUR));
    (any_namespace(), prop::sample::select(vec!["request", "upload"]), before)
        .prop_map(|(name, event_type, before)| Step::Expire(name, event_type, before))
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any_namespace(), prop::collection::vec(any_event(), 0..60)).prop_map(|(name, events)| Step::Append(name, events)),
        2 => (any_namespace(), prop::collection::vec(any_correction(), 0..40)).prop_map(|(name, list)| Step::Correct(name, list)),
        1 => any_expiry(),
        2 => Just(Step::Flush),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
        3 => any_plan().prop_map(Step::Aggregate),
        2 => any_listing().prop_map(Step::List),
        3 => any_namespace().prop_map(Step::LiveTotals),
    ]
}

/// A store and what it should hold.
struct Subject {
    dir: TempDir,
    options: StoreOptions,
    store: EventStore,
    model: Model,
}

impl Subject {
    fn new(memtable_bytes: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions { memtable_bytes, wal_file_bytes: 64 << 10, ..small() };
        let store = open(dir.path(), options.clone());
        Self { dir, options, store, model: Model::default() }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Append(name, events) => {
                let expected = self.model.append(name, events);
                assert_eq!(append(&self.store, name, events.clone()).unwrap(), expected);
            }
            Step::Correct(name, list) => {
                let expected: Vec<_> = list.iter().map(|correction| self.model.correct(name, correction)).collect();
                assert_eq!(self.store.correct(name, list.clone()).unwrap(), expected, "{list:?}");
            }
            Step::Expire(name, event_type, before) => {
                self.model.expire(name, event_type, *before);
                self.store.expire(name, event_type, *before).unwrap();
            }
            Step::Flush => {
                self.store.flush_now().unwrap();
                let stats = self.store.stats();
                assert_eq!((stats.memtable_rows, stats.segment_rows + stats.dropped_rows), (0, self.model.len()));
            }
            Step::Reopen => {
                self.store.close().unwrap();
                self.store = open(self.dir.path(), self.options.clone());
            }
            Step::Crash => {
                let copy = tempfile::tempdir().unwrap();
                crash_copy(self.dir.path(), copy.path());
                self.store = open(copy.path(), self.options.clone());
                self.dir = copy;
            }
            Step::Aggregate(plan) => self.compare_aggregate(plan),
            Step::List(query) => {
                let expected = query.run(self.model.of(&query.namespace));
                assert_eq!(self.store.list(query).unwrap(), expected, "{query:?}");
                self.compare_histories(query);
            }
            Step::LiveTotals(name) => self.compare_live_totals(name),
        }
        let stats = self.store.stats();
        assert_eq!(stats.events + stats.dropped_rows, self.model.len(), "after {step:?}");
    }

    fn compare_aggregate(&self, plan: &AggregatePlan) {
        let events = match plan.known_until {
            None => self.model.of(&plan.namespace),
            Some(until) => self.model.known_until(&plan.namespace, until),
        };
        match (self.store.aggregate(plan), fold(plan, events)) {
            (Ok(rows), Ok(expected)) => assert_eq!(rows, expected, "{plan:?}"),
            (Err(QueryError::Plan(_)), Err(_)) => {}
            (got, expected) => panic!("{got:?} instead of {expected:?} for {plan:?}"),
        }
    }

    fn compare_histories(&self, query: &EventQuery) {
        let known = self.model.histories(&query.namespace);
        let originals = query.run(known.iter().map(|(original, _)| *original));
        let histories = self.store.list_histories(query, None).unwrap();
        assert_eq!(
            histories.iter().map(|history| history.original.as_ref().unwrap()).collect::<Vec<_>>(),
            originals.iter().collect::<Vec<_>>(),
            "{query:?}"
        );
        for history in &histories {
            let original = history.original.as_ref().unwrap();
            let (_, corrections) = known.iter().find(|(event, _)| *event == original).unwrap();
            assert_eq!(history.corrections.len(), *corrections, "{original:?}");
        }
    }

    fn compare_live_totals(&self, name: &Namespace) {
        let aggregations = Aggregation::ALL.into_iter().cycle().zip(0..21);
        let model = (Dimension::Property(JsonPath::parse("$.m").unwrap()), Filter::Ne("x".into()));
        for (aggregation, number) in aggregations {
            let key = LiveKey {
                measure: Arc::new(LiveMeasure {
                    namespace: name.clone(),
                    event_type: "request".into(),
                    aggregation,
                    value: (aggregation != Aggregation::Count).then(|| JsonPath::parse("$.v").unwrap()),
                    filters: if number % 4 == 1 { vec![model.clone()] } else { vec![] },
                }),
                subject: format!("subject-{}", number % 5).into(),
                from: (number % 3 == 0).then(|| at(0)),
            };
            let plan = AggregatePlan {
                namespace: name.clone(),
                event_type: key.measure.event_type.clone(),
                from: key.from,
                to: None,
                aggregation,
                value: key.measure.value.clone(),
                dimensions: vec![],
                filters: [(Dimension::Subject, Filter::Eq(key.subject.to_string()))]
                    .into_iter()
                    .chain(key.measure.filters.clone())
                    .collect(),
                customers: None,
                windows: None,
                known_until: None,
            };
            let expected = fold(&plan, self.model.of(name)).map(|rows| rows.first().map(|row| row.value));
            match (self.store.live_total(&key), expected) {
                (Ok(total), Ok(expected)) => assert_eq!(total, expected, "{key:?}"),
                (Err(QueryError::Plan(_)), Err(_)) => {}
                (got, expected) => panic!("{got:?} instead of {expected:?} for {key:?}"),
            }
        }
    }

    fn compare_everything(&self) {
        for name in ["default", "tenant-b"].map(namespace) {
            self.compare_live_totals(&name);
            let query = everything(&name);
            assert_eq!(self.store.list(&query).unwrap(), query.run(self.model.of(&name)));
            for aggregation in Aggregation::ALL {
                let value = (aggregation != Aggregation::Count).then(|| JsonPath::parse("$.v").unwrap());
                self.compare_aggregate(&AggregatePlan {
                    namespace: name.clone(),
                    event_type: "request".into(),
                    from: None,
                    to: None,
                    aggregation,
                    value,
                    dimensions: vec![Dimension::Subject, Dimension::Property(JsonPath::parse("$.m").unwrap())],
                    filters: vec![],
                    customers: None,
                    windows: Some(Windows::new(WindowSize::Day, Zone::parse("America/New_York").unwrap())),
                    known_until: None,
                });
            }
        }
        self.store.flush_now().unwrap();
        let (rows, stats) = (self.store.verify().unwrap(), self.store.stats());
        // Merging may have dropped some after they were counted.
        assert!(stats.segment_rows <= rows && rows <= self.model.len());
        assert_eq!(stats.segment_rows + stats.dropped_rows, self.model.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("proptest-regressions/history.txt"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn answers_are_those_of_the_model(
        memtable_bytes in prop::sample::select(vec![8usize << 10, 32 << 10, 1 << 20]),
        steps in prop::collection::vec(any_step(), 1..40),
    ) {
        let mut subject = Subject::new(memtable_bytes);
        for step in &steps {
            subject.run(step);
        }
        subject.compare_everything();
        subject.store.close().unwrap();
        subject.store = open(subject.dir.path(), subject.options.clone());
        subject.compare_everything();
    }
}

#[test]
fn the_same_id_under_another_source_or_namespace_is_another_event() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), small());
    let (one, two) = (namespace("default"), namespace("tenant-b"));
    for round in 0..2 {
        let expected = if round == 0 { 1 } else { 0 };
        for (name, source) in [(&one, "a"), (&one, "b"), (&two, "a"), (&two, "b")] {
            assert_eq!(append(&store, name, vec![event(source, "id", "{}")]).unwrap().stored, expected);
        }
        store.flush_now().unwrap();
    }
    assert_eq!((store.list(&everything(&one)).unwrap().len(), store.list(&everything(&two)).unwrap().len()), (2, 2));
}

#[test]
fn the_first_of_two_events_with_the_same_identity_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), small());
    let first = event_at("s", "id", "c", 0, r#"{"v":1}"#);
    let other = event_at("s", "id", "d", 999, r#"{"v":2}"#);
    let report = append_ok(&store, vec![first.clone(), other.clone()]);
    assert_eq!((report.stored, report.duplicates), (1, 1), "inside of a batch");
    for _ in 0..2 {
        let report = append_ok(&store, vec![other.clone()]);
        assert_eq!((report.stored, report.duplicates), (0, 1));
        assert_eq!(store.list(&everything(&namespace("default"))).unwrap(), std::slice::from_ref(&first));
        store.flush_now().unwrap();
    }
}
