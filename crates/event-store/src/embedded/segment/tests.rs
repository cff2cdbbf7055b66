use super::*;
use crate::embedded::disk::HostDisk;
use crate::embedded::row::Row;
use crate::embedded::sample::{plain_row, rows, sorted};
use proptest::prelude::*;
use std::sync::Arc;
use tallystick_domain::meter::JsonPath;
use tempfile::TempDir;

fn write(path: &Path, rows: &[Row]) -> Result<SegmentMeta, StoreError> {
    write_segment(&HostDisk, path, &mut rows.iter().cloned().map(Ok))
}

fn read(path: &Path) -> Result<Vec<Row>, StoreError> {
    rows_of(&Segment::open(&HostDisk, path)?)
}

fn rows_of(segment: &Segment) -> Result<Vec<Row>, StoreError> {
    segment.tables.iter().flat_map(|table| segment.table_rows(table)).collect()
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
    let mut sizes = SegmentSizes::default();
    segment.add_sizes(&mut sizes);
    let of_rows = sizes.times + sizes.ingested + sizes.subjects + sizes.sources + sizes.ids + sizes.data + sizes.shapes;
    let of_columns: u64 = sizes.columns.values().sum();
    assert_eq!(of_rows + of_columns + sizes.extras + sizes.dictionaries + sizes.directory, meta.bytes);
    assert_eq!(sizes.columns.keys().collect::<Vec<_>>(), ["model", "tokens"]);
    assert_eq!((sizes.data, sizes.extras), (0, 0), "columns make the data");
    assert_eq!(meta.rows, 5000);
    assert_eq!(meta.bytes, std::fs::metadata(&path).unwrap().len());
    assert_eq!(meta.first.to_string(), "2024-01-01T00:00:00Z");
    assert_eq!(meta.last.to_string(), "2024-01-04T11:19:00Z");
    assert_eq!(segment.verify().unwrap(), 5000);
    let table = segment.table(&Namespace::default_namespace(), "t").unwrap();
    assert_eq!(table.blocks.len(), 5);
    assert!(segment.table(&Namespace::default_namespace(), "s").is_none());
    assert!(segment.table(&Namespace::parse("other").unwrap(), "t").is_none());
    assert!(meta.bytes < 5000 * 26, "{} bytes per event", meta.bytes as f64 / 5000.0);
}

#[test]
fn blocks_of_a_table_share_their_texts_and_know_their_numbers() {
    let dir = TempDir::new().unwrap();
    let (path, merged) = (dir.path().join("a"), dir.path().join("b"));
    write(&path, &many(5000)).unwrap();
    let inputs = [Arc::new(Segment::open(&HostDisk, &path).unwrap())];
    merge_segments(&HostDisk, &merged, &inputs, None).unwrap();
    let (model, tokens) = (JsonPath::parse("$.model").unwrap(), JsonPath::parse("$.tokens").unwrap());
    for path in [path, merged] {
        let segment = Segment::open(&HostDisk, &path).unwrap();
        let table = &segment.tables[0];
        let mut reader = segment.reader(table);
        let (mut names, mut sum) = (std::collections::HashSet::new(), 0);
        for block in &table.blocks {
            let subjects = reader.subjects(block).unwrap();
            let models = reader.column(block, &model).unwrap().unwrap();
            assert_eq!(models.texts.iter().collect::<Vec<_>>(), ["m0", "m1", "m2"]);
            assert_eq!(models.kinds, Kinds::All(Kind::Text));
            assert_eq!(subjects.texts.len(), 17);
            names.extend([subjects.shared.unwrap(), models.shared.unwrap()]);
            let numbers = reader.numbers(block, &tokens).unwrap();
            assert_eq!(numbers.scale, 2);
            sum += numbers.sum;
            assert_eq!(reader.numbers(block, &model), None);
        }
        assert_eq!(names.len(), 2);
        assert_eq!(sum, (0..5000).map(|number| number * 100 + number % 100).sum::<i128>());
    }
}

#[test]
fn a_merge_leaves_out_what_is_not_kept() {
    let dir = TempDir::new().unwrap();
    let (path, merged) = (dir.path().join("a"), dir.path().join("b"));
    write(&path, &many(3000)).unwrap();
    let inputs = [Arc::new(Segment::open(&HostDisk, &path).unwrap())];
    let is_kept = |row: &Row| row.stored.event.subject() != "subject-03";
    assert_eq!(merge_segments(&HostDisk, &merged, &inputs, Some(&mut |row| is_kept(row))).unwrap().rows, 2823);
    assert_eq!(read(&merged).unwrap(), many(3000).into_iter().filter(is_kept).collect::<Vec<_>>());
}

#[test]
fn texts_that_hardly_repeat_are_not_shared() {
    let dir = TempDir::new().unwrap();
    let paths = [dir.path().join("a"), dir.path().join("b"), dir.path().join("c")];
    let row = |number: usize| {
        let data = format!(r#"{{"all":"x{number}","few":"y{}"}}"#, number % 30);
        plain_row(number, "s", Instant::MIN.saturating_add_micros(number as i64), &data)
    };
    let rows: Vec<Row> = (0..80).map(row).collect();
    write(&paths[0], &rows[..40]).unwrap();
    write(&paths[1], &rows[40..]).unwrap();
    let inputs = [&paths[0], &paths[1]].map(|path| Arc::new(Segment::open(&HostDisk, path).unwrap()));
    merge_segments(&HostDisk, &paths[2], &inputs, None).unwrap();
    let shared = |path: &Path| {
        let segment = Segment::open(&HostDisk, path).unwrap();
        let mut reader = segment.reader(&segment.tables[0]);
        ["$.all", "$.few"].map(|path| {
            let column = reader.column(&segment.tables[0].blocks[0], &JsonPath::parse(path).unwrap()).unwrap().unwrap();
            column.shared.is_some()
        })
    };
    assert_eq!(shared(&paths[0]), [false, false]);
    assert_eq!(shared(&paths[2]), [false, true], "together, they repeat");
    assert_eq!(read(&paths[2]).unwrap(), rows);
}

#[test]
fn segments_of_format_1_are_merged_into_the_current_format() {
    let dir = TempDir::new().unwrap();
    let (ours, merged) = (dir.path().join("a"), dir.path().join("b"));
    write(&ours, &many(100)).unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1/store/segments");
    let mut inputs = vec![Arc::new(Segment::open(&HostDisk, &ours).unwrap())];
    for name in ["0000000000000001.seg", "0000000000000002.seg"] {
        inputs.push(Arc::new(Segment::open(&HostDisk, &golden.join(name)).unwrap()));
    }
    let all: Vec<Row> = inputs.iter().flat_map(|input| rows_of(input).unwrap()).collect();
    assert_eq!((inputs[1].format, all.len()), (1, 164));
    merge_segments(&HostDisk, &merged, &inputs, None).unwrap();
    let segment = Segment::open(&HostDisk, &merged).unwrap();
    assert_eq!((segment.format, segment.verify().unwrap()), (VERSION, 164));
    assert_eq!(rows_of(&segment).unwrap(), sorted(all));
}

#[test]
fn numbers_of_all_sizes_keep_their_digits_through_merges() {
    let dir = TempDir::new().unwrap();
    let texts = ["9000000000000000000", "0.000000000000000001", "1", "2.50", "-0.00", "1e3", "123456789.123456789"];
    let rows: Vec<Row> = (0..2000usize)
        .map(|number| {
            let data = format!(r#"{{"v":{},"w":[{number}]}}"#, texts[number * 7919 % 101 % texts.len()]);
            plain_row(number, "s", Instant::MIN.saturating_add_micros(number as i64), &data)
        })
        .collect();
    let paths = [dir.path().join("a"), dir.path().join("b"), dir.path().join("c")];
    for (part, path) in paths[..2].iter().enumerate() {
        let half = rows.iter().enumerate().filter(|(at, _)| at % 2 == part).map(|(_, row)| row.clone());
        write(path, &half.collect::<Vec<_>>()).unwrap();
    }
    let inputs = [&paths[0], &paths[1]].map(|path| Arc::new(Segment::open(&HostDisk, path).unwrap()));
    merge_segments(&HostDisk, &paths[2], &inputs, None).unwrap();
    assert_eq!(read(&paths[2]).unwrap(), rows);
    assert_eq!(Segment::open(&HostDisk, &paths[2]).unwrap().verify().unwrap(), 2000);
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
    let wrongs: [(Spoil, &str); 7] = [
        (|table| table.shapes[0].members.clear(), "a property column does not fit"),
        (|table| table.shapes.clear(), "an unknown shape"),
        (|table| table.blocks[0].numbers[0].1.sum += 1, "numbers do not fit"),
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
    let merged = merge_segments(&HostDisk, &dir.path().join("b"), &[segment], None);
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
        let meta = merge_segments(&HostDisk, &path, &segments, None).unwrap();
        prop_assert_eq!(meta.rows, rows.len() as u64);
        prop_assert_eq!(read(&path).unwrap(), sorted(rows));
    }
}
