//! Zave's invariant (TSE 43(12), 2017), checked after every single event of randomized runs.
//!
//! The runs keep to what her proof assumes: failures are detected perfectly, no failure leaves a member with
//! a list of dead nodes, and a principal fails only while more than r + 1 are left. Messages take time, so
//! joins, failures and maintenance of many nodes interleave. Where the proof says nothing, below r + 1
//! members, the ring is only built up.

mod world;

use chord::Entry;
use rand::RngExt;
use ring::{Id, between};
use world::World;

/// What must hold between any two events.
fn check(world: &World) {
    let members = world.members();
    for (id, list) in &members {
        let extended: Vec<Id> = std::iter::once(*id).chain(list.iter().map(Entry::id)).collect();
        if !list.iter().any(|entry| world.is_live(entry)) {
            world.fail(format!("{id} has no live entry in {list:?}"));
        }
        let ordered = extended.windows(3).all(|three| between(three[0], three[1], three[2]));
        let distinct = (1..extended.len()).all(|at| !extended[..at].contains(&extended[at]));
        let first_lap = extended.windows(2).all(|pair| id.distance_to(pair[0]) < id.distance_to(pair[1]));
        if !(ordered && distinct && first_lap) {
            world.fail(format!("the extended list of {id} is out of order: {extended:?}"));
        }
    }
    let principals = world.principals();
    if principals.len() <= world.r {
        world.fail(format!("only {principals:?} are principals, of {:?}", members.keys()));
    }
}

fn run(seed: u64, r: usize) -> (usize, usize) {
    let mut world = World::new(seed, r);
    world.grow(r + 3);
    let (mut joins, mut crashes) = (0, 0);
    for _ in 0..120 {
        match world.rng.random_range(0..5) {
            0 | 1 if world.members().len() < 14 => {
                world.join_somebody();
                joins += 1;
            }
            2 | 3 => crashes += (0..3).filter(|_| world.crash_somebody(false)).count(),
            _ => crashes += (0..3).filter(|_| world.crash_somebody(true)).count(),
        }
        for _ in 0..world.rng.random_range(0..60) {
            world.advance();
            check(&world);
        }
    }
    world.settle(check);
    (joins, crashes)
}

#[test]
fn every_member_has_a_live_entry_and_r_plus_1_members_are_principals_after_every_event() {
    for r in 2..=4 {
        let (mut joins, mut crashes) = (0, 0);
        for seed in 0..world::seeds() {
            let (joined, crashed) = run(seed, r);
            joins += joined;
            crashes += crashed;
        }
        assert!(joins > 100 && crashes > 100, "{joins} joins and {crashes} crashes with r = {r} try nothing");
    }
}
