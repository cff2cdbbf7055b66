//! What a query costs grows with its answer: no statement reads the whole of a namespace, by the plan that SQLite makes for it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};
use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tallystick_domain::customer::{Customer, CustomerDraft};
use tallystick_domain::entitlement::{Entitlement, Grant, Kind, Metered, Outcome, Reservation, Reset};
use tallystick_domain::feature::{Feature, FeatureDraft};
use tallystick_domain::time::{Interval, Recurrence};
use tallystick_domain::{CustomerId, EntitlementId, FeatureId, GrantId, Instant, Namespace, Quantity, ReservationId};
use tallystick_state_store::{EntitlementListing, GrantListing, StateStore, StateUrl, Writer};
use tempfile::TempDir;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// The statements that the store ran, as its library tells them.
#[derive(Clone, Default)]
struct Statements(Arc<Mutex<BTreeSet<String>>>);

/// The text of one statement: its beginning, and the whole where that is more.
#[derive(Default)]
struct Text {
    summary: String,
    whole: String,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => self.summary = value.to_owned(),
            "db.statement" => self.whole = value.trim().to_owned(),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

impl<S: tracing::Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            let mut text = Text::default();
            event.record(&mut text);
            let told = if text.whole.is_empty() { text.summary } else { text.whole };
            self.0.lock().unwrap().insert(told);
        }
    }
}

struct Place {
    _directory: TempDir,
    path: PathBuf,
    store: StateStore,
    statements: Statements,
}

impl Place {
    async fn open() -> Self {
        let statements = Statements::default();
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(statements.clone())).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.sqlite");
        let store = StateStore::open(&StateUrl::Sqlite(path.clone())).await.unwrap();
        Self { _directory: directory, path, store, statements }
    }

    /// What the statements of `run` read without an index that leads further than to their namespace.
    async fn wide_reads<T>(&self, run: impl Future<Output = T>) -> (T, Vec<String>) {
        self.statements.0.lock().unwrap().clear();
        let outcome = run.await;
        let statements = std::mem::take(&mut *self.statements.0.lock().unwrap());
        assert!(!statements.is_empty(), "no statement was told");
        let mut wide = Vec::new();
        let mut beside = SqliteConnection::connect(&format!("sqlite:{}", self.path.display())).await.unwrap();
        for sql in statements.into_iter().filter(|sql| is_planned(sql)) {
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
            for row in sqlx::query(explain).fetch_all(&mut beside).await.unwrap() {
                let step: String = row.try_get("detail").unwrap();
                if is_wide(&step) {
                    wide.push(format!("{step} in {sql}"));
                }
            }
        }
        beside.close().await.unwrap();
        (outcome, wide)
    }

    async fn expect_narrow<T, E: fmt::Debug>(&self, what: &str, run: impl Future<Output = Result<T, E>>) -> T {
        let (outcome, wide) = self.wide_reads(run).await;
        assert!(wide.is_empty(), "{what}: {wide:#?}");
        outcome.unwrap()
    }
}

fn is_planned(sql: &str) -> bool {
    ["SELECT", "UPDATE", "DELETE", "INSERT"].iter().any(|word| sql.starts_with(word))
}

/// Whether a step of a plan reads a whole table, or all that an index has of a namespace.
fn is_wide(step: &str) -> bool {
    let scans =
        step.starts_with("SCAN ") && !step.contains("CONSTANT ROW") && !step.contains("USING INDEX reservations_open");
    scans || (step.starts_with("SEARCH ") && step.ends_with("(namespace=?)"))
}

fn at(micros: i64) -> Instant {
    Instant::from_micros(micros).unwrap()
}

fn monthly() -> Recurrence {
    Recurrence { interval: Interval::parse("P1M").unwrap(), anchor: at(0) }
}

fn entitlement(number: u128, customer: CustomerId) -> Entitlement {
    let measured_from = at(0);
    let metered = Metered { is_soft_limit: false, measured_from, issue: None, preserves_overage: false };
    Entitlement {
        id: EntitlementId::from_parts(0, number),
        customer,
        feature: FeatureId::from_parts(0, 1),
        feature_key: "api".into(),
        kind: Kind::Metered(metered),
        usage_period: Some(monthly()),
        metadata: Default::default(),
        annotations: Default::default(),
        active_from: at(1),
        active_to: None,
        created_at: at(1),
        updated_at: at(1),
        deleted_at: None,
    }
}

fn grant(number: u128, of: &Entitlement) -> Grant {
    Grant {
        id: GrantId::from_parts(0, number),
        entitlement: of.id,
        amount: Quantity::from_count(5),
        priority: 1,
        effective_at: at(1),
        expiration: None,
        min_rollover: Quantity::ZERO,
        max_rollover: Quantity::ZERO,
        recurrence: None,
        metadata: Default::default(),
        annotations: Default::default(),
        created_at: at(1),
        updated_at: at(1),
        voided_at: None,
        deleted_at: None,
    }
}

/// Writes: each is one transaction, whose checks must not read what others have.
async fn write_what_customers_have(place: &Place, by: Writer<'_>) -> (Customer, Entitlement) {
    let store = &place.store;
    let draft = CustomerDraft { key: Some("c".into()), name: "C".into(), ..CustomerDraft::default() };
    let customer = Customer::define(CustomerId::from_parts(0, 1), draft, at(1)).unwrap();
    place.expect_narrow("making a customer", store.insert_customer(by, &customer, &[])).await;
    let draft = FeatureDraft { key: "api".into(), name: "API".into(), ..FeatureDraft::default() };
    let feature = Feature::define(FeatureId::from_parts(0, 1), draft, None, at(1)).unwrap();
    place.expect_narrow("making a feature", store.insert_feature(by, &feature, None)).await;
    let had = entitlement(1, customer.id);
    place.expect_narrow("making an entitlement", store.insert_entitlement(by, &had, &[grant(1, &had)])).await;
    place.expect_narrow("a grant", store.insert_grant(by, &grant(2, &had))).await;
    let reset = Reset { at: at(2), recurrence: monthly(), preserves_overage: false };
    place.expect_narrow("a reset", store.insert_reset(by, had.id, &reset, at(2))).await;
    let reservation = Reservation {
        id: ReservationId::from_parts(0, 1),
        entitlement: had.id,
        amount: Quantity::from_count(1),
        created_at: at(2),
        expires_at: at(9),
        outcome: None,
    };
    place.expect_narrow("a reservation", store.insert_reservation(by, &reservation)).await;
    let released = Outcome::Released { at: at(3) };
    place.expect_narrow("its end", store.end_reservation(by, reservation.id, &released)).await;
    (customer, had)
}

#[tokio::test]
async fn no_statement_about_entitlements_reads_what_other_customers_have() {
    let place = Place::open().await;
    let ns = Namespace::parse("a").unwrap();
    let (customer, had) = write_what_customers_have(&place, Writer::of(&ns)).await;
    let store = &place.store;
    place.expect_narrow("a customer by key", store.find_customer(&ns, "c")).await;
    place.expect_narrow("customers by id", store.customers_with_ids(&ns, [customer.id])).await;
    place.expect_narrow("customers by key", store.customers_with_keys(&ns, vec!["c".into(), "d".into()])).await;
    place.expect_narrow("the owner of a subject", store.find_subject_owner(&ns, "c")).await;
    place.expect_narrow("a feature by key", store.find_feature(&ns, "api")).await;
    let theirs = place.expect_narrow("entitlements of a customer", store.entitlements_of(&ns, customer.id)).await;
    assert_eq!(theirs, std::slice::from_ref(&had));
    let grants = place.expect_narrow("grants of a customer", store.grants_of_customer(&ns, customer.id)).await;
    assert_eq!(grants.len(), 2);
    place.expect_narrow("grants of an entitlement", store.grants_of(&ns, had.id)).await;
    place.expect_narrow("resets", store.resets_of(&ns, [had.id])).await;
    place.expect_narrow("reservations that hold", store.reservations_held(at(3))).await;
    place.expect_narrow("reservations to forget", store.forget_reservations(at(3))).await;
    let customers = Some(vec![customer.id, CustomerId::from_parts(0, 2)]);
    let listing = EntitlementListing { customers: customers.clone(), limit: 10, ..EntitlementListing::default() };
    place.expect_narrow("a page of entitlements", store.list_entitlements(&ns, &listing)).await;
    for listing in [
        GrantListing { customers, limit: 10, ..GrantListing::default() },
        GrantListing { entitlement: Some(had.id), limit: 10, ..GrantListing::default() },
    ] {
        place.expect_narrow("a page of grants", store.list_grants(&ns, &listing)).await;
    }
    let by = Writer::of(&ns);
    place.expect_narrow("voiding a grant", store.void_grant(by, GrantId::from_parts(0, 1), at(4), at(4))).await;
    place.expect_narrow("deleting an entitlement", store.delete_entitlement(by, had.id, at(5))).await;
    let gone = Customer { deleted_at: Some(at(9)), ..customer };
    place.expect_narrow("deleting a customer", store.update_customer(by, &gone, &[])).await;
    // What is wide on purpose is seen as such: the test can fail.
    let (_, wide) = place.wide_reads(store.list_subjects(&ns)).await;
    assert_eq!(wide.len(), 1, "{wide:?}");
}
