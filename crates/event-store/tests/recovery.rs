//! Crashes, torn writes, flipped bits, foreign files: the store opens with everything it acknowledged, or says which file
//! is broken.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod common;

use common::*;
use std::fs;
use std::path::{Path, PathBuf};
use tallystick_event_store::{EventStore, StoreError};
use tempfile::TempDir;

/// So many events with hardly compressible texts take more than two blocks.
const BIG: usize = 120;

/// A store that crashed after two batches; the frame of the second is the last of the log.
struct Crashed {
    dir: TempDir,
    wal: PathBuf,
    bytes: Vec<u8>,
    last_frame: std::ops::Range<usize>,
}

fn crashed(last_batch: usize) -> Crashed {
    let live = tempfile::tempdir().unwrap();
    let store = open(live.path(), unsealed());
    append_ok(&store, batch("first", 3));
    let wal_name = files(&live.path().join("wal"))[0].file_name().unwrap().to_owned();
    let before = fs::read(live.path().join("wal").join(&wal_name)).unwrap();
    append_ok(&store, if last_batch == BIG { noisy_batch("last", BIG) } else { batch("last", last_batch) });
    let dir = tempfile::tempdir().unwrap();
    crash_copy(live.path(), dir.path());
    let wal = dir.path().join("wal").join(wal_name);
    let bytes = fs::read(&wal).unwrap();
    let last_frame = changed_range(&before, &bytes);
    assert_eq!(last_frame.start % BLOCK, 0, "frames start on blocks");
    Crashed { dir, wal, bytes, last_frame }
}

fn names(name: &str, count: usize) -> Vec<String> {
    let mut names: Vec<_> = (0..count).map(|n| format!("{name}-{n}")).collect();
    names.sort();
    names
}

#[test]
fn what_was_acknowledged_is_there_after_a_crash_and_after_a_clean_end() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path(), unsealed());
    append_ok(&store, batch("a", 50));
    crash_copy(dir.path(), copy.path());
    assert_eq!(sorted_ids(&open(copy.path(), unsealed())), names("a", 50));
    store.close().unwrap();
    store.close().unwrap();
    let store = open(dir.path(), unsealed());
    assert_eq!(sorted_ids(&store), names("a", 50));
    assert_eq!(append_ok(&store, batch("a", 51)).duplicates, 50, "identities come back with the rows");
    drop(store);
    assert_eq!(sorted_ids(&open(dir.path(), unsealed())), names("a", 51), "dropping loses nothing");
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_the_store_goes_on() {
    let crashed = crashed(2);
    let end = crashed.last_frame.end;
    let fills: [(&str, Option<u8>); 3] = [("zeros", Some(0)), ("junk", Some(0xa5)), ("end of file", None)];
    for cut in crashed.last_frame.clone() {
        for (name, fill) in fills {
            let mut torn = crashed.bytes.clone();
            match fill {
                Some(byte) => torn[cut..].fill(byte),
                None => torn.truncate(cut),
            }
            fs::write(&crashed.wal, &torn).unwrap();
            check_torn(&crashed, torn[..] == crashed.bytes[..], &format!("{name} from byte {cut} of {end}"));
        }
    }
    // Behind the frame there is nothing to lose.
    let mut junk = crashed.bytes.clone();
    junk[end.next_multiple_of(BLOCK)..].fill(0xa5);
    fs::write(&crashed.wal, &junk).unwrap();
    check_torn(&crashed, true, "junk behind the frame");
}

fn check_torn(crashed: &Crashed, is_whole: bool, what: &str) {
    let copy = tempfile::tempdir().unwrap();
    crash_copy(crashed.dir.path(), copy.path());
    let store = open(copy.path(), unsealed());
    let expected = if is_whole { [names("first", 3), names("last", 2)].concat() } else { names("first", 3) };
    assert_eq!(sorted_ids(&store), expected, "{what}");
    let again = append_ok(&store, batch("last", 2));
    assert_eq!(again.stored, if is_whole { 0 } else { 2 }, "{what}: what is not there can be sent again");
    append_ok(&store, batch("next", 1));
    drop(store);
    let store = open(copy.path(), unsealed());
    assert_eq!(store.stats().events, 6, "{what}");
}

#[test]
fn any_flipped_bit_in_the_last_frame_of_a_crashed_store_drops_it_whole() {
    let crashed = crashed(2);
    for byte in crashed.last_frame.clone() {
        fs::write(&crashed.wal, &crashed.bytes).unwrap();
        flip_bit(&crashed.wal, byte, byte % 8);
        let copy = tempfile::tempdir().unwrap();
        crash_copy(crashed.dir.path(), copy.path());
        assert_eq!(sorted_ids(&open(copy.path(), unsealed())), names("first", 3), "byte {byte}");
    }
}

#[test]
fn a_frame_of_many_blocks_is_torn_as_a_whole() {
    let crashed = crashed(BIG);
    assert!(crashed.last_frame.len() > 2 * BLOCK);
    for block in crashed.last_frame.clone().step_by(BLOCK) {
        let mut torn = crashed.bytes.clone();
        torn[block..block + BLOCK].fill(0);
        fs::write(&crashed.wal, &torn).unwrap();
        let copy = tempfile::tempdir().unwrap();
        crash_copy(crashed.dir.path(), copy.path());
        let store = open(copy.path(), unsealed());
        assert_eq!(sorted_ids(&store), names("first", 3), "block at {block} never reached the disk");
        append_ok(&store, noisy_batch("next", BIG));
        drop(store);
        assert_eq!(open(copy.path(), unsealed()).stats().events, 3 + BIG as u64);
    }
}

fn assert_names(error: &StoreError, path: &Path) {
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains(name), "{error} does not name {name}");
}

#[test]
fn a_flipped_bit_in_an_earlier_frame_is_damage_and_the_file_is_named() {
    let crashed = crashed(2);
    let earlier = BLOCK..crashed.last_frame.start;
    let used = crashed.bytes[earlier.clone()].iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for byte in earlier.start..earlier.start + used {
        fs::write(&crashed.wal, &crashed.bytes).unwrap();
        flip_bit(&crashed.wal, byte, byte % 8);
        assert_names(&open_error(crashed.dir.path(), unsealed()), &crashed.wal);
    }
    for byte in 0..32 {
        fs::write(&crashed.wal, &crashed.bytes).unwrap();
        flip_bit(&crashed.wal, byte, byte % 8);
        assert_names(&open_error(crashed.dir.path(), unsealed()), &crashed.wal);
    }
    fs::write(&crashed.wal, &crashed.bytes).unwrap();
    assert_eq!(open(crashed.dir.path(), unsealed()).stats().events, 5, "the undamaged file opens");
}

#[test]
fn a_zeroed_block_before_the_tail_is_damage_too() {
    let crashed = crashed(2);
    let mut lost = crashed.bytes.clone();
    lost[BLOCK..2 * BLOCK].fill(0);
    fs::write(&crashed.wal, &lost).unwrap();
    assert_names(&open_error(crashed.dir.path(), unsealed()), &crashed.wal);
}

#[test]
fn after_a_clean_end_even_the_last_frame_cannot_vanish() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), unsealed());
    append_ok(&store, batch("a", 3));
    store.close().unwrap();
    let wal = files(&dir.path().join("wal"))[0].clone();
    let good = fs::read(&wal).unwrap();
    flip_bit(&wal, BLOCK + 60, 0);
    assert_names(&open_error(dir.path(), unsealed()), &wal);
    fs::write(&wal, &good).unwrap();
    assert_eq!(open(dir.path(), unsealed()).stats().events, 3);
    fs::remove_file(&wal).unwrap();
    assert!(matches!(open_error(dir.path(), unsealed()), StoreError::Damaged { .. }), "a lost log file is noticed");
}

/// Fills several log files and crashes; the files in the order of their use.
fn several_files() -> (TempDir, Vec<PathBuf>) {
    let (live, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(live.path(), unsealed());
    append_batches(&store, "b", 24, 3);
    crash_copy(live.path(), dir.path());
    let found = files(&dir.path().join("wal"));
    assert!(found.len() >= 4, "{found:?}");
    (dir, found)
}

#[test]
fn damage_at_the_end_of_an_earlier_file_is_no_torn_tail() {
    let (dir, found) = several_files();
    let last_block = 7 * BLOCK;
    flip_bit(&found[0], last_block + 50, 0);
    assert_names(&open_error(dir.path(), unsealed()), &found[0]);
    flip_bit(&found[0], last_block + 50, 0);
    assert_eq!(open(dir.path(), unsealed()).stats().events, 72);
}

#[test]
fn a_missing_log_file_is_damage() {
    for missing in 0..3 {
        let (dir, found) = several_files();
        fs::remove_file(&found[missing]).unwrap();
        // The first one shows in the file behind it, the others in the file before.
        let named = if missing == 0 { 1 } else { missing - 1 };
        assert_names(&open_error(dir.path(), unsealed()), &found[named]);
    }
}

#[test]
fn a_flipped_bit_in_the_manifest_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), small());
    append_ok(&store, batch("a", 3));
    store.flush_now().unwrap();
    store.close().unwrap();
    let path = dir.path().join("MANIFEST");
    let good = fs::read(&path).unwrap();
    for byte in 0..good.len() {
        flip_bit(&path, byte, byte % 8);
        let error = open_error(dir.path(), small());
        assert!(error.to_string().contains("MANIFEST"), "byte {byte}: {error}");
        fs::write(&path, &good).unwrap();
    }
    assert_eq!(open(dir.path(), small()).stats().events, 3);
}

#[test]
fn a_missing_manifest_beside_data_is_damage_and_not_an_empty_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), small());
    append_ok(&store, batch("a", 3));
    drop(store);
    fs::remove_file(dir.path().join("MANIFEST")).unwrap();
    assert_names(&open_error(dir.path(), small()), Path::new("MANIFEST"));
}

#[test]
fn a_flipped_bit_in_a_run_is_found_at_the_latest_when_it_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), unsealed());
    append_ok(&store, batch("a", 200));
    store.flush_now().unwrap();
    store.close().unwrap();
    let run = files(&dir.path().join("dedupe"))[0].clone();
    let len = fs::metadata(&run).unwrap().len() as usize;
    flip_bit(&run, len - 10, 0);
    assert_names(&open_error(dir.path(), unsealed()), &run);
    flip_bit(&run, len - 10, 0);
    flip_bit(&run, 100, 3);
    let store = open(dir.path(), unsealed());
    assert_names(&store.verify().unwrap_err(), &run);
    let refused = append(&store, &namespace("default"), batch("a", 200)).unwrap_err();
    assert!(refused.to_string().contains(run.file_name().unwrap().to_str().unwrap()), "{refused}");
    assert!(store.check_writable().is_err(), "without exact identities nothing is accepted");
    assert_eq!(ids(&store).len(), 200, "queries go on");
}

#[test]
fn files_that_were_never_finished_are_removed_and_others_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), small());
    append_ok(&store, batch("a", 3));
    store.flush_now().unwrap();
    drop(store);
    let leftovers = ["segments/00000000000000ff.seg", "dedupe/00000000000000ff.run", "MANIFEST.new"];
    let others = ["segments/notes.txt", "wal/README"];
    leftovers.iter().chain(&others).for_each(|name| fs::write(dir.path().join(name), b"half").unwrap());
    let store = open(dir.path(), small());
    assert_eq!(sorted_ids(&store), names("a", 3));
    assert!(leftovers.iter().all(|name| !dir.path().join(name).exists()));
    assert!(others.iter().all(|name| dir.path().join(name).exists()));
}

#[test]
fn a_log_file_that_was_never_completed_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), unsealed());
    append_ok(&store, batch("a", 3));
    drop(store);
    fs::write(dir.path().join("wal/00000000000000ff.wal"), vec![0; 5000]).unwrap();
    let store = open(dir.path(), unsealed());
    append_batches(&store, "b", 10, 3);
    drop(store);
    assert_eq!(open(dir.path(), unsealed()).stats().events, 33);
}

#[test]
fn stale_frames_of_a_recycled_file_are_not_replayed() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path(), unsealed());
    for round in 0..8 {
        append_batches(&store, &format!("r{round}-"), 4, 2);
        store.flush_now().unwrap();
    }
    let files_in_use = store.stats().wal_files;
    assert!(files_in_use <= 4, "{files_in_use} log files: they are used again");
    append_ok(&store, batch("tail", 1));
    crash_copy(dir.path(), copy.path());
    let stale: usize = files(&copy.path().join("wal"))
        .iter()
        .map(|path| fs::read(path).unwrap().chunks(BLOCK).filter(|block| block.starts_with(b"TSWF")).count())
        .sum();
    assert!(stale > 1, "the files do hold frames of their earlier use");
    let store = open(copy.path(), unsealed());
    assert_eq!(store.stats().memtable_rows, 1, "only the unsealed frame is replayed");
    assert_eq!(ids(&store).len(), 8 * 4 * 2 + 1);
    drop(store);
    // A torn last frame uncovers nothing old either.
    let torn_copy = tempfile::tempdir().unwrap();
    crash_copy(dir.path(), torn_copy.path());
    for path in files(&torn_copy.path().join("wal")) {
        let mut bytes = fs::read(&path).unwrap();
        let tail = bytes.windows(6).position(|window| window == b"tail-0");
        if let Some(at) = tail {
            bytes[at] = b'T';
            fs::write(&path, bytes).unwrap();
        }
    }
    let store = open(torn_copy.path(), unsealed());
    assert_eq!((store.stats().memtable_rows, ids(&store).len()), (0, 8 * 4 * 2));
}

#[test]
fn a_second_store_on_the_directory_is_refused_until_the_first_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), small());
    assert!(matches!(open_error(dir.path(), small()), StoreError::Locked { .. }));
    store.close().unwrap();
    drop(open(dir.path(), small()));
    assert!(store.check_writable().is_err());
    assert!(append(&store, &namespace("default"), batch("a", 1)).is_err());
}

#[test]
fn a_newer_format_and_an_unusable_directory_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), small()));
    fs::write(dir.path().join("MANIFEST"), "tallystick-events 3\nwhatever comes\n").unwrap();
    assert!(matches!(open_error(dir.path(), small()), StoreError::Newer { found: 3, known: 2, .. }));
    let file = dir.path().join("a-file");
    fs::write(&file, "").unwrap();
    let error = open_error(&file, small());
    assert!(matches!(error, StoreError::Io { .. }) && error.to_string().contains("a-file"), "{error}");
    let missing = dir.path().join("not/there/yet");
    assert_eq!(EventStore::open_embedded(&missing, small()).unwrap().stats().events, 0, "a missing one is created");
}

#[test]
fn a_swapped_or_missing_sealed_file_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), unsealed());
    append_ok(&store, batch("a", 3));
    store.flush_now().unwrap();
    append_ok(&store, batch("b", 200));
    store.flush_now().unwrap();
    store.close().unwrap();
    for folder in ["segments", "dedupe"] {
        let found = files(&dir.path().join(folder));
        let good = fs::read(&found[0]).unwrap();
        fs::copy(&found[1], &found[0]).unwrap();
        assert_names(&open_error(dir.path(), unsealed()), &found[0]);
        fs::remove_file(&found[0]).unwrap();
        let error = open_error(dir.path(), unsealed());
        assert!(error.to_string().contains(found[0].file_name().unwrap().to_str().unwrap()), "{error}");
        fs::write(&found[0], good).unwrap();
    }
    assert_eq!(open(dir.path(), unsealed()).stats().events, 203);
}
