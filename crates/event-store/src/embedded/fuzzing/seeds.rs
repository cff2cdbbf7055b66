//! Sound inputs to begin with, in the formats that this version writes.

use super::MemoryDisk;
use super::facts::written;
use crate::embedded::dedupe::{IdentitySet, Run, write_run};
use crate::embedded::disk::Disk;
use crate::embedded::facts::ledger::{LedgerKey, Tally, hour_of};
use crate::embedded::facts::{CorrectionRecord, Fact, codec};
use crate::embedded::files::Layout;
use crate::embedded::identity::Secret;
use crate::embedded::manifest::{FactsEntry, Manifest, RunEntry, SegmentEntry};
use crate::embedded::row::{Row, RowView, segment_order};
use crate::embedded::rows::Rows;
use crate::embedded::segment::write_segment;
use crate::embedded::wal::fuzzing::input;
use std::path::Path;
use std::sync::Arc;
use tallystick_domain::event::{Event, EventParts, StoredEvent};
use tallystick_domain::{Instant, Namespace};

/// Data texts of every kind of value, of other notations, of a nested object, and none.
const DATA: [Option<&str>; 10] = [
    Some(r#"{"model":"small","tokens":12.5000,"user":"u-1"}"#),
    Some(r#"{"model":"large","tokens":0.0001,"user":"u-2"}"#),
    Some(r#"{"tokens":"3.5","model":"small"}"#),
    Some(r#"{ "tokens" : 1e2 , "model" : "x" }"#),
    Some(r#"{"tokens":"many","model":null,"deep":{"a":{"b":1.25}},"list":[1,{"c":2}]}"#),
    Some(r#"{"tokens":123456789012345678901234567890123456789,"model":false}"#),
    Some(r#"{"model":"\u0078\n","tokens":-0,"deep":7}"#),
    Some("{}"),
    None,
    Some(r#"{"tokens":9223372036854775807,"model":true}"#),
];

/// For each target inputs with their names: (target, name, bytes).
pub fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (name, rows) in [("empty", odd_rows(0)), ("one", odd_rows(1)), ("odd", odd_rows(30)), ("plain", plain_rows(90))]
    {
        seeds.push(("segment", name, segment_of(&rows)));
    }
    for (name, count) in [("one", 1), ("some", 12), ("blocks", 256)] {
        seeds.push(("run", name, run_of(count)));
    }
    seeds.push(("manifest", "empty", manifest_of(&[], 0, None)));
    seeds.push(("manifest", "files", manifest_of(&odd_rows(3), 4, None)));
    seeds.push(("manifest", "facts", manifest_of(&odd_rows(3), 4, Some(FactsEntry { number: 2, bytes: 431 }))));
    let frames = |counts: &[usize]| {
        let frames: Vec<_> = counts.iter().map(|count| (rows_of(&odd_rows(*count)), Vec::new())).collect();
        input(&frames)
    };
    seeds.push(("wal_frame", "facts", input(&[(rows_of(&odd_rows(2)), Vec::new()), (Rows::default(), some_facts(4))])));
    for (name, count) in [("none", 0), ("one", 1), ("some", 9)] {
        seeds.push(("facts", name, [&[0], &encoded(&some_facts(count))[..]].concat()));
    }
    seeds.push(("facts", "file", [&[1], &written(3, &encoded(&some_facts(9)))[..]].concat()));
    for (name, counts) in [("empty", &[][..]), ("one", &[1]), ("some", &[10, 1, 3]), ("nothing-in-it", &[0, 2])] {
        seeds.push(("wal_frame", name, frames(counts)));
    }
    // A file of a later format has another sum, and so a place of its own beside those of earlier ones.
    let sum = |bytes: &[u8]| Secret::new([0; 16]).tag(bytes) as u32;
    seeds.into_iter().map(|(target, name, bytes)| (target, format!("{name}-{:08x}", sum(&bytes)), bytes)).collect()
}

/// Facts of all kinds, four for each of some rows.
fn some_facts(rows: usize) -> Vec<Fact> {
    let of_row = |(number, Row { namespace, stored }): (usize, Row)| {
        let (known_at, before) = (stored.ingested_at, stored.event.time());
        let event_type: Box<str> = stored.event.event_type().into();
        let source: Box<str> = stored.event.source().into();
        let record = CorrectionRecord {
            namespace: namespace.clone(),
            is_retraction: number % 2 == 0,
            reason: format!("number {number}"),
            actor: "someone".into(),
            known_at,
            event: stored,
        };
        let key = LedgerKey { namespace: namespace.clone(), hour: hour_of(known_at), event_type, source };
        let event_type = record.event.event.event_type().into();
        [
            Fact::Correction(record.into()),
            Fact::CutOff { namespace, event_type, before },
            Fact::Tally { key, tally: Tally { new: 1 << number, duplicates: number as u64, expired: 0 } },
            Fact::Dropped { rows: 1, identities: u128::MAX - number as u128 },
        ]
    };
    odd_rows(rows).into_iter().enumerate().flat_map(of_row).collect()
}

fn encoded(facts: &[Fact]) -> Vec<u8> {
    let mut bytes = Vec::new();
    facts.iter().for_each(|fact| codec::encode(fact, &mut bytes));
    bytes
}

/// A regular row; each number gives another one.
pub(crate) fn plain_row(number: usize) -> Row {
    let data = format!(r#"{{"model":"m{}","tokens":{}.{:02}}}"#, number % 3, number, number * 7 % 100);
    let id = format!("{number:08x}-0000-4000-8000-000000000000");
    row("default", "prompt", [&id, "api", &format!("subject-{}", number % 5)], number, Some(&data))
}

fn plain_rows(count: usize) -> Vec<Row> {
    in_order((0..count).map(plain_row))
}

fn odd_rows(count: usize) -> Vec<Row> {
    in_order((0..count).map(|number| {
        let id =
            if number % 3 == 0 { format!("id-{number}") } else { format!("{number:08X}-0000-4000-8000-00000000ABCD") };
        let (source, event_type) = (["api", "ü"][number % 2], ["prompt", "storage"][usize::from(number % 7 == 0)]);
        let namespace = ["default", "tenant-1"][usize::from(number % 4 == 3)];
        let subject = format!("customer-{}", number % 4);
        row(namespace, event_type, [&id, source, &subject], number * number, DATA[number % DATA.len()])
    }))
}

fn row(namespace: &str, event_type: &str, [id, source, subject]: [&str; 3], minute: usize, data: Option<&str>) -> Row {
    let time = Instant::parse_rfc3339("2024-01-01T00:00:00Z").expect("a moment");
    let time = time.saturating_add_micros(minute as i64 * 60_000_000);
    let parts = EventParts {
        id: id.to_owned(),
        source: source.to_owned(),
        event_type: event_type.to_owned(),
        subject: subject.to_owned(),
        time,
        data: data.map(str::to_owned),
        extras: (minute % 5 == 4).then(|| format!(r#"{{"traceparent":"00-{minute}"}}"#)),
    };
    let stored = StoredEvent { event: Event::from_store(parts), ingested_at: time.saturating_add_micros(1_234_567) };
    Row { namespace: Namespace::parse(namespace).expect("a namespace"), stored }
}

fn in_order(rows: impl Iterator<Item = Row>) -> Vec<Row> {
    let mut rows: Vec<Row> = rows.collect();
    rows.sort_by(segment_order);
    rows
}

fn rows_of(rows: &[Row]) -> Rows {
    let mut all = Rows::default();
    rows.iter().for_each(|row| all.push(row.view()));
    all
}

fn segment_of(rows: &[Row]) -> Vec<u8> {
    let (disk, path) = (MemoryDisk::default(), Path::new("1.seg"));
    write_segment(&disk, path, &mut rows.iter().cloned().map(Ok)).expect("rows can be written");
    disk.read(path).expect("the file is there")
}

fn run_of(count: usize) -> Vec<u8> {
    let (disk, path) = (MemoryDisk::default(), Path::new("1.run"));
    write_run(&disk, path, &identities(count)).expect("identities can be written");
    disk.read(path).expect("the file is there")
}

fn identities(count: usize) -> IdentitySet {
    (0..count).map(|number| Secret::new([1; 16]).identity("default", "api", &number.to_string())).collect()
}

fn manifest_of(rows: &[Row], keys: usize, facts: Option<FactsEntry>) -> Vec<u8> {
    let disk = Arc::new(MemoryDisk::default());
    let layout = Layout::new(disk.clone(), Path::new("events"));
    let mut manifest = Manifest::empty(Secret::new([0xab; 16]));
    if !rows.is_empty() {
        let meta = write_segment(&*disk, &layout.segment(1), &mut rows.iter().cloned().map(Ok)).expect("rows");
        write_run(&*disk, &layout.run(2), &identities(keys)).expect("identities");
        let run = Run::open(&*disk, &layout.run(2)).expect("a run");
        manifest.segments.push(SegmentEntry { number: 1, meta });
        manifest.runs.push(RunEntry::of(2, &run));
        (manifest.low, manifest.durable, manifest.next_file) = (4, 9, 3);
    }
    manifest.facts = facts;
    manifest.write(&layout).expect("a MANIFEST can be written");
    disk.read(&layout.manifest()).expect("the file is there")
}
