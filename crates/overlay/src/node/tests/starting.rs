//! "Starting, and coming back", 1, 2 and 5.

use super::world::{Process, WALL_MS, World, addr, id, ms};
use crate::{Event, Peer, RingId, State};

fn disk(started_ms: u64) -> Option<RingId> {
    Some(RingId { started_ms, starter: id(7) })
}

#[test]
fn a_node_with_nobody_to_try_founds_a_ring_at_once() {
    let mut world = World::new();
    world.start(1, &[], None);
    let ring = RingId { started_ms: WALL_MS + 1_000, starter: id(1_000) };
    let expected = vec![Event::Ring { ring, founded: true }, Event::State(State::Ready), Event::Shares];
    assert_eq!(world.events_of(1), expected);
    assert_eq!(world.node(1).view().shares.len(), 1);
}

#[test]
fn its_own_address_is_no_seed() {
    let mut world = World::new();
    world.start(1, &[1], None);
    assert_eq!(world.state(1), State::Ready);
}

#[test]
fn another_name_for_its_own_address_is_recognised_by_the_answer() {
    let mut world = World::new();
    // 10.0.0.9 is what a second name of node 1 resolves to: node 1 answers there with its own identity.
    world.start_as(Peer { id: id(1_000), addr: addr(9), incarnation: 5 }, &[], None);
    world.start_as(Peer { id: id(1_000), addr: addr(1), incarnation: 5 }, &[9], None);
    assert_eq!(world.state(1), State::Searching);
    world.run(ms(1_000));
    assert_eq!(world.state(1), State::Ready);
}

#[test]
fn a_node_joins_the_ring_of_its_seed_within_a_few_round_trips() {
    let mut world = World::new();
    world.start(1, &[], None);
    world.start(2, &[1], None);
    assert_eq!(world.state(2), State::Searching);
    let took = world.until_one_ring(&[1, 2], ms(100));
    assert!(took <= ms(20), "{took:?}");
    let ring = world.ring(1).unwrap();
    let expected = [Event::Ring { ring, founded: false }, Event::State(State::Ready)];
    assert!(world.events_of(2).windows(2).any(|pair| pair == expected), "{:?}", world.events_of(2));
    let states: Vec<Event> = world.events_of(2).into_iter().filter(|event| matches!(event, Event::State(_))).collect();
    assert_eq!(states, [Event::State(State::Joining), Event::State(State::Ready)]);
    let up = |number: u64, other: u64| {
        world.time_of(number, |event| matches!(event, Event::Up(peer) if peer.id == id(other)))
    };
    assert!(up(1, 2_000).is_some() && up(2, 1_000).is_some());
}

#[test]
fn of_nodes_that_search_together_the_lowest_starts_after_three_seconds() {
    let mut world = World::new();
    for number in [3, 1, 2] {
        world.start(number, &[3, 2], None);
    }
    world.run(ms(2_900));
    assert!([1, 2, 3].iter().all(|&number| world.state(number) == State::Searching));
    world.until_one_ring(&[1, 2, 3], ms(1_500));
    assert_eq!(world.ring(3).unwrap().starter, id(1_000));
    assert!(world.ring(3).unwrap().started_ms >= WALL_MS + 3_900, "the moment of its start, not of the process's");
}

#[test]
fn among_them_a_disk_goes_before_a_low_identifier() {
    let mut world = World::new();
    world.start(1, &[2, 3], None);
    world.start(2, &[1, 3], disk(77));
    world.start(3, &[1, 2], disk(77));
    world.until_one_ring(&[1, 2, 3], ms(4_500));
    assert_eq!(world.ring(1), disk(77));
    assert!(world.time_of(2, |event| matches!(event, Event::Ring { founded: false, .. })).is_some());
    let ready = |number: u64| world.time_of(number, |event| *event == Event::State(State::Ready));
    assert!(ready(2) < ready(1) && ready(2) < ready(3), "node 2 is the lowest with a disk");
}

#[test]
fn a_lone_node_takes_the_ring_of_its_disk_up_after_five_seconds_and_the_next_ones_join_it() {
    let mut world = World::new();
    world.start(2, &[1, 3], disk(77));
    world.run(ms(4_900));
    assert_eq!(world.state(2), State::Searching);
    world.run(ms(600));
    assert_eq!((world.state(2), world.ring(2)), (State::Ready, disk(77)));
    world.start(1, &[2], disk(77));
    world.start(3, &[2], disk(77));
    world.until_one_ring(&[1, 2, 3], ms(1_000));
    assert_eq!(world.ring(3), disk(77));
}

#[test]
fn a_lone_node_without_a_disk_waits_for_its_seed() {
    let mut world = World::new();
    world.start(2, &[1], None);
    world.run(ms(20_000));
    assert_eq!(world.state(2), State::Searching);
    world.start(1, &[], None);
    world.until_one_ring(&[1, 2], ms(1_000));
}

#[test]
fn a_disk_without_any_address_is_taken_up_at_once() {
    let mut world = World::new();
    world.start(1, &[], disk(77));
    assert_eq!(world.events_of(1)[0], Event::Ring { ring: disk(77).unwrap(), founded: false });
}

#[test]
fn a_cluster_with_other_settings_is_refused_with_both_values() {
    let mut world = World::new();
    world.replicas = "2".to_owned();
    world.start(1, &[], None);
    world.replicas = "3".to_owned();
    world.start(2, &[1], None);
    world.run(ms(2_000));
    let why = "10.0.0.1:7160 has replicas = 2, this node 3: it has to be the same in the whole cluster; set it to 2 here, or join a cluster that has 3";
    let refused: Vec<Event> =
        world.events_of(2).into_iter().filter(|event| matches!(event, Event::Refused(_))).collect();
    assert_eq!(refused, [Event::Refused(why.to_owned())]);
    assert_eq!(world.node(2).next_wake(), None, "it has given up");
    assert_eq!(world.node(1).view().known, []);
}

#[test]
fn one_seed_of_another_cluster_is_no_reason_to_give_up() {
    let mut world = World::new();
    world.replicas = "2".to_owned();
    world.start(1, &[], None);
    world.replicas = "3".to_owned();
    world.start(2, &[1, 3], None);
    world.start(3, &[1, 2], None);
    world.until_one_ring(&[2, 3], ms(4_500));
    assert_ne!(world.ring(1), world.ring(2));
}

#[test]
fn an_identifier_that_a_live_member_holds_is_refused_naming_it() {
    let mut world = World::new();
    world.start(1, &[], None);
    world.start(2, &[1], None);
    world.until_one_ring(&[1, 2], ms(100));
    world.start_as(Peer { id: id(2_000), addr: addr(9), incarnation: world.now.0 + 5 }, &[1], None);
    world.run(ms(1_000));
    let why = format!(
        "the identifier {} is held by a live node at 10.0.0.2:7160: stop that one, or give this node another",
        id(2_000)
    );
    assert!(world.events_of(9).contains(&Event::Refused(why)), "{:?}", world.events_of(9));
    assert_eq!((world.state(1), world.state(2)), (State::Ready, State::Ready));
    let known = world.node(1).view().known;
    assert_eq!(known.iter().map(|known| (&known.peer.addr, known.alive)).collect::<Vec<_>>(), [(&addr(2), true)]);
}

#[test]
fn a_node_that_moved_to_another_address_is_taken_in_once_the_old_one_is_dead() {
    let mut world = World::new();
    world.start(1, &[], None);
    world.start(2, &[1], None);
    world.until_one_ring(&[1, 2], ms(100));
    world.set(2, Process::Dead);
    world.start_as(Peer { id: id(2_000), addr: addr(9), incarnation: world.now.0 }, &[1], None);
    world.run(ms(5_000));
    assert_eq!(world.state(9), State::Ready, "{:?}", world.events_of(9));
    assert_eq!(world.node(1).view().peer(id(2_000)).unwrap().peer.addr, addr(9));
}

#[test]
fn the_member_it_joins_through_dies_and_another_is_found() {
    let mut world = World::new();
    world.start(1, &[], None);
    world.start(2, &[1], None);
    world.until_one_ring(&[1, 2], ms(100));
    world.start(3, &[1, 2], None);
    world.run(ms(2)); // The Hellos are answered; node 1 is the one to join through.
    world.set(1, Process::Dead);
    world.until_one_ring(&[2, 3], ms(15_000));
}

#[test]
fn a_member_that_loses_everybody_searches_and_takes_its_ring_up_alone() {
    let mut world = World::new();
    world.toy.alone_is_lost = true;
    world.start(1, &[], None);
    world.start(2, &[1], None);
    world.until_one_ring(&[1, 2], ms(100));
    let (ring, before) = (world.ring(1), world.node(1).view().me.incarnation);
    world.set(2, Process::Dead);
    world.run(ms(2_000));
    assert_eq!(world.state(1), State::Searching);
    assert!(world.node(1).view().me.incarnation > before, "a new life, since others may still list the old one");
    world.run(ms(5_000));
    assert_eq!((world.state(1), world.ring(1)), (State::Ready, ring));
}
