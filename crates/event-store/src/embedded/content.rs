//! What is stored, in numbers for people: by file, by type, and how well it is compressed.

use super::lock;
use super::rows::texts_len;
use super::segment::{Block, Segment, Table};
use super::shared::Shared;
use crate::StoreError;
use crate::report::{RunContent, Sample, SegmentContent, StoreContent, TypeContent};
use std::collections::BTreeMap;
use std::sync::Arc;
use tallystick_domain::Instant;

/// Blocks that are read for the sample, spread over all segments.
const SAMPLE_BLOCKS: usize = 64;
/// Bytes of the event's time and of its acceptance before compression.
const TWO_TIMES: usize = 16;

/// The content of this moment; reads a few blocks.
pub(crate) fn content(shared: &Shared) -> Result<StoreContent, StoreError> {
    let (segments, runs, chunks) = {
        let live = lock(&shared.live);
        let frozen = live.frozen.iter().flat_map(|frozen| &frozen.memtable.chunks);
        let chunks: Vec<_> = frozen.chain(&live.active.chunks).cloned().collect();
        (live.segments.clone(), live.runs.clone(), chunks)
    };
    let mut types = Types::default();
    for table in segments.iter().flat_map(|live| live.segment.tables()) {
        for block in &table.blocks {
            let span = (block.times.first, block.times.last);
            types.add(table.namespace.as_str(), &table.event_type, block.rows as u64, span);
        }
    }
    for row in chunks.iter().flat_map(|chunk| chunk.iter()) {
        let event = row.stored.event;
        types.add(row.namespace.as_str(), event.event_type(), 1, (event.time(), event.time()));
    }
    let sources: Vec<_> = segments.iter().map(|live| live.segment.clone()).collect();
    let mut content = StoreContent { sample: sample(&sources)?, types: types.list(), ..StoreContent::default() };
    content.segments = segments
        .iter()
        .map(|live| {
            let meta = live.segment.meta();
            let (rows, bytes, first, last) = (meta.rows, meta.bytes, meta.first, meta.last);
            SegmentContent { number: live.number, rows, bytes, first, last }
        })
        .collect();
    content.segments.sort_by_key(|segment| segment.number);
    let run = |live: &super::shared::LiveRun| RunContent {
        number: live.number,
        identities: live.run.keys(),
        bytes: live.run.bytes(),
    };
    content.runs = runs.iter().map(run).collect();
    content.runs.sort_by_key(|run| run.number);
    Ok(content)
}

/// Counts and time spans by namespace and type.
#[derive(Default)]
struct Types(BTreeMap<String, BTreeMap<String, (u64, Instant, Instant)>>);

impl Types {
    fn add(&mut self, namespace: &str, event_type: &str, events: u64, (first, last): (Instant, Instant)) {
        // Looked up before it is inserted: nearly every row belongs to a type that is known.
        if !self.0.contains_key(namespace) {
            self.0.insert(namespace.to_owned(), BTreeMap::new());
        }
        let Some(of_namespace) = self.0.get_mut(namespace) else { return };
        match of_namespace.get_mut(event_type) {
            Some(known) => *known = (known.0 + events, known.1.min(first), known.2.max(last)),
            None => drop(of_namespace.insert(event_type.to_owned(), (events, first, last))),
        }
    }

    fn list(self) -> Vec<TypeContent> {
        let entries = self.0.into_iter().flat_map(|(namespace, types)| {
            types.into_iter().map(move |(event_type, (events, first, last))| {
                let namespace = namespace.clone();
                TypeContent { namespace, event_type, events, first, last }
            })
        });
        entries.collect()
    }
}

/// Reads blocks at even distances and compares what their rows take as texts with what they take in the file.
fn sample(segments: &[Arc<Segment>]) -> Result<Sample, StoreError> {
    let blocks = |segment: &Arc<Segment>| segment.tables().iter().map(|table| table.blocks.len()).sum::<usize>();
    let count: usize = segments.iter().map(blocks).sum();
    let distance = count.div_ceil(SAMPLE_BLOCKS).max(1);
    let mut taken = Sample::default();
    let all = segments.iter().flat_map(|segment| {
        segment.tables().iter().flat_map(move |table| table.blocks.iter().map(move |block| (segment, table, block)))
    });
    for (segment, table, block) in all.step_by(distance) {
        add_block(&mut taken, segment, table, block)?;
    }
    Ok(taken)
}

fn add_block(taken: &mut Sample, segment: &Segment, table: &Table, block: &Block) -> Result<(), StoreError> {
    for stored in segment.reader(table).events(block, 0..block.rows)? {
        taken.raw_bytes += (texts_len(stored.event.view()) + TWO_TIMES) as u64;
    }
    taken.events += block.rows as u64;
    taken.stored_bytes += table.bytes_of(block);
    Ok(())
}
