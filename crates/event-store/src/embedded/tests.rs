//! What needs a look inside: a writer that is held up, and a thread that fails.

use super::*;
use tallystick_domain::Instant;
use tallystick_domain::event::{Event, EventParts};

fn rows(name: &str, count: usize) -> Rows {
    Rows::of_events(&Namespace::default_namespace(), &events(name, count))
}

fn events(name: &str, count: usize) -> Vec<StoredEvent> {
    let stored = |n| {
        let parts = EventParts {
            id: format!("{name}-{n}"),
            source: "s".into(),
            event_type: "t".into(),
            subject: "c".into(),
            time: Instant::MIN,
            data: None,
            extras: None,
        };
        StoredEvent { event: Event::from_store(parts), ingested_at: Instant::MIN }
    };
    (0..count).map(stored).collect()
}

fn list_ids(store: &EmbeddedStore) -> Vec<String> {
    let query = EventQuery {
        namespace: Namespace::default_namespace(),
        fields: vec![],
        time: None,
        ingested_at: None,
        after: None,
        limit: usize::MAX,
    };
    store.list(&query).unwrap().iter().map(|stored| stored.event.id().to_owned()).collect()
}

fn small(queue_bytes: usize) -> StoreOptions {
    StoreOptions { queue_bytes, wal_file_bytes: 16 << 10, ..StoreOptions::new([9; 16]) }
}

#[test]
fn a_full_queue_refuses_at_once_and_nothing_of_it_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path(), small(16 << 10)).unwrap();
    let mut accepted = Vec::new();
    let refused = {
        // The writer cannot publish, so what it took stays counted.
        let _held = lock(&store.shared().live);
        (0..1000).find_map(|n| match store.submit(rows(&format!("b{n}"), 3)) {
            Ok(answer) => {
                accepted.push(answer);
                None
            }
            Err(error) => Some((n, error)),
        })
    };
    let (number, error) = refused.expect("the queue is bounded");
    assert_eq!(error, AppendError::Overloaded);
    assert!(accepted.len() > 5 && store.shared().queue.bytes() <= 16 << 10);
    for answer in accepted.iter_mut() {
        while answer.is_empty() && !answer.is_terminated() {
            std::thread::yield_now();
        }
        assert_eq!(answer.try_recv().unwrap().unwrap().stored, 3);
    }
    let seen = list_ids(&store);
    assert_eq!(seen.len(), accepted.len() * 3);
    assert!(!seen.contains(&format!("b{number}-0")), "the refused batch is not stored");
    assert_eq!(store.shared().queue.bytes(), 0, "all bytes are given back");
    assert!(store.submit(rows("later", 1)).is_ok());
}

#[test]
fn a_failing_thread_stops_the_store_and_leaves_nobody_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path(), small(1 << 20)).unwrap();
    let failing = spawn("fails", &store.handle.shared, |_| panic!("on purpose")).unwrap();
    assert!(failing.join().is_err());
    assert!(matches!(store.check_writable(), Err(StoreError::Stopped { .. })));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let refused = runtime.block_on(store.append(&Namespace::default_namespace(), events("b", 1)));
    assert!(matches!(refused, Err(AppendError::Stopped(_))), "{refused:?}");
    assert!(store.close().is_err());
}

#[test]
fn memory_that_is_not_what_the_log_holds_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path(), small(1 << 20)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.append(&Namespace::default_namespace(), events("b", 3))).unwrap();
    let verified = || store.verify_all(&|_| std::ops::ControlFlow::Continue(())).unwrap();
    let sound = verified();
    assert_eq!((sound.memory_rows, sound.log_rows, sound.damages.len()), (3, 3, 0));
    lock(&store.shared().live).active.push(rows("never-logged", 1));
    let found = verified();
    assert_eq!((found.memory_rows, found.log_rows, found.damages.len()), (4, 3, 1));
    lock(&store.shared().live).active = Default::default();
    lock(&store.shared().live).active.push(rows("other", 3));
    assert_eq!(verified().damages.len(), 1, "as many rows, but others");
}
