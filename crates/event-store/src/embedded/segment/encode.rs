//! Turns rows of a sheet into the chunks of a block.

use super::chunk::{Packer, Worth};
use super::column::{Kind, OWN_TEXTS, SHARED_TEXTS};
use super::directory::{Block, NumberStats, PARTS, Part, Span};
use super::ints::{IntWriter, put_codes};
use super::shape::{FIRST, FORMS, MAX_SHAPES, NO_DATA, VERBATIM, shortest};
use super::sheet::{Sheet, SheetColumn, SheetTexts, TextSource};
use super::texts::{put_bodies, put_coded};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use tallystick_domain::Instant;

/// No number of a column has a zero at its end.
pub(super) const SHORTEST: u8 = 1;
/// Forms by row.
pub(super) const EACH: u8 = 2;
/// The number of shapes, as codes know it.
pub(super) const KNOWN_SHAPES: usize = FIRST as usize + MAX_SHAPES;

/// For a column whose texts the table shares, the position in the table's dictionary of each code of the sheet.
#[derive(Default)]
pub(super) struct Ranks(pub Option<Vec<u32>>);

impl Ranks {
    fn of(&self, code: u32) -> u32 {
        self.0.as_ref().map_or(code, |ranks| ranks[code as usize])
    }
}

/// Which columns have texts that the table shares: for subjects, for sources, and by path.
pub(super) type Shared = Vec<Option<Ranks>>;

/// Encodes blocks, keeping its working memory.
pub(super) struct Encoder {
    packer: Packer,
    ints: IntWriter,
    payload: Vec<u8>,
    values: Vec<i64>,
}

/// A block that is not in the file yet.
pub(super) struct EncodedBlock {
    pub block: Block,
    /// The chunks of its parts and then of its paths, without their checksums.
    pub chunks: Vec<Vec<u8>>,
}

impl Encoder {
    /// Allocates the working memory.
    pub fn new() -> io::Result<Self> {
        let (ints, payload, values) = (IntWriter::default(), Vec::new(), Vec::new());
        Ok(Self { packer: Packer::new()?, ints, payload, values })
    }

    /// Wraps a payload that is not part of a block.
    pub fn pack(&mut self, payload: &[u8]) -> io::Result<Vec<u8>> {
        self.packer.pack(payload, Some(Worth::SevenEighths))
    }

    /// The block of some rows, of which there is at least one.
    pub fn block(&mut self, sheet: &Sheet, rows: Range<usize>, shared: &Shared) -> io::Result<EncodedBlock> {
        let mut chunks = Vec::with_capacity(PARTS + sheet.columns.len());
        for part in Part::ALL {
            self.payload.clear();
            let worth = self.part(part, sheet, rows.clone(), shared);
            chunks.push(self.packer.pack(&self.payload, worth)?);
        }
        // The lists ascend.
        let within = |list: &[u32]| {
            let at = list.partition_point(|row| (*row as usize) < rows.start);
            list.get(at).is_some_and(|row| (*row as usize) < rows.end)
        };
        let is_sound = !within(&sheet.unsound);
        let mut numbers = Vec::new();
        for (path, column) in sheet.columns.iter().enumerate() {
            self.payload.clear();
            let mut worth = None;
            if is_sound && column.has_some(rows.clone()) {
                let ranks = shared.get(2 + path).and_then(Option::as_ref);
                let (compressible, stats) = self.column(column, &sheet.shapes, rows.clone(), ranks)?;
                worth = compressible;
                numbers.extend(stats.map(|stats| (path as u32, stats)));
            }
            chunks.push(self.packer.pack(&self.payload, worth)?);
        }
        let subject = |row: usize| -> Arc<str> { sheet.subjects.get(row).into() };
        let block = Block {
            rows: rows.len(),
            times: span(&sheet.times[rows.clone()])?,
            ingested: span(&sheet.ingested[rows.clone()])?,
            first_subject: subject(rows.start),
            last_subject: subject(rows.end - 1),
            some_without_data: sheet.shapes[rows.clone()].contains(&NO_DATA),
            all_paths_known: is_sound && !within(&sheet.with_unknown_paths),
            numbers,
            group: 0,
            at: 0,
        };
        Ok(EncodedBlock { block, chunks })
    }

    /// Encodes a part, and says how much compressing it must save, if that is worth a try.
    fn part(&mut self, part: Part, sheet: &Sheet, rows: Range<usize>, shared: &Shared) -> Option<Worth> {
        let out = &mut self.payload;
        let texts = |place: usize| shared.get(place).and_then(Option::as_ref);
        match part {
            Part::Time => self.ints.put(out, &sheet.times[rows]),
            Part::IngestedAt => self.ingested(&sheet.ingested[rows.clone()], &sheet.times[rows]),
            Part::Subject => return put_texts(out, &sheet.subjects, rows, texts(0)),
            Part::Source => return put_texts(out, &sheet.sources, rows, texts(1)),
            Part::Id => return sheet.ids.put(out, rows).then_some(Worth::SevenEighths),
            Part::Data => put_bodies(out, &mut self.ints, rows.map(|row| sheet.rest.get(row))),
            Part::Extras => put_bodies(out, &mut self.ints, rows.map(|row| sheet.extras.get(row))),
            Part::Shape => self.shapes(sheet, rows),
        }
        matches!(part, Part::Data | Part::Extras).then_some(Worth::SevenEighths)
    }

    /// Writes the moments of acceptance as they are, or as the delay after the event's time if that is shorter.
    fn ingested(&mut self, moments: &[i64], times: &[i64]) {
        let out = &mut self.payload;
        out.push(0);
        self.ints.put(out, moments);
        let as_plain = out.len();
        self.values.clear();
        self.values.extend(moments.iter().zip(times).map(|(at, time)| at.wrapping_sub(*time)));
        out.push(1);
        self.ints.put(out, &self.values);
        if out.len() < 2 * as_plain {
            out.drain(..as_plain);
        } else {
            out.truncate(as_plain);
        }
    }

    /// Writes which shape each row has, and which columns were written in another way than the plain one.
    fn shapes(&mut self, sheet: &Sheet, rows: Range<usize>) {
        put_codes(&mut self.payload, sheet.shapes[rows.clone()].iter().copied(), KNOWN_SHAPES);
        for (path, column) in sheet.columns.iter().enumerate() {
            if !column.has_some(rows.clone()) {
                continue;
            }
            let scale = column.scale(rows.clone());
            let shaped = || column.existing(rows.clone()).filter(|row| sheet.shapes[*row] >= FIRST);
            let form = |row: usize| match column.kinds[row] {
                Kind::Number => column.forms[row],
                Kind::Text if column.forms[row] == VERBATIM => VERBATIM,
                _ => scale,
            };
            if shaped().all(|row| form(row) == scale) {
                continue;
            }
            let out = &mut self.payload;
            out.push(path as u8);
            let is_shortest = |row: usize| match column.kinds[row] {
                Kind::Number => form(row) == shortest(column.values[row], u32::from(column.scales[row])),
                _ => form(row) != VERBATIM,
            };
            if shaped().all(is_shortest) {
                out.push(SHORTEST);
                continue;
            }
            out.push(EACH);
            let of_row = |row: usize| if row < column.kinds.len() { u32::from(form(row)) } else { u32::from(scale) };
            put_codes(out, rows.clone().map(of_row), FORMS);
        }
    }

    /// Encodes what stands at a path.
    fn column(
        &mut self,
        column: &SheetColumn,
        shapes: &[u32],
        rows: Range<usize>,
        ranks: Option<&Ranks>,
    ) -> io::Result<(Option<Worth>, Option<NumberStats>)> {
        let scale = column.scale(rows.clone());
        let kind = |row: usize| match column.kinds.get(row) {
            _ if shapes[row] == NO_DATA => Kind::NoData,
            None => Kind::Missing,
            Some(kind) => *kind,
        };
        let out = &mut self.payload;
        out.push(scale);
        put_codes(out, rows.clone().map(|row| kind(row) as u32), Kind::ALL.len());
        let of = |wanted: Kind| column.existing(rows.clone()).filter(move |row| column.kinds[*row] == wanted);
        self.values.clear();
        for row in of(Kind::Number) {
            let factor = 10i64.checked_pow(u32::from(scale - column.scales[row]));
            let value = factor.and_then(|factor| column.values[row].checked_mul(factor));
            let misfit = || io::Error::new(io::ErrorKind::InvalidData, "numbers of a block do not fit one scale");
            self.values.push(value.ok_or_else(misfit)?);
        }
        self.ints.put(out, &self.values);
        let all_numbers = self.values.len() == rows.len();
        let stats = all_numbers.then(|| NumberStats::of(&self.values, u32::from(scale)));
        if of(Kind::Text).next().is_none() {
            return Ok((None, stats));
        }
        if let Some(ranks) = ranks {
            out.push(SHARED_TEXTS);
            self.values.clear();
            self.values.extend(of(Kind::Text).map(|row| i64::from(ranks.of(column.values[row] as u32))));
            self.ints.put(out, &self.values);
            return Ok((None, stats));
        }
        out.push(OWN_TEXTS);
        put_coded(out, of(Kind::Text).map(|row| column.texts.get(column.values[row] as usize)));
        Ok((Some(Worth::Half), stats))
    }
}

fn put_texts(out: &mut Vec<u8>, texts: &SheetTexts, rows: Range<usize>, ranks: Option<&Ranks>) -> Option<Worth> {
    match ranks {
        None => {
            put_coded(out, rows.map(|row| texts.get(row)));
            Some(Worth::SevenEighths)
        }
        Some(ranks) => {
            let codes = &texts.codes[rows];
            put_codes(out, codes.iter().map(|code| ranks.of(*code)), texts.texts.texts().len());
            None
        }
    }
}

fn span(micros: &[i64]) -> io::Result<Span> {
    let mut span = Span::EMPTY;
    let ends = [micros.iter().min(), micros.iter().max()];
    for at in ends.into_iter().flatten() {
        let outside = || io::Error::new(io::ErrorKind::InvalidData, "a time is outside of the stored years");
        span.include(Instant::from_micros(*at).ok_or_else(outside)?);
    }
    Ok(span)
}

impl SheetTexts {
    /// Gives the texts the codes that they have when they are sorted.
    pub fn sort_texts(&mut self) {
        let (order, ranks) = self.texts.sorted();
        self.codes.iter_mut().for_each(|code| *code = ranks[*code as usize]);
        let sorted = order.iter().map(|code| self.texts.get(*code as usize)).collect();
        self.texts = TextSource::Shared(Arc::new(sorted));
    }

    /// The text of a row, which must exist.
    pub fn get(&self, row: usize) -> &str {
        self.texts.get(self.codes[row] as usize)
    }
}

impl SheetColumn {
    /// Those of some rows that the column has.
    fn existing(&self, rows: Range<usize>) -> Range<usize> {
        let end = rows.end.min(self.kinds.len());
        rows.start.min(end)..end
    }

    /// Whether something stands at the path in some of the rows.
    fn has_some(&self, rows: Range<usize>) -> bool {
        self.kinds[self.existing(rows)].iter().any(|kind| *kind != Kind::Missing)
    }

    /// The largest scale of some rows.
    fn scale(&self, rows: Range<usize>) -> u8 {
        self.scales[self.existing(rows)].iter().fold(0, |scale, other| scale.max(*other))
    }
}

impl TextSource {
    /// The positions of the codes when the texts are sorted, and the sorted texts.
    pub fn sorted(&self) -> (Vec<u32>, Vec<u32>) {
        let texts = self.texts();
        let mut order: Vec<u32> = (0..texts.len() as u32).collect();
        order.sort_unstable_by(|left, right| texts.get(*left as usize).cmp(texts.get(*right as usize)));
        let mut ranks = vec![0; order.len()];
        order.iter().enumerate().for_each(|(rank, code)| ranks[*code as usize] = rank as u32);
        (order, ranks)
    }
}
