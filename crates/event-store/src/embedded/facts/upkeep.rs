//! The facts file and the MANIFEST that names it.

use super::{Fact, file};
use crate::StoreError;
use crate::embedded::files::{self, sync_dir};
use crate::embedded::lock;
use crate::embedded::manifest::{FactsEntry, Manifest};
use crate::embedded::shared::{Live, Shared};

/// Changes the MANIFEST together with facts that the change brings: a new facts file holds them beside all others, and
/// they have their effect in the moment in which queries see the change.
pub(crate) fn commit(
    shared: &Shared,
    number: u64,
    added: Vec<Fact>,
    edit: impl FnOnce(&mut Manifest),
    publish: impl FnOnce(&mut Live),
) -> Result<(), StoreError> {
    let _turn = lock(&shared.facts_turn);
    let written = write_next(shared, number, &added);
    let mut replaced = None;
    let committed = written.and_then(|(written_through, entry)| {
        let mut facts = lock(&shared.facts);
        shared.commit(
            |manifest| {
                edit(manifest);
                if let Some(entry) = entry {
                    replaced = manifest.facts.replace(entry);
                }
            },
            |live| {
                publish(live);
                facts.in_file = facts.in_file.max(written_through);
                added.into_iter().for_each(|fact| facts.apply(&shared.secret, fact));
            },
        )
    });
    if committed.as_ref().is_err_and(files::is_full) {
        // A full disk left the MANIFEST as it was, so nothing names the new file.
        files::remove(shared.layout.disk(), &shared.layout.facts(number))?;
    }
    committed?;
    if let Some(old) = replaced
        && let Err(error) = files::remove(shared.layout.disk(), &shared.layout.facts(old.number))
    {
        tracing::warn!(%error, "a replaced facts file stays until the next start");
    }
    Ok(())
}

/// Writes all facts of this moment and those that are added: the last frame whose facts are in the file, and the file;
/// `None` if the last one says the same.
fn write_next(shared: &Shared, number: u64, added: &[Fact]) -> Result<(u64, Option<FactsEntry>), StoreError> {
    let (sequence, bytes) = {
        let facts = lock(&shared.facts);
        if added.is_empty() && facts.sequence == facts.in_file {
            return Ok((facts.in_file, None));
        }
        (facts.sequence, facts.encode(added))
    };
    let path = shared.layout.facts(number);
    let len = file::write(shared.layout.disk(), &path, sequence, &bytes)?;
    sync_dir(shared.layout.disk(), &shared.layout.facts_dir())?;
    Ok((sequence, Some(FactsEntry { number, bytes: len })))
}
