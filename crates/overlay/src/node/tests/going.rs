//! Going away on purpose.

use super::world::{Process, World, id, ms};
use crate::{Departure, Envelope, Event, Refusal, Request, State};

fn three() -> World {
    let mut world = World::new();
    world.start(1, &[], None);
    world.start(2, &[1], None);
    world.start(3, &[1], None);
    world.until_one_ring(&[1, 2, 3], ms(5_000));
    world
}

#[test]
fn a_leaver_serves_until_it_departs_and_is_out_once_its_neighbours_know() {
    let mut world = three();
    world.with(2, |node, now| node.begin_leaving(now));
    world.run(ms(2_000));
    assert_eq!(world.state(2), State::Leaving);
    assert_eq!(world.locate(1, 1_500).1.unwrap().owners[0].id, id(2_000));
    assert!(!world.node(2).view().shares.is_empty());
    world.with(2, |node, now| node.depart(now, Departure::Leave));
    world.run(ms(2));
    assert_eq!(world.state(2), State::Left);
    assert_eq!(world.node(2).next_wake(), None);
    assert_eq!(world.locate(1, 1_500).1.unwrap().owners[0].id, id(3_000));
    let known = world.node(1).view().peer(id(2_000)).unwrap().clone();
    assert_eq!((known.alive, known.stopped), (false, None));
}

#[test]
fn whoever_has_left_answers_gone() {
    let mut world = three();
    let (from, to, ring) = (world.node(1).view().me, world.node(2).view().me, world.ring(1));
    world.with(2, |node, now| node.depart(now, Departure::Stop));
    world.run(ms(1_000));
    let envelope = Envelope { from, to: Some(to), ring };
    let answer = world.with(2, |node, now| node.serve(now, &envelope, Request::Depart(Departure::Leave)));
    assert_eq!(answer, Err(Refusal::Gone));
    assert!(world.events_of(1).iter().any(|event| matches!(event, Event::Stopping(peer) if peer.id == id(2_000))));
}

#[test]
fn a_departure_ends_after_a_second_whoever_is_silent() {
    let mut world = three();
    world.set(1, Process::Unplugged);
    world.with(2, |node, now| node.depart(now, Departure::Leave));
    let began = world.now;
    world.run(ms(5_000));
    let left = world.time_of(2, |event| *event == Event::State(State::Left)).unwrap();
    assert!(left.since(began) <= ms(1_000), "{:?}", left.since(began));
}

#[test]
fn a_searching_node_may_go_at_once() {
    let mut world = World::new();
    world.start(1, &[2], None);
    world.with(1, |node, now| node.depart(now, Departure::Stop));
    assert_eq!(world.state(1), State::Left);
}

#[test]
fn the_last_one_goes_without_a_word() {
    let mut world = World::new();
    world.start(1, &[], None);
    world.with(1, |node, now| node.begin_leaving(now));
    world.with(1, |node, now| node.depart(now, Departure::Leave));
    assert_eq!(world.state(1), State::Left);
}
