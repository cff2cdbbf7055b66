//! The rows of a CSV file, each with the line that it begins on.
//!
//! Quoting is strict: a quote opens a cell, closes it, or stands doubled inside of a quoted one. A stray quote costs its
//! own line only: what a lenient reader would take for the inside of a cell is read again as lines.

use super::ndjson::{MAX_LINE_BYTES, Taken, next_line};
use std::collections::VecDeque;
use std::io::{BufReader, Read};

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A row of a file.
pub struct Row {
    /// The number of its first line, from 1.
    pub line: u64,
    /// How much of the file it took.
    pub bytes: u64,
    /// Its cells, or what is wrong with the line.
    pub cells: Result<Cells, String>,
}

/// The cells of a row, without their quotes.
#[derive(Debug, Default)]
pub struct Cells {
    text: String,
    ends: Vec<usize>,
}

impl Cells {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// A cell by its number from 0; one that is not there is empty.
    pub fn get(&self, at: usize) -> &str {
        let start = if at == 0 { 0 } else { self.ends.get(at - 1).copied().unwrap_or_default() };
        self.ends.get(at).map_or("", |end| &self.text[start..*end])
    }

    /// All cells.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|at| self.get(at))
    }
}

/// Reads the rows of a file. Blank lines between them are passed over.
pub struct Rows<R> {
    reader: BufReader<R>,
    /// Lines that are to be read again.
    again: VecDeque<Taken>,
    /// How many lines came before the next one.
    before: u64,
    /// How many cells the heading has, once it was read.
    width: Option<usize>,
}

impl<R: Read> Rows<R> {
    /// Begins at the heading, which is the first row.
    pub fn new(file: R) -> Self {
        let reader = BufReader::with_capacity(1 << 20, file);
        Self { reader, again: VecDeque::new(), before: 0, width: None }
    }

    /// The next row; `None` at the end of the file. An error is one of the file itself.
    pub fn next_row(&mut self) -> std::io::Result<Option<Row>> {
        let mut skipped = 0;
        while let Some((first, bytes)) = self.take_line()? {
            self.before += 1;
            let first = if self.before == 1 { first.map(without_mark) } else { first };
            if first.as_ref().is_ok_and(|line| split_end(line).0.is_empty()) {
                skipped += bytes;
                continue;
            }
            let line = self.before;
            let mut further = Vec::new();
            let cells = self.cells(first, &mut further)?;
            let mut bytes = skipped + bytes;
            match cells {
                Ok(_) => {
                    self.before += further.len() as u64;
                    bytes += further.iter().map(|(_, bytes)| bytes).sum::<u64>();
                }
                Err(_) => further.into_iter().rev().for_each(|taken| self.again.push_front(taken)),
            }
            return Ok(Some(Row { line, bytes, cells }));
        }
        Ok(None)
    }

    fn take_line(&mut self) -> std::io::Result<Option<Taken>> {
        self.again.pop_front().map_or_else(|| next_line(&mut self.reader), |taken| Ok(Some(taken)))
    }

    /// The cells of the row that begins with a line, and the further lines that were read for it.
    fn cells(
        &mut self,
        first: Result<Vec<u8>, String>,
        further: &mut Vec<Taken>,
    ) -> std::io::Result<Result<Cells, String>> {
        let mut row = Splitter::default();
        let mut taken = first;
        let mut length = 0;
        loop {
            let fed = taken.and_then(|line| {
                length += line.len() as u64;
                row.feed(&line)
            });
            match fed {
                Err(reason) => return Ok(Err(reason)),
                Ok(true) => return Ok(self.of_width(row.cells)),
                Ok(false) if length > MAX_LINE_BYTES => {
                    return Ok(Err(row.unclosed(&format!("within {MAX_LINE_BYTES} bytes"))));
                }
                Ok(false) => {}
            }
            let Some((line, bytes)) = self.take_line()? else {
                return Ok(Err(row.unclosed("until the end of the file")));
            };
            further.push((line.clone(), bytes));
            taken = line;
        }
    }

    fn of_width(&mut self, cells: Cells) -> Result<Cells, String> {
        let expected = *self.width.get_or_insert(cells.len());
        if cells.len() == expected {
            return Ok(cells);
        }
        Err(format!("the row has {} cells, the heading has {expected}", cells.len()))
    }
}

/// The first line of a file without the mark that some programs write before it.
fn without_mark(mut line: Vec<u8>) -> Vec<u8> {
    if line.starts_with(BYTE_ORDER_MARK) {
        line.drain(..BYTE_ORDER_MARK.len());
    }
    line
}

/// A line and how it ends.
fn split_end(line: &[u8]) -> (&[u8], &[u8]) {
    let end = if line.ends_with(b"\r\n") { 2 } else { usize::from(line.ends_with(b"\n")) };
    line.split_at(line.len() - end)
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// Before the first character of a cell.
    #[default]
    Start,
    Unquoted,
    Quoted,
    /// After a quote in a quoted cell: its end, or the first half of a doubled one.
    Closed,
}

/// Takes a row apart, line by line.
#[derive(Default)]
struct Splitter {
    cells: Cells,
    place: Place,
}

impl Splitter {
    /// Takes in a line and tells whether the row ends with it.
    fn feed(&mut self, line: &[u8]) -> Result<bool, String> {
        let line = std::str::from_utf8(line).map_err(|_| "the row is not valid UTF-8".to_string())?;
        let (body, end) = line.split_at(split_end(line.as_bytes()).0.len());
        for character in body.chars() {
            self.place = match (self.place, character) {
                (Place::Quoted, '"') => Place::Closed,
                (Place::Start, '"') => Place::Quoted,
                (Place::Start | Place::Unquoted | Place::Closed, ',') => self.end_cell(),
                (Place::Closed, '"') | (Place::Quoted, _) => self.push(character, Place::Quoted),
                (Place::Start | Place::Unquoted, character) if character != '"' => {
                    self.push(character, Place::Unquoted)
                }
                (Place::Closed, _) => return Err(self.stray("there is text after the closing quote of")),
                _ => return Err(self.stray("there is a quote inside of the unquoted")),
            };
        }
        if self.place == Place::Quoted {
            self.cells.text.push_str(end);
            return Ok(false);
        }
        self.end_cell();
        Ok(true)
    }

    fn push(&mut self, character: char, place: Place) -> Place {
        self.cells.text.push(character);
        place
    }

    fn end_cell(&mut self) -> Place {
        self.cells.ends.push(self.cells.text.len());
        Place::Start
    }

    fn stray(&self, what: &str) -> String {
        let cell = self.cells.len() + 1;
        format!("{what} cell {cell}: a cell with a quote is quoted as a whole, and the quote in it is doubled")
    }

    fn unclosed(&self, until: &str) -> String {
        format!("the quote that opens cell {} is not closed {until}", self.cells.len() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = (u64, u64, Result<Vec<String>, String>);

    fn read(text: &[u8]) -> Vec<Found> {
        let mut rows = Rows::new(text);
        let mut found = Vec::new();
        while let Some(row) = rows.next_row().unwrap() {
            found.push((row.line, row.bytes, row.cells.map(|cells| cells.iter().map(str::to_string).collect())));
        }
        assert_eq!(found.iter().map(|(_, bytes, _)| bytes).sum::<u64>(), text.len() as u64);
        found
    }

    /// The line and cells of a sound row, the line and a word of the reason of another one.
    fn assert_rows(text: &str, expected: &[(u64, Result<[&str; 2], &str>)]) {
        let found = read(text.as_bytes());
        assert_eq!(found.len(), expected.len(), "{text:?}: {found:?}");
        for ((line, _, cells), (expected_line, expected)) in found.iter().zip(expected) {
            assert_eq!(line, expected_line, "{text:?}: {found:?}");
            match (cells, expected) {
                (Ok(cells), Ok(expected)) => assert_eq!(cells, expected, "{text:?}"),
                (Err(reason), Err(part)) => assert!(reason.contains(part), "{text:?}: {reason}"),
                _ => panic!("{text:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn sound_quoting_is_taken_off() {
        let text = "\u{feff}\"a\",b\r\n\r\n\"x,\"\"1\"\"\r\ny\",\"\"\n,\n\"\"\"\",é";
        let quoted = [(1, Ok(["a", "b"])), (3, Ok(["x,\"1\"\r\ny", ""])), (5, Ok(["", ""])), (6, Ok(["\"", "é"]))];
        assert_rows(text, &quoted);
    }

    #[test]
    fn a_stray_quote_costs_its_own_line_only() {
        let rest = [(3, Ok(["2", "y"])), (4, Ok(["3", "z"]))];
        for (line, reason) in [
            ("1,\"x", "until the end of the file"),
            ("1,5\" pipe", "inside of the unquoted cell 2"),
            ("1,\"x\" y", "after the closing quote of cell 2"),
            ("1, \"x\"", "inside of the unquoted cell 2"),
        ] {
            let expected = [&[(1, Ok(["a", "b"])), (2, Err(reason))], &rest[..]].concat();
            assert_rows(&format!("a,b\n{line}\n2,y\n3,z\n"), &expected);
        }
    }

    #[test]
    fn a_stray_quote_does_not_join_its_line_with_a_later_quoted_one() {
        let sound = [(3, Ok(["2", "y"])), (4, Ok(["3", "z"]))];
        let joined = [&[(1, Ok(["a", "b"])), (2, Err("after the closing quote"))], &sound[..]].concat();
        assert_rows("a,b\n1,\"x\n2,y\n3,\"z\"\n", &joined);
        // Well quoted by chance, but not as wide as the heading.
        let uneven = [(1, Ok(["a", "b"])), (2, Err("4 cells")), (3, Ok(["2", "y"])), (4, Err("inside"))];
        assert_rows("a,b\n1,\"x\n2,y\nz\",3,\n", &uneven);
    }

    #[test]
    fn a_quote_is_not_followed_through_the_whole_of_a_large_file() {
        let row = format!("{},y\n", "x".repeat(999));
        let count = 2 * MAX_LINE_BYTES as usize / row.len();
        let found = read(format!("a,b\n1,\"x\n{}", row.repeat(count)).as_bytes());
        assert!(found[1].2.as_ref().unwrap_err().contains("within"));
        assert_eq!(found.iter().filter(|(_, _, cells)| cells.is_ok()).count(), count + 1);
    }

    #[test]
    fn what_is_not_utf_8_is_told_even_when_the_comma_splits_it() {
        let found = read(b"a,b\n\xc3,\xa9\n1,2\n");
        assert!(found[1].2.as_ref().unwrap_err().contains("UTF-8") && found[2].2.is_ok());
    }
}
