//! What a state store promises, checked on SQLite and on PostgreSQL with the same code.

use sqlx::any::{AnyConnectOptions, AnyRow};
use sqlx::{AnyConnection, ConnectOptions, Connection, Row};
use std::collections::{BTreeMap, BTreeSet};
use tallystick_domain::key::{ApiKey, Scope};
use tallystick_domain::meter::{Aggregation, JsonPath, Meter};
use tallystick_domain::{Instant, KeyId, MeterId, Namespace};
use tallystick_state_store::{StateError, StateStore, StateUrl};
use tallystick_testkit::postgres::Postgres;
use tempfile::TempDir;

/// An empty place for a store, which outlives the stores opened on it.
enum Place {
    Sqlite(TempDir),
    Postgres(Postgres),
}

impl Place {
    fn sqlite() -> Self {
        Place::Sqlite(tempfile::tempdir().unwrap())
    }

    fn postgres() -> Self {
        Place::Postgres(Postgres::start())
    }

    fn url(&self) -> StateUrl {
        match self {
            // A directory that is missing, with characters that mean something in a URL.
            Place::Sqlite(directory) => StateUrl::Sqlite(directory.path().join("ü %41?#/./state.sqlite")),
            Place::Postgres(postgres) => StateUrl::parse(postgres.url()).unwrap(),
        }
    }

    async fn open(&self) -> StateStore {
        StateStore::open(&self.url()).await.unwrap()
    }

    /// A connection beside the store, to look at its tables and to damage them.
    async fn connection(&self) -> AnyConnection {
        let url = match self {
            Place::Sqlite(directory) => {
                let path = directory.path().join("ü %41?#/state.sqlite");
                format!("sqlite:{}", path.to_str().unwrap().replace('%', "%25").replace('?', "%3F").replace('#', "%23"))
            }
            Place::Postgres(postgres) => postgres.url().to_owned(),
        };
        url.parse::<AnyConnectOptions>().unwrap().connect().await.unwrap()
    }

    /// Runs statements beside the store.
    async fn damage(&self, sql: &'static str) {
        let mut connection = self.connection().await;
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    async fn rows(&self, sql: &'static str) -> Vec<AnyRow> {
        let mut connection = self.connection().await;
        let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        rows
    }

    /// The outbox as `namespace/position entity id change at`.
    async fn outbox(&self) -> Vec<String> {
        let rows = self
            .rows("SELECT namespace, position, entity, entity_id, change, at FROM outbox ORDER BY namespace, position")
            .await;
        let show = |row: &AnyRow| {
            let text = |column: &str| row.get::<String, _>(column);
            let number = |column: &str| row.get::<i64, _>(column);
            format!(
                "{}/{} {} {} {} {}",
                text("namespace"),
                number("position"),
                text("entity"),
                text("entity_id"),
                text("change"),
                number("at")
            )
        };
        rows.iter().map(show).collect()
    }
}

fn ns(name: &str) -> Namespace {
    Namespace::parse(name).unwrap()
}

fn at(micros: i64) -> Instant {
    Instant::from_micros(micros).unwrap()
}

fn meter_id(number: u128) -> MeterId {
    MeterId::from_parts(1_700_000_000_000, number)
}

fn meter(number: u128, slug: &str) -> Meter {
    Meter {
        id: meter_id(number),
        slug: slug.into(),
        name: slug.to_uppercase(),
        description: None,
        aggregation: Aggregation::Count,
        event_type: "request".into(),
        event_from: None,
        value_property: None,
        group_by: BTreeMap::new(),
        metadata: None,
        created_at: at(10),
        updated_at: at(20),
        deleted_at: None,
    }
}

fn full_meter() -> Meter {
    let path = |text| JsonPath::parse(text).unwrap();
    Meter {
        description: Some("all of it".into()),
        aggregation: Aggregation::Sum,
        event_from: Some(at(5)),
        value_property: Some(path("$['a-b'].\"c d\"")),
        group_by: BTreeMap::from([("model".into(), path("$.model")), ("zone".into(), path("$['zöne \u{1f30d}']"))]),
        metadata: Some(BTreeMap::from([("team".into(), "red".into())])),
        ..meter(1, "tokens")
    }
}

fn deleted(meter: &Meter, micros: i64) -> Meter {
    Meter { deleted_at: Some(at(micros)), ..meter.clone() }
}

fn key(number: u128, namespace: &str) -> ApiKey {
    ApiKey {
        id: KeyId::from_parts(1_700_000_000_000, number),
        namespace: ns(namespace),
        name: format!("key {number}"),
        scopes: vec![Scope::Ingest, Scope::Read],
        created_at: at(number as i64),
        revoked_at: None,
    }
}

async fn keeps_every_field(place: Place) {
    let store = place.open().await;
    for aggregation in Aggregation::ALL {
        let number = 100 + aggregation as u128;
        let mut each = Meter { id: meter_id(number), slug: format!("m{number}"), aggregation, ..full_meter() };
        each.value_property = each.value_property.filter(|_| aggregation != Aggregation::Count);
        store.insert_meter(&ns("a"), &each).await.unwrap();
        assert_eq!(store.get_meter(&ns("a"), each.id).await.unwrap(), Some(each.clone()));
        assert_eq!(store.find_meter(&ns("a"), &each.slug).await.unwrap(), Some(each));
    }
    let bare = Meter { metadata: Some(BTreeMap::new()), ..meter(2, "bare") };
    store.insert_meter(&ns("a"), &bare).await.unwrap();
    assert_eq!(store.get_meter(&ns("a"), bare.id).await.unwrap(), Some(bare));
    assert_eq!(store.get_meter(&ns("a"), meter_id(99)).await.unwrap(), None);
    assert_eq!(store.find_meter(&ns("a"), "nothing").await.unwrap(), None);
}

async fn updates_the_whole_row(place: Place) {
    let store = place.open().await;
    store.insert_meter(&ns("a"), &full_meter()).await.unwrap();
    let changed = Meter { created_at: at(1), updated_at: at(2), ..meter(1, "renamed") };
    store.update_meter(&ns("a"), &changed).await.unwrap();
    assert_eq!(store.list_meters(&ns("a"), true).await.unwrap(), [changed]);
    let missing = store.update_meter(&ns("a"), &meter(7, "x")).await;
    assert!(matches!(&missing, Err(StateError::NotFound { what }) if what.contains(&meter_id(7).to_string())));
    assert_eq!(store.list_meters(&ns("a"), true).await.unwrap().len(), 1);
}

async fn a_slug_belongs_to_one_live_meter(place: Place) {
    let store = place.open().await;
    let (first, second) = (meter(1, "tokens"), meter(2, "tokens"));
    store.insert_meter(&ns("a"), &first).await.unwrap();
    let refused = store.insert_meter(&ns("a"), &second).await.unwrap_err();
    assert_eq!(refused.to_string(), "a meter with the slug \"tokens\" in namespace a already exists");
    assert_eq!(store.get_meter(&ns("a"), second.id).await.unwrap(), None);

    store.update_meter(&ns("a"), &deleted(&first, 30)).await.unwrap();
    assert_eq!(store.find_meter(&ns("a"), "tokens").await.unwrap(), None);
    store.insert_meter(&ns("a"), &second).await.unwrap();
    assert_eq!(store.find_meter(&ns("a"), "tokens").await.unwrap(), Some(second.clone()));
    assert_eq!(store.get_meter(&ns("a"), first.id).await.unwrap(), Some(deleted(&first, 30)));
    // Back to life, or renamed, it would be the second one.
    assert!(matches!(store.update_meter(&ns("a"), &first).await, Err(StateError::Conflict { .. })));
    assert_eq!(store.get_meter(&ns("a"), first.id).await.unwrap(), Some(deleted(&first, 30)));
    let same_id = Meter { slug: "other".into(), ..second };
    assert!(matches!(store.insert_meter(&ns("a"), &same_id).await, Err(StateError::Conflict { .. })));
}

async fn namespaces_never_meet(place: Place) {
    let store = place.open().await;
    let (ours, theirs) = (meter(1, "tokens"), Meter { name: "theirs".into(), ..meter(1, "tokens") });
    store.insert_meter(&ns("a"), &ours).await.unwrap();
    assert_eq!(store.get_meter(&ns("b"), ours.id).await.unwrap(), None);
    assert_eq!(store.find_meter(&ns("b"), "tokens").await.unwrap(), None);
    assert_eq!(store.list_meters(&ns("b"), true).await.unwrap(), []);
    assert!(matches!(store.update_meter(&ns("b"), &theirs).await, Err(StateError::NotFound { .. })));

    store.insert_meter(&ns("b"), &theirs).await.unwrap();
    store.update_meter(&ns("b"), &deleted(&theirs, 40)).await.unwrap();
    assert_eq!(store.list_meters(&ns("a"), true).await.unwrap(), [ours]);
    assert_eq!(store.list_meters(&ns("b"), true).await.unwrap(), [deleted(&theirs, 40)]);
    assert_eq!(store.list_meters(&ns("b"), false).await.unwrap(), []);
}

async fn lists_by_slug_bytes_then_id(place: Place) {
    let store = place.open().await;
    // Sorted by a language's rules, '_' and case would not count as they do here.
    let slugs = ["Z", "a", "a1", "aB", "a_b", "ab", "b", "ä"];
    for (number, slug) in slugs.iter().enumerate().rev() {
        store.insert_meter(&ns("a"), &meter(number as u128, slug)).await.unwrap();
    }
    let (older, newer) = (deleted(&meter(50, "ab"), 9), deleted(&meter(51, "ab"), 8));
    store.insert_meter(&ns("a"), &newer).await.unwrap();
    store.insert_meter(&ns("a"), &older).await.unwrap();
    let listed = store.list_meters(&ns("a"), false).await.unwrap();
    assert_eq!(listed.iter().map(|meter| meter.slug.as_str()).collect::<Vec<_>>(), slugs);
    let all = store.list_meters(&ns("a"), true).await.unwrap();
    assert_eq!(all.len(), slugs.len() + 2);
    let of_ab: Vec<_> = all.iter().filter(|meter| meter.slug == "ab").map(|meter| meter.id).collect();
    assert_eq!(of_ab, [meter_id(5), meter_id(50), meter_id(51)]);
}

async fn keeps_odd_texts_and_big_metadata(place: Place) {
    let store = place.open().await;
    let odd = [
        "",
        " ",
        "ünï\u{301}\u{202e}\u{1f9fe}",
        "'; DROP TABLE meters; --",
        "\"\\\\\n\r\t",
        "$1 ? %",
        "\u{1b}0\u{7f}",
        "a\0b",
        "NULL",
    ];
    for (number, text) in odd.iter().enumerate() {
        let text = (*text).to_owned();
        let meter = Meter {
            name: text.clone(),
            description: Some(text.clone()),
            event_type: text.clone(),
            metadata: Some(BTreeMap::from([(text.clone(), text)])),
            ..meter(number as u128, &format!("m{number}"))
        };
        store.insert_meter(&ns("a"), &meter).await.unwrap();
        assert_eq!(store.get_meter(&ns("a"), meter.id).await.unwrap(), Some(meter));
        assert_eq!(store.find_meter(&ns("a"), odd[number]).await.unwrap(), None);
        assert_eq!(store.find_key(odd[number]).await.unwrap(), None);
    }
    let entries = (0..1000).map(|number| (format!("key{number}"), "é\"".repeat(1000)));
    let big = Meter { metadata: Some(entries.collect()), ..meter(90, "big") };
    store.insert_meter(&ns("a"), &big).await.unwrap();
    assert_eq!(store.get_meter(&ns("a"), big.id).await.unwrap(), Some(big));
}

async fn keeps_the_first_and_last_instant(place: Place) {
    let store = place.open().await;
    for (number, instant) in [Instant::MIN, Instant::MAX, at(-1), at(0)].into_iter().enumerate() {
        let meter = Meter {
            event_from: Some(instant),
            created_at: instant,
            updated_at: instant,
            deleted_at: Some(instant),
            ..meter(number as u128, "m")
        };
        store.insert_meter(&ns("a"), &meter).await.unwrap();
        assert_eq!(store.get_meter(&ns("a"), meter.id).await.unwrap(), Some(meter));
        let key = ApiKey { created_at: instant, revoked_at: Some(instant), ..key(number as u128, "a") };
        store.insert_key(&key, &format!("hash{number}")).await.unwrap();
        assert_eq!(store.find_key(&format!("hash{number}")).await.unwrap(), Some(key));
    }
}

async fn one_of_many_concurrent_inserts_wins(place: Place) {
    let store = place.open().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..32 {
        let store = store.clone();
        tasks.spawn(async move { (number, store.insert_meter(&ns("a"), &meter(number, "tokens")).await) });
    }
    let outcomes = tasks.join_all().await;
    let winners: Vec<_> = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).map(|(number, _)| *number).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    for (number, outcome) in &outcomes {
        assert!(winners.contains(number) || matches!(outcome, Err(StateError::Conflict { .. })), "{outcome:?}");
    }
    let stored = store.list_meters(&ns("a"), true).await.unwrap();
    assert_eq!(stored, [meter(winners[0], "tokens")]);
    assert_eq!(place.outbox().await.len(), 1);
}

async fn concurrent_writers_of_two_servers_leave_no_gap(place: Place) {
    let servers = [place.open().await, place.open().await];
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..40_u128 {
        let store = servers[number as usize % 2].clone();
        tasks.spawn(async move {
            let namespace = ns(["a", "b"][number as usize / 2 % 2]);
            store.insert_meter(&namespace, &meter(number, &format!("m{number}"))).await.unwrap();
            if number % 4 == 0 {
                store.check_writable().await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let places: BTreeSet<String> =
        place.outbox().await.iter().map(|row| row.split(' ').next().unwrap().to_owned()).collect();
    let expected = ["a", "b"].iter().flat_map(|namespace| (1..=20).map(move |n| format!("{namespace}/{n}")));
    assert_eq!(places, expected.collect());
}

async fn keys_are_found_by_hash_listed_by_age_and_revoked_once(place: Place) {
    let store = place.open().await;
    let (first, second) = (key(1, "b"), ApiKey { scopes: vec![Scope::Admin], ..key(2, "a") });
    store.insert_key(&second, "hash2").await.unwrap();
    store.insert_key(&first, "hash1").await.unwrap();
    assert_eq!(store.find_key("hash1").await.unwrap(), Some(first.clone()));
    assert_eq!(store.find_key("hash2").await.unwrap(), Some(second.clone()));
    assert_eq!(store.find_key("HASH1").await.unwrap(), None);
    assert_eq!(store.list_keys().await.unwrap(), [first.clone(), second.clone()]);

    let same_hash = store.insert_key(&key(3, "c"), "hash1").await.unwrap_err();
    assert!(matches!(same_hash, StateError::Conflict { .. }) && !same_hash.to_string().contains("hash1"));
    let same_id = ApiKey { namespace: ns("c"), ..first.clone() };
    assert!(matches!(store.insert_key(&same_id, "hash3").await, Err(StateError::Conflict { .. })));

    assert!(store.revoke_key(first.id, at(70)).await.unwrap());
    assert!(store.revoke_key(first.id, at(80)).await.unwrap());
    assert!(!store.revoke_key(KeyId::from_parts(0, 9), at(70)).await.unwrap());
    let revoked = ApiKey { revoked_at: Some(at(70)), ..first };
    assert_eq!(store.find_key("hash1").await.unwrap(), Some(revoked.clone()));
    assert_eq!(store.list_keys().await.unwrap(), [revoked, second]);
}

async fn every_write_leaves_one_outbox_row_and_a_failed_one_none(place: Place) {
    let store = place.open().await;
    let meter = meter(1, "tokens");
    store.insert_meter(&ns("a"), &meter).await.unwrap();
    store.insert_meter(&ns("a"), &meter).await.unwrap_err();
    store.insert_meter(&ns("b"), &meter).await.unwrap();
    store.update_meter(&ns("a"), &meter).await.unwrap();
    store.update_meter(&ns("c"), &meter).await.unwrap_err();
    store.update_meter(&ns("a"), &deleted(&meter, 30)).await.unwrap();
    store.update_meter(&ns("a"), &deleted(&meter, 30)).await.unwrap();
    let key = key(1, "b");
    store.insert_key(&key, "hash").await.unwrap();
    store.insert_key(&key, "hash").await.unwrap_err();
    store.revoke_key(key.id, at(70)).await.unwrap();
    store.revoke_key(key.id, at(80)).await.unwrap();
    let (meter_id, key_id) = (meter.id, key.id);
    let expected = [
        format!("a/1 meter {meter_id} created 10"),
        format!("a/2 meter {meter_id} updated 20"),
        format!("a/3 meter {meter_id} deleted 30"),
        format!("a/4 meter {meter_id} updated 20"),
        format!("b/1 meter {meter_id} created 10"),
        format!("b/2 key {key_id} created 1"),
        format!("b/3 key {key_id} revoked 70"),
    ];
    assert_eq!(place.outbox().await, expected);
}

async fn a_write_without_its_outbox_row_is_not_kept(place: Place) {
    let store = place.open().await;
    store.insert_meter(&ns("a"), &meter(1, "kept")).await.unwrap();
    store.insert_key(&key(1, "a"), "hash").await.unwrap();
    // The next position is taken already, so the outbox row cannot be written.
    place.damage("UPDATE outbox_heads SET last = 0").await;
    assert!(store.insert_meter(&ns("a"), &meter(2, "lost")).await.is_err());
    assert!(store.update_meter(&ns("a"), &deleted(&meter(1, "kept"), 30)).await.is_err());
    assert!(store.insert_key(&key(2, "a"), "hash2").await.is_err());
    assert!(store.revoke_key(key(1, "a").id, at(70)).await.is_err());
    assert_eq!(store.list_meters(&ns("a"), true).await.unwrap(), [meter(1, "kept")]);
    assert_eq!(store.list_keys().await.unwrap(), [key(1, "a")]);
}

async fn reopening_keeps_everything(place: Place) {
    let store = place.open().await;
    store.insert_meter(&ns("a"), &full_meter()).await.unwrap();
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
    assert_eq!(place.rows("SELECT version FROM schema_migrations").await.len(), 1);
}

async fn many_servers_may_start_at_once(place: Place) {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8 {
        let url = place.url();
        tasks.spawn(async move {
            let store = StateStore::open(&url).await.unwrap();
            store.insert_meter(&ns("a"), &meter(number, &format!("m{number}"))).await.unwrap();
        });
    }
    tasks.join_all().await;
    assert_eq!(place.open().await.list_meters(&ns("a"), false).await.unwrap().len(), 8);
    assert_eq!(place.rows("SELECT version FROM schema_migrations").await.len(), 1);
}

async fn refuses_a_newer_store(place: Place) {
    place.open().await.close().await;
    place.damage("INSERT INTO schema_migrations VALUES (9, 'later', '', 1)").await;
    let refused = StateStore::open(&place.url()).await.unwrap_err();
    assert_eq!(refused, StateError::Newer { found: 9, known: 1 });
    assert!(refused.to_string().contains("start the newer version again"));
    place.damage("DELETE FROM schema_migrations WHERE version = 9").await;
    place.open().await;
}

async fn refuses_a_half_migrated_store(place: Place) {
    let store = place.open().await;
    place.damage("UPDATE schema_migrations SET finished = 0").await;
    let half = StateError::HalfMigrated { version: 1, name: "meters_keys_outbox".into() };
    assert_eq!(store.check_writable().await, Err(half.clone()));
    assert_eq!(StateStore::open(&place.url()).await.unwrap_err(), half);
    assert!(half.to_string().contains("restore the backup"));
    place.damage("UPDATE schema_migrations SET finished = 1, statements = 'other'").await;
    assert!(
        matches!(StateStore::open(&place.url()).await, Err(StateError::Corrupt(text)) if text.contains("version 1"))
    );
}

async fn a_failed_migration_leaves_nothing(place: Place) {
    place.open().await.close().await;
    // The first migration must run again, and trips over the one table that is still there, its last.
    place
        .damage(
            "DELETE FROM schema_migrations; DROP TABLE meters; DROP TABLE api_keys; DROP TABLE outbox; \
             DROP TABLE outbox_heads",
        )
        .await;
    let failed = StateStore::open(&place.url()).await.unwrap_err();
    assert!(matches!(&failed, StateError::Unavailable(text) if text.contains("write_probe")), "{failed}");
    assert_eq!(place.rows("SELECT version FROM schema_migrations").await.len(), 0);
    place.damage("DROP TABLE write_probe").await;
    place.open().await.insert_meter(&ns("a"), &full_meter()).await.unwrap();
}

async fn a_value_that_does_not_read_back_names_its_place(place: Place) {
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
        store.insert_meter(&ns("a"), &full_meter()).await.unwrap();
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

macro_rules! contract {
    ($($promise:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                super::$promise(super::Place::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                super::$promise(super::Place::postgres()).await;
            })*
        }
    };
}

contract! {
    keeps_every_field,
    updates_the_whole_row,
    a_slug_belongs_to_one_live_meter,
    namespaces_never_meet,
    lists_by_slug_bytes_then_id,
    keeps_odd_texts_and_big_metadata,
    keeps_the_first_and_last_instant,
    one_of_many_concurrent_inserts_wins,
    concurrent_writers_of_two_servers_leave_no_gap,
    keys_are_found_by_hash_listed_by_age_and_revoked_once,
    every_write_leaves_one_outbox_row_and_a_failed_one_none,
    a_write_without_its_outbox_row_is_not_kept,
    reopening_keeps_everything,
    many_servers_may_start_at_once,
    refuses_a_newer_store,
    refuses_a_half_migrated_store,
    a_failed_migration_leaves_nothing,
    a_value_that_does_not_read_back_names_its_place,
}
