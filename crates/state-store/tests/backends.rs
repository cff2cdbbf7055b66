//! What is true of one backend only, and what the user reads when a store cannot be opened.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, ConnectOptions};
use tallystick_domain::Namespace;
use tallystick_state_store::{StateError, StateStore, StateUrl};
use tallystick_testkit::postgres::Postgres;

async fn connection(url: &str) -> AnyConnection {
    url.parse::<AnyConnectOptions>().unwrap().connect().await.unwrap()
}

async fn refusal(url: &StateUrl) -> String {
    match StateStore::open(url).await {
        Err(StateError::Unavailable(text)) => text,
        other => panic!("expected an unavailable store, got {other:?}"),
    }
}

#[tokio::test]
async fn sqlite_keeps_a_write_ahead_log_in_a_directory_that_it_makes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b/state.sqlite");
    let store = StateStore::open(&StateUrl::Sqlite(path.clone())).await.unwrap();
    assert_eq!(store.backend_name(), "sqlite");
    store.check_writable().await.unwrap();
    assert!(directory.path().join("a/b/state.sqlite-wal").metadata().unwrap().len() > 0);
    store.close().await;
    // Closed in order, everything is in the one file.
    assert!(!directory.path().join("a/b/state.sqlite-wal").exists());
    assert!(path.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_lets_many_create_the_same_file() {
    for _ in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let url = StateUrl::Sqlite(directory.path().join("state.sqlite"));
            tasks.spawn(async move { StateStore::open(&url).await.unwrap().close().await });
        }
        tasks.join_all().await;
    }
}

#[tokio::test]
async fn sqlite_leaves_a_file_alone_that_is_no_database() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    let text = "not a database, ".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let reason = refusal(&StateUrl::Sqlite(path.clone())).await;
    assert!(reason.contains("notes.txt") && reason.contains("not a database"), "{reason}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    let reason = refusal(&StateUrl::Sqlite(path.join("state.sqlite"))).await;
    assert!(reason.contains("cannot create the directory") && reason.contains("notes.txt"), "{reason}");
}

#[tokio::test]
async fn sqlite_says_when_it_can_no_longer_write() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.sqlite");
    let store = StateStore::open(&StateUrl::Sqlite(path.clone())).await.unwrap();
    let mut other = connection(&format!("sqlite:{}", path.display())).await;
    sqlx::raw_sql("DROP TABLE write_probe").execute(&mut other).await.unwrap();
    let Err(StateError::Unavailable(reason)) = store.check_writable().await else { panic!("it was writable") };
    assert!(reason.contains("write_probe"), "{reason}");
    // The failed write holds no lock.
    store.list_meters(&Namespace::default_namespace(), true).await.unwrap();
    sqlx::raw_sql("CREATE TABLE write_probe (id BIGINT NOT NULL PRIMARY KEY, writes BIGINT NOT NULL)")
        .execute(&mut other)
        .await
        .unwrap();
    store.check_writable().await.unwrap();
}

#[tokio::test]
async fn postgres_comes_back_after_its_connections_were_lost() {
    let postgres = Postgres::start();
    let store = StateStore::open(&StateUrl::parse(postgres.url()).unwrap()).await.unwrap();
    assert_eq!(store.backend_name(), "postgres");
    store.check_writable().await.unwrap();
    let mut other = connection(postgres.url()).await;
    sqlx::raw_sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .execute(&mut other)
    .await
    .unwrap();
    store.check_writable().await.unwrap();
    assert_eq!(store.list_keys().await.unwrap(), []);
}

#[tokio::test]
async fn postgres_says_when_it_can_no_longer_write() {
    let postgres = Postgres::start();
    let store = StateStore::open(&StateUrl::parse(postgres.url()).unwrap()).await.unwrap();
    let read_only = format!("{}&options[default_transaction_read_only]=on", postgres.url());
    let reason = refusal(&StateUrl::parse(&read_only).unwrap()).await;
    assert!(reason.contains("read-only"), "{reason}");
    let mut other = connection(postgres.url()).await;
    sqlx::raw_sql("ALTER TABLE write_probe RENAME TO moved").execute(&mut other).await.unwrap();
    assert!(matches!(store.check_writable().await, Err(StateError::Unavailable(text)) if text.contains("write_probe")));
}

#[tokio::test]
async fn postgres_that_is_away_is_named_without_its_password() {
    let postgres = Postgres::start();
    let nobody = format!("{}x", postgres.url().split('?').next().unwrap().replace('@', ":hunter2@"));
    let socket = postgres.url().split('?').nth(1).unwrap();
    for url in ["postgres://user:hunter2@127.0.0.1:1/state".to_owned(), format!("{nobody}?{socket}&password=hunter2")] {
        let reason = refusal(&StateUrl::parse(&url).unwrap()).await;
        assert!(reason.contains("cannot open the state store postgres://"), "{reason}");
        assert!(!reason.contains("hunter2"), "{reason}");
        assert!(reason.contains("127.0.0.1:1/state") || reason.contains("does not exist"), "{reason}");
    }
}
