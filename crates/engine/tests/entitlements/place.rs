//! An engine with a clock that a test sets, a meter, features and customers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tallystick_domain::customer::CustomerDraft;
use tallystick_domain::entitlement::{EntitlementDraft, GrantDraft, Issue, KindDraft, MeasureFrom, MeteredDraft};
use tallystick_domain::feature::FeatureDraft;
use tallystick_domain::meter::{Aggregation, MeterDefinition};
use tallystick_domain::time::Interval;
use tallystick_domain::{Instant, Quantity};
use tallystick_engine::{
    Access, Caller, Clock, Engine, EngineConfig, EntitlementView, FeatureRef, Limits, NewEvent, StoreTuning,
};

pub const MINUTE: i64 = 60_000_000;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

pub fn at(text: &str) -> Instant {
    Instant::parse_rfc3339(text).unwrap()
}

/// When every test begins.
pub fn start() -> Instant {
    at("2025-03-01T00:00:00Z")
}

pub fn after(micros: i64) -> Instant {
    start().saturating_add_micros(micros)
}

pub fn q(text: &str) -> Quantity {
    Quantity::parse(text).unwrap()
}

pub struct Place {
    pub engine: Engine,
    pub caller: Caller,
    clock: Arc<AtomicI64>,
    events: std::cell::Cell<u32>,
}

impl Place {
    pub async fn open(dir: &Path) -> Self {
        Self::open_at(dir, start(), Limits::default()).await
    }

    pub async fn open_at(dir: &Path, now: Instant, limits: Limits) -> Self {
        let clock = Arc::new(AtomicI64::new(now.as_micros()));
        let config = EngineConfig {
            data_dir: dir.to_path_buf(),
            state_url: None,
            require_key: false,
            limits,
            store: StoreTuning { memtable_bytes: 1 << 20, wal_file_bytes: 1 << 20, queue_bytes: 1 << 20 },
            meters: vec![],
            retention: vec![],
            portal: tallystick_engine::PortalTuning::default(),
            idempotency: tallystick_engine::IdempotencyTuning::default(),
            clock: Clock::Fixed(Arc::clone(&clock)),
        };
        let engine = Engine::open(config).await.unwrap();
        let caller = engine.authenticate(None).await.unwrap();
        Self { engine, caller, clock, events: std::cell::Cell::new(0) }
    }

    /// A meter and a feature by it for each aggregation, and the customer `acme` with the subjects `acme` and `acme-2`.
    pub async fn furnished(dir: &Path) -> Self {
        let place = Self::open(dir).await;
        place.furnish().await;
        place
    }

    pub async fn furnish(&self) {
        for (key, aggregation, value) in [
            ("sum", Aggregation::Sum, Some("$.n")),
            ("count", Aggregation::Count, None),
            ("unique", Aggregation::UniqueCount, Some("$.n")),
            ("latest", Aggregation::Latest, Some("$.n")),
        ] {
            let meter = MeterDefinition {
                id: None,
                judging: None,
                details: Default::default(),
                slug: key.into(),
                name: None,
                description: None,
                aggregation,
                event_type: "call".into(),
                event_from: None,
                value_property: value.map(Into::into),
                group_by: BTreeMap::from([("model".to_string(), "$.model".to_string())]),
                metadata: None,
            };
            self.engine.create_meter(&self.caller, meter).await.unwrap();
            let draft = FeatureDraft { key: key.into(), name: key.into(), ..FeatureDraft::default() };
            self.engine.create_feature(&self.caller, draft, Some(key)).await.unwrap();
        }
        let draft = FeatureDraft { key: "plain".into(), name: "plain".into(), ..FeatureDraft::default() };
        self.engine.create_feature(&self.caller, draft, None).await.unwrap();
        self.add_customer("acme", &["acme-2"]).await;
    }

    pub async fn add_customer(&self, key: &str, subjects: &[&str]) {
        let draft = customer(key, subjects);
        self.engine.create_customer(&self.caller, draft).await.unwrap();
    }

    pub fn now(&self) -> Instant {
        self.engine.now()
    }

    pub fn set(&self, now: Instant) {
        self.clock.store(now.as_micros(), Ordering::SeqCst);
    }

    /// Lets time pass.
    pub fn pass(&self, micros: i64) {
        self.clock.fetch_add(micros, Ordering::SeqCst);
    }

    /// Gives `acme` a metered entitlement.
    pub async fn give(&self, feature: &str, draft: MeteredDraft, interval: Interval) -> EntitlementView {
        let draft = EntitlementDraft {
            kind: KindDraft::Metered(draft),
            usage_period: Some((interval, Some(start()))),
            metadata: BTreeMap::new(),
        };
        self.engine.create_entitlement(&self.caller, "acme", &named(feature), draft, vec![]).await.unwrap()
    }

    pub async fn give_plain(&self, customer: &str, feature: &str, kind: KindDraft) -> EntitlementView {
        let draft = EntitlementDraft { kind, usage_period: None, metadata: BTreeMap::new() };
        self.engine.create_entitlement(&self.caller, customer, &named(feature), draft, vec![]).await.unwrap()
    }

    pub async fn send(&self, subject: &str, time: Instant, value: &str) {
        self.events.set(self.events.get() + 1);
        self.send_as(&self.events.get().to_string(), subject, time, value).await;
    }

    pub async fn send_as(&self, id: &str, subject: &str, time: Instant, value: &str) {
        self.engine.ingest(&self.caller, vec![event(id, subject, time, value)]).await.unwrap();
    }

    pub async fn value(&self, feature: &str) -> Access {
        self.engine.entitlement_value(&self.caller, "acme", feature, None).await.unwrap().unwrap()
    }

    /// Balance, usage and overage of a metered entitlement of `acme`.
    pub async fn numbers(&self, feature: &str) -> [String; 3] {
        numbers(&self.value(feature).await)
    }
}

pub fn numbers(access: &Access) -> [String; 3] {
    let Access::Metered(metered) = access else { panic!("{access:?} is not metered") };
    let standing = &metered.standing;
    [standing.balance, standing.used, standing.overage].map(|number| number.to_string())
}

pub fn customer(key: &str, subjects: &[&str]) -> CustomerDraft {
    CustomerDraft {
        key: Some(key.into()),
        name: key.into(),
        subject_keys: subjects.iter().map(|subject| subject.to_string()).collect(),
        ..CustomerDraft::default()
    }
}

pub fn named(feature: &str) -> FeatureRef {
    FeatureRef { id: None, key: Some(feature.into()) }
}

pub fn event(id: &str, subject: &str, time: Instant, value: &str) -> NewEvent {
    NewEvent {
        id: id.into(),
        source: "test".into(),
        event_type: "call".into(),
        subject: subject.into(),
        time: Some(time),
        data: Some(format!(r#"{{"n":{value},"model":"x"}}"#)),
        ..NewEvent::default()
    }
}

pub fn hard(amount: Option<&str>) -> MeteredDraft {
    MeteredDraft {
        is_soft_limit: false,
        measure_from: MeasureFrom::CurrentPeriod,
        issue: amount.map(|amount| Issue { amount: q(amount), priority: 1 }),
        preserves_overage: false,
    }
}

pub fn grant(amount: &str, effective_at: Instant, most: &str) -> GrantDraft {
    GrantDraft {
        amount: q(amount),
        priority: 1,
        effective_at,
        expiration: None,
        min_rollover: q("0"),
        max_rollover: q(most),
        recurrence: None,
        metadata: BTreeMap::new(),
        annotations: BTreeMap::new(),
    }
}
