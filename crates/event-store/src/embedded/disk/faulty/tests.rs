//! The faulty disk forgets what it may forget, and nothing else.

use super::*;

const DIR: &str = "/data";

fn at(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

/// A disk with a directory that lasts.
fn disk() -> FaultyDisk {
    let disk = FaultyDisk::new(1);
    disk.create_dirs(Path::new(DIR)).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

/// A file that lasts, with these bytes.
fn lasting(disk: &FaultyDisk, name: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.create(&at(name), Access::Owner).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync_all().unwrap();
    disk.sync_dir(Path::new(DIR)).unwrap();
    file
}

fn on(action: Action, kind: FileKind, harm: Harm) -> Fault {
    Fault { on: Trigger::Nth { action, kind, nth: 1 }, harm }
}

/// The bytes of a file after the power was cut, for each of many seeds.
fn after_power_cuts(prepare: impl Fn(&FaultyDisk), name: &str) -> BTreeSet<Option<Vec<u8>>> {
    let left = |seed| {
        let disk = disk();
        prepare(&disk);
        disk.restart(seed);
        disk.read(&at(name)).ok()
    };
    (0..300).map(left).collect()
}

#[test]
fn what_was_synced_survives_every_power_cut() {
    let left = after_power_cuts(|disk| drop(lasting(disk, "a", b"bytes")), "a");
    assert_eq!(left, BTreeSet::from([Some(b"bytes".to_vec())]));
}

#[test]
fn pages_that_were_not_synced_survive_in_any_subset() {
    let prepare = |disk: &FaultyDisk| {
        let file = lasting(disk, "a", &[0; 3 * PAGE]);
        file.write_all_at(&[1; 2 * PAGE], PAGE as u64 / 2).unwrap();
    };
    let left = after_power_cuts(prepare, "a");
    let first_bytes = |bytes: &Vec<u8>| [PAGE - 1, PAGE, 2 * PAGE].map(|at| bytes[at]);
    let subsets: BTreeSet<_> = left.iter().flatten().map(first_bytes).collect();
    assert_eq!(subsets.len(), 8, "{subsets:?}");
    let torn = |bytes: &Vec<u8>| bytes[PAGE..2 * PAGE].iter().collect::<BTreeSet<_>>().len() == 2;
    assert!(left.iter().flatten().any(torn), "some page is there in part");
}

#[test]
fn an_older_content_of_a_page_may_be_what_survives() {
    let prepare = |disk: &FaultyDisk| {
        let file = lasting(disk, "a", b"one");
        file.write_all_at(b"two", 0).unwrap();
        file.write_all_at(b"six", 0).unwrap();
    };
    let left = after_power_cuts(prepare, "a");
    for content in [b"one", b"two", b"six"] {
        assert!(left.contains(&Some(content.to_vec())), "{left:?}");
    }
}

#[test]
fn names_last_only_after_their_directory_was_synced() {
    let created = |disk: &FaultyDisk| {
        let file = disk.create(&at("a"), Access::Owner).unwrap();
        file.write_all_at(b"x", 0).unwrap();
        file.sync_all().unwrap();
    };
    assert_eq!(after_power_cuts(created, "a"), BTreeSet::from([None, Some(b"x".to_vec())]));
    let removed = |disk: &FaultyDisk| {
        lasting(disk, "a", b"x");
        disk.remove(&at("a")).unwrap();
        assert!(!disk.exists(&at("a")));
    };
    assert_eq!(after_power_cuts(removed, "a"), BTreeSet::from([None, Some(b"x".to_vec())]));
    let renamed = |disk: &FaultyDisk| {
        lasting(disk, "a", b"old");
        lasting(disk, "b", b"new");
        disk.rename(&at("b"), &at("a")).unwrap();
    };
    let both = BTreeSet::from([Some(b"old".to_vec()), Some(b"new".to_vec())]);
    assert_eq!(after_power_cuts(renamed, "a"), both);
    let lost_dir = |disk: &FaultyDisk| {
        disk.create_dirs(&at("dir")).unwrap();
        disk.create(&at("dir/a"), Access::Owner).unwrap();
        disk.sync_dir(&at("dir")).unwrap();
    };
    assert_eq!(after_power_cuts(lost_dir, "dir/a"), BTreeSet::from([None, Some(vec![])]));
}

#[test]
fn a_failed_sync_loses_what_it_should_have_kept_and_the_next_one_succeeds() {
    let prepare = |disk: &FaultyDisk| {
        let file = lasting(disk, "a.wal", b"one");
        disk.schedule(on(Action::Sync, FileKind::Log, Harm::Fail));
        file.write_all_at(b"two", 0).unwrap();
        assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(IO_ERROR));
        file.sync_data().unwrap();
        assert_eq!(disk.read(&at("a.wal")).unwrap(), b"two", "it is still in the cache");
    };
    assert_eq!(after_power_cuts(prepare, "a.wal"), BTreeSet::from([Some(b"one".to_vec())]));
}

#[test]
fn a_kill_leaves_what_was_written_and_ends_every_handle() {
    let disk = disk();
    let file = lasting(&disk, "LOCK", b"one");
    assert!(file.try_lock().unwrap() && !disk.open(&at("LOCK")).unwrap().try_lock().unwrap());
    assert!(!disk.open(&at("LOCK")).unwrap().try_lock().unwrap(), "closing another handle frees nothing");
    file.write_all_at(b"two", 0).unwrap();
    disk.schedule(Fault { on: Trigger::Change(disk.changes() + 1), harm: Harm::Kill });
    assert!(file.sync_all().is_err());
    assert!(disk.read(&at("LOCK")).is_err(), "nobody is there to read");
    disk.start_process();
    assert_eq!(disk.read(&at("LOCK")).unwrap(), b"two");
    assert!(file.len().is_err(), "the handle is the dead process's");
    assert!(disk.open(&at("LOCK")).unwrap().try_lock().unwrap());
}

#[test]
fn a_write_in_flight_is_torn_at_any_byte() {
    let torn = |seed| {
        let disk = FaultyDisk::new(seed);
        let file = disk.create(Path::new("/a"), Access::Owner).unwrap();
        disk.schedule(Fault { on: Trigger::Change(disk.changes() + 1), harm: Harm::Kill });
        assert!(file.write_all_at(&[1; 50], 0).is_err());
        disk.start_process();
        disk.read(Path::new("/a")).unwrap().len()
    };
    assert_eq!((0..2000).map(torn).collect::<BTreeSet<_>>(), (0..=50).collect());
}

#[test]
fn a_full_disk_takes_what_fits_and_works_again_with_more_space() {
    let disk = disk();
    let file = lasting(&disk, "a", &[1; PAGE]);
    disk.set_capacity(Some(2 * PAGE as u64));
    let error = file.write_all_at(&[2; 2 * PAGE], PAGE as u64).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!((file.len().unwrap(), disk.used()), (2 * PAGE as u64, 2 * PAGE as u64));
    assert_eq!(disk.create(&at("b"), Access::Owner).unwrap_err().kind(), io::ErrorKind::StorageFull);
    file.write_all_at(&[3; PAGE], 0).unwrap();
    disk.set_capacity(None);
    file.write_all_at(&[2; 2 * PAGE], PAGE as u64).unwrap();
}

#[test]
fn short_calls_are_no_errors_and_a_flipped_bit_is_silent() {
    let disk = disk();
    let file = lasting(&disk, "a.seg", b"0123456789");
    disk.schedule(on(Action::Read, FileKind::Segment, Harm::Short));
    disk.schedule(on(Action::Write, FileKind::Segment, Harm::Short));
    file.write_all_at(b"abcdefghij", 0).unwrap();
    assert_eq!(disk.read(&at("a.seg")).unwrap(), b"abcdefghij");
    disk.flip(&at("a.seg"), 1, 0);
    assert_eq!(disk.read(&at("a.seg")).unwrap(), b"accdefghij");
    disk.flip(&at("a.seg"), 1, 0);
    assert_eq!(disk.read(&at("a.seg")).unwrap(), b"abcdefghij");
    assert_eq!(disk.files(), [(at("a.seg"), 10)]);
}
