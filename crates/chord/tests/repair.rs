//! How fast, and at what price, the ring is kept: whole tables, not only owners.

use std::time::Duration;

use chord::{Chord, Config};
use overlay::NodeConfig;
use overlay::testing::{Net, Subject, conformance};
use rand::seq::SliceRandom;
use ring::{Id, Space};

fn successor(target: Id, members: &[Id]) -> Id {
    members.iter().copied().min_by_key(|&member| target.distance_to(member)).expect("a ring has members")
}

fn subject() -> Subject<Chord> {
    Subject { space: Space::SHA1, protocol: Config::default(), node: NodeConfig::default(), owner: successor }
}

/// What `dht check` would find: a predecessor, a list entry or a finger that is not that of the perfect ring.
fn fault(net: &Net<Chord>, with_fingers: bool) -> Option<String> {
    let order = conformance::in_ring_order(net);
    let members: Vec<Id> = order.iter().map(|&number| net.view(number).me.id).collect();
    let member = |at: usize| members[at % members.len()];
    for (at, &number) in order.iter().enumerate() {
        let table = net.table(number);
        let successors: Vec<Id> = table.successors.iter().map(|peer| peer.id).collect();
        let expected: Vec<Id> = (1..members.len()).take(8).map(|next| member(at + next)).collect();
        if successors != expected {
            return Some(format!("{} lists {successors:?}, not {expected:?}", member(at)));
        }
        if table.predecessor.map(|peer| peer.id) != Some(member(at + members.len() - 1)) {
            return Some(format!("{} has another predecessor", member(at)));
        }
        let wrong = |finger: &&chord::Finger| {
            finger.node.as_ref().map(|peer| peer.id) != Some(successor(finger.start, &members))
        };
        if with_fingers && let Some(finger) = table.fingers.iter().find(wrong) {
            return Some(format!("{} has {finger:?}", member(at)));
        }
    }
    None
}

fn expect_perfect(net: &mut Net<Chord>, with_fingers: bool, limit: Duration) {
    if !net.run_until(limit, |net| fault(net, with_fingers).is_none()) {
        net.fail(fault(net, with_fingers).unwrap_or_default());
    }
}

fn four_of(net: &mut Net<Chord>) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..32).collect();
    numbers.shuffle(net.rng());
    numbers.truncate(4);
    numbers
}

#[test]
fn four_of_32_that_crash_at_once_are_gone_from_every_list_within_10_seconds() {
    for seed in 1..=6 {
        let mut net = conformance::converged(&subject(), seed, 32);
        for number in four_of(&mut net) {
            net.crash(number);
        }
        expect_perfect(&mut net, false, Duration::from_secs(10));
    }
}

#[test]
fn four_of_32_that_fall_silent_at_once_are_gone_within_10_seconds_and_back_within_15() {
    for seed in 1..=6 {
        let mut net = conformance::converged(&subject(), seed, 32);
        let silent = four_of(&mut net);
        silent.iter().for_each(|&number| net.pause(number));
        expect_perfect(&mut net, false, Duration::from_secs(10));
        net.run_for(Duration::from_secs(60));
        silent.iter().for_each(|&number| net.resume(number));
        net.run_for(Duration::from_secs(1));
        conformance::converge(&mut net, 32, Duration::from_secs(8));
        expect_perfect(&mut net, false, Duration::from_secs(6));
    }
}

#[test]
fn sixty_four_nodes_that_start_together_have_their_fingers_within_seconds() {
    let mut net = conformance::together(&subject(), 1, 64);
    conformance::converge(&mut net, 64, Duration::from_secs(8));
    expect_perfect(&mut net, true, Duration::from_secs(8));
}

#[test]
fn a_newcomer_is_ready_after_a_few_round_trips() {
    for seed in 1..=6 {
        let mut net = conformance::converged(&subject(), seed, 16);
        let newcomer = net.add(&[3]);
        let ready = net.run_until(Duration::from_millis(150), |net| net.is_ready(newcomer));
        assert!(ready, "seed {seed}: not ready after 150 ms with round trips of 2 ms");
    }
}

#[test]
fn an_idle_ring_of_16_makes_few_calls() {
    let mut net = conformance::converged(&subject(), 1, 16);
    net.run_for(Duration::from_secs(30));
    let before = net.calls();
    net.run_for(Duration::from_secs(60));
    let calls_per_node_s = (net.calls() - before) as f64 / 16.0 / 60.0;
    // Head and notification twice a second, a sign of life, now and then a finger and a look for other rings.
    assert!((5.0..9.0).contains(&calls_per_node_s), "{calls_per_node_s} calls per node and second");
}
