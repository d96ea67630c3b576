//! Stories, most of them told with many seeds.

use std::time::Duration;

use replica::{Config, Role};

use crate::world::{CALM, MS, Node, ROUGH, SECOND, Weather, World};

pub(crate) const BITS: u32 = 6;
pub(crate) const PLACES: [u64; 16] = [10, 20, 31, 40, 50, 60, 3, 15, 25, 35, 45, 55, 63, 7, 18, 33];
/// Stories with comings and goings have at most so many nodes.
pub(crate) const NODES_MAX: usize = 8;

/// Values that are there for a while only are there for so long at most.
pub(crate) const TTL_MAX_MS: u64 = 4_000;

pub(crate) fn config(replicas: usize, lost_majority_after: Option<u64>) -> Config {
    Config {
        replicas,
        lost_majority_after: lost_majority_after.map(Duration::from_secs),
        stopped_for: Duration::from_secs(600),
        refresh_period: Duration::from_secs(2),
        repair_period: Duration::from_secs(5),
    }
}

/// How many seeds each story is told with: `SEEDS=5000 cargo test …` for more, `SEED=7` for one.
pub(crate) fn seeds(usual: u64) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match (number("SEED"), number("SEEDS")) {
        (Some(seed), _) => vec![seed],
        (_, Some(count)) => (1..=count).collect(),
        _ => (1..=usual).collect(),
    }
}

impl World {
    /// Random reads, writes and deletes for so long.
    pub(crate) fn work(&mut self, duration: u64) {
        self.work_at(duration, 30 * MS);
    }

    /// The same, with so long between two at most.
    pub(crate) fn work_at(&mut self, duration: u64, pause_max: u64) {
        let end = self.now + duration;
        while self.now < end {
            let key = self.below(self.keys);
            match self.below(100) {
                0..32 => self.write(key),
                32..40 => {
                    let ttl_ms = 300 + self.below(TTL_MAX_MS - 300);
                    self.write_for(key, ttl_ms);
                }
                40..55 => self.delete(key),
                _ => self.read(key),
            }
            let pause = self.below(pause_max);
            self.run(pause);
        }
    }

    pub(crate) fn grow(&mut self, count: usize) {
        for place in self.places.iter().take(count) {
            self.start(*place);
            let pause = self.below(SECOND);
            self.work(pause);
        }
    }
}

pub(crate) fn grown(seed: u64, count: usize, replicas: usize, lost: Option<u64>, weather: Weather) -> World {
    let mut world = World::new(seed, BITS, config(replicas, lost), weather);
    world.grow(count);
    world
}

#[test]
fn three_nodes_join_one_after_another_and_hold_everything_three_times() {
    for seed in seeds(5) {
        let mut world = grown(seed, 3, 3, Some(5), CALM);
        world.work(3 * SECOND);
        world.heal();
        assert!(world.writes_done > 10, "seed {seed}: only {} writes", world.writes_done);
        assert_eq!(world.forced, 0, "seed {seed}");
    }
}

#[test]
fn a_crashed_primary_is_replaced_and_nothing_is_lost() {
    for seed in seeds(12) {
        let mut world = grown(seed, 5, 3, Some(5), CALM);
        world.work(3 * SECOND);
        world.heal();
        let victim = world.below(5) as usize;
        world.crash(victim);
        world.work(5 * SECOND);
        world.heal();
        assert_eq!(world.forced, 0, "seed {seed}");
    }
}

#[test]
fn joins_in_bad_weather_lose_nothing() {
    for seed in seeds(25) {
        let count = 3 + (seed % 5) as usize;
        let replicas = 1 + (seed % 3) as usize;
        let mut world = grown(seed, count, replicas, None, ROUGH);
        world.work(5 * SECOND);
        world.heal();
    }
}

#[test]
fn joins_leaves_and_pauses_lose_nothing() {
    for seed in seeds(37) {
        let count = 3 + (seed % 4) as usize;
        let replicas = 1 + (seed % 3) as usize;
        let weather = if seed % 2 == 0 { CALM } else { ROUGH };
        let mut world = grown(seed, count, replicas, None, weather);
        for _ in 0..6 {
            let pause = world.below(3 * SECOND);
            world.work(pause);
            let node = world.below(world.nodes.len() as u64) as usize;
            let staying = world.nodes.iter().filter(|node| node.up && !node.leaving).count();
            match world.below(3) {
                0 if world.nodes.len() < NODES_MAX => {
                    let place = PLACES[world.nodes.len()];
                    world.start(place);
                }
                1 if staying > 2 && world.nodes[node].up && !world.nodes[node].leaving => world.leave(node),
                _ if world.nodes[node].up && world.nodes.iter().all(|node| !node.paused) => {
                    let duration = world.below(8 * SECOND);
                    world.pause(node, duration);
                }
                _ => {}
            }
        }
        world.work(8 * SECOND);
        world.wait_for_leavers();
        world.heal();
    }
}

#[test]
fn one_crash_at_a_time_without_a_disk_loses_nothing() {
    for seed in seeds(25) {
        let replicas = 3;
        let weather = if seed % 2 == 0 { CALM } else { ROUGH };
        let mut world = grown(seed, 4 + (seed % 4) as usize, replicas, None, weather.clone());
        for _ in 0..3 {
            world.heal();
            world.weather = weather.clone();
            let pause = world.below(2 * SECOND);
            world.work(pause);
            let node = world.below(world.nodes.len() as u64) as usize;
            world.crash(node);
            let pause = world.below(4 * SECOND);
            world.work(pause);
            world.restart(node, false);
            let pause = world.below(4 * SECOND);
            world.work(pause);
        }
        world.heal();
    }
}

#[test]
fn any_number_of_crashes_with_disks_lose_nothing_in_the_end() {
    for seed in seeds(37) {
        let replicas = 1 + (seed % 3) as usize;
        let weather = if seed % 2 == 0 { CALM } else { ROUGH };
        let mut world = grown(seed, 3 + (seed % 4) as usize, replicas, None, weather);
        world.weather.crash_within = 2;
        for _ in 0..8 {
            let pause = world.below(3 * SECOND);
            world.work(pause);
            let node = world.below(world.nodes.len() as u64) as usize;
            if world.nodes[node].up && !world.nodes[node].left {
                world.crash(node);
                let pause = world.below(4 * SECOND);
                world.work(pause);
            }
            for node in 0..world.nodes.len() {
                if !world.nodes[node].up && world.chance(700) {
                    world.restart(node, true);
                }
            }
            if world.nodes.len() < NODES_MAX && world.chance(300) {
                let place = PLACES[world.nodes.len()];
                world.start(place);
            }
        }
        world.weather.crash_within = 0;
        world.run(2 * SECOND);
        for node in 0..world.nodes.len() {
            if !world.nodes[node].up {
                world.restart(node, true);
            }
        }
        world.heal();
        assert_eq!(world.forced + world.begun_empty, 0, "seed {seed}");
    }
}

#[test]
fn two_adjacent_leavers_both_end_and_leave_everything_behind() {
    for seed in seeds(25) {
        let replicas = 1 + (seed % 3) as usize;
        let count = 3 + (seed % 4) as usize;
        let mut world = grown(seed, count, replicas, Some(5), CALM);
        world.work(SECOND);
        world.heal();
        let ring = world.ring();
        let first = world.below(count as u64) as usize;
        world.leave(ring[first]);
        let pause = world.below(400 * MS);
        world.work(pause);
        world.leave(ring[(first + 1) % count]);
        world.work(5 * SECOND);
        world.wait_for_leavers();
        world.heal();
        assert_eq!(world.forced + world.begun_empty, 0, "seed {seed}");
    }
}

#[test]
fn everybody_leaving_at_once_ends() {
    for seed in seeds(15) {
        let replicas = 1 + (seed % 3) as usize;
        let count = 1 + (seed % 5) as usize;
        let weather = if seed % 2 == 0 { CALM } else { ROUGH };
        let mut world = grown(seed, count, replicas, Some(5), weather);
        world.work(4 * SECOND);
        for node in 0..count {
            world.leave(node);
            let pause = world.below(200 * MS);
            world.run(pause);
        }
        world.wait_for_leavers();
        assert_eq!(world.forced + world.begun_empty, 0, "seed {seed}");
        // The last one has everything.
        let last: Vec<usize> = (0..count).filter(|node| world.nodes[*node].records.all().next().is_some()).collect();
        assert!(last.len() <= 1, "seed {seed}: {last:?}");
        for (key, floor) in &world.floor {
            let held = last.first().and_then(|node| world.nodes[*node].records.get(*key));
            world.check_seen("the last one has", *key, held, Some(*floor), world.now);
        }
    }
}

#[test]
fn a_stopped_cluster_comes_back_in_any_order_with_everything() {
    for seed in seeds(15) {
        let replicas = 1 + (seed % 3) as usize;
        let count = 3 + (seed % 4) as usize;
        let mut world = grown(seed, count, replicas, Some(5), CALM);
        world.work(3 * SECOND);
        world.heal();
        let mut order: Vec<usize> = (0..count).collect();
        for place in (1..count).rev() {
            let other = world.below(place as u64 + 1) as usize;
            order.swap(place, other);
        }
        for node in &order {
            world.nodes[*node].stopped = Some(world.now);
            world.crash(*node);
            let pause = world.below(SECOND);
            world.run(pause);
        }
        world.run(SECOND);
        for node in &order {
            world.restart(*node, true);
            let pause = world.below(9 * SECOND);
            world.work(pause);
        }
        world.heal();
        assert_eq!(world.forced + world.begun_empty, 0, "seed {seed}");
    }
}

#[test]
fn survivors_go_on_after_five_seconds() {
    for seed in seeds(10) {
        let mut world = grown(seed, 7, 3, Some(5), CALM);
        world.work(3 * SECOND);
        world.heal();
        let id = world.space.id(world.seed % 64).unwrap();
        let holders = world.holders(id);
        let spared = holders[world.below(3) as usize];
        for node in holders {
            if node != spared {
                world.crash(node);
            }
        }
        world.work(4 * SECOND);
        assert_eq!(world.forced, 0, "seed {seed}: too early");
        world.work(6 * SECOND);
        assert!(world.forced > 0, "seed {seed}: nobody goes on");
        // Two of three holders of some keys are gone, but the third has them all.
        world.excused = true;
        world.heal_sets();
        let before = world.writes_done;
        world.work(2 * SECOND);
        assert!(world.writes_done > before, "seed {seed}");
    }
}

#[test]
fn nobody_goes_on_without_a_majority_when_told_never_to() {
    for seed in seeds(4) {
        let mut world = grown(seed, 5, 3, None, CALM);
        world.work(2 * SECOND);
        world.heal();
        let ring = world.ring();
        world.crash(ring[0]);
        world.crash(ring[1]);
        world.work(30 * SECOND);
        assert_eq!(world.forced + world.begun_empty, 0, "seed {seed}");
        world.restart(ring[0], true);
        world.restart(ring[1], true);
        world.heal();
    }
}

#[test]
fn a_minority_that_is_cut_off_does_not_go_on_alone() {
    for seed in seeds(5) {
        let mut world = grown(seed, 5, 3, Some(5), CALM);
        world.work(2 * SECOND);
        world.heal();
        // Three of five vanish at once: those that stay are fewer than half of those they knew.
        let ring = world.ring();
        for node in &ring[..3] {
            world.crash(*node);
        }
        world.work(20 * SECOND);
        assert_eq!(world.forced + world.begun_empty, 0, "seed {seed}");
        for node in &ring[..3] {
            world.restart(*node, true);
        }
        world.heal();
    }
}

#[test]
fn whoever_announced_a_stop_is_waited_for() {
    for seed in seeds(5) {
        let mut world = grown(seed, 5, 3, Some(5), CALM);
        world.work(2 * SECOND);
        world.heal();
        let ring = world.ring();
        for node in &ring[..2] {
            world.nodes[*node].stopped = Some(world.now);
            world.crash(*node);
        }
        world.work(30 * SECOND);
        assert_eq!(world.forced + world.begun_empty, 0, "seed {seed}");
        for node in &ring[..2] {
            world.restart(*node, true);
        }
        world.heal();
    }
}

#[test]
fn a_partition_loses_nothing_and_heals() {
    for seed in seeds(20) {
        let count = 4 + (seed % 4) as usize;
        let weather = if seed % 2 == 0 { CALM } else { ROUGH };
        let mut world = grown(seed, count, 1 + (seed % 4) as usize, None, weather);
        for _ in 0..4 {
            let pause = world.below(4 * SECOND);
            world.work(pause);
            let other_side: Vec<usize> = (0..count).filter(|_| world.chance(400)).collect();
            world.part(&other_side);
            let pause = world.below(6 * SECOND);
            world.work(pause);
            if world.chance(600) {
                world.part(&[]);
            }
        }
        world.part(&[]);
        world.heal();
        assert_eq!(world.forced + world.begun_empty, 0, "seed {seed}");
    }
}

#[test]
fn who_comes_back_after_others_went_on_brings_its_records() {
    for seed in seeds(10) {
        let mut world = grown(seed, 6, 1 + (seed % 3) as usize, Some(5), CALM);
        world.work(3 * SECOND);
        world.heal();
        let ring = world.ring();
        let first = world.below(6) as usize;
        let gone = [ring[first], ring[(first + 1) % 6]];
        for node in gone {
            world.crash(node);
        }
        world.work(15 * SECOND);
        assert!(world.forced + world.begun_empty > 0, "seed {seed}: nobody went on");
        world.excused = true;
        for node in gone {
            world.restart(node, true);
            let pause = world.below(4 * SECOND);
            world.work(pause);
        }
        world.heal();
    }
}

#[test]
fn two_of_five_holders_leave_at_once_a_third_crashes_and_nothing_is_lost() {
    for seed in seeds(20) {
        let mut world = grown(seed, 5, 5, None, CALM);
        world.keys = 12;
        world.heal();
        world.weather = Weather { lost: 200, ..ROUGH };
        world.work_at(500 * MS, 10 * MS);
        let ring = world.ring();
        let first = world.below(5) as usize;
        world.leave(ring[first]);
        world.leave(ring[(first + 1) % 5]);
        // The primary of the first set that has become smaller, before it has told the others what they lack.
        let shrunk = |world: &World, node: &usize| {
            let mut ranges = world.nodes[*node].holdings.ranges.iter();
            ranges.any(|holding| matches!(holding.role, Role::Primary { .. }) && holding.set.members.len() < 5)
        };
        let third = loop {
            world.work_at(10 * MS, 5 * MS);
            let stays = world.ring().into_iter().filter(|node| !world.nodes[*node].leaving);
            if let Some(third) = stays.into_iter().find(|node| shrunk(&world, node)) {
                break third;
            }
        };
        world.crash(third);
        world.work_at(4 * SECOND, 20 * MS);
        world.restart(third, true);
        world.weather = CALM;
        world.work(SECOND);
        world.wait_for_leavers();
        world.heal();
        assert_eq!(world.forced + world.begun_empty, 0, "seed {seed}");
    }
}

#[test]
fn a_ring_at_rest_says_little() {
    let mut world = grown(1, 6, 3, Some(5), CALM);
    world.work(3 * SECOND);
    world.heal();
    world.run(30 * SECOND);
    let before = world.calls;
    world.run(100 * SECOND);
    // A primary tells two members every two seconds.
    let calls_of_a_node_per_second = (world.calls - before) as f64 / 600.0;
    assert!(calls_of_a_node_per_second < 1.5, "{calls_of_a_node_per_second}");
}

#[test]
fn many_nodes_that_join_at_once_end_up_with_everything_three_times() {
    for seed in seeds(4) {
        let mut world = grown(seed, 1, 3, Some(5), CALM);
        world.work(SECOND);
        for place in &PLACES[1..] {
            world.start(*place);
        }
        world.work(10 * SECOND);
        assert_eq!(world.unhealed(), None, "seed {seed}: after 10 s");
        world.heal();
        assert_eq!(world.forced + world.begun_empty, 0, "seed {seed}");
    }
}

#[test]
fn joins_leaves_pauses_crashes_and_partitions_together_lose_nothing() {
    for seed in seeds(20) {
        let mut world = grown(seed, 3 + (seed % 5) as usize, 1 + (seed % 4) as usize, None, ROUGH);
        for _ in 0..12 {
            let pause = world.below(2 * SECOND);
            world.work(pause);
            world.disturb();
        }
        world.part(&[]);
        world.run(SECOND);
        for node in 0..world.nodes.len() {
            if !world.nodes[node].up && !world.nodes[node].left {
                world.restart(node, true);
            }
        }
        world.run(10 * SECOND);
        world.wait_for_leavers();
        world.heal();
        assert_eq!(world.forced + world.begun_empty, 0, "seed {seed}");
    }
}

impl World {
    /// Something happens to somebody. Whoever crashes keeps its disk.
    pub(crate) fn disturb(&mut self) {
        let node = self.below(self.nodes.len() as u64) as usize;
        let Node { up, paused, leaving, left, .. } = self.nodes[node];
        let staying = self.nodes.iter().filter(|node| node.up && !node.leaving && !node.paused).count();
        match self.below(8) {
            0 if self.nodes.len() < self.places.len().min(NODES_MAX) => {
                let place = self.places[self.nodes.len()];
                self.start(place);
            }
            // A leaver that is cut off for long takes itself for the last one.
            1 if up && !leaving && staying > 2 && self.nodes.iter().all(|node| node.side == 0) => self.leave(node),
            2 if up && !paused && staying > 2 => {
                let duration = self.below(6 * SECOND);
                self.pause(node, duration);
            }
            // A leaver that crashes is not told to leave again.
            3 | 4 if up && !leaving && staying > 2 => self.crash(node),
            5 | 6 if !up && !left => self.restart(node, true),
            7 if self.nodes.iter().all(|node| node.left || !node.leaving) => {
                let some: Vec<usize> = (0..self.nodes.len()).filter(|_| self.chance(300)).collect();
                let other_side = if self.chance(500) { some } else { Vec::new() };
                self.part(&other_side);
            }
            _ => {}
        }
    }
}
