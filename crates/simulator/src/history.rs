//! Long histories: everything may happen at any time.

use crate::world::World;
use tallystick_event_store::faulty::{Action, Fault, FileKind, Harm, Trigger};

/// What a history did, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Events that were acknowledged as new.
    pub stored: u64,
    /// Batches that were refused as the disk was full.
    pub full: u64,
    /// Batches that were refused as the store had stopped.
    pub stopped: u64,
    /// How often a store was opened.
    pub starts: u64,
    /// Corrections and cut-offs that were acknowledged as new.
    pub facts: u64,
    /// Changes of the disk.
    pub changes: u64,
    /// Everything that the disk did.
    pub log: String,
}

impl Outcome {
    pub(crate) fn of(world: &World) -> Self {
        Self {
            stored: world.stored,
            full: world.full,
            stopped: world.stopped,
            starts: world.starts,
            facts: world.facts,
            changes: world.disk.changes(),
            log: world.disk.log(),
        }
    }
}

/// Runs the history of a seed. Panics at the first thing that is not as it must be.
pub fn history(seed: u64) -> Outcome {
    run(World::new(seed))
}

/// The same on a disk that says that it synced and did not: the simulation must find out.
pub fn history_on_a_lying_disk(seed: u64) -> Outcome {
    run(World::on_a_lying_disk(seed))
}

fn run(mut world: World) -> Outcome {
    for _ in 0..40 + world.random.below(160) {
        step(&mut world);
        world.revive();
        world.check_fault();
        // Whoever runs a store that stopped starts it again.
        if world.is_stopped() && world.random.one_in(4) {
            world.audit();
            world.reopen();
        }
    }
    world.finish();
    Outcome::of(&world)
}

fn step(world: &mut World) {
    match world.random.below(100) {
        0..31 => world.send_some(),
        31..35 => world.correct_some(),
        35..36 => world.expire_some(),
        36..56 => world.write(),
        // A store that stopped lets nobody in.
        56..62 => drop(world.store().request_seal()),
        62..71 => drop(world.store().step_sealer()),
        71..76 => drop(world.store().step_merger()),
        76..78 => world.store().step_log(),
        78..82 => world.audit(),
        82..87 => world.send_again(),
        87..89 => world.reopen(),
        89..91 => world.kill(),
        91..93 => world.cut_power(),
        93..97 => {
            let fault = any_fault(world);
            world.schedule(fault);
        }
        97..98 => world.bound(),
        98..99 => world.unbound(),
        _ => {
            let harm = *world.random.pick(&[Harm::Kill, Harm::PowerCut]);
            world.crash_soon(harm);
        }
    }
}

fn any_fault(world: &mut World) -> Fault {
    let kinds = [FileKind::Log, FileKind::Segment, FileKind::Run, FileKind::Manifest, FileKind::Facts];
    let kind = *world.random.pick(&kinds);
    let nth = 1 + world.random.below(4);
    let (action, harm) = *world.random.pick(&[
        (Action::Read, Harm::Fail),
        (Action::Read, Harm::Short),
        (Action::Write, Harm::Fail),
        (Action::Write, Harm::Full),
        (Action::Write, Harm::Short),
        (Action::Sync, Harm::Fail),
        (Action::Sync, Harm::Fail),
        (Action::Sync, Harm::Full),
        (Action::Create, Harm::Fail),
        (Action::Rename, Harm::Fail),
        (Action::Remove, Harm::Fail),
        (Action::Open, Harm::Fail),
        (Action::SyncDir, Harm::Fail),
        (Action::SyncDir, Harm::Full),
        (Action::List, Harm::Fail),
    ]);
    let of_directories = matches!(action, Action::SyncDir | Action::List);
    let kind = if of_directories { FileKind::Other } else { kind };
    Fault { on: Trigger::Nth { action, kind, nth }, harm }
}
