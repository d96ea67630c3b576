//! Lookups of whole nodes, liveness, pauses.

use super::world::{Process, World, addr, id, ms};
use crate::toy::Ask;
use crate::{Departure, Effect, Envelope, Event, Failure, LocateError, Peer, Refusal, Request, Response, State, Via};

fn ring_of(numbers: &[u64]) -> World {
    let mut world = World::new();
    world.start(numbers[0], &[], None);
    for &number in &numbers[1..] {
        world.start(number, &[numbers[0]], None);
    }
    world.until_one_ring(numbers, ms(5_000));
    world
}

fn ids(peers: &[Peer]) -> Vec<u64> {
    (0..20).filter(|&number| peers.iter().any(|peer| peer.id == id(1_000 * number))).collect()
}

#[test]
fn the_owner_itself_answers_without_a_message() {
    let mut world = ring_of(&[1, 2, 3]);
    let (took, found) = world.locate(2, 1_500);
    let found = found.unwrap();
    assert_eq!(took, ms(0));
    assert_eq!((found.owners[0].id, found.path.len()), (id(2_000), 1));
    assert_eq!((found.path[0].rtt, found.path[0].via), (None, None));
    assert_eq!(found.arc, Some(ring::Range::new(id(1_000), id(2_000))));
}

#[test]
fn a_path_tells_each_hop_with_its_round_trip_and_table_entry() {
    let mut world = ring_of(&[1, 2, 3]);
    let (took, found) = world.locate(1, 2_500);
    let found = found.unwrap();
    assert_eq!(took, ms(1));
    assert_eq!(ids(&found.owners), [1, 2, 3]);
    assert_eq!(found.owners[0].id, id(3_000));
    assert_eq!(found.path.len(), 2);
    assert_eq!(
        (found.path[1].peer.id, found.path[1].rtt, found.path[1].via),
        (id(3_000), Some(ms(1)), Some(Via::Successor))
    );
}

#[test]
fn a_lookup_whose_owner_crashes_succeeds_late_rather_than_fail_early() {
    for how in [Process::Dead, Process::Stopped] {
        let mut world = ring_of(&[1, 2, 3, 4, 5]);
        world.set(3, how);
        let (took, found) = world.locate(1, 2_500);
        let found = found.unwrap_or_else(|error| panic!("{how:?}: {error}"));
        assert_eq!(found.owners[0].id, id(4_000), "{how:?}");
        assert!(took < ms(2_800), "{how:?}: {took:?}");
        assert!(found.path.iter().all(|step| step.peer.id != id(3_000)), "dead hops are not listed");
    }
}

#[test]
fn a_node_that_is_in_no_ring_says_so() {
    let mut world = World::new();
    world.start(1, &[2], None);
    assert_eq!(world.locate(1, 5).1, Err(LocateError::Joining));
}

#[test]
fn a_cancelled_lookup_ends_in_nothing() {
    let mut world = ring_of(&[1, 2, 3]);
    let query = world.with(1, |node, now| {
        let query = node.locate(now, id(2_500));
        node.cancel(query);
        query
    });
    world.run(ms(5_000));
    assert!(!world.located.contains_key(&(addr(1), query)));
}

#[test]
fn a_silent_peer_is_dead_after_a_second_and_a_half_and_the_protocol_is_told_once() {
    let mut world = ring_of(&[1, 2]);
    world.run(ms(2_000));
    world.set(2, Process::Unplugged);
    let cut = world.now;
    world.run(ms(4_000));
    let down = world.time_of(1, |event| matches!(event, Event::Down(peer) if peer.id == id(2_000))).unwrap();
    let first_call = world.node(1).protocol().ended.iter().rfind(|(_, _, failure)| failure.is_none()).unwrap().0;
    let verdict = down.since(first_call.max(cut));
    // The call itself goes out up to a gossip period later.
    assert!((ms(1_200)..=ms(1_600)).contains(&verdict.saturating_sub(ms(100))), "{verdict:?}");
    let failures: Vec<_> = world.node(1).protocol().ended.iter().filter(|(_, _, failure)| failure.is_some()).collect();
    assert!(!failures.is_empty());
    assert!(failures.iter().all(|(at, _, failure)| *at == down && *failure == Some(Failure::TimedOut)), "{failures:?}");
}

#[test]
fn refused_connections_are_believed_after_one_retry() {
    let mut world = ring_of(&[1, 2]);
    world.run(ms(2_000));
    world.set(2, Process::Dead);
    world.run(ms(600));
    let down = world.time_of(1, |event| matches!(event, Event::Down(_))).unwrap();
    let asked = world.asked.iter().filter(|(at, from, to, _)| *from == addr(1) && *to == addr(2) && *at <= down);
    let last: Vec<_> = asked.map(|(at, ..)| *at).collect();
    let first_refused = last[last.len() - 2];
    assert!(down.since(first_refused) <= ms(50), "{:?}", down.since(first_refused));
}

#[test]
fn one_lost_answer_makes_a_suspect_and_the_retry_clears_it() {
    let mut world = ring_of(&[1, 2]);
    world.run(ms(2_000));
    world.set(2, Process::Unplugged);
    world.run(ms(450));
    world.set(2, Process::Runs);
    world.run(ms(3_000));
    assert!(world.time_of(1, |event| matches!(event, Event::Down(_))).is_none());
    assert!(world.node(1).protocol().ended.iter().all(|(_, _, failure)| failure.is_none()));
}

#[test]
fn a_machine_that_suddenly_answers_five_hundred_times_slower_is_not_buried() {
    let mut world = ring_of(&[1, 2, 3, 4]);
    world.run(ms(3_000));
    world.latency = ms(250);
    world.run(ms(20_000));
    let is_down = |event: &Event| matches!(event, Event::Down(_));
    assert!((1..=4).all(|number| world.time_of(number, is_down).is_none()));
}

#[test]
fn the_same_inputs_give_the_same_run() {
    let run = || {
        let mut world = ring_of(&[1, 2, 3, 4]);
        world.set(3, Process::Dead);
        world.run(ms(10_000));
        (world.asked, world.events)
    };
    let (first, second) = (run(), run());
    assert!(first.0.len() > 100);
    assert!(first == second);
}

#[test]
fn what_the_layer_above_could_not_reach_is_looked_at() {
    let mut world = ring_of(&[1, 2, 3]);
    let other = world.node(2).view().me;
    world.with(1, |node, now| node.on_evidence(now, &other, Err(Failure::TimedOut)));
    world.run(ms(1_000));
    assert!(world.node(1).view().peer(other.id).unwrap().alive, "it answers the Hello that followed");
    world.set(2, Process::Dead);
    world.with(1, |node, now| node.on_evidence(now, &other, Err(Failure::Refused(Refusal::Gone))));
    assert!(!world.node(1).view().peer(other.id).unwrap().alive);
    let down = world.time_of(1, |event| matches!(event, Event::Down(peer) if *peer == other));
    assert_eq!(down, Some(world.now));
}

#[test]
fn a_paused_node_suspects_nobody_and_asks_its_protocol_to_confirm_its_place() {
    let mut world = ring_of(&[1, 2, 3]);
    world.run(ms(1_000));
    world.set(2, Process::Stopped);
    world.run(ms(60_000));
    assert!(world.time_of(1, |event| matches!(event, Event::Down(peer) if peer.id == id(2_000))).is_some());
    let woken = world.now;
    world.set(2, Process::Runs);
    world.run(ms(3_000));
    assert_eq!(world.node(2).protocol().resumptions, 1, "{:?}", world.events_of(2));
    let after: Vec<Event> = world
        .events
        .iter()
        .filter(|(at, of, _)| *at >= woken && *of == addr(2))
        .map(|(_, _, event)| event.clone())
        .collect();
    assert!(!after.iter().any(|event| matches!(event, Event::Down(_))), "{after:?}");
    let states: Vec<&Event> = after.iter().filter(|event| matches!(event, Event::State(_))).collect();
    assert_eq!(states, [&Event::State(State::Joining), &Event::State(State::Ready)]);
    world.until_one_ring(&[1, 2, 3], ms(3_000));
    assert!(world.node(1).view().peer(id(2_000)).unwrap().alive);
}

#[test]
fn a_call_for_an_earlier_life_is_refused_as_gone_and_one_from_an_earlier_life_is_not_believed() {
    let mut world = ring_of(&[1, 2]);
    let (me, ring) = (world.node(1).view().me, world.ring(1));
    let older = Peer { incarnation: me.incarnation - 1, ..me.clone() };
    let from = world.node(2).view().me;
    let ask = || Request::Protocol(Ask::Sync(Vec::new()));
    let envelope = Envelope { from: from.clone(), to: Some(older), ring };
    assert_eq!(world.with(1, |node, now| node.serve(now, &envelope, ask())), Err(Refusal::Gone));
    let echo = Peer { incarnation: from.incarnation - 1, ..from.clone() };
    let envelope = Envelope { from: echo, to: Some(me.clone()), ring };
    assert!(world.with(1, |node, now| node.serve(now, &envelope, ask())).is_err());
    assert_eq!(world.node(1).view().peer(from.id).unwrap().peer, from);
    let nobody = Envelope { from, to: None, ring };
    assert_eq!(
        world.with(1, |node, now| node.serve(now, &nobody, ask())),
        Err(Refusal::Malformed("envelope.to".to_owned()))
    );
}

#[test]
fn a_restarted_process_takes_the_place_of_its_former_life() {
    let mut world = ring_of(&[1, 2, 3]);
    world.run(ms(1_000));
    let before = world.node(2).view().me;
    world.start(2, &[1], None);
    world.until_one_ring(&[1, 2, 3], ms(5_000));
    let known = world.node(1).view().peer(id(2_000)).unwrap().clone();
    assert!(known.alive && known.peer.incarnation > before.incarnation);
}

#[test]
fn a_peer_that_stops_is_marked_and_nothing_it_still_says_revives_it() {
    let mut world = ring_of(&[1, 2, 3]);
    let (me, from, ring) = (world.node(1).view().me, world.node(2).view().me, world.ring(1));
    let at = world.now;
    let envelope = Envelope { from: from.clone(), to: Some(me), ring };
    world.with(1, |node, now| node.serve(now, &envelope, Request::Depart(Departure::Stop))).unwrap();
    world.with(1, |node, now| node.serve(now, &envelope, Request::Protocol(Ask::Sync(Vec::new())))).unwrap_err();
    let known = world.node(1).view().peer(from.id).unwrap().clone();
    assert_eq!((known.alive, known.stopped), (false, Some(at)));
    let events = world.events_of(1);
    assert!(events.ends_with(&[Event::Stopping(from.clone()), Event::Down(from), Event::Shares]), "{events:?}");
}

#[test]
fn an_answer_to_another_question_ends_the_call_and_shows_a_living_peer() {
    let mut world = ring_of(&[1, 2]);
    let other = world.node(2).view().me;
    // A call of the protocol's, taken from the node before the network sees it.
    let node = world.nodes.get_mut(&addr(1)).unwrap();
    let (now, before) = (world.now.plus(ms(200)), node.protocol().ended.len());
    node.tick(now);
    let call = std::iter::from_fn(|| node.poll_effect()).find_map(|effect| match effect {
        Effect::Call { call, request: Request::Protocol(Ask::Sync(_)), .. } => Some(call),
        _ => None,
    });
    node.on_reply(now, call.unwrap(), Ok(Response::Departed), None);
    let ended = node.protocol().ended[before..].to_vec();
    let malformed = Failure::Refused(Refusal::Malformed("response".to_owned()));
    assert_eq!(ended, [(now, other.id, Some(malformed))]);
    assert!(node.view().peer(other.id).unwrap().alive);
}
