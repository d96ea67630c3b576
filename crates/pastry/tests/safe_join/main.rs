//! Safe join, checked after every single event of randomized runs: at any time at most one node answers for a
//! key, and it is the live active node closest to it.
//!
//! The runs keep to what that assumes: no live node is taken for dead. Newcomers come in bursts, next to each other, while
//! messages overtake one another and some take seconds; nodes crash or depart one at a time.

#![allow(clippy::unwrap_used, reason = "a test that unwraps nothing fails as it should")]

mod world;

use rand::RngExt;
use ring::{Id, Range};
use world::World;

/// No active node claims a key that another active one is closer to, so no key is claimed twice. Whoever could be closer
/// is the next active one on either side.
fn check(world: &World) {
    let active: Vec<(Id, &[Range])> = world.active().into_iter().collect();
    for (at, (id, shares)) in active.iter().enumerate() {
        let (Some(first), Some(last)) = (shares.first(), shares.last()) else { continue };
        let arc = Range::new(first.after, last.upto);
        let ends = [arc.after.plus_power(0), arc.upto];
        let sides = [(at + 1) % active.len(), (at + active.len() - 1) % active.len()].map(|other| active[other].0);
        for other in sides.into_iter().filter(|other| other != id) {
            let closer = |key: &Id| (other.gap(*key), other) < (id.gap(*key), *id);
            if arc.contains(other) || ends.iter().any(closer) {
                world.fail(format!("{id} answers for {arc}, though {other} is active and closer to a part of it"));
            }
        }
    }
}

fn run(seed: u64, leaf_set: usize) -> (usize, usize) {
    let mut world = World::new(seed, leaf_set);
    world.join_somebody();
    world.settle(check);
    let (mut joins, mut ends) = (0, 0);
    for _ in 0..40 {
        match world.rng.random_range(0..4) {
            0 | 1 if world.live().len() < 24 => {
                for _ in 0..world.rng.random_range(1..5) {
                    world.join_somebody();
                    joins += 1;
                }
            }
            2 => ends += usize::from(world.end_somebody(false)),
            _ => ends += usize::from(world.end_somebody(true)),
        }
        for _ in 0..world.rng.random_range(0..120) {
            world.advance();
            check(&world);
        }
    }
    world.settle(check);
    (joins, ends)
}

#[test]
fn at_most_one_node_answers_for_a_key_and_it_is_the_closest_active_one_after_every_event() {
    for leaf_set in [4, 8] {
        let (mut joins, mut ends) = (0, 0);
        for seed in 0..world::seeds() {
            let (joined, ended) = run(seed, leaf_set);
            joins += joined;
            ends += ended;
        }
        assert!(joins > 40 && ends > 5, "{joins} joins and {ends} ends with |L| = {leaf_set} try nothing");
    }
}

/// Everybody who starts at one member at the same moment, as close together as can be.
#[test]
fn newcomers_next_to_each_other_all_get_in() {
    for seed in 0..world::seeds() {
        let mut world = World::new(seed, 4);
        world.settle(check);
        world.join_next_to_each_other(12);
        world.settle(check);
        assert_eq!(world.active().len(), 13);
    }
}
