use super::shard::PER_SUBJECT;
use super::*;
use crate::embedded::sample::plain_row;
use tallystick_domain::meter::fold;

fn key(aggregation: Aggregation, subject: &str) -> LiveKey {
    LiveKey {
        measure: Arc::new(LiveMeasure {
            namespace: Namespace::default_namespace(),
            event_type: "t".into(),
            aggregation,
            value: (aggregation != Aggregation::Count).then(|| JsonPath::parse("$.v").unwrap()),
            filters: vec![],
        }),
        subject: subject.into(),
        from: None,
    }
}

fn filtered(key: LiveKey, filters: Vec<(Dimension, Filter)>) -> LiveKey {
    LiveKey { measure: Arc::new(LiveMeasure { filters, ..(*key.measure).clone() }), ..key }
}

fn started(counters: &LiveCounters, key: &LiveKey) -> u64 {
    let started = counters.start(&counters.gate(), key);
    assert!(started.is_new);
    counters.finish(key, started.passed.start, Some(None));
    started.passed.start
}

fn shown(counters: &LiveCounters, key: &LiveKey) -> Option<String> {
    let counted = counters.get(key)?.unwrap();
    Some(counted.total.map_or("nothing".into(), |total| total.to_string()))
}

/// The row of what had come before.
fn before(value: u64) -> AggregateRow {
    let value = Quantity::from_count(value);
    AggregateRow { window: None, group: vec![], value, first: Instant::MIN, last: Instant::MIN }
}

#[test]
fn a_counter_is_the_fold_of_what_was_published() {
    let counters = LiveCounters::new(1000);
    let values =
        ["1.5", "\"2\"", "null", "79228162514264337593543950335", "-79228162514264337593543950335", "0.0000001"];
    let kept = [Aggregation::Sum, Aggregation::Count, Aggregation::Min, Aggregation::Max];
    for aggregation in kept {
        started(&counters, &key(aggregation, "a"));
    }
    let mut all = Vec::new();
    for (number, value) in values.iter().cycle().take(30).enumerate() {
        let subject = if number % 4 == 3 { "b" } else { "a" };
        all.push(plain_row(number, subject, Instant::MIN, &format!("{{\"v\":{value}}}")));
        counters.publish(&counters.gate(), &Rows::of(&all[number..]), &Masks::default());
        for aggregation in kept {
            let key = key(aggregation, "a");
            let want = fold(&key.plan(), all.iter().map(|row| &row.stored));
            let want = want.map(|rows| rows.first().map(|row| (row.value, row.last)));
            let counted = counters.get(&key).unwrap().map(|counted| counted.total.zip(counted.last));
            assert_eq!(counted, want, "{aggregation:?} after {number}");
        }
    }
    assert_eq!(counters.get(&key(Aggregation::Sum, "b")), None);
}

#[test]
fn what_is_published_while_a_counter_starts_is_added_to_what_came_before() {
    let counters = LiveCounters::new(1000);
    let key = key(Aggregation::Sum, "a");
    let first = counters.start(&counters.gate(), &key);
    assert!(first.is_new);
    counters.publish(&counters.gate(), &Rows::of(&[plain_row(1, "a", Instant::MIN, "{\"v\":2}")]), &Masks::default());
    assert_eq!(counters.get(&key), None, "what came before is not known yet");
    let second = counters.start(&counters.gate(), &key);
    assert_eq!(second, Started { passed: Counted { seen: 1, ..first.passed }, is_new: false }, "it is being started");
    counters.finish(&key, first.passed.start, Some(Some(&before(40))));
    assert_eq!(shown(&counters, &key).unwrap(), "42");
}

#[test]
fn a_counter_that_was_dropped_and_started_again_is_not_finished_by_the_first() {
    let counters = LiveCounters::new(1000);
    let key = key(Aggregation::Count, "a");
    let first = counters.start(&counters.gate(), &key).passed.start;
    counters.forget(&key.measure.namespace, "t", "a");
    assert_eq!(counters.len(), 0);
    let second = counters.start(&counters.gate(), &key).passed.start;
    assert_ne!(first, second);
    counters.finish(&key, first, Some(Some(&before(7))));
    assert_eq!(counters.get(&key), None);
    counters.finish(&key, second, Some(Some(&before(8))));
    assert_eq!(shown(&counters, &key).unwrap(), "8");
    let other = LiveKey { from: Instant::from_micros(0), ..key };
    let failed = counters.start(&counters.gate(), &other).passed.start;
    counters.finish(&other, failed, None);
    assert_eq!(counters.len(), 1);
}

#[test]
fn events_before_the_first_instant_are_told_apart_from_those_that_do_not_count() {
    let counters = LiveCounters::new(1000);
    let at = |micros: i64| Instant::from_micros(micros).unwrap();
    let property = |name: &str| Dimension::Property(JsonPath::parse(name).unwrap());
    let filters = vec![
        (property("$.m"), Filter::Eq("x".into())),
        (property("$.n"), Filter::Ne("1".into())),
        (Dimension::Customer, Filter::Eq("".into())),
    ];
    let key = LiveKey { from: Some(at(100)), ..filtered(key(Aggregation::Sum, "a"), filters) };
    let unfiltered = filtered(key.clone(), vec![]);
    let start = started(&counters, &key);
    started(&counters, &unfiltered);
    let rows = [
        ("a", 99, r#"{"v":1,"m":"x"}"#),
        ("a", 100, r#"{"v":2,"m":"x"}"#),
        ("a", 300, r#"{"v":4,"m":"y"}"#),
        ("a", 400, r#"{"v":8,"m":"x","n":1}"#),
        ("a", 500, r#"{"v":null,"m":"x"}"#),
        ("a", 200, r#"{"v":16,"m":"x"}"#),
        ("b", 600, r#"{"v":32,"m":"x"}"#),
    ];
    let rows: Vec<_> = (0..).zip(rows).map(|(number, row)| plain_row(number, row.0, at(row.1), row.2)).collect();
    counters.publish(&counters.gate(), &Rows::of(&rows), &Masks::default());
    let counted = |total: u64, last: i64, start, seen| Counted {
        total: Some(Quantity::from_count(total)),
        last: Some(at(last)),
        start,
        seen,
        earlier: 1,
    };
    assert_eq!(counters.get(&key), Some(Ok(counted(18, 200, start, 4))));
    assert_eq!(counters.get(&unfiltered).unwrap().map(|all| Counted { start, ..all }), Ok(counted(30, 400, start, 6)));
    counters.forget_key(&key);
    assert_eq!((counters.get(&key), counters.len()), (None, 1));
    assert!(started(&counters, &key) > start);
}

#[test]
fn a_key_without_a_first_instant_is_that_of_the_first_of_all() {
    let counters = LiveCounters::new(1000);
    let key = key(Aggregation::Count, "a");
    started(&counters, &key);
    assert!(counters.get(&LiveKey { from: Some(Instant::MIN), ..key }).is_some());
}

#[test]
fn a_subject_has_a_bounded_number_of_counters_and_those_in_use_stay() {
    let counters = LiveCounters::new(1_000_000);
    let key_from = |micros: i64| LiveKey { from: Instant::from_micros(micros), ..key(Aggregation::Count, "a") };
    for micros in 0..1000 {
        started(&counters, &key_from(micros));
        assert!(counters.get(&key_from(0)).is_some(), "after {micros}");
    }
    assert_eq!(counters.len(), PER_SUBJECT);
    assert!(counters.get(&key_from(999)).is_some());
    assert!(counters.get(&key_from(500)).is_none());
    started(&counters, &key(Aggregation::Count, "b"));
    assert_eq!(counters.len(), PER_SUBJECT + 1, "those of another subject are not in the way");
}

#[test]
fn measures_that_no_counter_has_are_dropped() {
    let counters = LiveCounters::new(1000);
    for number in 0..5000 {
        let plain = key(Aggregation::Count, "a");
        let measure = LiveMeasure { event_type: format!("t{number}"), ..(*plain.measure).clone() };
        let key = LiveKey { measure: Arc::new(measure), ..plain };
        started(&counters, &key);
        counters.forget(&key.measure.namespace, &key.measure.event_type, "a");
    }
    let measures = counters.measures.read().unwrap();
    assert!(measures.len() < 100, "{}", measures.len());
}

#[test]
fn counters_are_bounded_and_those_in_use_stay() {
    let counters = LiveCounters::new(SHARDS * 4);
    let favourite = key(Aggregation::Count, "favourite");
    started(&counters, &favourite);
    for number in 0..5000 {
        started(&counters, &key(Aggregation::Count, &format!("s{number}")));
        assert_eq!(shown(&counters, &favourite).unwrap(), "nothing");
    }
    assert!(counters.len() <= SHARDS * 4, "{}", counters.len());
    let off = LiveCounters::new(0);
    assert!(counters.keeps(&favourite) && !off.keeps(&favourite));
    assert!(!counters.keeps(&key(Aggregation::Avg, "favourite")));
}

/// Prints how long a read takes with a million counters; run with `--release -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a check"]
fn speed_of_reading_one_of_a_million_counters() {
    const COUNTERS: usize = 1_000_000;
    let counters = LiveCounters::new(2 * COUNTERS);
    let keys: Vec<LiveKey> =
        (0..COUNTERS).map(|number| key(Aggregation::Sum, &format!("subject-{number:07}"))).collect();
    let before = resident();
    let begin = std::time::Instant::now();
    for key in &keys {
        started(&counters, key);
    }
    println!("start: {:.2} us each", begin.elapsed().as_secs_f64());
    let rows: Vec<_> = (0..COUNTERS / 10)
        .map(|number| {
            plain_row(number, &format!("subject-{:07}", number * 7919 % COUNTERS), Instant::MIN, "{\"v\":1.25}")
        })
        .collect();
    let rows = Rows::of(&rows);
    println!("{} bytes per counter", (resident() - before) / COUNTERS);
    let begin = std::time::Instant::now();
    counters.publish(&counters.gate(), &rows, &Masks::default());
    println!("publish: {:.3} us per row", begin.elapsed().as_secs_f64() * 1e6 / rows.len() as f64);
    let mut times: Vec<u64> = (0..COUNTERS)
        .map(|number| {
            // As a caller has it: just made.
            let key = keys[number * 7919 % COUNTERS].clone();
            let begin = std::time::Instant::now();
            let total = counters.get(&key);
            let took = begin.elapsed().as_nanos() as u64;
            assert!(total.is_some());
            took
        })
        .collect();
    times.sort_unstable();
    let at = |share: f64| times[(COUNTERS as f64 * share) as usize];
    println!("read: p50 {} ns, p99 {} ns, p99.9 {} ns", at(0.5), at(0.99), at(0.999));
    let begin = std::time::Instant::now();
    (0..COUNTERS).for_each(|_| assert!(counters.get(&keys[7]).is_some()));
    println!("read of one again and again: {:.0} ns", begin.elapsed().as_nanos() as f64 / COUNTERS as f64);
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
