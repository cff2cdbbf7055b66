//! Reading the log after a start.
//!
//! The rules, from the log's invariant: files are ordered by epoch, and the header of a file proves that every frame
//! before its first one was durable. So a frame that cannot be read is damage, and the file is named, if a later file
//! follows, if a frame with a higher number is anywhere behind it, or if the MANIFEST says that it was durable. Only a
//! frame with nothing after it can be one that a crash tore while it was written; it was never acknowledged, and the
//! next frame takes its place.

use super::frame::{BLOCK, FILE_HEADER_LEN, FRAME_HEADER_LEN, FileHeader, FrameHeader, VERSION};
use super::{COMPRESSION_LEVEL, Compression, LogFile, Spares, UsedFile, Wal, stopped};
use crate::StoreError;
use crate::embedded::codec::{self, Misread, Payload};
use crate::embedded::disk::Disk;
use crate::embedded::files::{Layout, numbered_files, sync_dir};
use crate::embedded::identity::Secret;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// How much of a file is read at once while headers are looked for; whole blocks.
const SCAN_BYTES: usize = 1 << 20;

/// What the MANIFEST knows of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    /// Frames up to here are sealed in segments.
    pub low: u64,
    /// Frames up to here were durable when the MANIFEST was written.
    pub durable: u64,
}

/// Opens the log and hands the content of every frame above the low-water mark to `take`, in order, each with the
/// sequence of its frame.
pub(crate) fn recover(
    layout: &Layout,
    secret: Secret,
    marks: Marks,
    file_len: u64,
    take: &mut dyn FnMut(u64, Payload) -> Result<(), StoreError>,
) -> Result<Wal, StoreError> {
    let dir = layout.wal_dir();
    let Found { mut used, mut spare, next_number } = find_files(layout.disk(), &dir, &secret, marks.low)?;
    let next_epoch = used.iter().map(|file| file.epoch).max().unwrap_or(0) + 1;
    // Everything before the last file that starts at or below the mark is sealed already.
    let needed_from = used.iter().rposition(|file| file.first_sequence <= marks.low + 1).unwrap_or(0);
    spare.extend(used.drain(..needed_from).map(|file| file.log));
    let end = replay(&dir, &used, &secret, marks, u64::MAX, take)?;
    make_last(layout.disk(), &dir, &used, &end, marks)?;
    // A file goes on in the format that it began with; what comes next gets a new one.
    let is_current = used.last().is_none_or(|file| file.version == VERSION);
    let position = if is_current { end.position } else { u64::MAX };
    let compressor = zstd::bulk::Compressor::new(COMPRESSION_LEVEL)
        .map_err(|error| stopped(format!("cannot set up compression: {error}")))?;
    Ok(Wal {
        secret,
        used,
        spares: Arc::new(Spares::new(layout.shared_disk(), dir, file_len, spare, next_number)?),
        position,
        next_sequence: end.next_sequence,
        next_epoch,
        compression: Compression::default(),
        compressor,
        buffer: Vec::new(),
    })
}

/// Reads the log as [`recover`] does, up to the frame `last` at most, and changes nothing.
pub(crate) fn check(
    layout: &Layout,
    secret: Secret,
    marks: Marks,
    last: u64,
    take: &mut dyn FnMut(u64, Payload) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let dir = layout.wal_dir();
    let Found { mut used, .. } = find_files(layout.disk(), &dir, &secret, marks.low)?;
    let needed_from = used.iter().rposition(|file| file.first_sequence <= marks.low + 1).unwrap_or(0);
    used.drain(..needed_from);
    replay(&dir, &used, &secret, marks, last, take).map(drop)
}

struct Found {
    used: Vec<UsedFile>,
    spare: Vec<LogFile>,
    next_number: u64,
}

/// Opens every file; those with a header of this store come in the order of their epochs.
fn find_files(disk: &dyn Disk, dir: &Path, secret: &Secret, low: u64) -> Result<Found, StoreError> {
    let mut found = Found { used: Vec::new(), spare: Vec::new(), next_number: 1 };
    for (number, path) in numbered_files(disk, dir, "wal")? {
        found.next_number = found.next_number.max(number + 1);
        let file = disk.open_writable(&path).map_err(StoreError::io("cannot open", &path))?;
        let len = file.len().map_err(StoreError::io("cannot read", &path))?;
        let log = LogFile { path, file, len };
        let header = read_at_most(&log, 0, FILE_HEADER_LEN)?;
        match FileHeader::decode(&header, secret) {
            Some(header) if header.version > VERSION => {
                return Err(StoreError::Newer { path: log.path, found: header.version, known: VERSION });
            }
            Some(FileHeader { version, epoch, first_sequence }) => {
                found.used.push(UsedFile { log, version, epoch, first_sequence });
            }
            None => {
                // Never used, or its first use was cut short: then it holds no frame that is not sealed.
                if let Some((offset, header)) = find_frame(&log, secret, BLOCK, |frame| frame.sequence > low)? {
                    let what = format!("the file header is broken, but frame {} is at byte {offset}", header.sequence);
                    return Err(StoreError::damaged(&log.path, 0, what));
                }
                found.spare.push(log);
            }
        }
    }
    found.used.sort_by_key(|file| file.epoch);
    Ok(found)
}

struct End {
    position: u64,
    next_sequence: u64,
    /// Where the last frame lies in the last file, if that has one.
    last_frame: Option<Range<u64>>,
}

fn replay(
    dir: &Path,
    used: &[UsedFile],
    secret: &Secret,
    marks: Marks,
    last: u64,
    take: &mut dyn FnMut(u64, Payload) -> Result<(), StoreError>,
) -> Result<End, StoreError> {
    let first_sequence = used.first().map_or(marks.low + 1, |file| file.first_sequence);
    let mut end = End { position: BLOCK, next_sequence: first_sequence, last_frame: None };
    if let Some(first) = used.first().filter(|first| first.first_sequence > marks.low + 1) {
        let what = format!("it starts with frame {}, but frame {} is missing", first.first_sequence, marks.low + 1);
        return Err(StoreError::damaged(&first.log.path, 0, what));
    }
    for (index, file) in used.iter().enumerate() {
        if end.next_sequence > last {
            break;
        }
        if file.first_sequence != end.next_sequence {
            let what = format!("it starts with frame {}, but frame {} is due", file.first_sequence, end.next_sequence);
            return Err(StoreError::damaged(&file.log.path, 0, what));
        }
        (end.position, end.last_frame) = (BLOCK, None);
        let until = used.get(index + 1).map(|next| next.first_sequence);
        while end.next_sequence <= last && until.is_none_or(|until| end.next_sequence < until) {
            match read_frame(file, secret, end.position, end.next_sequence, marks.low)? {
                Frame::Good(header, payload) => {
                    if header.sequence > marks.low {
                        take(header.sequence, payload)?;
                    }
                    let after = end.position + header.frame_len();
                    end.last_frame = Some(end.position..after);
                    end.position = after;
                    end.next_sequence += 1;
                }
                Frame::Bad(what) => {
                    if let Some(until) = until {
                        let frames = format!("frames {} to {}", end.next_sequence, until - 1);
                        let what = format!("{what}, but {frames} must be here or in a file that is missing");
                        return Err(StoreError::damaged(&file.log.path, end.position, what));
                    }
                    refuse_damage_before(file, secret, &end, what)?;
                    break;
                }
            }
        }
    }
    // The low-water mark is at most what is durable; without any file the two must be equal.
    if end.next_sequence <= marks.durable.max(marks.low) {
        let path = used.last().map_or(dir, |file| file.log.path.as_path());
        let what = format!("frame {} is missing, which was durable", end.next_sequence);
        return Err(StoreError::damaged(path, end.position, what));
    }
    Ok(end)
}

/// Makes last what the process before may have left in the system's cache only: the names of the files, and the last thing
/// that it wrote. That one can be read, so it will be counted and its senders told that it is there; but the process may
/// have been killed before its sync, or the sync failed and the system took the pages for written. Only writing it
/// again makes sure. Everything before it was durable when it was written.
fn make_last(disk: &dyn Disk, dir: &Path, used: &[UsedFile], end: &End, marks: Marks) -> Result<(), StoreError> {
    sync_dir(disk, dir)?;
    let Some(UsedFile { log, .. }) = used.last() else { return Ok(()) };
    let uncertain = match &end.last_frame {
        None => 0..BLOCK,
        Some(_) if end.next_sequence <= marks.durable.max(marks.low) + 1 => return Ok(()),
        Some(frame) => frame.clone(),
    };
    let len = usize::try_from(uncertain.end - uncertain.start).unwrap_or(usize::MAX);
    let bytes = read_at_most(log, uncertain.start, len)?;
    let written = log.file.write_all_at(&bytes, uncertain.start).and_then(|()| log.file.sync_data());
    written.map_err(StoreError::io("cannot write", &log.path))
}

/// A bad frame with a later frame behind it is damage; without one it is the torn tail, or just the end.
fn refuse_damage_before(file: &UsedFile, secret: &Secret, end: &End, what: &'static str) -> Result<(), StoreError> {
    let is_later = |frame: &FrameHeader| frame.epoch == file.epoch && frame.sequence > end.next_sequence;
    match find_frame(&file.log, secret, end.position + BLOCK, is_later)? {
        Some((offset, later)) => {
            let what = format!("{what}, but frame {} follows at byte {offset}", later.sequence);
            Err(StoreError::damaged(&file.log.path, end.position, what))
        }
        None => Ok(()),
    }
}

enum Frame {
    Good(FrameHeader, Payload),
    Bad(&'static str),
}

fn read_frame(file: &UsedFile, secret: &Secret, position: u64, sequence: u64, low: u64) -> Result<Frame, StoreError> {
    let log = &file.log;
    let header_bytes = read_at_most(log, position, FRAME_HEADER_LEN)?;
    let Some(header) = FrameHeader::decode(&header_bytes, secret) else {
        return Ok(Frame::Bad("no frame header can be read"));
    };
    if header.epoch != file.epoch || header.sequence != sequence || position + header.frame_len() > log.len {
        return Ok(Frame::Bad("the frame header belongs elsewhere"));
    }
    if sequence <= low {
        return Ok(Frame::Good(header, Payload::default()));
    }
    let stored = read_at_most(log, position + FRAME_HEADER_LEN as u64, header.stored_len as usize)?;
    if stored.len() != header.stored_len as usize || crc32c::crc32c(&stored) != header.checksum {
        return Ok(Frame::Bad("the checksum of the frame does not fit"));
    }
    let misread = || StoreError::damaged(&log.path, position, "the frame has a good checksum, but cannot be decoded");
    let raw = match header.compressed {
        true => zstd::bulk::decompress(&stored, header.raw_len as usize).map_err(|_| misread())?,
        false => stored,
    };
    if raw.len() != header.raw_len as usize {
        return Err(misread());
    }
    let payload = codec::decode(file.version, raw, header.rows).map_err(|error| match error {
        Misread::Broken => misread(),
        Misread::Newer(kind) => StoreError::NewerRecord { path: log.path.clone(), offset: position, kind },
    })?;
    Ok(Frame::Good(header, payload))
}

/// The first frame header at or after `from` that is wanted, with its offset.
fn find_frame(
    log: &LogFile,
    secret: &Secret,
    from: u64,
    wanted: impl Fn(&FrameHeader) -> bool,
) -> Result<Option<(u64, FrameHeader)>, StoreError> {
    let mut piece = vec![0; SCAN_BYTES];
    let mut offset = from;
    while offset + BLOCK <= log.len {
        let whole_blocks = (log.len - offset) / BLOCK * BLOCK;
        let piece = &mut piece[..whole_blocks.min(SCAN_BYTES as u64) as usize];
        log.file.read_exact_at(piece, offset).map_err(StoreError::io("cannot read", &log.path))?;
        for block in piece.chunks_exact(BLOCK as usize) {
            if let Some(header) = FrameHeader::decode(block, secret).filter(|header| wanted(header)) {
                return Ok(Some((offset, header)));
            }
            offset += BLOCK;
        }
    }
    Ok(None)
}

/// Up to `len` bytes at `offset`; fewer at the end of the file.
fn read_at_most(log: &LogFile, offset: u64, len: usize) -> Result<Vec<u8>, StoreError> {
    let available = usize::try_from(log.len.saturating_sub(offset)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; len.min(available)];
    match log.file.read_exact_at(&mut bytes, offset) {
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(StoreError::damaged(&log.path, offset, "the file became shorter while it was read"))
        }
        Err(error) => Err(StoreError::io("cannot read", &log.path)(error)),
    }
}
