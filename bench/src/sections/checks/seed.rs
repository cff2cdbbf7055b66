//! A store with many customers, written past the engine: one by one they would take an hour.

use super::{FEATURES, GRANTED, open};
use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use std::collections::BTreeMap;
use std::path::Path;
use tallystick_domain::feature::FeatureDraft;
use tallystick_domain::meter::{Aggregation, Filter, MeterDefinition};

const DAY_US: i64 = 86_400_000_000;

/// Makes the store in a folder. Customers, entitlements and grants have the columns of the newest migration.
pub async fn make(folder: &Path, customers: u64) -> Result<()> {
    let (engine, caller) = open(folder, 1).await?;
    let meter = |slug: &str, aggregation, value: Option<&str>| MeterDefinition {
        id: None,
        judging: None,
        details: Default::default(),
        slug: slug.into(),
        name: None,
        description: None,
        aggregation,
        event_type: "prompt".into(),
        event_from: None,
        value_property: value.map(Into::into),
        group_by: BTreeMap::from([("model".to_string(), "$.model".to_string())]),
        metadata: None,
    };
    engine.create_meter(&caller, meter("tokens", Aggregation::Sum, Some("$.tokens"))).await?;
    engine.create_meter(&caller, meter("calls", Aggregation::Count, None)).await?;
    let mut ids = Vec::new();
    for (key, meter) in FEATURES.iter().zip(["tokens", "calls", "calls"]) {
        let mut draft = FeatureDraft { key: (*key).into(), name: (*key).into(), ..FeatureDraft::default() };
        if *key == "images" {
            draft.filters.insert("model".into(), Filter::Eq("images".into()));
        }
        ids.push(engine.create_feature(&caller, draft, Some(meter)).await?.id.to_string());
    }
    // Since midnight of the day before, in whole minutes.
    let begin = engine.now().as_micros().div_euclid(DAY_US) * DAY_US - DAY_US;
    engine.close().await.map_err(anyhow::Error::msg)?;
    drop(engine);
    let url = format!("sqlite://{}", folder.join("state.sqlite").display());
    let mut database = SqliteConnection::connect(&url).await.context("the state of the bench does not open")?;
    let mut tx = database.begin().await?;
    let numbers = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {customers})"
    );
    sqlx::raw_sql(AssertSqlSafe(format!(
        "{numbers} INSERT INTO customers (namespace, id, key, name, metadata, subject_keys, created_at, updated_at) \
         SELECT 'default', printf('01J%023d', n), 'customer-' || n, 'customer', '{{}}', '[]', {begin}, {begin} FROM numbers"
    )))
    .execute(&mut *tx)
    .await
    .context("customers")?;
    for (place, (key, id)) in FEATURES.iter().zip(&ids).enumerate() {
        sqlx::raw_sql(AssertSqlSafe(format!(
            "{numbers} INSERT INTO entitlements (namespace, id, customer_id, feature_id, feature_key, kind, is_soft_limit, \
             preserves_overage, issue_amount, issue_priority, measured_from, period_interval, period_anchor, metadata, \
             annotations, active_from, created_at, updated_at) \
             SELECT 'default', printf('01K{place}%022d', n), printf('01J%023d', n), '{id}', '{key}', 'metered', 0, 0, '{GRANTED}', 1, \
             {begin}, 'P1M', {begin}, '{{}}', '{{}}', {begin}, {begin}, {begin} FROM numbers"
        )))
        .execute(&mut *tx)
        .await
        .context("entitlements")?;
        sqlx::raw_sql(AssertSqlSafe(format!(
            "{numbers} INSERT INTO grants (namespace, id, entitlement_id, amount, priority, effective_at, expiration_count, \
             min_rollover, max_rollover, metadata, annotations, created_at, updated_at) \
             SELECT 'default', printf('01M{place}%022d', n), printf('01K{place}%022d', n), '{GRANTED}', 1, {begin}, 0, '{GRANTED}', \
             '{GRANTED}', '{{}}', '{{}}', {begin}, {begin} FROM numbers"
        )))
        .execute(&mut *tx)
        .await
        .context("grants")?;
    }
    tx.commit().await?;
    Ok(database.close().await?)
}
