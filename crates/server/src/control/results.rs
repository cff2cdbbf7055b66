//! What the operator's commands print with `--json`. Fields are only ever added.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use tallystick_engine::{Checked, Retention, SegmentSizes, StoreContent, StoreStats};

/// What `tallystick verify` found.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct VerifyResult {
    /// Whether all is well.
    pub ok: bool,
    /// Files of events that were read.
    pub segments: u64,
    /// Events in them.
    pub segment_events: u64,
    /// Files of identities that were read.
    pub runs: u64,
    /// Identities in them; as many as events in the segments.
    pub identities: u64,
    /// Events that are only in the log.
    pub log_events: u64,
    /// Frames of the log that hold them.
    pub log_frames: u64,
    /// Events in memory, which were compared with those of the log; 0 without a running server.
    #[serde(default)]
    pub memory_events: u64,
    /// Bytes of segments and runs.
    pub bytes: u64,
    /// The kind of the state store; absent when there is none.
    pub state: Option<String>,
    /// Each file that is not as it was written.
    pub damaged: Vec<DamagedFile>,
}

/// A file that is not as it was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DamagedFile {
    /// Its path.
    pub file: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

impl VerifyResult {
    /// What was found, the state store's faults with the name `state` stands for.
    pub fn of(checked: Checked, state_name: &str) -> Self {
        let events = checked.events;
        let damages = events.damages.into_iter();
        let mut damaged: Vec<_> = damages.map(|damage| DamagedFile { file: damage.path, what: damage.what }).collect();
        let faults = checked.state.iter().flat_map(|state| &state.faults);
        damaged.extend(faults.map(|fault| DamagedFile { file: state_name.into(), what: fault.clone() }));
        Self {
            ok: damaged.is_empty(),
            segments: events.segments,
            segment_events: events.segment_rows,
            runs: events.runs,
            identities: events.identities,
            log_events: events.log_rows,
            log_frames: events.log_frames,
            memory_events: events.memory_rows,
            bytes: events.bytes,
            state: checked.state.map(|state| state.backend.to_owned()),
            damaged,
        }
    }
}

impl VerifyResult {
    /// Names further files.
    pub fn add_damaged(&mut self, files: impl IntoIterator<Item = (PathBuf, String)>) {
        self.damaged.extend(files.into_iter().map(|(file, what)| DamagedFile { file, what }));
        self.ok = self.damaged.is_empty();
    }
}

/// What `tallystick backup` made.
#[derive(Debug, Serialize, Deserialize)]
pub struct BackupResult {
    /// Where it is.
    pub dir: PathBuf,
    /// Events in it.
    pub events: u64,
    /// Its files.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// `sqlite` if the state is in it, `postgres` if it has to be saved with that database's tools.
    pub state: String,
}

/// What `tallystick restore` made.
#[derive(Debug, Serialize, Deserialize)]
pub struct RestoreResult {
    /// The new data directory.
    pub data_dir: PathBuf,
    /// Events in it.
    pub events: u64,
    /// Files that were copied.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// `sqlite` if the state was in the backup, `postgres` if it has to be restored with that database's tools.
    pub state: String,
}

/// What `tallystick retention` tells.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct RetentionResult {
    /// Whether what goes is gone.
    pub applied: bool,
    /// What each rule means now.
    pub rules: Vec<RetentionLine>,
}

/// A rule of retention and what goes with it.
#[derive(Debug, Serialize, Deserialize)]
pub struct RetentionLine {
    /// Whose events.
    pub namespace: String,
    /// Which type of events.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Events before this do not count any more already, if there was a cut-off.
    pub cut_off: Option<String>,
    /// Events before this go.
    pub next_cut_off: String,
    /// How many these are.
    pub events: u64,
    /// About how many bytes they take.
    pub about_bytes: u64,
    /// Time of the oldest of them.
    pub oldest: Option<String>,
    /// Time of the newest of them.
    pub newest: Option<String>,
}

impl RetentionResult {
    /// Puts what the engine found into words.
    pub fn of(reviewed: &[Retention], applied: bool) -> Self {
        let line = |Retention { rule, cut_off, next_cut_off, expirable }: &Retention| RetentionLine {
            namespace: rule.namespace.to_string(),
            event_type: rule.event_type.clone(),
            cut_off: cut_off.map(|at| at.to_string()),
            next_cut_off: next_cut_off.to_string(),
            events: expirable.events,
            about_bytes: expirable.bytes,
            oldest: expirable.oldest.map(|at| at.to_string()),
            newest: expirable.newest.map(|at| at.to_string()),
        };
        Self { applied, rules: reviewed.iter().map(line).collect() }
    }
}

/// What `tallystick stats` tells. Ratios are in thousandths, so that no number is a float.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct StatsResult {
    /// Events in the store.
    pub events: u64,
    /// Sealed files of events.
    pub segments: FileGroup,
    /// Files of identities.
    pub runs: FileGroup,
    /// Files of the write-ahead log.
    pub log: FileGroup,
    /// Events in memory and in the log only, and the memory that they take.
    pub memory: FileGroup,
    /// Bytes on disk per sealed event in thousandths, ids included.
    pub bytes_per_event_milli: u64,
    /// The same with the files of identities.
    pub bytes_per_event_with_index_milli: u64,
    /// Plain texts ÷ what they take in segments, in thousandths, from a sample; 0 without sealed events.
    pub compression_milli: u64,
    /// Events in that sample.
    pub sample_events: u64,
    /// What the bytes of the segments are spent on, the largest part first. Together they are the files.
    #[serde(default)]
    pub parts: Vec<PartLine>,
    /// Segments that wait to be merged.
    pub debt_segments: u64,
    /// Their size.
    pub debt_bytes: u64,
    /// The kind of the state store.
    pub state: String,
    /// Each sealed file of events.
    pub segment_files: Vec<SegmentLine>,
    /// Events by namespace and type.
    pub types: Vec<TypeLine>,
}

/// A part of all segments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartLine {
    /// What it holds: `times`, `ids` and so on, or `data.` and the path of a property that has a column.
    pub part: String,
    /// What it takes.
    pub bytes: u64,
    /// The same per sealed event, in thousandths.
    pub bytes_per_event_milli: u64,
}

/// Some files, or what is in memory.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
pub struct FileGroup {
    /// How many files; 0 for memory.
    pub files: u64,
    /// Events or identities in them; 0 where that is not known.
    pub items: u64,
    /// Their size.
    pub bytes: u64,
}

/// A sealed file of events.
#[derive(Debug, Serialize, Deserialize)]
pub struct SegmentLine {
    /// Its name in `events/segments`.
    pub file: String,
    /// Events in it.
    pub events: u64,
    /// Its size.
    pub bytes: u64,
    /// Time of the earliest event, RFC 3339.
    pub first: String,
    /// Time of the latest event.
    pub last: String,
}

/// The events of one type.
#[derive(Debug, Serialize, Deserialize)]
pub struct TypeLine {
    /// Whose they are.
    pub namespace: String,
    /// Their type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// How many.
    pub events: u64,
    /// Time of the earliest, RFC 3339.
    pub first: String,
    /// Time of the latest.
    pub last: String,
}

impl StatsResult {
    /// The numbers of a store, and what it holds.
    pub fn of(stats: &StoreStats, content: StoreContent, sizes: &SegmentSizes, state: &str) -> Self {
        let segment_files = content.segments.iter().map(|segment| SegmentLine {
            file: format!("{:016x}.seg", segment.number),
            events: segment.rows,
            bytes: segment.bytes,
            first: segment.first.to_string(),
            last: segment.last.to_string(),
        });
        let types = content.types.into_iter().map(|of| TypeLine {
            namespace: of.namespace,
            event_type: of.event_type,
            events: of.events,
            first: of.first.to_string(),
            last: of.last.to_string(),
        });
        let both = stats.segment_bytes + stats.run_bytes;
        let identities = content.runs.iter().map(|run| run.identities).sum();
        Self {
            events: stats.events,
            segments: FileGroup { files: stats.segments, items: stats.segment_rows, bytes: stats.segment_bytes },
            runs: FileGroup { files: stats.runs, items: identities, bytes: stats.run_bytes },
            log: FileGroup { files: stats.wal_files, items: 0, bytes: stats.wal_bytes },
            memory: FileGroup { files: 0, items: stats.memtable_rows, bytes: stats.memtable_bytes },
            bytes_per_event_milli: milli(stats.segment_bytes, stats.segment_rows),
            bytes_per_event_with_index_milli: milli(both, stats.segment_rows),
            compression_milli: milli(content.sample.raw_bytes, content.sample.stored_bytes),
            sample_events: content.sample.events,
            parts: parts(sizes, stats.segment_rows),
            debt_segments: stats.debt_segments,
            debt_bytes: stats.debt_bytes,
            state: state.to_owned(),
            segment_files: segment_files.collect(),
            types: types.collect(),
        }
    }
}

/// All parts that take something, the largest first.
fn parts(sizes: &SegmentSizes, events: u64) -> Vec<PartLine> {
    let SegmentSizes {
        times,
        ingested,
        subjects,
        sources,
        ids,
        data,
        extras,
        shapes,
        columns,
        dictionaries,
        directory,
    } = sizes;
    let fixed = [
        ("times", times),
        ("acceptance", ingested),
        ("subjects", subjects),
        ("sources", sources),
        ("ids", ids),
        ("data", data),
        ("extras", extras),
        ("shapes", shapes),
        ("shared texts", dictionaries),
        ("directory", directory),
    ];
    let fixed = fixed.into_iter().map(|(part, bytes)| (part.to_owned(), *bytes));
    let columns = columns.iter().map(|(path, bytes)| (format!("data.{path}"), *bytes));
    let line = |(part, bytes)| PartLine { part, bytes, bytes_per_event_milli: milli(bytes, events) };
    let mut parts: Vec<_> = fixed.chain(columns).filter(|(_, bytes)| *bytes > 0).map(line).collect();
    parts.sort_by(|left, right| right.bytes.cmp(&left.bytes).then_with(|| left.part.cmp(&right.part)));
    parts
}

/// A ratio in thousandths, rounded; 0 of nothing.
fn milli(part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return 0;
    }
    let rounded = (u128::from(part) * 1000 + u128::from(whole) / 2) / u128::from(whole);
    u64::try_from(rounded).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_sorted_by_size_and_together_they_are_the_files() {
        let columns = [("tokens".to_owned(), 30), ("deep.a".to_owned(), 20), ("none".to_owned(), 0)];
        let sizes = SegmentSizes { ids: 25, directory: 25, columns: columns.into(), ..SegmentSizes::default() };
        let parts = parts(&sizes, 10);
        let names: Vec<_> = parts.iter().map(|line| (line.part.as_str(), line.bytes)).collect();
        assert_eq!(names, [("data.tokens", 30), ("directory", 25), ("ids", 25), ("data.deep.a", 20)]);
        assert_eq!(parts[0].bytes_per_event_milli, 3000);
    }

    #[test]
    fn ratios_are_rounded_and_never_divide_by_nothing() {
        assert_eq!(
            [milli(1, 0), milli(0, 5), milli(26, 1), milli(2, 3), milli(u64::MAX, 1)],
            [0, 0, 26_000, 667, u64::MAX]
        );
    }
}
