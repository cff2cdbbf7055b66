//! The engine over real stores in a temporary folder: what a caller of any door can rely on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use tallystick_domain::customer::CustomerDraft;
use tallystick_domain::key::Scope;
use tallystick_domain::meter::{Aggregation, Filter, MeterDefinition, MeterUpdate};
use tallystick_domain::time::WindowSize;
use tallystick_domain::{Instant, Namespace};
use tallystick_engine::{
    Caller, Change, Clock, Corrected, Engine, EngineConfig, EngineError, EventListing, ImportPart, KeyAdmin, Limits,
    MeterQuery, MeterRef, NamespaceAdmin, NewCorrection, NewEvent, OpenError, RetentionRule, StoreTuning,
};

fn at(text: &str) -> Instant {
    Instant::parse_rfc3339(text).unwrap()
}

fn config(dir: &Path) -> EngineConfig {
    EngineConfig {
        data_dir: dir.to_path_buf(),
        state_url: None,
        require_key: false,
        limits: Limits::default(),
        store: StoreTuning { memtable_bytes: 1 << 20, wal_file_bytes: 1 << 20, queue_bytes: 1 << 20 },
        meters: vec![],
        retention: vec![],
        portal: tallystick_engine::PortalTuning::default(),
        idempotency: tallystick_engine::IdempotencyTuning::default(),
        clock: Clock::Fixed(Arc::new(AtomicI64::new(at("2024-06-01T00:00:00Z").as_micros()))),
    }
}

async fn opened(dir: &Path) -> (Engine, Caller) {
    let engine = Engine::open(config(dir)).await.unwrap();
    let caller = engine.authenticate(None).await.unwrap();
    (engine, caller)
}

fn event(id: &str, subject: &str, time: &str, data: &str) -> NewEvent {
    NewEvent {
        id: id.into(),
        source: "test".into(),
        event_type: "prompt".into(),
        subject: subject.into(),
        time: Some(at(time)),
        data: Some(data.into()),
        ..NewEvent::default()
    }
}

fn tokens_meter(slug: &str) -> MeterDefinition {
    MeterDefinition {
        id: None,
        judging: None,
        details: Default::default(),
        slug: slug.into(),
        name: None,
        description: None,
        aggregation: Aggregation::Sum,
        event_type: "prompt".into(),
        event_from: None,
        value_property: Some("$.tokens".into()),
        group_by: BTreeMap::from([("model".to_string(), "$.model".to_string())]),
        metadata: None,
    }
}

fn meter(text: &str) -> MeterRef {
    MeterRef::parse(text).unwrap()
}

async fn total(engine: &Engine, caller: &Caller, slug: &str) -> Option<String> {
    let result = engine.query_meter(caller, &meter(slug), MeterQuery::default()).await.unwrap();
    result.rows.first().map(|row| row.value.to_string())
}

#[tokio::test]
async fn a_meter_counts_history_and_what_comes_later_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, caller) = opened(dir.path()).await;
    let first = vec![
        event("1", "a", "2024-05-01T10:00:00Z", r#"{"tokens":0.1,"model":"x"}"#),
        event("2", "b", "2024-05-02T10:00:00Z", r#"{"tokens":"0.2","model":"y"}"#),
    ];
    let report = engine.ingest(&caller, first.clone()).await.unwrap();
    assert_eq!((report.stored, report.duplicates), (2, 0));
    engine.create_meter(&caller, tokens_meter("tokens")).await.unwrap();
    assert_eq!(total(&engine, &caller, "tokens").await.as_deref(), Some("0.3"));

    let mut again = first;
    again.push(event("3", "a", "2024-05-03T10:00:00Z", r#"{"tokens":0.3}"#));
    again.push(event("3", "a", "2024-05-03T10:00:00Z", r#"{"tokens":99}"#));
    let report = engine.ingest(&caller, again).await.unwrap();
    assert_eq!((report.stored, report.duplicates), (1, 3));
    assert_eq!(total(&engine, &caller, "tokens").await.as_deref(), Some("0.6"));

    engine.close().await.unwrap();
    drop(engine);
    let (engine, caller) = opened(dir.path()).await;
    assert_eq!(total(&engine, &caller, "tokens").await.as_deref(), Some("0.6"));
    let query = MeterQuery {
        window: Some(WindowSize::Day),
        group_by: vec!["model".into()],
        filters: BTreeMap::from([("model".to_string(), Filter::Ne("y".into()))]),
        ..MeterQuery::default()
    };
    let result = engine.query_meter(&caller, &meter("tokens"), query).await.unwrap();
    let shown: Vec<_> = result.rows.iter().map(|row| (row.groups["model"].as_str(), row.value.to_string())).collect();
    assert_eq!(shown, [("x", "0.1".to_string()), ("", "0.3".to_string())]);
}

#[tokio::test]
async fn a_live_total_follows_every_event_of_its_subject() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, caller) = opened(dir.path()).await;
    let meter = engine.create_meter(&caller, tokens_meter("tokens")).await.unwrap();
    let from = Some(at("2024-05-01T00:00:00Z"));
    let total = async || {
        let total = engine.live_total(&caller, &meter, "a", from).await.unwrap();
        total.map(|total| total.to_string())
    };
    assert_eq!(total().await, None);
    for (id, subject, time, tokens, want) in [
        ("1", "a", "2024-05-01T00:00:00Z", "0.1", Some("0.1")),
        ("2", "b", "2024-05-02T00:00:00Z", "7", Some("0.1")),
        ("3", "a", "2024-04-30T23:59:59Z", "7", Some("0.1")),
        ("4", "a", "2024-05-20T00:00:00Z", "\"0.25\"", Some("0.35")),
        ("4", "a", "2024-05-20T00:00:00Z", "9", Some("0.35")),
        ("5", "a", "2024-05-01T00:00:01Z", "null", Some("0.35")),
    ] {
        let data = format!(r#"{{"tokens":{tokens}}}"#);
        engine.ingest(&caller, vec![event(id, subject, time, &data)]).await.unwrap();
        assert_eq!(total().await.as_deref(), want, "after {id}");
    }
    assert_eq!(engine.stats().store.live_counters, 1);
    assert_eq!(engine.histograms().live_us.count(), 7, "each answer was timed");
}

#[tokio::test]
async fn an_expired_event_is_not_corrected_and_corrections_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let (namespace, event_type, keep_us) =
        (Namespace::default_namespace(), "prompt".to_string(), 24 * 3600 * 1_000_000);
    let retention = vec![RetentionRule { namespace, event_type, keep_us }];
    let limits = Limits { batch_events: 2, ..Limits::default() };
    let engine = Engine::open(EngineConfig { retention, limits, ..config(dir.path()) }).await.unwrap();
    let caller = engine.authenticate(None).await.unwrap();
    let old = event("old", "a", "2024-05-01T00:00:00Z", "{}");
    let new = event("new", "a", "2024-05-31T12:00:00Z", "{}");
    engine.ingest(&caller, vec![old, new]).await.unwrap();
    engine.apply_retention().await.unwrap();
    let retract = |id: &str| NewCorrection {
        source: "test".into(),
        id: id.into(),
        change: Change::Retract,
        reason: "a test".into(),
    };
    let became = engine.correct_events(&caller, vec![retract("old"), retract("new")]).await.unwrap();
    assert_eq!(became, [Corrected::Expired, Corrected::Recorded]);
    let too_many = engine.correct_events(&caller, ["old", "new", "old"].map(retract).to_vec()).await;
    assert!(matches!(too_many, Err(EngineError::TooLarge(_))), "{too_many:?}");
}

#[tokio::test]
async fn a_query_that_needs_too_much_memory_names_the_option() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { query_memory_bytes: 100_000, ..Limits::default() };
    let engine = Engine::open(EngineConfig { limits, ..config(dir.path()) }).await.unwrap();
    let caller = engine.authenticate(None).await.unwrap();
    engine.create_meter(&caller, tokens_meter("tokens")).await.unwrap();
    let one = |n: usize| event(&n.to_string(), &format!("subject-{n}"), "2024-05-01T10:00:00Z", r#"{"tokens":1}"#);
    engine.ingest(&caller, (0..3000).map(one).collect()).await.unwrap();
    let meter = meter("tokens");
    let by_subject = MeterQuery { group_by: vec!["subject".into()], ..MeterQuery::default() };
    let error = engine.query_meter(&caller, &meter, by_subject).await.unwrap_err().to_string();
    assert!(error.contains("limits.query_memory_bytes") && error.contains("100000"), "{error}");
    let whole = engine.query_meter(&caller, &meter, MeterQuery::default()).await.unwrap();
    assert_eq!(whole.rows[0].value.to_string(), "3000");
    // What it had left to do has failed.
    let watched =
        MeterQuery { group_by: vec!["subject".into()], watched_as: Some("id".into()), ..MeterQuery::default() };
    engine.query_meter(&caller, &meter, watched).await.unwrap_err();
    let told = engine.progress(&caller, "id").unwrap();
    assert_eq!((told.success + told.failed, told.total), (3000, 3000));
    assert!(told.failed > 0, "{told:?}");
}

#[tokio::test]
async fn an_invalid_event_keeps_its_whole_batch_out_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, caller) = opened(dir.path()).await;
    let good = event("1", "a", "2024-05-01T10:00:00Z", "{}");
    let no_subject = NewEvent { subject: String::new(), ..event("2", "", "2024-05-01T10:00:00Z", "{}") };
    let twice = event("3", "a", "2024-05-01T10:00:00Z", r#"{"k":1,"k":2}"#);
    let error = engine.ingest(&caller, vec![good, no_subject, twice]).await.unwrap_err();
    let EngineError::InvalidEvents(invalid) = error else { panic!("{error:?}") };
    let named: Vec<_> = invalid.iter().map(|fault| (fault.index, fault.fault.field)).collect();
    assert_eq!(named, [(1, "subject"), (2, "data")]);
    let listed = engine.list_events(&caller, EventListing { limit: 10, ..EventListing::default() }).await.unwrap();
    assert!(listed.is_empty());
    let too_many = vec![event("1", "a", "2024-05-01T10:00:00Z", "{}"); 10_001];
    assert!(matches!(engine.ingest(&caller, too_many).await, Err(EngineError::TooLarge(_))));
}

#[tokio::test]
async fn listings_and_coverage_say_why_an_event_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, caller) = opened(dir.path()).await;
    engine.create_meter(&caller, tokens_meter("tokens")).await.unwrap();
    let events = vec![
        event("1", "a", "2024-05-01T10:00:00Z", r#"{"tokens":1}"#),
        event("2", "a", "2024-05-01T11:00:00Z", r#"{"tokens":"many"}"#),
        event("3", "a", "2024-05-01T12:00:00Z", r#"{}"#),
        NewEvent { event_type: "other".into(), ..event("4", "a", "2024-05-01T13:00:00Z", "{}") },
    ];
    engine.ingest(&caller, events).await.unwrap();
    let listed = engine.list_events(&caller, EventListing { limit: 10, ..EventListing::default() }).await.unwrap();
    let problems: Vec<_> = listed.iter().map(|event| event.problems.join("|")).collect();
    assert_eq!(
        problems,
        [
            "no meter found for event type: other",
            "invalid event: missing value property: \"$.tokens\"",
            "invalid event: value is not a decimal number: \"many\"",
            "",
        ]
    );
    let coverage = engine.meter_coverage(&caller, &meter("tokens"), None, None).await.unwrap();
    assert_eq!((coverage.matched, coverage.counted), (3, 1));
    let reasons: Vec<_> = coverage.not_counted.iter().map(|group| (group.reason.as_str(), group.count)).collect();
    assert_eq!(reasons, [("missing_value", 1), ("not_numeric", 1)]);
}

#[tokio::test]
async fn meters_live_change_and_die_by_the_rules() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, caller) = opened(dir.path()).await;
    let created = engine.create_meter(&caller, tokens_meter("tokens")).await.unwrap();
    let again = engine.create_meter(&caller, tokens_meter("tokens")).await;
    assert!(matches!(again, Err(EngineError::Conflict(_))));
    let bad = MeterDefinition { value_property: Some("tokens'); DROP".into()), ..tokens_meter("x") };
    assert!(matches!(engine.create_meter(&caller, bad).await, Err(EngineError::Invalid(_))));

    let update = MeterUpdate { name: Some("Tokens".into()), ..MeterUpdate::default() };
    let updated = engine.update_meter(&caller, &meter("tokens"), update).await.unwrap();
    assert_eq!((updated.name.as_str(), updated.group_by.len()), ("Tokens", 0));

    engine.delete_meter(&caller, &meter("tokens")).await.unwrap();
    let id = meter(&created.id.to_string());
    assert!(matches!(engine.get_meter(&caller, &meter("tokens")).await, Err(EngineError::NotFound { .. })));
    assert!(engine.get_meter(&caller, &id).await.unwrap().deleted_at.is_some());
    engine.delete_meter(&caller, &id).await.unwrap();
    assert!(engine.delete_meter(&caller, &meter("tokens")).await.is_err());
    engine.query_meter(&caller, &id, MeterQuery::default()).await.unwrap();
    assert!(engine.list_meters(&caller, false).await.unwrap().is_empty());
    engine.create_meter(&caller, tokens_meter("tokens")).await.unwrap();
    assert_eq!(engine.list_meters(&caller, true).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_a_query_names_must_exist() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, caller) = opened(dir.path()).await;
    engine.create_meter(&caller, tokens_meter("tokens")).await.unwrap();
    let instant = Some(at("2024-01-01T00:00:00Z"));
    let bad = [
        MeterQuery { group_by: vec!["nope".into()], ..MeterQuery::default() },
        MeterQuery { group_by: vec!["customer_id".into()], ..MeterQuery::default() },
        MeterQuery { filters: [("nope".to_string(), Filter::Eq("x".into()))].into(), ..MeterQuery::default() },
        MeterQuery { from: instant, to: instant, ..MeterQuery::default() },
        MeterQuery { from: Some(at("2024-01-02T00:00:00Z")), to: instant, ..MeterQuery::default() },
    ];
    for query in bad {
        let error = engine.query_meter(&caller, &meter("tokens"), query.clone()).await;
        assert!(matches!(error, Err(EngineError::Invalid(_))), "{query:?}");
    }
    let missing = engine.query_meter(&caller, &meter("missing"), MeterQuery::default()).await;
    assert!(matches!(missing, Err(EngineError::NotFound { .. })));
}

#[tokio::test]
async fn nothing_is_zero_for_counts_and_no_row_for_sums() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, caller) = opened(dir.path()).await;
    engine.create_meter(&caller, tokens_meter("tokens")).await.unwrap();
    let count = MeterDefinition { aggregation: Aggregation::Count, value_property: None, ..tokens_meter("calls") };
    engine.create_meter(&caller, count).await.unwrap();
    assert_eq!(total(&engine, &caller, "tokens").await, None);
    assert_eq!(total(&engine, &caller, "calls").await.as_deref(), Some("0"));
    let grouped = MeterQuery { group_by: vec!["subject".into()], ..MeterQuery::default() };
    assert!(engine.query_meter(&caller, &meter("calls"), grouped).await.unwrap().rows.is_empty());
}

#[tokio::test]
async fn from_the_first_key_on_a_key_is_needed_and_sees_its_namespace_only() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, operator) = opened(dir.path()).await;
    engine.create_meter(&operator, tokens_meter("tokens")).await.unwrap();
    engine.ingest(&operator, vec![event("1", "a", "2024-05-01T10:00:00Z", r#"{"tokens":5}"#)]).await.unwrap();

    let admin = KeyAdmin::open(dir.path(), None).await.unwrap();
    // What the engine knew a moment before a change is not believed after it.
    engine.authenticate(None).await.unwrap();
    let other = Namespace::parse("other").unwrap();
    let unknown = admin.create(other.clone(), "foreign", vec![Scope::Admin]).await;
    assert!(matches!(unknown, Err(EngineError::Invalid(_))), "{unknown:?}");
    NamespaceAdmin::open(dir.path(), None).await.unwrap().create(&other).await.unwrap();
    let foreign = admin.create(other, "foreign", vec![Scope::Admin]).await.unwrap();
    let sender = admin.create(Namespace::default_namespace(), "sender", vec![Scope::Ingest]).await.unwrap();
    assert!(matches!(engine.authenticate(None).await, Err(EngineError::Unauthenticated(_))));
    assert!(matches!(engine.authenticate(Some("tsk_wrong")).await, Err(EngineError::Unauthenticated(_))));

    let foreigner = engine.authenticate(Some(&foreign.secret)).await.unwrap();
    assert!(engine.get_meter(&foreigner, &meter("tokens")).await.is_err());
    let listing = EventListing { limit: 10, ..EventListing::default() };
    assert!(engine.list_events(&foreigner, listing.clone()).await.unwrap().is_empty());
    let same_id = vec![event("1", "a", "2024-05-01T10:00:00Z", r#"{"tokens":7}"#)];
    assert_eq!(engine.ingest(&foreigner, same_id.clone()).await.unwrap().stored, 1);

    let sender_caller = engine.authenticate(Some(&sender.secret)).await.unwrap();
    assert_eq!(engine.ingest(&sender_caller, same_id).await.unwrap().duplicates, 1);
    let refused = engine.list_events(&sender_caller, listing).await;
    assert!(matches!(refused, Err(EngineError::Forbidden { needed: Scope::Read })));
    assert!(!sender.key.name.contains(&sender.secret));

    engine.authenticate(Some(&sender.secret)).await.unwrap();
    admin.revoke(&sender.key.id.to_string()).await.unwrap();
    admin.revoke(&sender.key.id.to_string()).await.unwrap();
    assert!(matches!(admin.revoke("01ARZ3NDEKTSV4RRFFQ69G5FAV").await, Err(EngineError::NotFound { .. })));
    assert!(engine.authenticate(Some(&sender.secret)).await.is_err());
}

#[tokio::test]
async fn declared_meters_are_created_once_and_drift_is_reported_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let mut declared = config(dir.path());
    declared.meters = vec![tokens_meter("tokens")];
    let engine = Engine::open(declared.clone()).await.unwrap();
    assert!(engine.drift().is_empty());
    engine.close().await.unwrap();
    drop(engine);

    declared.meters[0].event_type = "completion".into();
    let engine = Engine::open(declared.clone()).await.unwrap();
    assert_eq!(engine.drift()[0].fields, ["eventType"]);
    let caller = engine.authenticate(None).await.unwrap();
    assert_eq!(engine.get_meter(&caller, &meter("tokens")).await.unwrap().event_type, "prompt");
    engine.close().await.unwrap();
    drop(engine);

    declared.meters = vec![MeterDefinition { slug: "Bad Slug".into(), ..tokens_meter("x") }];
    assert!(matches!(Engine::open(declared).await, Err(OpenError::DeclaredMeter { .. })));
}

#[tokio::test]
async fn lost_events_do_not_look_like_a_new_store() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, caller) = opened(dir.path()).await;
    engine.create_meter(&caller, tokens_meter("tokens")).await.unwrap();
    engine.close().await.unwrap();
    drop(engine);
    std::fs::remove_dir_all(dir.path().join("events")).unwrap();
    assert!(matches!(Engine::open(config(dir.path())).await, Err(OpenError::EventsMissing { .. })));
    assert!(!dir.path().join("events").exists());
    std::fs::create_dir(dir.path().join("events")).unwrap();
    opened(dir.path()).await;
}

#[tokio::test]
async fn subjects_and_values_are_listed_once_each() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, caller) = opened(dir.path()).await;
    engine.create_meter(&caller, tokens_meter("tokens")).await.unwrap();
    let events = vec![
        event("1", "b", "2024-05-01T10:00:00Z", r#"{"tokens":1,"model":"x"}"#),
        event("2", "a", "2024-05-01T11:00:00Z", r#"{"model":"y"}"#),
        event("3", "b", "2024-05-01T12:00:00Z", r#"{"tokens":1}"#),
    ];
    engine.ingest(&caller, events).await.unwrap();
    assert_eq!(engine.meter_subjects(&caller, &meter("tokens"), None, None).await.unwrap(), ["a", "b"]);
    let values = engine.meter_group_values(&caller, &meter("tokens"), "model", None, None).await.unwrap();
    assert_eq!(values, ["", "x", "y"]);
    assert!(engine.meter_group_values(&caller, &meter("tokens"), "nope", None, None).await.is_err());
}

fn draft(name: &str, key: Option<&str>, subjects: &[&str]) -> CustomerDraft {
    CustomerDraft {
        name: name.into(),
        key: key.map(Into::into),
        subject_keys: subjects.iter().map(|subject| subject.to_string()).collect(),
        ..CustomerDraft::default()
    }
}

#[tokio::test]
async fn usage_belongs_to_customers_even_if_it_came_first() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, caller) = opened(dir.path()).await;
    engine.create_meter(&caller, tokens_meter("tokens")).await.unwrap();
    let subjects = ["acme", "a1", "a2", "globex", "nobody"];
    let events = subjects.iter().map(|subject| event(subject, subject, "2024-05-01T10:00:00Z", r#"{"tokens":1}"#));
    engine.ingest(&caller, events.collect()).await.unwrap();
    let acme = engine.create_customer(&caller, draft("ACME", Some("acme"), &["a1", "a2", "globex"])).await.unwrap();
    let globex = engine.create_customer(&caller, draft("Globex", Some("globex"), &[])).await;
    assert!(matches!(globex, Err(EngineError::Conflict(_))));
    engine.update_customer(&caller, "acme", draft("ACME", Some("acme"), &["a1", "a2"])).await.unwrap();
    let globex = engine.create_customer(&caller, draft("Globex", Some("globex"), &[])).await.unwrap();

    let (acme_id, globex_id) = (acme.id.to_string(), globex.id.to_string());
    let query = MeterQuery { customers: vec![acme_id.clone(), globex_id.clone()], ..MeterQuery::default() };
    let rows = engine.query_meter(&caller, &meter("tokens"), query.clone()).await.unwrap().rows;
    let mut shown: Vec<_> = rows.into_iter().map(|row| (row.customer.unwrap(), row.value.to_string())).collect();
    shown.sort();
    let mut wanted = vec![(acme_id.clone(), "3".to_string()), (globex_id.clone(), "1".to_string())];
    wanted.sort();
    assert_eq!(shown, wanted);

    let listing = EventListing { customers: vec![globex_id.clone()], limit: 10, ..EventListing::default() };
    let listed = engine.list_events(&caller, listing.clone()).await.unwrap();
    let owners: Vec<_> = listed.iter().map(|event| (event.stored.event.subject(), event.customer)).collect();
    assert_eq!(owners, [("globex", Some(globex.id))]);

    engine.delete_customer(&caller, "globex").await.unwrap();
    let gone = engine.query_meter(&caller, &meter("tokens"), query).await;
    assert!(matches!(gone, Err(EngineError::NotFound { key, .. }) if key == globex_id));
    assert!(matches!(engine.list_events(&caller, listing).await, Err(EngineError::Invalid(_))));
    assert!(matches!(engine.delete_customer(&caller, &globex_id).await, Err(EngineError::Gone(_))));
    assert!(engine.get_customer(&caller, &globex_id).await.unwrap().deleted_at.is_some());
}

#[tokio::test]
async fn a_subject_that_is_another_customers_key_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, caller) = opened(dir.path()).await;
    engine.create_meter(&caller, tokens_meter("tokens")).await.unwrap();
    engine.ingest(&caller, vec![event("1", "s", "2024-05-01T10:00:00Z", r#"{"tokens":1}"#)]).await.unwrap();
    let by_key = engine.create_customer(&caller, draft("Key", Some("s"), &[])).await.unwrap();
    let by_subject = engine.create_customer(&caller, draft("Subject", None, &["s"])).await.unwrap();
    for (id, want) in [(by_key.id, vec!["1".to_string()]), (by_subject.id, vec![])] {
        let query = MeterQuery { customers: vec![id.to_string()], ..MeterQuery::default() };
        let rows = engine.query_meter(&caller, &meter("tokens"), query).await.unwrap().rows;
        assert_eq!(rows.iter().map(|row| row.value.to_string()).collect::<Vec<_>>(), want);
    }
}

#[tokio::test]
async fn a_namespace_is_watched_under_a_bounded_number_of_ids_and_takes_none_from_another() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, ours) = opened(dir.path()).await;
    let part = |id: &str| ImportPart { id: id.into(), total: 2, stored: 1, invalid: 0 };
    for number in 0..=1000 {
        engine.note_import(&ours, part(&number.to_string())).unwrap();
    }
    assert_eq!(engine.progress(&ours, "999").unwrap().success, 1);
    assert!(matches!(engine.progress(&ours, "1000"), Err(EngineError::NotFound { .. })));
    let other = Namespace::parse("other").unwrap();
    NamespaceAdmin::open(dir.path(), None).await.unwrap().create(&other).await.unwrap();
    let key = KeyAdmin::open(dir.path(), None).await.unwrap().create(other, "k", vec![Scope::Admin]).await.unwrap();
    let theirs = engine.authenticate(Some(&key.secret)).await.unwrap();
    engine.note_import(&theirs, part("1000")).unwrap();
    assert_eq!(engine.progress(&theirs, "1000").unwrap().success, 1);
    assert!(engine.progress(&theirs, "999").is_err());
}
