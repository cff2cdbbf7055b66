//! Other names of subjects, and schemas of events, over real stores in a temporary folder.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use tallystick_domain::customer::CustomerDraft;
use tallystick_domain::event_schema::{SchemaAttribute, SchemaContent, SchemaRevision, SchemaStatus};
use tallystick_domain::key::Scope;
use tallystick_domain::meter::{Dimension, Filter, JsonPath};
use tallystick_domain::subject::{Patch, SubjectDraft};
use tallystick_domain::time::{WindowSize, Windows, Zone};
use tallystick_domain::{Instant, Namespace};
use tallystick_engine::{
    Caller, Clock, CustomerPatch, Engine, EngineConfig, EngineError, EventCount, EventListing, IdempotencyTuning,
    KeyAdmin, Limits, NamespaceAdmin, NewEvent, NewSubject, PortalTuning, StoreTuning,
};

fn at(text: &str) -> Instant {
    Instant::parse_rfc3339(text).unwrap()
}

async fn opened(dir: &Path) -> (Engine, Caller) {
    let config = EngineConfig {
        data_dir: dir.to_path_buf(),
        state_url: None,
        require_key: false,
        limits: Limits::default(),
        store: StoreTuning { memtable_bytes: 1 << 20, wal_file_bytes: 1 << 20, queue_bytes: 1 << 20 },
        meters: vec![],
        retention: vec![],
        portal: PortalTuning::default(),
        idempotency: IdempotencyTuning::default(),
        clock: Clock::Fixed(Arc::new(AtomicI64::new(at("2024-06-01T00:00:00Z").as_micros()))),
    };
    let engine = Engine::open(config).await.unwrap();
    let caller = engine.authenticate(None).await.unwrap();
    (engine, caller)
}

fn event(id: &str, subject: &str, data: &str) -> NewEvent {
    NewEvent {
        id: id.into(),
        source: "test".into(),
        event_type: "ride".into(),
        subject: subject.into(),
        time: Some(at("2024-05-31T10:20:00Z")),
        data: Some(data.into()),
        ..NewEvent::default()
    }
}

fn subject(key: &str, aliases: &[&str]) -> NewSubject {
    let draft =
        SubjectDraft { key: key.into(), display_name: Patch::Set(format!("Account {key}")), ..SubjectDraft::default() };
    NewSubject { draft, aliases: texts(aliases) }
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

fn acme() -> CustomerDraft {
    CustomerDraft { key: Some("acme".into()), name: "ACME".into(), ..CustomerDraft::default() }
}

#[tokio::test]
async fn events_under_an_alias_are_the_customers_before_and_after_it_was_added() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, caller) = opened(dir.path()).await;
    let customer = engine.create_customer_with(&caller, acme(), subject("s", &["x"])).await.unwrap();
    engine.ingest(&caller, vec![event("1", "x", "{}"), event("2", "y", "{}"), event("3", "s", "{}")]).await.unwrap();
    let ids = async || {
        let listing = EventListing { customers: vec![customer.id.to_string()], limit: 10, ..EventListing::default() };
        let listed = engine.list_events(&caller, listing).await.unwrap();
        assert!(listed.iter().all(|event| event.customer == Some(customer.id)));
        let mut ids: Vec<_> = listed.iter().map(|event| event.stored.event.id().to_string()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids().await, ["1", "3"]);
    engine.add_aliases(&caller, "s", &texts(&["y", "y"])).await.unwrap();
    assert_eq!(ids().await, ["1", "2", "3"]);
    let known = engine.known_subjects(&caller, BTreeSet::from(["y".into(), "s".into(), "z".into()])).await.unwrap();
    let owner = |text: &str| (known[text].key.clone(), known[text].customer.as_ref().map(|owner| owner.id));
    assert_eq!(owner("y"), ("s".into(), Some(customer.id)));
    assert_eq!(owner("s"), ("s".into(), Some(customer.id)));
    assert_eq!(owner("z"), ("z".into(), None));
    let missing = engine.remove_aliases(&caller, "s", &texts(&["x", "z"])).await;
    assert!(matches!(missing, Err(EngineError::NotFound { .. })), "{missing:?}");
    engine.remove_aliases(&caller, "s", &texts(&["x"])).await.unwrap();
    assert_eq!(ids().await, ["2", "3"]);
}

#[tokio::test]
async fn a_subject_is_given_with_its_names_or_not_at_all_and_goes_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, caller) = opened(dir.path()).await;
    let customer = engine.create_customer_with(&caller, acme(), subject("s", &["x"])).await.unwrap();
    let give = |subject| CustomerPatch { give: Some(subject), ..CustomerPatch::default() };
    for refused in [subject("t", &["y", "x"]), subject("s", &[]), subject("x", &[])] {
        let outcome = engine.patch_customer(&caller, "acme", give(refused)).await;
        assert!(matches!(outcome, Err(EngineError::Conflict(_))), "{outcome:?}");
        assert_eq!(engine.get_customer(&caller, "acme").await.unwrap(), customer);
        assert_eq!(engine.list_aliases(&caller, texts(&["s", "t"])).await.unwrap().len(), 1);
        assert_eq!(engine.list_subjects(&caller).await.unwrap().len(), 1);
    }
    engine.patch_customer(&caller, "acme", give(subject("t", &["y"]))).await.unwrap();
    let patch = CustomerPatch { take: Some("t".into()), name: Some("Acme Inc".into()), ..CustomerPatch::default() };
    let changed = engine.patch_customer(&caller, "acme", patch.clone()).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.subject_keys), ("Acme Inc", customer.subject_keys));
    assert_eq!(engine.list_aliases(&caller, texts(&["t"])).await.unwrap(), []);
    assert!(engine.get_subject(&caller, "t").await.is_err());
    let again = engine.patch_customer(&caller, "acme", patch).await;
    assert!(matches!(again, Err(EngineError::NotFound { .. })), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subjects_that_are_given_at_the_same_time_are_all_there() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, caller) = opened(dir.path()).await;
    engine.create_customer(&caller, acme()).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (engine, caller) = (engine.clone(), caller.clone());
        let give = CustomerPatch { give: Some(subject(&format!("s{number}"), &[])), ..CustomerPatch::default() };
        tasks.spawn(async move { engine.patch_customer(&caller, "acme", give).await.map(drop) });
    }
    for outcome in tasks.join_all().await {
        outcome.unwrap();
    }
    assert_eq!(engine.get_customer(&caller, "acme").await.unwrap().subject_keys.len(), 8);
}

#[tokio::test]
async fn a_schema_grows_by_versions_and_is_the_namespaces_own() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, caller) = opened(dir.path()).await;
    let attribute = |name: &str| SchemaAttribute { name: name.into(), default_unit: None };
    let content = SchemaContent { attributes: vec![attribute("km")], ..SchemaContent::default() };
    let made = engine.create_event_schema(&caller, "ride".into(), content.clone()).await.unwrap();
    assert_eq!((made.version, made.status), (1, SchemaStatus::Draft));
    let again = engine.create_event_schema(&caller, "ride".into(), content).await;
    assert!(matches!(again, Err(EngineError::Conflict(_))), "{again:?}");
    assert!(matches!(engine.deactivate_event_schema(&caller, "ride").await, Err(EngineError::Invalid(_))));
    let active = engine.activate_event_schema(&caller, "ride").await.unwrap();
    assert_eq!(engine.activate_event_schema(&caller, "ride").await.unwrap(), active);
    let fewer = SchemaRevision { attributes: Some(vec![]), ..SchemaRevision::default() };
    assert!(matches!(engine.revise_event_schema(&caller, "ride", fewer).await, Err(EngineError::Invalid(_))));
    let more = vec![attribute("km"), attribute("min")];
    let more = SchemaRevision { attributes: Some(more), ..SchemaRevision::default() };
    assert_eq!(engine.revise_event_schema(&caller, "ride", more.clone()).await.unwrap().version, 2);
    assert_eq!(engine.revise_event_schema(&caller, "ride", more).await.unwrap().version, 2);
    let statuses: Vec<_> = engine.list_event_schema_versions(&caller, "ride").await.unwrap();
    let statuses: Vec<_> = statuses.iter().map(|schema| (schema.version, schema.status)).collect();
    assert_eq!(statuses, [(2, SchemaStatus::Active), (1, SchemaStatus::Archived)]);

    let other = Namespace::parse("other").unwrap();
    NamespaceAdmin::open(dir.path(), None).await.unwrap().create(&other).await.unwrap();
    let key = KeyAdmin::open(dir.path(), None).await.unwrap().create(other, "k", vec![Scope::Admin]).await.unwrap();
    let other = engine.authenticate(Some(&key.secret)).await.unwrap();
    assert!(matches!(engine.get_event_schema(&other, "ride").await, Err(EngineError::NotFound { .. })));
    assert!(matches!(engine.delete_event_schema(&other, "ride").await, Err(EngineError::NotFound { .. })));
    engine.delete_event_schema(&caller, "ride").await.unwrap();
    assert!(matches!(engine.get_event_schema(&caller, "ride").await, Err(EngineError::NotFound { .. })));
}

#[tokio::test]
async fn events_are_counted_whatever_meters_make_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, caller) = opened(dir.path()).await;
    let customer = engine.create_customer_with(&caller, acme(), subject("s", &["x"])).await.unwrap();
    let events = [("1", "x", "{}"), ("2", "s", r#"{"failed":"why"}"#), ("3", "z", "{}")];
    engine.ingest(&caller, events.map(|(id, subject, data)| event(id, subject, data)).into()).await.unwrap();
    let failed = Dimension::Property(JsonPath::parse("$.failed").unwrap());
    let count = EventCount {
        event_type: "ride".into(),
        from: Some(at("2024-05-31T00:00:00Z")),
        to: None,
        windows: Some(Windows::new(WindowSize::Hour, Zone::UTC)),
        filters: vec![],
        customers: vec![],
        group_by: vec![failed.clone()],
    };
    let rows = async |count: EventCount| {
        let rows = engine.count_events(&caller, count).await.unwrap();
        rows.iter().map(|row| format!("{} {}", row.group.join(","), row.value)).collect::<Vec<_>>()
    };
    assert_eq!(rows(count.clone()).await, [" 2", "why 1"]);
    let of_customer = EventCount { customers: vec![customer.id.to_string()], ..count.clone() };
    assert_eq!(rows(of_customer).await, [" 1", "why 1"]);
    let good = EventCount { filters: vec![(failed, Filter::Eq(String::new()))], group_by: vec![], ..count.clone() };
    assert_eq!(rows(good).await, [" 2"]);
    let other = EventCount { event_type: "call".into(), ..count };
    assert_eq!(rows(other).await, Vec::<String>::new());
}
