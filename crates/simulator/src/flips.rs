//! Bits that turn over while a store is closed, or while it is open.

use crate::world::World;
use std::path::PathBuf;

/// What became of flipped bits, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flipped {
    /// The store did not open, and the error named the file.
    pub refused: u64,
    /// Some queries failed with the name of the file, others were answered as ever.
    pub in_part: u64,
    /// All queries failed with the name of the file.
    pub unanswered: u64,
    /// Everything was answered as ever: nothing that was asked for is in the flipped byte.
    pub unnoticed: u64,
}

/// Closes a store, then turns over bits of its files, one at a time. Every answer must be right, or an error that names
/// the file. Panics at the first that is not.
pub fn flips(seed: u64, count: usize) -> Flipped {
    let mut world = World::new(seed);
    for _ in 0..40 {
        world.send_some();
        world.write();
        match world.random.below(8) {
            6 => world.correct_some(),
            7 => world.expire_some(),
            0 => drop(world.store().request_seal()),
            1 => drop(world.store().step_sealer()),
            _ => {}
        }
    }
    let mut flipped = Flipped::default();
    for _ in 0..count {
        let (path, byte, bit) = any_bit(&mut world);
        // Half of the time it happens under an open store.
        let while_open = world.random.one_in(2);
        if !while_open {
            world.close();
        }
        world.disk.flip(&path, byte, bit);
        let is_open = while_open || world.open_damaged(&path);
        if is_open {
            match world.audit_damage(&path) {
                0 => flipped.unnoticed += 1,
                4 => flipped.unanswered += 1,
                _ => flipped.in_part += 1,
            }
        } else {
            flipped.refused += 1;
        }
        world.disk.flip(&path, byte, bit);
        world.drop_store();
        world.start();
        world.audit();
    }
    world.finish();
    flipped
}

/// A bit of some file, each file being as likely as the others.
fn any_bit(world: &mut World) -> (PathBuf, u64, u32) {
    let files: Vec<_> = world.disk.files().into_iter().filter(|(_, len)| *len > 0).collect();
    let (path, len) = world.random.pick(&files).clone();
    (path, world.random.below(len), world.random.below(8) as u32)
}
