//! The runs on disk: exact, checked, and few.

use super::*;
use crate::embedded::disk::HostDisk;
use crate::embedded::identity::Secret;
use std::fs;

fn keys(range: std::ops::Range<u32>) -> IdentitySet {
    let secret = Secret::new([5; 16]);
    range.map(|n| secret.identity("ns", "s", &n.to_string())).collect()
}

fn run_of(path: &Path, set: &IdentitySet) -> Arc<Run> {
    assert_eq!(write_run(&HostDisk, path, set).unwrap(), set.len() as u64);
    Arc::new(Run::open(&HostDisk, path).unwrap())
}

#[test]
fn a_run_holds_its_keys_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    for count in [1, 2, 255, 256, 257, 512, 5000, 40_000] {
        let path = dir.path().join(format!("{count}.run"));
        let run = run_of(&path, &keys(0..count));
        assert_eq!((run.keys(), run.verify().unwrap()), (u64::from(count), u64::from(count)));
        assert!(keys(0..count).iter().all(|key| run.contains(*key).unwrap()));
        assert!(!keys(count..count + 5000).iter().any(|key| run.contains(*key).unwrap()));
        assert!(!run.contains(0).unwrap() && !run.contains(u128::MAX >> 32).unwrap());
    }
}

#[test]
fn a_run_that_a_merge_removed_can_still_be_verified() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("1.run");
    let run = run_of(&path, &keys(0..1000));
    fs::remove_file(&path).unwrap();
    assert_eq!(run.verify().unwrap(), 1000);
}

#[test]
fn merging_keeps_every_key_once() {
    let dir = tempfile::tempdir().unwrap();
    let parts = [keys(0..700), keys(700..701), keys(600..3000), keys(3000..3300)];
    let runs: Vec<_> =
        parts.iter().enumerate().map(|(n, set)| run_of(&dir.path().join(format!("{n}.run")), set)).collect();
    let merged_path = dir.path().join("merged.run");
    assert_eq!(merge_runs(&HostDisk, &merged_path, &runs).unwrap(), 3300);
    let merged = Run::open(&HostDisk, &merged_path).unwrap();
    let mut all: Vec<_> = keys(0..3300).into_iter().collect();
    all.sort_unstable();
    assert_eq!(merged.iter().map(Result::unwrap).collect::<Vec<_>>(), all);
    assert_eq!(merged.verify().unwrap(), 3300);
}

#[test]
fn any_flipped_bit_is_found_and_the_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0.run");
    run_of(&path, &keys(0..600));
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut broken = good.clone();
        broken[at] ^= 1 << (at % 8);
        fs::write(&path, &broken).unwrap();
        let error = Run::open(&HostDisk, &path).and_then(|run| run.verify()).expect_err("a flipped bit must be found");
        assert!(error.to_string().contains("0.run"), "byte {at}: {error}");
    }
    for len in [0, 10, 4096, good.len() - 1] {
        fs::write(&path, &good[..len]).unwrap();
        assert!(matches!(Run::open(&HostDisk, &path), Err(StoreError::Damaged { .. })), "{len} bytes");
    }
}

#[test]
fn runs_stay_few_and_keys_are_rewritten_rarely() {
    let (mut sizes, mut rewritten): (Vec<u64>, u64) = (Vec::new(), 0);
    for _ in 0..2000 {
        sizes.push(100);
        loop {
            let mut chosen = runs_to_merge(&sizes, 8);
            if chosen.is_empty() {
                break;
            }
            chosen.sort_unstable();
            let merged: u64 = chosen.iter().rev().map(|place| sizes.remove(*place)).sum();
            sizes.push(merged);
            rewritten += merged;
        }
        assert!(sizes.len() <= 8);
    }
    assert_eq!(sizes.iter().sum::<u64>(), 200_000);
    assert!(rewritten < 200_000 * 8, "{rewritten}");
}

#[test]
fn an_index_that_does_not_lead_to_the_blocks_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0.run");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1/store/dedupe/0000000000000001.run");
    let mut bytes = fs::read(golden).unwrap();
    // In format 1 the index repeats the first identity of a block. Here it is another one, under a good checksum.
    bytes[4096 + 15] ^= 1;
    let footer_at = bytes.len() - 48;
    let index = crc32c::crc32c(&bytes[4096..4096 + 16]);
    bytes[footer_at + 32..footer_at + 36].copy_from_slice(&index.to_le_bytes());
    let footer = crc32c::crc32c(&bytes[footer_at..footer_at + 44]);
    bytes[footer_at + 44..].copy_from_slice(&footer.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let error = Run::open(&HostDisk, &path).and_then(|run| run.verify()).unwrap_err();
    assert!(error.to_string().contains("the index does not lead to the block"), "{error}");
}

#[test]
fn a_run_of_format_1_is_read_and_merged() {
    let dir = tempfile::tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1/store/dedupe");
    let old = Arc::new(Run::open(&HostDisk, &golden.join("0000000000000001.run")).unwrap());
    let stored: Vec<u128> = old.iter().map(Result::unwrap).collect();
    assert_eq!((old.verify().unwrap(), stored.len()), (40, 40));
    assert!(stored.iter().all(|key| old.contains(*key).unwrap() && key >> 96 == 0));
    assert!(!keys(0..1000).iter().any(|key| old.contains(*key).unwrap()));
    let ours = run_of(&dir.path().join("0.run"), &keys(0..1000));
    let path = dir.path().join("merged.run");
    assert_eq!(merge_runs(&HostDisk, &path, &[old, ours]).unwrap(), 1040);
    let merged = Run::open(&HostDisk, &path).unwrap();
    assert!(stored.iter().chain(&keys(0..1000)).all(|key| merged.contains(*key).unwrap()));
}

#[test]
fn an_identity_takes_few_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0.run");
    let run = run_of(&path, &keys(0..100_000));
    let bytes = fs::metadata(&path).unwrap().len();
    // A hundred times as many keys are closer to each other, and need seven bits less, and as many less for the filter.
    assert!(bytes < 100_000 * 101 / 8, "{bytes}");
    assert!(run.memory() < 100_000 * 15 / 8 + 100, "{}", run.memory());
}
