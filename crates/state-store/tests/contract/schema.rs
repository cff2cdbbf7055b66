//! Starting: again, together, on a store that is newer, half migrated or damaged.

use crate::place::Place;
use crate::samples::{full_meter, key, meter, ns};
use sqlx::Row;
use tallystick_state_store::{StateError, StateStore, Writer};

async fn versions(place: &Place) -> Vec<i64> {
    let rows = place.rows("SELECT version FROM schema_migrations ORDER BY version").await;
    rows.iter().map(|row| row.get("version")).collect()
}

pub async fn reopening_keeps_everything(place: Place) {
    let store = place.open().await;
    let once = versions(&place).await;
    store.insert_meter(Writer::of(&ns("a")), &full_meter()).await.unwrap();
    store.insert_key(&key(1, "a"), "hash").await.unwrap();
    store.close().await;
    assert!(matches!(store.list_keys().await, Err(StateError::Unavailable(_))));
    for _ in 0..2 {
        let store = place.open().await;
        assert_eq!(store.list_meters(&ns("a"), true).await.unwrap(), [full_meter()]);
        assert_eq!(store.list_keys().await.unwrap(), [key(1, "a")]);
        store.check_writable().await.unwrap();
        store.close().await;
    }
    assert_eq!(versions(&place).await, once);
}

pub async fn many_servers_may_start_at_once(place: Place) {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8 {
        let url = place.url();
        tasks.spawn(async move {
            let store = StateStore::open(&url).await.unwrap();
            store.insert_meter(Writer::of(&ns("a")), &meter(number, &format!("m{number}"))).await.unwrap();
        });
    }
    tasks.join_all().await;
    assert_eq!(place.open().await.list_meters(&ns("a"), false).await.unwrap().len(), 8);
    let versions = versions(&place).await;
    assert!(versions.iter().copied().eq(1..=versions.len() as i64), "{versions:?}");
}

pub async fn refuses_a_newer_store(place: Place) {
    place.open().await.close().await;
    let known = *versions(&place).await.last().unwrap();
    place.damage("INSERT INTO schema_migrations VALUES (900, 'later', '', 1)").await;
    let refused = StateStore::open(&place.url()).await.unwrap_err();
    assert_eq!(refused, StateError::Newer { found: 900, known });
    assert!(refused.to_string().contains("start the newer version again"));
    place.damage("DELETE FROM schema_migrations WHERE version = 900").await;
    place.open().await;
}

pub async fn refuses_a_half_migrated_store(place: Place) {
    let store = place.open().await;
    place.damage("UPDATE schema_migrations SET finished = 0 WHERE version = 1").await;
    let half = StateError::HalfMigrated { version: 1, name: "meters_keys_outbox".into() };
    assert_eq!(store.check_writable().await, Err(half.clone()));
    assert_eq!(StateStore::open(&place.url()).await.unwrap_err(), half);
    assert!(half.to_string().contains("restore the backup"));
    place.damage("UPDATE schema_migrations SET finished = 1, statements = 'other'").await;
    assert!(
        matches!(StateStore::open(&place.url()).await, Err(StateError::Corrupt(text)) if text.contains("version 1"))
    );
}

pub async fn a_failed_migration_leaves_nothing(place: Place) {
    place.open().await.close().await;
    // The first migration must run again, and trips over its last table, which is still there.
    place
        .damage(
            "DELETE FROM schema_migrations; DROP TABLE meters; DROP TABLE api_keys; DROP TABLE outbox; \
             DROP TABLE outbox_heads",
        )
        .await;
    let failed = StateStore::open(&place.url()).await.unwrap_err();
    assert!(matches!(&failed, StateError::Unavailable(text) if text.contains("write_probe")), "{failed}");
    assert!(versions(&place).await.is_empty());
    // The tables that came before it are gone again.
    place.damage("CREATE TABLE meters (id BIGINT)").await;
}

pub async fn a_value_that_does_not_read_back_names_its_place(place: Place) {
    let store = place.open().await;
    store.insert_key(&key(1, "a"), "hash").await.unwrap();
    let cases = [
        ("aggregation", "UPDATE meters SET aggregation = 'MEDIAN'"),
        ("value_property", "UPDATE meters SET value_property = '$..x'"),
        ("value_property", "UPDATE meters SET value_property = NULL"),
        ("group_by", "UPDATE meters SET group_by = '{\"model\":\"no path\"}'"),
        ("group_by", "UPDATE meters SET group_by = '[]'"),
        ("metadata", "UPDATE meters SET metadata = '{'"),
        ("event_from", "UPDATE meters SET event_from = 9223372036854775807"),
        ("created_at", "UPDATE meters SET created_at = -9223372036854775807"),
        ("id", "UPDATE meters SET id = 'no-ulid'"),
    ];
    for (column, sql) in cases {
        place.damage("DELETE FROM meters").await;
        store.insert_meter(Writer::of(&ns("a")), &full_meter()).await.unwrap();
        place.damage(sql).await;
        let id = if column == "id" { "no-ulid".into() } else { full_meter().id.to_string() };
        let place_name = format!("table meters, id {id}, column {column}: ");
        let expect_corrupt = |outcome: StateError| {
            assert!(matches!(&outcome, StateError::Corrupt(text) if text.contains(&place_name)), "{sql}: {outcome}");
        };
        expect_corrupt(store.list_meters(&ns("a"), true).await.unwrap_err());
        expect_corrupt(store.find_meter(&ns("a"), "tokens").await.unwrap_err());
    }
    for (column, sql) in [
        ("scopes", "UPDATE api_keys SET scopes = '[\"root\"]'"),
        ("namespace", "UPDATE api_keys SET scopes = '[]', namespace = 'NOT ONE'"),
    ] {
        place.damage(sql).await;
        let place_name = format!("table api_keys, id {}, column {column}: ", key(1, "a").id);
        for outcome in [store.list_keys().await.map(drop), store.find_key("hash").await.map(drop)] {
            assert!(matches!(&outcome, Err(StateError::Corrupt(text)) if text.contains(&place_name)), "{outcome:?}");
        }
    }
}
