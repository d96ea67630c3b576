//! The simulation as small as it can be, so that it is told by the ten thousand seeds.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use replica::Config;

use crate::scenarios::{config, seeds};
use crate::world::{CALM, MS, ROUGH, SECOND, Weather, World};

/// Identifiers have so few bits, and nodes are there.
const BITS: u32 = 4;
const PLACES: [u64; 4] = [2, 7, 11, 14];

/// Tells a story with each seed, on all cores.
fn on_all_cores(seeds: &[u64], story: impl Fn(u64) + Sync) {
    /// Whoever fails stops the others.
    struct StopsOthers<'a>(&'a AtomicUsize);
    impl Drop for StopsOthers<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                self.0.store(usize::MAX / 2, Ordering::Relaxed);
            }
        }
    }
    let next = AtomicUsize::new(0);
    let tell = || {
        let _guard = StopsOthers(&next);
        while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
            story(*seed);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let telling: Vec<_> = (0..threads).map(|_| scope.spawn(tell)).collect();
        for thread in telling {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

/// A small ring, one thing that happens to it, a copy that goes missing; and all is well again soon after.
fn one_thing_happens_and_is_repaired(seed: u64) {
    let weather = if (seed / 3).is_multiple_of(2) { CALM } else { ROUGH };
    let config = Config { repair_period: Duration::from_secs(3), ..config(2 + (seed / 6 % 2) as usize, None) };
    let mut world = World::new(seed, BITS, config, weather);
    world.grace = Duration::from_secs(4);
    for place in &PLACES[..3] {
        world.start(*place);
        world.work_at(700 * MS, 40 * MS);
    }
    world.work(2 * SECOND);
    // Every step that anybody takes may be its last before it comes back.
    world.weather.crash_within = if (seed / 24).is_multiple_of(2) { 0 } else { 6 };
    let node = world.below(3) as usize;
    match world.below(6) {
        0 => drop(world.start(PLACES[3])),
        1 => world.leave(node),
        2 => {
            let duration = world.below(3 * SECOND);
            world.pause(node, duration);
        }
        3 => world.part(&[node]),
        _ if world.nodes[node].up => world.crash(node),
        _ => {}
    }
    world.work(SECOND);
    world.work_at(2 * SECOND, 100 * MS);
    if world.chance(250) {
        world.work_at(7 * SECOND, 200 * MS);
    }
    world.part(&[]);
    world.weather.crash_within = 0;
    world.run(2 * SECOND);
    for node in 0..world.nodes.len() {
        if !world.nodes[node].up && !world.nodes[node].left {
            world.restart(node, true);
        }
    }
    world.work(500 * MS);
    world.wait_for_leavers();
    world.heal();
    world.lose_some_copy();
    world.repair_in_time();
    if (seed / 12).is_multiple_of(4) {
        world.wait_until_forgotten();
    }
}

/// A small ring in the worst of weather, a few keys that everybody wants, and one thing after another.
fn everything_happens_and_is_repaired(seed: u64) {
    let crash_within = if (seed / 3).is_multiple_of(2) { 0 } else { 8 };
    let upset = if (seed / 54).is_multiple_of(2) { 0 } else { 150 };
    let weather = Weather { lost: 100, repeated: 80, latency_max: 40 * MS, crash_within, upset, remembered: 300 };
    let config = Config { repair_period: Duration::from_secs(3), ..config(1 + (seed / 6 % 3) as usize, None) };
    let mut world = World::new(seed, BITS, config, Weather { crash_within: 0, upset: 0, ..weather.clone() });
    world.places = &PLACES;
    world.keys = 6;
    world.grace = Duration::from_secs(4);
    world.grow(2 + (seed / 18 % 2) as usize);
    world.weather = weather;
    for _ in 0..8 {
        let pause = world.below(1_200 * MS);
        world.work_at(pause, 12 * MS);
        world.disturb();
    }
    world.weather.crash_within = 0;
    world.weather.upset = 0;
    // What is under way ends.
    world.run(5 * SECOND);
    world.part(&[]);
    world.run(SECOND);
    for node in 0..world.nodes.len() {
        if !world.nodes[node].up && !world.nodes[node].left {
            world.restart(node, true);
        }
    }
    world.work(SECOND);
    world.wait_for_leavers();
    world.heal();
    assert_eq!(world.forced + world.begun_empty, 0, "seed {seed}");
}

#[test]
fn one_thing_that_happens_to_a_small_ring_is_repaired() {
    seeds(200).into_iter().for_each(one_thing_happens_and_is_repaired);
}

#[test]
fn whatever_happens_to_a_small_ring_is_repaired() {
    seeds(100).into_iter().for_each(everything_happens_and_is_repaired);
}

#[test]
#[ignore = "takes minutes, and is a step of CI; `cargo test -p dht-replica --test sim -- --ignored`, SEEDS=10000 if nothing else is said"]
fn one_thing_that_happens_to_a_small_ring_is_repaired_ten_thousand_times() {
    on_all_cores(&seeds(10_000), one_thing_happens_and_is_repaired);
}

#[test]
#[ignore = "takes minutes; as above, with a few thousand seeds"]
fn whatever_happens_to_a_small_ring_is_repaired_thousands_of_times() {
    on_all_cores(&seeds(4_000), everything_happens_and_is_repaired);
}
