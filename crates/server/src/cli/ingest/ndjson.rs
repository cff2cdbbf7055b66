//! One JSON object per line, sent as it stands.

use super::Line;
use anyhow::Context;
use serde_json::value::RawValue;
use std::io::{BufRead, BufReader, Read};

/// The longest line that is held in memory.
pub(super) const MAX_LINE_BYTES: u64 = 16 << 20;

/// The events of a file, one per line; blank lines are passed over.
pub fn lines(file: impl Read) -> impl Iterator<Item = anyhow::Result<Line>> {
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut number = 0;
    std::iter::from_fn(move || {
        loop {
            number += 1;
            let (text, bytes) = match next_line(&mut reader).context("cannot read on") {
                Ok(Some(read)) => read,
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            };
            let event = text.and_then(|text| event_text(&text, number));
            if event.as_ref().is_ok_and(String::is_empty) {
                continue;
            }
            return Some(Ok(Line { number, bytes, event, is_gap_or_fold: false }));
        }
    })
}

/// A line, or why it is not held, and how many bytes it took.
pub(super) type Taken = (Result<Vec<u8>, String>, u64);

/// The next line with its end, and how many bytes it took; `None` at the end of the file.
pub(super) fn next_line(reader: &mut impl BufRead) -> std::io::Result<Option<Taken>> {
    let mut line = Vec::new();
    let taken = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? as u64;
    if taken == 0 {
        return Ok(None);
    }
    if taken < MAX_LINE_BYTES || line.ends_with(b"\n") {
        return Ok(Some((Ok(line), taken)));
    }
    let rest = reader.skip_until(b'\n')? as u64;
    let reason = format!("the line is longer than {MAX_LINE_BYTES} bytes");
    Ok(Some((Err(reason), taken + rest)))
}

/// The text of an event, or an empty text for a blank line. What the event says is for the server to judge.
fn event_text(line: &[u8], number: u64) -> Result<String, String> {
    let text = std::str::from_utf8(line).map_err(|_| "the line is not valid UTF-8".to_string())?;
    let text = if number == 1 { text.trim_start_matches('\u{feff}') } else { text };
    let text = text.trim();
    if text.is_empty() {
        return Ok(String::new());
    }
    let parsed: &RawValue = serde_json::from_str(text).map_err(|error| format!("not valid JSON: {error}"))?;
    if !parsed.get().starts_with('{') {
        return Err("not a JSON object: one event per line is expected".to_string());
    }
    Ok(text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<(u64, u64, Result<String, String>)> {
        lines(text).map(|line| line.map(|line| (line.number, line.bytes, line.event)).unwrap()).collect()
    }

    #[test]
    fn lines_are_numbered_and_kept_as_they_are() {
        let found = read("\u{feff}{\"a\":1.50}\r\n\n  {\"b\":2}  \n{\"c\":3}".as_bytes());
        let events: Vec<_> = found.iter().map(|(number, _, event)| (*number, event.as_deref().unwrap())).collect();
        assert_eq!(events, [(1, "{\"a\":1.50}"), (3, "{\"b\":2}"), (4, "{\"c\":3}")]);
    }

    #[test]
    fn what_is_no_event_is_told_and_the_rest_is_read() {
        let found = read(b"{\"a\":1\n[1]\n\xff\xfe\n{}{}\n{\"ok\":1}\n");
        let reasons: Vec<_> = found.iter().filter_map(|(_, _, event)| event.as_ref().err()).collect();
        assert_eq!(reasons.len(), 4, "{reasons:?}");
        assert!(reasons[1].contains("one event per line") && reasons[2].contains("UTF-8"));
        assert_eq!(found[4].2.as_deref(), Ok("{\"ok\":1}"));
    }

    #[test]
    fn a_line_without_end_is_not_held_in_memory() {
        let mut text = vec![b' '; MAX_LINE_BYTES as usize + 100];
        text.extend_from_slice(b"\n{\"ok\":1}");
        let found = read(&text);
        assert!(found[0].2.as_ref().unwrap_err().contains("longer than"));
        assert_eq!((found[0].1, found[1].0), (MAX_LINE_BYTES + 101, 2));
    }
}
