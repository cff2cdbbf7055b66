//! One fault at a time: what seeds found once, and what the pages of the store promise.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use tallystick_domain::event::{Event, EventParts, EventQuery, StoredEvent};
use tallystick_domain::meter::{AggregatePlan, Aggregation};
use tallystick_domain::{Instant, Namespace};
use tallystick_event_store::faulty::{Action, Fault, FaultyDisk, FileKind, Harm, Trigger};
use tallystick_event_store::{
    AppendError, Appended, Change, Corrected, Correction, FactsAnswer, QueryError, SteppedStore, StoreError,
    StoreOptions,
};

const SEEDS: std::ops::Range<u64> = 0..24;

fn open(disk: &FaultyDisk) -> Result<SteppedStore, StoreError> {
    let options = StoreOptions {
        wal_file_bytes: 16 << 10,
        merge_fan: 2,
        disk: Arc::new(disk.clone()),
        ..StoreOptions::new([3; 16])
    };
    SteppedStore::open(Path::new("/srv/events"), options)
}

fn event(id: &str, event_type: &str) -> StoredEvent {
    let parts = EventParts {
        id: id.into(),
        source: "s".into(),
        event_type: event_type.into(),
        subject: "c".into(),
        time: Instant::MIN,
        data: Some(r#"{"v":1}"#.into()),
        extras: None,
    };
    StoredEvent { event: Event::new(parts, 16).unwrap(), ingested_at: Instant::MIN }
}

fn append(store: &mut SteppedStore, id: &str) -> Result<Appended, AppendError> {
    append_all(store, &[event(id, "t")])
}

fn append_all(store: &mut SteppedStore, events: &[StoredEvent]) -> Result<Appended, AppendError> {
    let mut ticket = store.submit(&Namespace::default_namespace(), events)?;
    store.step_writer();
    ticket.answer().expect("the writer answers")
}

fn ids(store: &SteppedStore) -> Vec<String> {
    let query = EventQuery {
        namespace: Namespace::default_namespace(),
        fields: vec![],
        time: None,
        ingested_at: None,
        after: None,
        limit: usize::MAX,
    };
    let mut ids: Vec<_> =
        store.store().list(&query).unwrap().iter().map(|stored| stored.event.id().to_owned()).collect();
    ids.sort();
    ids
}

/// The value of the only event, by a question that the directory of a segment cannot answer.
fn latest(store: &SteppedStore, event_type: &str) -> Result<String, QueryError> {
    let plan = AggregatePlan {
        namespace: Namespace::default_namespace(),
        event_type: event_type.into(),
        from: None,
        to: None,
        aggregation: Aggregation::Latest,
        value: Some(tallystick_domain::meter::JsonPath::parse("$.v").unwrap()),
        dimensions: vec![],
        filters: vec![],
        customers: None,
        windows: None,
        known_until: None,
    };
    store.store().aggregate(&plan).map(|rows| rows[0].value.to_string())
}

fn seal(store: &mut SteppedStore) {
    store.request_seal().unwrap();
    store.step_writer();
    while store.step_sealer() {}
}

fn next(action: Action, kind: FileKind, harm: Harm) -> Fault {
    Fault { on: Trigger::Nth { action, kind, nth: 1 }, harm }
}

fn only_file(disk: &FaultyDisk, kind: FileKind) -> PathBuf {
    let found: Vec<_> = disk.files().into_iter().filter(|(path, _)| FileKind::of(path) == kind).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].0.clone()
}

/// After a kill, whatever is answered must survive a power cut, even if the process before did the work.
fn what_is_answered_after_it_lasts(disk: &FaultyDisk, seed: u64, context: &str) {
    disk.clear_faults();
    disk.start_process();
    let mut store = open(disk).unwrap_or_else(|error| panic!("{context}: {error}"));
    append(&mut store, "b").unwrap();
    let seen = ids(&store);
    disk.restart(seed);
    drop(store);
    let mut store = open(disk).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_eq!(ids(&store), seen, "{context}");
    assert_eq!(append(&mut store, "b").unwrap().duplicates, 1, "{context}");
}

#[test]
fn a_frame_that_a_killed_process_did_not_sync_lasts_once_it_is_counted() {
    for seed in SEEDS {
        let disk = FaultyDisk::new(seed);
        let mut store = open(&disk).unwrap();
        append(&mut store, "a").unwrap();
        disk.schedule(next(Action::Sync, FileKind::Log, Harm::Kill));
        assert!(matches!(append(&mut store, "b"), Err(AppendError::Stopped(_))));
        drop(store);
        what_is_answered_after_it_lasts(&disk, seed, &format!("seed {seed}"));
    }
}

#[test]
fn a_failed_sync_stops_the_store_and_what_is_answered_after_the_restart_lasts() {
    for seed in SEEDS {
        let disk = FaultyDisk::new(seed);
        let mut store = open(&disk).unwrap();
        append(&mut store, "a").unwrap();
        disk.schedule(next(Action::Sync, FileKind::Log, Harm::Fail));
        let refused = append(&mut store, "b").unwrap_err();
        assert!(matches!(&refused, AppendError::Stopped(reason) if reason.contains(".wal")), "{refused}");
        let again = append(&mut store, "b").unwrap_err();
        assert!(matches!(again, AppendError::Stopped(_)), "the sync is not tried again: {again}");
        assert_eq!(ids(&store), ["a"], "queries go on");
        assert!(store.close().is_err(), "it did not end well");
        what_is_answered_after_it_lasts(&disk, seed, &format!("seed {seed}"));
    }
}

#[test]
fn a_kill_at_any_change_of_a_first_start_or_a_first_append_loses_nothing_later() {
    for seed in SEEDS {
        for change in 1.. {
            let disk = FaultyDisk::new(seed);
            disk.schedule(Fault { on: Trigger::Change(change), harm: Harm::Kill });
            let killed = match open(&disk) {
                Ok(mut store) => append(&mut store, "a").is_err(),
                Err(_) => true,
            };
            what_is_answered_after_it_lasts(&disk, seed, &format!("seed {seed}, change {change}"));
            if !killed {
                assert!(change > 20, "{change}");
                break;
            }
        }
    }
}

#[test]
fn a_full_disk_refuses_answers_queries_and_goes_on_when_there_is_space() {
    let disk = FaultyDisk::new(1);
    let mut store = open(&disk).unwrap();
    append(&mut store, "a").unwrap();
    disk.set_capacity(Some(disk.used()));
    let refused = (0..20).find_map(|n| append(&mut store, &format!("b{n}")).err());
    assert!(matches!(refused, Some(AppendError::Full(_))), "{refused:?}");
    let stored = ids(&store);
    assert!(stored.len() > 1 && store.fault().is_none(), "{stored:?}");
    disk.set_capacity(None);
    append(&mut store, "c").unwrap();
    drop(store);
    disk.restart(1);
    assert_eq!(ids(&open(&disk).unwrap()).len(), stored.len() + 1);
}

#[test]
fn a_damaged_block_of_a_segment_fails_its_queries_and_no_others() {
    let disk = FaultyDisk::new(1);
    let mut store = open(&disk).unwrap();
    append_all(&mut store, &[event("1", "first"), event("2", "second")]).unwrap();
    seal(&mut store);
    let path = only_file(&disk, FileKind::Segment);
    let len = disk.files().iter().find(|(file, _)| *file == path).unwrap().1;
    let mut failed = [0, 0];
    for byte in 12..len {
        disk.flip(&path, byte, 3);
        let answers = ["first", "second"].map(|event_type| latest(&store, event_type));
        for (place, answer) in answers.iter().enumerate() {
            match answer {
                Ok(total) => assert_eq!(total, "1", "byte {byte}"),
                Err(error) => {
                    assert!(error.to_string().contains(path.to_str().unwrap()), "byte {byte}: {error}");
                    failed[place] += 1;
                }
            }
        }
        assert!(answers.iter().any(Result::is_ok), "byte {byte} is of one type only");
        disk.flip(&path, byte, 3);
    }
    assert!(failed.iter().all(|count| *count > 3), "{failed:?}");
}

#[test]
fn a_damaged_block_of_a_run_stops_what_must_look_into_it_and_queries_go_on() {
    let disk = FaultyDisk::new(1);
    let mut store = open(&disk).unwrap();
    append(&mut store, "a").unwrap();
    seal(&mut store);
    let path = only_file(&disk, FileKind::Run);
    disk.flip(&path, 5, 0);
    let refused = append(&mut store, "a").unwrap_err();
    let names = |reason: &str| reason.contains(path.to_str().unwrap());
    assert!(matches!(&refused, AppendError::Stopped(reason) if names(reason)), "{refused}");
    assert_eq!((ids(&store), latest(&store, "t").unwrap()), (vec!["a".to_string()], "1".to_string()));
    drop(store);
    disk.start_process();
    disk.flip(&path, 5, 0);
    assert_eq!(append(&mut open(&disk).unwrap(), "a").unwrap().duplicates, 1);
}

#[test]
fn a_damaged_manifest_is_replaced_by_an_open_store_and_refused_by_a_start() {
    for commits in [true, false] {
        let disk = FaultyDisk::new(1);
        let mut store = open(&disk).unwrap();
        append(&mut store, "a").unwrap();
        let path = only_file(&disk, FileKind::Manifest);
        disk.flip(&path, 40, 2);
        if commits {
            seal(&mut store);
        }
        drop(store);
        disk.start_process();
        match open(&disk) {
            Ok(store) => assert!(commits && ids(&store) == ["a"]),
            Err(error) => assert!(!commits && error.to_string().contains("MANIFEST"), "{error}"),
        }
    }
}

#[test]
fn one_store_at_a_time_has_a_directory() {
    let disk = FaultyDisk::new(1);
    let first = open(&disk).unwrap();
    assert!(matches!(open(&disk), Err(StoreError::Locked { .. })));
    drop(first);
    open(&disk).unwrap();
}

#[test]
fn an_event_that_arrives_while_another_one_is_searched_is_corrected_and_not_taken_for_expired() {
    let mut store = open(&FaultyDisk::new(1)).unwrap();
    let name = Namespace::default_namespace();
    append_all(&mut store, &[event("old", "short-lived")]).unwrap();
    let cut_off = store.submit_cut_off(&name, "short-lived", Instant::MAX).unwrap();
    store.step_writer();
    assert!(matches!(cut_off.answer(Some(&store)), FactsAnswer::Done(done) if done == [Corrected::Recorded]));
    seal(&mut store);
    assert_eq!(store.store().stats().dropped_rows, 1);

    let retraction = |id: &str| Correction {
        source: "s".into(),
        id: id.into(),
        change: Change::Retract,
        reason: "a mistake".into(),
        actor: "someone".into(),
        known_at: Instant::MIN,
    };
    let mut ticket = store.submit_corrections(&name, vec![retraction("new"), retraction("old")]).unwrap();
    let mut sent = store.submit(&name, &[event("new", "t")]).unwrap();
    let mut searches = 0;
    let done = loop {
        assert!(store.step_writer(), "nothing waits");
        ticket = match ticket.answer(Some(&store)) {
            FactsAnswer::None(ticket) => ticket,
            FactsAnswer::Again(ticket) => {
                searches += 1;
                ticket
            }
            FactsAnswer::Done(done) => break done,
            FactsAnswer::Refused(error) => panic!("{error}"),
        };
    };
    // The old one is known and its row is gone; the new one was stored behind the first search for it.
    assert_eq!((searches, done), (2, vec![Corrected::Recorded, Corrected::Expired]));
    assert_eq!(sent.answer().unwrap().unwrap().stored, 1);
    assert!(ids(&store).is_empty());
}
