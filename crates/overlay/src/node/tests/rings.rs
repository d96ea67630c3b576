//! Rings that meet.

use super::world::{World, addr, id, ms};
use crate::{Event, State};

#[test]
fn two_rings_pointed_at_each_other_become_one_the_older() {
    let mut world = World::new();
    world.start(1, &[], None);
    world.start(2, &[1], None);
    world.run(ms(500));
    world.start(5, &[], None);
    world.start(6, &[5], None);
    world.until_one_ring(&[1, 2], ms(100));
    world.until_one_ring(&[5, 6], ms(100));
    let (older, younger) = (world.ring(1), world.ring(5).unwrap());
    let before = world.node(5).view().me.incarnation;
    world.with(5, |node, now| node.meet(now, addr(1)));
    world.until_one_ring(&[1, 2, 5, 6], ms(30_000));
    assert_eq!(world.ring(6), older);
    let rejoining = Event::Rejoining { from: younger, to: older.unwrap() };
    assert!(world.events_of(5).contains(&rejoining) && world.events_of(6).contains(&rejoining));
    assert!(!world.events_of(1).iter().any(|event| matches!(event, Event::Rejoining { .. })));
    assert_eq!(world.node(5).view().me.incarnation, before + 1);
    assert!(world.events_of(5).ends_with(&[]) && world.state(5) == State::Ready);
}

#[test]
fn a_member_of_the_older_ring_need_only_say_hello() {
    let mut world = World::new();
    world.start(1, &[], None);
    world.run(ms(500));
    world.start(5, &[], None);
    let older = world.ring(1);
    world.with(1, |node, now| node.meet(now, addr(5)));
    world.until_one_ring(&[1, 5], ms(2_000));
    assert_eq!(world.ring(5), older);
}

#[test]
fn a_seed_that_forgot_everything_ends_up_in_its_old_ring() {
    let mut world = World::new();
    world.start(1, &[], None);
    (2..=5).for_each(|number| world.start(number, &[1], None));
    world.until_one_ring(&[1, 2, 3, 4, 5], ms(5_000));
    let ring = world.ring(2);
    world.run(ms(10_000));
    world.start(1, &[], None);
    assert_ne!(world.ring(1), ring);
    world.until_one_ring(&[1, 2, 3, 4, 5], ms(30_000));
    assert_eq!(world.ring(1), ring);
}

#[test]
fn a_healed_partition_is_one_ring_within_thirty_seconds() {
    let mut world = World::new();
    let all: Vec<u64> = (1..=16).collect();
    world.start(1, &[], None);
    (2..=16).for_each(|number| world.start(number, &[1], None));
    world.until_one_ring(&all, ms(10_000));
    let ring = world.ring(1);
    let (left, right): (Vec<u64>, Vec<u64>) = all.iter().partition(|&number| number % 2 == 1);
    world.cut(&left, &right);
    world.run(ms(20_000));
    assert_eq!(world.node(2).table().len(), 8, "the parts have given each other up");
    world.heal();
    let took = world.until_one_ring(&all, ms(30_000));
    assert_eq!(world.ring(2), ring);
    // The owner of 0 is node 1 on the odd side and node 2 on the even one, the higher: that side goes.
    let rejoined = |number: &u64| world.events_of(*number).iter().any(|event| matches!(event, Event::Rejoining { .. }));
    assert!(right.iter().all(rejoined), "{took:?}");
    assert!(!left.iter().any(rejoined), "{took:?}");
}

#[test]
fn eight_and_eight_started_apart_become_one_within_thirty_seconds() {
    let mut world = World::new();
    let all: Vec<u64> = (1..=16).collect();
    world.start(1, &[], None);
    (2..=8).for_each(|number| world.start(number, &[1], None));
    world.run(ms(100));
    world.start(9, &[], None);
    (10..=16).for_each(|number| world.start(number, &[9], None));
    world.run(ms(20_000));
    assert_ne!(world.ring(1), world.ring(9));
    world.with(12, |node, now| node.meet(now, addr(3)));
    world.until_one_ring(&all, ms(30_000));
}

#[test]
fn a_quiet_ring_finds_nothing_to_merge() {
    let mut world = World::new();
    world.start(1, &[], None);
    (2..=8).for_each(|number| world.start(number, &[1], None));
    world.run(ms(120_000));
    let odd =
        |event: &Event| matches!(event, Event::Rejoining { .. } | Event::Down(_) | Event::Note(_) | Event::Refused(_));
    let found: Vec<_> = world.events.iter().filter(|(_, _, event)| odd(event)).collect();
    assert!(found.is_empty(), "{found:?}");
    assert!(world.asked.len() > 100);
    assert_eq!(world.node(3).view().known.len(), 7);
    assert!(world.node(3).view().peer(id(8_000)).unwrap().rtt.is_some());
}
