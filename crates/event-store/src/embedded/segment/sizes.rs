//! What the bytes of a segment are spent on.

use super::Segment;
use super::directory::{PARTS, Part};
use std::collections::BTreeMap;

/// Bytes of segments by what they hold. Together they are the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentSizes {
    /// Event times.
    pub times: u64,
    /// Moments of acceptance.
    pub ingested: u64,
    /// Subjects, without shared texts.
    pub subjects: u64,
    /// Sources, without shared texts.
    pub sources: u64,
    /// Ids.
    pub ids: u64,
    /// Data texts that columns do not make.
    pub data: u64,
    /// Texts of further attributes.
    pub extras: u64,
    /// Which shape each row has, and forms of its values.
    pub shapes: u64,
    /// Property columns, by member names joined with dots.
    pub columns: BTreeMap<String, u64>,
    /// Texts that blocks share.
    pub dictionaries: u64,
    /// Header, directory and trailer.
    pub directory: u64,
}

impl Segment {
    /// Adds what its bytes are spent on.
    pub fn add_sizes(&self, sizes: &mut SegmentSizes) {
        let before = sizes.dictionaries;
        for table in &self.tables {
            let of = |column: usize| {
                table.groups.iter().map(|group| group.place(column, 0, group.blocks).1 as u64).sum::<u64>()
            };
            for (part, sum) in [
                (Part::Time, &mut sizes.times),
                (Part::IngestedAt, &mut sizes.ingested),
                (Part::Subject, &mut sizes.subjects),
                (Part::Source, &mut sizes.sources),
                (Part::Id, &mut sizes.ids),
                (Part::Data, &mut sizes.data),
                (Part::Extras, &mut sizes.extras),
                (Part::Shape, &mut sizes.shapes),
            ] {
                *sum += of(part as usize);
            }
            for (path, names) in table.paths.iter().enumerate() {
                *sizes.columns.entry(names.join(".")).or_default() += of(PARTS + path);
            }
            sizes.dictionaries += table.dictionaries.iter().map(|place| u64::from(place.len)).sum::<u64>();
        }
        let chunks: u64 = self.tables.iter().flat_map(|table| &table.groups).map(|group| group.len()).sum();
        sizes.directory += self.meta.bytes - chunks - (sizes.dictionaries - before);
    }
}
