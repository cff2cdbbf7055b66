use super::*;
use crate::embedded::disk::HostDisk;
use crate::embedded::row::Row;
use crate::embedded::sample::{plain_row, rows, sorted};
use proptest::prelude::*;
use std::sync::Arc;
use tempfile::TempDir;

fn write(path: &Path, rows: &[Row]) -> Result<SegmentMeta, StoreError> {
    write_segment(&HostDisk, path, &mut rows.iter().cloned().map(Ok))
}

fn read(path: &Path) -> Result<Vec<Row>, StoreError> {
    Arc::new(Segment::open(&HostDisk, path)?).rows().collect()
}

/// A row for each minute, over several subjects.
fn many(count: usize) -> Vec<Row> {
    let start = Instant::parse_rfc3339("2024-01-01T00:00:00Z").unwrap();
    let row = |number: usize| {
        let subject = format!("subject-{:02}", number % 17);
        let data = format!(r#"{{"tokens":{}.{:02},"model":"m{}"}}"#, number, number % 100, number % 3);
        plain_row(number, &subject, start.saturating_add_micros(number as i64 * 60_000_000), &data)
    };
    sorted((0..count).map(row).collect())
}

#[test]
fn several_blocks_round_trip_and_are_described() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a");
    let rows = many(5000);
    let meta = write(&path, &rows).unwrap();
    assert_eq!(read(&path).unwrap(), rows);
    let segment = Segment::open(&HostDisk, &path).unwrap();
    assert_eq!(segment.meta(), &meta);
    assert_eq!(meta.rows, 5000);
    assert_eq!(meta.bytes, std::fs::metadata(&path).unwrap().len());
    assert_eq!(meta.first.to_string(), "2024-01-01T00:00:00Z");
    assert_eq!(meta.last.to_string(), "2024-01-04T11:19:00Z");
    assert_eq!(segment.verify().unwrap(), 5000);
    let table = segment.table(&Namespace::default_namespace(), "t").unwrap();
    assert_eq!(table.blocks.len(), 5);
    assert!(segment.table(&Namespace::default_namespace(), "s").is_none());
    assert!(segment.table(&Namespace::parse("other").unwrap(), "t").is_none());
    assert!(meta.bytes < 5000 * 45, "{} bytes per event", meta.bytes as f64 / 5000.0);
}

#[test]
fn large_events_make_small_blocks() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a");
    let text = format!(r#"{{"text":"{}"}}"#, "x".repeat(1 << 20));
    let rows: Vec<Row> = (0..9).map(|number| plain_row(number, "a", Instant::MIN, &text)).collect();
    write(&path, &rows).unwrap();
    let segment = Segment::open(&HostDisk, &path).unwrap();
    assert_eq!(segment.tables[0].blocks.iter().map(|block| block.rows).collect::<Vec<_>>(), [4, 4, 1]);
    assert_eq!(read(&path).unwrap(), rows);
}

#[test]
fn an_empty_segment_is_a_segment() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a");
    assert_eq!(write(&path, &[]).unwrap().rows, 0);
    assert_eq!(read(&path).unwrap(), []);
}

#[test]
fn rows_out_of_order_or_twice_are_refused() {
    let dir = TempDir::new().unwrap();
    let rows = many(3);
    for wrong in [vec![rows[1].clone(), rows[0].clone()], vec![rows[0].clone(), rows[0].clone()]] {
        let error = write(&dir.path().join("a"), &wrong).unwrap_err();
        assert!(error.to_string().contains("not in segment order"), "{error}");
    }
}

#[test]
fn a_fault_of_the_input_is_passed_on() {
    let dir = TempDir::new().unwrap();
    let fault = StoreError::Stopped { reason: "test".into() };
    let mut rows = many(1).into_iter().map(Ok).chain([Err(fault)]);
    assert!(matches!(write_segment(&HostDisk, &dir.path().join("a"), &mut rows), Err(StoreError::Stopped { .. })));
}

#[test]
fn every_flipped_bit_is_noticed() {
    let dir = TempDir::new().unwrap();
    let (good, bad) = (dir.path().join("good"), dir.path().join("bad"));
    let rows = many(40);
    write(&good, &rows).unwrap();
    let bytes = std::fs::read(&good).unwrap();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&bad, &flipped).unwrap();
        let outcome = Segment::open(&HostDisk, &bad).and_then(|segment| segment.verify());
        let error = outcome.expect_err("a flipped bit went unnoticed");
        let newer = matches!(error, StoreError::Newer { .. }) && (8..12).contains(&at);
        assert!(newer || matches!(error, StoreError::Damaged { .. }), "byte {at}: {error}");
    }
}

#[test]
fn a_shortened_or_longer_file_is_noticed_when_it_is_opened() {
    let dir = TempDir::new().unwrap();
    let (good, bad) = (dir.path().join("good"), dir.path().join("bad"));
    write(&good, &many(40)).unwrap();
    let bytes = std::fs::read(&good).unwrap();
    for len in 0..bytes.len() {
        std::fs::write(&bad, &bytes[..len]).unwrap();
        assert!(matches!(Segment::open(&HostDisk, &bad), Err(StoreError::Damaged { .. })), "{len} bytes");
    }
    std::fs::write(&bad, [&bytes[..], b"x"].concat()).unwrap();
    assert!(matches!(Segment::open(&HostDisk, &bad), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_directory_that_does_not_describe_the_rows_is_noticed() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a");
    write(&path, &many(40)).unwrap();
    type Spoil = fn(&mut Table);
    let wrongs: [(Spoil, &str); 5] = [
        (|table| table.paths.swap(0, 1), "a property column does not fit"),
        (|table| table.blocks[0].times.last = Instant::MAX, "times do not fit"),
        (|table| table.blocks[0].ingested.first = Instant::MIN, "times do not fit"),
        (|table| table.blocks[0].first_subject = "a".into(), "subjects do not fit"),
        (|table| table.blocks[0].last_subject = "z".into(), "subjects do not fit"),
    ];
    for (spoil, message) in wrongs {
        let mut segment = Segment::open(&HostDisk, &path).unwrap();
        spoil(&mut segment.tables[0]);
        let error = segment.verify().unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_later_format_is_named() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a");
    write(&path, &many(1)).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = 9;
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(Segment::open(&HostDisk, &path), Err(StoreError::Newer { found: 9, known: VERSION, .. })));
}

#[test]
fn a_damaged_input_ends_a_merge() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a");
    write(&path, &many(3000)).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let segment = Arc::new(Segment::open(&HostDisk, &path).unwrap());
    let merged = merge_segments(&HostDisk, &dir.path().join("b"), &[segment], &mut |_| true);
    assert!(matches!(merged, Err(StoreError::Damaged { .. })), "{merged:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_rows_round_trip(rows in rows(200)) {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("a");
        let rows = sorted(rows);
        let meta = write(&path, &rows).unwrap();
        prop_assert_eq!(meta.first, rows.iter().map(|row| row.stored.event.time()).min().unwrap_or(Instant::MAX));
        prop_assert_eq!(Segment::open(&HostDisk, &path).unwrap().verify().unwrap(), rows.len() as u64);
        prop_assert_eq!(read(&path).unwrap(), rows);
    }

    #[test]
    fn a_merge_is_the_union(rows in rows(200), places in prop::collection::vec(0usize..4, 200)) {
        let dir = TempDir::new().unwrap();
        let mut parts = vec![Vec::new(); 4];
        for (row, place) in rows.iter().zip(places) {
            parts[place].push(row.clone());
        }
        let mut segments = Vec::new();
        for (number, part) in parts.into_iter().enumerate() {
            let path = dir.path().join(number.to_string());
            write(&path, &sorted(part)).unwrap();
            segments.push(Arc::new(Segment::open(&HostDisk, &path).unwrap()));
        }
        let path = dir.path().join("merged");
        let meta = merge_segments(&HostDisk, &path, &segments, &mut |_| true).unwrap();
        prop_assert_eq!(meta.rows, rows.len() as u64);
        prop_assert_eq!(read(&path).unwrap(), sorted(rows));
    }
}
