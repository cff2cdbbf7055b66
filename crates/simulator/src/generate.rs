//! Random events and plans, small enough to meet each other often.

use std::sync::Arc;
use tallystick_domain::event::{Event, EventParts, EventQuery, StoredEvent};
use tallystick_domain::meter::{AggregatePlan, Aggregation, Dimension, Filter, JsonPath};
use tallystick_domain::time::{WindowSize, Windows, Zone};
use tallystick_domain::{Instant, Namespace};
use tallystick_event_store::faulty::Random;
use tallystick_event_store::{Change, LiveKey, LiveMeasure};

pub(crate) const TYPES: [&str; 2] = ["request", "upload"];
const START: i64 = 1_700_000_000_000_000;
const HOUR: i64 = 3_600_000_000;

/// The namespaces of every history.
pub(crate) fn namespaces() -> [Namespace; 2] {
    ["default", "tenant-b"].map(|name| Namespace::parse(name).expect("a good name"))
}

fn data(random: &mut Random) -> Option<String> {
    let number = random.below(2000) as i64 - 500;
    match random.below(12) {
        0 => None,
        1 => Some("{}".into()),
        2 => Some(format!(r#"{{"v":"{number}","m":"x","k":{{"n":{}}}}}"#, random.below(3))),
        3 => Some(r#"{"v":"none","m":"y"}"#.into()),
        // Texts that hardly compress fill a log file soon.
        4 => {
            let noise: String = (0..random.below(120)).map(|_| format!("{:x}", random.word())).collect();
            Some(format!(r#"{{"v":{number},"m":"y","noise":"{noise}"}}"#))
        }
        _ => Some(format!(r#"{{"v":{number}.{:02},"m":"m{}"}}"#, random.below(100), random.below(3))),
    }
}

fn event(random: &mut Random) -> StoredEvent {
    let time = Instant::from_micros(START + random.below(96) as i64 * HOUR + random.below(3) as i64);
    let time = time.expect("a year of our time");
    let parts = EventParts {
        id: format!("id-{}", random.below(400)),
        source: format!("source-{}", random.below(2)),
        event_type: random.pick(&TYPES).to_string(),
        subject: format!("subject-{}", random.below(4)),
        time,
        data: data(random),
        extras: random.one_in(10).then(|| r#"{"x":"1"}"#.to_string()),
    };
    let event = Event::new(parts, 16).expect("a good event");
    StoredEvent { event, ingested_at: time.saturating_add_micros(random.below(1000) as i64) }
}

/// A batch for one of the namespaces; events of it may be there already, and may come twice in it.
pub(crate) fn batch(random: &mut Random) -> (Namespace, Vec<StoredEvent>) {
    let name = random.pick(&namespaces()).clone();
    let most = if random.one_in(6) { 40 } else { 8 };
    let mut events: Vec<StoredEvent> = (0..=random.below(most)).map(|_| event(random)).collect();
    if random.one_in(4) {
        let again = random.pick(&events).clone();
        events.push(again);
    }
    (name, events)
}

/// What a correction may do to an event that is seen with this data.
pub(crate) fn change(random: &mut Random, now: Option<&str>) -> Change {
    match random.below(8) {
        0..4 => Change::Retract,
        // What it has already.
        4 => Change::Amend { data: now.map(str::to_owned) },
        _ => Change::Amend { data: data(random) },
    }
}

/// An identity that may never have been sent.
pub(crate) fn any_identity(random: &mut Random) -> (String, String) {
    (format!("source-{}", random.below(2)), format!("id-{}", random.below(400)))
}

/// A cut-off of a type, early ones being more likely: it never moves back.
pub(crate) fn cut_off(random: &mut Random) -> (Namespace, String, Instant) {
    let hours = random.below(96).min(random.below(96)).min(random.below(96)) as i64;
    let before = Instant::from_micros(START + hours * HOUR + random.below(3) as i64).expect("a year of our time");
    (random.pick(&namespaces()).clone(), random.pick(&TYPES).to_string(), before)
}

/// Everything of a namespace.
pub(crate) fn everything(name: &Namespace) -> EventQuery {
    EventQuery {
        namespace: name.clone(),
        fields: Vec::new(),
        time: None,
        ingested_at: None,
        after: None,
        limit: usize::MAX,
    }
}

/// Some aggregation over a type of a namespace.
pub(crate) fn plan(random: &mut Random, name: &Namespace, event_type: &str) -> AggregatePlan {
    let path = |text: &str| JsonPath::parse(text).expect("a good path");
    let aggregation = *random.pick(&Aggregation::ALL);
    let mut dimensions = vec![Dimension::Subject, Dimension::Property(path("$.m"))];
    dimensions.truncate(random.below(3) as usize);
    let zone = Zone::parse("America/New_York").expect("a known zone");
    AggregatePlan {
        namespace: name.clone(),
        event_type: event_type.into(),
        from: random.one_in(4).then(|| Instant::from_micros(START + 20 * HOUR)).flatten(),
        to: None,
        aggregation,
        value: (aggregation != Aggregation::Count).then(|| path("$.v")),
        dimensions,
        filters: Vec::new(),
        customers: None,
        windows: random.one_in(2).then(|| Windows::new(WindowSize::Day, zone)),
        known_until: None,
    }
}

/// The total of one of the subjects, and the plan that gives the same.
pub(crate) fn live_total(random: &mut Random, plan: &AggregatePlan) -> (LiveKey, AggregatePlan) {
    let subject = format!("subject-{}", random.below(4));
    let model = Dimension::Property(JsonPath::parse("$.m").expect("a good path"));
    let conditions = if random.one_in(2) { vec![(model, Filter::Ne("m1".into()))] } else { Vec::new() };
    let mut filters = conditions.clone();
    filters.push((Dimension::Subject, Filter::Eq(subject.as_str().into())));
    let key = LiveKey {
        measure: Arc::new(LiveMeasure {
            namespace: plan.namespace.clone(),
            event_type: plan.event_type.clone(),
            aggregation: plan.aggregation,
            value: plan.value.clone(),
            filters: conditions,
        }),
        subject: subject.into(),
        from: plan.from,
    };
    (key, AggregatePlan { dimensions: Vec::new(), filters, windows: None, ..plan.clone() })
}
