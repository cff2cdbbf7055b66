//! Every stored event, one after the other, for a copy in another format.

use super::facts::masks::Mask;
use super::row::RowRef;
use super::segment::Segment;
use super::view::View;
use crate::StoreError;
use std::collections::BTreeMap;
use std::sync::Arc;
use tallystick_domain::Namespace;
use tallystick_domain::event::StoredRef;

/// Hands out every event of a view as it is now, by namespace and type; within a type sealed rows come first, each segment in its own
/// order. Holds one block and pointers to the rows in memory.
pub(crate) fn export(
    view: &View,
    each: &mut dyn FnMut(&Namespace, StoredRef<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    for ((namespace, event_type), part) in parts(view) {
        let mask = view.masks.of(&namespace, &event_type);
        let is_seen = |stored: &StoredRef<'_>| mask.is_none_or(|mask| mask.shows(&stored.event));
        for segment in part.segments {
            let Some(table) = segment.table(&namespace, &event_type) else { continue };
            let mut reader = segment.reader(table);
            for block in &table.blocks {
                for stored in reader.events(block, 0..block.rows)? {
                    if is_seen(&stored.view()) {
                        each(&namespace, stored.view())?;
                    }
                }
            }
        }
        for row in part.rows.iter().filter(|row| is_seen(&row.stored)) {
            each(&namespace, row.stored)?;
        }
        for amended in mask.into_iter().flat_map(Mask::amended) {
            each(&namespace, amended.view())?;
        }
    }
    Ok(())
}

/// Where the events of one type are.
#[derive(Default)]
struct Part<'a> {
    segments: Vec<&'a Arc<Segment>>,
    rows: Vec<RowRef<'a>>,
}

fn parts(view: &View) -> BTreeMap<(Namespace, String), Part<'_>> {
    let mut parts: BTreeMap<_, Part<'_>> = BTreeMap::new();
    for segment in &view.segments {
        for table in segment.tables() {
            let key = (table.namespace.clone(), table.event_type.to_string());
            parts.entry(key).or_default().segments.push(segment);
        }
    }
    for row in view.chunks.iter().flat_map(|chunk| chunk.iter()) {
        let key = (row.namespace.clone(), row.stored.event.event_type().to_owned());
        parts.entry(key).or_default().rows.push(row);
    }
    parts
}
