//! Merges the tables of several segments column by column.

use super::column::{Column, Kind, Kinds};
use super::directory::Block;
use super::encode::{Ranks, Shared};
use super::ids::Ids;
use super::merge::Part;
use super::paths::Paths;
use super::reader::BlockReader;
use super::rebuild::Written;
use super::rows::is_worth_sharing;
use super::shape::{FIRST, Form, Shapes, shortest};
use super::sheet::{Sheet, SheetColumn, TextSource};
use super::texts::{Bodies, CodedTexts, Dictionary, DictionaryId, Texts};
use super::writer::{BLOCK_BYTES, BLOCK_ROWS, TableEnd, Writer};
use crate::StoreError;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Rows that are taken together before a block's weight is looked at again.
const STEP_ROWS: usize = 128;

/// A merge that knows the shapes, paths and texts of its outcome.
pub(super) struct Recode<'s> {
    inputs: Vec<Input<'s>>,
    paths: Paths,
    shapes: Shapes,
    /// For subjects, for sources, and by path: the texts, if all blocks share them.
    texts: Vec<Option<Union>>,
    sheet: Sheet,
    /// How many blocks were begun.
    begun: u64,
}

/// Texts of several dictionaries in one.
struct Union {
    met: Dictionary,
    /// The sorted position of each text of `met`.
    ranks: Vec<u32>,
    sorted: Arc<Texts>,
}

/// A table that is read from its start to its end.
struct Input<'s> {
    reader: BlockReader<'s>,
    blocks: std::slice::Iter<'s, Block>,
    /// The new position of each path.
    paths: Vec<usize>,
    /// The new code of each shape.
    shapes: Vec<u32>,
    /// For subjects, for sources, and by new path: the new codes of the texts that the table shares.
    codes: Vec<Option<(DictionaryId, Vec<u32>)>>,
    loaded: Loaded,
    /// The next row of the block that is loaded.
    at: usize,
}

/// A block in memory.
#[derive(Default)]
struct Loaded {
    rows: usize,
    times: Vec<i64>,
    ingested: Vec<i64>,
    subjects: CodedTexts,
    sources: CodedTexts,
    ids: Ids,
    shapes: Vec<u32>,
    /// By new path.
    columns: Vec<(usize, Column, Form)>,
    rest: Bodies,
    extras: Bodies,
    /// The number of the last block that was begun when its numbers were found to fit there.
    fits: u64,
}

impl<'s> Recode<'s> {
    /// Prepares a merge; `None` if some of the tables are not regular.
    pub fn plan(parts: &[Part<'s>]) -> Result<Option<Self>, StoreError> {
        let regular =
            |(segment, table): &Part<'_>| segment.format > 1 && table.blocks.iter().all(|block| block.all_paths_known);
        if !parts.iter().all(regular) {
            return Ok(None);
        }
        let (mut paths, mut shapes, mut inputs) = (Paths::default(), Shapes::default(), Vec::new());
        for (segment, table) in parts {
            let new_paths: Option<Vec<usize>> = table.paths.iter().map(|path| paths.add(path)).collect();
            let Some(new_paths) = new_paths else { return Ok(None) };
            let mut new_shapes: Vec<u32> = (0..FIRST).collect();
            for shape in &table.shapes {
                let members: Vec<u32> = shape.members.iter().map(|path| new_paths[*path as usize] as u32).collect();
                let Some(code) = shapes.learn(shape.style, &members, paths.depths()) else { return Ok(None) };
                new_shapes.push(code);
            }
            inputs.push(Input {
                reader: segment.reader(table),
                blocks: table.blocks.iter(),
                paths: new_paths,
                shapes: new_shapes,
                codes: Vec::new(),
                loaded: Loaded::default(),
                at: 0,
            });
        }
        let rows: usize = parts.iter().flat_map(|(_, table)| &table.blocks).map(|block| block.rows).sum();
        let mut recode = Self { inputs, paths, shapes, texts: Vec::new(), sheet: Sheet::default(), begun: 1 };
        recode.unite_texts(parts, rows)?;
        Ok(Some(recode))
    }

    /// Gathers the texts that blocks will share.
    fn unite_texts(&mut self, parts: &[Part<'s>], rows: usize) -> Result<(), StoreError> {
        for place in 0..2 + self.paths.names().len() {
            let mut union = Dictionary::default();
            for (input, (_, table)) in self.inputs.iter_mut().zip(parts) {
                let old = match place.checked_sub(2) {
                    None => Some(place),
                    Some(path) => input.paths.iter().position(|new| *new == path).map(|old| old + 2),
                };
                let Some(old) = old else { continue };
                input.gather(&table.blocks, old, &mut union, rows)?;
            }
            let met = TextSource::Met(union);
            let shared = is_worth_sharing(&met, rows);
            let TextSource::Met(union) = met else { continue };
            self.texts.push(shared.then(|| Union::of(union)));
        }
        let sheet = &mut self.sheet;
        sheet.columns.resize_with(self.paths.names().len(), SheetColumn::default);
        let columns = sheet.columns.iter_mut().map(|column| &mut column.texts);
        let sources = [&mut sheet.subjects.texts, &mut sheet.sources.texts].into_iter().chain(columns);
        for (source, union) in sources.zip(&self.texts) {
            if let Some(union) = union {
                *source = TextSource::Shared(Arc::clone(&union.sorted));
            }
        }
        Ok(())
    }

    /// Writes the table.
    pub fn run(mut self, path: &Path, writer: &mut Writer) -> Result<(), StoreError> {
        let failed = || StoreError::io("cannot write", path);
        let Some((namespace, event_type)) = self.inputs.first().map(|input| input.reader.name()) else {
            return Ok(());
        };
        writer.start_table(namespace, event_type);
        let shared: Shared = self.texts.iter().map(|union| union.as_ref().map(|_| Ranks(None))).collect();
        for input in &mut self.inputs {
            input.load(&self.texts)?;
        }
        while let Some((input, end)) = self.next_span() {
            let mut rows = self.inputs[input].at..end;
            while !rows.is_empty() {
                let room = BLOCK_ROWS - self.sheet.rows();
                let is_full = room == 0 || self.sheet.text_bytes() >= BLOCK_BYTES;
                if is_full || !self.fits(input) {
                    if self.sheet.rows() == 0 {
                        let misfit = io::Error::new(io::ErrorKind::InvalidData, "numbers of a block do not fit");
                        return Err(failed()(misfit));
                    }
                    self.end_block(writer, &shared).map_err(failed())?;
                    continue;
                }
                let step = rows.start..rows.end.min(rows.start + room.min(STEP_ROWS));
                rows.start = step.end;
                append(&mut self.sheet, &self.inputs[input].loaded, step);
            }
            self.inputs[input].at = end;
            if end == self.inputs[input].loaded.rows {
                self.inputs[input].load(&self.texts)?;
            }
        }
        self.end_block(writer, &shared).map_err(failed())?;
        let sorted = self.texts.iter().map(|union| union.as_ref().map(|union| &union.sorted));
        let dictionaries = sorted.map(|texts| texts.map(|texts| texts.iter().collect())).collect();
        let (paths, shapes) = (self.paths.names().to_vec(), self.shapes.into_known());
        writer.end_table(TableEnd { paths, shapes, dictionaries }).map_err(failed())
    }

    fn end_block(&mut self, writer: &mut Writer, shared: &Shared) -> io::Result<()> {
        let rows = self.sheet.rows();
        if rows > 0 {
            writer.push_block(&self.sheet, 0..rows, shared)?;
            self.sheet.clear();
            self.begun += 1;
        }
        Ok(())
    }

    /// Whether the numbers of the block that an input has loaded fit the block that is being filled.
    fn fits(&mut self, input: usize) -> bool {
        let loaded = &mut self.inputs[input].loaded;
        if loaded.fits == self.begun {
            return true;
        }
        let numbers = loaded.columns.iter().filter_map(|(path, column, _)| {
            let of_numbers = column.values.iter().enumerate().filter(|(row, _)| column.kinds.get(*row) == Kind::Number);
            let peak = of_numbers.map(|(_, value)| value.unsigned_abs()).max()?;
            Some((*path, column.scale, peak))
        });
        let mut fits = Vec::new();
        for (path, scale, peak) in numbers {
            let Some(fit) = self.sheet.columns[path].fit.with(scale, peak) else { return false };
            fits.push((path, fit));
        }
        fits.into_iter().for_each(|(path, fit)| self.sheet.columns[path].fit = fit);
        loaded.fits = self.begun;
        true
    }

    /// The input whose next row comes first, and the row of it before which another input comes.
    fn next_span(&self) -> Option<(usize, usize)> {
        let (mut first, mut second): (Option<usize>, Option<usize>) = (None, None);
        for (at, input) in self.inputs.iter().enumerate().filter(|(_, input)| input.at < input.loaded.rows) {
            let is_before = |other: Option<usize>| {
                other.is_none_or(|other| self.order(input, input.at, &self.inputs[other]).is_lt())
            };
            if is_before(first) {
                (second, first) = (first, Some(at));
            } else if is_before(second) {
                second = Some(at);
            }
        }
        let first = first?;
        let input = &self.inputs[first];
        let Some(bound) = second.map(|second| &self.inputs[second]) else { return Some((first, input.loaded.rows)) };
        let mut end = input.at + 1;
        while end < input.loaded.rows && self.order(input, end, bound).is_lt() {
            end += 1;
        }
        Some((first, end))
    }

    /// Segment order of a row of an input and the next row of another.
    fn order(&self, left: &Input<'_>, row: usize, right: &Input<'_>) -> Ordering {
        let (left, other, at) = (&left.loaded, &right.loaded, right.at);
        let subjects = match self.texts[0] {
            // Codes are positions among all sorted subjects.
            Some(_) => left.subjects.codes[row].cmp(&other.subjects.codes[at]),
            None => left.subjects.get(row).cmp(other.subjects.get(at)),
        };
        let source_and_id =
            || left.sources.get(row).cmp(other.sources.get(at)).then_with(|| left.ids.compare(row, &other.ids, at));
        subjects.then_with(|| left.times[row].cmp(&other.times[at])).then_with(source_and_id)
    }
}

impl Union {
    fn of(met: Dictionary) -> Self {
        let source = TextSource::Met(met);
        let (order, ranks) = source.sorted();
        let sorted = Arc::new(order.iter().map(|code| source.get(*code as usize)).collect());
        let TextSource::Met(met) = source else { return Self { met: Dictionary::default(), ranks, sorted } };
        Self { met, ranks, sorted }
    }

    /// The new codes of texts, all of which were gathered.
    fn codes_of(&self, texts: &Texts) -> Option<Vec<u32>> {
        texts.iter().map(|text| Some(self.ranks[self.met.position(text)? as usize])).collect()
    }
}

impl Input<'_> {
    /// Adds the texts of a column to those of others, until they are too many to be shared.
    fn gather(
        &mut self,
        blocks: &[Block],
        place: usize,
        union: &mut Dictionary,
        rows: usize,
    ) -> Result<(), StoreError> {
        let add = |texts: &Texts, union: &mut Dictionary| {
            let is_open = |texts: &Texts| super::dictionary::may_hold(texts) && texts.len() <= rows / 2;
            texts
                .iter()
                .take_while(|text| {
                    union.code(text);
                    is_open(union.texts())
                })
                .count();
            is_open(union.texts())
        };
        if let Some((_, texts)) = self.reader.dictionary(place)? {
            add(texts, union);
            return Ok(());
        }
        let mut column = Column::default();
        for block in blocks {
            let texts = match place {
                0 => self.reader.subjects(block)?.texts,
                1 => self.reader.sources(block)?.texts,
                _ if self.reader.path_into(block, place - 2, &mut column)? => Arc::clone(&column.texts),
                _ => continue,
            };
            if !add(&texts, union) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads the next block, if there is one.
    fn load(&mut self, texts: &[Option<Union>]) -> Result<(), StoreError> {
        self.at = 0;
        let loaded = &mut self.loaded;
        loaded.rows = 0;
        let Some(block) = self.blocks.next() else { return Ok(()) };
        let reader = &mut self.reader;
        reader.times_into(block, &mut loaded.times)?;
        loaded.ingested = reader.ingested(block, &loaded.times)?;
        loaded.subjects = reader.subjects(block)?;
        loaded.sources = reader.sources(block)?;
        loaded.ids = reader.raw_ids(block)?;
        loaded.rest = reader.rest(block)?;
        loaded.extras = reader.extras(block)?;
        let Written { shapes, mut forms } = reader.written(block)?;
        let new_shape = |shape: u32| self.shapes.get(shape as usize).copied();
        let shapes: Option<Vec<u32>> = shapes.into_iter().map(new_shape).collect();
        loaded.shapes = shapes.ok_or_else(|| reader.damaged(block, "a row has an unknown shape"))?;
        let missing = || reader.damaged(block, "a text is in no dictionary");
        self.codes.resize(texts.len(), None);
        for (place, coded) in [&mut loaded.subjects, &mut loaded.sources].into_iter().enumerate() {
            if let Some(union) = &texts[place] {
                let new = new_codes(&mut self.codes[place], union, coded.shared, &coded.texts).ok_or_else(missing)?;
                coded.codes.iter_mut().for_each(|code| *code = new[*code as usize]);
                coded.texts = Arc::clone(&union.sorted);
            }
        }
        loaded.columns.clear();
        for (old, new) in self.paths.iter().enumerate() {
            let mut column = Column::default();
            if !reader.path_into(block, old, &mut column)? {
                continue;
            }
            if let Some(union) = &texts[2 + new] {
                let missing = || reader.damaged(block, "a text is in no dictionary");
                let known = &mut self.codes[2 + new];
                let new = new_codes(known, union, column.shared, &column.texts).ok_or_else(missing)?;
                recode_texts(&mut column, &new);
                column.texts = Arc::clone(&union.sorted);
            }
            loaded.columns.push((*new, column, std::mem::take(&mut forms[old])));
        }
        (loaded.rows, loaded.fits) = (block.rows, 0);
        Ok(())
    }
}

/// The new codes of a block's texts; those of a dictionary that the table shares are found once.
fn new_codes<'c>(
    known: &'c mut Option<(DictionaryId, Vec<u32>)>,
    union: &Union,
    shared: Option<DictionaryId>,
    texts: &Texts,
) -> Option<Cow<'c, [u32]>> {
    let Some(name) = shared else { return union.codes_of(texts).map(Cow::Owned) };
    if !matches!(known, Some((known, _)) if *known == name) {
        *known = Some((name, union.codes_of(texts)?));
    }
    known.as_ref().map(|(_, codes)| Cow::Borrowed(codes.as_slice()))
}

fn recode_texts(column: &mut Column, new: &[u32]) {
    for (row, value) in column.values.iter_mut().enumerate() {
        if column.kinds.get(row) == Kind::Text {
            *value = i64::from(new[*value as usize]);
        }
    }
}

/// Appends rows of a loaded block to a sheet.
fn append(sheet: &mut Sheet, from: &Loaded, rows: Range<usize>) {
    sheet.times.extend_from_slice(&from.times[rows.clone()]);
    sheet.ingested.extend_from_slice(&from.ingested[rows.clone()]);
    for (texts, coded) in [(&mut sheet.subjects, &from.subjects), (&mut sheet.sources, &from.sources)] {
        let codes = &coded.codes[rows.clone()];
        match &mut texts.texts {
            TextSource::Shared(_) => texts.codes.extend_from_slice(codes),
            TextSource::Met(met) => {
                texts.codes.extend(codes.iter().map(|code| met.code(coded.texts.get(*code as usize))))
            }
        }
    }
    sheet.ids.extend(&from.ids, rows.clone());
    sheet.rest.extend(&from.rest, rows.clone());
    sheet.extras.extend(&from.extras, rows.clone());
    for (path, column, form) in &from.columns {
        append_column(sheet.column(*path), column, form, rows.clone());
    }
    sheet.shapes.extend_from_slice(&from.shapes[rows]);
}

fn append_column(sheet: &mut SheetColumn, column: &Column, form: &Form, rows: Range<usize>) {
    let end = sheet.kinds.len() + rows.len();
    let values = &column.values[rows.clone()];
    match &column.kinds {
        Kinds::All(kind) => sheet.kinds.resize(end, *kind),
        Kinds::Each(kinds) => sheet.kinds.extend(kinds[rows.clone()].iter().map(|kind| match kind {
            // Rows without data are known by their shape.
            Kind::NoData => Kind::Missing,
            kind => *kind,
        })),
    }
    match &mut sheet.texts {
        TextSource::Met(met) if column.texts.len() > 0 => {
            sheet.values.extend(rows.clone().map(|row| match column.kinds.get(row) {
                Kind::Text => i64::from(met.code(column.texts.get(column.values[row] as usize))),
                _ => column.values[row],
            }));
        }
        _ => sheet.values.extend_from_slice(values),
    }
    sheet.scales.resize(end, column.scale as u8);
    match form {
        Form::Plain => sheet.forms.resize(end, column.scale as u8),
        Form::Shortest => sheet.forms.extend(values.iter().map(|value| shortest(*value, column.scale))),
        Form::Each(forms) => sheet.forms.extend_from_slice(&forms[rows]),
    }
}
