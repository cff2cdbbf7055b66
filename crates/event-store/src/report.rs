//! What the store tells the people who run it.

use std::ops::ControlFlow;
use std::path::PathBuf;
use tallystick_domain::Instant;

/// How far a long piece of work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done, in a word or two.
    pub phase: &'static str,
    /// What `done` and `total` count.
    pub unit: Unit,
    /// How much of the phase is done.
    pub done: u64,
    /// How much there is to do in it.
    pub total: u64,
}

/// What progress is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes of files.
    Bytes,
    /// Usage events.
    Events,
}

/// Is told how far a piece of work is, and says whether to go on with it.
pub type Watch<'a> = &'a (dyn Fn(Progress) -> ControlFlow<()> + Sync);

/// What a check of the whole store found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Sealed files of events that were read.
    pub segments: u64,
    /// Events in them.
    pub segment_rows: u64,
    /// Files of identities that were read.
    pub runs: u64,
    /// Identities in them.
    pub identities: u64,
    /// Events that are in the log and in no segment yet.
    pub log_rows: u64,
    /// Frames of the log that hold them.
    pub log_frames: u64,
    /// Events in memory, which were compared with those of the log; 0 when nobody has the store open.
    pub memory_rows: u64,
    /// Bytes of segments and runs that were read.
    pub bytes: u64,
    /// What is not as it was written; empty if all is well.
    pub damages: Vec<Damage>,
}

/// A file that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, and where.
    pub what: String,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedFile {
    /// Its path inside of the backup.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// CRC-32C over all of it.
    pub crc32c: u32,
}

/// What a backup of the store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventsBackup {
    /// Events in it.
    pub events: u64,
    /// The last frame of the log whose events are in it; all earlier ones are too.
    pub sequence: u64,
    /// Its files.
    pub files: Vec<CopiedFile>,
}

/// What is stored, in numbers for people.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoreContent {
    /// Sealed files of events, oldest number first.
    pub segments: Vec<SegmentContent>,
    /// Files of identities.
    pub runs: Vec<RunContent>,
    /// Events by namespace and type.
    pub types: Vec<TypeContent>,
    /// How well a sample of the sealed events is compressed.
    pub sample: Sample,
}

/// A sealed file of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentContent {
    /// Its number, which is its name.
    pub number: u64,
    /// Events in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// Time of the earliest event.
    pub first: Instant,
    /// Time of the latest event.
    pub last: Instant,
}

/// A file of identities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunContent {
    /// Its number, which is its name.
    pub number: u64,
    /// Identities in it.
    pub identities: u64,
    /// Its size.
    pub bytes: u64,
}

/// The events of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeContent {
    /// Whose events they are.
    pub namespace: String,
    /// Their type.
    pub event_type: String,
    /// How many there are.
    pub events: u64,
    /// Time of the earliest.
    pub first: Instant,
    /// Time of the latest.
    pub last: Instant,
}

/// Blocks from all over the sealed files, read to see how well they are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Events in them.
    pub events: u64,
    /// What these take as plain texts: id, source, type, subject, data, further attributes, two times.
    pub raw_bytes: u64,
    /// What they take in the file.
    pub stored_bytes: u64,
}
