//! Meters that judge events when they are accepted, over real stores.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tallystick_domain::Instant;
use tallystick_domain::expression::Names;
use tallystick_domain::meter::{
    Aggregation, Condition, JsonPath, Meter, MeterDefinition, MeterRevision, Metered, NewJudging, Rule, RuleValue,
};
use tallystick_engine::{
    Caller, Change, Clock, Engine, EngineConfig, EngineError, EventListing, Limits, ListedEvent, MeterQuery, MeterRef,
    NewCorrection, NewEvent, StoreTuning,
};

const NOON: &str = "2024-06-01T12:00:00Z";

fn at(text: &str) -> Instant {
    Instant::parse_rfc3339(text).unwrap()
}

struct Place {
    clock: Arc<AtomicI64>,
    engine: Engine,
    caller: Caller,
}

impl Place {
    async fn open(dir: &Path) -> Self {
        let clock = Arc::new(AtomicI64::new(at(NOON).as_micros()));
        let config = EngineConfig {
            data_dir: dir.to_path_buf(),
            state_url: None,
            require_key: false,
            limits: Limits::default(),
            store: StoreTuning { memtable_bytes: 1 << 20, wal_file_bytes: 1 << 20, queue_bytes: 1 << 20 },
            meters: vec![],
            retention: vec![],
            portal: Default::default(),
            idempotency: Default::default(),
            clock: Clock::Fixed(Arc::clone(&clock)),
        };
        let engine = Engine::open(config).await.unwrap();
        let caller = engine.authenticate(None).await.unwrap();
        Self { clock, engine, caller }
    }

    fn wait_seconds(&self, seconds: i64) {
        self.clock.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }

    async fn create(&self, slug: &str, rule: Rule, active_from: Option<Instant>) -> Meter {
        let definition = MeterDefinition {
            id: None,
            slug: slug.into(),
            name: None,
            description: None,
            aggregation: Aggregation::Sum,
            event_type: "ride".into(),
            event_from: None,
            value_property: None,
            judging: Some(NewJudging { rule, active_from }),
            group_by: Default::default(),
            metadata: None,
            details: Default::default(),
        };
        self.engine.create_meter(&self.caller, definition).await.unwrap()
    }

    /// Sends an event that happens now.
    async fn send(&self, id: &str, data: &str) {
        let event = event(id, self.engine.now(), data);
        self.engine.ingest(&self.caller, vec![event]).await.unwrap();
    }

    async fn total(&self, slug: &str) -> String {
        let meter = MeterRef::parse(slug).unwrap();
        let result = self.engine.query_meter(&self.caller, &meter, MeterQuery::default()).await.unwrap();
        result.rows.first().map_or("nothing".into(), |row| row.value.to_string())
    }

    async fn listed(&self) -> Vec<ListedEvent> {
        let listing = EventListing { limit: 100, ..EventListing::default() };
        let mut listed = self.engine.list_events(&self.caller, listing).await.unwrap();
        listed.sort_by_key(|listed| listed.stored.event.id().to_owned());
        listed
    }
}

fn event(id: &str, time: Instant, data: &str) -> NewEvent {
    NewEvent {
        id: id.into(),
        source: "test".into(),
        event_type: "ride".into(),
        subject: "a".into(),
        time: Some(time),
        data: Some(data.into()),
        ..NewEvent::default()
    }
}

fn paths(texts: &[&str]) -> Vec<JsonPath> {
    texts.iter().map(|text| JsonPath::parse(text).unwrap()).collect()
}

fn rule(city: Option<&str>) -> Rule {
    let condition = |city: &str| Condition { any_of: paths(&["$.city"]), equals: city.into() };
    Rule {
        conditions: city.map(condition).into_iter().collect(),
        matcher: None,
        value: RuleValue::Property(paths(&["$.km"])),
        names: Names::default(),
    }
}

fn meter_ref(meter: &Meter) -> MeterRef {
    MeterRef::parse(&meter.id.to_string()).unwrap()
}

#[tokio::test]
async fn only_active_meters_count_and_only_what_their_rule_selects() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(dir.path()).await;
    let meter = place.create("rides", rule(Some("pune")), None).await;
    place.send("1", r#"{"km":1,"city":"pune"}"#).await;
    assert_eq!(place.total("rides").await, "nothing", "a draft does not count");
    place.wait_seconds(10);
    place.engine.activate_meter(&place.caller, &meter_ref(&meter)).await.unwrap();
    place.send("2", r#"{"km":0.1,"city":"pune"}"#).await;
    place.send("3", r#"{"km":"0.2","city":"pune"}"#).await;
    place.send("4", r#"{"km":50,"city":"chennai"}"#).await;
    place.send("5", r#"{"km":"far","city":"pune"}"#).await;
    assert_eq!(place.total("rides").await, "0.3");
    place.wait_seconds(10);
    place.engine.deactivate_meter(&place.caller, &meter_ref(&meter)).await.unwrap();
    place.send("6", r#"{"km":7,"city":"pune"}"#).await;
    // Late, but from the time in which the meter was active; and from before it was.
    let late = vec![
        event("7", at("2024-06-01T12:00:15Z"), r#"{"km":0.4,"city":"pune"}"#),
        event("8", at("2024-06-01T12:00:09Z"), r#"{"km":9,"city":"pune"}"#),
    ];
    place.engine.ingest(&place.caller, late).await.unwrap();
    assert_eq!(place.total("rides").await, "0.7");
    let coverage = place.engine.meter_coverage(&place.caller, &meter_ref(&meter), None, None).await.unwrap();
    let reasons: Vec<_> = coverage.not_counted.iter().map(|group| (group.reason.as_str(), group.count)).collect();
    assert_eq!((coverage.matched, coverage.counted, reasons), (8, 3, vec![("not_selected", 4), ("rule_failed", 1)]));
}

#[tokio::test]
async fn events_are_listed_as_they_were_sent_beside_what_was_made_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(dir.path()).await;
    let meter = place.create("rides", rule(Some("pune")), Some(Instant::MIN)).await;
    let sent = [r#"{"km": 1.50, "city":"pune"}"#, r#"{"km":2,"city":"chennai"}"#, r#"{"city":"pune"}"#];
    for (number, data) in sent.iter().enumerate() {
        place.send(&number.to_string(), data).await;
    }
    let kept = NewEvent { kept_only: true, ..event("3", place.engine.now(), sent[0]) };
    place.engine.ingest(&place.caller, vec![kept]).await.unwrap();
    let listed = place.listed().await;
    let shown: Vec<_> = listed.iter().map(|listed| listed.stored.event.data().unwrap()).collect();
    assert_eq!(shown, [sent[0], sent[1], sent[2], sent[0]]);
    let units = Metered::Units(tallystick_domain::Quantity::parse("1.50").unwrap());
    assert_eq!(listed[0].metered, [(meter.id, units)]);
    assert!(listed[1].metered.is_empty() && listed[1].problems.is_empty());
    assert!(matches!(&listed[2].metered[..], [(_, Metered::Fault(why))] if why.contains("$.km")));
    assert_eq!(listed[2].problems.len(), 1);
    assert!(listed[3].metered.is_empty());
    assert_eq!(place.total("rides").await, "1.5");
}

#[tokio::test]
async fn a_new_rule_is_for_events_from_then_on_and_a_correction_is_judged_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(dir.path()).await;
    let meter = place.create("rides", rule(Some("pune")), Some(Instant::MIN)).await;
    place.send("1", r#"{"km":1,"city":"pune"}"#).await;
    place.send("2", r#"{"km":10,"city":"pune"}"#).await;
    let revision = MeterRevision { rule: Some(rule(Some("chennai"))), ..MeterRevision::default() };
    place.engine.revise_meter(&place.caller, &meter_ref(&meter), revision).await.unwrap();
    place.send("3", r#"{"km":100,"city":"pune"}"#).await;
    place.send("4", r#"{"km":1000,"city":"chennai"}"#).await;
    assert_eq!(place.total("rides").await, "1011");
    let amend = |id: &str, data: &str| NewCorrection {
        source: "test".into(),
        id: id.into(),
        change: Change::Amend { data: Some(data.into()) },
        reason: "wrong".into(),
    };
    let corrections = vec![
        amend("1", r#"{"km":1,"city":"pune"}"#),
        amend("3", r#"{"km":5000.5,"city":"chennai"}"#),
        amend("9", "{}"),
    ];
    place.engine.correct_events(&place.caller, corrections).await.unwrap();
    assert_eq!(place.total("rides").await, "6010.5");
    let listed = place.listed().await;
    assert_eq!(listed[2].stored.event.data(), Some(r#"{"km":5000.5,"city":"chennai"}"#));
    assert_eq!(listed[2].original_data, Some(Some(r#"{"km":100,"city":"pune"}"#.to_owned())));
    assert!(
        matches!(&listed[2].corrections[0].change, Change::Amend { data: Some(data) } if !data.contains("$metered"))
    );
    let forged = amend("2", r#"{"$metered":{}}"#);
    let refused = place.engine.correct_events(&place.caller, vec![forged]).await;
    assert!(matches!(refused, Err(EngineError::Invalid(faults)) if faults[0].field == "$[0].data"));
}

#[tokio::test]
async fn nobody_writes_what_meters_write() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(dir.path()).await;
    let meter = place.create("rides", rule(None), Some(Instant::MIN)).await;
    for forged in [format!(r#"{{"km":1,"$metered":{{"{}":1000}}}}"#, meter.id), r#"{"\u0024metered":1}"#.into()] {
        let sent = place.engine.ingest(&place.caller, vec![event("1", place.engine.now(), &forged)]).await;
        assert!(matches!(sent, Err(EngineError::InvalidEvents(faults)) if faults[0].fault.code == "reserved"));
    }
    assert_eq!(place.total("rides").await, "nothing");
}

#[tokio::test]
async fn what_was_judged_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(dir.path()).await;
    place.create("rides", rule(None), Some(Instant::MIN)).await;
    place.send("1", r#"{"km":1}"#).await;
    place.engine.close().await.unwrap();
    drop(place);
    let place = Place::open(dir.path()).await;
    place.send("2", r#"{"km":0.25}"#).await;
    assert_eq!(place.total("rides").await, "1.25");
}
