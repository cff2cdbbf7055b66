//! The MANIFEST: which files are the store.
//!
//! Invariant: what the MANIFEST names is complete and durable; what it does not name is not part of the store. It is
//! replaced as a whole, so a crash leaves the old one or the new one.
//!
//! Lines of text, for a person to read: the format, the secret, the marks of the log, the next file number, then one line
//! per segment, run and facts file, and a CRC-32C over everything before it. Format 1 knew no facts file.

use super::dedupe::Run;
use super::files::{Layout, replace_file};
use super::identity::Secret;
use super::segment::SegmentMeta;
use crate::StoreError;
use std::fmt::Write;
use std::io;
use std::path::Path;
use tallystick_domain::Instant;

/// The format that this program reads and writes.
pub(crate) const FORMAT: u32 = 2;
const TITLE: &str = "tallystick-events ";

/// A live segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentEntry {
    pub number: u64,
    pub meta: SegmentMeta,
}

/// A live run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunEntry {
    pub number: u64,
    pub keys: u64,
}

impl RunEntry {
    pub fn of(number: u64, run: &Run) -> Self {
        Self { number, keys: run.keys() }
    }
}

/// The facts file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FactsEntry {
    pub number: u64,
    pub bytes: u64,
}

/// The content of the MANIFEST.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub secret: Secret,
    /// Log frames up to here are sealed in the segments and runs.
    pub low: u64,
    /// Log frames up to here were durable when this was written.
    pub durable: u64,
    /// No segment, run or facts file was ever named with this number or a higher one.
    pub next_file: u64,
    pub segments: Vec<SegmentEntry>,
    pub runs: Vec<RunEntry>,
    /// All facts of the log's frames up to `low`, and maybe later ones.
    pub facts: Option<FactsEntry>,
}

impl Manifest {
    /// That of an empty store.
    pub fn empty(secret: Secret) -> Self {
        Self { secret, low: 0, durable: 0, next_file: 1, segments: Vec::new(), runs: Vec::new(), facts: None }
    }

    /// Reads the file; `None` if there is none.
    pub fn read(layout: &Layout) -> Result<Option<Self>, StoreError> {
        let path = layout.manifest();
        let bytes = match layout.disk().read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("cannot read", &path)(error)),
        };
        parse(&bytes, &path).map(Some)
    }

    /// Replaces the file.
    pub fn write(&self, layout: &Layout) -> Result<(), StoreError> {
        let path = layout.manifest();
        replace_file(layout.disk(), &path, &path.with_extension("new"), self.to_text().as_bytes())
    }

    fn to_text(&self) -> String {
        let mut text = format!("{TITLE}{FORMAT}\n");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "secret {:032x}", u128::from_be_bytes(*self.secret.bytes()));
        let _ = writeln!(text, "low {}\ndurable {}\nnext {}", self.low, self.durable, self.next_file);
        for SegmentEntry { number, meta } in &self.segments {
            let (first, last) = (meta.first.as_micros(), meta.last.as_micros());
            let _ = writeln!(text, "segment {number:016x} {} {} {first} {last}", meta.rows, meta.bytes);
        }
        for RunEntry { number, keys } in &self.runs {
            let _ = writeln!(text, "run {number:016x} {keys}");
        }
        if let Some(FactsEntry { number, bytes }) = &self.facts {
            let _ = writeln!(text, "facts {number:016x} {bytes}");
        }
        let checksum = crc32c::crc32c(text.as_bytes());
        let _ = writeln!(text, "checksum {checksum:08x}");
        text
    }
}

fn parse(bytes: &[u8], path: &Path) -> Result<Manifest, StoreError> {
    let damaged = |offset: usize, what: &str| StoreError::damaged(path, offset as u64, what);
    let text = std::str::from_utf8(bytes).map_err(|error| damaged(error.valid_up_to(), "it is not text"))?;
    let format = text.strip_prefix(TITLE).and_then(|rest| rest.lines().next());
    let format: u32 = format.and_then(|word| word.parse().ok()).ok_or_else(|| damaged(0, "it is no MANIFEST"))?;
    // A newer format may be checked in another way, so this comes before the checksum.
    if format > FORMAT {
        return Err(StoreError::Newer { path: path.to_path_buf(), found: format, known: FORMAT });
    }
    let body_len = text.rfind("checksum ").ok_or_else(|| damaged(text.len(), "the checksum is missing"))?;
    let (body, checksum) = text.split_at(body_len);
    if checksum != format!("checksum {:08x}\n", crc32c::crc32c(body.as_bytes())) {
        return Err(damaged(body_len, "the checksum does not fit"));
    }
    let mut secret = None;
    let mut manifest = Manifest::empty(Secret::new([0; 16]));
    for line in body.lines().skip(1) {
        let words: Vec<&str> = line.split(' ').collect();
        let understood = match words.as_slice() {
            ["secret", hex] => {
                u128::from_str_radix(hex, 16).map(|key| secret = Some(Secret::new(key.to_be_bytes()))).ok()
            }
            ["low", value] => value.parse().map(|value| manifest.low = value).ok(),
            ["durable", value] => value.parse().map(|value| manifest.durable = value).ok(),
            ["next", value] => value.parse().map(|value| manifest.next_file = value).ok(),
            ["segment", rest @ ..] => parse_segment(rest).map(|entry| manifest.segments.push(entry)),
            ["run", rest @ ..] => parse_run(rest).map(|entry| manifest.runs.push(entry)),
            ["facts", rest @ ..] => parse_facts(rest).map(|entry| manifest.facts = Some(entry)),
            _ => None,
        };
        understood.ok_or_else(|| damaged(0, &format!("the line {line:?} cannot be read")))?;
    }
    manifest.secret = secret.ok_or_else(|| damaged(0, "the secret is missing"))?;
    Ok(manifest)
}

fn parse_segment(words: &[&str]) -> Option<SegmentEntry> {
    let [number, rows, bytes, first, last] = words else { return None };
    let instant = |word: &str| Instant::from_micros(word.parse().ok()?);
    Some(SegmentEntry {
        number: u64::from_str_radix(number, 16).ok()?,
        meta: SegmentMeta {
            rows: rows.parse().ok()?,
            bytes: bytes.parse().ok()?,
            first: instant(first)?,
            last: instant(last)?,
        },
    })
}

fn parse_run(words: &[&str]) -> Option<RunEntry> {
    let [number, keys] = words else { return None };
    Some(RunEntry { number: u64::from_str_radix(number, 16).ok()?, keys: keys.parse().ok()? })
}

fn parse_facts(words: &[&str]) -> Option<FactsEntry> {
    let [number, bytes] = words else { return None };
    Some(FactsEntry { number: u64::from_str_radix(number, 16).ok()?, bytes: bytes.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::disk::HostDisk;

    fn sample() -> Manifest {
        let meta = SegmentMeta { rows: 5, bytes: 99, first: Instant::MIN, last: Instant::MAX };
        Manifest {
            low: 7,
            durable: 9,
            next_file: 4,
            segments: vec![SegmentEntry { number: 2, meta }],
            runs: vec![RunEntry { number: 3, keys: 5 }],
            facts: Some(FactsEntry { number: 3, bytes: 77 }),
            ..Manifest::empty(Secret::new([0xab; 16]))
        }
    }

    #[test]
    fn round_trips_through_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(std::sync::Arc::new(HostDisk), dir.path());
        assert!(Manifest::read(&layout).unwrap().is_none());
        sample().write(&layout).unwrap();
        assert!(Manifest::read(&layout).unwrap() == Some(sample()));
    }

    #[test]
    fn any_flipped_bit_or_missing_byte_is_an_error_that_names_the_file() {
        let (path, good) = (Path::new("MANIFEST"), sample().to_text().into_bytes());
        for bit in 0..good.len() * 8 {
            let mut broken = good.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            let error = parse(&broken, path).err().expect("a flipped bit must be found");
            assert!(error.to_string().contains("MANIFEST"), "bit {bit}: {error}");
        }
        for len in 0..good.len() {
            assert!(parse(&good[..len], path).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn a_newer_format_is_named_as_such() {
        let newer = b"tallystick-events 3\nsomething else\n";
        let error = parse(newer, Path::new("MANIFEST")).err().unwrap();
        assert!(matches!(error, StoreError::Newer { found: 3, known: FORMAT, .. }), "{error}");
    }
}
