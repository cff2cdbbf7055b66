//! Brings rows, which come one by one and in segment order, into a segment.
//!
//! The rows of a table are gathered in a sheet, so that its texts are known before its first block is written; a table of
//! more rows than a sheet may hold is written without shared texts.

use super::column::Kind;
use super::dictionary::may_hold;
use super::encode::{Ranks, Shared};
use super::parse::Parser;
use super::sheet::{Fit, Sheet, TextSource};
use super::writer::{BLOCK_BYTES, BLOCK_ROWS, TableEnd, Writer};
use crate::embedded::row::RowView;
use std::io;
use tallystick_domain::Namespace;

/// The most rows of a sheet.
pub(super) const SHEET_ROWS: usize = 1 << 20;
/// A sheet is written out when its texts take this many bytes.
pub(super) const SHEET_BYTES: usize = 128 << 20;

/// The rows of a table that were not written yet.
#[derive(Default)]
pub(super) struct TableRows {
    of: Option<(Namespace, Box<str>)>,
    parser: Parser,
    sheet: Sheet,
    /// Where blocks end.
    cuts: Vec<usize>,
    /// Bytes of the block that is being filled.
    weight: usize,
    /// Whether blocks were written already.
    has_written: bool,
    before: Before,
}

/// The place of the row before in segment order.
#[derive(Default)]
struct Before {
    subject: String,
    time: i64,
    source: String,
    id: String,
}

impl TableRows {
    /// Takes a row, which begins another table if it is of one.
    pub fn push(&mut self, writer: &mut Writer, row: &impl RowView) -> io::Result<()> {
        let row = row.view();
        let event = row.stored.event;
        let order = match &self.of {
            None => std::cmp::Ordering::Less,
            Some((namespace, event_type)) => {
                let tables = namespace.cmp(row.namespace).then_with(|| (**event_type).cmp(event.event_type()));
                let before = &self.before;
                tables
                    .then_with(|| before.subject.as_str().cmp(event.subject()))
                    .then_with(|| before.time.cmp(&event.time().as_micros()))
                    .then_with(|| before.source.as_str().cmp(event.source()))
                    .then_with(|| before.id.as_str().cmp(event.id()))
            }
        };
        if order.is_ge() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "rows are not in segment order"));
        }
        let is_here = |(namespace, event_type): &(Namespace, Box<str>)| {
            namespace == row.namespace && **event_type == *event.event_type()
        };
        if !self.of.as_ref().is_some_and(is_here) {
            self.end(writer)?;
            let (namespace, event_type): (Namespace, Box<str>) = (row.namespace.clone(), event.event_type().into());
            writer.start_table(namespace.clone(), event_type.clone());
            *self = Self { of: Some((namespace, event_type)), ..Self::default() };
        } else if self.sheet.rows() - self.cuts.last().copied().unwrap_or(0) == BLOCK_ROWS || self.weight >= BLOCK_BYTES
        {
            self.cut(writer)?;
        }
        for (text, now) in [
            (&mut self.before.subject, event.subject()),
            (&mut self.before.source, event.source()),
            (&mut self.before.id, event.id()),
        ] {
            text.clear();
            text.push_str(now);
        }
        self.before.time = event.time().as_micros();
        let sheet = &mut self.sheet;
        self.weight += sheet.push_head(row) as usize;
        sheet.extras.push(event.extras());
        self.parser.push_data(sheet, event.data());
        Ok(())
    }

    /// Ends a block. A sheet that is full is written.
    fn cut(&mut self, writer: &mut Writer) -> io::Result<()> {
        self.cuts.push(self.sheet.rows());
        self.weight = 0;
        // Each block has a scale of its own.
        self.sheet.columns.iter_mut().for_each(|column| column.fit = Fit::default());
        if self.sheet.rows() >= SHEET_ROWS || self.sheet.text_bytes() >= SHEET_BYTES {
            self.write_blocks(writer, &Vec::new())?;
        }
        Ok(())
    }

    fn write_blocks(&mut self, writer: &mut Writer, shared: &Shared) -> io::Result<()> {
        let mut start = 0;
        for end in std::mem::take(&mut self.cuts) {
            writer.push_block(&self.sheet, start..end, shared)?;
            start = end;
        }
        self.sheet.clear();
        self.has_written = true;
        Ok(())
    }

    /// Completes the table.
    pub fn end(&mut self, writer: &mut Writer) -> io::Result<()> {
        if self.of.take().is_none() {
            return Ok(());
        }
        if self.cuts.last().copied().unwrap_or(0) < self.sheet.rows() {
            self.cuts.push(self.sheet.rows());
        }
        let (parser, cuts) = (std::mem::take(&mut self.parser), std::mem::take(&mut self.cuts));
        end_table(writer, parser, &self.sheet, &cuts, !self.has_written)
    }
}

/// Writes the blocks of a table that are left, which end at `cuts`, and completes it. Blocks share texts only if all of them do.
pub(super) fn end_table(
    writer: &mut Writer,
    parser: Parser,
    sheet: &Sheet,
    cuts: &[usize],
    may_share: bool,
) -> io::Result<()> {
    let (mut shared, mut orders) = (Shared::new(), Vec::new());
    if may_share {
        for (texts, rows) in text_columns(sheet) {
            let sorted = is_worth_sharing(texts, rows).then(|| texts.sorted());
            let (order, ranks) = sorted.unzip();
            shared.push(ranks.map(|ranks| Ranks(Some(ranks))));
            orders.push(order);
        }
    }
    let mut start = 0;
    for end in cuts {
        writer.push_block(sheet, start..*end, &shared)?;
        start = *end;
    }
    let columns = orders.iter().zip(text_columns(sheet));
    let sorted = columns.map(|(order, (texts, _))| {
        order.as_ref().map(|order: &Vec<u32>| order.iter().map(|code| texts.get(*code as usize)).collect())
    });
    writer.end_table(TableEnd {
        paths: parser.paths.names().to_vec(),
        shapes: parser.shapes.into_known(),
        dictionaries: sorted.collect(),
    })
}

/// Texts of subjects, of sources, and by path, and how many rows have one.
fn text_columns(sheet: &Sheet) -> impl Iterator<Item = (&TextSource, usize)> {
    let Sheet { subjects, sources, columns, .. } = sheet;
    let of_rows = [subjects, sources].into_iter().map(|texts| (&texts.texts, texts.codes.len()));
    let with_text = |kinds: &[Kind]| kinds.iter().filter(|kind| **kind == Kind::Text).count();
    of_rows.chain(columns.iter().map(move |column| (&column.texts, with_text(&column.kinds))))
}

/// Whether texts are few enough, and shared by enough rows.
pub(super) fn is_worth_sharing(texts: &TextSource, rows: usize) -> bool {
    let texts = texts.texts();
    may_hold(texts) && texts.len() > 0 && texts.len() <= rows / 2
}
