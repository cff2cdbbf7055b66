use super::*;
use crate::embedded::sample::plain_row;
use tallystick_domain::meter::fold;

fn key(aggregation: Aggregation, subject: &str) -> LiveKey {
    LiveKey {
        namespace: Namespace::default_namespace(),
        event_type: "t".into(),
        aggregation,
        value: (aggregation != Aggregation::Count).then(|| JsonPath::parse("$.v").unwrap()),
        subject: subject.into(),
        from: None,
    }
}

fn started(counters: &LiveCounters, key: &LiveKey) {
    let gate = counters.gate();
    let serial = counters.start(&gate, key).unwrap();
    counters.finish(key, serial, Some(None));
}

fn shown(counters: &LiveCounters, key: &LiveKey) -> Option<String> {
    counters.get(key).map(|total| total.unwrap().map_or("nothing".into(), |total| total.to_string()))
}

#[test]
fn a_counter_is_the_fold_of_what_was_published() {
    let counters = LiveCounters::new(1000);
    let values =
        ["1.5", "\"2\"", "null", "79228162514264337593543950335", "-79228162514264337593543950335", "0.0000001"];
    let kept = [Aggregation::Sum, Aggregation::Count, Aggregation::Min, Aggregation::Max];
    kept.iter().for_each(|aggregation| started(&counters, &key(*aggregation, "a")));
    let mut all = Vec::new();
    for (number, value) in values.iter().cycle().take(30).enumerate() {
        let subject = if number % 4 == 3 { "b" } else { "a" };
        all.push(plain_row(number, subject, Instant::MIN, &format!("{{\"v\":{value}}}")));
        counters.publish(&counters.gate(), &Rows::of(&all[number..]), &Masks::default());
        for aggregation in kept {
            let key = key(aggregation, "a");
            let want = fold(&key.plan(), all.iter().map(|row| &row.stored));
            let want = want.map(|rows| rows.first().map(|row| row.value));
            assert_eq!(counters.get(&key), Some(want), "{aggregation:?} after {number}");
        }
    }
    assert_eq!(counters.get(&key(Aggregation::Sum, "b")), None);
}

#[test]
fn what_is_published_while_a_counter_starts_is_added_to_what_came_before() {
    let counters = LiveCounters::new(1000);
    let key = key(Aggregation::Sum, "a");
    let serial = counters.start(&counters.gate(), &key).unwrap();
    assert_eq!(counters.start(&counters.gate(), &key), None, "it is being started");
    counters.publish(&counters.gate(), &Rows::of(&[plain_row(1, "a", Instant::MIN, "{\"v\":2}")]), &Masks::default());
    assert_eq!(counters.get(&key), None, "what came before is not known yet");
    counters.finish(&key, serial, Some(Some(Quantity::from_count(40))));
    assert_eq!(shown(&counters, &key).unwrap(), "42");
}

#[test]
fn a_counter_that_was_dropped_and_started_again_is_not_finished_by_the_first() {
    let counters = LiveCounters::new(1000);
    let key = key(Aggregation::Count, "a");
    let first = counters.start(&counters.gate(), &key).unwrap();
    counters.forget(&key.namespace, "t", "a");
    assert_eq!(counters.len(), 0);
    let second = counters.start(&counters.gate(), &key).unwrap();
    counters.finish(&key, first, Some(Some(Quantity::from_count(7))));
    assert_eq!(counters.get(&key), None);
    counters.finish(&key, second, Some(Some(Quantity::from_count(8))));
    assert_eq!(shown(&counters, &key).unwrap(), "8");
    let failed = counters.start(&counters.gate(), &LiveKey { from: Some(Instant::MIN), ..key.clone() }).unwrap();
    counters.finish(&LiveKey { from: Some(Instant::MIN), ..key }, failed, None);
    assert_eq!(counters.len(), 1);
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
    assert_eq!(off.start(&off.gate(), &favourite), None);
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
    keys.iter().for_each(|key| started(&counters, key));
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
            let key = &keys[number * 7919 % COUNTERS];
            let begin = std::time::Instant::now();
            let total = counters.get(key);
            let took = begin.elapsed().as_nanos() as u64;
            assert!(total.is_some());
            took
        })
        .collect();
    times.sort_unstable();
    let at = |share: f64| times[(COUNTERS as f64 * share) as usize];
    println!("read: p50 {} ns, p99 {} ns, p99.9 {} ns", at(0.5), at(0.99), at(0.999));
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
