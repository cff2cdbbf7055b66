use super::*;

/// What a target says of an input.
fn told(target: &str, bytes: &[u8]) -> Option<u64> {
    match target {
        "segment" => segment(bytes),
        "run" => run(bytes),
        "manifest" => manifest(bytes),
        "wal_frame" => wal_frame(bytes),
        "facts" => facts(bytes),
        other => panic!("{other} is no target of the store"),
    }
}

#[test]
fn every_seed_is_read_to_its_end() {
    let told: Vec<_> = seeds().into_iter().map(|(target, name, bytes)| (target, name, told(target, &bytes))).collect();
    let of = |wanted: &str| -> Vec<u64> {
        told.iter().filter(|(target, ..)| *target == wanted).map(|(_, name, told)| told.expect(name)).collect()
    };
    assert_eq!(of("segment"), [0, 1, 30, 90]);
    assert_eq!(of("run"), [1, 12, 256]);
    assert_eq!(of("manifest"), [0, 2, 3]);
    assert_eq!(of("wal_frame"), [2, 0, 1, 14, 2]);
    assert_eq!(of("facts"), [0, 4, 36, 36]);
}

#[test]
fn a_changed_seed_is_refused_and_breaks_no_promise() {
    // What a frame or a fact says may be changed into something else that is sound; what stands in a file may not.
    let is_file = |target: &str, name: &str| target != "wal_frame" && (target != "facts" || name.starts_with("file-"));
    for (target, name, bytes) in seeds().into_iter().filter(|(target, name, _)| is_file(target, name)) {
        for at in (0..bytes.len()).step_by(bytes.len() / 60 + 1) {
            let mut broken = bytes.clone();
            broken[at] ^= 1 << (at % 8);
            assert_eq!(told(target, &broken), None, "byte {at} of {name}");
            assert_eq!(told(target, &bytes[..at]), None, "{at} bytes of {name}");
        }
    }
}

#[test]
fn each_flaw_of_a_frame_is_noticed() {
    let is_wanted = |target: &str, name: &str| target == "wal_frame" && name.starts_with("some-");
    let (_, _, good) = seeds().into_iter().find(|(target, name, _)| is_wanted(target, name)).unwrap();
    let with = |at: usize, flaws: u8| {
        let mut bytes = good.clone();
        bytes[at] |= flaws;
        wal_frame(&bytes)
    };
    assert_eq!(with(3, 0), Some(14));
    // Of the first frame anything is damage, since others follow.
    for flaw in [4, 8, 16, 32] {
        assert_eq!(with(3, flaw), None, "{flaw}");
    }
}
