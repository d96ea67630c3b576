//! Rings of fewer than r + 1 members, where no proof holds: every small demo lives there.

use std::time::Duration;

use chord::{Chord, Config};
use overlay::NodeConfig;
use overlay::testing::{Net, Subject, conformance};
use rand::RngExt;
use ring::{Id, Space};

fn successor(target: Id, members: &[Id]) -> Id {
    members.iter().copied().min_by_key(|&member| target.distance_to(member)).expect("a ring has members")
}

fn subject(successors: usize) -> Subject<Chord> {
    let protocol = Config { successors, ..Config::default() };
    Subject { space: Space::SHA1, protocol, node: NodeConfig::default(), owner: successor }
}

/// Predecessors and trimmed lists are those of the perfect ring.
fn assert_perfect(net: &Net<Chord>, r: usize) {
    let order = conformance::in_ring_order(net);
    let id = |number: usize| net.view(order[number % order.len()]).me.id;
    for (at, &number) in order.iter().enumerate() {
        let table = net.table(number);
        let successors: Vec<Id> = table.successors.iter().map(|peer| peer.id).collect();
        let expected: Vec<Id> = (1..order.len()).take(r).map(|next| id(at + next)).collect();
        let predecessor = (order.len() > 1).then(|| id(at + order.len() - 1));
        if successors != expected || table.predecessor.as_ref().map(|peer| peer.id) != predecessor {
            net.fail(format!("{} shows {:?} and {successors:?}, not {expected:?}", id(at), table.predecessor));
        }
    }
}

#[test]
fn one_to_nine_nodes_that_start_together_are_a_perfect_ring_within_seconds() {
    for r in [1, 2, 3, 8] {
        for count in 1..=9 {
            for seed in 1..=8 {
                let mut net = conformance::together(&subject(r), seed, count);
                conformance::converge(&mut net, count, Duration::from_secs(10));
                net.run_for(Duration::from_secs(8));
                assert_perfect(&net, r);
            }
        }
    }
}

#[test]
fn newcomers_that_know_only_the_first_node_are_never_lost_to_each_other() {
    // Zave's counterexample: a ring of one takes in two newcomers at a time, and fails.
    for seed in 1..=40 {
        let mut net = Net::new(subject(2), seed);
        net.add(&[]);
        net.run_for(Duration::from_secs(1));
        net.add(&[0, 2]);
        net.add(&[0, 1]);
        let ready = net.run_until(Duration::from_secs(10), |net| net.is_ready(1) && net.is_ready(2));
        assert!(ready, "seed {seed}");
        net.crash(0);
        conformance::converge(&mut net, 2, Duration::from_secs(8));
        net.run_for(Duration::from_secs(3));
        assert_perfect(&net, 2);
    }
}

#[test]
fn a_member_takes_in_newcomers_one_by_one_however_many_ask() {
    for seed in 1..=10 {
        let mut net = Net::new(subject(8), seed);
        net.add(&[]);
        net.run_for(Duration::from_secs(1));
        for _ in 0..15 {
            net.add(&[0]);
        }
        conformance::converge(&mut net, 16, Duration::from_secs(5));
        net.run_for(Duration::from_secs(8));
        assert_perfect(&net, 8);
    }
}

#[test]
fn a_small_ring_survives_random_crashes_and_returns() {
    for seed in 1..=10 {
        let mut net = conformance::converged(&subject(8), seed, 5);
        for _ in 0..6 {
            let number = net.rng().random_range(1..5);
            net.crash(number);
            let pause = net.rng().random_range(0..4_000);
            net.run_for(Duration::from_millis(pause));
            net.restart(number, &[0]);
            let pause = net.rng().random_range(0..4_000);
            net.run_for(Duration::from_millis(pause));
        }
        conformance::converge(&mut net, 5, Duration::from_secs(10));
        net.run_for(Duration::from_secs(8));
        assert_perfect(&net, 8);
    }
}

#[test]
fn a_dead_predecessor_is_named_only_until_the_next_node_has_taken_its_place() {
    let mut net = conformance::converged(&subject(8), 3, 3);
    let order = conformance::in_ring_order(&net);
    net.crash(order[1]);
    conformance::converge(&mut net, 2, Duration::from_secs(3));
    net.run_for(Duration::from_secs(3));
    assert_perfect(&net, 8);
}
