//! The log under fuzzing: frames as an input describes them, in a file of this store, read back by the rules of recovery.
//!
//! An input is a format, the two marks of the MANIFEST, and then frames: what is wrong with each, how far its number is off,
//! its rows, and its payload. Headers are made here, as nobody without the store's key can make one.

use super::frame::{BLOCK, FILE_HEADER_LEN, FRAME_HEADER_LEN, FileHeader, FrameHeader, VERSION};
use super::{COMPRESSION_LEVEL, Marks, Wal, recover};
use crate::StoreError;
use crate::embedded::codec::{self, Encoder, Payload};
use crate::embedded::facts::Fact;
use crate::embedded::files::Layout;
use crate::embedded::fuzzing::{MemoryDisk, understood};
use crate::embedded::identity::Secret;
use crate::embedded::row::Row;
use crate::embedded::rows::Rows;
use std::path::Path;
use std::sync::Arc;

/// The payload is compressed.
pub(crate) const COMPRESSED: u8 = 1;
/// The payload is called compressed, whatever it is.
const CALLED_COMPRESSED: u8 = 2;
const WRONG_CHECKSUM: u8 = 4;
/// The header was made without the key.
const WRONG_TAG: u8 = 8;
/// The frame is from an earlier use of the file.
const WRONG_EPOCH: u8 = 16;
const WRONG_LENGTH: u8 = 32;
/// Frames of one input.
const MOST_FRAMES: usize = 16;
const EPOCH: u64 = 5;

/// A frame of an input.
struct Sketch {
    header: FrameHeader,
    flaws: u8,
    stored: Vec<u8>,
    raw: Option<Vec<u8>>,
}

/// What recovery must do with a log.
enum Expected {
    /// Hand out these rows, each frame with its number.
    Rows(Vec<(u64, Vec<Row>)>),
    /// Refuse the file.
    Damage,
}

/// Reads a log file made of the frames that the bytes describe. `Some` is the number of rows that were recovered.
///
/// Recovery hands out what a model of its rules says, or names the file as damaged. What was handed out is there again
/// after the next start, together with what was appended in between.
pub fn wal_frame(bytes: &[u8]) -> Option<u64> {
    let (head, rest) = bytes.split_first_chunk::<3>()?;
    let version = 1 + u32::from(head[0]) % VERSION;
    let marks = Marks { low: u64::from(head[1] % 4), durable: u64::from(head[2] % 8) };
    let sketches = sketches(rest);
    let (dir, secret) = (Path::new("events"), Secret::new([7; 16]));
    let disk = Arc::new(MemoryDisk::default());
    let layout = Layout::new(disk.clone(), dir);
    let path = layout.wal_dir().join("0000000000000001.wal");
    disk.put(&path, file(version, &sketches, &secret));
    let file_len = 8 * BLOCK;
    let start = |marks| recovered(&layout, secret, marks, file_len);
    let expected = expected(version, &sketches, marks);
    let Some((mut wal, rows)) = understood(&path, start(marks)) else {
        assert!(matches!(expected, Expected::Damage), "a sound log is refused");
        return None;
    };
    let Expected::Rows(want) = expected else { panic!("damage is passed over") };
    assert!(rows == want, "other rows are handed out");
    let more = vec![crate::embedded::fuzzing::plain_row(1)];
    let sequence = append(&mut wal, &more).expect("a log that was opened is written on");
    drop(wal);
    let (_, again) = start(marks).expect("a log that was written on is opened");
    let want: Vec<_> = rows.iter().cloned().chain([(sequence, more)]).collect();
    assert!(again == want, "the next start hands out other rows");
    Some(rows.iter().map(|(_, rows)| rows.len() as u64).sum())
}

type Frames = Vec<(u64, Vec<Row>)>;

fn recovered(layout: &Layout, secret: Secret, marks: Marks, file_len: u64) -> Result<(Wal, Frames), StoreError> {
    let mut frames = Vec::new();
    let wal = recover(layout, secret, marks, file_len, &mut |sequence, payload| {
        frames.push((sequence, payload.rows.iter().map(|row| row.to_row()).collect()));
        Ok(())
    })?;
    Ok((wal, frames))
}

/// Reads the frames of an input: flaws, number, rows, length of the payload (2 bytes), payload.
fn sketches(mut rest: &[u8]) -> Vec<Sketch> {
    let mut sketches: Vec<Sketch> = Vec::new();
    while let Some((head, after)) = rest.split_first_chunk::<5>()
        && sketches.len() < MOST_FRAMES
    {
        let len = usize::from(u16::from_le_bytes([head[3], head[4]])).min(after.len());
        let (payload, after) = after.split_at(len);
        rest = after;
        let sequence = (sketches.len() as u64 + 1).saturating_add_signed(i64::from(head[1] as i8));
        sketches.push(sketch(head[0], sequence, u32::from(head[2]), payload));
    }
    sketches
}

fn sketch(flaws: u8, sequence: u64, rows: u32, payload: &[u8]) -> Sketch {
    let compressed = flaws & (COMPRESSED | CALLED_COMPRESSED) != 0;
    let stored = match flaws & COMPRESSED != 0 {
        true => zstd::bulk::compress(payload, COMPRESSION_LEVEL).expect("bytes in memory can be compressed"),
        false => payload.to_vec(),
    };
    let unpacked = || zstd::bulk::decompress(&stored, 1 << 20).ok();
    let raw = if compressed { unpacked() } else { Some(stored.clone()) };
    let raw_len = raw.as_ref().map_or(9, Vec::len) as u32 + u32::from(flaws & WRONG_LENGTH != 0);
    let checksum = crc32c::crc32c(&stored) ^ u32::from(flaws & WRONG_CHECKSUM != 0);
    let epoch = if flaws & WRONG_EPOCH == 0 { EPOCH } else { EPOCH - 1 };
    let stored_len = stored.len() as u32;
    let header = FrameHeader { stored_len, raw_len, rows, epoch, sequence, checksum, compressed };
    Sketch { header, flaws, stored, raw: raw.filter(|_| flaws & WRONG_LENGTH == 0) }
}

/// The file with these frames, and some room behind them.
fn file(version: u32, sketches: &[Sketch], secret: &Secret) -> Vec<u8> {
    let mut bytes = vec![0; BLOCK as usize];
    let header = FileHeader { version, epoch: EPOCH, first_sequence: 1 };
    bytes[..FILE_HEADER_LEN].copy_from_slice(&header.encode(secret));
    for Sketch { header, flaws, stored, .. } in sketches {
        let mut encoded = header.encode(secret);
        encoded[FRAME_HEADER_LEN - 1] ^= u8::from(flaws & WRONG_TAG != 0);
        bytes.extend_from_slice(&encoded);
        bytes.extend_from_slice(stored);
        bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
    }
    bytes.resize(bytes.len() + BLOCK as usize * 2, 0);
    bytes
}

/// The rules of recovery for a log of one file whose first frame is frame 1.
fn expected(version: u32, sketches: &[Sketch], marks: Marks) -> Expected {
    let is_header = |sketch: &Sketch| sketch.flaws & WRONG_TAG == 0 && sketch.header.epoch == EPOCH;
    let (mut frames, mut next) = (Vec::new(), 1);
    for (at, sketch) in sketches.iter().enumerate() {
        let is_due = is_header(sketch) && sketch.header.sequence == next;
        let is_sealed = next <= marks.low;
        if !is_due || (!is_sealed && sketch.flaws & WRONG_CHECKSUM != 0) {
            // A later frame shows that this one was durable; without one it is the torn end.
            let is_later = |later: &Sketch| is_header(later) && later.header.sequence > next;
            if sketches[at + 1..].iter().any(is_later) {
                return Expected::Damage;
            }
            break;
        }
        if !is_sealed {
            let rows = sketch.raw.as_deref().and_then(|raw| decoded(version, raw, sketch.header.rows));
            let Some(rows) = rows else { return Expected::Damage };
            frames.push((next, rows));
        }
        next += 1;
    }
    if next <= marks.durable.max(marks.low) { Expected::Damage } else { Expected::Rows(frames) }
}

/// The rows of a payload. Encoded again they, and the facts beside them, are the same.
fn decoded(version: u32, raw: &[u8], count: u32) -> Option<Vec<Row>> {
    let Payload { rows, facts } = codec::decode(version, raw.to_vec(), count).ok()?;
    assert_eq!(rows.len(), count as usize);
    let mut encoder = Encoder::new(0);
    encoder.add(&rows);
    encoder.add_facts(&facts);
    let back = codec::decode(VERSION, encoder.finish().clone(), count).expect("what was encoded can be decoded");
    assert!(back.rows.iter().eq(rows.iter()), "other rows are decoded");
    assert!(back.facts == facts, "other facts are decoded");
    Some(rows.iter().map(|row| row.to_row()).collect())
}

/// The payload behind some bytes that are left free.
fn frame(rows: &Rows, free: usize) -> Vec<u8> {
    let mut encoder = Encoder::new(free);
    encoder.add(rows);
    let frame = encoder.finish().clone();
    assert!(frame.len() - free <= codec::encoded_len(rows), "the length was not foreseen");
    frame
}

fn append(wal: &mut Wal, rows: &[Row]) -> Result<u64, StoreError> {
    let mut all = Rows::default();
    rows.iter().for_each(|row| all.push(crate::embedded::row::RowView::view(row)));
    wal.append(&mut frame(&all, FRAME_HEADER_LEN), rows.len() as u32).map(|(sequence, _)| sequence)
}

/// An input with one sound frame for each of some rows and facts, of which every second is compressed.
pub(crate) fn input(frames: &[(Rows, Vec<Fact>)]) -> Vec<u8> {
    let mut bytes = vec![VERSION as u8 - 1, 0, frames.len() as u8];
    for (at, (rows, facts)) in frames.iter().enumerate() {
        let mut encoder = Encoder::new(0);
        encoder.add(rows);
        encoder.add_facts(facts);
        let payload = encoder.finish().clone();
        bytes.extend_from_slice(&[at as u8 % 2 * COMPRESSED, 0, rows.len() as u8]);
        bytes.extend_from_slice(&(payload.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&payload);
    }
    bytes
}
