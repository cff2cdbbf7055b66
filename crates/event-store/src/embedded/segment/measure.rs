//! Sizes and speeds on rows like those of the benchmark. Run with
//! `cargo test --release -p tallystick-event-store --lib measure -- --ignored --nocapture`.

use super::*;
use crate::embedded::chunk::Chunk;
use crate::embedded::disk::HostDisk;
use crate::embedded::row::{Row, segment_order};
use crate::embedded::rows::Rows;
use tallystick_domain::event::{Event, EventParts, StoredEvent};
use tallystick_domain::meter::JsonPath;
use tempfile::TempDir;

/// Numbers without a pattern.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Rows of a stretch of 30 days: 5 types, 10,000 subjects by Zipf's law, 8 sources, four properties.
fn rows(from: u64, to: u64, of: u64) -> Vec<Row> {
    let weights: Vec<u64> = (1..=10_000u64)
        .scan(0, |sum, rank| {
            *sum += (1 << 40) / rank;
            Some(*sum)
        })
        .collect();
    let start = Instant::parse_rfc3339("2026-01-01T00:00:00Z").unwrap();
    let mut random = Random(from + 1);
    let row = |number: u64| {
        let subject = weights.partition_point(|sum| *sum <= random.next() % weights[9_999]) as u64;
        let millis = number * 2_592_000_000 / of + random.below(600_000);
        let id = u128::from(random.next()) << 64 | u128::from(random.next());
        let id = id & !(0xf000_c000 << 48) | 0x4000_8000 << 48;
        let hex = format!("{id:032x}");
        let tokens = random.below(2_000_000);
        let parts = EventParts {
            id: [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"),
            source: format!("service-{}", random.below(8)),
            event_type: format!("type-{}", random.below(5)),
            subject: format!("customer-{subject:05}"),
            time: start.saturating_add_micros(millis as i64 * 1000),
            data: Some(format!(
                r#"{{"model":"model-{}","region":"region-{}","user":"user-{:06}","tokens":{}.{:04}}}"#,
                random.below(8),
                random.below(6),
                subject * 10 + random.below(10),
                tokens / 10_000,
                tokens % 10_000
            )),
            extras: None,
        };
        let ingested_at = start.saturating_add_micros((2_592_000_000 + number / 500) as i64 * 1000);
        Row {
            namespace: Namespace::default_namespace(),
            stored: StoredEvent { event: Event::new(parts, 16).unwrap(), ingested_at },
        }
    };
    (from..to).map(row).collect()
}

/// Processor time of this thread, so that other work on the machine counts little.
struct Clock(u64);

impl Clock {
    fn now() -> Self {
        let mut times = [0; 64];
        HostDisk.open(Path::new("/proc/thread-self/schedstat")).unwrap().read_at(&mut times, 0).unwrap();
        Self(String::from_utf8_lossy(&times).split(' ').next().unwrap().parse().unwrap())
    }
}

/// Million rows per second.
fn rate(rows: u64, since: Clock) -> f64 {
    rows as f64 * 1e3 / (Clock::now().0 - since.0) as f64
}

#[test]
#[ignore = "measures"]
fn measure_segments() {
    let dir = TempDir::new().unwrap();
    let (total, parts) = (2_000_000u64, 4);
    let mut segments = Vec::new();
    for part in 0..parts {
        let mut rows = rows(total / parts * part, total / parts * (part + 1), total);
        rows.sort_unstable_by(segment_order);
        let path = dir.path().join(part.to_string());
        let clock = Clock::now();
        let meta = write_segment(&HostDisk, &path, rows.iter().cloned().map(Ok)).unwrap();
        println!(
            "seal: {:.2} M rows/s, {:.2} bytes per row",
            rate(meta.rows, clock),
            meta.bytes as f64 / meta.rows as f64
        );
        segments.push(Arc::new(Segment::open(&HostDisk, &path).unwrap()));
    }
    let path = dir.path().join("merged");
    let clock = Clock::now();
    let meta = merge_segments(&HostDisk, &path, &segments, None).unwrap();
    println!(
        "merge: {:.2} M rows/s, {:.2} bytes per row",
        rate(meta.rows, clock),
        meta.bytes as f64 / meta.rows as f64
    );
    let segment = Segment::open(&HostDisk, &path).unwrap();
    let mut sizes = SegmentSizes::default();
    segment.add_sizes(&mut sizes);
    println!("{sizes:?}");
    for round in 0..3 {
        let mut sum = 0i128;
        let (tokens, user) = (JsonPath::parse("$.tokens").unwrap(), JsonPath::parse("$.user").unwrap());
        let (mut column, mut times, mut subjects) = (Column::default(), Vec::new(), CodedTexts::default());
        let clock = Clock::now();
        each_block(&segment, |reader, block| {
            reader.column_into(block, &tokens, &mut column).unwrap();
            sum += column.values.iter().map(|value| i128::from(*value)).sum::<i128>();
        });
        let of_values = rate(meta.rows, clock);
        let clock = Clock::now();
        each_block(&segment, |reader, block| reader.times_into(block, &mut times).unwrap());
        let of_times = rate(meta.rows, clock);
        let clock = Clock::now();
        each_block(&segment, |reader, block| reader.subjects_into(block, &mut subjects).unwrap());
        let of_subjects = rate(meta.rows, clock);
        let clock = Clock::now();
        each_block(&segment, |reader, block| _ = reader.column_into(block, &user, &mut column).unwrap());
        let of_users = rate(meta.rows, clock);
        println!(
            "round {round}, M rows/s: tokens {of_values:.0} times {of_times:.0} subjects {of_subjects:.0} users {of_users:.0} ({sum})"
        );
    }
    let clock = Clock::now();
    println!("verify: {} rows, {:.2} M rows/s", segment.verify().unwrap(), rate(meta.rows, clock));
}

#[test]
#[ignore = "measures"]
fn measure_sealing() {
    let dir = TempDir::new().unwrap();
    let rows = rows(0, 1_000_000, 10_000_000);
    let chunks: Vec<_> = rows.chunks(4096).map(|part| Arc::new(Chunk::from(Rows::of(part)))).collect();
    drop(rows);
    for round in 0..3 {
        let clock = Clock::now();
        let gathered = Gathered::of(&chunks, &mut |_| true);
        let taken = rate(1_000_000, clock);
        let clock = Clock::now();
        let meta = gathered.write(&HostDisk, &dir.path().join("sealed")).unwrap();
        let written = rate(meta.rows, clock);
        println!("round {round}, M rows/s: taken apart {taken:.2}, written {written:.2}; {} bytes", meta.bytes);
    }
}

fn each_block(segment: &Segment, mut work: impl FnMut(&mut BlockReader<'_>, &Block)) {
    for table in &segment.tables {
        let mut reader = segment.reader(table);
        table.blocks.iter().for_each(|block| work(&mut reader, block));
    }
}
