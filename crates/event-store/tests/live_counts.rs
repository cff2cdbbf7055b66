//! Random histories of totals that are kept: each is the fold over the events as they are now, and what it tells beside the
//! total is what happened since its start, however often counters make room for others and whatever is corrected or expires.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod common;

use common::*;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tallystick_domain::Instant;
use tallystick_domain::event::StoredEvent;
use tallystick_domain::meter::{AggregatePlan, Aggregation, Dimension, Filter, JsonPath, fold};
use tallystick_event_store::{
    Change, Corrected, Correction, Counted, EventStore, LiveKey, LiveMeasure, QueryError, StoreOptions,
};
use tempfile::TempDir;

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<StoredEvent>),
    Correct(Correction),
    Expire(i64),
    /// Reads what is known of a key.
    Known(usize),
    /// Reads a key, which starts its counter.
    Live(usize),
    Forget(usize),
    Flush,
}

/// All keys that are asked for: four conditions and three beginnings, for some aggregations and both subjects.
fn keys() -> Vec<LiveKey> {
    let property = |path: &str| Dimension::Property(JsonPath::parse(path).unwrap());
    let conditions = [
        vec![],
        vec![(property("$.m"), Filter::Eq("x".into()))],
        vec![(property("$.m"), Filter::Ne("x".into())), (property("$.n"), Filter::In(["1".into(), "".into()].into()))],
        vec![(Dimension::NotCounted { path: JsonPath::parse("$.v").unwrap(), numeric: true }, Filter::Eq("".into()))],
    ];
    let mut keys = Vec::new();
    for aggregation in [Aggregation::Sum, Aggregation::Count, Aggregation::Max, Aggregation::Avg] {
        for filters in &conditions {
            for (subject, from) in [("a", None), ("a", Some(at(0))), ("a", Some(at(40))), ("b", Some(at(40)))] {
                keys.push(LiveKey {
                    measure: Arc::new(LiveMeasure {
                        namespace: namespace("default"),
                        event_type: "t".into(),
                        aggregation,
                        value: (aggregation != Aggregation::Count).then(|| JsonPath::parse("$.v").unwrap()),
                        filters: filters.clone(),
                    }),
                    subject: subject.into(),
                    from,
                });
            }
        }
    }
    keys
}

/// What the fold is asked for a key.
fn plan(key: &LiveKey, from: Option<Instant>) -> AggregatePlan {
    let mut filters = key.measure.filters.clone();
    filters.push((Dimension::Subject, Filter::Eq(key.subject.to_string())));
    AggregatePlan {
        namespace: key.measure.namespace.clone(),
        event_type: key.measure.event_type.clone(),
        from,
        to: None,
        aggregation: key.measure.aggregation,
        value: key.measure.value.clone(),
        dimensions: vec![],
        filters,
        customers: None,
        windows: None,
        known_until: None,
    }
}

fn any_event() -> impl Strategy<Value = StoredEvent> {
    let value = prop::sample::select(vec![
        "1",
        "-2.5",
        "\"3\"",
        "0",
        "null",
        "\"junk\"",
        "true",
        "79228162514264337593543950335",
        "0.0000001",
    ]);
    let rest = prop::sample::select(vec![r#","m":"x""#, r#","m":"y""#, r#","m":"y","n":1"#, r#","m":"y","n":2"#, ""]);
    let subject = prop::sample::select(vec!["a", "a", "a", "b", "c"]);
    (0u16..300, subject, -60i64..120, value, rest).prop_map(|(id, subject, micros, value, rest)| {
        event_at("s", &format!("id-{id}"), subject, micros, &format!("{{\"v\":{value}{rest}}}"))
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    let key = || 0..keys().len();
    let data = any_event().prop_map(|stored| stored.event.data().map(String::from));
    let change = prop_oneof![Just(Change::Retract), data.prop_map(|data| Change::Amend { data })];
    prop_oneof![
        12 => prop::collection::vec(any_event(), 1..8).prop_map(Step::Append),
        2 => (0u16..300, change).prop_map(|(id, change)| Step::Correct(correction("s", &format!("id-{id}"), change))),
        1 => (-70i64..60).prop_map(Step::Expire),
        8 => key().prop_map(Step::Known),
        16 => key().prop_map(Step::Live),
        1 => key().prop_map(Step::Forget),
        1 => Just(Step::Flush),
    ]
}

/// What is known of a start: when it was, and whether its counter must be gone.
#[derive(Clone, Copy, Debug)]
struct Start {
    number: u64,
    /// How many events had been accepted.
    at: usize,
    is_gone: bool,
}

struct Subject {
    store: EventStore,
    limit: usize,
    keys: Vec<LiveKey>,
    model: Model,
    /// The new events that had not expired when they came, in their order.
    accepted: Vec<StoredEvent>,
    starts: BTreeMap<usize, Vec<Start>>,
    /// How often a counter was read that was there.
    known: usize,
    _dir: TempDir,
}

impl Subject {
    fn new(limit: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), StoreOptions { live_counters: limit, ..unsealed() });
        let (model, accepted, starts) = (Model::default(), vec![], BTreeMap::new());
        Self { store, limit, keys: keys(), model, accepted, starts, known: 0, _dir: dir }
    }

    fn run(&mut self, step: &Step) {
        let name = namespace("default");
        match step {
            Step::Append(events) => {
                // One by one, so that the model tells which of them are new.
                for event in events {
                    let one = std::slice::from_ref(event);
                    let is_new = self.model.append(&name, one).stored == 1;
                    append_ok(&self.store, one.to_vec());
                    if is_new && self.model.of(&name).contains(&event) {
                        self.accepted.push(event.clone());
                    }
                }
            }
            Step::Correct(correction) => {
                let expected = self.model.correct(&name, correction);
                assert_eq!(self.store.correct(&name, vec![correction.clone()]).unwrap(), [expected]);
                if expected == Corrected::Recorded {
                    let (listed, _) = self.original(correction);
                    self.lose(|key| *key.subject == *listed);
                }
            }
            Step::Expire(micros) => {
                let before = self.store.cut_off(&name, "t");
                self.model.expire(&name, "t", at(*micros));
                self.store.expire(&name, "t", at(*micros)).unwrap();
                if self.store.cut_off(&name, "t") != before {
                    self.lose(|_| true);
                }
            }
            Step::Known(number) => {
                let known = self.store.known_count(&self.keys[*number]);
                let marks = self.store.known_marks(&self.keys[*number]);
                assert_eq!(marks.is_some(), known.is_some());
                if let (Some(marks), Some(Ok(known))) = (marks, &known) {
                    assert_eq!(marks, Counted { total: None, ..*known });
                }
                if let Some(known) = known {
                    self.known += 1;
                    self.compare(*number, known.map_err(QueryError::Plan), false);
                }
            }
            Step::Live(number) => match self.store.live_count(&self.keys[*number]) {
                Ok(None) => assert!(self.limit == 0 || self.keys[*number].measure.aggregation == Aggregation::Avg),
                Ok(Some(counted)) => self.compare(*number, Ok(counted), true),
                Err(error) => self.compare(*number, Err(error), true),
            },
            Step::Forget(number) => {
                self.store.forget_count(&self.keys[*number]);
                assert!(self.store.known_count(&self.keys[*number]).is_none());
                self.lose_keys(|other| other == *number);
            }
            Step::Flush => self.store.flush_now().unwrap(),
        }
    }

    fn original(&self, correction: &Correction) -> (String, Instant) {
        let is_it = |stored: &&StoredEvent| stored.event.id() == correction.id;
        let found = self.model.histories(&namespace("default")).into_iter().map(|(stored, _)| stored).find(is_it);
        let event = &found.unwrap().event;
        (event.subject().to_owned(), event.time())
    }

    /// The counters of these keys must be dropped.
    fn lose(&mut self, is_changed: impl Fn(&LiveKey) -> bool) {
        let changed: BTreeSet<usize> = (0..self.keys.len()).filter(|number| is_changed(&self.keys[*number])).collect();
        self.lose_keys(|number| changed.contains(&number));
        for number in changed {
            assert!(self.store.known_count(&self.keys[number]).is_none(), "{:?} was changed", self.keys[number]);
        }
    }

    fn lose_keys(&mut self, is_lost: impl Fn(usize) -> bool) {
        let lost = self.starts.iter_mut().filter(|(number, _)| is_lost(**number));
        lost.flat_map(|(_, starts)| starts).for_each(|start| start.is_gone = true);
    }

    fn compare(&mut self, number: usize, counted: Result<Counted, QueryError>, may_start: bool) {
        let key = &self.keys[number];
        let expected = fold(&plan(key, key.from), self.model.of(&key.measure.namespace));
        let counted = match (counted, &expected) {
            (Ok(counted), Ok(rows)) => {
                let row = rows.first();
                assert_eq!(
                    (counted.total, counted.last),
                    (row.map(|row| row.value), row.map(|row| row.last)),
                    "{key:?}"
                );
                counted
            }
            (Err(QueryError::Plan(_)), Err(_)) => return,
            (counted, expected) => panic!("{counted:?} instead of {expected:?} for {key:?}"),
        };
        let starts = self.starts.entry(number).or_default();
        let known = starts.iter().rfind(|start| start.number == counted.start).copied();
        let start = known.unwrap_or(Start { number: counted.start, at: self.accepted.len(), is_gone: false });
        if known.is_none() {
            assert!(starts.iter().all(|earlier| earlier.number < counted.start), "{starts:?} {counted:?}");
            assert!(may_start, "{counted:?} was not started");
            starts.iter_mut().for_each(|earlier| earlier.is_gone = true);
            starts.push(start);
        }
        assert!(!start.is_gone, "{counted:?} of {key:?} must be gone");
        let plan = plan(key, None);
        let passed: Vec<_> = self.accepted[start.at..].iter().filter(|stored| plan.selects(stored)).collect();
        let is_earlier = |stored: &&&StoredEvent| key.from.is_some_and(|from| stored.event.time() < from);
        let expected = (passed.len() as u64, passed.iter().filter(is_earlier).count() as u64);
        assert_eq!((counted.seen, counted.earlier), expected, "{key:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("proptest-regressions/live_counts.txt"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_count_is_the_fold_and_tells_what_came_since_its_start(
        // With 64 parts this is one, four or many counters of a subject at a time.
        limit in prop::sample::select(vec![0usize, 64, 256, 100_000]),
        steps in prop::collection::vec(any_step(), 1..200),
    ) {
        let mut subject = Subject::new(limit);
        for step in &steps {
            subject.run(step);
        }
        // All that are known, and all that can be started.
        for known in [Step::Known, Step::Live, Step::Known] {
            (0..subject.keys.len()).for_each(|number| subject.run(&known(number)));
        }
        prop_assert!(limit < 100_000 || subject.known > subject.keys.len() / 2, "{} were known", subject.known);
    }
}
