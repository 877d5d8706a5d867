//! The simulation: nodes, sockets and a store that loses answers, all by a seed.
//!
//! Several nodes and a worker, with the keepers, desks and reapers that ship, stand before the store
//! of `memory:`. Their calls are slow, refused, lost, unheard, or take effect up to 20 s after their
//! caller gave up; the store is away for seconds, or until all leases ran out; nodes are killed, end
//! in peace, come back, and lose their leases without knowing; their clocks differ. Clients come,
//! leave, are lost, flap, move between nodes with their old sockets still there, fall silent and are
//! heard again. Checked all the while: each change of a client makes sense after the last one
//! ([`checks`]). In the end, when faults have stopped: rosters, counts and whoever followed them are
//! what is so; and when all have left, nothing is left anywhere.

mod checks;
pub(super) mod line;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use world::{Size, World};

const MINUTE: u64 = 60_000;

/// Names the seed of a world in which something failed.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the world of seed {} failed", self.0);
        }
    }
}

/// Runs a world until so many have come and gone, and then to its end.
fn run(seed: u64, size: Size, moves: u64) -> World {
    let _named = Named(seed);
    let mut world = World::new(seed, size);
    while world.joins + world.leaves < moves {
        world.run(MINUTE);
    }
    world.calm();
    world.run(5 * MINUTE);
    world.check();
    world.empty();
    world.run(5 * MINUTE);
    world.check_empty();
    world
}

/// Runs worlds side by side, and says how many came and went in all.
fn run_all(seeds: std::ops::Range<u64>, size: Size, moves: u64) -> u64 {
    let (next, total) = (AtomicU64::new(seeds.start), AtomicU64::new(0));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let world = run(seed, size, moves);
                    total.fetch_add(world.joins + world.leaves, Ordering::Relaxed);
                }
            });
        }
    });
    total.into_inner()
}

#[test]
fn a_million_joins_and_leaves_with_crashes_leave_no_zombie() {
    let size = Size { nodes: 4, channels: 3, clients: 60, faults: 50, pace: 4 };
    let total = run_all(0..8, size, 125_000);
    assert!(total >= 1_000_000, "{total}");
}

#[test]
fn few_clients_on_many_channels_with_many_faults_leave_no_zombie() {
    let size = Size { nodes: 3, channels: 12, clients: 4, faults: 8, pace: 60 };
    assert!(run_all(100..160, size, 2_000) >= 120_000);
}

#[test]
fn without_faults_each_client_costs_a_call_for_each_change() {
    let size = Size { nodes: 2, channels: 1, clients: 50, faults: 0, pace: 10 };
    let world = run(7, size, 5_000);
    assert!(world.events() > 0 && world.calls() > 0);
}
