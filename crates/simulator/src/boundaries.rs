//! Short histories that are cut at every change of the disk, one after the other.

use crate::world::World;
use tallystick_event_store::faulty::{Fault, Harm, Trigger};

/// Runs a short history again and again, each time ending the process at the next change, until it ends by itself.
/// Returns how many changes there were. Panics at the first thing that is not as it must be.
pub fn every_change(seed: u64, harm: Harm) -> u64 {
    for change in 1.. {
        let mut world = World::unopened(seed);
        let cut = run(&mut world, Fault { on: Trigger::Change(change), harm });
        world.finish();
        if !cut {
            return change - 1;
        }
    }
    unreachable!("every history ends")
}

/// Runs the short history; `true` if it was cut.
fn run(world: &mut World, fault: Fault) -> bool {
    let harm = fault.harm;
    world.schedule(fault);
    world.start();
    if world.starts > 1 {
        return after_the_cut(world, harm);
    }
    // A start forgets the faults that did not strike in it.
    world.schedule(fault);
    for _ in 0..18 {
        match world.random.below(13) {
            0..4 => {
                world.send_some();
                world.send_some();
                world.write();
            }
            4..6 => {
                drop(world.store().request_seal());
                world.write();
            }
            6..8 => drop(world.store().step_sealer()),
            8 => drop(world.store().step_merger()),
            9..11 => {
                world.correct_some();
                world.write();
            }
            11 => {
                world.expire_some();
                world.write();
            }
            _ => world.reopen(),
        }
        // Twice with a crash in the recovery, too.
        if world.disk.ended().is_some() {
            if world.random.one_in(2) {
                world.crash_soon(harm);
            }
            world.revive();
            return after_the_cut(world, harm);
        }
    }
    false
}

/// What is sent again after a kill and acknowledged must survive even a power cut: an answer "there already" is a promise.
fn after_the_cut(world: &mut World, harm: Harm) -> bool {
    world.audit();
    for _ in 0..4 {
        world.send_again();
    }
    world.send_some();
    world.write();
    if harm == Harm::Kill {
        world.cut_power();
        world.audit();
    }
    true
}
